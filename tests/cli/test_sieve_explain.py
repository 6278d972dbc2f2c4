"""`mailstack sieve explain`: every step of an address's scripts in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.instance import Instance, new_instance

BOB = "bob@example.test"
LETTER = (
    b"Return-Path: <a@far.test>\nFrom: a@far.test\nTo: bob@example.test\nSubject: hello\n"
    b"Message-ID: <1@far.test>\n\nHi\n"
)


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    made = new_instance(tmp_path / "i")
    assert made.cli("user", "add", BOB).code == 0
    return made


def put(instance: Instance, source: bytes) -> None:
    assert instance.cli("sieve", "put", BOB, "main", "-", "--activate", stdin=source).code == 0


def test_each_step_is_told(instance: Instance, tmp_path: Path) -> None:
    before = tmp_path / "before.sieve"
    before.write_text('require "imap4flags"; addflag "seen-by-us";')
    with instance.file.open("a") as file:
        file.write(f'[sieve]\nbefore_script = "{before}"\n')
    put(
        instance,
        b'require ["fileinto", "vacation"]; fileinto "Lists"; vacation "away"; redirect "x@far.test";',
    )
    assert instance.cli("vacation", "set", BOB, "--text", "Bye", "--on").code == 0
    done = instance.cli("sieve", "explain", BOB, "-", "--json", stdin=LETTER)
    assert done.code == 0, done.err
    assert done.json["actions"] == [
        "stored in Lists, flags seen-by-us",
        "an automatic answer to a@far.test",
        "sent on to x@far.test",
    ]
    assert done.json["notes"] == [
        "script main: fileinto Lists, vacation, redirect x@far.test",
        "autoresponder: no answer: a script answers already",
    ]


def test_conflicts_and_failures_are_told(instance: Instance) -> None:
    put(instance, b'require ["fileinto", "reject"];\nfileinto "Lists";\nreject "no";')
    done = instance.cli("sieve", "explain", BOB, "-", stdin=LETTER)
    assert "line 3: the reject action conflicts with the fileinto action before it" in done.out
    assert done.out.endswith("In the end:\n  stored in INBOX\n")


def test_spam_is_filed_and_nothing_runs(instance: Instance) -> None:
    put(instance, b"discard;")
    done = instance.cli("sieve", "explain", BOB, "-", "--spam", "--json", stdin=LETTER)
    assert done.json["actions"] == ["stored in Spam"]
