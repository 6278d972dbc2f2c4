"""When the mail of an account looks like a thief's: three signs, their sum, and what guards honest people."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.model.containment import Contained
from mailstack.model.errors import ConfigError
from mailstack.model.sending import Caps, Over
from mailstack.state import containment, statedb
from mailstack.state.containment import Containment, Watch, look, place_of
from mailstack.state.containment_options import ContainmentOptions
from mailstack.state.sending import Look, Sending, Ticket
from tests.kit.fuzzing import FUZZ

NOW = 1_790_000_000.0
DAY_S = 86_400.0
HOME, HOTEL, BOTS = "203.0.113.7", "198.18.4.9", ("8.8.8.8", "9.9.9.9", "185.1.2.3")
CAPS = Caps(new_recipients_per_hour=100)


class Account:
    """An account, as a worker sees it."""

    def __init__(self, path: Path, *, number: int = 1, **options: float) -> None:
        self.path = path
        self.id = number
        self.options = ContainmentOptions(**options)  # type: ignore[arg-type]
        self.sending = Sending(path)
        self.table = Containment(path)
        self.now = NOW
        self._number = 0

    def look(self, ip: str, new_limit: int | None) -> Look:
        watch = Watch(self.options, ip, new_limit)
        return lambda connection, used, new: look(
            connection, self.id, watch, used=used, new=new, now=self.now
        )

    def send(self, new: int = 0, *, ip: str = HOME, new_limit: int | None = 100) -> Ticket | Over | Contained:
        """One message to so many strangers; at least one recipient."""
        self._number += 1
        strangers = [f"{self._number}.{n}@far.test" for n in range(new)]
        return self.sending.take(
            self.id,
            strangers or ["friend@far.test"],
            CAPS,
            strangers=strangers,
            counts_new=True,
            now=self.now,
            look=self.look(ip, new_limit),
        )

    def grow_old(self) -> None:
        """Sends from home for a month."""
        assert isinstance(self.send(), Ticket)
        self.now += 30 * DAY_S
        assert isinstance(self.send(), Ticket)

    def bounce(self, recipients: int) -> Contained | None:
        return self.table.bounced(self.id, recipients, Watch(self.options), now=self.now)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    statedb.migrate(tmp_path / "state.db")
    return tmp_path / "state.db"


@pytest.fixture
def account(path: Path) -> Account:
    return Account(path)


def test_a_new_place_and_many_strangers_stop_it(account: Account) -> None:
    account.grow_old()
    assert isinstance(account.send(49, ip=HOTEL), Ticket)
    found = account.send(1, ip=HOTEL)
    assert isinstance(found, Contained)
    assert found.score == pytest.approx(1.1)
    assert found.why == (
        "50 recipients in an hour to whom it never wrote before;"
        " mail from where it never sent from: 198.18.0.0/16"
    )
    assert not found.is_settled
    # From then on it is stopped, wherever it sends from and to whomever.
    account.now += 5 * DAY_S
    again = account.send(ip=HOME)
    assert isinstance(again, Contained)
    assert again.since == found.since


def test_no_sign_but_many_bounces_suffices_alone(account: Account) -> None:
    account.grow_old()
    assert isinstance(account.send(100), Ticket)
    account.now += 2 * DAY_S
    for ip in BOTS:
        assert isinstance(account.send(ip=ip), Ticket)
    account.now += 20 * DAY_S
    assert isinstance(account.send(30), Ticket)
    assert account.bounce(19) is None
    assert account.bounce(14) is None
    found = account.bounce(1)
    assert found is not None
    assert found.why == "34 of 34 recipients in 24 hours refused for good"
    assert isinstance(account.send(), Contained)


def test_few_bounces_among_many_recipients_mean_nothing(account: Account) -> None:
    account.grow_old()
    for _ in range(3):
        account.sending.take(
            1,
            [f"{n}@list.test" for n in range(100)],
            Caps(),
            strangers=[],
            counts_new=True,
            now=account.now,
        )
    assert account.bounce(74) is None
    found = account.bounce(2)
    assert found is not None
    assert "of 301 recipients" in found.why


def test_the_owner_of_a_phone_that_travels_is_not_stopped(account: Account) -> None:
    account.grow_old()
    for ip in (*BOTS, HOTEL):
        assert isinstance(account.send(5, ip=ip), Ticket)


def test_a_place_means_nothing_before_the_account_has_sent_for_some_time(account: Account) -> None:
    assert isinstance(account.send(), Ticket)
    account.now += 13 * DAY_S
    assert isinstance(account.send(99, ip=HOTEL), Ticket)


def test_a_place_is_known_after_its_days(account: Account) -> None:
    account.grow_old()
    assert isinstance(account.send(ip=HOTEL), Ticket)
    account.now += 172_801
    assert isinstance(account.send(80, ip=HOTEL), Ticket)


@pytest.mark.parametrize("new_limit", [None, 0], ids=["off, or a new server", "may send to nobody new"])
def test_first_time_recipients_count_only_where_they_are_limited(
    account: Account, new_limit: int | None
) -> None:
    account.grow_old()
    assert isinstance(account.send(90, ip=HOTEL, new_limit=new_limit), Ticket)


def test_a_higher_limit_of_its_own_raises_the_line(account: Account) -> None:
    account.grow_old()
    assert isinstance(account.send(90, ip=HOTEL, new_limit=400), Ticket)


def test_a_release_forgets_the_signs_and_gives_time(account: Account) -> None:
    account.grow_old()
    assert isinstance(account.send(60, ip=HOTEL), Contained)
    assert account.table.release(1, now=account.now)
    assert not account.table.release(1, now=account.now)
    assert isinstance(account.send(60, ip=BOTS[0]), Ticket)
    account.now += DAY_S + 1
    # The place of the grace is new no more than two days; the hotel's is known.
    assert isinstance(account.send(60, ip=HOTEL, new_limit=1_000), Ticket)
    assert isinstance(account.send(60, ip=BOTS[1]), Contained)


def test_one_of_many_workers_crosses_the_line(path: Path) -> None:
    # Exact over workers: who stops it is the only one who sees it new.
    first = Account(path)
    first.grow_old()
    workers = [Account(path) for _ in range(8)]
    found: list[Ticket | Over | Contained] = []

    def send(worker: Account, number: int) -> None:
        worker.now = first.now
        worker._number = number
        for _ in range(10):
            found.append(worker.send(1, ip=HOTEL))

    threads = [threading.Thread(target=send, args=(w, 1_000 * n)) for n, w in enumerate(workers, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(one, Ticket) for one in found) == 49
    assert len({one.since for one in found if isinstance(one, Contained)}) == 1
    assert sum(first.table.claim_notice(1, now=first.now) for _ in range(3)) == 1


def test_it_is_told_once_and_settled_when_held(account: Account) -> None:
    account.grow_old()
    account.send(60, ip=HOTEL)
    assert account.table.claim_notice(1, now=account.now)
    assert not account.table.claim_notice(1, now=account.now)
    found = account.table.find(1)
    assert found is not None
    assert (found.is_told, found.is_held) == (True, False)
    account.table.mark_held(1, now=account.now)
    assert [one.is_settled for one in account.table.listed()] == [True]
    assert not account.table.held_before(1, account.now)
    assert account.table.held_before(1, account.now + 1)


def test_what_counts_no_more_goes_and_who_is_stopped_stays(account: Account) -> None:
    account.grow_old()
    account.send(60, ip=HOTEL)
    account.bounce(1)
    assert containment.purge(account.path, account.options, now=account.now + DAY_S) == 0
    assert containment.purge(account.path, account.options, now=account.now + 400 * DAY_S) == 3
    assert account.table.find(1) is not None
    account.sending.forget(1)
    assert account.table.find(1) is None


def test_addresses_inside_say_nothing_about_a_place() -> None:
    assert [place_of(ip) for ip in ("10.1.2.3", "127.0.0.1", "fe80::1", "")] == [""] * 4
    assert place_of("2001:470:1:2::3") == "2001:470::/32"


DAYS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 90), st.booleans()), max_size=12)


def test_whoever_stays_at_home_and_whose_mail_is_taken_is_never_stopped(path: Path) -> None:
    numbers = itertools.count(1)

    @settings(FUZZ, max_examples=50)
    @given(DAYS)
    def check(days: list[tuple[int, int, bool]]) -> None:
        account = Account(path, number=next(numbers))
        for new, minutes, is_bounced in days:
            account.now += minutes * 60
            assert not isinstance(account.send(new), Contained)
            assert not is_bounced or account.bounce(1) is None
        account.sending.close()
        account.table.close()

    check()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("score", 0.0),
        ("bounces_share", 1.5),
        ("networks_score", -1.0),
        ("bounces", 0),
        ("network_keep_days", 1),
    ],
)
def test_senseless_options_are_refused(key: str, value: float) -> None:
    with pytest.raises(ConfigError):
        ContainmentOptions(**{key: value})  # type: ignore[arg-type]
