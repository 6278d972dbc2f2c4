"""Header blocks that are too large, loop, or name two authors."""

from __future__ import annotations

import pytest

from mailstack.smtp.options import SmtpOptions
from mailstack.smtp.policy import headers

OPTIONS = SmtpOptions()


def check(head: bytes, *, one_from: bool = True) -> str:
    found = headers.check(head, OPTIONS, one_from=one_from)
    return "" if found is None else str(found)[:9]


@pytest.mark.parametrize(
    "head",
    [
        b"\r\nbody",
        b"",
        b"no header at all\r\n",
        b"From: a@b\r\n\r\nFrom: c@d\r\n",
        b"From: a@b\r\n From: folded, no field\r\nX-From: c@d\r\nFromage: brie\r\n\r\n",
        b"Received: x\r\n" * 50 + b"\r\n" + b"Received: y\r\n" * 50,
        b"Received-SPF: x\r\n" * 60 + b"\r\n",
    ],
    ids=lambda head: repr(head[:30]),
)
def test_ordinary_and_odd_headers_pass(head: bytes) -> None:
    assert check(head) == ""


@pytest.mark.parametrize("field", [b"From:", b"from :", b"FROM\t:"], ids=repr)
def test_a_second_from_is_refused(field: bytes) -> None:
    # T20
    head = b"From: a@b\r\nTo: x@y\r\n" + field + b" c@d\r\n\r\n"
    assert check(head) == "550 5.7.1"
    assert check(head, one_from=False) == ""


@pytest.mark.parametrize("count", [51, 100_000])
def test_more_than_fifty_received_fields_are_a_loop(count: int) -> None:
    # S40
    head = b"received : from x by y\r\n" * count + b"\r\n"
    assert check(head[: OPTIONS.header_octets + 4]) == "554 5.4.6"


def test_a_block_of_the_limit_passes_and_one_octet_more_does_not() -> None:
    fields = 10
    line = b"X: " + b"y" * (OPTIONS.header_octets // fields - 5) + b"\r\n"
    block = line * fields
    block += b"X:" + b"y" * (OPTIONS.header_octets - len(block) - 4) + b"\r\n"
    assert len(block) == OPTIONS.header_octets
    assert check(block + b"\r\nbody") == ""
    assert check(block[:-2] + b"y\r\n\r\nbody") == "552 5.3.4"


def test_one_field_may_have_100_kib_and_no_more() -> None:
    line = b"X-Long: " + b"y" * (OPTIONS.field_octets - 10) + b"\r\n"
    assert len(line) == OPTIONS.field_octets
    assert check(b"A: b\r\n" + line + b"C: d\r\n\r\n") == ""
    assert check(b"A: b\r\n" + line[:-2] + b"\r\n\ty\r\nC: d\r\n\r\n") == "552 5.3.4"


def test_a_thousand_fields_pass_and_one_more_does_not() -> None:
    assert check(b"X: y\r\n z\r\n" * 1000 + b"\r\n") == ""
    assert check(b"X: y\r\n" * 1001 + b"\r\n") == "552 5.3.4"
