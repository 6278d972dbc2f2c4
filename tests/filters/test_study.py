"""What the filter tells about stored mail, so that its reader can teach it."""

from __future__ import annotations

import pytest

from mailstack.app.filter_steps import Setup
from mailstack.app.filter_worker import make_tools
from mailstack.filters.facts import Tools
from mailstack.filters.options import FilterOptions
from mailstack.filters.study import (
    MAX_RECIPIENTS,
    VERSION,
    Study,
    digest,
    examples,
    load_corrections,
    pack,
    unpack,
)
from mailstack.model.dns import Lookup
from mailstack.model.lessons import Lesson
from mailstack.model.verdict import FilterRequest

OURS = (
    b"Return-Path: <bounce@shop.test>\r\nDelivered-To: alice@home.test\r\n"
    b"Received: from mx.shop.test by mx.home.test; Sun, 22 Nov 2026 10:00:00 +0000\r\n"
    b"Authentication-Results: mx.home.test;\r\n\tspf=pass smtp.mailfrom=bounce@shop.test;\r\n"
    b'\tdkim=pass reason="fine (really)" header.d=shop.test header.s=a;\r\n'
    b"\tdmarc=pass (p=none dis=none) header.from=shop.test\r\n"
    b"X-Mailstack-Verdict: class=promotions; score=0.013; action=accept; reason=prior:-2.20\r\n"
)
SENT = (
    b"Received: from inside.shop.test by mx.shop.test; Sun, 22 Nov 2026 09:59:00 +0000\r\n"
    b"From: Shop <News@shop.test>\r\nTo: alice@home.test, b@far.test\r\nCc: c@far.test\r\n"
    b"Subject: Offers\r\nMessage-ID: <1@shop.test>\r\n\r\nBuy more lamps, they are cheap.\r\n"
)


@pytest.fixture(scope="module")
def tools() -> Tools:
    return make_tools(Setup(FilterOptions(), "mx.home.test"))


def test_author_place_and_recipients(tools: Tools) -> None:
    found = digest(OURS + SENT, tools)
    assert (found.author, found.is_authenticated, found.filed) == ("news@shop.test", True, "promotions")
    assert found.recipients == ("alice@home.test", "b@far.test", "c@far.test")
    assert found.message_id == "<1@shop.test>" and unpack(found.indexes)


def test_a_copy_is_the_same_message_and_has_the_same_features(tools: Tools) -> None:
    stored, sent = digest(OURS + SENT, tools), digest(SENT, tools)
    assert stored.id == sent.id == digest(b"X-Mozilla-Status: 0\r\n" + SENT + b"\r\n", tools).id
    assert stored.indexes == sent.indexes
    other = SENT.replace(b"lamps", b"chairs")
    assert digest(other, tools).id != sent.id


@pytest.mark.parametrize(
    "message",
    [
        SENT,
        # What the sender wrote below the fields of ours is nobody's proof (T22).
        b"Received: by mx.home.test; x\r\nReceived: x\r\n" + OURS[OURS.index(b"Auth") :] + SENT,
        OURS.replace(b"mx.home.test;\r\n\tspf", b"mx.else.test;\r\n\tspf") + SENT,
        OURS.replace(b"dmarc=pass", b"dmarc=fail") + SENT,
        OURS + SENT.replace(b"From:", b"From: x@shop.test\r\nFrom:"),
        OURS.replace(b"=pass", b"=none") + SENT,
    ],
)
def test_without_our_own_word_nobody_is_authenticated(tools: Tools, message: bytes) -> None:
    assert not digest(message, tools).is_authenticated


@pytest.mark.parametrize(
    ("said", "filed"),
    [
        (b"class=ham; score=0.013; action=accept", "ham"),
        (b"class=spam; score=0.99; action=junk", "spam"),
        (b"class=ham; score=0.5; action=junk", "spam"),
        (b"class=spam; score=0.99; action=accept", "ham"),
        (b"class=social; score=0.1; action=accept", "social"),
        (b"unfiltered; why=timeout", ""),
        (b"class=strange; score=1; action=junk", ""),
    ],
)
def test_where_the_filter_put_it(tools: Tools, said: bytes, filed: str) -> None:
    assert digest(b"X-Mailstack-Verdict: " + said + b"\r\n" + SENT, tools).filed == filed


@pytest.mark.parametrize(
    "message", [b"", b"\r\n", b"\0" * 100, b"From: x\r\n\r\n", b"To: " + b"a@b.c," * 5_000]
)
def test_hostile_and_empty_messages(tools: Tools, message: bytes) -> None:
    found = digest(message, tools)
    assert len(found.id) == 16 and len(found.recipients) <= MAX_RECIPIENTS and not found.author


def test_lessons_become_corrections(tools: Tools) -> None:
    found = digest(SENT, tools)
    lessons = tuple(
        Lesson(bytes([n]), "spam", "ham", 1.0, "place", 0.0, found.indexes, found.logit, features=VERSION)
        for n in range(3)
    )
    request = FilterRequest("", "", "", "", (), 0.0, wants="corrections", lessons=lessons)
    answer = Study(request, b"", tools).step(Lookup({}))
    assert load_corrections(answer.corrections).spam(unpack(found.indexes)) > 1
    assert examples(lessons)[0].indexes == unpack(found.indexes)
    nothing = FilterRequest("", "", "", "", (), 0.0, wants="corrections")
    assert not load_corrections(Study(nothing, b"", tools).step(Lookup({})).corrections)


@pytest.mark.parametrize(
    ("label", "weight", "least", "most"),
    [("spam", 0.2, 2.0, 5.5), ("spam", 0.1, 1.0, 3.0), ("ham", 0.2, -5.5, 0.0)],
)
def test_weak_evidence_is_weak_however_much_there_is(  # T45
    tools: Tools, label: str, weight: float, least: float, most: float
) -> None:
    found = digest(SENT, tools)
    lessons = tuple(
        Lesson(bytes([n]), label, "", weight, "place", 0.0, found.indexes, found.logit, features=VERSION)  # type: ignore[arg-type]
        for n in range(100)
    )
    request = FilterRequest("", "", "", "", (), 0.0, wants="corrections", lessons=lessons)
    made = load_corrections(Study(request, b"", tools).step(Lookup({})).corrections)
    assert least <= made.spam(unpack(found.indexes)) <= most


def test_features_as_octets() -> None:
    assert unpack(pack([1, 2, 262_143])) == (1, 2, 262_143) and unpack(pack([])) == ()
    assert unpack(pack([7]) + b"xx") == (7,)
