"""`mailstack apppw`."""

from __future__ import annotations

import os
import re

import pytest

from mailstack.state.ban_options import BanOptions
from mailstack.state.logins import LoginRecords
from tests.kit.instance import PASSWORD, Instance

ALICE = "alice@example.test"


@pytest.fixture(autouse=True)
def alice(instance: Instance) -> None:
    assert instance.cli("user", "add", ALICE, "--password", PASSWORD).code == 0


def make(instance: Instance, name: str, *more: str) -> str:
    made = instance.cli("apppw", "add", ALICE, "--name", name, *more, "--json")
    assert made.code == 0, made.err
    return str(made.json["password"])


def test_a_password_is_shown_once_and_works(instance: Instance) -> None:
    made = instance.cli("apppw", "add", ALICE, "--name", "phone", "--scope", "imap, smtp", "--json").json
    assert re.match(r"([a-z2-9]{4}-){4}[a-z2-9]{4}\Z", made["password"])
    assert made["scopes"] == ["imap", "smtp"]
    with_words = instance.cli("apppw", "add", ALICE, "--name", "laptop")
    assert with_words.out.startswith(f"{ALICE}  laptop (imap, pop3, smtp, sieve)  password: ")
    reader = instance.reader()
    assert reader.authenticate(ALICE, made["password"], protocol="imap") is not None
    assert reader.authenticate(ALICE, made["password"], protocol="pop3") is None
    reader.close()
    listed = instance.cli("apppw", "list", ALICE, "--json")
    assert [one["name"] for one in listed.json] == ["phone", "laptop"]
    assert listed.json[0]["last_used"] is None
    assert made["password"] not in listed.out
    assert instance.cli("user", "show", ALICE, "--json").json["app_passwords"] == ["phone", "laptop"]


def test_the_last_use_is_shown(instance: Instance) -> None:
    make(instance, "phone")
    reader = instance.reader()
    found = reader.find_account(ALICE)
    assert found is not None
    app = reader.logins.app_passwords(found.id)[0]
    reader.close()
    records = LoginRecords(instance.config.paths.state_db, BanOptions(), key=os.urandom(32))
    records.succeeded(found.id, "192.0.2.7", app_password=app.id, protocol="imap", now=1_763_776_800.0)
    records.close()
    shown = instance.cli("apppw", "list", ALICE, "--json").json[0]
    assert shown["last_used"] == "2025-11-22T02:00:00Z"
    assert (shown["last_used_from"], shown["last_used_for"]) == ("192.0.2.7/32", "imap")


def test_revoking_one_or_all(instance: Instance) -> None:
    first, second, third = (make(instance, name) for name in ("one", "two", "three"))
    assert instance.cli("apppw", "revoke", ALICE, "ONE", "--json").json["revoked"] == ["one"]
    reader = instance.reader()
    assert reader.authenticate(ALICE, first) is None
    assert reader.authenticate(ALICE, second) is not None
    assert instance.cli("apppw", "revoke", ALICE, "--all", "--json").json["revoked"] == ["two", "three"]
    assert reader.authenticate(ALICE, third) is None
    reader.close()
    assert make(instance, "one") != first


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("add", ALICE, "--name", ""), 65, "1 to 64 printable"),
        (("add", ALICE, "--name", "x" * 65), 65, "1 to 64 printable"),
        (("add", ALICE, "--name", "a\x1bb"), 65, "1 to 64 printable"),
        (("add", ALICE, "--name", "x", "--scope", "imap,web"), 65, "a scope is one of"),
        (("add", ALICE, "--name", "x", "--scope", ","), 64, "--scope wants"),
        (("add", "nobody@example.test", "--name", "x"), 67, "there is no address"),
        (("revoke", ALICE, "x"), 65, "has no app password 'x'; there is none"),
        (("revoke", ALICE), 64, "or say --all"),
        (("revoke", ALICE, "x", "--all"), 64, "or say --all"),
        (("list", "nobody@example.test"), 67, "there is no address"),
    ],
)
def test_what_cannot_be_done_is_said(
    instance: Instance, words: tuple[str, ...], code: int, says: str
) -> None:
    done = instance.cli("apppw", *words)
    assert (done.code, says in done.err) == (code, True), done.err


def test_there_are_so_many_and_each_has_its_own_name(instance: Instance) -> None:
    make(instance, "phone")
    again = instance.cli("apppw", "add", ALICE, "--name", "Phone")
    assert again.code == 65 and "already" in again.err
    for n in range(9):
        make(instance, f"n{n}")
    full = instance.cli("apppw", "add", ALICE, "--name", "one more")
    assert full.code == 65 and "auth.app_passwords" in full.err
    instance.cli("apppw", "revoke", ALICE, "phone")
    make(instance, "one more")


def test_a_device_gets_one_to_submit_with(instance: Instance) -> None:
    instance.cli("user", "add", "printer@example.test", "--kind", "device", "--password", PASSWORD)
    made = instance.cli("apppw", "add", "printer@example.test", "--name", "hall", "--json").json
    assert made["scopes"] == ["smtp"]
    refused = instance.cli("apppw", "add", "printer@example.test", "--name", "x", "--scope", "imap")
    assert refused.code == 65 and "may only submit" in refused.err


def test_app_passwords_only(instance: Instance) -> None:
    alone = instance.cli("user", "set", ALICE, "--app-passwords-only")
    assert alone.code == 65 and "mailstack apppw add" in alone.err
    secret = make(instance, "phone")
    changed = instance.cli("user", "set", ALICE, "--app-passwords-only", "--json")
    assert (changed.code, changed.json["app_passwords_only"]) == (0, True)
    reader = instance.reader()
    assert reader.authenticate(ALICE, PASSWORD) is None
    assert reader.authenticate(ALICE, secret) is not None
    assert instance.cli("user", "show", ALICE, "--json").json["app_passwords_only"] is True
    assert "app passwords only" in instance.cli("apppw", "list", ALICE).err
    make(instance, "second")
    assert instance.cli("apppw", "revoke", ALICE, "second").err == ""
    assert "none is left" in instance.cli("apppw", "revoke", ALICE, "--all").err
    assert instance.cli("user", "passwd-file", "--json").json == []
    assert instance.cli("user", "set", ALICE, "--any-password").code == 0
    assert reader.authenticate(ALICE, PASSWORD) is not None
    reader.close()
