"""IMAP: whatever octets come, the session answers in IMAP, and the cut of the packets never matters."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mailstack.imap import fetch_modifiers, framing
from mailstack.imap.errors import Bad, HangUp, No
from mailstack.imap.fetch_items import parse_items
from mailstack.imap.framing import Frame, Framer
from mailstack.imap.grammar import (
    SAVED_PAIR,
    MessageSet,
    parse_date_time,
    parse_flags,
    parse_ranges,
    parse_set,
)
from mailstack.imap.names import decode_name, wire_name
from mailstack.imap.parser import Cursor, Head
from mailstack.imap.resync import parse_parameters
from mailstack.imap.search_keys import parse_search
from mailstack.imap.view import View
from mailstack.mime import utf7
from mailstack.model.mailbox import Flags, MessageRow
from tests.kit.bare_session import PASSWORD, USER, BareSession, message
from tests.kit.fuzzing import FUZZ
from tests.kit.memory_mailbox import MemoryMailbox

_DICTIONARY = Path(__file__).parent / "dictionaries" / "imap.txt"
#: One word a line, in Python's escapes, ended by "|" so that a space at the end can be seen.
WORDS = [
    line.removesuffix("|").encode().decode("unicode_escape").encode("latin-1")
    for line in _DICTIONARY.read_text().splitlines()
]
GOOD = [
    b"FETCH 1:* (UID FLAGS ENVELOPE BODYSTRUCTURE BODY INTERNALDATE RFC822.SIZE)",
    b"FETCH 2 BODY.PEEK[HEADER.FIELDS (SUBJECT)]<0.9>",
    b"UID FETCH 2 (BODY[1] BODY[TEXT] RFC822.HEADER)",
    b"FETCH 1:2 (BINARY.PEEK[1]<0.9> BINARY.SIZE[1] PREVIEW (LAZY) EMAILID THREADID SAVEDATE)",
    b"UID REPLACE 1 INBOX {3+}\r\nnew",
    b"UID STORE 1,2 +FLAGS (\\Seen $Junk)",
    b"SEARCH CHARSET UTF-8 OR (TEXT abc UNSEEN) NOT SINCE 1-Jan-2026",
    b"COPY 1 Trash",
    b"UID MOVE 1:* Archive",
    b"APPEND INBOX (\\Draft) {3+}\r\nabc {2+}\r\nde",
    b"EXPUNGE",
    b'LIST (SPECIAL-USE) "" "*" RETURN (CHILDREN)',
    b"STATUS INBOX (MESSAGES UIDNEXT UNSEEN SIZE)",
    b"CREATE a/b",
    b"RENAME a/b c",
    b"SELECT INBOX",
    b"ENABLE CONDSTORE QRESYNC",
    b"ENABLE UIDONLY",
    b"ENABLE IMAP4rev2 UTF8=ACCEPT",
    b"EXAMINE INBOX (QRESYNC (1001 1 1:5 (1:2 1:2)) CONDSTORE)",
    b"UID FETCH 1:* (FLAGS MODSEQ) (CHANGEDSINCE 1 VANISHED)",
    b"UID FETCH 1:* FLAGS (PARTIAL -1:-2)",
    b"STORE 1:2 (UNCHANGEDSINCE 9) +FLAGS.SILENT (\\Deleted $Junk)",
    b"UNAUTHENTICATE",
    b"NOTIFY SET STATUS (selected (MessageNew (uid) MessageExpunge)) (personal (MailboxName))",
    b"NOTIFY NONE",
    b'ID ("name" "Microsoft Office 365" "version" NIL)',
    b"IDLE\r\nDONE",
    b"NOOP",
]
OCTETS = st.lists(st.one_of(st.sampled_from(WORDS), st.binary(max_size=6)), max_size=40).map(b"".join)


@st.composite
def _commands(draw: st.DrawFn) -> bytes:
    """Good commands, some with a piece replaced."""
    out = []
    for line in draw(st.lists(st.sampled_from(GOOD), max_size=8)):
        if draw(st.booleans()):
            low, high = sorted(draw(st.tuples(*[st.integers(0, len(line))] * 2)))
            high = min(high, low + 8)
            line = line[:low] + draw(st.sampled_from(WORDS)) + line[high:]
        out.append(b"t " + line + b"\r\n")
    return b"".join(out)


_STATUS = re.compile(rb"(?:\S+|\*) (?:OK|NO|BAD|BYE) [\x20-\x7e]*\Z")


def frames(*pieces: bytes) -> tuple[list[Frame | str], bytes]:
    """Frames and message octets; the pieces a message comes in are no concern."""
    framer = Framer(framing.after_login(50))
    out: list[Frame | str] = []
    body = b""
    for piece in pieces:
        framer.feed(piece)
        try:
            while (frame := framer.next()) is not None:
                if isinstance(frame, framing.BodyData):
                    body += frame.data
                else:
                    out.append(frame)
        except HangUp as end:
            out.append(end.text)
            break
    return out, body


@FUZZ
@given(OCTETS)
def test_frames_do_not_depend_on_the_packets(wire: bytes) -> None:
    assert frames(wire) == frames(*(wire[at : at + 1] for at in range(len(wire))))


@FUZZ
@given(OCTETS)
def test_parsers_raise_only_their_own_errors(wire: bytes) -> None:
    Head(wire)
    for parse in (
        parse_items,
        parse_set,
        parse_ranges,
        fetch_modifiers.split,
        lambda data: parse_parameters(Cursor(data)),
        lambda data: Cursor(data, utf8=True).astring(),
        decode_name,
        lambda data: parse_search(Cursor(data)),
        lambda data: parse_flags(Cursor(data), most_keywords=5),
        lambda data: parse_date_time(Cursor(data)),
        lambda data: Cursor(data).astring(),
    ):
        try:
            parse(wire)
        except (Bad, No):
            pass


_NUMBER = st.one_of(st.just(b"*"), st.integers(0, 14).map(lambda number: b"%d" % number))
_SETS = st.lists(
    st.one_of(st.just(b"$"), _NUMBER, st.tuples(_NUMBER, _NUMBER).map(b":".join)), min_size=1, max_size=6
).map(b",".join)


def _in_set(wanted: MessageSet, number: int, last: int) -> bool:
    pairs = [(low or last, high or last) for low, high in wanted if (low, high) != SAVED_PAIR]
    return any(min(pair) <= number <= max(pair) for pair in pairs)


@FUZZ
@given(_SETS, st.sets(st.integers(1, 14), max_size=8), st.sets(st.integers(1, 14), max_size=4), st.booleans())
def test_sets_mean_what_they_say(text: bytes, uids: set[int], saved: set[int], uid: bool) -> None:
    view = View(1, "INBOX", read_only=False, modseq=1)
    view.learn([MessageRow(number, Flags.NONE, (), 1, 1, 0, 0, "") for number in sorted(uids)])
    try:
        wanted = parse_set(text)
        places = view.positions(wanted, uid=uid, saved=sorted(saved))
    except Bad:
        return
    last = (view.last_uid if uid else len(view)) or 1
    assert places == [
        at
        for at, known in enumerate(view.uids)
        if _in_set(wanted, known if uid else at + 1, last) or (known in saved and SAVED_PAIR in wanted)
    ]


@FUZZ
@given(st.text(st.characters(codec="utf-8"), max_size=20))
def test_a_name_comes_back_from_the_wire(name: str) -> None:
    wire = utf7.encode(name)
    if wire.isascii() and b"\r" not in wire:
        quoted = Cursor(wire_name(name)).astring()
        assert utf7.decode(quoted) == name


def _converse(*pieces: bytes, user: bool) -> bytes:
    store = MemoryMailbox(quota=10_000)
    store.add("INBOX", message())
    store.add("INBOX", b'Subject: \xff"\\\r\n\r\n\0')
    session = BareSession(store, tls=True)
    if user:
        session.command(f'LOGIN "{USER}" "{PASSWORD}"'.encode())
        session.command(b"SELECT INBOX")
    session.take()
    session.send(*pieces)
    return session.take()


@FUZZ
@given(OCTETS)
def test_strangers_get_answers_whatever_they_send(wire: bytes) -> None:
    whole = _converse(wire, user=False)
    assert whole == _converse(*(wire[at : at + 1] for at in range(len(wire))), user=False)
    _check(whole)


@FUZZ
@given(_commands())
def test_users_get_answers_whatever_they_send(wire: bytes) -> None:
    whole = _converse(wire, user=True)
    assert whole == _converse(*(wire[at : at + 1] for at in range(len(wire))), user=True)
    _check(whole)


def _check(output: bytes) -> None:
    """Every line is a response of IMAP; FETCH's value re-parses."""
    while output:
        line, output = _response(output)
        if line.startswith(b"+ "):
            continue
        if fetched := re.match(rb"\* \d+ (?:UID)?FETCH ", line):
            _check_value(line[fetched.end() :])
        elif not re.match(rb"\* (?:\d+ (?:EXISTS|RECENT|EXPUNGE)\Z|SEARCH\Z|ENABLED\Z|[A-Z]+ )", line):
            assert _STATUS.match(line), line


_TOKEN = re.compile(
    rb'"(?:[^"\\\r\n\x00\x80-\xff]|\\["\\])*"|(?:BODY|BINARY|BINARY\.SIZE)\[[^\]]*\](?:<\d+>)?|[^\s()"{}\x00-\x1f\x7f-\xff]+'
)
_LITERAL = re.compile(rb"(~?)\{(\d+)\}\r\n")


def _check_value(value: bytes) -> None:
    """Brackets, strings, atoms, and single spaces between them."""
    at = depth = 0
    while at < len(value):
        mark = value[at : at + 1]
        if mark in b"() ":
            depth += {b"(": 1, b")": -1}.get(mark, 0)
            assert depth >= 0 and value[at : at + 2] != b"  "
            at += 1
        elif literal := _LITERAL.match(value, at):
            at = literal.end() + int(literal[2])
            assert at <= len(value)
            assert literal[1] or b"\0" not in value[literal.end() : at]
        else:
            token = _TOKEN.match(value, at)
            assert token, value[at:]
            at = token.end()
    assert depth == 0


def _response(output: bytes) -> tuple[bytes, bytes]:
    end = 0
    while True:
        end = output.index(b"\r\n", end)
        literal = re.search(rb"\{(\d+)\}\Z", output[:end])
        if literal is None:
            return output[:end], output[end + 2 :]
        end += 2 + int(literal[1])
