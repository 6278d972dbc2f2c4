"""Error, junk and harvest counters."""

from __future__ import annotations

from mailstack.smtp.options import SmtpOptions
from mailstack.smtp.policy.errors import Counters


def test_errors_are_delayed_after_five_and_end_the_session_at_ten_before_a_recipient() -> None:
    counters = Counters(SmtpOptions())
    penalties = [counters.error() for _ in range(10)]
    assert [p.delay_s for p in penalties] == [0] * 5 + [1.0] * 5
    assert [p.goodbye is not None for p in penalties] == [False] * 9 + [True]


def test_errors_end_the_session_at_twenty_after_a_good_recipient() -> None:
    # S19
    counters = Counters(SmtpOptions())
    counters.good_recipient()
    penalties = [counters.error() for _ in range(20)]
    assert [p.goodbye is not None for p in penalties] == [False] * 19 + [True]


def test_the_fifty_first_junk_command_ends_the_session() -> None:
    # S18
    counters = Counters(SmtpOptions())
    assert [counters.junk().goodbye is not None for _ in range(51)] == [False] * 50 + [True]


def test_a_message_forgives_errors_and_junk_but_not_guesses() -> None:
    counters = Counters(SmtpOptions())
    for _ in range(19):
        counters.unknown_recipient()
    for _ in range(50):
        counters.junk()
    for _ in range(9):
        counters.error()
    counters.message_taken()
    assert counters.junk().goodbye is None
    assert counters.error().goodbye is None
    last = counters.unknown_recipient()
    assert last.goodbye is not None
    assert last.goodbye.code == 421


def test_unknown_recipients_are_delayed_after_five() -> None:
    # S44, T12
    counters = Counters(SmtpOptions())
    assert [counters.unknown_recipient().delay_s for _ in range(6)] == [0] * 5 + [1.0]


def test_off_means_never_and_stress_means_at_once() -> None:
    counters = Counters(SmtpOptions(errors="off", errors_before_recipient="off", junk_commands="off"))
    assert all(counters.error().goodbye is None for _ in range(500))
    assert all(counters.junk().goodbye is None for _ in range(500))
    stressed = Counters(SmtpOptions())
    assert stressed.junk(stressed=True).goodbye is None
    assert stressed.junk(stressed=True).goodbye is not None
    assert stressed.error(stressed=True).goodbye is not None


def test_what_was_in_the_pipe_behind_a_refused_sender_is_excused_so_far() -> None:
    counters = Counters(SmtpOptions())
    assert not counters.is_excused()
    counters.excuse()
    assert [counters.is_excused() for _ in range(103)] == [True] * 101 + [False] * 2
    counters.excuse()
    assert counters.is_excused()
