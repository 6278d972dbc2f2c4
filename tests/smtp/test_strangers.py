"""Other protocols on our port."""

from __future__ import annotations

import pytest

from mailstack.smtp.strangers import is_foreign, speaks_tls


@pytest.mark.parametrize(
    "line",
    [b"GET / HTTP/1.1", b"post /x HTTP/1.0", b"CONNECT a:25", b"SSH-2.0-x", b"Host: a", b"User-Agent: b"],
)
def test_foreign_lines_are_known(line: bytes) -> None:
    assert is_foreign(line)


@pytest.mark.parametrize(
    "line", [b"", b"GET", b"EHLO x", b"MAIL FROM: <a@b>", b"RCPT TO: <a@b>", b"NOOP a: b", b"HELP", b"\xff"]
)
def test_our_own_are_not(line: bytes) -> None:
    assert not is_foreign(line)


def test_the_first_octets_of_tls_and_ssl_2_are_known() -> None:
    assert speaks_tls(b"\x16\x03\x01\x02\x00")
    assert speaks_tls(b"\x80\x2e\x01")
    for held in (b"", b"\x16", b"\x16\x03", b"EHLO", b"\xc3\xa4\xc3", b"\x16\x02\x01"):
        assert not speaks_tls(held)
