"""Our Received field."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mailstack.mime.header import Headers
from mailstack.model.address import Address
from mailstack.model.envelope import Client, Envelope, Recipient
from mailstack.smtp.received import build


def field(helo: str = "client.example", *, count: int = 1, **client: object) -> bytes:
    facts = Client(ip="192.0.2.7", port=1, helo=helo)
    facts = Client(**{**{n: getattr(facts, n) for n in ("ip", "port", "helo")}, **client})  # type: ignore[arg-type]
    return build(
        Envelope(
            accept_id="abc",
            client=facts,
            reverse_path=None,
            recipients=tuple(Recipient(Address(f"r{n}", "example.test"), n) for n in range(1, count + 1)),
            received_at=1_763_776_800.0,
        ),
        "mx.example.test",
    )


def test_the_field_says_who_how_for_whom_and_when() -> None:
    assert field(tls="TLSv1.3 X") == (
        b"Received: from client.example ([192.0.2.7])\r\n\tby mx.example.test with ESMTPS id abc\r\n"
        b"\t(tls TLSv1.3 X)\r\n\tfor <r1@example.test>;\r\n\tSat, 22 Nov 2025 02:00:00 +0000\r\n"
    )


@pytest.mark.parametrize(
    ("client", "word"),
    [
        ({}, "SMTP"),
        ({"tls": "x"}, "SMTPS"),
        ({"tls": "x", "login": "a@example.test"}, "SMTPSA"),
        ({"listener": "lmtp"}, "LMTP"),
        ({"listener": "lmtp", "tls": "x"}, "LMTPS"),
    ],
)
def test_mail_in_any_script_is_named_so(client: dict[str, str], word: str) -> None:
    # RFC 6531 section 4.3; RFC 6532 section 3.2
    envelope = Envelope(
        accept_id="abc",
        client=Client("192.0.2.7", 1, "client.example", **client),  # type: ignore[arg-type]
        reverse_path=None,
        recipients=(Recipient(Address("jörg", "example.test"), 1),),
        received_at=0.0,
        smtputf8=True,
    )
    text = build(envelope, "mx.example.test").decode()
    assert f"with UTF8{word} id abc\r\n" in text
    assert "\tfor <jörg@example.test>;\r\n" in text
    assert "for <" not in build(replace(envelope, smtputf8=False), "mx.example.test").decode()


def test_several_recipients_are_not_shown() -> None:
    # RFC 5321 section 7.6
    assert b"for <" not in field(count=2)


def test_the_address_of_a_user_is_not_shown() -> None:
    out = field(login="alice@example.test", tls="x", listener="submissions")
    assert b"192.0.2.7" not in out
    assert b"with ESMTPSA id" in out


def test_ipv6_is_written_as_a_literal() -> None:
    assert b"([IPv6:2001:db8::1])" in field(ip="2001:db8::1")


@pytest.mark.parametrize(
    "helo",
    [
        "a;\r\nX: y",
        "x) by forged.example (z",
        '"quoted"',
        "\u202eevil",
        "a b",
        "\\",
        "",
        "x" * 1000,
        *[f"a{chr(n)}b" for n in range(0xA0)],
    ],
    ids=lambda helo: repr(helo[:20]),
)
def test_no_name_can_forge_a_field_or_a_comment(helo: str) -> None:
    # S22, T92
    out = field(helo)
    parsed = Headers.parse(out + b"\r\n")
    assert len(parsed.fields) == 1
    assert out.isascii()
    value = (parsed.first("received") or b"").replace(b"\t", b" ")
    assert value.count(b" by ") == 1 or b"(helo=" in value
    assert value.count(b"(") == value.count(b")")
    assert not any(octet < 0x20 for octet in value)
    assert max(map(len, out.split(b"\r\n"))) < 500
