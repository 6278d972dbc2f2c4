"""mailstack srs, with and without an instance."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.instance import Instance, command


@pytest.fixture
def nothing(tmp_path: Path) -> str:
    """A configuration whose instance was never made."""
    file = tmp_path / "empty.toml"
    file.write_text(f'[server]\nstate_dir = "{tmp_path}/none"\nhostname = "mail.example.test"\n')
    return str(file)


def test_an_instance_signs_into_its_domain_and_finds_the_way_back(instance: Instance) -> None:
    made = instance.cli("srs", "forward", "alice@example.org", "--json").json
    assert made["sender"] == "alice@example.org"
    assert made["address"].startswith("SRS0=")
    assert made["address"].endswith("=example.org=alice@example.test")
    back = instance.cli("srs", "reverse", made["address"], "--json")
    assert back.json == {"address": made["address"], "sender": "alice@example.org"}
    plain = instance.cli("srs", "reverse", made["address"].lower())
    assert (plain.code, plain.out) == (0, "alice@example.org\n")


def test_a_foreign_srs_address_becomes_srs1(instance: Instance) -> None:
    made = instance.cli("srs", "forward", "SRS0=HHHH=TT=a.test=x@first.test").out.strip()
    assert made.startswith("SRS1=")
    assert instance.cli("srs", "reverse", made).out == "SRS0=HHHH=TT=a.test=x@first.test\n"


def test_an_instance_keeps_senders_that_are_too_long(instance: Instance) -> None:
    sender = "x" * 60 + "@a-long-name.mailing.example.org"
    made = instance.cli("srs", "forward", sender).out.strip()
    assert len(made.partition("@")[0]) <= 64
    assert instance.cli("srs", "reverse", made).out == f"{sender}\n"


@pytest.mark.parametrize(
    "address",
    ["SRS0=aaaaaaaa=bb=example.org=x@example.test", "alice@example.test", "SRS1=a=b==c@example.test", "no"],
)
def test_a_bad_address_exits_65_and_says_why(instance: Instance, address: str) -> None:
    result = instance.cli("srs", "reverse", address)
    assert (result.code, result.out) == (65, "")
    assert address in result.err


def test_without_an_instance_both_ways_work_and_warn(nothing: str) -> None:
    made = command("srs", "forward", "alice@example.org", "--config", nothing)
    assert made.out.endswith("@mail.example.test\n")
    assert "for trying" in made.err
    back = command("srs", "reverse", made.out.strip(), "--config", nothing, "--json")
    assert back.json["sender"] == "alice@example.org"


def test_secrets_can_be_given_newest_first(nothing: str) -> None:
    old = command("srs", "forward", "a@x.org", "--secret", "old", "--domain", "us.test", "--config", nothing)
    assert (old.err, old.out.strip()[-8:]) == ("", "@us.test")
    words = ("srs", "reverse", old.out.strip(), "--config", nothing)
    assert command(*words, "--secret", "new", "--secret", "old").out == "a@x.org\n"
    assert command(*words, "--secret", "new").code == 65


def test_a_new_secret_signs_and_bounces_to_the_old_one_still_come_back(instance: Instance) -> None:
    old = instance.cli("srs", "forward", "alice@example.org").out.strip()
    made = instance.cli("srs", "rotate", "--json").json
    assert made["signs"] is True
    new = instance.cli("srs", "forward", "alice@example.org").out.strip()
    assert old != new
    assert [instance.cli("srs", "reverse", each).out for each in (old, new)] == ["alice@example.org\n"] * 2
    listed = instance.cli("srs", "secrets", "--json").json
    assert [(each["signs"], each["accepted_until"] is None) for each in listed][:2] == [
        (True, True),
        (False, False),
    ]
    assert listed[0]["id"] == made["id"]


def test_old_secrets_that_somebody_knows_can_be_dropped(instance: Instance) -> None:
    old = instance.cli("srs", "forward", "alice@example.org").out.strip()
    assert "0 old ones are accepted" in instance.cli("srs", "rotate", "--drop-old").out
    assert "its tag is wrong" in instance.cli("srs", "reverse", old).err
    assert len(instance.cli("srs", "secrets", "--json").json) == 1


def test_a_sender_that_is_too_long_needs_an_instance(nothing: str) -> None:
    result = command("srs", "forward", "x" * 60 + "@example.org", "--secret", "s", "--config", nothing)
    assert result.code == 65
    assert "64 are allowed" in result.err
