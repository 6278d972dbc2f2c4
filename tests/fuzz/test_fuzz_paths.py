"""MAIL and RCPT arguments: an address that prints and parses back, or the own error."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from mailstack.model.address import Address
from mailstack.model.errors import PeerError
from mailstack.smtp.command import Dialect, parse, parse_mail, parse_rcpt
from tests.kit.fuzzing import FUZZ

MARKS = [b"<", b">", b"@", b'"', b"\\", b".", b",", b":", b"[", b"]", b" ", b"a", b"%", b"!"]
WORDS = [b"example.test", b"postmaster", b"192.0.2.1", b"IPv6:", b"::1", b"@a,@b:", b"x" * 70]
LETTERS = ["ä".encode(), "\u202e".encode(), b"\xff"]
PARAMETERS = [b"SIZE=", b"1", b"BODY=7BIT", b"SMTPUTF8", b"ORCPT=rfc822;", b"+3D", b"NOTIFY=NEVER"]
PIECES = st.sampled_from([*MARKS, *WORDS, *LETTERS, *PARAMETERS])
ARGUMENT = st.lists(st.one_of(PIECES, st.binary(max_size=3)), max_size=14).map(b"".join)
DIALECTS = st.builds(Dialect, st.booleans(), st.booleans(), st.booleans())


@FUZZ
@given(ARGUMENT, DIALECTS, st.booleans())
def test_a_recipient_prints_and_parses_back_or_is_refused(
    argument: bytes, dialect: Dialect, has_utf8: bool
) -> None:
    try:
        command = parse(b"RCPT TO:<" + argument)
        address = parse_rcpt(command.argument, dialect, has_utf8=has_utf8).address
    except PeerError as error:
        assert error.reply.code in (500, 501, 553, 555)
        return
    if address.domain:
        assert Address.parse(str(address)).key == address.key
    assert not any(ord(character) < 32 for character in str(address))
    assert has_utf8 or address.is_ascii


@FUZZ
@given(ARGUMENT, DIALECTS)
def test_a_sender_is_read_or_refused(argument: bytes, dialect: Dialect) -> None:
    try:
        mail = parse_mail(parse(b"MAIL FROM:" + argument).argument, dialect)
    except PeerError as error:
        assert error.reply.code in (500, 501, 553, 555)
        return
    assert mail.size_octets >= 0
    assert mail.smtputf8 or mail.reverse_path is None or mail.reverse_path.is_ascii


def test_paths_that_never_end_take_no_time() -> None:
    before = time.perf_counter()
    for piece in (b"a", b'"', b'\\"', b'"a', b"@a,", b"@[", b"<", b'"\\'):
        for keyword in (b"TO:<", b"TO:<@"):
            try:
                parse_rcpt(keyword + piece * (2000 // len(piece)), Dialect(bare_paths=True), has_utf8=True)
            except PeerError:
                pass
    assert time.perf_counter() - before < 5
