"""SEARCH and its family: any program is answered in IMAP; a good one finds what a slow look finds."""

from __future__ import annotations

import email
import email.header
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mailstack.imap.errors import Bad, No
from mailstack.imap.parser import Cursor
from mailstack.imap.search_keys import parse_search
from mailstack.imap.search_options import parse_options
from mailstack.imap.sorting import parse_criteria
from mailstack.model.mailbox import Flags
from tests.kit.bare_session import BareSession
from tests.kit.fuzzing import FUZZ
from tests.kit.memory_mailbox import MemoryMailbox

_DICTIONARY = Path(__file__).parent / "dictionaries" / "search.txt"
#: One word a line, in Python's escapes, ended by "|" so that a space at the end can be seen.
WORDS = [
    line.removesuffix("|").encode().decode("unicode_escape").encode("latin-1")
    for line in _DICTIONARY.read_text().splitlines()
]
PROGRAMS = st.lists(st.sampled_from(WORDS), max_size=12).map(b"".join)
COMMANDS = st.sampled_from(
    [b"SEARCH ", b"UID SEARCH ", b"SORT ", b"UID SORT ", b"THREAD ", b"UID THREAD ", b"ESEARCH ",
     b"CANCELUPDATE "]
)  # fmt: skip
DAY = 86_400
_LINE = re.compile(
    rb"\* (?:(?:SEARCH|SORT)(?: [0-9]+)*(?: \(MODSEQ [0-9]+\))?|THREAD(?: \([0-9 ()]+\))?"
    rb"|ESEARCH \(TAG \"[^\"]+\"(?: MAILBOX \"[^\"]+\" UIDVALIDITY [0-9]+)?\)(?: UID)?[ A-Z0-9:,()-]*"
    rb"|(?:OK|NO) \[(?:HIGHESTMODSEQ [0-9]+|NOUPDATE \"[^\"]+\")\] [ -~]+)\Z"
)
_TAGGED = re.compile(rb"t[0-9]+ (?:OK|NO|BAD) [ -~]+\Z")


@FUZZ
@given(PROGRAMS)
def test_parsers_raise_only_their_own_errors(program: bytes) -> None:
    for parse in (parse_search, parse_options, parse_criteria):
        try:
            parse(Cursor(program))
        except (Bad, No):
            pass


def _fill(store: MemoryMailbox) -> MemoryMailbox:
    for number, (data, flags) in enumerate(MESSAGES):
        store.add("INBOX", data, flags, internal_at=number * DAY)
    store.change_flags(store.status("INBOX").id, [2], "+", flags=Flags.NONE, keywords=("$Junk",))
    return store


@FUZZ
@given(st.lists(st.tuples(COMMANDS, PROGRAMS), max_size=4))
def test_every_program_is_answered(programs: list[tuple[bytes, bytes]]) -> None:
    session = BareSession(_fill(MemoryMailbox())).select()
    for number, (command, program) in enumerate(programs):
        lines = session.ask(b"t%d %b%b\r\n" % (number, command, program)).split(b"\r\n")
        assert lines.pop() == b""
        for line in lines:
            assert _LINE.match(line) or _TAGGED.match(line) or re.match(rb"\S+ BAD ", line), line


# -- a slow look --------------------------------------------------------------------------

MESSAGES: list[tuple[bytes, Flags]] = [
    (
        b"From: Bob <bob@example.net>\r\nTo: alice@example.test\r\nSubject: Lunch at noon\r\n"
        b"Date: Fri, 2 Jan 1970 23:30:00 -0500\r\nX-Kind: one\r\n\r\nshall we eat\r\n",
        Flags.SEEN,
    ),
    (
        b"From: =?utf-8?q?J=C3=B6rg?= <j@example.org>\r\nCc: bob@example.net\r\n"
        b"Subject: =?iso-8859-1?q?=DCbung?=\r\nDate: Thu, 1 Jan 1970 00:30:00 +0100\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        b"ZsO8ciBCb2I=\r\n",
        Flags.FLAGGED,
    ),
    (b"Subject: Noon again\r\nX-Kind: two\r\nDate: Sun, 4 Jan 1970 10:00:00 +0000\r\n\r\nno\r\n", Flags.NONE),
    (
        b"To: bob@example.net\r\nDate: Sat, 3 Jan 1970 10:00:00 +0000\r\n"
        b"Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        b"f=FCr alice, at=\r\n noon\r\n",
        Flags.SEEN | Flags.ANSWERED,
    ),
]


@dataclass
class Looked:
    """One message as the standard library reads it."""

    number: int
    size: int
    flags: Flags
    fields: list[tuple[str, str]]
    body: str
    sent_day: int

    def has(self, name: str, text: str) -> bool:
        """A field of that name holds the text."""
        return any(field == name and text.lower() in value.lower() for field, value in self.fields)

    @property
    def header(self) -> str:
        """All fields, one a line."""
        return "\n".join(f"{name}: {value}" for name, value in self.fields)


def _looked(number: int, data: bytes, flags: Flags) -> Looked:
    parsed = email.message_from_bytes(data)
    fields = [
        (name.lower(), str(email.header.make_header(email.header.decode_header(value))))
        for name, value in parsed.items()
    ]
    octets = parsed.get_payload(decode=True)
    assert isinstance(octets, bytes)
    day = re.search(r"(\d) Jan", parsed["Date"])
    assert day is not None
    body = octets.decode(parsed.get_content_charset() or "ascii")
    return Looked(number, len(data), flags, fields, body, int(day[1]) - 1)


LOOKED = [_looked(number, data, flags) for number, (data, flags) in enumerate(MESSAGES, 1)]
Program = tuple[bytes, Callable[[Looked], bool]]
TEXTS = st.sampled_from(["noon", "BOB", "für", "ÜBUNG", "one", "alice", "shall we", "x", "at noon", "jörg"])


def _quoted(text: str) -> bytes:
    return b'"%b"' % text.encode()


def _in_field(name: str, text: str) -> Program:
    return b"%b %b" % (name.upper().encode(), _quoted(text)), lambda m: m.has(name, text)


def _header(name: str, text: str) -> Program:
    return b"HEADER %b %b" % (name.encode(), _quoted(text)), lambda m: m.has(name.lower(), text)


def _text(text: str) -> Program:
    return b"TEXT " + _quoted(text), lambda m: text.lower() in f"{m.header}\n{m.body}".lower()


def _body(text: str) -> Program:
    return b"BODY " + _quoted(text), lambda m: text.lower() in m.body.lower()


def _flag(word: str, flag: Flags) -> list[Program]:
    return [
        (word.encode(), lambda m: bool(m.flags & flag)),
        (b"UN" + word.encode(), lambda m: not m.flags & flag),
    ]


def _days(sent: bool, comparison: str, day: int) -> Program:
    def fits(message: Looked) -> bool:
        of = message.sent_day if sent else message.number - 1
        return {"BEFORE": of < day, "ON": of == day, "SINCE": of >= day}[comparison]

    word = ("SENT" if sent else "") + comparison
    return b"%b %d-Jan-1970" % (word.encode(), day + 1), fits


LEAVES = st.one_of(
    st.builds(_in_field, st.sampled_from(["from", "to", "cc", "bcc", "subject"]), TEXTS),
    st.builds(_header, st.sampled_from(["X-Kind", "to", "Date"]), st.one_of(st.just(""), TEXTS)),
    st.builds(_text, TEXTS),
    st.builds(_body, TEXTS),
    st.sampled_from(
        [*_flag("SEEN", Flags.SEEN), *_flag("FLAGGED", Flags.FLAGGED), *_flag("ANSWERED", Flags.ANSWERED)]
    ),
    st.builds(_days, st.booleans(), st.sampled_from(["BEFORE", "ON", "SINCE"]), st.integers(0, 4)),
    st.builds(lambda n: (b"LARGER %d" % n, lambda m: m.size > n), st.integers(50, 250)),
    st.builds(lambda n: (b"SMALLER %d" % n, lambda m: m.size < n), st.integers(50, 250)),
    st.builds(lambda n: (b"%d:*" % n, lambda m: m.number >= n), st.integers(1, 4)),
    st.builds(lambda n: (b"UID 1,%d" % n, lambda m: m.number in (1, n)), st.integers(1, 9)),
    st.just((b"KEYWORD $junk", lambda m: m.number == 2)),
)


def _not(program: Program) -> Program:
    text, fits = program
    return b"NOT " + text, lambda m: not fits(m)


def _or(one: Program, other: Program) -> Program:
    return b"OR %b %b" % (one[0], other[0]), lambda m: one[1](m) or other[1](m)


def _and(programs: list[Program]) -> Program:
    text = b"(%b)" % b" ".join(text for text, _ in programs)
    return text, lambda m: all(fits(m) for _, fits in programs)


TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(_not, inner),
        st.builds(_or, inner, inner),
        st.builds(_and, st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=8,
)


@FUZZ
@given(TREES)
def test_a_search_finds_what_a_slow_look_finds(program: Program) -> None:
    text, fits = program
    session = BareSession(_fill(MemoryMailbox())).select()
    wanted = b"".join(b" %d" % message.number for message in LOOKED if fits(message))
    assert session.command(b"SEARCH " + text).startswith(b"* SEARCH%b\r\n" % wanted)
