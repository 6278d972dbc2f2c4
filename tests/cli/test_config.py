"""mailstack config check, config show."""

from __future__ import annotations

import os
import time
import tomllib
from pathlib import Path

import pytest

from mailstack.app import certificates
from mailstack.app.certificates import CertificateFiles
from mailstack.app.config import known_keys
from tests.kit.instance import command


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mailstack.toml"


def test_good_file_passes(file: Path) -> None:
    file.write_text("[server]\nworkers = 1\n")
    found = command("config", "check", "--config", str(file))
    assert (found.code, found.out, found.err) == (0, "", f"{file}: no errors\n")
    assert command("config", "check", "--json", "--config", str(file)).json == {
        "ok": True,
        "file": str(file),
        "errors": [],
        "warnings": [],
    }


def test_bad_file_exits_78_and_names_everything(file: Path) -> None:
    file.write_text("[server]\nworker = 1\n[nope]\n")
    found = command("config", "check", "--config", str(file), "--json")
    assert found.code == os.EX_CONFIG
    assert found.json["ok"] is False
    assert [(error["line"], error["key"]) for error in found.json["errors"]] == [
        (2, "server.worker"),
        (3, "nope"),
    ]
    assert f"{file}:2: server.worker: no such key; the nearest is server.workers" in found.err
    plain = command("config", "check", "--config", str(file))
    assert (plain.code, plain.out) == (os.EX_CONFIG, "")


def test_imap_scripts_are_tried(file: Path, tmp_path: Path) -> None:
    script = tmp_path / "event.sieve"
    script.write_text('require ["imapsieve", "fileinto"];\nfileinto "Done";\n')
    file.write_text(f'[sieve]\n[[sieve.imap]]\nscript = "{script}"\ncauses = ["copy"]\n')
    assert command("config", "check", "--config", str(file)).code == 0
    script.write_text('require "imapsieve";\nredirect "x@example.net";\n')
    found = command("config", "check", "--config", str(file))
    assert (found.code, found.out) == (os.EX_CONFIG, "")
    assert f"{file}:2: sieve.imap: {script}:2:1: " in found.err


def test_certificates_are_tried(file: Path, tmp_path: Path) -> None:
    certificates.ensure(CertificateFiles(tmp_path), ["mx.example.test"], now=time.time())
    rsa, other = f"{tmp_path}/server-rsa", f"{tmp_path}/server-ecdsa"
    good = f'[tls]\ncertificate_file = "{rsa}.pem"\nkey_file = "{rsa}.key"\n'
    file.write_text(good)
    assert command("config", "check", "--config", str(file)).code == 0
    file.write_text(good.replace("rsa.key", "ecdsa.key"))
    found = command("config", "check", "--config", str(file))
    assert (found.code, found.out) == (os.EX_CONFIG, "")
    assert f"{file}:2: tls.certificate_file: {rsa}.pem with {other}.key: " in found.err
    file.write_text(f'{good}[[tls.names]]\ncertificate_file = "{other}.pem"\nkey_file = "{tmp_path}/none"\n')
    found = command("config", "check", "--json", "--config", str(file))
    assert found.code == 0
    (warning,) = found.json["warnings"]
    assert f"{tmp_path}/none" in warning
    assert "its names get the certificate of tls.certificate_file" in found.err


def test_check_works_without_any_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("mailstack.app.config.DEFAULT_FILE", tmp_path / "none")
    found = command("config", "check")
    assert found.code == 0
    assert "defaults" in found.err


def test_show_names_every_value_and_its_source(file: Path) -> None:
    file.write_text('[server]\nworkers = 2\n[dns]\nservers = ["127.0.0.1:5353"]\n')
    found = command("config", "show", "--json", "--config", str(file)).json
    assert found["file"] == str(file)
    assert set(found["settings"]) == set(known_keys())
    assert found["settings"]["server.workers"] == {"value": 2, "source": "line 2"}
    assert found["settings"]["dns.servers"] == {"value": ["127.0.0.1:5353"], "source": "line 4"}
    assert found["settings"]["server.stop_grace_s"] == {"value": 30.0, "source": "default"}


def test_shown_text_is_a_configuration_again(file: Path) -> None:
    file.write_text("[server]\nworkers = 2\n")
    found = command("config", "show", "--config", str(file))
    assert f"workers = 2  # {file}:2" in found.out
    assert "# default" in found.out
    assert tomllib.loads(found.out)["server"]["workers"] == 2
    file.write_text(found.out)
    assert command("config", "check", "--config", str(file)).code == 0


@pytest.mark.parametrize(
    "text",
    [
        '[queue]\nrelay_login = "me"\nrelay_password = "secret"\n',
        '[[queue.route]]\ndomain = "x.test"\nhost = "h"\nlogin = "me"\npassword = "secret"\n',
    ],
    ids=["relay", "route"],
)
def test_passwords_are_not_shown(file: Path, text: str) -> None:
    file.write_text(text)
    for words in (("config", "show"), ("config", "show", "--json")):
        found = command(*words, "--config", str(file))
        assert "secret" not in found.out
        assert "(hidden)" in found.out


def test_authorities_that_cannot_be_read_are_a_warning(file: Path) -> None:
    file.write_text(f'[queue]\nca_file = "{file.parent / "gone.pem"}"\n')
    found = command("config", "check", "--config", str(file))
    assert found.code == 0
    assert (
        f"queue.ca_file: {file.parent / 'gone.pem'}: No such file or directory; mail for servers that must be"
        " verified waits" in found.err
    )


def test_files_of_the_filter_that_are_no_good_are_warned_of(file: Path) -> None:
    # M20
    brands = file.parent / "brands.toml"
    brands.write_text('[bank]\n"Brookbank" = 3\n')
    gone = file.parent / "gone"
    names = {"brands_file": brands, "hosts_file": gone, "services_file": gone, "model_file": gone}
    file.write_text("[filter]\n" + "".join(f'{key} = "{value}"\n' for key, value in names.items()))
    found = command("config", "check", "--json", "--config", str(file))
    assert found.code == 0
    assert sorted(found.json["warnings"]) == [
        f"filter.brands_file: {brands}: bank.Brookbank is no text; it is left out",
        f"filter.hosts_file: {gone}: No such file or directory; it is left out",
        f"filter.model_file: {gone}: No such file or directory; the weights that come with mailstack count",
        f"filter.services_file: {gone}: No such file or directory; it is left out",
    ]
