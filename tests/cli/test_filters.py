"""mailstack filters."""

from __future__ import annotations

import os
import time

import pytest

from mailstack.mailbox.store import MailStore
from mailstack.model.address import Address
from mailstack.model.mailbox import NewMessage
from tests.kit.instance import Instance


@pytest.fixture(autouse=True)
def alice(instance: Instance) -> None:
    instance.cli("user", "add", "alice@example.test")


def test_filters_are_shown_and_changed(instance: Instance) -> None:
    assert instance.cli("filters", "alice@example.test", "--json").json == {
        "spam": True,
        "ads": True,
        "spam_folder": "Spam",
        "promotions_folder": "Promotions",
        "social_folder": "SocialNetworks",
        "ads_offered": False,
    }
    changed = instance.cli(
        "filters", "alice@example.test", "--spam", "off", "--social-folder", "Social/All", "--json"
    )
    assert (changed.json["spam"], changed.json["ads"], changed.json["social_folder"]) == (
        False,
        True,
        "Social/All",
    )
    assert instance.cli("filters", "alice@example.test", "--json").json == changed.json


@pytest.mark.parametrize("folder", ["INBOX", "Trash", "", "a//b", "Gesendete Elemente", "INBOX/Corbeille"])
def test_folders_with_another_purpose_are_refused(instance: Instance, folder: str) -> None:
    assert instance.cli("filters", "alice@example.test", "--spam-folder", folder).code == 65


@pytest.mark.parametrize("option", ["--promotions-folder", "--social-folder"])
def test_what_is_wanted_is_not_filed_where_spam_is_deleted(instance: Instance, option: str) -> None:
    for folder in ("Spam", "Junk E-mail"):
        assert instance.cli("filters", "alice@example.test", option, folder).code == 65
    assert instance.cli("filters", "alice@example.test", "--spam-folder", "Junk E-mail").code == 0


@pytest.mark.parametrize("folder", ["../x", "a/.b", "50% off", "x" * 300, "\U0001f642" * 50])
def test_folders_no_mailbox_can_have_change_nothing(instance: Instance, folder: str) -> None:
    before = instance.cli("filters", "alice@example.test", "--json").json
    for option in ("--spam-folder", "--promotions-folder", "--social-folder"):
        refused = instance.cli("filters", "alice@example.test", option, folder)
        assert refused.code == 65 and f"{folder!r} cannot be a folder" in refused.err
    assert instance.cli("filters", "alice@example.test", "--json").json == before


def test_a_mailbox_that_has_all_folders_it_may_have_is_named(instance: Instance) -> None:
    with instance.file.open("a") as file:
        file.write("[mailbox]\nmax_folders = 16\n")
    made = [instance.cli("filters", "alice@example.test", "--social-folder", f"F{n}") for n in range(16)]
    assert made[0].code == 0 and made[-1].code == 65
    assert "the folder F15 cannot be made: an account may have 16 folders" in made[-1].err


def test_unknown_address_exits_67(instance: Instance) -> None:
    assert instance.cli("filters", "nobody@example.test").code == 67
    assert instance.cli("filters", "nobody@example.test", "--spam", "on").code == 67


def test_mailboxes_from_elsewhere_keep_their_inbox_until_somebody_says_so(instance: Instance) -> None:
    # product page, section 2.8
    instance.cli("user", "add", "moved@example.test", "--migrated")
    (instance.folder / "users.csv").write_text("address\nbulk@example.test\n")
    instance.cli("user", "import", str(instance.folder / "users.csv"), "--migrated")
    for address in ("moved@example.test", "bulk@example.test"):
        found = instance.cli("filters", address, "--json").json
        assert (found["spam"], found["ads"], found["ads_offered"]) == (True, False, True)
    kept = instance.cli("filters", "moved@example.test", "--spam", "off", "--json").json
    assert (kept["ads"], kept["ads_offered"]) == (False, True)
    accepted = instance.cli("filters", "moved@example.test", "--ads", "on", "--json").json
    assert (accepted["ads"], accepted["ads_offered"]) == (True, False)
    declined = instance.cli("filters", "bulk@example.test", "--ads", "off", "--json").json
    assert (declined["ads"], declined["ads_offered"]) == (False, False)


def uses(instance: Instance) -> dict[str, str | None]:
    rows = instance.cli("mailbox", "list", "alice@example.test", "--json").json
    return {row["folder"]: row["special_use"] for row in rows}


def test_a_new_folder_for_spam_is_one_for_every_program(instance: Instance) -> None:
    # product page, section 2: what the filter put there goes after 30 days
    instance.cli("filters", "alice@example.test", "--spam-folder", "Verdacht")
    assert (uses(instance)["Verdacht"], uses(instance)["Spam"]) == ("\\Junk", None)
    instance.cli("filters", "alice@example.test", "--spam-folder", "Spam")
    assert (uses(instance)["Verdacht"], uses(instance)["Spam"]) == (None, "\\Junk")


def test_a_folder_that_holds_mail_is_not_emptied_by_surprise(instance: Instance) -> None:
    paths = instance.config.paths
    store = MailStore(paths.mail, now=time.time, random_bytes=os.urandom)
    mailbox = store.account(Address.parse("alice@example.test"))
    mailbox.create("Keep")
    mailbox.append("Keep", [NewMessage(b"Subject: x\r\n\r\nx\r\n")])
    mailbox.create("Ausgang")
    mailbox.annotate("Ausgang", {"/private/specialuse": b"\\Sent"})
    store.close()
    found = instance.cli("filters", "alice@example.test", "--spam-folder", "Keep")
    assert found.code == 0 and "holds 1 messages already" in found.err
    assert (uses(instance)["Keep"], uses(instance)["Spam"]) == (None, "\\Junk")
    for option in ("--spam-folder", "--promotions-folder", "--social-folder"):
        found = instance.cli("filters", "alice@example.test", option, "Ausgang")
        assert found.code == 65 and "another purpose" in found.err
    assert instance.cli("filters", "alice@example.test", "--promotions-folder", "Spam").code == 65


def test_folders_for_offers_and_networks_are_made(instance: Instance) -> None:
    folders = ("--promotions-folder", "Ads/Offers", "--social-folder", "Ads")
    assert instance.cli("filters", "alice@example.test", *folders).code == 0
    assert {"Ads", "Ads/Offers"} <= set(uses(instance))
