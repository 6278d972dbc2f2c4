"""ARC chains by their form."""

from __future__ import annotations

import pytest

from mailstack.filters.authentication import arc
from mailstack.filters.fields import Header


def chain(*sets: tuple[int, str]) -> bytes:
    out = b""
    for number, validation in sets:
        out = (
            f"ARC-Seal: i={number}; a=rsa-sha256; cv={validation}; d=x.test; s=s; b=AA\r\n"
            f"ARC-Message-Signature: i={number}; a=rsa-sha256; d=x.test; s=s; h=from; bh=AA; b=AA\r\n"
            f"ARC-Authentication-Results: i={number}; x.test; spf=pass\r\n"
        ).encode() + out
    return out


@pytest.mark.parametrize(
    ("fields", "count"),
    [(b"", 0), (chain((1, "none")), 1), (chain((1, "none"), (2, "pass")), 2), (chain((1, "NONE")), 1)],
)
def test_sets_are_found_oldest_first(fields: bytes, count: int) -> None:
    sets = arc.find_sets(Header(fields + b"From: a@b.test\r\n\r\n"))
    assert not isinstance(sets, str)
    assert [one.results.text.split(b";")[0] for one in sets] == [b"i=%d" % n for n in range(1, count + 1)]


@pytest.mark.parametrize(
    "fields",
    [
        chain((1, "none"), (1, "none")),
        chain((2, "pass")),
        chain((1, "none"), (3, "pass")),
        chain((51, "pass")),
        chain((0, "none")),
        chain((1, "pass")),
        chain((1, "none"), (2, "fail")),
        chain((1, "none"), (2, "none")),
        chain((1, "")),
        chain((1, "none"), *[(n, "pass") for n in range(2, 12)]),
        chain((1, "none")) * 60,
        b"ARC-Seal: i=1; cv=none\r\n",
        b"ARC-Authentication-Results: x\r\n",
        chain((1, "none")).replace(b"Results: i=1; x.test", b"Results: x.test; i=1"),
        chain((1, "none")).replace(b"Results: i=1;", b"Results: i=1"),
        chain((1, "none")).replace(b"spf=pass", b"spf=pass " + b"x" * 70_000),
    ],
    ids=range(16),
)
def test_chains_of_another_form_are_broken(fields: bytes) -> None:
    # D25; RFC 8617 section 5.2
    assert isinstance(arc.find_sets(Header(fields + b"From: a@b.test\r\n\r\n")), str)
