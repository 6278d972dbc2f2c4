"""Messages nobody should send: every answer about them is IMAP, and comes soon (I13)."""

from __future__ import annotations

import re
import time

import pytest

from tests.kit import imap_structure
from tests.kit.bare_session import BareSession
from tests.kit.memory_mailbox import MemoryMailbox

#: Far above what any of them takes, far below what any mistake of growth would.
BOUND_S = 20.0


def nested(depth: int) -> bytes:
    opened = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(depth)
    )
    return opened + b"\r\nend\r\n"


def parts(count: int) -> bytes:
    return b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n\r\np\r\n" * count + b"--x--\r\n"


def field(value: bytes, name: bytes = b"Subject") -> bytes:
    return name + b": " + value + b"\r\n\r\nbody\r\n"


MESSAGES = {
    "M1 multiparts 64": nested(64),
    "M1 multiparts 65": nested(65),
    "M1 multiparts 20000": nested(20_000),
    "M2 messages in messages": b"Content-Type: message/rfc822\r\n\r\n" * 1_000 + b"Subject: x\r\n\r\n",
    "M2 boundaries that are prefixes": (
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n"
        b"Content-Type: multipart/mixed; boundary=ab\r\n\r\n--ab\r\n\r\nx\r\n--ab--\r\n--a--\r\n"
    ),
    "M3 1000 parts": parts(1_000),
    "M3 1001 parts": parts(1_001),
    "M3 200000 parts": parts(200_000),
    "M4 no boundary": b"Content-Type: multipart/mixed\r\n\r\n--\r\n\r\nx\r\n",
    "M4 empty boundary": b'Content-Type: multipart/mixed; boundary=""\r\n\r\n--\r\n\r\nx\r\n',
    "M4 long boundary": b"Content-Type: multipart/mixed; boundary=" + b"b" * 5_000 + b"\r\n\r\n",
    "M4 boundary with CRLF": b'Content-Type: multipart/mixed; boundary="a\r\n b"\r\n\r\n--a\r\n b\r\n',
    "M5 a megabyte of subject": field(b"s" * 1_000_000),
    "M5 folded a thousand times": field(b"\r\n ".join([b"s" * 1_000] * 1_000)),
    "M5 encoded words": field(b" ".join([b"=?utf-8?q?=C3=A9?="] * 5_000)),
    "M6 parentheses": field(b"(" * 2_000, b"From"),
    "M6 addresses": field(b",".join([b"a@b.test"] * 20_000), b"To"),
    "M6 header lines": b"X: y\r\n" * 500_000 + b"\r\n",
    "M6 quotes": field(b'"' * 50_000, b"From"),
    "M6 brackets": field(b"<" * 50_000 + b"a@b" + b">" * 50_000, b"Cc"),
    "M7 parameters": field(b"a/b" + b"".join(b"; name*%d*=x''%%" % n for n in range(5_000)), b"Content-Type"),
    "M8 padding": b"Content-Transfer-Encoding: base64\r\n\r\n" + b"=" * 3_000_000,
    "M8 quoted-printable": b"Content-Transfer-Encoding: quoted-printable\r\n\r\n=ZZ=\r\n=",
    "M9 charset": field(b"text/plain; charset=base64\r\nSubject: =?base64?q?x?= \xff\xfe", b"Content-Type"),
    "M10 uuencode": b"Subject: x\r\n\r\nbegin 644 x\r\n#86)C\r\n`\r\nend\r\n",
    "M15 one line": b"Subject: x\r\n\r\n" + b"word " * 2_000_000,
    "M16 file name": field(
        b'attachment; filename="../\\\\a\\"b\x01\xe2\x80\xae' + b"n" * 5_000 + b'"', b"Content-Disposition"
    ),
    "M17 date": field(b"31 Feb 99999" + b" (x)" * 40, b"Date"),
    "M18 twice": b"Subject: a\r\nSubject: b\r\nTo : c@d\r\nno colon\r\n" + b"N" * 1_000 + b": x\r\n\r\n",
    "M21 odd line ends": field(b"a\x0bb\x0cc\x1cd\xc2\x85e\xe2\x80\xa8f\x00g"),
    "forged answer": field(b'x) UID 99)\r\n * 1 EXPUNGE\r\n "\\', b"In-Reply-To"),
    "literal in a name": field(b'"{5}" <a@b.test>', b"From"),
    "nothing": b"",
    "only line ends": b"\r\n\r\n\r\n",
    "NUL": b"\0" * 1_000,
    "message/global": b"Content-Type: message/global\r\n\r\nSubject: \xc3\xa9\r\n\r\nx\r\n",
    "multipart of nothing": b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x--\r\n",
    "digest": b"Content-Type: multipart/digest; boundary=x\r\n\r\n--x\r\n\r\nSubject: i\r\n\r\n--x--\r\n",
}


@pytest.mark.parametrize("rev2", [False, True], ids=["rev1", "rev2"])
@pytest.mark.parametrize("name", MESSAGES)
def test_envelope_and_structure_follow_the_grammar(name: str, rev2: bool) -> None:
    data = MESSAGES[name].replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    store = MemoryMailbox()
    store.add("INBOX", data)
    session = BareSession(store).select()
    if rev2:
        assert b"t OK" in session.command(b"ENABLE IMAP4rev2")
    began = time.process_time()
    texts = {item: value(session.command(b"FETCH 1 " + item), item) for item in ITEMS}
    assert time.process_time() - began < BOUND_S
    imap_structure.check_envelope(texts[b"ENVELOPE"])
    leaves = imap_structure.check_body(texts[b"BODY"], extended=False, rev2=rev2)
    assert imap_structure.check_body(texts[b"BODYSTRUCTURE"], extended=True, rev2=rev2) == leaves <= 1_001


ITEMS = (b"ENVELOPE", b"BODY", b"BODYSTRUCTURE")


def value(said: bytes, item: bytes) -> bytes:
    head, tail = b"* 1 FETCH (" + item + b" ", b")\r\nt OK Fetch completed\r\n"
    assert said.startswith(head) and said.endswith(tail)
    return said[len(head) : -len(tail)]


@pytest.mark.parametrize("name", MESSAGES)
def test_sections_of_them_are_what_is_announced(name: str) -> None:
    # I12
    store = MemoryMailbox()
    store.add("INBOX", MESSAGES[name])
    session = BareSession(store).select()
    path = b".".join([b"1"] * 65)
    for item in (b"1", b"1.MIME", b"2", b"TEXT", b"1.HEADER", path, b"1000", b"HEADER.FIELDS.NOT (SUBJECT)"):
        said = session.command(b"FETCH 1 BODY.PEEK[" + item + b"]<0.100>")
        found = re.match(rb"\* 1 FETCH \(BODY\[[^]]*\]<0> (?:NIL|\{(\d+)\}\r\n)", said)
        assert found is not None
        octets = int(found[1] or 0)
        assert octets <= 100 and said[found.end() + octets :] == b")\r\nt OK Fetch completed\r\n"
    said = session.command(b"FETCH 1 (BINARY.SIZE[1] BINARY.PEEK[1]<0.10> PREVIEW)")
    assert said.endswith(b"t OK Fetch completed\r\n")
