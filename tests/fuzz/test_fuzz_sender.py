"""Who may send as whom: no octets make the check fail, or hide a foreign author from it.

The other reader is Python's: what passes must show it no author but the login's (T20).
"""

from __future__ import annotations

import email.parser
import email.policy
import email.utils
import re

from hypothesis import given
from hypothesis import strategies as st

from mailstack.model.reply import Reply
from mailstack.smtp.policy.sender import Mismatch, Resent, check_header
from mailstack.state.explanations import EXPLANATIONS
from tests.kit.accounts import ALICE, owns
from tests.kit.fuzzing import FUZZ

OWN = ("alice@example.test", "sales@example.test")
MAY = owns(*OWN)
NAMES = st.sampled_from(
    [
        b"From",
        b"From ",
        b"fRoM\t",
        b"Sender",
        b"Resent-From",
        b"Resent-Sender",
        b"Resent-To",
        b"Subject",
        b"List-Id",
    ]
)
PIECES = st.sampled_from(
    [
        b"alice@example.test",
        b"sales@example.test",
        b"bob@far.test",
        b"<alice@example.test>",
        b"<bob@far.test>",
        b"Alice ",
        b'"bob@far.test" ',
        b'"a\\"b" ',
        b"(bob@far.test)",
        b"=?utf-8?q?bob=40far.test?= ",
        b"g: ",
        b";",
        b",",
        b", ",
        b"@far.test:",
        b'"',
        b"(",
        b")",
        b"<",
        b">",
        b"@",
        b"\\",
        b"\r\n ",
        b"\r\n\t",
        b"\n ",
        b" ",
        b"\0",
        b"\xff",
        b"[192.0.2.1]",
        "ö@far.test".encode(),
    ]
)
VALUES = st.lists(PIECES, max_size=6).map(b"".join)
#: `a@b <c@d>`: seen in real mail, and c@d for us; Python's reader sees both.
NAMED_BY_ADDRESS = re.compile(r"@[^,]*<")
BLOCKS = st.lists(st.tuples(NAMES, VALUES), max_size=6).map(
    lambda fields: b"".join(name + b": " + value + b"\r\n" for name, value in fields)
)


def checked(block: bytes) -> Reply | Resent | None:
    return check_header(block, ALICE, may_send_as=MAY)


@FUZZ
@given(st.one_of(BLOCKS, st.binary(max_size=300)))
def test_any_header_gets_an_answer_that_can_be_sent_and_explained(block: bytes) -> None:
    found = checked(block)
    if found is None:
        return
    reply = found.refusal if isinstance(found, Resent) else found
    assert reply.code == 550
    assert reply.check in EXPLANATIONS
    assert not isinstance(reply, Mismatch) or reply.address
    assert reply.to_bytes().count(b"\n") == 1


@FUZZ
@given(BLOCKS)
def test_what_passes_shows_another_reader_no_foreign_author(block: bytes) -> None:
    if checked(block) is not None:
        return
    message = email.parser.BytesParser(policy=email.policy.compat32).parsebytes(block + b"\r\n")
    values = [
        str(value).replace("\n", "")
        for name, value in message.items()
        if name.strip().lower() in ("from", "sender")
    ]
    if any(NAMED_BY_ADDRESS.search(value) for value in values):
        return
    for _, address in email.utils.getaddresses(values):
        assert "@" not in address or address.lower() in OWN, (block, address)
