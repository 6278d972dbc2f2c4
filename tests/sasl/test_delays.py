"""Delays for wrong passwords."""

from __future__ import annotations

from mailstack.sasl.delays import FailureDelays

CURVE = (0, 0, 0, 2, 4, 8, 15)


def test_the_delay_follows_the_curve_and_stays_at_its_end() -> None:
    delays = FailureDelays(CURVE)
    waits = [delays.failed("a@b", "192.0.2.1", password=str(n), now=float(n)) for n in range(9)]
    assert waits == [0, 0, 0, 2, 4, 8, 15, 15, 15]


def test_the_same_wrong_password_counts_once_an_hour() -> None:
    delays = FailureDelays(CURVE)
    for n in range(1000):
        assert delays.failed("a@b", "192.0.2.1", password="stale", now=float(n)) == 0
    assert delays.failed("a@b", "192.0.2.1", password="stale", now=3601.0) == 0


def test_another_network_is_not_delayed_and_a_64_is_one_network() -> None:
    delays = FailureDelays(CURVE)
    for n in range(6):
        delays.failed("a@b", "2001:db8::1", password=str(n), now=0.0)
    assert delays.failed("a@b", "2001:db8::2", password="x", now=0.0) == 15
    assert delays.failed("a@b", "2001:db8:0:1::1", password="x", now=0.0) == 0
    assert delays.failed("a@b", "192.0.2.1", password="x", now=0.0) == 0


def test_success_and_time_clear_a_row() -> None:
    delays = FailureDelays(CURVE)
    for n in range(6):
        delays.failed("a@b", "192.0.2.1", password=str(n), now=0.0)
    assert delays.failed("A@B", "192.0.2.1", password="y", now=7000.0) == 0
    delays.succeeded("a@B", "192.0.2.1")
    assert len(delays) == 0


def test_the_table_is_bounded() -> None:
    delays = FailureDelays(CURVE, capacity=10)
    for n in range(100):
        delays.failed(f"{n}@b", "192.0.2.1", password="x", now=0.0)
    assert len(delays) == 10
