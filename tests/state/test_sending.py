"""What accounts have sent: sliding, surviving, and exact however many count at once."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailstack.disk.sqlite import open_database
from mailstack.model.sending import LIMITS, Caps, Over
from mailstack.state import sending, statedb
from mailstack.state.sending import Sending, Ticket

NOW = 1_790_000_000.0
HOUR_S, DAY_S = 3_600.0, 86_400.0
BOB, CAROL = "bob@far.example", "carol@far.example"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    statedb.migrate(tmp_path / "state.db")
    return tmp_path / "state.db"


@pytest.fixture
def table(path: Path) -> Iterator[Sending]:
    table = Sending(path)
    yield table
    table.close()


def take(
    table: Sending,
    caps: Caps,
    *recipients: str,
    now: float = NOW,
    account: int = 1,
    counts_new: bool = True,
) -> Ticket | Over:
    to = recipients or (BOB,)
    return table.take(account, to, caps, strangers=to, counts_new=counts_new, now=now)


def test_a_limit_is_reached_and_not_passed(table: Sending) -> None:
    caps = Caps(messages_per_hour=3)
    for _ in range(3):
        assert isinstance(take(table, caps), Ticket)
    over = take(table, caps)
    assert isinstance(over, Over)
    assert (over.name, over.limit, over.used, over.wanted) == ("messages_per_hour", 3, 3, 1)
    assert isinstance(take(table, caps, account=2), Ticket)


def test_what_is_refused_counts_nothing(table: Sending) -> None:
    caps = Caps(recipients_per_day=3)
    assert isinstance(take(table, caps, BOB, CAROL), Ticket)
    assert isinstance(take(table, caps, BOB, CAROL), Over)
    assert isinstance(take(table, caps, BOB), Ticket)
    assert table.used(1, NOW).recipients_per_day == 3


@pytest.mark.parametrize("window", [HOUR_S, DAY_S])
def test_a_window_slides_and_never_lets_more_through(table: Sending, window: float) -> None:
    caps = Caps(messages_per_hour=2) if window == HOUR_S else Caps(messages_per_day=2)
    take(table, caps, now=NOW)
    take(table, caps, now=NOW + window / 2)
    assert isinstance(take(table, caps, now=NOW + window), Over)
    over = take(table, caps, now=NOW + window - 1)
    assert isinstance(over, Over)
    assert over.wait_s is not None
    # Rounded to whole minutes, and never too early.
    assert 0 < over.wait_s - 1 <= 60
    assert isinstance(take(table, caps, now=NOW + window - 1 + over.wait_s), Ticket)
    assert isinstance(take(table, caps, now=NOW + window - 1 + over.wait_s), Over)


def test_the_wait_is_that_of_the_limit_that_lasts_longest(table: Sending) -> None:
    caps = Caps(messages_per_hour=1, messages_per_day=1)
    take(table, caps)
    over = take(table, caps)
    assert isinstance(over, Over)
    assert over.name == "messages_per_day"
    assert over.wait_s is not None
    assert DAY_S - 60 <= over.wait_s <= DAY_S + 60


def test_more_than_a_limit_at_once_is_never_possible(table: Sending) -> None:
    over = take(table, Caps(recipients_per_hour=1), BOB, CAROL)
    assert isinstance(over, Over)
    assert over.wait_s is None
    nothing = take(table, Caps(messages_per_day=0))
    assert isinstance(nothing, Over)
    assert nothing.wait_s is None


def test_a_recipient_is_new_until_a_message_to_it_was_accepted(table: Sending) -> None:
    caps = Caps(new_recipients_per_day=2)
    first = take(table, caps, BOB)
    assert isinstance(first, Ticket)
    assert (first.new, first.unknown) == (1, (BOB,))
    table.give_back(first)
    again = take(table, caps, BOB)
    assert isinstance(again, Ticket)
    table.learn(1, again.unknown, NOW)
    assert table.knows(1, BOB)
    assert not table.knows(2, BOB)
    for _ in range(5):
        known = take(table, caps, BOB)
        assert isinstance(known, Ticket)
        assert (known.new, known.unknown) == (0, ())
    assert isinstance(take(table, caps, BOB, CAROL), Ticket)
    assert isinstance(take(table, caps, "dave@far.example"), Over)
    assert isinstance(take(table, caps, BOB), Ticket)


def test_two_messages_at_once_to_the_same_new_recipient_both_count(table: Sending) -> None:
    # One of them may still be refused: the other must not have learned from it.
    caps = Caps(new_recipients_per_day=5)
    one, two = take(table, caps), take(table, caps)
    assert isinstance(one, Ticket)
    assert isinstance(two, Ticket)
    assert (one.new, two.new) == (1, 1)


def test_in_the_first_days_recipients_are_learned_and_not_counted(table: Sending) -> None:
    ticket = take(table, Caps(new_recipients_per_day=0), counts_new=False)
    assert isinstance(ticket, Ticket)
    assert (ticket.new, ticket.unknown) == (0, (BOB,))


def test_a_correspondent_stays_one_while_written_to(table: Sending, path: Path) -> None:
    table.learn(1, [BOB, CAROL], NOW)
    later = take(table, Caps(), BOB, now=NOW + 300 * DAY_S)
    assert isinstance(later, Ticket)
    assert later.new == 0
    table.learn(1, later.unknown, NOW + 300 * DAY_S)
    sending.purge(path, now=NOW + 500 * DAY_S, keep_days=400)
    assert (table.knows(1, BOB), table.knows(1, CAROL)) == (True, False)


def test_a_clock_set_back_frees_nothing_and_one_far_ahead_blocks_nobody(table: Sending) -> None:
    # F28, Q23
    caps = Caps(messages_per_hour=1)
    take(table, caps)
    assert isinstance(take(table, caps, now=NOW - HOUR_S / 2), Over)
    take(table, caps, now=NOW + 3650 * DAY_S, account=2)
    assert isinstance(take(table, caps, account=2), Ticket)
    assert isinstance(take(table, caps, account=2), Over)


def test_who_only_asks_is_told_the_same_and_counts_nothing(table: Sending) -> None:
    caps = Caps(messages_per_hour=1)
    assert table.check(1, caps, NOW) is None
    take(table, caps)
    over = table.check(1, caps, NOW)
    assert over is not None
    assert over.name == "messages_per_hour"
    assert table.check(1, Caps(recipients_per_hour=1), NOW) is not None
    assert table.used(1, NOW).messages_per_hour == 1


def test_counts_survive_a_restart(path: Path) -> None:
    caps = Caps(messages_per_day=1)
    first = Sending(path)
    take(first, caps)
    first.close()
    second = Sending(path)
    assert isinstance(take(second, caps), Over)
    second.close()


def test_a_notice_is_given_once_a_day_and_not_too_many(table: Sending) -> None:
    def tell(about: str, now: float = NOW) -> bool:
        return table.may_tell(1, about, most=2, now=now)

    assert [tell("a"), tell("a"), tell("b"), tell("c")] == [True, False, True, False]
    assert table.may_tell(2, "a", most=2, now=NOW)
    assert not tell("a", NOW + DAY_S - 1)
    assert tell("a", NOW + DAY_S)
    # Nor does a clock that was years ahead silence anybody.
    assert tell("z", NOW + 3650 * DAY_S)
    assert tell("z", NOW + 2 * DAY_S)


def test_what_no_limit_looks_at_is_removed(table: Sending, path: Path) -> None:
    take(table, Caps())
    table.may_tell(1, "a", most=2, now=NOW)
    assert sending.purge(path, now=NOW + DAY_S, keep_days=400) == 0
    assert sending.purge(path, now=NOW + DAY_S + 120, keep_days=400) == 2


def test_who_is_gone_for_good_leaves_nothing_behind(table: Sending) -> None:
    for account in (1, 2):
        take(table, Caps(), account=account)
        table.learn(account, [BOB], NOW)
    table.forget(1)
    assert (table.used(1, NOW).messages_per_day, table.used(2, NOW).messages_per_day) == (0, 1)
    assert (table.knows(1, BOB), table.knows(2, BOB)) == (False, True)


def test_the_start_of_counting_is_known(table: Sending) -> None:
    assert table.started_at() > 1_700_000_000


# -- against a list of everything that was sent ---------------------------------------------


def sent_within(log: list[tuple[float, int]], since: float) -> tuple[int, int]:
    young = [recipients for at, recipients in log if at > since]
    return len(young), sum(young)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.floats(0, 5_000) | st.floats(80_000, 90_000), st.integers(1, 4), st.booleans()),
        max_size=40,
    ),
    per_hour=st.integers(1, 6),
    per_day=st.integers(4, 25),
)
def test_no_window_ever_holds_more_and_nothing_is_refused_without_need(
    path: Path, steps: list[tuple[float, int, bool]], per_hour: int, per_day: int
) -> None:
    connection = open_database(path)
    connection.execute("DELETE FROM sent")
    connection.close()
    table, now = Sending(path), NOW
    caps = Caps(messages_per_hour=per_hour, recipients_per_day=per_day)
    log: list[tuple[float, int]] = []
    for pause, recipients, is_accepted in steps:
        now += pause
        to = [f"r{n}@far.example" for n in range(recipients)]
        got = table.take(1, to, caps, strangers=[], counts_new=True, now=now)
        if isinstance(got, Ticket):
            if is_accepted:
                log.append((now, recipients))
            else:
                table.give_back(got)
            assert sent_within(log, now - HOUR_S)[0] <= per_hour
            assert sent_within(log, now - DAY_S)[1] <= per_day
            continue
        # A minute counts in full: refused only for what is at most a minute too old.
        if got.name == "messages_per_hour":
            assert sent_within(log, now - HOUR_S - 60.001)[0] + 1 > per_hour
        else:
            assert sent_within(log, now - DAY_S - 60.001)[1] + recipients > per_day
        assert got.wait_s is not None
        assert 0 <= got.wait_s <= DAY_S + 60
    table.close()


# -- exact, with several processes ---------------------------------------------------------

_OPEN: dict[str, Sending] = {}


def _worker(path: str, caps: Caps, jobs: list[tuple[int, bool]], first: int) -> list[tuple[int, int]]:
    """One worker's messages: (recipients, is accepted in the end) each; gives what was accepted."""
    table = _OPEN.get(path)
    if table is None:
        for old in _OPEN.values():
            old.close()
        _OPEN.clear()
        table = _OPEN[path] = Sending(Path(path))
    done = []
    for n, (recipients, is_accepted) in enumerate(jobs):
        to = [f"r{first}-{n}-{m}@far.example" for m in range(recipients)]
        got = table.take(1, to, caps, strangers=to, counts_new=True, now=NOW)
        if isinstance(got, Over):
            continue
        if is_accepted:
            table.learn(1, got.unknown, NOW)
            done.append((1, recipients))
        else:
            table.give_back(got)
    return done


@pytest.fixture(scope="module")
def workers() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


JOBS = st.lists(st.tuples(st.integers(1, 6), st.booleans()), max_size=12)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    jobs=st.lists(JOBS, min_size=3, max_size=3),
    messages=st.integers(0, 20),
    recipients=st.integers(0, 40),
    new=st.integers(0, 40),
)
def test_several_workers_together_never_pass_a_limit_and_lose_no_count(
    path: Path,
    workers: ProcessPoolExecutor,
    jobs: list[list[tuple[int, bool]]],
    messages: int,
    recipients: int,
    new: int,
) -> None:
    connection = open_database(path)
    for table in ("sent", "correspondent"):
        connection.execute(f"DELETE FROM {table}")
    connection.close()
    caps = Caps(messages_per_hour=messages, recipients_per_day=recipients, new_recipients_per_day=new)
    futures = [workers.submit(_worker, str(path), caps, each, n) for n, each in enumerate(jobs)]
    accepted = [one for future in futures for one in future.result()]
    table = Sending(path)
    used = table.used(1, NOW)
    table.close()
    total = sum(n for _, n in accepted)
    # Never over, and what is counted is what was accepted: neither lost nor counted twice.
    assert len(accepted) <= messages
    assert total <= min(recipients, new)
    assert (used.messages_per_hour, used.recipients_per_day, used.new_recipients_per_day) == (
        len(accepted),
        total,
        total,
    )


def test_many_workers_at_the_line_get_exactly_what_is_left(path: Path, workers: ProcessPoolExecutor) -> None:
    # Q24: the 1001st of the day, whoever brings it.
    caps = Caps(messages_per_day=1_000)
    jobs = [(1, True)] * 450
    futures = [workers.submit(_worker, str(path), caps, jobs, n) for n in range(3)]
    assert sum(len(future.result()) for future in futures) == 1_000


def test_every_limit_has_a_name_of_its_own() -> None:
    assert len(set(LIMITS)) == 6
