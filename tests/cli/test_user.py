"""mailstack user."""

from __future__ import annotations

import pytest

from mailstack.model.address import Address
from mailstack.model.directory import Account
from tests.kit.instance import PASSWORD, Instance


def logs_in(instance: Instance, address: str, password: str) -> bool:
    reader = instance.reader()
    found = reader.authenticate(address, password)
    reader.close()
    return found is not None


def test_password_is_made_and_printed_once(instance: Instance) -> None:
    found = instance.cli("user", "add", "alice@example.test", "--json")
    assert found.json["address"] == "alice@example.test"
    assert logs_in(instance, "alice@example.test", found.json["password"])
    text = instance.cli("user", "add", "bob@example.test").out
    assert logs_in(instance, "bob@example.test", text.strip().rpartition(" ")[2])
    shown = instance.cli("user", "show", "alice@example.test", "--json").json
    assert {key for key in shown if "password" in key} == {
        "has_password",
        "app_passwords",
        "app_passwords_only",
    }


@pytest.mark.parametrize(
    "password", [PASSWORD, "--json-is-my-password", "$(reboot) `id` %n", "пароль пароль"]
)
def test_given_password_is_taken_octet_by_octet_and_not_printed(instance: Instance, password: str) -> None:
    found = instance.cli("user", "add", "a@example.test", f"--password={password}", "--json")
    assert "password" not in found.json
    assert logs_in(instance, "a@example.test", password)
    found = instance.cli(
        "user", "add", "b@example.test", "--password-stdin", stdin=password.encode() + b"\nrest\n"
    )
    assert found.code == 0, found.err
    assert logs_in(instance, "b@example.test", password)


@pytest.mark.parametrize(
    ("words", "stdin", "code", "err"),
    [
        (["--password", "short"], b"", 65, "too short"),
        (["--password", ""], b"", 65, "empty"),
        (["--password-stdin"], b"", 65, "empty"),
        (["--password-stdin"], b"\xff\xfe\xfd-no-utf-8\n", 65, "not UTF-8"),
        (["--password-stdin"], b"x1" * 600 + b"\n", 65, "too long"),
        (["--password", "xyz-xyz-17", "--password-stdin"], b"", 64, "either"),
        (["--quota", "many"], b"", 65, "not a size"),
        (["--name", "a\nb"], b"", 65, "may not stand in a name"),
    ],
)
def test_what_cannot_be_taken_is_refused_and_nothing_is_made(
    instance: Instance, words: list[str], stdin: bytes, code: int, err: str
) -> None:
    found = instance.cli("user", "add", "alice@example.test", *words, stdin=stdin)
    assert (found.code, found.out) == (code, "")
    assert err in found.err
    assert instance.cli("user", "list", "--json").json == []


def test_refused_address_names_the_character(instance: Instance) -> None:
    found = instance.cli("user", "add", "a%b@example.test")
    assert found.code == 65
    assert "'%' (percent sign)" in found.err


def test_a_name_outside_ascii_wants_smtputf8(instance: Instance) -> None:
    words = ("user", "add", "jörg@example.test")
    whole = instance.file.read_text()
    instance.file.write_text(whole + "[smtp]\nsmtputf8 = false\n")
    found = instance.cli(*words)
    assert (found.code, found.out) == (65, "")
    assert "jörg@example.test cannot receive mail while smtp.smtputf8 is off" in found.err
    instance.file.write_text(whole)
    assert instance.cli(*words).code == 0


def test_unknown_domain_exits_67(instance: Instance) -> None:
    assert instance.cli("user", "add", "a@nope.test").code == 67
    assert instance.cli("user", "list", "nope.test").code == 67


def test_every_option_is_stored(instance: Instance) -> None:
    options = ("--plan", "free", "--quota", "10G", "--kind", "device", "--name", "Älice")
    instance.cli("user", "add", "alice@example.test", *options)
    [row] = instance.cli("user", "list", "example.test", "--json").json
    assert row == {
        "address": "alice@example.test",
        "kind": "device",
        "plan": "free",
        "name": "Älice",
        "quota_octets": 10 << 30,
        "enabled": True,
    }
    assert instance.cli("user", "list", "EXAMPLE.test", "--json").json == [row]
    changed = instance.cli(
        "user", "set", "alice@example.test", "--quota", "none", "--kind", "mailbox", "--disable", "--json"
    )
    assert (changed.json["quota_octets"], changed.json["kind"], changed.json["enabled"]) == (
        None,
        "mailbox",
        False,
    )


def test_catch_all_warns(instance: Instance) -> None:
    found = instance.cli("user", "add", "rest@example.test", "--kind", "catchall")
    assert "also gets the spam" in found.err


def test_spam_trap_has_no_password(instance: Instance) -> None:
    found = instance.cli("user", "add", "trap@example.test", "--kind", "spamtrap", "--json")
    assert "password" not in found.json
    assert instance.cli("user", "show", "trap@example.test", "--json").json["has_password"] is False


def test_grants_and_their_mistakes_are_one_change(instance: Instance) -> None:
    instance.cli("user", "add", "alice@example.test")
    found = instance.cli(
        "user", "set", "alice@example.test", "--grant", "@brand.example", "--grant", "no pattern"
    )
    assert found.code == 65
    assert instance.cli("user", "show", "alice@example.test", "--json").json["may_send_as"] == []
    instance.cli("user", "set", "alice@example.test", "--grant", "@brand.example", "--grant", "x@y.example")
    assert instance.cli("user", "show", "alice@example.test", "--json").json["may_send_as"] == [
        "brand.example",
        "x@y.example",
    ]


def test_new_password_replaces_the_old(instance: Instance) -> None:
    instance.cli("user", "add", "alice@example.test", "--password", PASSWORD)
    new = instance.cli("user", "passwd", "alice@example.test", "--json").json["password"]
    assert logs_in(instance, "alice@example.test", new)
    assert not logs_in(instance, "alice@example.test", PASSWORD)
    assert instance.cli("user", "passwd", "nobody@example.test", "--password", PASSWORD).code == 67


def test_removed_user_is_listed_and_comes_back(instance: Instance) -> None:
    instance.cli("user", "add", "alice@example.test", "--password", PASSWORD)
    instance.cli("alias", "add", "sales@example.test", "alice@example.test")
    gone = instance.cli("user", "remove", "alice@example.test")
    assert "kept for 30 days" in gone.out
    assert "sales@example.test" in gone.err
    assert instance.cli("user", "show", "alice@example.test").code == 67
    assert "restore" in instance.cli("user", "show", "alice@example.test").err
    assert [row["address"] for row in instance.cli("user", "list", "--removed", "--json").json] == [
        "alice@example.test"
    ]
    assert instance.cli("user", "add", "alice@example.test").code == 65
    assert instance.cli("user", "restore", "alice@example.test").code == 0
    assert logs_in(instance, "alice@example.test", PASSWORD)


def test_show_says_everything_about_an_address(instance: Instance) -> None:
    instance.cli("user", "add", "alice@example.test")
    instance.cli("alias", "add", "sales@example.test", "alice@example.test")
    instance.cli(
        "forward", "set", "--no-notice", "--no-check", "alice@example.test", "x@outside.test", "--keep"
    )
    instance.cli("filters", "alice@example.test", "--ads", "off")
    found = instance.cli("user", "show", "alice@example.test", "--json").json
    assert found["other_names"] == ["sales@example.test"]
    assert found["forward"] == {"targets": ["x@outside.test"], "keep": True}
    assert found["filters"]["ads"] is False
    assert instance.cli("user", "show", "sales@example.test").err.startswith(
        "mailstack: sales@example.test is an alias of"
    )


def test_change_is_seen_by_an_open_reader_at_once(instance: Instance) -> None:
    reader = instance.reader()
    name = Address.parse("alice@example.test")
    assert reader.find(name) is None
    instance.cli("user", "add", "alice@example.test")
    found = reader.find(name)
    assert isinstance(found, Account)
    assert found.enabled
    instance.cli("user", "set", "alice@example.test", "--disable")
    found = reader.find(name)
    assert isinstance(found, Account)
    assert not found.enabled
    reader.close()


def test_a_recovery_address_is_set_shown_and_taken_back(instance: Instance) -> None:
    instance.cli("user", "add", "alice@example.test")
    shown = instance.cli("--json", "user", "show", "alice@example.test").json
    assert shown["recovery"] is None
    changed = instance.cli("user", "set", "alice@example.test", "--recovery", "alice@home.test")
    assert changed.code == 0, changed
    assert instance.cli("--json", "user", "show", "alice@example.test").json["recovery"] == "alice@home.test"
    own = instance.cli("user", "set", "alice@example.test", "--recovery", "alice@example.test")
    assert own.code == 65
    assert instance.cli("user", "set", "alice@example.test", "--recovery", "none").code == 0
    assert instance.cli("--json", "user", "show", "alice@example.test").json["recovery"] is None


def test_the_language_of_an_address_is_shown_set_and_left_to_its_domain(instance: Instance) -> None:
    assert instance.cli("user", "add", "alice@example.test").code == 0
    assert (
        instance.cli("user", "set", "alice@example.test", "--language", "de-CH", "--json").json["language"]
        == "de"
    )
    assert instance.cli("user", "show", "alice@example.test", "--json").json["language"] == "de"
    refused = instance.cli("user", "set", "alice@example.test", "--language", "tlh")
    assert refused.code != 0
    assert "en, fr, de, it, es" in refused.err
    back = instance.cli("user", "set", "alice@example.test", "--language", "default", "--json").json
    assert "language" not in back
    assert (
        instance.cli("domain", "set", "example.test", "--language", "fr", "--json").json["language"] == "fr"
    )
    assert instance.cli("domain", "show", "example.test", "--json").json["language"] == "fr"
