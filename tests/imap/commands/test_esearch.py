"""ESEARCH as a command."""

from __future__ import annotations

import pytest

from mailstack.imap.options import ImapOptions
from tests.kit.bare_session import BareSession, message
from tests.kit.memory_mailbox import MemoryMailbox


@pytest.fixture
def store() -> MemoryMailbox:
    made = MemoryMailbox()
    for name in ("INBOX", "INBOX", "Archive"):
        made.add(name, message(subject=f"in {name}"))
    made.add("Trash", message(subject="other"))
    return made


def line(store: MemoryMailbox, name: str, rest: bytes) -> bytes:
    validity = store.status(name).uid_validity
    return b'* ESEARCH (TAG "t" MAILBOX "%b" UIDVALIDITY %d) UID %b\r\n' % (name.encode(), validity, rest)


def test_every_folder_with_a_result_is_told_of_once(store: MemoryMailbox) -> None:
    session = BareSession(store).log_in()
    answer = session.command(b'ESEARCH IN (personal mailboxes (INBOX Trash)) SUBJECT "in "')
    assert answer == (
        line(store, "Archive", b"ALL 1") + line(store, "INBOX", b"ALL 1:2") + b"t OK Search completed\r\n"
    )


def test_folders_may_go_while_they_are_searched(store: MemoryMailbox) -> None:
    session = BareSession(store).log_in()
    folders = store.folders()
    store.delete("Trash")
    store.folders = lambda: folders  # type: ignore[method-assign]
    assert b"t OK" in session.command(b"ESEARCH IN (personal) ALL")


def test_the_time_is_for_all_folders_together(store: MemoryMailbox) -> None:
    session = BareSession(store, options=ImapOptions(search_time_s=10)).log_in()
    ticks = iter(range(1_000))
    session.session.clock = lambda: 1000.0 + 3 * next(ticks)
    assert b"t NO [LIMIT] The search took more than 10 s" in session.command(b"ESEARCH IN (personal) ALL")


def test_updates_are_about_the_selected_folder(store: MemoryMailbox) -> None:
    session = BareSession(store).select()
    answer = session.ask(b"u ESEARCH IN (mailboxes Archive) RETURN (UPDATE) ALL\r\n")
    assert answer == b"u OK Search completed\r\n"
    store.add("INBOX", message())
    assert b'* ESEARCH (TAG "u") UID ADDTO (0 3)\r\n' in session.command(b"NOOP")


def test_modseq_of_what_was_found(store: MemoryMailbox) -> None:
    session = BareSession(store).log_in()
    assert line(store, "Trash", b"MAX 1 MODSEQ 2") in session.command(
        b"ESEARCH IN (mailboxes Trash) RETURN (MAX) MODSEQ 1"
    )


def test_what_was_saved_is_in_the_selected_folder_only(store: MemoryMailbox) -> None:
    session = BareSession(store).select()
    assert session.command(b"ESEARCH RETURN (SAVE) 1") == b"t OK Search completed\r\n"
    answer = session.command(b"ESEARCH IN (personal) OR $ UID $")
    assert answer == line(store, "INBOX", b"ALL 1") + b"t OK Search completed\r\n"


def test_numbers_beyond_the_last_message_do_not_matter(store: MemoryMailbox) -> None:
    session = BareSession(store).log_in()
    answer = session.command(b"ESEARCH IN (personal) 2:9")
    assert answer == line(store, "INBOX", b"ALL 2") + b"t OK Search completed\r\n"
    assert b"UID ALL 1" in session.command(b"ESEARCH IN (mailboxes Archive) 7:*")


def test_numbers_are_refused_to_those_who_use_uids_only(store: MemoryMailbox) -> None:
    session = BareSession(store).select()
    session.session.enabled.add("UIDONLY")
    assert b"t BAD [UIDREQUIRED]" in session.command(b"ESEARCH 1")
    assert b"t BAD [UIDREQUIRED]" in session.command(b"SEARCH ALL")
    assert b"UID ALL 1" in session.command(b"ESEARCH UID 1")
