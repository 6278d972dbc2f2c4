"""Which folder has which role: taken by name, moved, renamed, deleted and made again."""

from __future__ import annotations

import os
from pathlib import Path

from mailstack.mailbox.options import MailboxOptions
from mailstack.mailbox.store import Account, MailStore
from mailstack.model.address import Address
from mailstack.model.mailbox import NewMessage
from mailstack.model.quota import Limits
from tests.kit.clock import Clock
from tests.kit.mailboxes import raises

USE = "/private/specialuse"


def add(account: Account, folder: str) -> None:
    account.append(folder, [NewMessage(b"Subject: x\r\n\r\nx\r\n")])


def roles(account: Account) -> dict[str, str]:
    return {entry.special_use: entry.name for entry in account.folders() if entry.special_use}


def deliver(account: Account, folder: str, name: str, *, create: bool = False) -> str:
    message = NewMessage(b"Subject: x\r\n\r\nx\r\n")
    return account.deliver(folder, message, base_name=name, create=create).folder


def test_the_folder_outlook_makes_takes_the_role_of_an_empty_one(account: Account) -> None:
    account.create("Deleted Items")
    assert roles(account)["\\Trash"] == "Deleted Items"


def test_a_folder_with_mail_keeps_its_role(account: Account) -> None:
    add(account, "Trash")
    account.create("Deleted Items")
    assert roles(account)["\\Trash"] == "Trash"


def test_spam_is_delivered_to_whichever_folder_has_the_role(account: Account) -> None:
    account.create("Junk E-mail")
    assert deliver(account, "Spam", "d1") == "Junk E-mail"
    add(account, "Spam")
    assert deliver(account, "Spam", "d2") == "Spam"  # it is a folder with mail of its own


def test_a_renamed_folder_keeps_role_subscription_and_mail(account: Account) -> None:
    account.rename("Spam", "Werbung")
    (entry,) = [entry for entry in account.folders() if entry.name == "Werbung"]
    assert (entry.special_use, entry.subscribed) == ("\\Junk", True)
    assert deliver(account, "Spam", "d1") == "Werbung"
    assert "Spam" not in [entry.name for entry in account.folders()]


def test_a_renamed_tree_takes_its_subscriptions_along(account: Account) -> None:
    for name in ("a", "a/b", "ab"):
        account.create(name)
        account.subscribe(name, subscribed=True)
    account.rename("a", "c/d")
    assert {entry.name for entry in account.folders() if entry.subscribed} >= {"c/d", "c/d/b", "ab"}


def test_a_deleted_role_is_there_again_with_the_next_folder_of_a_known_name(account: Account) -> None:
    account.delete("Spam")
    assert "\\Junk" not in roles(account)
    assert deliver(account, "Spam", "d1") == "Spam"
    assert roles(account)["\\Junk"] == "Spam"
    assert deliver(account, "Nowhere", "d2") == "INBOX"
    account.delete("Promotions")
    assert deliver(account, "Promotions", "d3") == "Promotions"
    account.delete("Trash")
    account.rename("Archive", "Papierkorb")
    assert roles(account)["\\Archive"] == "Papierkorb"  # it has a role already
    account.create("x")
    account.rename("x", "Bin")
    assert roles(account)["\\Trash"] == "Bin"


def test_a_use_can_be_asked_for_and_moved(account: Account) -> None:
    account.create("Mine", special_use="\\Sent")
    assert roles(account)["\\Sent"] == "Mine"
    add(account, "Mine")
    with raises("USEATTR"):
        account.create("Other", special_use="\\Sent")
    account.create("Other")
    assert account.annotate("Other", {USE: b"\\SENT"}).bereft == ("Mine",)
    assert account.annotations("Other")[USE] == b"\\Sent"
    assert USE not in account.annotations("Mine")
    assert account.annotate("Other", {USE: b"\\Sent"}).bereft == ()
    account.annotate("Other", {USE: None})
    assert "\\Sent" not in roles(account)
    for value in (b"\\All", b"\\Sent \\Trash", b"nonsense"):
        with raises("USEATTR"):
            account.annotate("Other", {USE: value, "/private/comment": b"x"})
    assert account.annotations("Other") == {}


def test_a_maildir_that_was_there_gets_each_role_once(root: Path, clock: Clock) -> None:
    maildir = root / "b.test" / "a" / "Maildir"
    for name in (".", ".Deleted Items", ".Trash", ".Gesendete Elemente"):
        for sub in ("tmp", "new", "cur"):
            (maildir / name / sub).mkdir(parents=True, exist_ok=True)
    store = MailStore(root, now=clock, random_bytes=os.urandom)
    account = store.account(Address.parse("a@b.test"))
    found = roles(account)
    assert (found["\\Trash"], found["\\Sent"]) == ("Trash", "Gesendete Elemente")
    store.close()


def test_the_free_plan_has_fewer_folders(root: Path, clock: Clock) -> None:
    store = MailStore(root, now=clock, random_bytes=os.urandom, options=MailboxOptions(max_folders=50))
    account = Account(store.account(Address.parse("a@b.test")).core, Limits(folders=20))
    with raises("LIMIT"):
        for n in range(20):
            account.create(f"x{n}")
    assert len(account.folders()) == 20
    store.close()
