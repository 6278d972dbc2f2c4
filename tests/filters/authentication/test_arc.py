"""ARC chains: only their form is looked at."""

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
    ("fields", "word"),
    [
        (b"", "none"),
        (chain((1, "none")), "none"),
        (chain((1, "none"), (2, "pass")), "none"),
        (chain((1, "none"), (1, "none")), "fail"),
        (chain((2, "pass")), "fail"),
        (chain((51, "pass")), "fail"),
        (chain((1, "pass")), "fail"),
        (chain((1, "none"), (2, "fail")), "fail"),
        (chain((1, "none"), *[(n, "pass") for n in range(2, 12)]), "fail"),
        (b"ARC-Seal: i=1; cv=none\r\n", "fail"),
        (b"ARC-Authentication-Results: x\r\n", "fail"),
    ],
)
def test_chains_by_their_form(fields: bytes, word: str) -> None:
    # D25; RFC 8617 section 5.2
    assert arc.check(Header(fields + b"From: a@b.test\r\n\r\n")).result == word
