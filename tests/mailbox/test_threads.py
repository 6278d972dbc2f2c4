"""Threads of an account: who belongs to whom, for ever."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from mailstack.mailbox import MailStore
from mailstack.mailbox.store import Account
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import MailboxError, NewMessage


def mail(own: str = "", *references: str, subject: str = "x") -> NewMessage:
    head = f"Subject: {subject}\r\n"
    if own:
        head += f"Message-ID: <{own}>\r\n"
    if references:
        head += "References: " + " ".join(f"<{each}>" for each in references) + "\r\n"
    return NewMessage(head.encode() + b"\r\nhello\r\n")


def thread(account: Account, folder: str, uids: Sequence[int]) -> list[str]:
    found = account.details(account.status(folder).id, uids)
    return [found[uid].thread_id for uid in uids]


def put(account: Account, folder: str, *messages: NewMessage) -> list[str]:
    return thread(account, folder, account.append(folder, messages).uids)


def test_an_answer_joins_its_thread_in_any_folder_and_a_copy_stays_in_it(account: Account) -> None:
    # RFC 8474 section 5.2
    (first,) = put(account, "INBOX", mail("a@x"))
    assert put(account, "Sent", mail("b@x", "a@x")) == [first]
    assert put(account, "INBOX", mail("c@x", "a@x", "b@x")) == [first]
    assert put(account, "INBOX", mail("d@x")) != [first]
    inbox = account.status("INBOX").id
    moved = account.move(inbox, [1], "Archive")
    assert thread(account, "Archive", moved.target_uids) == [first]


def test_answers_that_come_before_what_they_answer_are_one_thread(account: Account) -> None:
    found = put(account, "INBOX", mail("c@x", "a@x", "b@x"), mail("b@x", "a@x"), mail("a@x"))
    assert len(set(found)) == 1


def test_a_thread_that_was_reported_never_changes(account: Account) -> None:
    # Both lack what joins them; the message that has it comes too late.
    one, two = put(account, "INBOX", mail("a@x"), mail("b@x"))
    assert one != two
    put(account, "INBOX", mail("c@x", "a@x", "b@x"))
    assert thread(account, "INBOX", [1, 2]) == [one, two]


def test_messages_without_ids_are_alone(account: Account) -> None:
    found = put(account, "INBOX", mail(), mail(), mail())
    assert len(set(found)) == 3


def test_the_same_mail_makes_the_same_thread_in_another_account(store: MailStore, account: Account) -> None:
    from mailstack.model.address import Address

    other = store.account(Address.parse("other@example.org"))
    assert put(account, "INBOX", mail("b@x", "a@x")) == put(other, "INBOX", mail("z@x", "a@x"))


def test_delivered_mail_has_its_thread_at_once(account: Account) -> None:
    (first,) = put(account, "INBOX", mail("a@x"))
    account.deliver("INBOX", mail("b@x", "a@x"), base_name="1.x.mailstack")
    rows = account.rows(account.status("INBOX").id)
    assert [row.thread_id for row in rows] == [first, first]


def test_mail_of_others_and_old_mail_finds_its_thread_when_asked_for(account: Account) -> None:
    (first,) = put(account, "INBOX", mail("a@x"))
    data = mail("b@x", "a@x").data
    assert data is not None
    (account.core.maildir / "new" / "1.foreign").write_bytes(data)
    inbox = account.status("INBOX").id
    assert account.rows(inbox)[1].thread_id == ""
    copied = account.copy(inbox, [2], "Archive")
    assert thread(account, "INBOX", [2]) == [first]
    # RFC 8474 section 5.2: the same EMAILID, the same THREADID.
    with sqlite3.connect(account.core.db.path) as connection:
        stored = connection.execute("SELECT DISTINCT thread FROM messages").fetchall()
    connection.close()
    assert len(stored) == 1
    assert thread(account, "Archive", copied.target_uids) == [first]


def test_a_message_that_cannot_be_read_has_none(account: Account) -> None:
    account.append("INBOX", [mail("a@x")])
    inbox = account.status("INBOX").id
    (account.core.maildir / "new" / "1.foreign").write_bytes(b"Subject: x\n\n")
    account.refresh(inbox)
    (account.core.maildir / "new" / "1.foreign").unlink()
    found = account.details(inbox, [1, 2, 3])
    assert found[1].thread_id and all(not found[uid].thread_id for uid in found if uid != 1)


def test_replace_stores_and_removes_in_one_breath(account: Account) -> None:
    # RFC 8508 section 3.1
    account.append("Drafts", [mail("a@x", subject="one")])
    drafts = account.status("Drafts").id
    done = account.replace(drafts, 1, "Drafts", mail("a@x", subject="two"))
    assert done.uids == (2,)
    assert [row.uid for row in account.rows(drafts)] == [2]
    assert account.expunged(drafts, since_modseq=0) == [(1, 1)]
    account.core.worker.flush()
    assert len(list((account.core.maildir / ".Drafts" / "cur").iterdir())) == 1


def test_a_replace_that_cannot_be_done_changes_nothing(account: Account) -> None:
    account.append("Drafts", [mail("a@x")])
    drafts = account.status("Drafts").id
    for uid, folder, code in ((7, "Drafts", "EXPUNGEISSUED"), (1, "nowhere", "TRYCREATE")):
        try:
            account.replace(drafts, uid, folder, mail("b@x"))
        except MailboxError as error:
            assert error.code == code
        else:
            raise AssertionError("it was replaced")
    assert [row.uid for row in account.rows(drafts)] == [1]
    assert not list((account.core.maildir / "tmp").iterdir())


def test_replacing_needs_no_room_for_what_goes(tmp_path: Path, account: Account) -> None:
    from mailstack.model.quota import Limits

    message = mail("a@x")
    assert message.data is not None
    account.append("Drafts", [message])
    account.limits = Limits(octets=len(message.data))
    account.replace(account.status("Drafts").id, 1, "Drafts", message)
    assert account.status("Drafts").messages == 1


def test_a_replace_that_fails_on_its_way_leaves_the_old_message(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The names are given when the disk fails: they are taken back, and the row was never gone.
    account.append("Drafts", [mail("a@x")])
    drafts = account.status("Drafts")

    def fail(path: str) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(account.core.group, "sync", fail)
    with pytest.raises(TemporaryFailure):
        account.replace(drafts.id, 1, "Drafts", mail("b@x"))
    monkeypatch.undo()
    after = account.status("Drafts")
    assert (after.messages, after.highest_modseq) == (1, drafts.highest_modseq)
    account.core.worker.flush()
    assert len(list((account.core.maildir / ".Drafts" / "cur").iterdir())) == 1


def test_replace_reserves_numbers_before_it_names_files(account: Account) -> None:
    account.append("Drafts", [mail("a@x")])
    drafts = account.status("Drafts").id
    with account.core.db.write("testing", durable_commit=True) as connection:
        connection.execute("UPDATE folders SET uid_reserved = uid_next, modseq_reserved = modseq")
    assert account.replace(drafts, 1, "Drafts", mail("b@x")).uids == (2,)
    assert [row.uid for row in account.rows(drafts)] == [2]
