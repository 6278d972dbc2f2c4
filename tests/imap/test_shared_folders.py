"""A session in somebody else's folder, while what it may do changes."""

from __future__ import annotations

from tests.kit.bare_session import BareSession
from tests.kit.memory_mailbox import MemoryMailbox
from tests.kit.street import ALICE, BOB, Street

INBOX = f'"Shared/{BOB}/INBOX"'.encode()


def opened(rights: str) -> tuple[Street, BareSession]:
    street = Street({key: MemoryMailbox.of(key) for key in (ALICE, BOB)})
    bob = street.accounts[BOB]
    assert isinstance(bob, MemoryMailbox)
    bob.add("INBOX", b"Subject: one\r\n\r\nx\r\n")
    street.of(BOB).grant("INBOX", ALICE, rights)
    session = BareSession(street.of(ALICE)).log_in()
    assert b"t OK" in session.command(b"SELECT " + INBOX)
    return street, session


def test_without_the_right_to_mark_a_message_it_is_read_all_the_same() -> None:
    street, session = opened("lrs")
    street.of(BOB).grant("INBOX", ALICE, "lr")
    answer = session.command(b"FETCH 1 BODY[TEXT]")
    assert b"x\r\n" in answer and b"t OK" in answer
    assert b"Seen" not in answer


def test_without_the_right_to_expunge_close_only_closes() -> None:
    street, session = opened("lrst")
    assert b"t OK" in session.command(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
    assert session.command(b"EXPUNGE").startswith(b"t NO [NOPERM]")
    assert session.command(b"CLOSE").startswith(b"t OK")
    assert street.of(BOB).status("INBOX").messages == 1


def test_a_folder_that_is_not_shared_any_more_ends_the_session() -> None:
    street, session = opened("lr")
    street.of(BOB).grant("INBOX", ALICE, "")
    assert b"* BYE" in session.command(b"NOOP")
    assert session.is_closed()


def test_changes_are_announced_by_the_name_the_client_knows() -> None:
    _, session = opened("lrs")
    session.command(b"STORE 1 +FLAGS (\\Seen)")
    assert session.announced[-1] == f"Shared/{BOB}/INBOX"


def test_a_search_over_many_folders_finds_shared_ones() -> None:
    _, session = opened("lr")
    answer = session.command(b'ESEARCH IN (subtree "Shared") RETURN (ALL) SUBJECT one')
    assert b'MAILBOX "Shared/bob@example.test/INBOX"' in answer, answer
