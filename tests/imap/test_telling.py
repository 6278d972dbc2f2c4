"""Whatever a client has enabled, what it is told is complete and in order."""

from __future__ import annotations

import pytest

from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import Flags
from tests.kit.bare_session import BareSession, fill, message
from tests.kit.memory_mailbox import MemoryMailbox


@pytest.fixture
def store() -> MemoryMailbox:
    return fill(MemoryMailbox(), "one", "two", "three", "four")


def inbox(store: MemoryMailbox) -> int:
    return store.status("INBOX").id


def opened(store: MemoryMailbox, *enabled: bytes) -> BareSession:
    session = BareSession(store).log_in()
    if enabled:
        assert b"t OK" in session.command(b"ENABLE " + b" ".join(enabled))
    assert b"t OK" in session.command(b"SELECT INBOX")
    return session


def test_what_others_change_comes_with_uid_and_modseq(store: MemoryMailbox) -> None:
    # RFC 7162 section 3.2.4
    session = opened(store, b"CONDSTORE")
    store.change_flags(inbox(store), [2], "+", flags=Flags.SEEN)
    assert session.command(b"NOOP").startswith(b"* 2 FETCH (UID 2 FLAGS (\\Seen \\Recent) MODSEQ (6))\r\n")


def test_flags_that_are_the_same_again_still_have_another_modseq(store: MemoryMailbox) -> None:
    plain, counting = opened(store), opened(store, b"CONDSTORE")
    for operation in ("+", "-"):
        store.change_flags(inbox(store), [1], operation, flags=Flags.SEEN)  # type: ignore[arg-type]
    assert plain.command(b"NOOP") == b"t OK NOOP completed\r\n"
    assert b"* 1 FETCH (UID 1 FLAGS () MODSEQ (7))\r\n" in counting.command(b"NOOP")


def test_in_rev2_what_nobody_asked_for_has_its_uid_and_nothing_is_recent(store: MemoryMailbox) -> None:
    session = opened(store, b"IMAP4rev2")
    store.change_flags(inbox(store), [2], "+", flags=Flags.SEEN)
    store.add("INBOX", message())
    out = session.command(b"NOOP")
    assert out == b"* 2 FETCH (UID 2 FLAGS (\\Seen))\r\n* 5 EXISTS\r\nt OK NOOP completed\r\n"


def test_while_nothing_may_vanish_the_client_is_told_how_far_it_is(store: MemoryMailbox) -> None:
    # RFC 7162 section 6, the example.
    session = opened(store, b"QRESYNC")
    before = store.highest_modseq(inbox(store))
    store.lose("INBOX", 3)
    for command in (b"STORE 1 +FLAGS.SILENT (\\Seen)", b"FETCH 2 MODSEQ", b"SEARCH ALL"):
        out = session.command(command)
        assert b"VANISHED" not in out and b"t OK [HIGHESTMODSEQ %d] " % before in out
    now = store.highest_modseq(inbox(store))
    assert session.command(b"NOOP") == b"* VANISHED 3\r\nt OK [HIGHESTMODSEQ %d] NOOP completed\r\n" % now
    assert session.command(b"NOOP") == b"t OK NOOP completed\r\n"


def test_nothing_vanishes_during_a_uid_search_with_numbers(store: MemoryMailbox) -> None:
    # RFC 7162 section 3.2.10.2
    session = opened(store, b"QRESYNC")
    store.lose("INBOX", 1)
    assert b"VANISHED" not in session.command(b"UID SEARCH 1:4")
    assert b"* VANISHED 1\r\n" in session.command(b"UID SEARCH UID 1:4")


def test_messages_that_came_and_went_unseen_never_vanish(store: MemoryMailbox) -> None:
    # RFC 7162 section 3.2.10.2: only what the client has been told of.
    session = opened(store, b"QRESYNC")
    store.lose("INBOX", store.add("INBOX", message()))
    assert b"VANISHED" not in session.command(b"NOOP")


def test_a_look_that_fails_is_made_up_for_and_the_client_is_not_ahead(store: MemoryMailbox) -> None:
    session = opened(store, b"QRESYNC")
    before = store.highest_modseq(inbox(store))
    store.change_flags(inbox(store), [4], "+", flags=Flags.FLAGGED)
    whole = store.rows

    def broken(folder_id: int, *, since_modseq: int = 0) -> object:
        raise TemporaryFailure("reading: the disk is away")

    store.rows = broken  # type: ignore[assignment]
    out = session.command(b"STORE 1 +FLAGS (\\Seen)")
    assert b"* 1 FETCH (UID 1 FLAGS (\\Seen \\Recent) MODSEQ (7))\r\n" in out
    assert b"t OK [HIGHESTMODSEQ %d] Store completed\r\n" % before in out
    store.rows = whole  # type: ignore[method-assign]
    out = session.command(b"NOOP")
    assert (
        b"* 4 FETCH (UID 4 FLAGS (\\Flagged \\Recent) MODSEQ (6))\r\n" in out and b"HIGHESTMODSEQ" not in out
    )


def test_silence_is_about_one_s_own_change_only(store: MemoryMailbox) -> None:
    # RFC 9051 section 6.4.6: what others did must not get lost.
    session = opened(store)
    store.change_flags(inbox(store), [1], "+", flags=Flags.DELETED, keywords=("Work",))
    out = session.command(b"STORE 1:2 +FLAGS.SILENT (\\Seen)")
    assert b"* 1 FETCH (FLAGS (\\Seen \\Deleted \\Recent Work))\r\n" in out and b"* 2 FETCH" not in out
    assert session.command(b"NOOP") == b"t OK NOOP completed\r\n"


def test_a_change_of_other_flags_does_not_refuse_a_conditional_store(store: MemoryMailbox) -> None:
    # RFC 7162 section 3.1.12
    session = opened(store, b"CONDSTORE")
    since = store.highest_modseq(inbox(store))
    store.change_flags(inbox(store), [1], "+", flags=Flags.DELETED)
    store.change_flags(inbox(store), [2], "+", flags=Flags.NONE, keywords=("$processed",))
    out = session.command(b"STORE 1:3 (UNCHANGEDSINCE %d) +FLAGS.SILENT ($Processed)" % since)
    assert b"* 1 FETCH (UID 1 FLAGS (\\Deleted \\Recent $Processed) MODSEQ (" in out
    assert b"* 3 FETCH (UID 3 MODSEQ (" in out and b"t OK [MODIFIED 2] " in out
    # What was in the way is told in the same breath.
    assert b"* 2 FETCH (UID 2 FLAGS (\\Recent $processed) MODSEQ (" in out
    assert b"t OK [MODIFIED 1] " in session.command(b"STORE 1 (UNCHANGEDSINCE %d) FLAGS ()" % since)


def test_a_keyword_too_many_takes_the_star_away() -> None:
    # RFC 9051 section 7.1, PERMANENTFLAGS
    class Full(MemoryMailbox):
        def change_flags(self, *args: object, **kwargs: object) -> object:  # type: ignore[override]
            from mailstack.model.mailbox import MailboxError

            raise MailboxError("LIMIT", "a folder may know 100 keywords")

    store = Full()
    fill(store, "one")
    out = opened(store).command(b"STORE 1 +FLAGS (more)")
    assert (
        b"[PERMANENTFLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft)]" in out and b"t NO [LIMIT] " in out
    )


def test_flags_of_messages_that_are_gone_are_not_set_and_the_client_hears_of_it(store: MemoryMailbox) -> None:
    session = opened(store)
    store.lose("INBOX", 2)
    session.command(b"FETCH 1 UID")
    out = session.command(b"STORE 1:3 +FLAGS (\\Seen)")
    assert b"* 2 FETCH" not in out and b"t OK [EXPUNGEISSUED] " in out


# -- coming back ------------------------------------------------------------------------


def test_another_uidvalidity_means_that_nothing_is_said(store: MemoryMailbox) -> None:
    # I21; RFC 7162 section 3.2.5
    store.lose("INBOX", 1)
    session = BareSession(store).log_in()
    session.command(b"ENABLE QRESYNC")
    old = store.status("INBOX").uid_validity
    assert b"* VANISHED (EARLIER) 1\r\n" in session.command(b"SELECT INBOX (QRESYNC (%d 1))" % old)
    store.renew("INBOX")
    out = session.command(b"SELECT INBOX (QRESYNC (%d 1 1:5))" % old)
    assert b"VANISHED" not in out and b" FETCH " not in out and b"t OK [READ-WRITE]" in out


def test_a_log_that_does_not_reach_back_means_that_all_that_is_gone_is_told(store: MemoryMailbox) -> None:
    # RFC 7162 section 3.2.6, the note.
    store.lose("INBOX", 1)
    store.lose("INBOX", 3)
    since = store.highest_modseq(inbox(store)) - 1
    store.forget_expunged("INBOX")
    session = BareSession(store).log_in()
    session.command(b"ENABLE QRESYNC")
    validity = store.status("INBOX").uid_validity
    assert b"* VANISHED (EARLIER) 1,3\r\n" in session.command(
        b"SELECT INBOX (QRESYNC (%d %d))" % (validity, since)
    )
    out = session.command(b"UID FETCH 1:9 UID (CHANGEDSINCE %d VANISHED)" % since)
    assert out.startswith(b"* VANISHED (EARLIER) 1,3\r\n")
    assert b"VANISHED" not in session.command(b"SELECT INBOX (QRESYNC (%d %d))" % (validity, since + 1))


def test_what_the_client_still_counts_is_not_told_as_gone_earlier(store: MemoryMailbox) -> None:
    session = opened(store, b"QRESYNC")
    store.lose("INBOX", 2)
    assert b"VANISHED" not in session.command(b"FETCH 1 UID")
    out = session.command(b"UID FETCH 1:4 UID (CHANGEDSINCE 1 VANISHED)")
    assert b"EARLIER" not in out and b"* VANISHED 2\r\n" in out


def test_many_gone_messages_come_in_lines_no_client_chokes_on() -> None:
    store = MemoryMailbox()
    for _ in range(2_000):
        store.add("INBOX", b"x")
    store.expunge(inbox(store), range(1, 2_000, 2))
    session = BareSession(store).log_in()
    session.command(b"ENABLE QRESYNC")
    out = session.command(b"SELECT INBOX (QRESYNC (%d 1))" % store.status("INBOX").uid_validity)
    lines = [line for line in out.split(b"\r\n") if b"VANISHED" in line]
    assert len(lines) == 3 and max(map(len, lines)) < 8_192
