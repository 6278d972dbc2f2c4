"""mailstack filters."""

from __future__ import annotations

import pytest

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
