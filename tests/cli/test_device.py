"""`mailstack device`, and what `user show` says of one."""

from __future__ import annotations

import io
import os
import time
from typing import Any

import pytest

from mailstack.state.maillog import MailLog
from tests.kit.instance import PASSWORD, Instance

PRINTER = "printer@example.test"
OLD = "TLSv1 ECDHE-RSA-AES256-SHA"


@pytest.fixture
def device(instance: Instance) -> Instance:
    instance.cli("user", "add", PRINTER, "--kind", "device", "--password", PASSWORD)
    return instance


def log(instance: Instance) -> MailLog:
    return MailLog(instance.config.paths.maillog_db, daemon="smtp", now=time.time, stream=io.StringIO())


def login(found: MailLog, *, tls: str = "TLSv1.3 X", peer: str = "192.0.2.7", ok: bool = True) -> None:
    found.login(protocol="smtp", peer=peer, account=PRINTER, ok=ok, mechanism="LOGIN", tls=tls, why="")


def listed(instance: Instance, *options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = instance.cli("device", "list", *options, "--json").json
    return found


def test_the_sheet_says_what_to_type_and_what_cannot_work(device: Instance) -> None:
    sheet = device.cli("device", "sheet", PRINTER)
    assert sheet.code == 0
    for words in (
        "mx.example.test",
        "465, encryption SSL/TLS",
        "587, encryption STARTTLS",
        PRINTER,
        "10 at most",
        "200 at most",
        "50.0 MB at most",
        "takes nothing but an IP address cannot be set up",
        "lists its address in tls.devices",
    ):
        assert words in " ".join(sheet.out.split()), words
    assert PASSWORD not in sheet.out
    assert max(map(len, sheet.out.split("\n"))) <= 100
    found = device.cli("device", "sheet", PRINTER, "--json").json
    assert found["ports"] == {"tls": [465], "starttls": [587], "legacy_tls": [], "legacy_starttls": []}
    assert found["messages_per_day"] == 200


def test_making_a_device_leads_to_its_sheet(instance: Instance) -> None:
    made = instance.cli("user", "add", PRINTER, "--kind", "device")
    assert made.err == f"what to type into it: mailstack device sheet {PRINTER}\n"


def test_the_sheet_names_the_ports_for_old_tls(device: Instance) -> None:
    with device.file.open("a") as file:
        file.write('[listen]\nsubmissions_legacy = ["192.0.2.1:2465"]\n[tls]\ndevices = ["192.0.2.7"]\n')
    words = " ".join(device.cli("device", "sheet", PRINTER).out.split())
    assert "on port 2465 (SSL/TLS), or from 192.0.2.7 on any of the ports above" in words


def test_people_are_no_devices(instance: Instance) -> None:
    instance.cli("user", "add", "alice@example.test", "--password", PASSWORD)
    for words in (("sheet",), ("allow", "--network", "192.0.2.7")):
        refused = instance.cli("device", words[0], "alice@example.test", *words[1:])
        assert refused.code == os.EX_DATAERR
        assert "alice@example.test is a mailbox" in refused.err
    assert instance.cli("device", "sheet", "nobody@example.test").code == os.EX_NOUSER


def test_a_network_is_allowed_and_taken_back(device: Instance) -> None:
    made = device.cli("device", "allow", PRINTER, "--network", "192.0.2.7", "--to", "other.test")
    assert made.out == f"{PRINTER} sends from 192.0.2.7/32 without a login, to other.test\n"
    assert made.err == ""
    assert listed(device)[0]["without_login"] == ["192.0.2.7/32"]
    sheet = " ".join(device.cli("device", "sheet", PRINTER).out.split())
    assert "from 192.0.2.7/32 to addresses in other.test" in sheet
    assert device.cli("device", "forbid", PRINTER).out == f"{PRINTER} must log in\n"
    assert listed(device)[0]["without_login"] == []


def test_what_is_wrong_is_said(device: Instance) -> None:
    assert device.cli("device", "allow", PRINTER).code == os.EX_USAGE
    office = device.cli("device", "allow", PRINTER, "--network", "192.0.2.0/24")
    assert f"whatever sends from 192.0.2.0/24 is {PRINTER} now" in office.err
    wide = device.cli("device", "allow", PRINTER, "--network", "0.0.0.0/0")
    assert (wide.code, "too wide" in wide.err) == (os.EX_DATAERR, True)
    nothing = device.cli("device", "list", "--legacy")
    assert (nothing.code, nothing.out) == (0, "")
    assert "no device needed old TLS in 7 days" in nothing.err


def test_the_list_tells_who_needed_old_tls(device: Instance) -> None:
    device.cli("user", "add", "new@example.test", "--kind", "device", "--password", PASSWORD)
    found = log(device)
    login(found, tls=OLD)
    login(found)
    found.close()
    (row,) = listed(device, "--legacy")
    assert row["address"] == PRINTER
    assert row["from"] == "192.0.2.7"
    assert (row["oldest_tls"], row["tls_age"]) == (OLD, "legacy")
    assert len(listed(device)) == 2


def test_user_show_tells_the_last_error(device: Instance) -> None:
    def shown() -> dict[str, Any]:
        answer: dict[str, Any] = device.cli("user", "show", PRINTER, "--json").json["device"]
        return answer

    assert shown()["last_error"] is None
    found = log(device)
    login(found, ok=False)
    found.close()
    assert "failed login as printer@example.test" in shown()["last_error"]
    found = log(device)
    login(found)
    found.close()
    assert shown()["last_error"].endswith("; it worked since")
    # A handshake that fails has no name yet: it is the device's when it came from where it was.
    found = log(device)
    for peer in ("192.0.2.7", "192.0.2.8"):
        found.write("tls_failed", refused_to=[peer], peer=peer, listener="submissions", why=f"from {peer}")
    found.close()
    assert shown()["last_error"].endswith("from 192.0.2.7")
    assert "device" not in device.cli("user", "list", "--json").json[0]


def test_refusals_of_others_behind_the_same_address_are_not_told(device: Instance) -> None:
    found = log(device)
    login(found)
    found.refused(
        "", peer="192.0.2.7", at="end", check="x", code=550, status="5.7.1", login="bob@example.test"
    )
    found.refused(
        "", peer="192.0.2.7", at="rcpt", check="x", code=550, status="5.7.1", to="secret@example.test"
    )
    found.close()
    assert listed(device)[0]["last_error"] is None
