"""Messages as ASCII in short lines: what changes, what does not, and what it says afterwards."""

from __future__ import annotations

import binascii
import email
import email.policy
import mmap
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.mime import refold, sevenbit, text
from mailstack.mime.header import find_end
from mailstack.mime.lines import normalise
from mailstack.mime.scanner import Part, scan
from mailstack.mime.sevenbit import is_plain, make_plan, write_body
from tests.kit import corpus

LONG = b"x" * 1200


def travelling(message: bytes) -> bytes:
    """The whole message, as it leaves."""
    plan = make_plan(message)
    block = message[: find_end(message)[0]]
    return refold.put_right(block, fields=plan.fields) + b"".join(write_body(message, plan))


def leaves(message: bytes) -> Iterator[Part]:
    work = [scan(message)]
    while work:
        part = work.pop(0)
        work = [*part.children, *work]
        if not part.children:
            yield part


def contents(message: bytes) -> list[bytes]:
    return [text.content(message, part).rstrip(b"\r\n") for part in leaves(message)]


def mixed(*parts: bytes, head: bytes = b"", preamble: bytes = b"", kind: bytes = b"mixed") -> bytes:
    inner = b"".join(b"--b\r\n" + part + b"\r\n" for part in parts)
    return (
        b"From: a@b\r\nMIME-Version: 1.0\r\n"
        + head
        + b"Content-Type: multipart/%b; boundary=b\r\n\r\n%b" % (kind, preamble)
        + inner
        + b"--b--\r\n"
    )


def test_a_message_of_short_ascii_lines_is_left_octet_for_octet() -> None:
    message = mixed(b"\r\nhello =20\r\n", b"Content-Transfer-Encoding: 8bit\r\n\r\nplain\r\n")
    assert make_plan(message).is_empty
    assert travelling(message) == message


@pytest.mark.parametrize(("octets", "is_fine"), [(998, True), (999, False), (70_000, False)])
def test_a_line_of_998_octets_is_short_enough(octets: int, is_fine: bool) -> None:
    # RFC 5321 section 4.5.3.1.6; S5
    line = b"y" * octets
    message = b"From: a@b\r\n\r\nfirst\r\n" + line + b"\r\nlast\r\n"
    out = travelling(message)
    assert (out == message) is is_fine
    assert max(map(len, out.split(b"\r\n"))) <= 998
    assert contents(out) == contents(message)


def test_eight_bit_text_becomes_quoted_printable_and_says_the_same() -> None:
    message = (
        b"From: a@b\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: 8bit\r\n\r\nGr\xc3\xbc\xc3\x9fe =  \r\n.\r\nFrom here\r\n"
    )
    out = travelling(message)
    assert out.isascii()
    assert b"Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe" in out
    assert out.count(b"Content-Transfer-Encoding") == 1
    assert contents(out) == [b"Gr\xc3\xbc\xc3\x9fe =  \r\n.\r\nFrom here"]


def test_text_that_is_mostly_eight_bit_becomes_base64() -> None:
    words = "漢字かな交じり文\r\n".encode() * 30
    head = b"From: a@b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    out = travelling(head + words)
    assert b"Content-Transfer-Encoding: base64" in out
    assert contents(out) == [words.rstrip(b"\r\n")]


@pytest.mark.parametrize(
    ("body", "charset"), [("é\r\n".encode(), b"utf-8"), (b"\xe9\r\n", b"unknown-8bit"), (LONG, b"")]
)
def test_text_without_a_label_gets_one_that_is_true(body: bytes, charset: bytes) -> None:
    # RFC 1428 section 3
    out = travelling(b"From: a@b\r\n\r\n" + body)
    root = scan(out)
    assert b"MIME-Version: 1.0\r\n" in out
    assert (root.parameter("charset") or "").encode() == charset
    assert contents(out) == [body.rstrip(b"\r\n")]


@pytest.mark.parametrize(
    ("kind", "body", "becomes"),
    [
        (b"text/html", "schöner Text für alle", b"text/html; charset=utf-8"),
        (
            b"text/plain; charset=US-ASCII; format=flowed",
            "schöner Text",
            b"text/plain; format=flowed; charset=utf-8",
        ),
        (b'text/calendar; name="a b.ics"', "schöner Text", b'text/calendar; name="a b.ics"; charset=utf-8'),
        (b"text/plain; charset=iso-8859-1", "schöner Text", b"text/plain; charset=iso-8859-1"),
        (b"text/html", "caf\udce9 and cake", b"text/html"),
        (b"text/plain", "w" * 1000, b"text/plain"),
        (b"image/svg", "schöner Text", b"image/svg"),
    ],
)
def test_a_charset_is_said_where_the_writer_forgot_it(kind: bytes, body: str, becomes: bytes) -> None:
    octets = body.encode("utf-8", "surrogateescape")
    out = travelling(mixed(b"Content-Type: " + kind + b"\r\n\r\n" + octets))
    assert scan(out).children[0].fields[b"content-type"] == becomes
    assert contents(out) == [octets]


def test_only_the_part_that_needs_it_is_changed() -> None:
    fine = b"Content-Type: text/html\r\n\r\n<p>fine</p>\r\n"
    out = travelling(mixed(fine, b"Content-Type: text/plain; charset=utf-8\r\n\r\n\xc3\xa4\r\n"))
    assert out.isascii()
    assert fine in out


def test_base64_in_one_line_is_cut_without_being_decoded() -> None:
    # Some scanners write their attachment so.
    body = b"QUJD" * 1000
    part = b"Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n%b\r\n" % body
    out = travelling(mixed(part))
    assert max(map(len, out.split(b"\r\n"))) <= 76
    assert contents(out) == [b"ABC" * 1000]


def test_quoted_printable_with_long_lines_gets_short_ones() -> None:
    body = b"=C3=A4" + b"z" * 2000 + b" =3D\r\nsecond\r\n"
    part = b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + body
    out = travelling(mixed(part))
    assert max(map(len, out.split(b"\r\n"))) <= 76
    assert contents(out) == ["ä".encode() + b"z" * 2000 + b" =\r\nsecond"]


def test_a_raw_attachment_becomes_base64() -> None:
    blob = bytes(range(256)) * 20
    part = b"Content-Type: image/tiff\r\nContent-Transfer-Encoding: binary\r\n\r\n" + blob
    out = travelling(mixed(part, head=b"Content-Transfer-Encoding: binary\r\n"))
    assert out.isascii()
    assert b"Content-Transfer-Encoding: 7bit\r\nContent-Type: multipart/mixed" in out
    assert contents(out) == [blob]


@pytest.mark.parametrize("kind", [b"signed", b"encrypted", b"SIGNED"])
def test_nothing_inside_signed_or_encrypted_mail_is_touched(kind: bytes) -> None:
    # RFC 1847 section 2.1
    message = mixed(b"\r\n\xc3\xa4 " + LONG + b"\r\n", kind=kind, preamble=b"\xff\r\n")
    assert travelling(message) == message
    outer = mixed(
        message.partition(b"\r\nMIME-Version: 1.0\r\n")[2]
        .replace(b"=b\r\n", b"=i\r\n")
        .replace(b"--b", b"--i")
    )
    assert b"\xc3\xa4 " + LONG in travelling(outer)


def test_an_enclosed_message_is_changed_inside_never_encoded_as_a_whole() -> None:
    # RFC 2046 section 5.2.1
    inner = b"Subject: \xc3\xa4\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nsch\xc3\xb6n und gut\r\n"
    out = travelling(mixed(b"Content-Type: message/rfc822\r\n\r\n" + inner))
    assert out.isascii()
    part = scan(out).children[0]
    assert part.is_message
    assert part.encoding == "7bit"
    enclosed = part.children[0]
    assert enclosed.encoding == "quoted-printable"
    assert enclosed.fields[b"subject"].startswith(b"=?utf-8?b?")
    assert contents(out) == ["schön und gut".encode()]


def test_a_global_message_becomes_base64_as_a_whole() -> None:
    # RFC 6532 section 3.7
    inner = "To: ü@ü.example\r\n\r\nö".encode()
    out = travelling(mixed(b"Content-Type: message/global\r\n\r\n" + inner))
    assert out.isascii()
    assert scan(out).children[0].encoding == "base64"


@pytest.mark.parametrize("kind", [b"message/partial; id=1", b"message/external-body"])
def test_other_messages_stay_as_they_are(kind: bytes) -> None:
    message = mixed(b"Content-Type: " + kind + b"\r\n\r\n\xc3\xa4\r\n")
    assert travelling(message) == message


def test_what_stands_between_parts_is_cut_and_never_becomes_a_boundary() -> None:
    preamble = b"p" * 997 + b"--b\r\n\xff for old readers\r\n"
    out = travelling(mixed(b"\r\none\r\n", preamble=preamble))
    assert out.isascii()
    assert b"\r\n --b\r\n? for old readers\r\n" in out
    assert contents(out) == [b"one"]


def test_file_names_in_eight_bit_are_kept() -> None:
    part = b'Content-Type: application/pdf; name="R\xc3\xbcckruf.pdf"\r\n'
    part += b'Content-Disposition: attachment; filename="R\xfcckruf 1.pdf"\r\n\r\nx\r\n'
    out = travelling(mixed(part))
    assert out.isascii()
    found = scan(out).children[0]
    assert found.filename == "Rückruf 1.pdf"
    assert found.parameter("name") == "Rückruf.pdf"


def test_a_part_of_nothing_but_a_header_keeps_its_neighbours() -> None:
    out = travelling(mixed(b"Content-Description: \xc3\xa4", b"\r\ntwo\r\n"))
    assert out.isascii()
    assert [part.content_type for part in leaves(out)] == ["text/plain", "text/plain"]
    assert contents(out)[1] == b"two"


def test_a_mapped_file_gives_the_same_as_octets(tmp_path: Path) -> None:
    message = mixed(*(b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + b"\xc3\xa4bc\r\n" * 20_000,) * 2)
    file = tmp_path / "message"
    file.write_bytes(message)
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as octets:
        pieces = list(write_body(octets, make_plan(octets)))
    assert b"".join(pieces) == b"".join(write_body(message, make_plan(message)))
    assert max(map(len, pieces)) < 1_000_000


@pytest.mark.parametrize("kind", ["qp", "8bit", "binary", "gap"])
def test_a_line_without_end_is_never_held_whole(kind: str) -> None:
    long = "ä€x yz= ".encode() * 100_000
    if kind == "qp":
        soft = b"=C3=A4 abc =\r\n" * 60_000 + b"\xc3\xa4"
        message = mixed(b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + soft)
    elif kind == "gap":
        message = mixed(b"\r\none\r\n", preamble=long + b"\r\n")
    else:
        words = long if kind == "8bit" else b"word and word \r" * 60_000
        message = mixed(b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + words)
    pieces = list(write_body(message, make_plan(message)))
    assert max(map(len, pieces)) < 400_000
    out = travelling(message)
    most = 998 if kind == "gap" else 76
    assert max(map(len, out.split(b"\r\n"))) <= most
    assert contents(out) == contents(message)


@given(st.integers(0, 90), st.sampled_from([b"x", b"=", b"\xc3\xa4", b" "]))
def test_a_line_that_goes_on_leaves_room_for_its_sign(octets: int, last: bytes) -> None:
    pieces = [b"w" * octets + last, b"next"]
    out = b"".join(sevenbit._quoted(iter(pieces)))
    assert max(map(len, out.split(b"\r\n"))) <= 76
    assert binascii.a2b_qp(out) == b"".join(pieces)


def test_real_mail_says_the_same_afterwards() -> None:
    changed = 0
    for name, octets in corpus.messages(every=5):
        message = normalise(octets)
        out = travelling(message)
        assert max(map(len, out.split(b"\r\n"))) <= 998, name
        assert sevenbit.is_plain(out, find_end(out)[1]), name
        assert contents(out) == contents(message), name
        assert [part.filename for part in leaves(out)] == [part.filename for part in leaves(message)], name
        changed += out != message
    assert changed > 10


TEXTS = st.text(st.sampled_from("aä=. \t漢\r\n\0-"), max_size=60)
POLICY = email.policy.SMTP.clone(cte_type="8bit", max_line_length=0)


@given(st.lists(TEXTS, min_size=1, max_size=3), st.integers(0, 1200))
def test_what_another_parser_reads_stays_the_same(texts: list[str], padding: int) -> None:
    parts = []
    for said in texts:
        lines = "\r\n".join(said.replace("\0", "").splitlines())
        parts.append(
            b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
            + lines.encode()
            + b"w" * padding
        )
    message = mixed(*parts)
    out = travelling(message)
    assert out.isascii()
    assert max(map(len, out.split(b"\r\n"))) <= 998
    before, after = (_read(octets) for octets in (message, out))
    assert before == after


def _read(octets: bytes) -> list[str]:
    message = email.message_from_bytes(octets, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    found = []
    for part in message.iter_parts():
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        found.append(payload.decode())
    return found


@given(st.binary(max_size=80), st.integers(0, 3), st.integers(990, 1010))
def test_plain_is_what_it_says_wherever_it_is_cut(junk: bytes, lines: int, octets: int) -> None:
    data = b"a\r\n" * lines + b"z" * octets + b"\r\n" + junk
    expected = (
        data.isascii()
        and b"\0" not in data
        and data.count(b"\r") == data.count(b"\n") == data.count(b"\r\n")
        and max(map(len, data.split(b"\r\n"))) <= 998
    )
    assert is_plain(data) is expected


def test_plain_across_the_pieces_it_is_looked_at_in() -> None:
    piece = sevenbit._PIECE_OCTETS
    for octets in range(piece - 3, piece + 4):
        head = b"a" * 98 + b"\r\n"
        data = (head * (octets // 100 + 1))[-octets:]
        assert is_plain(data + b"\r\nend\r\n")
        assert is_plain(data + b"z" * 900 + b"\r\n")
        assert not is_plain(data + b"z" * 999 + b"\r\n")
        assert not is_plain(data + b"\r" + b"z\r\n")
