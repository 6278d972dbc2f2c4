"""mailstack vacation."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from mailstack.state.memory import Memory
from tests.kit.instance import Instance

ALICE = "alice@example.test"


@pytest.fixture(autouse=True)
def alice(instance: Instance) -> None:
    assert instance.cli("user", "add", ALICE, "--name", "Alice Example").code == 0


def test_an_answer_is_prepared_switched_on_shown_and_removed(instance: Instance) -> None:
    made = instance.cli("vacation", "set", ALICE, "--text", "I am away.", "--subject", "Away")
    assert made.out == f"{ALICE}: away is off; 'mailstack vacation on {ALICE} away' lets it answer\n"
    assert instance.cli("vacation", "on", ALICE).out == f"{ALICE}: away on\n"
    shown = instance.cli("vacation", "show", ALICE, "--json").json
    assert (shown["active"], shown["time_zone"], shown["templates"]) == ("away", "UTC", [])
    [row] = shown["answers"]
    assert row.pop("changed")
    assert row == {
        "name": "away", "subject": "Away", "start": None, "end": None, "days": "all", "excluded": [],
        "text": "I am away.", "from": None, "active": True, "state": "on",
    }  # fmt: skip
    assert instance.cli("user", "show", ALICE, "--json").json["autoresponder"] == "away"
    assert instance.cli("vacation", "show", ALICE, "away").out.endswith("\n\nI am away.\n")
    assert instance.cli("vacation", "off", ALICE).out == "away is off\n"
    assert instance.cli("vacation", "off", ALICE, "--json").json == {"address": ALICE, "off": None}
    assert instance.cli("vacation", "remove", ALICE, "away", "--json").json["was_active"] is False
    assert instance.cli("vacation", "show", ALICE).out == f"{ALICE} has no autoresponder\n"


def test_of_several_one_is_on(instance: Instance) -> None:
    instance.cli("vacation", "set", ALICE, "ill", "--text", "Ill.", "--on")
    instance.cli("vacation", "set", ALICE, "away", "--text", "Away.", "--on")
    shown = instance.cli("vacation", "show", ALICE, "--json").json
    assert [(row["name"], row["active"]) for row in shown["answers"]] == [("away", True), ("ill", False)]
    which = instance.cli("vacation", "on", ALICE)
    assert (which.code, which.err) == (64, "mailstack: which of them: away, ill?\n")
    assert instance.cli("vacation", "list", "--json").json == [
        {"address": ALICE, "name": "away", "state": "on", "start": None, "end": None}
    ]


def test_times_are_those_of_the_owner(instance: Instance) -> None:
    instance.cli("user", "set", ALICE, "--time-zone", "asia/tokyo")
    made = instance.cli(
        "vacation", "set", ALICE, "--text", "x", "--start", "2999-12-24 09:00", "--days", "mon-fri",
        "--on", "--json",
    )  # fmt: skip
    assert (made.json["start"], made.json["days"]) == ("2999-12-24T09:00", "mon,tue,wed,thu,fri")
    assert made.json["state"] == "on, but it does not answer before 2999-12-24 09:00"
    assert instance.cli("vacation", "show", ALICE, "--json").json["time_zone"] == "Asia/Tokyo"
    over = instance.cli("vacation", "set", ALICE, "--start", "none", "--end", "2020-01-01")
    assert "warning: its last day or minute, 2020-01-01, is over in Asia/Tokyo" in over.err


def test_the_text_comes_from_a_file(instance: Instance, tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes("Grüße\r\naus Zürich\r\n".encode())
    instance.cli("vacation", "set", ALICE, "--file", str(tmp_path / "text"))
    assert instance.cli("vacation", "show", ALICE, "away", "--json").json["text"] == "Grüße\naus Zürich"
    assert instance.cli("vacation", "set", ALICE, "--file", "-", stdin=b"From stdin.").code == 0
    assert instance.cli("vacation", "show", ALICE, "away", "--json").json["text"] == "From stdin."
    (tmp_path / "text").write_bytes(b"\xff")
    assert instance.cli("vacation", "set", ALICE, "--file", str(tmp_path / "text")).code == 65
    assert instance.cli("vacation", "set", ALICE, "--file", str(tmp_path / "none")).code == 66
    assert instance.cli("vacation", "set", ALICE, "--file", "-", "--text", "x").code == 64


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("set", ALICE), 65),
        (("set", ALICE, "--text", "x", "--from", "boss@example.test"), 65),
        (("set", ALICE, "--text", "x", "--template", "none"), 65),
        (("set", "nobody@example.test", "--text", "x"), 67),
        (("show", "nobody@example.test"), 67),
        (("show", ALICE, "away"), 65),
        (("on", ALICE), 65),
        (("on", ALICE, "away"), 65),
        (("off", "nobody@example.test"), 67),
        (("remove", ALICE, "away"), 65),
        (("list", "elsewhere.test"), 67),
        (("answered", "nobody@example.test"), 67),
        (("template", "list", "elsewhere.test"), 67),
        (("template", "show", "example.test", "none"), 65),
        (("template", "remove", "example.test", "none"), 65),
        (("template", "apply", "example.test", "none"), 64),
        (("template", "apply", "example.test", "none", "--all"), 65),
    ],
)
def test_mistakes_have_their_exit_codes(instance: Instance, words: tuple[str, ...], code: int) -> None:
    done = instance.cli("vacation", *words)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("mailstack: ")


def test_who_was_answered_is_listed_and_forgotten(instance: Instance) -> None:
    account_id = instance.cli("user", "show", ALICE, "--json").json["id"]
    memory = Memory(instance.config.paths.state_db)
    for number, handle in enumerate(["autoresponder", "autoresponder", ""]):
        claimed = memory.claim_answer(
            account_id, f"id{number}", who=f"s{number}@elsewhere.test", handle=handle, period_s=86_400.0,
            per_hour=100, now=time.time() + number,
        )  # fmt: skip
        assert claimed == ""
    memory.close()
    rows = instance.cli("vacation", "answered", ALICE, "--json").json
    assert [(row["sender"], row["by"]) for row in rows] == [
        ("s2@elsewhere.test", "script"),
        ("s1@elsewhere.test", "autoresponder"),
        ("s0@elsewhere.test", "autoresponder"),
    ]
    assert instance.cli("vacation", "reset", ALICE, "S1@elsewhere.test").out == "forgot 1 sender\n"
    instance.cli("vacation", "set", ALICE, "--text", "x")
    assert instance.cli("vacation", "on", ALICE, "--reset", "--json").json["forgotten"] == 2
    assert instance.cli("vacation", "answered", ALICE, "--json").json == []
    assert instance.cli("vacation", "reset", ALICE).out == "nobody was remembered\n"


def test_a_domain_prepares_answers_for_its_addresses(instance: Instance) -> None:
    instance.cli("user", "add", "bob@example.test")
    made = instance.cli(
        "vacation", "template", "set", "example.test", "closed", "--text", "{name} is away.", "--hidden"
    )
    assert made.out == "example.test: template closed is hidden\n"
    instance.cli("vacation", "template", "set", "example.test", "ill", "--text", "Ill.")
    assert instance.cli("vacation", "template", "list", "example.test").out == "closed (hidden)\nill\n"
    assert instance.cli("vacation", "show", ALICE, "--json").json["templates"] == ["ill"]
    assert instance.cli("vacation", "template", "show", "example.test", "closed", "--json").json["hidden"]
    done = instance.cli("vacation", "template", "apply", "example.test", "closed", "--all", "--on", "--json")
    assert done.json == [
        {"address": ALICE, "result": "added", "active": True},
        {"address": "bob@example.test", "result": "added", "active": True},
    ]
    assert (
        instance.cli("vacation", "show", ALICE, "closed", "--json").json["text"] == "Alice Example is away."
    )
    again = instance.cli("vacation", "template", "apply", "example.test", "closed", ALICE)
    assert again.out == f"{ALICE} keeps its own of this name; it is on\n"
    assert instance.cli("vacation", "set", ALICE, "mine", "--template", "ill", "--subject", "Mine").code == 0
    mine = instance.cli("vacation", "show", ALICE, "mine", "--json").json
    assert (mine["text"], mine["subject"]) == ("Ill.", "Mine")
    assert instance.cli("vacation", "template", "remove", "example.test", "ill").code == 0


def test_new_addresses_are_given_one(instance: Instance, tmp_path: Path) -> None:
    instance.cli("vacation", "template", "set", "example.test", "closed", "--text", "{name} is away.")
    (tmp_path / "new.csv").write_text("address,name\ncarl@example.test,Carl\ndora@example.test,Dora\n")
    assert instance.cli("user", "add", "bob@example.test", "--name", "Bob", "--vacation", "closed").code == 0
    assert instance.cli("user", "import", str(tmp_path / "new.csv"), "--vacation", "closed").code == 0
    for person in ("Bob", "Carl", "Dora"):
        address = f"{person.lower()}@example.test"
        shown = instance.cli("vacation", "show", address, "closed", "--json").json
        assert (shown["text"], shown["active"]) == (f"{person} is away.", False)


def test_without_the_template_nobody_is_made(instance: Instance, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("address\ncarl@example.test\n")
    assert instance.cli("user", "add", "bob@example.test", "--vacation", "none").code == 65
    assert instance.cli("user", "import", str(tmp_path / "new.csv"), "--vacation", "none").code == 65
    assert [row["address"] for row in instance.cli("user", "list", "--json").json] == [ALICE]
