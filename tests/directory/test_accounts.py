"""Accounts: made, changed, removed, brought back."""

from __future__ import annotations

import pytest

from mailstack.directory import Directory, DirectoryWriter
from mailstack.model.address import Address
from mailstack.model.directory import Account, Gone
from mailstack.model.errors import PermanentFailure
from tests.kit.clock import Clock
from tests.kit.instance import PASSWORD, Instance

ALICE = Address.parse("alice@example.test")


def test_new_account_has_what_was_asked_for(writer: DirectoryWriter, reader: Directory) -> None:
    made = writer.accounts.add(
        "Alice@Example.test", password=PASSWORD, plan="free", name=" Alice  A. ", quota_octets=10
    )
    found = reader.find(ALICE)
    assert found == made
    assert isinstance(found, Account)
    assert (found.plan, found.name, found.quota_octets, found.enabled) == ("free", "Alice  A.", 10, True)
    assert str(found.address) == "Alice@example.test"
    assert found.created_at > 1e9


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("alice@example.test", "exists already"),
        ("ALICE@example.test", "exists already"),
        ("sales@example.test", "exists already, as an alias of alice@example.test"),
        ("x@elsewhere.test", "'mailstack domain add elsewhere.test'"),
    ],
)
def test_taken_names_and_foreign_domains_are_refused(
    writer: DirectoryWriter, address: str, words: str
) -> None:
    writer.accounts.add("alice@example.test")
    writer.aliases.add("sales@example.test", ["alice@example.test"])
    with pytest.raises(PermanentFailure) as caught:
        writer.accounts.add(address)
    assert words in caught.value.why


def test_removed_name_goes_to_nobody_else(writer: DirectoryWriter, reader: Directory) -> None:
    writer.accounts.add("alice@example.test", password=PASSWORD)
    writer.accounts.remove("alice@example.test")
    assert reader.find(ALICE) == Gone(ALICE)
    assert reader.account_by_id(1) is None
    assert reader.authenticate("alice@example.test", PASSWORD) is None
    assert reader.addresses_of(1) == []
    for attempt in (
        lambda: writer.accounts.add("alice@example.test"),
        lambda: writer.accounts.add("ALICE@example.test"),
        lambda: writer.aliases.add("alice@example.test", ["bob@outside.test"]),
    ):
        with pytest.raises(PermanentFailure, match="not given to anybody else"):
            attempt()
    assert [str(gone.address) for gone in reader.removed()] == ["alice@example.test"]


def test_restored_account_is_as_it_was(writer: DirectoryWriter, reader: Directory) -> None:
    made = writer.accounts.add("alice@example.test", password=PASSWORD, quota_octets=5)
    writer.settings.set_redirection("alice@example.test", ["friend@outside.test"], keep=True)
    before = reader.find(ALICE)
    writer.accounts.remove("alice@example.test")
    assert writer.accounts.restore("alice@example.test").id == made.id
    assert reader.find(ALICE) == before
    assert reader.authenticate("alice@example.test", PASSWORD) == before


def test_restore_has_an_end(instance: Instance) -> None:
    clock = Clock()
    with instance.writer(now=clock) as writer:
        writer.accounts.add("alice@example.test")
        writer.accounts.remove("alice@example.test")
        clock.advance(30 * 86_400)
        writer.accounts.restore("alice@example.test")
        writer.accounts.remove("alice@example.test")
        clock.advance(30 * 86_400 + 1)
        with pytest.raises(PermanentFailure, match="more than 30 days ago"):
            writer.accounts.restore("alice@example.test")


def test_restore_of_what_is_not_removed_is_refused(writer: DirectoryWriter) -> None:
    writer.accounts.add("alice@example.test")
    with pytest.raises(PermanentFailure, match="is not removed"):
        writer.accounts.restore("alice@example.test")
    with pytest.raises(PermanentFailure, match="never was") as caught:
        writer.accounts.restore("bob@example.test")
    assert caught.value.status == "1.1"


def test_ids_are_never_reused(writer: DirectoryWriter) -> None:
    ids = []
    for n in range(3):
        ids.append(writer.accounts.add(f"user{n}@example.test").id)
        writer.accounts.remove(f"user{n}@example.test")
    assert ids == [1, 2, 3]


def test_settings_change_one_by_one(writer: DirectoryWriter, reader: Directory) -> None:
    writer.accounts.add("alice@example.test", quota_octets=10, name="Alice")
    writer.accounts.set("alice@example.test", plan="free")
    writer.accounts.set("alice@example.test", enabled=False)
    writer.accounts.set("alice@example.test", kind="noreply")
    found = reader.find(ALICE)
    assert isinstance(found, Account)
    assert (found.plan, found.enabled, found.kind, found.quota_octets, found.name) == (
        "free", False, "noreply", 10, "Alice",
    )  # fmt: skip
    writer.accounts.set("alice@example.test", quota_octets=None, enabled=True, name="")
    found = reader.find(ALICE)
    assert isinstance(found, Account)
    assert (found.quota_octets, found.enabled, found.name) == (None, True, "")


def test_words_that_are_no_kind_or_plan_are_refused(writer: DirectoryWriter) -> None:
    with pytest.raises(PermanentFailure, match="spamtrap"):
        writer.accounts.add("alice@example.test", kind="robot")
    with pytest.raises(PermanentFailure, match="normal, free"):
        writer.accounts.add("alice@example.test", plan="gold")


def test_one_catch_all_per_domain(writer: DirectoryWriter, reader: Directory) -> None:
    assert reader.catch_all("example.test") is None
    made = writer.accounts.add("rest@example.test", kind="catchall")
    writer.accounts.add("other@example.test")
    assert reader.catch_all("example.test") == made
    with pytest.raises(PermanentFailure, match=r"rest@example\.test"):
        writer.accounts.add("rest2@example.test", kind="catchall")
    with pytest.raises(PermanentFailure, match=r"rest@example\.test"):
        writer.accounts.set("other@example.test", kind="catchall")
    writer.accounts.remove("rest@example.test")
    assert reader.catch_all("example.test") is None
    writer.accounts.set("other@example.test", kind="catchall")
    with pytest.raises(PermanentFailure, match=r"other@example\.test"):
        writer.accounts.restore("rest@example.test")


def test_failing_change_leaves_nothing_behind(writer: DirectoryWriter, reader: Directory) -> None:
    with pytest.raises(PermanentFailure), writer.transaction():
        writer.accounts.add("alice@example.test")
        writer.accounts.add("alice@example.test")
    assert reader.find(ALICE) is None


def test_grants_are_given_and_taken_back(writer: DirectoryWriter, reader: Directory) -> None:
    account = writer.accounts.add("alice@example.test")
    writer.accounts.grant("alice@example.test", "News@Partner.example")
    writer.accounts.grant("alice@example.test", "@brand.example")
    assert reader.identities(account.id) == {"news@partner.example", "brand.example"}
    writer.accounts.revoke("alice@example.test", "brand.example")
    with pytest.raises(PermanentFailure, match="was not allowed"):
        writer.accounts.revoke("alice@example.test", "brand.example")
    assert reader.identities(account.id) == {"news@partner.example"}


def test_hostile_texts_are_data_not_sql(writer: DirectoryWriter, reader: Directory) -> None:
    # T91, A6
    writer.accounts.add("o'brien@example.test", name="'); DROP TABLE account; --")
    found = reader.find(Address.parse("o'brien@example.test"))
    assert isinstance(found, Account)
    assert found.name == "'); DROP TABLE account; --"
