"""mailstack domain."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.instance import Instance


def test_domain_is_added_shown_changed_and_removed(instance: Instance) -> None:
    added = instance.cli("domain", "add", "Example.ORG", "--inbound", "remote", "--json")
    assert added.json == {
        "name": "example.org", "inbound": "remote", "alias_of": None, "unknown": "refuse", "language": None,
        "time_zone": None,
    }  # fmt: skip
    assert (
        instance.cli("domain", "set", "example.org", "--inbound", "follow-mx", "--unknown", "relay").code == 0
    )
    shown = instance.cli("domain", "show", "example.org", "--json").json
    assert (shown["inbound"], shown["unknown"], shown["catch_all"]) == ("follow-mx", "relay", None)
    assert [key["algorithm"] for key in shown["dkim"]] == ["rsa-sha256", "ed25519-sha256"]
    assert [row["name"] for row in instance.cli("domain", "list", "--json").json] == [
        "example.org",
        "example.test",
    ]
    assert instance.cli("domain", "remove", "example.org").code == 0
    assert instance.cli("domain", "show", "example.org").code == 67


def test_domain_with_addresses_is_guarded(instance: Instance) -> None:
    instance.cli("user", "add", "alice@example.test")
    found = instance.cli("domain", "remove", "example.test")
    assert found.code == 65
    assert "still has 1 address" in found.err
    assert instance.cli("domain", "remove", "example.test", "--with-addresses", "--json").json == {
        "removed": "example.test",
        "addresses": 1,
        "aliases": 0,
    }
    assert instance.cli("user", "list", "--json").json == []


def test_alias_domain_is_added(instance: Instance) -> None:
    assert (
        instance.cli("domain", "alias", "example.net", "example.test", "--json").json["alias_of"]
        == "example.test"
    )
    assert instance.cli("domain", "show", "example.test", "--json").json["mirrors"] == ["example.net"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("add", "example.test"), 65),
        (("add", "localhost"), 65),
        (("show", "nope.test"), 67),
        (("set", "nope.test"), 67),
        (("remove", "nope.test"), 67),
        (("dns", "nope.test"), 67),
        (("alias", "a.test", "nope.test"), 67),
        (("set", "example.test", "--inbound", "x"), 64),
    ],
)
def test_wrong_domains_have_their_codes(instance: Instance, words: tuple[str, ...], code: int) -> None:
    found = instance.cli("domain", *words)
    assert (found.code, found.out) == (code, "")
    assert found.err


def test_dns_prints_what_is_published_with_both_keys(instance: Instance) -> None:
    found = instance.cli("domain", "dns", "example.test", "--json").json
    assert found["domain"] == "example.test"
    records = {(record["name"], record["type"]): record["value"] for record in found["records"]}
    reader = instance.reader()
    for key in reader.published_keys("example.test"):
        assert records[f"{key.selector}._domainkey.example.test", "TXT"] == key.record
    reader.close()
    assert records["example.test", "MX"] == "10 mx.example.test."
    assert records["_imaps._tcp.example.test", "SRV"] == "0 1 993 mx.example.test."
    text = instance.cli("domain", "dns", "example.test").out
    assert 'example.test. IN TXT "v=spf1 mx ~all"' in text
    assert "MTA-STS policy" in text


def test_tlsa_needs_a_certificate(instance: Instance, tmp_path: Path) -> None:
    found = instance.cli("domain", "dns", "example.test", "--tlsa")
    assert found.code == 65
    assert "tls.certificate_file" in found.err


def test_relaying_without_a_route_warns_and_a_bad_name_exits_65(instance: Instance) -> None:
    words = ("domain", "set", "example.test", "--unknown", "relay")
    assert "no [[queue.route]]" in instance.cli(*words).err
    with instance.file.open("a") as file:
        file.write('[[queue.route]]\ndomain = "example.test"\nhost = "192.0.2.1"\n')
    assert instance.cli(*words).err == ""
    assert instance.cli("domain", "add", "bad_domain").code == 65


def test_what_a_domain_wants_of_mail_is_shown_and_changed(instance: Instance) -> None:
    shown = {
        "domain": "example.test",
        "mark_outside": False,
        "outside_prefix": "",
        "inside": [],
        "refuse": [],
        "spam": [],
        "blocked": 0,
        "allowed": 0,
    }
    assert instance.cli("domain", "mail", "example.test", "--json").json == shown
    words = [
        "--mark-outside",
        "on",
        "--outside-prefix",
        "[EXT]",
        "--inside",
        "Sister.test, exämple.org",
        "--refuse",
        "program,.iso",
        "--spam",
        "macros",
    ]
    changed = instance.cli("domain", "mail", "example.test", *words, "--json").json
    assert changed == shown | {
        "mark_outside": True,
        "outside_prefix": "[EXT]",
        "inside": ["sister.test", "xn--exmple-cua.org"],
        "refuse": [".iso", "program"],
        "spam": ["macros"],
    }
    back = instance.cli(
        "domain", "mail", "example.test", "--outside-prefix", "", "--refuse", "", "--json"
    ).json
    assert (back["mark_outside"], back["outside_prefix"], back["refuse"], back["spam"]) == (
        True,
        "",
        [],
        ["macros"],
    )
    assert instance.cli("domain", "mail", "example.test", "--inside", "ann@sister.test").code == 65
    assert instance.cli("domain", "mail", "example.test", "--inside", "", "--json").json["inside"] == []
    found = instance.cli("domain", "mail", "example.test", "--refuse", "exe")
    assert (found.code, "or an extension such as .iso" in found.err) == (65, True)
    assert instance.cli("domain", "mail", "other.test").code == 67
    assert instance.cli("domain", "mail", "other.test", "--mark-outside", "on").code == 67
