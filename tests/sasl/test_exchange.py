"""SASL PLAIN and LOGIN."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.sasl.exchange import (
    MAX_LINE_OCTETS,
    Challenge,
    Credentials,
    SaslCancelled,
    SaslError,
    decode,
    start,
)


def plain(octets: bytes) -> Credentials:
    exchange = start("plain")
    assert exchange is not None
    step = exchange.respond(b64encode(octets) or b"=")
    assert isinstance(step, Credentials)
    return step


def test_plain_gives_login_and_password() -> None:
    # RFC 4616 section 2
    assert plain(b"\0alice@example.test\0pa$$w0rd") == Credentials("alice@example.test", "pa$$w0rd")


def test_plain_without_an_initial_response_asks_with_an_empty_challenge() -> None:
    # RFC 4954 section 4
    exchange = start("PLAIN")
    assert exchange is not None
    assert exchange.respond(None) == Challenge(b"")
    assert exchange.respond(b64encode(b"\0a\0b")) == Credentials("a", "b")


@pytest.mark.parametrize(
    "octets",
    [b"", b"nonul", b"one\0nul", b"a\0b\0c\0d", b"\0\0password", b"\0user\0", b"\0\0"],
    ids=repr,
)
def test_malformed_plain_is_refused(octets: bytes) -> None:
    with pytest.raises(SaslError):
        plain(octets)


@pytest.mark.parametrize(
    "line",
    [
        b"not base64!",
        b"YWJj\n",
        b" YWJj",
        b"YWJj ",
        b"YWI",
        b"YWI=x",
        b"YWI==",
        b"Y===",
        b"====",
        b"YWJjYWI=YWJj",
        b"YWJ=",  # unused bits set: not canonical
        b"A" * (MAX_LINE_OCTETS + 4),
        b"\xff\xff\xff\xff",
    ],
    ids=lambda line: repr(line[:16]),
)
def test_base64_is_strict(line: bytes) -> None:
    with pytest.raises(SaslError):
        decode(line)


def test_a_line_of_the_limit_is_taken() -> None:
    assert len(decode(b"A" * MAX_LINE_OCTETS)) == MAX_LINE_OCTETS // 4 * 3


def test_a_lone_equals_sign_is_the_empty_response() -> None:
    assert decode(b"=") == b""


def test_acting_for_is_empty_when_it_names_the_login_itself() -> None:
    assert plain(b"alice\0alice\0x").acting_for == ""
    assert plain(b"bob\0alice\0x").acting_for == "bob"


def test_a_latin1_password_is_understood() -> None:
    assert plain(b"\0a\0gr\xfcn").password == "grün"
    assert plain("\0a\0grün".encode()).password == "grün"


def test_credentials_never_show_the_password() -> None:
    assert "secret" not in repr(plain(b"\0a\0secret"))


def test_login_prompts_for_name_and_password() -> None:
    exchange = start("LOGIN")
    assert exchange is not None
    assert exchange.respond(None) == Challenge(b64encode(b"Username:"))
    assert exchange.respond(b64encode(b"alice")) == Challenge(b64encode(b"Password:"))
    assert exchange.respond(b64encode(b"x$y")) == Credentials("alice", "x$y")


def test_login_takes_the_name_as_initial_response() -> None:
    exchange = start("login")
    assert exchange is not None
    assert exchange.respond(b64encode(b"alice")) == Challenge(b64encode(b"Password:"))
    assert exchange.respond(b64encode(b"x")) == Credentials("alice", "x")


def test_login_keeps_nul_and_line_ends_in_the_name() -> None:
    exchange = start("LOGIN")
    assert exchange is not None
    exchange.respond(b64encode(b"a\0b\r\nc"))
    step = exchange.respond(b64encode(b"x"))
    assert isinstance(step, Credentials)
    assert step.login == "a\0b\r\nc"


@pytest.mark.parametrize("lines", [[None, b"*"], [None, b"YQ==", b"*"], [b"*"]], ids=repr)
def test_a_star_cancels(lines: list[bytes | None]) -> None:
    exchange = start("LOGIN")
    assert exchange is not None
    *before, last = lines
    for line in before:
        exchange.respond(line)
    with pytest.raises(SaslCancelled):
        exchange.respond(last)


@pytest.mark.parametrize("lines", [[b"="], [None, b"="], [b"YQ==", b"="], [None, None]], ids=repr)
def test_an_empty_name_or_password_is_refused(lines: list[bytes | None]) -> None:
    exchange = start("LOGIN")
    assert exchange is not None
    *before, last = lines
    for line in before:
        exchange.respond(line)
    with pytest.raises(SaslError):
        exchange.respond(last)


def test_unknown_mechanisms_are_none() -> None:
    assert start("XOAUTH2") is None
    assert start("") is None


@given(st.lists(st.binary(max_size=40), max_size=5), st.sampled_from(["PLAIN", "LOGIN"]))
def test_any_lines_give_steps_or_the_own_error(lines: list[bytes], mechanism: str) -> None:
    exchange = start(mechanism)
    assert exchange is not None
    for line in lines:
        try:
            step = exchange.respond(line)
        except SaslError:
            return
        if isinstance(step, Credentials):
            return
