"""mailstack scan: the shape of its answer, its options, its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mailstack.cli.scan import _row, _text
from mailstack.filters.explain import JUNK
from mailstack.model.verdict import AccountVerdict, FileInto, FilterAnswer, Keep, MessageVerdict, Reason
from tests.kit.instance import new_instance

ZONE = {
    "Example.NET.": {"TXT": ["v=spf1 ip4:192.0.2.1 -all"], "A": ["192.0.2.1"]},
    "_dmarc.example.net": {"TXT": ["v=DMARC1; p=reject"]},
    "slow.test": {"TXT": "TIMEOUT"},
    "_dmarc.bad.test": {"TXT": "SERVFAIL"},
}
MESSAGE = "From: Alice <alice@example.net>\nTo: bob@example.test\nSubject: lunch\n\nAre you free for lunch?\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "dns.json").write_text(json.dumps(ZONE))
    (tmp_path / "a.eml").write_text(MESSAGE)
    (tmp_path / "b.eml").write_text("From root\nReturn-Path: <x@slow.test>\n" + MESSAGE)
    return tmp_path


def scan(folder: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mailstack.cli.main", "scan", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        cwd=folder,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin"},
        timeout=60,
    )


def scan_json(folder: Path, *arguments: str, stdin: str = "") -> Any:
    done = scan(folder, "--json", *arguments, stdin=stdin)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_one_file_gives_one_object_of_the_documented_shape(folder: Path) -> None:
    found = scan_json(
        folder, "a.eml", "--dns", "dns.json", "--ip", "192.0.2.1", "--from", "alice@example.net"
    )
    assert set(found) == {"file", "class", "score", "action", "reasons", "authentication"}
    assert (found["file"], found["class"], found["action"]) == ("a.eml", "ham", "accept")
    assert 0 <= found["score"] < 0.5
    assert all(set(reason) == {"name", "weight", "why"} for reason in found["reasons"])
    assert found["authentication"] == {
        "spf": {"result": "pass", "domain": "example.net"},
        "dkim": [],
        "dmarc": {"result": "pass", "domain": "example.net", "policy": "reject", "disposition": "none"},
        "arc": {"result": "none"},
    }


def test_several_files_give_an_array_and_stdin_is_a_dash(folder: Path) -> None:
    found = scan_json(folder, "a.eml", "-", "--offline", stdin=MESSAGE)
    assert [row["file"] for row in found] == ["a.eml", "-"]
    assert {row["authentication"]["dmarc"]["result"] for row in found} == {"temperror"}
    assert {row["authentication"]["spf"]["result"] for row in found} == {"none"}


def test_the_sender_is_the_first_return_path(folder: Path) -> None:
    found = scan_json(folder, "b.eml", "--dns", "dns.json", "--ip", "192.0.2.1")
    assert found["authentication"]["spf"] == {"result": "temperror", "domain": "slow.test"}


def test_a_forgery_is_refused_and_exits_zero(folder: Path) -> None:
    found = scan_json(folder, "a.eml", "--dns", "dns.json", "--ip", "203.0.113.5", "--from", "x@slow.test")
    assert found["action"] == "junk"  # SPF gave no definite result, but never could for example.net
    assert found["authentication"]["dmarc"]["result"] == "fail"
    found = scan_json(
        folder, "a.eml", "--dns", "dns.json", "--ip", "203.0.113.5", "--from", "<alice@example.net>"
    )
    assert found["action"] == "reject"
    assert found["authentication"]["dmarc"]["disposition"] == "reject"


def test_people_get_lines(folder: Path) -> None:
    done = scan(folder, "a.eml", "--offline")
    assert done.returncode == 0
    assert done.stdout.startswith("a.eml: ham, score 0.0")
    assert "prior" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), 64),
        (("nowhere.eml",), 66),
        (("a.eml", "--ip", "nonsense"), 64),
        (("a.eml", "--from", "not an address"), 65),
        (("a.eml", "--to", "bob"), 65),
        (("a.eml", "--dns", "nowhere.json"), 66),
        (("a.eml", "--dns", "a.eml"), 65),
    ],
)
def test_mistakes_have_their_exit_codes(folder: Path, arguments: tuple[str, ...], code: int) -> None:
    done = scan(folder, *arguments)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert done.stderr


@pytest.mark.parametrize("content", [b"", b"\0\xff", b"From ", b"Subject: x"])
def test_any_file_is_a_message(folder: Path, content: bytes) -> None:
    (folder / "odd.eml").write_bytes(content)
    assert scan_json(folder, "odd.eml", "--offline")["class"] == "ham"


def test_what_is_scanned_comes_from_a_stranger() -> None:
    # whoever scans a file wants to hear what an address that does not know the sender would get
    message = MessageVerdict("ham", 0.6, reasons=(Reason("prior", 0.4, "x"),))
    account = AccountVerdict(
        1,
        "spam",
        0.95,
        (FileInto("Spam"),),
        (Reason("asks_for_cards", 2.5, "y"), Reason(JUNK, 0.0, "filed into Spam")),
    )
    row = _row("m.eml", FilterAnswer(message, (account,)))
    assert (row["class"], row["score"], row["action"]) == ("spam", 0.95, "junk")
    assert row["reasons"] == [
        {"name": "prior", "weight": 0.4, "why": "x"},
        {"name": "asks_for_cards", "weight": 2.5, "why": "y"},
    ]
    refused = MessageVerdict("ham", 0.6, "reject")
    assert _row("m.eml", FilterAnswer(refused, (account,)))["action"] == "reject"


def test_people_read_what_weighs_and_hardly_what_does_not() -> None:
    small = (Reason("one", 0.03, "x"), Reason("other", -0.01, "y"), Reason("blocked", 0.0, "z"))
    message = MessageVerdict("ham", 0.6, reasons=(Reason("prior", 0.4, "x"), *small))
    account = AccountVerdict(1, "ham", 0.6, (Keep(),))
    lines = _text(_row("m.eml", FilterAnswer(message, (account,)))).splitlines()
    assert lines[-3:] == ["  +0.40  prior: x", "  +0.00  blocked: z", "  +0.02  together: one, other"]


def test_a_table_is_asked_although_nobody_else_is(folder: Path) -> None:
    found = scan_json(folder, "a.eml", "--offline", "--dns", "dns.json", "--ip", "192.0.2.1")
    assert found["authentication"]["dmarc"]["policy"] == "reject"


def test_an_address_here_is_asked_what_it_wants(tmp_path: Path) -> None:
    instance = new_instance(tmp_path / "i")
    instance.cli("user", "add", "alice@example.test")
    file = tmp_path / "m.eml"
    file.write_text(MESSAGE)

    def action(to: str) -> tuple[str, str]:
        row = instance.cli("scan", "--offline", "--to", to, str(file), "--json").json
        return row["class"], row["action"]

    assert action("alice@example.test") == ("ham", "accept")
    instance.cli("list", "block", "alice@example.test", "example.net")
    assert action("alice@example.test") == ("spam", "junk")
    assert action("bob@example.test") == ("ham", "accept")
    said = instance.cli("scan", "--offline", "--to", "bob@example.test", str(file)).err
    assert said.startswith("bob@example.test is no address here")
