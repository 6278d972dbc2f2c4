"""Aliases, groups, temporary aliases."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mailstack.directory import Directory, DirectoryWriter
from mailstack.model.address import Address
from mailstack.model.directory import Account, Alias, Gone
from mailstack.model.errors import PermanentFailure
from tests.kit.clock import Clock
from tests.kit.instance import Instance


@pytest.fixture(autouse=True)
def users(writer: DirectoryWriter) -> None:
    writer.accounts.add("alice@example.test")
    writer.accounts.add("bob@example.test")


def test_alias_has_its_targets_in_order_without_doubles(writer: DirectoryWriter, reader: Directory) -> None:
    writer.aliases.add(
        "all@example.test", ["bob@example.test", "x@outside.test", "alice@example.test", "BOB@example.test"]
    )
    found = reader.find(Address.parse("ALL@example.test"))
    assert isinstance(found, Alias)
    assert found.targets == ("bob@example.test", "x@outside.test", "alice@example.test")


def test_everybody_writes_to_an_alias_and_the_domain_to_a_group(writer: DirectoryWriter) -> None:
    assert writer.aliases.add("one@example.test", ["alice@example.test"]).posters == "all"
    assert (
        writer.aliases.add("two@example.test", ["alice@example.test", "bob@example.test"]).posters == "domain"
    )
    listed = writer.aliases.add("three@example.test", ["alice@example.test"], listed=["Boss@outside.test"])
    assert (listed.posters, listed.listed) == ("listed", ("boss@outside.test",))


@pytest.mark.parametrize(
    ("alias", "targets", "words"),
    [
        ("alice@example.test", ["bob@example.test"], "exists already"),
        ("x@elsewhere.test", ["bob@example.test"], "not a domain of this server"),
        ("x@example.test", [], "at least one target"),
        ("x@example.test", ["nobody@example.test"], "does not exist on this server"),
        ("x@example.test", ["not an address"], "cannot be an address"),
        ("x@example.test", ["x@example.test", "bob@example.test"], "back to itself"),
        ("x@example.test", [f"u{n}@outside.test" for n in range(501)], "at most 500"),
        ("x|y@example.test", ["bob@example.test"], "vertical bar"),
    ],
)
def test_what_cannot_be_an_alias_is_refused(
    writer: DirectoryWriter, alias: str, targets: list[str], words: str
) -> None:
    with pytest.raises(PermanentFailure) as caught:
        writer.aliases.add(alias, targets)
    assert words in caught.value.why


def test_group_of_500_is_the_limit(writer: DirectoryWriter) -> None:
    assert (
        len(writer.aliases.add("big@example.test", [f"u{n}@outside.test" for n in range(500)]).targets) == 500
    )


def test_circles_are_refused(writer: DirectoryWriter) -> None:
    writer.aliases.add("a@example.test", ["alice@example.test"])
    writer.aliases.add("b@example.test", ["a@example.test"])
    writer.aliases.remove("a@example.test")
    with pytest.raises(PermanentFailure, match="back to itself"):
        writer.aliases.add("a@example.test", ["b@example.test"])


def test_circles_through_a_mirrored_domain_are_refused(writer: DirectoryWriter) -> None:
    writer.domains.add_alias("example.net", "example.test")
    with pytest.raises(PermanentFailure, match="back to itself"):
        writer.aliases.add("a@example.test", ["a@example.net"])


def test_chains_of_aliases_have_an_end(writer: DirectoryWriter) -> None:
    target = "alice@example.test"
    for n in range(10):
        target = str(writer.aliases.add(f"chain{n}@example.test", [target]).address)
    with pytest.raises(PermanentFailure, match="more than 10"):
        writer.aliases.add("one-more@example.test", [target])


def test_plus_forms_and_postmaster_are_good_targets(writer: DirectoryWriter) -> None:
    assert writer.aliases.add("x@example.test", ["alice+list@example.test", "postmaster@example.test"])


def test_removed_alias_is_remembered_but_may_be_made_again(
    writer: DirectoryWriter, reader: Directory
) -> None:
    name = Address.parse("sales@example.test")
    writer.aliases.add("sales@example.test", ["alice@example.test"])
    writer.aliases.remove("sales@example.test")
    assert reader.find(name) == Gone(name)
    writer.aliases.add("sales@example.test", ["bob@example.test"])
    found = reader.find(name)
    assert isinstance(found, Alias)
    assert found.targets == ("bob@example.test",)
    writer.aliases.remove("sales@example.test")
    assert writer.accounts.add("sales@example.test").id


def test_temporary_alias_comes_back_to_its_owner_only(writer: DirectoryWriter) -> None:
    name = "shop-x7@example.test"
    writer.aliases.add(name, ["alice@example.test"], expires_at=4e9)
    writer.aliases.remove(name)
    attempts: list[Callable[[], object]] = [
        lambda: writer.aliases.add(name, ["bob@example.test"]),
        lambda: writer.accounts.add(name),
    ]
    for attempt in attempts:
        with pytest.raises(PermanentFailure, match="not given to anybody else"):
            attempt()
    assert writer.aliases.add(name, ["alice@example.test"])


def test_removing_what_is_no_alias_is_refused(writer: DirectoryWriter) -> None:
    for name in ("alice@example.test", "nobody@example.test"):
        with pytest.raises(PermanentFailure, match="no alias") as caught:
            writer.aliases.remove(name)
        assert caught.value.status == "1.1"


def test_expired_alias_is_found_but_is_nobodys_address(instance: Instance, writer: DirectoryWriter) -> None:
    clock = Clock()
    reader = instance.reader(now=clock)
    alice = reader.find(Address.parse("alice@example.test"))
    writer.aliases.add("shop@example.test", ["alice@example.test"], expires_at=clock() + 1e9)
    shop = Address.parse("shop@example.test")
    assert reader.may_send_as(alice, shop)
    assert reader.addresses_of(alice.id) == ["alice@example.test", "shop@example.test"]
    clock.advance(1e9)
    assert not reader.may_send_as(alice, shop)
    assert reader.addresses_of(alice.id) == ["alice@example.test"]
    assert isinstance(reader.find(shop), Alias)
    reader.close()


def test_alias_that_would_have_expired_is_refused(writer: DirectoryWriter) -> None:
    with pytest.raises(PermanentFailure, match="expired already"):
        writer.aliases.add("x@example.test", ["alice@example.test"], expires_at=1.0)


def test_who_posts_for_lists_may_use_their_addresses(writer: DirectoryWriter, reader: Directory) -> None:
    for name in ("dev", "dev-bounces"):
        writer.aliases.add(f"{name}@example.test", [f"{name}@example.test"])
    writer.aliases.add("sales@example.test", ["bob@example.test"])
    bounces = Address.parse("dev-bounces+somebody=far.test@example.test")

    def alice() -> Account:
        found = reader.find(Address.parse("alice@example.test"))
        assert isinstance(found, Account)
        return found

    assert not reader.may_send_as(alice(), bounces)
    writer.sending.grant_list("alice@example.test", is_list=True)
    assert reader.may_send_as(alice(), bounces)
    assert reader.may_send_as(alice(), Address.parse("dev@example.test"))
    assert not reader.may_send_as(alice(), Address.parse("sales@example.test"))
    assert not reader.may_send_as(alice(), Address.parse("bob@example.test"))
