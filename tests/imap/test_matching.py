"""Which messages fit."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import pytest

from mailstack.imap.matching import Matcher, needle
from mailstack.imap.parser import Cursor
from mailstack.imap.search_keys import parse_search
from mailstack.imap.view import View
from mailstack.mime import heads
from mailstack.mime.header import Headers
from mailstack.model.mailbox import Flags, Needle, TextHits
from tests.kit.memory_mailbox import MemoryMailbox

DAY = 86_400
PLAIN = (
    b"From: Bob <bob@example.net>\r\nTo: alice@example.test\r\nSubject: plain\r\n"
    b"Date: 5 Jan 1970 23:00:00 -0800\r\n\r\nGruess Gott\r\n"
)
ENCODED = (
    "From: =?utf-8?q?J=C3=B6rg?= <j@example.org>\r\n"
    "Subject: =?iso-8859-1?q?=DCber?=\r\n =?iso-8859-1?q?morgen?=\r\n"
    'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
    "--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + base64.b64encode("Straße nach Süden".encode()).decode()
    + "\r\n--b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    "<b>soft=\r\nbreak</b>\r\n"
    "--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\nc2VjcmV0\r\n"
    "--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: enclosed\r\n\r\nwithin\r\n--b--\r\n"
).encode()


@pytest.fixture(scope="module")
def store() -> MemoryMailbox:
    made = MemoryMailbox()
    made.add("INBOX", PLAIN, Flags.SEEN, internal_at=4 * DAY + 5)
    made.add("INBOX", ENCODED, internal_at=5 * DAY)
    made.add("INBOX", b"\r\nno header\r\n", Flags.SEEN | Flags.FLAGGED, internal_at=6 * DAY)
    made.change_flags(made.status("INBOX").id, [3], "+", flags=Flags.NONE, keywords=("$Junk",))
    return made


def matcher_of(store: MemoryMailbox, text: bytes) -> tuple[Matcher, list[int]]:
    """A matcher that has been told all it wants to know, and all positions."""
    status = store.status("INBOX")
    view = View(status.id, "INBOX", read_only=False, modseq=1)
    view.learn(store.rows(status.id))
    matcher = Matcher(
        view,
        parse_search(Cursor(text)),
        now=7 * DAY,
        spans=lambda key: view.spans(key.numbers, uid=key.uid),
        saved=(2,),
    )
    if matcher.needs_rows:
        for uid, row in store.details(status.id, view.uids).items():
            assert row.uid == uid
            matcher.learn_rows([row])
    for key in matcher.text_keys:
        matcher.learn_text(key, store.find_text(status.id, [needle(key)])[0])
    return matcher, list(range(len(view)))


def found(store: MemoryMailbox, text: str) -> list[int]:
    matcher, places = matcher_of(store, text.encode())
    return [at + 1 for at in matcher.run(places, store)]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("ALL", [1, 2, 3]),
        ("SEEN", [1, 3]),
        ("SEEN NOT FLAGGED", [1]),
        ("OR UNSEEN FLAGGED", [2, 3]),
        ("2:3", [2, 3]),
        ("NOT 2:3", [1]),
        ("UID 1,9", [1]),
        ("KEYWORD $JUNK", [3]),
        ("UNKEYWORD $Junk", [1, 2]),
        ("LARGER 13", [1, 2]),
        ("SMALLER 14", [3]),
        ("BEFORE 6-Jan-1970", [1]),
        ("ON 5-Jan-1970", [1]),
        ("SINCE 6-Jan-1970", [2, 3]),
        # The day in the Date field, whatever its zone.
        ("SENTON 5-Jan-1970", [1]),
        # Without a Date field: the day it came.
        ("SENTSINCE 6-Jan-1970", [2, 3]),
        ("SAVEDON 1-Jan-2026", [1, 2, 3]),
        ("SAVEDBEFORE 1-Jan-2026", []),
        ("SAVEDSINCE 2-Jan-2026", []),
        ("SAVEDATESUPPORTED", [1, 2, 3]),
        ("OLDER 172800", [1, 2]),
        ("YOUNGER 86400", [3]),
        ("YOUNGER 172800", [2, 3]),
        ("MODSEQ 1", [1, 2, 3]),
        ("MODSEQ 5", [3]),
        ("EMAILID E1-2", [2]),
        ("NOT EMAILID E1-2", [1, 3]),
        ("EMAILID e1-2", []),
        ("THREADID Tnone", []),
        ("$", [2]),
        ("OR $ 3", [2, 3]),
        ("UID 1,$", [1, 2]),
        ("3,1:2,2:3,1", [1, 2, 3]),
        ("NOT 1,3", [2]),
        ("FROM bob", [1]),
        ("FROM JÖRG", [2]),
        ('SUBJECT "übermorgen"', [2]),
        ('HEADER subject ""', [1, 2]),
        ("HEADER To EXAMPLE.TEST", [1]),
        ("BODY gott", [1]),
        ("BODY plain", []),
        ("TEXT plain", [1]),
        ("BODY STRASSE", [2]),
        ("HEADER from Bob", [1]),
        ("HEADER from nobody", []),
        ("HEADER date -0800", [1]),
        ("HEADER x-none -0800", []),
        ("HEADER date x", []),
        ('HEADER date ""', [1]),
        ('FROM ""', [1, 2]),
        ('BODY ""', [1, 2, 3]),
        ('BODY "nach süden"', [2]),
        ("BODY softbreak", [2]),
        ("BODY secret", []),
        ("BODY within", [2]),
        ("BODY enclosed", [2]),
        ("TEXT über", [2]),
        ('BODY "no header"', [3]),
        ('TEXT "no header"', [3]),
        ("TEXT nowhere", []),
    ],
)
def test_criteria_find_their_messages(store: MemoryMailbox, text: str, numbers: list[int]) -> None:
    words = [f'"{word}"' if not word.isascii() and '"' not in text else word for word in text.split(" ")]
    assert found(store, " ".join(words)) == numbers


def test_a_message_is_opened_once_and_only_if_needed(store: MemoryMailbox) -> None:
    # The index of the memory mailbox cannot speak for the third one.
    store.opened.clear()
    found(store, "SEEN OR BODY x OR FROM y SUBJECT z")
    assert len(store.opened) == 1
    assert store.opened[0].closed
    store.opened.clear()
    found(store, "UNSEEN BODY x")
    assert not store.opened


def test_a_message_that_cannot_be_read_fits_nothing(store: MemoryMailbox) -> None:
    matcher, places = matcher_of(store, b'TEXT "no header"')
    assert matcher.run(places, store) == [2]
    assert matcher.run(places, MemoryMailbox()) == []


def test_what_must_be_opened_is_known(store: MemoryMailbox) -> None:
    assert matcher_of(store, b"SEEN LARGER 1")[0].dear == set()
    assert matcher_of(store, b"SEEN BODY x")[0].dear == {3}
    assert matcher_of(store, b"HEADER subject x")[0].dear == {3}
    assert matcher_of(store, b'HEADER date ""')[0].dear == {1, 3}


_VALUES = (
    b"Lunch", b" two  words ", b"fol\r\n ded", b"tab\tbed", b"car\rriage", b"nu\0l", b"\x1b$B%F\x1b(B",
    b"=?utf-8?q?gr=C3=BC=C3=9Fe?=", b"=?us-ascii?q?lu?= =?us-ascii?q?nch?=", "grüße".encode(),
    b"gr\xfc\xdfe", b"",
)  # fmt: skip
_WANTED = (
    "lunch",
    "LUN",
    "two words",
    "words",
    "ded",
    "fol ded",
    "folded",
    "car",
    "carriage",
    "l",
    "grüße",
    "$b",
    "bed",
)


class _Asked(MemoryMailbox):
    """The index cannot speak for any message."""

    def __init__(self, *, kept: bool) -> None:
        super().__init__()
        self._is_kept = kept
        for number, value in enumerate(_VALUES):
            name = (b"Subject", b"suBJect ", b"X-Other")[number % 3]
            self.add("INBOX", b"From: a@b\r\n%b:%b\r\nX-Other: lunch\r\n\r\nlunch\r\n" % (name, value))

    def find_text(self, folder_id: int, needles: Sequence[Needle]) -> list[TextHits]:
        everything = frozenset(row.uid for row in self.rows(folder_id))
        return [TextHits(frozenset(), everything) for _ in needles]

    def headers(self, folder_id: int, uids: Sequence[int]) -> dict[int, bytes]:
        wanted = {uid: self.open(folder_id, uid).read() for uid in uids} if self._is_kept else {}
        self.opened.clear()
        return {uid: heads.select(Headers.parse(data), heads.KEPT) for uid, data in wanted.items()}


def test_kept_header_fields_tell_what_the_messages_themselves_would() -> None:
    kept, opened = _Asked(kept=True), _Asked(kept=False)
    for text in _WANTED:
        for key in ("SUBJECT", "FROM", "HEADER subject", "HEADER x-other", "NOT SUBJECT", "TEXT"):
            criterion = f'{key} "{text}"'
            kept.opened.clear()
            assert found(kept, criterion) == found(opened, criterion), criterion
            assert bool(kept.opened) == (key in ("HEADER x-other", "TEXT")), criterion
