"""Prepared answers of a domain."""

from __future__ import annotations

import pytest

from mailstack.directory import Directory, DirectoryWriter, autoresponder
from mailstack.directory import autoresponse_templates as table
from mailstack.directory.autoresponder import MAX_RESPONSES, Wishes
from mailstack.directory.names import any_address
from mailstack.model.directory import Account
from mailstack.model.errors import PermanentFailure

DOMAIN = "example.test"


@pytest.fixture(autouse=True)
def people(writer: DirectoryWriter) -> None:
    writer.accounts.add("alice@example.test", name="Alice Example")
    writer.accounts.add("bob@example.test")
    writer.accounts.add("printer@example.test", kind="device")
    writer.autoresponse_templates.set(
        DOMAIN, "closed", Wishes(text="We are closed. {name} <{address}> {other}", subject="From {name}")
    )


def _active(reader: Directory, address: str) -> str | None:
    account = reader.find(any_address(address))
    assert isinstance(account, Account)
    found = autoresponder.active(reader, account)
    return None if found is None else found.text


def test_it_is_given_to_every_address_that_takes_mail(writer: DirectoryWriter, reader: Directory) -> None:
    done = writer.autoresponse_templates.apply(DOMAIN, "closed", activate=True)
    assert [(one.address, one.result, one.is_active) for one in done] == [
        ("alice@example.test", "added", True),
        ("bob@example.test", "added", True),
    ]
    assert (
        _active(reader, "alice@example.test") == "We are closed. Alice Example <alice@example.test> {other}"
    )
    # Who has no name is called by the address.
    assert _active(reader, "bob@example.test") == "We are closed. bob@example.test <bob@example.test> {other}"


def test_what_was_made_personal_is_kept(writer: DirectoryWriter, reader: Directory) -> None:
    templates = writer.autoresponse_templates
    templates.apply(DOMAIN, "closed")
    writer.autoresponders.set("alice@example.test", "closed", Wishes(text="Mine."), owns=reader.may_send_as)
    done = templates.apply(DOMAIN, "closed", ["alice@example.test", "bob@example.test"], activate=True)
    assert [one.result for one in done] == ["kept", "kept"]
    assert _active(reader, "alice@example.test") == "Mine."
    [replaced] = templates.apply(DOMAIN, "closed", ["alice@example.test"], overwrite=True)
    assert (replaced.result, replaced.is_active) == ("replaced", True)
    assert (_active(reader, "alice@example.test") or "").startswith("We are closed.")


def test_it_may_be_hidden_and_shown_again(writer: DirectoryWriter, reader: Directory) -> None:
    templates = writer.autoresponse_templates
    assert not table.templates(reader, DOMAIN)[0].is_hidden
    templates.set(DOMAIN, "closed", Wishes(), hidden=True)
    assert templates.set(DOMAIN, "closed", Wishes(subject="x")).is_hidden
    templates.set(DOMAIN, "closed", Wishes(), hidden=False)
    assert not table.templates(reader, DOMAIN)[0].is_hidden


def test_one_wrong_address_and_nobody_gets_it(writer: DirectoryWriter, reader: Directory) -> None:
    writer.domains.add("other.test")
    writer.accounts.add("eve@other.test")
    for wrong in ("eve@other.test", "printer@example.test", "nobody@example.test"):
        with pytest.raises(PermanentFailure):
            writer.autoresponse_templates.apply(
                DOMAIN, "closed", ["alice@example.test", wrong], activate=True
            )
    assert _active(reader, "alice@example.test") is None


def test_who_has_too_many_is_named_and_the_others_get_it(writer: DirectoryWriter, reader: Directory) -> None:
    for number in range(MAX_RESPONSES):
        writer.autoresponders.set(
            "alice@example.test", f"n{number}", Wishes(text="x"), owns=reader.may_send_as
        )
    done = writer.autoresponse_templates.apply(DOMAIN, "closed", activate=True)
    assert [(one.result, one.is_active) for one in done] == [("full", False), ("added", True)]


def test_what_is_filled_in_may_not_make_it_too_long(writer: DirectoryWriter) -> None:
    writer.accounts.set("alice@example.test", name="x" * 200)
    writer.autoresponse_templates.set(DOMAIN, "long", Wishes(text="{name}" * 1_000))
    with pytest.raises(PermanentFailure, match="at most"):
        writer.autoresponse_templates.apply(DOMAIN, "long")


def test_a_template_is_removed_and_what_was_made_of_it_stays(
    writer: DirectoryWriter, reader: Directory
) -> None:
    writer.autoresponse_templates.apply(DOMAIN, "closed", activate=True)
    writer.autoresponse_templates.remove(DOMAIN, "closed")
    assert table.templates(reader, DOMAIN) == ()
    assert _active(reader, "bob@example.test") is not None
    with pytest.raises(PermanentFailure, match="no template 'closed'"):
        writer.autoresponse_templates.apply(DOMAIN, "closed")
