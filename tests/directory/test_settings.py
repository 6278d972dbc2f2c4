"""Redirections, filters, sender lists."""

from __future__ import annotations

import pytest

from mailstack.directory import Directory, DirectoryWriter, settings
from mailstack.directory.values import SenderLists
from mailstack.model.address import Address
from mailstack.model.directory import Account, FilterSettings, Redirection
from mailstack.model.errors import PermanentFailure


@pytest.fixture(autouse=True)
def alice(writer: DirectoryWriter) -> Account:
    return writer.accounts.add("alice@example.test")


def account(reader: Directory) -> Account:
    found = reader.find(Address.parse("alice@example.test"))
    assert isinstance(found, Account)
    return found


def test_redirection_is_set_replaced_and_cleared(writer: DirectoryWriter, reader: Directory) -> None:
    assert account(reader).redirection is None
    writer.settings.set_redirection("alice@example.test", ["b@outside.test", "a@outside.test"], keep=True)
    assert account(reader).redirection == Redirection(("b@outside.test", "a@outside.test"), True)
    writer.settings.set_redirection("alice@example.test", ["c@outside.test"])
    assert account(reader).redirection == Redirection(("c@outside.test",), False)
    assert writer.settings.clear_redirection("alice@example.test")
    assert not writer.settings.clear_redirection("alice@example.test")
    assert account(reader).redirection is None


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        ([], "1 to 50"),
        ([f"x{n}@outside.test" for n in range(51)], "1 to 50"),
        (["ALICE@example.test"], "to itself"),
        (["alice+copy@example.test"], "to itself"),
        (["nobody@example.test"], "does not exist"),
        (["no address"], "cannot be an address"),
        (["x@[192.0.2.1]"], "address literal"),
    ],
)
def test_impossible_redirections_are_refused(writer: DirectoryWriter, targets: list[str], words: str) -> None:
    with pytest.raises(PermanentFailure) as caught:
        writer.settings.set_redirection("alice@example.test", targets)
    assert words in caught.value.why


@pytest.mark.parametrize("kind", ["device", "noreply", "spamtrap"])
def test_addresses_that_take_no_mail_do_not_forward(writer: DirectoryWriter, kind: str) -> None:
    writer.accounts.add("x@example.test", kind=kind)
    with pytest.raises(PermanentFailure, match="cannot forward"):
        writer.settings.set_redirection("x@example.test", ["y@outside.test"])


def test_filters_change_one_by_one(writer: DirectoryWriter, reader: Directory) -> None:
    assert account(reader).filters == FilterSettings()
    writer.settings.set_filters("alice@example.test", spam=False)
    writer.settings.set_filters("alice@example.test", promotions_folder="Ads/Offers")
    assert account(reader).filters == FilterSettings(spam=False, promotions_folder="Ads/Offers")
    with pytest.raises(PermanentFailure, match="another purpose"):
        writer.settings.set_filters("alice@example.test", social_folder="inbox")


def test_sender_lists_hold_addresses_and_domains(
    writer: DirectoryWriter, reader: Directory, alice: Account
) -> None:
    writer.settings.list_sender("alice@example.test", "Bad@Shop.example", kind="block")
    writer.settings.list_sender("alice@example.test", "@spam.example", kind="block")
    writer.settings.list_sender("alice@example.test", "good.example", kind="allow")
    assert reader.sender_lists(alice.id) == SenderLists(
        frozenset({"bad@shop.example", "spam.example"}), frozenset({"good.example"})
    )


def test_a_sender_is_in_one_list_only(writer: DirectoryWriter, reader: Directory, alice: Account) -> None:
    writer.settings.list_sender("alice@example.test", "x.example", kind="block")
    writer.settings.list_sender("alice@example.test", "x.example", kind="allow")
    assert reader.sender_lists(alice.id) == SenderLists(frozenset(), frozenset({"x.example"}))
    writer.settings.unlist_sender("alice@example.test", "X.example")
    assert reader.sender_lists(alice.id) == SenderLists()
    with pytest.raises(PermanentFailure, match="in no list"):
        writer.settings.unlist_sender("alice@example.test", "x.example")


def test_sender_lists_are_bounded(writer: DirectoryWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "MAX_LISTED_SENDERS", 3)
    for n in range(3):
        writer.settings.list_sender("alice@example.test", f"s{n}.example", kind="block")
    writer.settings.list_sender("alice@example.test", "s1.example", kind="allow")  # moves, adds none
    with pytest.raises(PermanentFailure, match="3 senders already"):
        writer.settings.list_sender("alice@example.test", "s4.example", kind="block")


def test_settings_of_what_is_no_account_are_refused_with_a_reason(writer: DirectoryWriter) -> None:
    writer.aliases.add("sales@example.test", ["alice@example.test"])
    for name, words in (
        ("nobody@example.test", "there is no address"),
        ("sales@example.test", "is an alias of"),
    ):
        with pytest.raises(PermanentFailure, match=words) as caught:
            writer.settings.set_filters(name, spam=False)
        assert caught.value.status == "1.1"
