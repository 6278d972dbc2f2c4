"""Failed logins, what they lead to, and good ones."""

from __future__ import annotations

import ipaddress
import multiprocessing
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstack.model.errors import ConfigError, TemporaryFailure
from mailstack.state import logins, shared_networks, statedb
from mailstack.state.ban_options import BanOptions
from mailstack.state.bans import DAY_S, Ban, Bans
from mailstack.state.logins import WINDOW_S, Failed, LoginRecords
from tests.kit.clock import START, Clock

ALICE, GUESSER = "alice@example.test", "8.8.8.8"


class Kit:
    def __init__(self, path: Path, **options: object) -> None:
        self.path = path
        self.clock = Clock()
        self.options = BanOptions(**options)  # type: ignore[arg-type]
        self.records = LoginRecords(path, self.options, key=b"secret")
        self.bans = Bans(path)
        self.number = 0

    def fail(self, login: str = ALICE, ip: str = GUESSER, password: str = "") -> Failed:
        self.number += 1
        word = password or f"another {self.number}"
        return self.records.failed(login, ip, password=word.encode(), now=self.clock())

    def succeed(self, account: int, ip: str = GUESSER) -> None:
        self.records.succeeded(account, ip, app_password=None, protocol="imap", now=self.clock())

    def until_banned(self, most: int = 10_000, ip: str = GUESSER, logins: int = 1) -> Ban:
        for n in range(most):
            if (ban := self.fail(f"user{n % logins}@example.test", ip).ban) is not None:
                return ban
        raise AssertionError("no ban")

    def is_banned(self, ip: str = GUESSER) -> bool:
        return self.bans.find(ip, now=self.clock()) is not None

    def close(self) -> None:
        self.records.close()
        self.bans.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    statedb.migrate(tmp_path / "state.db")
    return tmp_path / "state.db"


@pytest.fixture
def kit(path: Path) -> Iterator[Kit]:
    kit = Kit(path)
    yield kit
    kit.close()


def test_wrong_passwords_are_counted_per_login_and_network(kit: Kit) -> None:
    assert [kit.fail().failures for _ in range(3)] == [1, 2, 3]
    assert kit.fail(ip="9.9.9.9").failures == 1
    assert kit.fail("bob@example.test").failures == 1
    assert kit.fail("ALICE@Example.Test").failures == 4
    assert kit.fail(ip="2001:db8::1").failures == 1
    assert kit.fail(ip="2001:db8::ffff").failures == 2
    assert kit.fail(ip="2001:db8:0:1::1").failures == 1


def test_the_same_wrong_password_counts_once_an_hour(kit: Kit) -> None:
    # A8: a stale phone, all day long
    for _ in range(1000):
        assert kit.fail(password="old").failures == 1
        kit.clock.advance(86.4)
    assert not kit.is_banned()


def test_fifty_of_one_login_ban_the_network_and_nobody_else(kit: Kit) -> None:
    # A7
    for n in range(49):
        assert kit.fail().ban is None, n
    ban = kit.fail().ban
    assert ban is not None and ban.network == "8.8.8.8/32" and ban.until - ban.since == 600
    assert kit.is_banned() and not kit.is_banned("8.8.8.9")
    kit.clock.advance(599)
    assert kit.is_banned()
    kit.clock.advance(1)
    assert not kit.is_banned()


def test_ten_logins_ban_the_network(kit: Kit) -> None:
    for n in range(9):
        assert kit.fail(f"user{n}@example.test").ban is None
    assert kit.fail("nobody@example.test").ban is not None


def test_a_ban_covers_an_ipv6_64(kit: Kit) -> None:
    kit.until_banned(ip="2001:db8::1")
    assert kit.is_banned("2001:db8::ffff:1") and not kit.is_banned("2001:db8:0:1::1")


def test_each_ban_is_longer_and_is_forgotten_after_a_week(kit: Kit) -> None:
    for seconds in (600, 3_600, 21_600, 86_400, 86_400):
        ban = kit.until_banned()
        assert ban.until - ban.since == seconds
        kit.clock.advance(seconds)
        # What led to this ban does not bring about the next one.
        assert kit.fail().ban is None
        kit.clock.advance(2 * WINDOW_S)
    kit.clock.advance(8 * DAY_S)
    ban = kit.until_banned()
    assert ban.until - ban.since == 600


def test_an_office_with_one_guesser_is_not_banned(kit: Kit) -> None:
    # Ten colleagues log in well: fifty accounts would have to fail.
    for account in range(10):
        kit.succeed(account)
    for n in range(2_000):
        assert kit.fail(f"user{n % 49}@example.test").ban is None
    assert kit.fail("one more@example.test").ban is not None


def test_a_network_with_a_good_login_may_fail_five_times_as_often(kit: Kit) -> None:
    kit.succeed(1)
    for n in range(49):
        assert kit.fail(f"user{n}@example.test").ban is None
    kit.clock.advance(WINDOW_S + 1)
    for n in range(249):
        assert kit.fail(f"user{n % 5}@example.test").ban is None, n
    # Two octets of a hash are the same now and then: then one does not count.
    assert any(kit.fail("user1@example.test").ban for _ in range(3))


def test_a_good_login_is_forgotten_after_a_month(kit: Kit) -> None:
    kit.succeed(1)
    kit.clock.advance(31 * DAY_S)
    assert kit.until_banned(50)


def test_one_login_guessed_at_for_hours_slowly_is_not_banned(kit: Kit) -> None:
    for _ in range(200):
        assert kit.fail().ban is None
        kit.clock.advance(WINDOW_S / 49)


@pytest.mark.parametrize(
    "ip", ["52.96.3.4", "74.125.1.1", "2603:1026::1", "127.0.0.1", "10.1.2.3", "100.64.1.1", "fd00::1", "::1"]
)
def test_clouds_and_private_networks_are_spared(kit: Kit, ip: str) -> None:
    for n in range(200):
        assert kit.fail(f"user{n}@example.test", ip).ban is None


def test_the_operator_says_who_is_spared(path: Path) -> None:
    kit = Kit(path, never=("8.8.8.0/24",), spare_clouds=False, private_networks=True)
    for n in range(200):
        assert kit.fail(f"user{n}@example.test").ban is None
    assert kit.until_banned(50, ip="52.96.3.4") and kit.until_banned(50, ip="127.0.0.1")
    kit.close()
    kit = Kit(path, enabled=False)
    for n in range(200):
        assert kit.fail(f"user{n}@example.test", "9.9.9.9").ban is None
    kit.close()


def test_shared_networks_are_networks() -> None:
    for text in shared_networks.CLOUDS:
        assert ipaddress.ip_network(text).is_global, text


def test_a_wide_network_gets_delays_and_no_ban(kit: Kit) -> None:
    # Somebody with an IPv6 /48 has 65,536 networks.
    for n in range(49):
        assert not kit.fail(f"user{n}@example.test", f"2001:db8:0:{n:x}::1").is_widespread
    failed = kit.fail("one more@example.test", "2001:db8:0:ff::1")
    assert failed.is_widespread and failed.ban is None and failed.failures == 1
    assert not kit.is_banned("2001:db8:0:ff::1")
    assert not kit.fail(ip="2001:db8:1::1").is_widespread
    for account in range(11):
        kit.succeed(account, f"2001:db8:0:{account:x}::1")
    assert not kit.fail("and another@example.test", "2001:db8:0:fe::1").is_widespread


def test_an_account_guessed_at_from_everywhere_is_slow_for_strangers_only(kit: Kit) -> None:
    # A9: 10,000 addresses, one try each; 300 are enough to see it
    kit.succeed(7, "9.9.9.9")
    for n in range(100):
        kit.fail(ip=f"8.8.{n % 21}.{n}")
        assert not kit.records.standing(ALICE, 7, "1.1.1.1", now=kit.clock()).is_guessed_at
    kit.fail(ip="8.9.9.9")
    stranger = kit.records.standing(ALICE, 7, "1.1.1.1", now=kit.clock())
    assert stranger.is_guessed_at and not stranger.is_known
    assert kit.records.standing(ALICE, 7, "9.9.9.9", now=kit.clock()).is_known
    assert not kit.records.standing(ALICE, 8, "9.9.9.9", now=kit.clock()).is_known
    assert not kit.records.standing("bob@example.test", None, "1.1.1.1", now=kit.clock()).is_guessed_at
    kit.clock.advance(WINDOW_S)
    assert not kit.records.standing(ALICE, 7, "1.1.1.1", now=kit.clock()).is_guessed_at


def test_many_wrong_passwords_from_few_networks_are_no_attack_from_everywhere(kit: Kit) -> None:
    for n in range(400):
        kit.fail(ip=f"8.8.8.{n % 20}")
    assert not kit.records.standing(ALICE, 7, "1.1.1.1", now=kit.clock()).is_guessed_at


def test_good_logins_are_written_every_few_minutes(kit: Kit) -> None:
    def due(account: int = 1, ip: str = GUESSER, app: int | None = None) -> bool:
        return kit.records.is_due(account, ip, app_password=app, now=kit.clock())

    assert due() and not due() and due(2) and due(ip="9.9.9.9") and due(app=5) and not due(app=5)
    kit.clock.advance(599)
    assert not due()
    kit.clock.advance(1)
    assert due()
    kit.clock.advance(-DAY_S)
    assert due()  # F28: a clock that was set back stops nothing


def test_a_clock_set_back_or_forth_bans_nobody_for_ever(kit: Kit) -> None:
    # F28
    kit.clock.time = START + 10 * 365 * DAY_S
    kit.until_banned()
    assert kit.is_banned()
    kit.clock.time = START
    assert not kit.is_banned()
    assert kit.fail().failures == 1


def test_what_counts_no_more_goes(kit: Kit, path: Path) -> None:
    kit.until_banned(50)
    kit.succeed(1)
    kit.records.succeeded(1, GUESSER, app_password=5, protocol="imap", now=kit.clock())

    def left() -> list[int]:
        tables = ("login_failure", "login_network", "ban", "app_password_use")
        connection = sqlite3.connect(path)
        return [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]

    assert left() == [50, 1, 1, 1]
    for days, rows in ((0.5, [0, 1, 1, 1]), (8, [0, 1, 0, 1]), (31, [0, 0, 0, 1]), (401, [0, 0, 0, 0])):
        logins.purge(path, kit.options, now=kit.clock() + days * DAY_S)
        assert left() == rows


def test_nothing_of_a_password_can_be_found_in_the_database(kit: Kit, path: Path) -> None:
    kit.fail(password="an old pass word of hers")
    rows = sqlite3.connect(path).execute("SELECT mark FROM login_failure").fetchall()
    assert [len(mark) for (mark,) in rows] == [2]
    assert b"pass word" not in path.read_bytes()


def test_names_of_any_kind_are_counted(kit: Kit) -> None:
    # A6
    for login in ("", "\0", "\udcff", "x" * 70_000, "' OR 1=1 --", "%n", "a\r\nb"):
        assert kit.fail(login).failures == 1
        assert kit.records.standing(login, None, GUESSER, now=kit.clock()).failures == 1


def test_a_database_in_trouble_is_said(tmp_path: Path) -> None:
    records = LoginRecords(tmp_path / "nowhere" / "state.db", BanOptions(), key=b"")
    with pytest.raises(TemporaryFailure):
        records.failed(ALICE, GUESSER, password=b"x", now=START)


def _fail_often(path: Path, worker: int) -> None:
    records = LoginRecords(path, BanOptions(), key=b"secret")
    for n in range(12):
        records.failed(ALICE, GUESSER, password=b"%d %d" % (worker, n), now=START)
    records.close()


def test_processes_count_together(path: Path) -> None:
    workers = [multiprocessing.Process(target=_fail_often, args=(path, n)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    kit = Kit(path)
    assert kit.records.standing(ALICE, None, GUESSER, now=START).failures == 48
    kit.fail()
    assert kit.fail().ban is not None
    kit.close()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("failures", 0),
        ("ratio", 0),
        ("known_days", 0),
        ("times_s", ()),
        ("times_s", (0,)),
        ("account_delay_s", 31),
        ("never", ("192.0.2.0/33",)),
    ],
)
def test_options_that_cannot_work_are_refused(key: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        BanOptions(**{key: value})  # type: ignore[arg-type]
    assert caught.value.key == f"bans.{key}"
