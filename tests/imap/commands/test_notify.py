"""NOTIFY: events at any time, of the selected folder and of others (RFC 5465)."""

from __future__ import annotations

import pytest

from mailstack.imap.requests import MAX_CHANGED
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import Flags, FolderEntry
from tests.kit.bare_session import BareSession, message
from tests.kit.memory_mailbox import MemoryMailbox


@pytest.fixture
def store() -> MemoryMailbox:
    """Two messages in INBOX."""
    store = MemoryMailbox()
    for _ in range(2):
        store.add("INBOX", message())
    return store


def notified(store: MemoryMailbox, groups: bytes, *, select: bool = True) -> BareSession:
    """A session that has sent NOTIFY SET."""
    session = BareSession(store).select() if select else BareSession(store).log_in()
    assert session.command(b"NOTIFY SET " + groups).endswith(b"t OK Notify completed\r\n")
    return session


def happens(session: BareSession, *folders: str) -> bytes:
    """Hints arrive while no command runs; gives what is said then."""
    session.take()
    session.time += 1
    session.poke(*folders)
    return session.take()


# -- the selected folder --------------------------------------------------------------------


def test_new_messages_are_told_and_fetched_without_a_command(store: MemoryMailbox) -> None:
    session = notified(
        store, b"(selected (MessageNew (uid body.peek[header.fields (Subject)]) MessageExpunge))"
    )
    store.add("INBOX", message(subject="news"))
    assert happens(session, "INBOX") == (
        b"* 3 EXISTS\r\n* 3 RECENT\r\n"
        b"* 3 FETCH (UID 3 BODY[HEADER.FIELDS (SUBJECT)] {17}\r\nSubject: news\r\n\r\n)\r\n"
    )
    assert happens(session, "INBOX") == b""
    assert session.command(b"NOOP") == b"t OK NOOP completed\r\n"


def test_expunged_messages_are_told_at_once_or_delayed(store: MemoryMailbox) -> None:
    session = notified(store, b"(selected (MessageNew MessageExpunge))")
    store.lose("INBOX", 1)
    assert happens(session, "INBOX") == b"* 1 EXPUNGE\r\n"
    delayed = notified(store, b"(selected-delayed (MessageNew MessageExpunge))")
    store.lose("INBOX", 2)
    assert happens(delayed, "INBOX") == b""
    assert delayed.command(b"FETCH 1 UID").startswith(b"* 1 FETCH (UID 2)")
    assert delayed.command(b"NOOP") == b"* 1 EXPUNGE\r\nt OK NOOP completed\r\n"


def test_flags_are_told_with_uid_only_when_asked_for(store: MemoryMailbox) -> None:
    quiet = notified(store, b"(selected (MessageNew MessageExpunge))")
    loud = notified(store, b"(selected (MessageNew MessageExpunge FlagChange))")
    store.change_flags(store.status("INBOX").id, [2], "+", flags=Flags.FLAGGED)
    assert happens(quiet, "INBOX") == b""
    assert quiet.command(b"NOOP") == b"t OK NOOP completed\r\n"
    assert b"\\Flagged" in quiet.command(b"FETCH 2 FLAGS")
    assert happens(loud, "INBOX").startswith(b"* 2 FETCH (UID 2 FLAGS (\\Flagged")


@pytest.mark.parametrize("what", [b"NONE", b"SET (selected NONE)", b"SET (personal (MailboxName))"])
def test_without_selected_events_nothing_is_told_but_what_one_did_oneself(
    store: MemoryMailbox, what: bytes
) -> None:
    session = BareSession(store).select()
    assert session.command(b"NOTIFY " + what) == b"t OK Notify completed\r\n"
    store.add("INBOX", message())
    assert happens(session, "INBOX") == b""
    assert session.command(b"NOOP") == b"t OK NOOP completed\r\n"
    session.command(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
    assert session.command(b"EXPUNGE") == b"* 1 EXPUNGE\r\nt OK Expunge completed\r\n"
    out = session.command(b"NOTIFY SET (selected (MessageNew MessageExpunge))")
    assert out.startswith(b"* 2 EXISTS\r\n") and out.endswith(b"t OK Notify completed\r\n")


def test_what_has_gathered_is_told_before_the_ok(store: MemoryMailbox) -> None:
    session = BareSession(store).select()
    store.add("INBOX", message())
    out = session.command(b"NOTIFY SET (selected NONE)")
    assert out == b"* 3 EXISTS\r\n* 3 RECENT\r\nt OK Notify completed\r\n"


def test_in_idle_the_same_is_told(store: MemoryMailbox) -> None:
    session = notified(
        store, b"(selected-delayed (MessageNew MessageExpunge)) (mailboxes Sent (MessageNew MessageExpunge))"
    )
    session.send(b"i IDLE\r\n")
    store.add("Sent", message())
    store.lose("INBOX", 1)
    out = happens(session, "Sent")
    assert out.startswith(b'* 1 EXPUNGE\r\n* STATUS "Sent" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY')
    assert session.ask(b"DONE\r\n") == b"i OK Idle completed\r\n"


# -- other folders ----------------------------------------------------------------------------


def test_status_of_the_chosen_folders_comes_with_set_status(store: MemoryMailbox) -> None:
    session = BareSession(store).select()
    out = session.command(
        b"NOTIFY SET STATUS (mailboxes (Sent Nowhere INBOX) (MessageNew MessageExpunge FlagChange))"
    )
    lines = out.split(b"\r\n")
    assert len(lines) == 3
    assert lines[0].startswith(b'* STATUS "Sent" (MESSAGES 0 UIDNEXT 1 UIDVALIDITY ')
    assert b" UNSEEN 0 HIGHESTMODSEQ " in lines[0]


def test_new_and_lost_messages_elsewhere_are_a_status(store: MemoryMailbox) -> None:
    session = notified(store, b"(subtree Sent (MessageNew MessageExpunge))")
    store.add("Sent", message())
    assert happens(session, "Sent", "Drafts").startswith(b'* STATUS "Sent" (MESSAGES 1 UIDNEXT 2 ')
    store.change_flags(store.status("Sent").id, [1], "+", flags=Flags.SEEN)
    assert happens(session, "Sent") == b""
    store.lose("Sent", 1)
    assert happens(session, "Sent").startswith(b'* STATUS "Sent" (MESSAGES 0 UIDNEXT 2 ')
    store.add("Archive", message())
    assert happens(session, "Archive", "INBOX") == b""


def test_flags_elsewhere_are_told_when_the_number_of_unseen_changes(store: MemoryMailbox) -> None:
    session = notified(store, b"(personal (MessageNew MessageExpunge FlagChange))", select=False)
    inbox = store.status("INBOX").id
    store.change_flags(inbox, [1], "+", flags=Flags.FLAGGED)
    assert happens(session, "INBOX") == b""
    store.change_flags(inbox, [1], "+", flags=Flags.SEEN)
    assert b" UNSEEN 1" in happens(session, "INBOX")
    session.command(b"ENABLE CONDSTORE")
    store.change_flags(inbox, [1], "-", flags=Flags.FLAGGED)
    assert b"HIGHESTMODSEQ" in happens(session, "INBOX")


def test_the_selected_folder_is_not_told_twice_and_again_when_it_is_closed(store: MemoryMailbox) -> None:
    session = notified(store, b"(personal (MessageNew MessageExpunge))")
    store.add("INBOX", message())
    assert happens(session, "INBOX") == b""
    session.command(b"UNSELECT")
    assert happens(session, "INBOX").startswith(b'* STATUS "INBOX" (MESSAGES 3 ')


# -- names, subscriptions, metadata --------------------------------------------------------------


def test_made_removed_and_renamed_folders_are_listed(store: MemoryMailbox) -> None:
    session = notified(store, b"(personal (MailboxName))")
    store.create("a/b")
    assert happens(session, "") == (
        b'* LIST (\\HasNoChildren) "/" "a/b"\r\n* LIST (\\NonExistent \\HasChildren) "/" "a"\r\n'
    )
    store.rename("a/b", "c")
    assert happens(session, "") == b'* LIST (\\HasNoChildren) "/" "c" ("OLDNAME" ("a/b"))\r\n'
    store.delete("c")
    assert happens(session, "c") == b'* LIST (\\NonExistent \\HasNoChildren) "/" "c"\r\n'
    assert happens(session, "") == b""


def test_children_move_silently_with_their_parent(store: MemoryMailbox) -> None:
    store.create("a")
    store.create("a/b")
    session = notified(store, b"(personal (MailboxName))")
    store.rename("a", "x")
    assert happens(session, "") == b'* LIST (\\HasChildren) "/" "x" ("OLDNAME" ("a"))\r\n'


def test_subscriptions_are_listed_as_they_are_now(store: MemoryMailbox) -> None:
    session = notified(store, b"(mailboxes (Sent Drafts) (SubscriptionChange))")
    store.subscribe("Sent", subscribed=False)
    store.subscribe("Archive", subscribed=False)
    assert happens(session, "") == b'* LIST (\\HasNoChildren \\Sent) "/" "Sent"\r\n'
    store.subscribe("Sent", subscribed=True)
    assert happens(session, "") == b'* LIST (\\Subscribed \\HasNoChildren \\Sent) "/" "Sent"\r\n'


def test_subscribed_folders_are_looked_up_again_when_subscriptions_change(store: MemoryMailbox) -> None:
    store.subscribe("Sent", subscribed=False)
    session = notified(store, b"(subscribed (MessageNew MessageExpunge))")
    store.add("Sent", message())
    assert happens(session, "Sent") == b""
    store.subscribe("Sent", subscribed=True)
    happens(session, "")
    store.add("Sent", message())
    assert happens(session, "Sent").startswith(b'* STATUS "Sent" (MESSAGES 2 ')


def test_a_new_folder_with_messages_is_told_with_its_counters(store: MemoryMailbox) -> None:
    session = notified(store, b"(personal (MessageNew MessageExpunge))")
    store.create("fresh")
    store.add("fresh", message())
    assert happens(session, "fresh").startswith(b'* STATUS "fresh" (MESSAGES 1 ')
    store.add("fresh", message())
    assert happens(session, "fresh").startswith(b'* STATUS "fresh" (MESSAGES 2 ')


def test_metadata_hints_name_what_was_set(store: MemoryMailbox) -> None:
    session = notified(store, b"(mailboxes INBOX (MailboxMetadataChange ServerMetadataChange))")
    assert happens(session, "\x01INBOX\x01/private/comment") == b'* METADATA "INBOX" /private/comment\r\n'
    assert happens(session, "\x01Sent\x01/private/comment") == b""
    assert happens(session, "\x01\x01/private/comment") == b'* METADATA "" /private/comment\r\n'


def test_commands_that_change_the_list_of_folders_tell_the_others(store: MemoryMailbox) -> None:
    session = BareSession(store).log_in()
    for command in (b"CREATE x", b"RENAME x y", b"SUBSCRIBE y", b"UNSUBSCRIBE y", b"DELETE y"):
        session.announced.clear()
        session.command(command)
        assert "" in session.announced


# -- limits and refusals ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"SET",
        b"SET STATUS",
        b"SOME",
        b"NONE x",
        b"SET selected NONE",
        b"SET (selected)",
        b"SET (selected ())",
        b"SET (selected (MessageNew))",
        b"SET (selected (MessageExpunge))",
        b"SET (selected (FlagChange))",
        b"SET (selected (MessageNew MessageExpunge MailboxName))",
        b"SET (selected NONE) (selected-delayed NONE)",
        b"SET (personal (MessageNew (UID) MessageExpunge))",
        b"SET (selected (MessageNew (BODY[]) MessageExpunge))",
        b"SET (selected (MessageNew (UID MessageExpunge)",
        b"SET (selected (MessageNew (NONSENSE) MessageExpunge))",
        b"SET (everything (MailboxName))",
        b"SET (mailboxes (a b (MailboxName))",
        b"SET (mailboxes " + b"(" + b" ".join([b"x"] * 10_000) + b") (MailboxName))",
        b"SET " + b" ".join([b"(personal (MailboxName))"] * 1_000),
    ],
)
def test_what_is_no_notify_is_bad(store: MemoryMailbox, wrong: bytes) -> None:
    # I22
    session = BareSession(store).select()
    assert session.command(b"NOTIFY " + wrong).startswith(b"t BAD")
    store.add("INBOX", message())
    assert session.command(b"NOOP").startswith(b"* 3 EXISTS")


@pytest.mark.parametrize(
    "event", [b"AnnotationChange", b"Weather", b"MessageNew MessageExpunge AnnotationChange"]
)
def test_an_event_we_do_not_have_is_refused_with_those_we_have(store: MemoryMailbox, event: bytes) -> None:
    session = BareSession(store).select()
    out = session.command(b"NOTIFY SET (selected (" + event + b"))")
    assert out.startswith(b"t NO [BADEVENT (MessageNew MessageExpunge FlagChange MailboxName ")


def test_too_many_changes_end_notifications_and_say_so(store: MemoryMailbox) -> None:
    session = notified(store, b"(personal (MailboxName))")
    names = [f"f{number}" for number in range(MAX_CHANGED)]
    assert happens(session, *names) == b"* OK [NOTIFICATIONOVERFLOW] Too much happens at once\r\n"
    store.create("later")
    assert happens(session, "") == b""


def test_it_ends_after_half_an_hour_of_silence(store: MemoryMailbox) -> None:
    session = notified(store, b"(selected (MessageNew MessageExpunge))")
    for _ in range(2):
        session.wake_at_deadline()
        assert session.take() == b"* OK Still here\r\n"
    session.wake_at_deadline()
    assert session.take().startswith(b"* BYE") and session.time == 2800


class _Failing(MemoryMailbox):
    """A mailbox that can be in trouble."""

    failing = False

    def folders(self) -> list[FolderEntry]:
        if self.failing:
            raise TemporaryFailure("the disk is in trouble")
        return super().folders()


def test_a_mailbox_in_trouble_is_looked_at_again() -> None:
    store = _Failing()
    session = notified(store, b"(personal (MailboxName))", select=False)
    store.create("x")
    store.failing = True
    assert happens(session, "") == b""
    store.failing = False
    session.wake_at_deadline()
    assert session.take() == b'* LIST (\\HasNoChildren) "/" "x"\r\n'


def test_strangers_cannot_ask() -> None:
    assert BareSession().command(b"NOTIFY NONE").startswith(b"t BAD")
