"""When to try again, and when to give up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.delivery import schedule
from mailstack.delivery.options import QueueOptions

DEFAULTS = QueueOptions()
CALM = QueueOptions(jitter_percent=0)


def wait(tries: int, *, waited_s: float = 0, chance: float = 0.5, options: QueueOptions = CALM) -> float:
    return schedule.next_wait_s(tries, waited_s=waited_s, kind="submission", chance=chance, options=options)


def test_waits_double_from_five_minutes_up_to_67() -> None:
    # Limits, section 9: 0, 5, 10, 20, 40 min, then every 4000 s.
    assert [wait(n) for n in range(1, 8)] == [300, 600, 1200, 2400, 4000, 4000, 4000]


@pytest.mark.parametrize(("chance", "factor"), [(0.0, 0.9), (0.5, 1.0), (1.0, 1.1)])
def test_every_wait_has_ten_percent_of_jitter(chance: float, factor: float) -> None:
    assert wait(1, chance=chance, options=DEFAULTS) == pytest.approx(300 * factor)


def test_the_last_wait_ends_at_the_give_up_time() -> None:
    assert wait(110, waited_s=432_000 - 100) == 100


def test_no_attempt_at_all_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="attempt"):
        wait(0)


def test_mail_is_given_up_after_five_days_and_our_reports_after_two() -> None:
    assert not schedule.is_over(432_000 - 1, "submission", DEFAULTS)
    assert schedule.is_over(432_000, "submission", DEFAULTS)
    assert not schedule.is_over(172_799, "dsn", DEFAULTS)
    assert schedule.is_over(172_800, "dsn", DEFAULTS)
    assert schedule.is_over(172_800, "vacation", DEFAULTS)
    assert not schedule.is_over(172_800, "forward", DEFAULTS)


def test_the_delay_notice_is_due_after_four_hours() -> None:
    assert not schedule.is_late(14_399, DEFAULTS)
    assert schedule.is_late(14_400, DEFAULTS)


@pytest.mark.parametrize("jump_s", [86_400, 10 * 365 * 86_400, 1e11])
def test_a_clock_set_forward_makes_nothing_old(jump_s: float) -> None:
    # F28: no early bounces
    added = schedule.waited_more_s(1_000, 1_000 + jump_s, DEFAULTS)
    assert added <= DEFAULTS.max_wait_s * 1.1 + DEFAULTS.lease_s


@pytest.mark.parametrize("jump_s", [-1, -3_600, -1e10])
def test_a_clock_put_back_makes_nothing_younger(jump_s: float) -> None:
    assert schedule.waited_more_s(1_000, 1_000 + jump_s, DEFAULTS) == 0


@given(st.integers(1, 10**6), st.floats(0, 1e9), st.floats(0, 1))
def test_a_wait_is_always_positive_and_never_longer_than_the_furthest(
    tries: int, waited_s: float, chance: float
) -> None:
    assert 0 < wait(tries, waited_s=waited_s, chance=chance, options=DEFAULTS) < schedule.furthest_s(DEFAULTS)


def test_about_110_attempts_in_five_days() -> None:
    waited_s, tries = 0.0, 1
    while not schedule.is_over(waited_s, "submission", CALM):
        waited_s += wait(tries, waited_s=waited_s)
        tries += 1
    assert waited_s == 432_000
    assert 105 < tries < 120
