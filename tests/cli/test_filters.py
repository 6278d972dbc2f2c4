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


@pytest.mark.parametrize("folder", ["INBOX", "Trash", "", "a//b"])
def test_folders_with_another_purpose_are_refused(instance: Instance, folder: str) -> None:
    assert instance.cli("filters", "alice@example.test", "--spam-folder", folder).code == 65


def test_unknown_address_exits_67(instance: Instance) -> None:
    assert instance.cli("filters", "nobody@example.test").code == 67
    assert instance.cli("filters", "nobody@example.test", "--spam", "on").code == 67
