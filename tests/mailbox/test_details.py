"""Annotations and access lists of folders."""

from __future__ import annotations

from mailstack.mailbox import rights
from mailstack.mailbox.store import Account
from mailstack.model.mailbox import NewMessage
from tests.kit.mailboxes import raises

BOB = "bob@example.test"


def test_annotations_follow_their_folder_and_die_with_it(account: Account) -> None:
    account.create("a")
    account.annotate("a", {"/shared/comment": b"ours", "/private/comment": b"\0mine\xff"})
    account.rename("a", "b")
    assert account.annotations("b") == {"/shared/comment": b"ours", "/private/comment": b"\0mine\xff"}
    account.delete("b")
    account.create("b")
    assert account.annotations("b") == {}


def test_a_renamed_inbox_leaves_its_annotations_and_gives_a_copy(account: Account) -> None:
    # RFC 5464 section 4.1
    account.append("INBOX", [NewMessage(b"Subject: x\r\n\r\nx\r\n")])
    account.annotate("INBOX", {"/shared/comment": b"in"})
    account.rename("INBOX", "old")
    assert account.annotations("INBOX") == account.annotations("old") == {"/shared/comment": b"in"}
    assert (account.status("INBOX").messages, account.status("old").messages) == (0, 1)


def test_private_annotations_are_each_persons_own(account: Account) -> None:
    account.annotate("INBOX", {"/shared/comment": b"ours", "/private/comment": b"alice"})
    account.annotate_for("INBOX", {"/private/comment": b"bob"}, BOB)
    assert account.annotations("INBOX")["/private/comment"] == b"alice"
    assert account.annotations_for("INBOX", BOB) == {
        "/shared/comment": b"ours",
        "/private/comment": b"bob",
    }
    assert account.annotations_for("INBOX", "carol@example.test") == {"/shared/comment": b"ours"}
    account.annotate_for("INBOX", {"/private/comment": None}, BOB)
    assert account.annotations("INBOX")["/private/comment"] == b"alice"
    with raises("USEATTR"):
        account.annotate_for("INBOX", {"/private/specialuse": b"\\Junk"}, BOB)


def test_annotations_have_limits_and_are_set_all_or_none(account: Account) -> None:
    with raises("METADATA MAXSIZE 16384"):
        account.annotate("INBOX", {"/shared/a": b"x", "/shared/b": b"x" * 16_385})
    account.annotate("INBOX", {f"/shared/x{n}": b"x" for n in range(100)})
    with raises("METADATA TOOMANY"):
        account.annotate("INBOX", {"/shared/x1": b"changed", "/shared/more": b"x"})
    assert account.annotations("INBOX")["/shared/x1"] == b"x"
    account.annotate("", {"/private/comment": b"of the account"})
    assert account.annotations("") == {"/private/comment": b"of the account"}


def test_an_access_list_is_inherited_and_dies_with_its_folder(account: Account) -> None:
    account.create("a")
    account.grant("a", BOB, "rl")
    account.grant("a", "-" + BOB, "w")
    account.create("a/x/b")
    assert account.access("a/x/b") == {
        "alice@example.test": "lrswipkxtea",
        "-" + BOB: "w",
        BOB: "lr",
    }
    account.grant("a", BOB, "")
    account.grant("a", "-" + BOB, "")
    assert account.access_of_all() == {"a/x/b": {"-" + BOB: "w", BOB: "lr"}}
    account.delete("a/x/b")
    assert account.access_of_all() == {}
    with raises("CANNOT"):
        account.grant("a", "alice@example.test", "l")
    with raises("NONEXISTENT"):
        account.grant("a/x/b", BOB, "l")


def test_rights_are_what_is_given_less_what_is_taken() -> None:
    entries = {BOB: "lrs", "anyone": "rwi", "-anyone": "w", "-" + BOB: "s"}
    assert rights.effective(entries, BOB, anyone=True) == "lri"
    assert rights.effective(entries, BOB, anyone=False) == "lr"
    assert rights.effective(entries, "carol@example.test", anyone=True) == "ri"
    assert rights.effective(entries, "carol@example.test", anyone=False) == ""
