"""mailstack sieve."""

from __future__ import annotations

import datetime
import time
from pathlib import Path

import pytest

from mailstack.sieve import Registry
from tests.kit.instance import Instance, command

ADDRESS = "alice@example.test"
SCRIPT = 'require ["fileinto", "envelope"];\nif envelope "to" "sales@example.test" { fileinto "Sales"; }\n'
MAIL = b"Return-Path: <tim@example.com>\nDelivered-To: alice@example.test\nSubject: Hi\n\nHello\n"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "good.sieve").write_text(SCRIPT)
    (tmp_path / "bad.sieve").write_text('keep\nfrob;\nredirect "x";\n')
    (tmp_path / "mail.eml").write_bytes(MAIL)
    return tmp_path


def test_check_lists_every_mistake_and_exits_65(files: Path) -> None:
    good = command("sieve", "check", str(files / "good.sieve"), "--json")
    assert (good.code, good.json) == (0, {"ok": True, "errors": [], "warnings": []})
    bad = command("sieve", "check", str(files / "bad.sieve"), "--json")
    assert bad.code == 65 and not bad.json["ok"]
    assert [(error["line"], error["column"]) for error in bad.json["errors"]] == [(1, 5), (3, 10)]
    assert set(bad.json["errors"][0]) == {"line", "column", "message"}
    assert "bad.sieve:1:5: missing semicolon" in command("sieve", "check", str(files / "bad.sieve")).out


def test_check_reads_stdin_and_shows_warnings() -> None:
    result = command("sieve", "check", "-", "--json", stdin=b'if exists "a:" { keep; }')
    assert result.code == 0 and result.json["warnings"][0]["column"] == 11


@pytest.mark.parametrize(
    "source", [b"keep;\r\nkeep;\n", b"\xef\xbb\xbfkeep;", b"keep;\0", b"# \xff\n", b"keep;\r"]
)
def test_check_refuses_what_an_upload_would(source: bytes) -> None:
    # V16
    assert command("sieve", "check", "-", stdin=source).code == 65


def test_run_shows_the_actions_and_does_nothing(files: Path) -> None:
    script, mail = str(files / "good.sieve"), str(files / "mail.eml")
    result = command("sieve", "run", script, mail, "--to", "sales@example.test", "--json")
    assert result.code == 0 and result.json == {
        "actions": [
            {
                "action": "fileinto", "mailbox": "Sales", "flags": [], "copy": False, "create": False,
                "special_use": "",
            }
        ],
        "flags": [],
        "edited_headers": [],
        "errors": [],
    }  # fmt: skip
    kept = command("sieve", "run", script, mail, "--json").json
    assert kept["actions"] == [{"action": "keep", "implicit": True, "flags": []}]
    assert command("sieve", "run", script, mail).out == "keep (implicit)\n"


def test_run_takes_the_envelope_from_the_options_or_the_header(files: Path) -> None:
    script = files / "s.sieve"
    for test, options, want in (
        ('"from" "tim@example.com"', (), "discard"),
        ('"to" "alice@example.test"', (), "discard"),
        ('"from" "x@y.example"', ("--from", "x@y.example"), "discard"),
        ('"from" ""', ("--from", "<>"), "discard"),
        ('"from" ""', ("--from", ""), "discard"),
    ):
        script.write_text(f'require "envelope"; if envelope {test} {{ discard; }}')
        result = command("sieve", "run", str(script), str(files / "mail.eml"), "--json", *options)
        assert [action["action"] for action in result.json["actions"]] == [want]


def test_run_of_a_script_with_mistakes_exits_65(files: Path) -> None:
    result = command("sieve", "run", str(files / "bad.sieve"), str(files / "mail.eml"), "--json")
    assert result.code == 65 and len(result.json["errors"]) == 2
    assert result.json["actions"] == [{"action": "keep", "implicit": True, "flags": []}]
    assert "does not compile" in result.err


def test_a_runtime_error_exits_0_and_keeps_the_mail(files: Path) -> None:
    script = files / "s.sieve"
    script.write_text("discard;\n" + "".join(f'redirect "r{n}@example.org";\n' for n in range(5)))
    result = command("sieve", "run", str(script), str(files / "mail.eml"), "--json")
    assert result.code == 0
    assert [(error["line"], error["column"]) for error in result.json["errors"]] == [(6, 1)]
    assert result.json["actions"] == [{"action": "keep", "implicit": True, "flags": []}]
    assert "error at 6:1" in command("sieve", "run", str(script), str(files / "mail.eml")).out


def test_a_file_that_is_not_there_is_said_to_be(files: Path) -> None:
    result = command("sieve", "check", str(files / "none.sieve"))
    assert result.code == 66 and "No such file" in result.err


def test_scripts_are_put_listed_activated_read_and_removed(instance: Instance, files: Path) -> None:
    instance.cli("user", "add", ADDRESS)
    good = str(files / "good.sieve")
    assert instance.cli("sieve", "list", ADDRESS, "--json").json == []
    assert "activate" in instance.cli("sieve", "put", ADDRESS, "main", good).out
    assert instance.cli("sieve", "get", ADDRESS, "main").out == SCRIPT
    assert instance.cli("sieve", "get", ADDRESS, "main", "--json").json["source"] == SCRIPT
    assert instance.cli("sieve", "activate", ADDRESS, "main", "--json").json["active"] == "main"
    entry = instance.cli("sieve", "list", ADDRESS, "--json").json[0]
    changed = datetime.datetime.fromisoformat(entry["changed_at"])
    assert abs(changed.timestamp() - time.time()) < 60
    assert (entry["name"], entry["size_octets"], entry["active"]) == ("main", len(SCRIPT), True)
    assert instance.cli("sieve", "remove", ADDRESS, "main").code == 65
    instance.cli("sieve", "activate", ADDRESS, "")
    assert instance.cli("sieve", "remove", ADDRESS, "main").code == 0
    assert instance.cli("sieve", "get", ADDRESS, "main").code == 65


def test_extensions_are_listed(instance: Instance) -> None:
    shown = instance.cli("sieve", "extensions").out.split()
    assert shown == Registry.standard().capabilities() and "fileinto" in shown
    assert instance.cli("sieve", "extensions", "--json").json["extensions"] == shown


def test_a_script_with_mistakes_is_not_stored_and_the_old_one_stays(instance: Instance, files: Path) -> None:
    # V1
    instance.cli("user", "add", ADDRESS)
    instance.cli("sieve", "put", ADDRESS, "main", str(files / "good.sieve"), "--activate")
    result = instance.cli("sieve", "put", ADDRESS, "main", str(files / "bad.sieve"))
    assert result.code == 65 and "bad.sieve:1:5: missing semicolon" in result.err
    assert instance.cli("sieve", "put", ADDRESS, "main", "-", stdin=b"keep;\r\nkeep;\n").code == 65
    assert instance.cli("sieve", "put", ADDRESS, "main", "-", stdin=b"#" * 262_145).code == 65
    assert instance.cli("sieve", "get", ADDRESS, "main").out == SCRIPT
    assert instance.cli("sieve", "list", ADDRESS, "--json").json[0]["active"]


def test_a_free_account_has_smaller_scripts(instance: Instance) -> None:
    instance.cli("user", "add", ADDRESS, "--plan", "free")
    assert instance.cli("sieve", "put", ADDRESS, "main", "-", stdin=b"#" * 65_537).code == 65
    assert instance.cli("sieve", "put", ADDRESS, "main", "-", stdin=b"#" * 65_536).code == 0


def test_an_unknown_address_exits_67(instance: Instance, files: Path) -> None:
    for words in (("put", "x@example.test", "main", str(files / "good.sieve")), ("list", "x@example.test")):
        assert instance.cli("sieve", *words).code == 67
