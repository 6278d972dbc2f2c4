"""Mail from outside: what it is, and how its copies are marked."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import default

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.filters.outside import KEYWORD, is_outside, mark, with_prefix
from mailstack.mime.header import Headers
from mailstack.model.verdict import (
    AccountVerdict,
    Authentication,
    DmarcResult,
    Edited,
    FileInto,
    Keep,
    Redirect,
)

NAMES = frozenset({"home.test", "mirror.test"})
PASSED = Authentication(dmarc=DmarcResult("pass", "home.test"))


@pytest.mark.parametrize(
    ("login", "author", "found", "outside"),
    [
        ("", "x@far.test", PASSED, True),
        ("", "boss@home.test", PASSED, False),
        ("", "shop@crm.home.test", PASSED, False),
        ("", "boss@mirror.test", PASSED, False),
        ("", "boss@home.test", Authentication(), True),  # anybody can write that name
        ("", "boss@nothome.test", PASSED, True),
        ("", "", PASSED, True),
        ("alice@home.test", "x@far.test", Authentication(), False),
        ("Alice@Mirror.test", "", Authentication(), False),
        ("eve@neighbour.test", "boss@home.test", PASSED, True),
    ],
)
def test_inside_is_what_the_domain_sent_or_stands_behind(
    login: str, author: str, found: Authentication, outside: bool
) -> None:
    assert is_outside(login, author, found, NAMES) is outside


def subject(head: bytes) -> str:
    return str(message_from_bytes(head + b"\r\n", policy=default)["subject"])


@pytest.mark.parametrize(
    ("value", "prefix", "shown"),
    [
        (b"lunch", "[EXT]", "[EXT] lunch"),
        (b"=?utf-8?q?M=C3=BCll?=", "[EXT]", "[EXT] Müll"),
        (b"lunch", "[Außen]", "[Außen] lunch"),
        (b"=?utf-8?q?M=C3=BCll?=", "[Außen]", "[Außen] Müll"),
        (b"Re: [EXT] lunch", "[EXT]", "Re: [EXT] lunch"),
        (b"Re: AW: [list] [EXT] lunch", "[EXT]", "Re: AW: [list] [EXT] lunch"),
        (b"Your invoice is due [EXT]", "[EXT]", "[EXT] Your invoice is due [EXT]"),
        (b"lunch" + b" " * 90 + b"[EXT]", "[EXT]", "[EXT] lunch [EXT]"),
        (b"lunch " * 30, "[EXT]", "[EXT] " + "lunch " * 30),
        (b"lunch\r\n in the garden", "[EXT]", "[EXT] lunch in the garden"),
    ],
)
def test_the_prefix_stands_before_the_subject(value: bytes, prefix: str, shown: str) -> None:
    head = with_prefix(b"From: a@b.test\r\nSubject: " + value + b"\r\nTo: x@home.test\r\n", prefix)
    assert " ".join(subject(head).split()) == " ".join(shown.split())
    assert with_prefix(head, prefix) == head, "once is enough"
    assert [field.name for field in Headers.parse(head).fields] == [b"from", b"subject", b"to"]


def test_without_a_subject_the_prefix_is_one() -> None:
    assert with_prefix(b"From: a@b.test\r\n", "[EXT]") == b"Subject: [EXT]\r\nFrom: a@b.test\r\n"


@given(value=st.binary(max_size=200).filter(lambda value: b"\n" not in value and b"\r" not in value))
def test_no_subject_breaks_the_header(value: bytes) -> None:
    # T44, M21
    head = with_prefix(b"A: 1\r\nSubject: " + value + b"\r\nB: 2\r\n", "[EXT]")
    assert [field.name for field in Headers.parse(head).fields] == [b"a", b"subject", b"b"]
    assert b"[EXT]" in head


def test_every_stored_copy_is_marked_and_nothing_that_leaves() -> None:
    head = b"Subject: hi\r\n"
    edited = Edited(b"Subject: changed\r\nX: y\r\n", b"\r\nother\r\n")
    actions = (Keep(flags=("\\Seen",)), FileInto("Work", edited=edited), Redirect("x@far.test"))
    said = mark(AccountVerdict(1, "ham", 0.0, actions), "[EXT]", head, 13)
    keep, filed, redirect = said.actions
    assert keep == Keep(flags=("\\Seen", KEYWORD), edited=Edited(b"Subject: [EXT] hi\r\n", None, 13))
    assert filed == FileInto(
        "Work", (KEYWORD,), edited=Edited(b"Subject: [EXT] changed\r\nX: y\r\n", b"\r\nother\r\n")
    )
    assert redirect == Redirect("x@far.test")
    assert mark(AccountVerdict(1, "ham", 0.0, (Keep(),)), "", head, 13).actions == (Keep(flags=(KEYWORD,)),)
