"""Which messages fit."""

from __future__ import annotations

import base64

import pytest

from mailstack.imap.matching import Matcher
from mailstack.imap.parser import Cursor
from mailstack.imap.search_keys import parse_search
from mailstack.imap.view import View
from mailstack.model.mailbox import Flags
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
    made.add("INBOX", b"no header\r\n", Flags.SEEN | Flags.FLAGGED, internal_at=6 * DAY)
    made.change_flags(made.status("INBOX").id, [3], "+", flags=Flags.NONE, keywords=("$Junk",))
    return made


def found(store: MemoryMailbox, text: str) -> list[int]:
    status = store.status("INBOX")
    view = View(status.id, "INBOX", read_only=False, modseq=1)
    view.learn(store.rows(status.id))
    matcher = Matcher(view, parse_search(Cursor(text.encode())))
    return [at + 1 for at in matcher.run(list(range(len(view))), lambda uid: store.open(status.id, uid))]


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
        ("LARGER 11", [1, 2]),
        ("SMALLER 12", [3]),
        ("BEFORE 6-Jan-1970", [1]),
        ("ON 5-Jan-1970", [1]),
        ("SINCE 6-Jan-1970", [2, 3]),
        # The day in the Date field, whatever its zone.
        ("SENTON 5-Jan-1970", [1]),
        ("SENTSINCE 6-Jan-1970", []),
        ("FROM bob", [1]),
        ("FROM JÖRG", [2]),
        ('SUBJECT "übermorgen"', [2]),
        ('HEADER subject ""', [1, 2]),
        ("HEADER To EXAMPLE.TEST", [1]),
        ("BODY gott", [1]),
        ("BODY plain", []),
        ("TEXT plain", [1]),
        ("BODY STRASSE", [2]),
        ('BODY "nach süden"', [2]),
        ("BODY softbreak", [2]),
        ("BODY secret", []),
        ("BODY within", [2]),
        ("BODY enclosed", [2]),
        ("TEXT über", [2]),
        ('BODY "no header"', []),
        ('TEXT "no header"', [3]),
        ("TEXT nowhere", []),
    ],
)
def test_criteria_find_their_messages(store: MemoryMailbox, text: str, numbers: list[int]) -> None:
    words = [f'"{word}"' if not word.isascii() and '"' not in text else word for word in text.split(" ")]
    assert found(store, "CHARSET UTF-8 " + " ".join(words)) == numbers


def test_a_message_is_opened_once_and_only_if_needed(store: MemoryMailbox) -> None:
    store.opened.clear()
    found(store, "UNSEEN OR BODY x OR FROM y SUBJECT z")
    assert len(store.opened) == 1
    assert store.opened[0].closed


def test_a_message_that_cannot_be_read_fits_nothing(store: MemoryMailbox) -> None:
    status = store.status("INBOX")
    view = View(status.id, "INBOX", read_only=False, modseq=1)
    view.learn(store.rows(status.id))
    other = MemoryMailbox()
    matcher = Matcher(view, parse_search(Cursor(b"TEXT a")))
    assert matcher.run([0, 1, 2], lambda uid: other.open(status.id, uid)) == []
