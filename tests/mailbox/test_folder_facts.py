"""What rules ask about folders, read beside a mailbox that is in use."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailstack.mailbox import folder_facts
from mailstack.mailbox.folder_facts import FolderFacts
from mailstack.mailbox.store import Account
from mailstack.model.address import Address
from mailstack.model.errors import TemporaryFailure

BOB, ALICE = Address.parse("bob@example.test"), Address.parse("alice@example.test")


def test_before_the_first_message_the_default_folders_are_there(tmp_path: Path) -> None:
    facts = FolderFacts(tmp_path, BOB)
    assert facts.exists("inbox") and facts.exists("Spam") and not facts.exists("Lists")
    assert facts.by_use("\\junk") == "Spam" and facts.by_use("\\Flagged") is None
    assert facts.special_use("Spam") == ["\\Junk"] and "\\Sent" in facts.special_use("")
    assert facts.get_metadata("Spam", "/private/color") is None and facts.by_id("Fnone") is None
    facts.close()


def test_what_the_owner_made_is_seen_at_once(root: Path, account: Account) -> None:
    facts = FolderFacts(root, ALICE)
    account.create("Lists/Sieve")
    account.annotate("Lists/Sieve", {"/private/color": b"blue"})
    assert facts.exists("Lists/Sieve") and facts.create("INBOX") and not facts.exists("Lists/Other")
    assert facts.get_metadata("Lists/Sieve", "/private/Color") == "blue"
    assert facts.get_metadata("Nowhere", "/private/color") is None
    id_ = account.status("Lists/Sieve").object_id
    assert facts.by_id(id_) == "Lists/Sieve"
    account.rename("Lists/Sieve", "Sieve")
    assert facts.by_id(id_) == "Sieve" and not facts.exists("Lists/Sieve")
    account.delete("Spam")
    assert facts.by_use("\\Junk") is None and not facts.exists("Spam")
    facts.close()


@pytest.mark.parametrize("octets", [b"", b"not a database at all, but long enough to be one" * 100])
def test_a_damaged_database_knows_nothing_and_raises_nothing(tmp_path: Path, octets: bytes) -> None:
    home = tmp_path / "example.test" / "bob"
    home.mkdir(parents=True)
    (home / "account.db").write_bytes(octets)
    facts = FolderFacts(tmp_path, BOB)
    assert not facts.exists("Lists") and facts.by_id("F1") is None
    assert facts.get_metadata("Spam", "/private/color") is None
    facts.close()


def test_a_mailbox_nobody_has_open_is_read_where_nothing_may_be_written(
    root: Path, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*arguments: object, **options: object) -> None:
        raise TemporaryFailure("unable to open database file")

    account.create("Lists")
    account.core.close()
    monkeypatch.setattr(folder_facts, "open_database", refused)
    facts = FolderFacts(root, ALICE)
    assert facts.exists("Lists") and not facts.exists("Other") and facts.by_use("\\Junk") == "Spam"
    facts.close()
