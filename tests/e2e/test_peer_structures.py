"""ENVELOPE and BODYSTRUCTURE of real mail beside an independent implementation.

Dovecot reads the same Maildir; every difference has one of the reasons below, or the test
fails.  Where Dovecot says it could not read an address (its words MISSING_MAILBOX,
MISSING_DOMAIN, SYNTAX_ERROR), ours is not compared: there is no right answer.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.imap_fetch import Client
from mailstack.mailbox.cache import make_texts
from mailstack.mime.lines import normalise
from tests.kit import corpus, imap_value
from tests.kit.dovecot import running_dovecot

ADDRESS, PASSWORD = "alice@example.test", "secret"
_UNREADABLE = (b"MISSING_MAILBOX", b"MISSING_DOMAIN", b"SYNTAX_ERROR")
_LITERAL = re.compile(rb"\{(\d+)\}\r\n\Z")
_START = re.compile(rb"\* (\d+) FETCH ")
_HEAD = re.compile(rb"\(RFC822\.SIZE (\d+) ENVELOPE ")


@pytest.mark.root
@pytest.mark.debian("dovecot")
def test_envelope_and_bodystructure_are_dovecots_but_for_what_is_explained(tmp_path: Path) -> None:
    messages = [(name, normalise(data)) for name, data in corpus.messages()]
    with running_dovecot(tmp_path / "peer", {ADDRESS: PASSWORD}) as peer:
        cur = peer.maildir(ADDRESS) / "cur"
        cur.mkdir(parents=True)
        for number, (_, data) in enumerate(messages, 1):
            (cur / f"{number:010d}.x:2,S").write_bytes(data)
        peer.disown()
        client = Client(
            argparse.Namespace(
                host="127.0.0.1", port=peer.port, security="none", ca_file="", user=ADDRESS, password=PASSWORD
            )
        )
        client.command(b"SELECT INBOX")
        theirs = list(_lines(client.command(b"FETCH 1:* (RFC822.SIZE ENVELOPE BODYSTRUCTURE)")))
    assert len(theirs) == len(messages)
    reasons: Counter[str] = Counter()
    unexplained = []
    for (name, data), line in zip(messages, theirs, strict=True):
        for place, ours, other in _differences(data, line):
            why = _why(data, place, ours, other)
            reasons[why] += 1
            if not why:
                unexplained.append((name, place, ours, other))
    assert not unexplained, unexplained[:5]
    # The explanations must stay exceptions.
    assert sum(reasons.values()) < len(messages) // 20


def _lines(said: bytes) -> Iterator[bytes]:
    """The FETCH responses, each with its literals, in order."""
    at = 0
    while at < len(said):
        found = _START.match(said, at)
        end = said.index(b"\r\n", at) + 2
        while (literal := _LITERAL.search(said, at, end)) is not None:
            end = said.index(b"\r\n", end + int(literal[1])) + 2
        if found is not None:
            yield said[found.end() : end - 2]
        at = end


def _differences(data: bytes, line: bytes) -> Iterator[tuple[tuple[Any, ...], Any, Any]]:
    head = _HEAD.match(line)
    assert head is not None
    assert int(head[1]) == len(data)
    envelope, _, structure = line[head.end() : -1].partition(b") BODYSTRUCTURE (")
    texts = make_texts(data)
    for kind, ours, theirs in (
        ("envelope", texts.envelope, envelope + b")"),
        ("structure", texts.bodystructure, b"(" + structure),
    ):
        yield from _walk(_plain(imap_value.read(ours)), _plain(imap_value.read(theirs)), (kind,))


def _plain(value: Any) -> Any:
    """Blanks in a row are one (RFC 5322 section 2.2.3 leaves it open), words in lower case."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return re.sub(rb"\s+", b" ", value).strip().lower() if isinstance(value, bytes) else value


def _walk(ours: Any, theirs: Any, place: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any, Any]]:
    if place[0] == "envelope" and len(place) == 2:
        if ours != theirs:
            yield place, ours, theirs
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from _walk(one, other, (*place, number))
    elif ours != theirs:
        yield place, ours, theirs


def _why(data: bytes, place: tuple[Any, ...], ours: Any, theirs: Any) -> str:
    if place[0] == "envelope" and any(word.lower() in str(theirs).encode().lower() for word in _UNREADABLE):
        return "an address nobody can read"
    if place[0] == "envelope" and re.search(rb"(?im)^(from|sender|reply-to|to):.*@.*@", data):
        return "two @ in one address"
    if theirs == [ours]:
        return "one language is a string or a list of one"
    if b"mime-version:" not in data[: data.find(b"\r\n\r\n")].lower() and theirs == b"7bit":
        return "without MIME-Version Dovecot ignores Content-Transfer-Encoding"
    if isinstance(theirs, list) and theirs[:2] == [b"", b""]:
        return "a Content-Type that is none is text/plain (RFC 2045 section 5.2)"
    boundary = re.search(rb'boundary="?([^"\r\n;]+)', data)
    if boundary is None:
        return ""
    if isinstance(theirs, list) and b"\n--" + boundary[1] not in data:
        return "a multipart whose boundary never comes is one text"
    if re.search(rb"\n--" + re.escape(boundary[1]) + rb"(--)?[^\r\n-]", data):
        return "a boundary with something behind it is none (RFC 2046 section 5.1.1)"
    return ""
