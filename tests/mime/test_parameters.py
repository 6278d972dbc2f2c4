"""Content-Type and Content-Disposition values."""

from __future__ import annotations

import time

import pytest

from mailstack.mime import parameters


@pytest.mark.parametrize(
    ("value", "name", "text"),
    [
        (b'attachment; filename="a b.txt"', "filename", "a b.txt"),
        (b"attachment; filename=a b.txt; size=3", "filename", "a b.txt"),
        (b'attachment; filename="a\\"b"', "filename", 'a"b'),
        (b"attachment; FILENAME=x", "filename", "x"),
        (b"attachment; filename*=utf-8''caf%C3%A9", "filename", "café"),
        (b"attachment; filename=cafe; filename*=utf-8''caf%C3%A9", "filename", "café"),
        (b"attachment; filename*0*=utf-8''a%20; filename*1=b; filename*2*=%63", "filename", "a bc"),
        (b"attachment; filename*0=a; filename*2=c", "filename", "a"),  # M7: a gap ends it
        (b"attachment; filename*1=b", "filename", None),
        (b"attachment; filename*=x''%", "filename", "%"),
        (b"attachment; filename==?utf-8?q?caf=C3=A9?=", "filename", "café"),
        (b"attachment; filename*=utf-8''a%0D%0Ab", "filename", "a  b"),
        (b'text/plain; (a "comment";) charset=x', "charset", "x"),
        (b'text/plain; charset="x', "charset", "x"),
        (b"text/plain;;; charset=x", "charset", "x"),
        (b"text/plain; charset = x", "charset", "x"),
        (b"text/plain", "charset", None),
        (b"", "charset", None),
    ],
    ids=repr,
)
def test_a_parameter_as_text(value: bytes, name: str, text: str | None) -> None:
    assert parameters.parse(value).text(name) == text


def test_the_value_stands_before_the_first_semicolon() -> None:
    assert parameters.parse(b" text/plain (hi) ; charset=x").value == b"text/plain"


def test_one_hundred_twenty_eight_parameters_are_read() -> None:
    value = b"a/b" + b"".join(b"; p%d=x" % n for n in range(parameters.MAX_PARAMETERS + 1))
    assert len(parameters.parse(value).parameters) == parameters.MAX_PARAMETERS


@pytest.mark.parametrize(
    "piece", [b';a="', b';a="\\', b';a=\\"', b"(", b";", b"; ", b'"', b";a*0=", b";a*1*="]
)
def test_hostile_values_take_no_time(piece: bytes) -> None:
    started = time.process_time()
    found = parameters.parse(b"text/plain" + piece * 60_000)
    parameters.decode_parameters(found.parameters)
    assert time.process_time() - started < 5
