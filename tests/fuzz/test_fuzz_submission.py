"""Devices may say what they like: the session answers, and only a login or a known address sends."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailstack.smtp.submission import tolerable_hello
from tests.fuzz.test_fuzz_smtp import LINES, REPLY
from tests.kit.accounts import PRINTER
from tests.kit.bare_smtp import BareSmtp
from tests.kit.fuzzing import FUZZ
from tests.kit.smtp_acceptor import FakeAcceptor

DEVICE_LINES = st.lists(
    st.sampled_from(
        [
            b"HELO\r\n",
            b"EHLO \xff\t\x01\r\n",
            b"MAIL FROM: scan\r\n",
            b"MAIL FROM:<\xff>\r\n",
            b"MAIL FROM:" + b"<" * 40 + b"\r\n",
            b"AUTH PLAIN AHByaW50ZXJAZXhhbXBsZS50ZXN0AHByaW50ZXItcHc=\r\n",
            b"RCPT TO: bob@example.test\r\n",
            b"DATA\r\n",
            b"x\r\n.\r\n",
            b"RSET\r\n",
        ]
    )
    | st.binary(max_size=12)
)


@FUZZ
@given(
    st.lists(LINES | DEVICE_LINES, max_size=4), st.sampled_from(["submission", "submissions"]), st.booleans()
)
def test_any_octets_on_a_submission_port(blocks: list[list[bytes]], name: str, is_known: bool) -> None:
    acceptor = FakeAcceptor(devices={"192.0.2.7": PRINTER} if is_known else {})
    session = BareSmtp(name, acceptor=acceptor)
    for octets in (octets for block in blocks for octets in block):
        session.send(octets)
    for said in session._lines:
        assert REPLY.match(said.rstrip(b"\r\n")), said
    for envelope, _, _ in acceptor.taken:
        assert envelope.client.login
        assert is_known or acceptor.logins
        if envelope.client.login == str(PRINTER.address):
            assert envelope.sender in ("", str(PRINTER.address))


@FUZZ
@given(st.binary(max_size=400))
def test_any_hello_is_a_word_of_printable_ascii(rest: bytes) -> None:
    line = tolerable_hello(b"EHLO " + rest)
    name = line.removeprefix(b"EHLO ")
    assert 1 <= len(name) <= 255
    assert all(0x21 <= octet <= 0x7E for octet in name)
