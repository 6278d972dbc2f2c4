"""Any octets as a submission: fixed without an exception, in ASCII where that is possible."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailstack.mime import refold, sevenbit
from mailstack.mime.header import Headers, find_end
from mailstack.mime.scanner import scan
from mailstack.model.address import Address
from mailstack.smtp.fixups import Wishes, fix
from tests.fuzz.test_fuzz_mime import OCTETS
from tests.kit.fuzzing import FUZZ

PIECES = st.sampled_from(
    [
        b"\r\n",
        b"--b\r\n",
        b"--b--\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n",
        b"Content-Type: multipart/signed; boundary=b\r\n",
        b"Content-Type: message/rfc822\r\n",
        b"Content-Type: message/global\r\n",
        b"Content-Type: text/plain\r\n",
        b'Content-Type: a/b; name="\xff"\r\n',
        b"Content-Transfer-Encoding: base64\r\n",
        b"Content-Transfer-Encoding: quoted-printable\r\n",
        b"Content-Transfer-Encoding: binary\r\n",
        b"From: \xc3\xa4 <a@b>\r\n",
        b"Subject: \xff\r\n",
        b"Bcc: x@y\r\n",
        b"w" * 999,
        b" \t ",
        b"=\xc3\xa4",
        b"\0",
    ]
)
MESSAGES = OCTETS | st.lists(PIECES | st.binary(max_size=6), max_size=40).map(b"".join)
PRINTER = Address("printer", "example.test")


@FUZZ
@given(MESSAGES, st.booleans(), st.booleans())
def test_any_octets_are_fixed(message: bytes, is_device: bool, smtputf8: bool) -> None:
    wishes = Wishes(0.0, "id", "x.test", PRINTER if is_device else None, smtputf8=smtputf8)
    out = b"".join(fix(message, wishes))
    headers = Headers.parse(out)
    assert headers.count("date") >= 1
    assert headers.count("bcc") == 0
    if is_device:
        assert headers.count("from") == 1


@FUZZ
@given(MESSAGES)
def test_any_octets_are_planned_in_order_and_their_parts_stay(message: bytes) -> None:
    plan = sevenbit.make_plan(message)
    at = plan.body_at
    for edit in plan.edits:
        assert at <= edit.start <= edit.end <= len(message)
        at = edit.end
    body = b"".join(sevenbit.write_body(message, plan))
    block = refold.put_right(message[: find_end(message)[0]], fields=plan.fields)
    assert block.endswith(b"\n") or not block or not plan.fields
    if not plan.edits:
        assert body == message[plan.body_at :]
        return
    before, after = scan(message), scan(block + body)
    assert len(after.children) == len(before.children)
