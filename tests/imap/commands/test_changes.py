"""STORE, COPY, MOVE, EXPUNGE, CLOSE."""

from __future__ import annotations

from typing import Any

import pytest

from mailstack.model.mailbox import Flags
from tests.kit.bare_session import BareSession, fill
from tests.kit.memory_mailbox import MemoryMailbox


@pytest.fixture
def store() -> MemoryMailbox:
    return fill(MemoryMailbox(), "one", "two", "three", "four")


@pytest.mark.parametrize(
    ("change", "flags"),
    [
        (b"FLAGS (\\Draft)", Flags.DRAFT),
        (b"+FLAGS (\\Draft)", Flags.SEEN | Flags.DRAFT),
        (b"-FLAGS (\\Seen)", Flags.NONE),
        (b"flags.silent \\Flagged", Flags.FLAGGED),
        (b"FLAGS ()", Flags.NONE),
    ],
)
def test_store_sets_adds_and_removes(store: MemoryMailbox, change: bytes, flags: Flags) -> None:
    folder = store.status("INBOX").id
    store.change_flags(folder, [1], "=", flags=Flags.SEEN)
    session = BareSession(store).select()
    out = session.command(b"STORE 1 " + change)
    assert store.rows(folder)[0].flags == flags
    assert (b"FETCH" in out) is (b"silent" not in change)


@pytest.mark.parametrize(
    "arguments",
    [
        b"1 FLAGS",
        b"1 FOO (\\Seen)",
        b"1 +FLAGS (\\Recent)",
        b"1 +FLAGS (\\Foo)",
        b"1 FLAGS (a",
        b"x FLAGS ()",
        b"1 FLAGS.LOUD ()",
    ],
)
def test_what_is_no_store_is_bad(store: MemoryMailbox, arguments: bytes) -> None:
    # I18
    assert b"t BAD" in BareSession(store).select().command(b"STORE " + arguments)


def test_an_unchanged_store_is_answered_all_the_same(store: MemoryMailbox) -> None:
    session = BareSession(store).select()
    for _ in range(2):
        assert b"* 2 FETCH (UID 2 FLAGS (\\Seen \\Recent))" in session.command(b"UID STORE 2 +FLAGS (\\Seen)")


def test_own_changes_are_not_told_again(store: MemoryMailbox) -> None:
    session = BareSession(store).select()
    assert session.command(b"STORE 1:4 +FLAGS.SILENT (\\Seen)") == b"t OK Store completed\r\n"
    assert session.command(b"NOOP") == b"t OK NOOP completed\r\n"


def test_a_change_between_two_of_mine_is_told(store: MemoryMailbox) -> None:
    session = BareSession(store).select()
    store.change_flags(store.status("INBOX").id, [2], "+", flags=Flags.DRAFT)
    out = session.command(b"STORE 1 +FLAGS.SILENT (\\Seen)")
    assert out == b"* 2 FETCH (FLAGS (\\Draft \\Recent))\r\nt OK Store completed\r\n"


def test_copyuid_pairs_source_and_target(store: MemoryMailbox) -> None:
    # RFC 4315 section 3
    session = BareSession(store).select()
    assert session.command(b"COPY 2,4 Archive").startswith(b"t OK [COPYUID 1006 2,4 1:2]")
    assert session.command(b"UID COPY 99 Archive") == b"t OK No messages copied\r\n"
    for command in (b"COPY 1 nowhere", b"UID COPY 99 nowhere", b"UID MOVE 99 nowhere"):
        assert b"t NO [TRYCREATE]" in session.command(command)
    assert b"t BAD" in session.command(b"COPY 9 Archive")


def test_move_tells_copyuid_before_the_expunges(store: MemoryMailbox) -> None:
    # RFC 6851 section 4.3
    session = BareSession(store).select()
    assert session.command(b"MOVE 1,3 Archive") == (
        b"* OK [COPYUID 1006 1,3 1:2] Moved\r\n* 3 EXPUNGE\r\n* 1 EXPUNGE\r\nt OK Move completed\r\n"
    )
    assert session.command(b"UID MOVE 1 Archive") == b"t OK No messages moved\r\n"
    assert session.command(b"UID SEARCH ALL").startswith(b"* SEARCH 2 4\r\n")


def test_a_copy_of_a_number_whose_message_is_gone_is_refused_as_a_whole(store: MemoryMailbox) -> None:
    # RFC 2180 section 4.4.1: all or nothing, and nothing is said to be copied that is not.
    session = BareSession(store).select()
    store.lose("INBOX", 2)
    for command in (b"COPY 1:3 Archive", b"MOVE 2 Archive"):
        assert b"t NO [EXPUNGEISSUED]" in session.command(command)
    assert store.status("Archive").messages == 0
    out = session.command(b"UID COPY 1:3 Archive")
    assert out.startswith(b"* 2 EXPUNGE\r\nt OK [COPYUID 1006 1,3 1:2]")


def test_copy_into_the_selected_folder_shows_at_once(store: MemoryMailbox) -> None:
    session = BareSession(store).select()
    assert b"* 5 EXISTS" in session.command(b"COPY 1 INBOX")


def test_a_full_mailbox_takes_no_copy() -> None:
    # I8
    store = MemoryMailbox(quota=200)
    fill(store, "one")
    session = BareSession(store).select()
    assert b"t NO [OVERQUOTA]" in session.command(b"COPY 1 Archive")
    assert b"t OK" in session.command(b"MOVE 1 Archive")


def test_uid_expunge_removes_only_its_own(store: MemoryMailbox) -> None:
    # RFC 4315 section 2.1
    session = BareSession(store).select()
    session.command(b"STORE 1,2,4 +FLAGS.SILENT (\\Deleted)")
    assert session.command(b"UID EXPUNGE 2:3") == b"* 2 EXPUNGE\r\nt OK Expunge completed\r\n"
    assert session.command(b"EXPUNGE") == b"* 3 EXPUNGE\r\n* 1 EXPUNGE\r\nt OK Expunge completed\r\n"


def test_close_expunges_without_a_word_and_unselect_does_not(store: MemoryMailbox) -> None:
    session = BareSession(store).select()
    session.command(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
    assert session.command(b"UNSELECT") == b"t OK Unselect completed\r\n"
    assert store.status("INBOX").messages == 4
    session.command(b"SELECT INBOX")
    assert session.command(b"CLOSE") == b"t OK Close completed\r\n"
    assert store.status("INBOX").messages == 3


def test_a_message_another_session_expunged_is_left_alone(store: MemoryMailbox) -> None:
    session = BareSession(store).select()
    session.command(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
    store.lose("INBOX", 1)
    assert session.command(b"STORE 1 +FLAGS (\\Seen)").endswith(b"t OK Store completed\r\n")
    assert session.command(b"EXPUNGE") == b"* 1 EXPUNGE\r\nt OK Expunge completed\r\n"


@pytest.mark.parametrize("command", [b"EXPUNGE", b"UID EXPUNGE 1:*", b"CLOSE"])
@pytest.mark.parametrize("notify", [b"NONE", b"SET (personal (MailboxName))"])
def test_a_message_others_undeleted_stays_whatever_this_client_is_told(
    store: MemoryMailbox, command: bytes, notify: bytes
) -> None:
    folder = store.status("INBOX").id
    store.change_flags(folder, [1, 2], "+", flags=Flags.DELETED)
    session = BareSession(store).select()
    assert b"t OK" in session.command(b"NOTIFY " + notify)
    store.change_flags(folder, [2], "-", flags=Flags.DELETED)
    assert b"t OK" in session.command(command)
    assert [row.uid for row in store.rows(folder)] == [2, 3, 4]


@pytest.mark.parametrize("command", [b"EXPUNGE", b"UID EXPUNGE 1:*", b"CLOSE"])
def test_a_message_undeleted_at_the_last_moment_stays(
    store: MemoryMailbox, command: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = store.status("INBOX").id
    session = BareSession(store).select()
    session.command(b"STORE 1,2 +FLAGS.SILENT (\\Deleted)")
    expunge = store.expunge

    def later(*args: Any, **options: Any) -> list[int]:
        store.change_flags(folder, [2], "-", flags=Flags.DELETED)
        return expunge(*args, **options)

    monkeypatch.setattr(store, "expunge", later)
    assert b"t OK" in session.command(command)
    assert [row.uid for row in store.rows(folder)] == [2, 3, 4]
