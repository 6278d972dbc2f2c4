"""Section [smtp]."""

from __future__ import annotations

import msgspec
import pytest

from mailstack.model.errors import ConfigError
from mailstack.smtp.options import SmtpOptions, cap


def test_the_defaults_are_those_of_the_limits() -> None:
    # limits, sections 1, 2 and 7
    options = SmtpOptions()
    assert (options.mx_sessions, options.mx_sessions_per_ip) == (500, 20)
    assert (options.command_octets, options.auth_octets, options.line_octets) == (2048, 12_288, 65_536)
    assert (options.message_octets, options.free_message_octets) == (50 * 1024 * 1024, 25 * 1024 * 1024)
    assert (options.mx_recipients, options.normal_recipients, options.free_recipients) == (100, 100, 10)
    assert (options.errors, options.errors_before_recipient, options.junk_commands) == (20, 10, 50)
    assert options.login_delays_s == (0, 0, 0, 2, 4, 8, 15)


def test_off_takes_a_limit_away_and_zero_is_zero() -> None:
    options = msgspec.convert({"mx_sessions": "off", "junk_commands": 0}, SmtpOptions)
    assert cap(options.mx_sessions) is None
    assert cap(options.junk_commands) == 0
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"mx_sessions": "many"}, SmtpOptions)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("command_octets", 511),
        ("auth_octets", 100),
        ("line_octets", 999),
        ("mx_recipients", 99),
        ("message_octets", 65_535),
        ("login_delays_s", ()),
    ],
)
def test_what_cannot_work_is_refused_with_its_key(key: str, value: object) -> None:
    with pytest.raises(ConfigError) as error:
        SmtpOptions(**{key: value})  # type: ignore[arg-type]
    assert error.value.key.startswith("smtp.")


@pytest.mark.parametrize(("key", "most"), [("header_octets", 524_288), ("header_fields", 1000)])
def test_no_more_header_is_taken_than_is_looked_at(key: str, most: int) -> None:
    SmtpOptions(**{key: most})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=f"at most {most}"):
        SmtpOptions(**{key: most + 1})  # type: ignore[arg-type]
