"""Messages nobody should send: every answer about them is IMAP, and comes soon (I13)."""

from __future__ import annotations

import re
import time

import pytest

from tests.kit import imap_structure
from tests.kit.bare_session import BareSession
from tests.kit.hostile import MESSAGES
from tests.kit.memory_mailbox import MemoryMailbox

#: Far above what any of them takes, far below what any mistake of growth would.
BOUND_S = 20.0


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
