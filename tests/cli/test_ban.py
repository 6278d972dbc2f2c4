"""`mailstack ban`."""

from __future__ import annotations

import time

import pytest

from mailstack.state.bans import Bans
from mailstack.state.logins import LoginRecords
from tests.kit.instance import Instance


def test_bans_are_added_listed_and_lifted(instance: Instance) -> None:
    assert instance.cli("ban", "list").err == "no network is shut out\n"
    added = instance.cli("ban", "add", "8.8.8.8", "--for", "2h", "--why", "guesses", "--json").json
    assert (added["network"], added["by"], added["in_force"]) == ("8.8.8.8/32", "operator", True)
    instance.cli("ban", "add", "2001:db8:0:1::7")
    instance.cli("ban", "add", "9.9.0.0/16", "--for", "30m")
    networks = {one["network"] for one in instance.cli("ban", "list", "--json").json}
    assert networks == {"8.8.8.8/32", "2001:db8:0:1::/64", "9.9.0.0/16"}
    bans = Bans(instance.config.paths.state_db)
    for ip in ("8.8.8.8", "2001:db8:0:1:ffff::1", "9.9.9.9"):
        assert bans.find(ip, now=time.time()) is not None, ip
    for ip in ("8.8.8.9", "2001:db8:0:2::7", "9.10.0.1", "not an address", ""):
        assert bans.find(ip, now=time.time()) is None, ip
    assert instance.cli("ban", "clear", "8.8.0.0/16", "--json").json["lifted"] == ["8.8.8.8/32"]
    assert bans.find("8.8.8.8", now=time.time()) is None
    assert len(instance.cli("ban", "clear", "--all", "--json").json["lifted"]) == 2
    bans.close()
    assert instance.cli("ban", "clear", "8.8.8.8").out == "8.8.8.8/32 was not shut out\n"


def test_lifting_forgets_the_wrong_passwords_too(instance: Instance) -> None:
    config = instance.config
    records = LoginRecords(config.paths.state_db, config.bans, key=b"k")
    now = time.time()
    for n in range(50):
        failed = records.failed("alice@example.test", "8.8.8.8", password=b"%d" % n, now=now)
    assert failed.ban is not None
    shown = instance.cli("ban", "list", "--json").json[0]
    assert shown["by"] == "wrong passwords" and "50 wrong passwords for 1 logins" in shown["why"]
    instance.cli("ban", "clear", "8.8.8.8")
    assert records.failed("alice@example.test", "8.8.8.8", password=b"x", now=now).failures == 1
    records.close()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("add", "nonsense"), 65, "is not an IP address or network"),
        (("add", "192.0.2.7/33"), 65, "is not an IP address or network"),
        (("add", "8.8.8.8", "--for", "forever"), 64, "--for wants a time"),
        (("add", "8.8.8.8", "--for", "0s"), 64, "--for wants a time"),
        (("add", "8.8.8.8", "--for", "366d"), 64, "at most 365d"),
        (("clear",), 64, "or say --all"),
        (("clear", "8.8.8.8", "--all"), 64, "or say --all"),
        (("clear", "nonsense"), 65, "is not an IP address or network"),
    ],
)
def test_what_cannot_be_done_is_said(
    instance: Instance, words: tuple[str, ...], code: int, says: str
) -> None:
    done = instance.cli("ban", *words)
    assert (done.code, says in done.err) == (code, True), done.err


def test_it_warns_of_shared_networks_and_of_a_switch_that_is_off(instance: Instance) -> None:
    assert "many people share" in instance.cli("ban", "add", "52.96.1.1").err
    assert "private network" in instance.cli("ban", "add", "127.0.0.1").err
    instance.file.write_text(instance.file.read_text() + "\n[bans]\nenabled = false\n")
    assert "bans.enabled is off" in instance.cli("ban", "list").err
