"""APPEND, REPLACE and their URLs: any octets are answered, and nothing is stored in halves."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from mailstack.imap import framing
from mailstack.imap.errors import HangUp
from mailstack.imap.fetch_items import Section
from mailstack.imap.framing import BodyData, BodyStart, Command, Framer
from mailstack.imap.urls import BadUrl, parse
from tests.kit.bare_session import BareSession, message
from tests.kit.fuzzing import FUZZ
from tests.kit.memory_mailbox import MemoryMailbox

URL_WORDS = [
    "imap://",
    "imaps://",
    "/",
    "//",
    "INBOX",
    ";UID=",
    ";uidvalidity=",
    ";SECTION=",
    ";PARTIAL=",
    "1",
    "0",
    "20",
    "4294967296",
    ".",
    "1.2",
    "TEXT",
    "MIME",
    "HEADER.FIELDS%20(To)",
    "%",
    "%20",
    "%zz",
    "%ff",
    "%C3%A9",
    "@",
    "alice%40example.test",
    "mail.example.test",
    ":993",
    ";AUTH=*",
    ";URLAUTH=anonymous",
    "]",
    "\r\n",
    " ",
    "\x00",
    "\u00e9",
    "..",
    "#x",
    "?TEXT",
]
URLS = st.lists(st.sampled_from(URL_WORDS) | st.text(max_size=3), max_size=12).map("".join)
WORDS = [
    b"APPEND ",
    b"REPLACE ",
    b"UID REPLACE ",
    b"1 ",
    b"2 ",
    b"* ",
    b"9 ",
    b"INBOX ",
    b"Trash ",
    b"{5+}\r\nINBOX ",
    b"(\\Seen) ",
    b"($x ",
    b'"17-Jul-1996 02:44:25 -0700" ',
    b"CATENATE (",
    b"TEXT ",
    b"URL ",
    b"UTF8 (",
    b")",
    b" ",
    b"{3+}\r\nabc",
    b"~{3+}\r\na\0b",
    b"{0+}\r\n",
    b"~{4+}\r\n\r\n\r\n",
    b"{1+}\r\n\0",
    b'"/INBOX/;UID=1"',
    b"/INBOX/;UID=1/;SECTION=1",
    b";UID=2",
    b"{15+}\r\n/INBOX/;UID=1/;",
    b"{3}\r\nabc",
    b"{9999+}\r\n",
    b"\r\n",
]
GOOD = [
    b"APPEND INBOX (\\Seen) {3+}\r\nabc ~{3+}\r\nx\0y",
    b'APPEND INBOX CATENATE (TEXT {3+}\r\nabc URL "/INBOX/;UID=1/;SECTION=TEXT")',
    b"APPEND {5+}\r\nINBOX CATENATE (URL {14+}\r\n/INBOX/;UID=1 TEXT {1+}\r\nx) {1+}\r\ny",
    b"UID REPLACE 1 INBOX {3+}\r\nnew",
    b"REPLACE 1 Trash CATENATE (TEXT {1+}\r\nx)",
]


@st.composite
def _commands(draw: st.DrawFn) -> bytes:
    if draw(st.booleans()):
        return b"t " + b"".join(draw(st.lists(st.sampled_from(WORDS), max_size=14))) + b"\r\n"
    line = draw(st.sampled_from(GOOD))
    low, high = sorted(draw(st.tuples(*[st.integers(0, len(line))] * 2)))
    return b"t " + line[:low] + draw(st.sampled_from(WORDS)) + line[min(high, low + 6) :] + b"\r\n"


@FUZZ
@given(URLS)
def test_any_text_is_a_url_or_is_not(text: str) -> None:
    try:
        found = parse(text.encode())
    except BadUrl:
        return
    assert 0 < found.uid < 1 << 32 and isinstance(found.section, Section)
    assert found.mailbox is None or found.mailbox
    assert b"]" not in found.section.label[5:-1] and b"\r" not in found.section.label


@FUZZ
@given(st.lists(_commands(), max_size=5))
def test_every_append_is_answered_and_its_counters_agree(commands: list[bytes]) -> None:
    store = MemoryMailbox()
    session = BareSession(store).select()
    store.add("INBOX", message(subject="one"))
    session.command(b"NOOP")
    for wire in commands:
        before = store.status("INBOX").messages + store.status("Trash").messages
        out = session.ask(wire)
        if session.closed:
            return
        after = store.status("INBOX").messages + store.status("Trash").messages
        done = re.findall(rb"APPENDUID \d+ ([\d:,]+)\]", out)
        gone = len(re.findall(rb"^\* \d+ EXPUNGE", out, re.MULTILINE))
        stored = sum(_count(numbers) for numbers in done)
        assert after - before >= stored - gone if done else after <= before
        assert not session.spools
        session.ask(b"x" * 9_999 + b"\r\n")  # what a literal still waits for
    assert b"BODY[]" not in session.command(b"NOOP")


def _count(numbers: bytes) -> int:
    total = 0
    for part in numbers.split(b","):
        first, _, last = part.partition(b":")
        total += int(last or first) - int(first) + 1
    return total


@FUZZ
@given(_commands())
def test_literals_are_handed_out_whole_and_counted(wire: bytes) -> None:
    framer = Framer(framing.after_login(1_000))
    framer.feed(wire)
    wanted = got = bodies = 0
    try:
        while (frame := framer.next()) is not None:
            match frame:
                case BodyStart(octets):
                    assert got == wanted
                    wanted, bodies = wanted + octets, bodies + 1
                case BodyData(data):
                    got += len(data)
                case Command(_, count):
                    assert got == wanted and count == bodies
                    bodies = 0
    except HangUp:
        return
    assert got <= wanted
