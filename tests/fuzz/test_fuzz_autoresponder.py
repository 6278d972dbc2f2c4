"""The autoresponder over whatever comes: nothing raises, and an answer is one letter to its sender."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.filters import autoresponder
from mailstack.filters.case import Case
from mailstack.filters.edits import View
from mailstack.filters.rules import Rules
from mailstack.filters.scripts import Step
from mailstack.filters.surroundings import Nowhere
from mailstack.model.autoresponse import Autoresponse
from mailstack.model.verdict import FilterRecipient, FilterRequest, MessageVerdict, SendMail

EXAMPLES = int(os.environ.get("MAILSTACK_FUZZ_EXAMPLES", "200"))
ALICE = "alice@example.test"
RULES = Rules(hostname="mx.example.test")
ANSWER = Autoresponse("away", "I am away.", sender='"Alice \\"A\\" Example" <alice@example.test>')
STEPS = (Step(autoresponder.NAME, autoresponder.source(ANSWER), "reply"),)
PIECES = st.sampled_from(
    b"From: |To: alice@example.test|Cc: |Subject: |Message-ID: <1@far.test>|References: |In-Reply-To: "
    b'|Reply-To: |Auto-Submitted: |List-Id: |bob@far.test|\r\n|\r\n |\n|\r|\0|<|>|"|,|(|:|;|\xff'
    b"|=?utf-8?q?=0D=0ABcc:_eve@evil.test?=|=?utf-8?b?DQpCY2M6IGV2ZUBldmlsLnRlc3Q=?="
    b"|\xe2\x80\xa8|Bcc: eve@evil.test".split(b"|")
)
MESSAGES = st.lists(PIECES | st.binary(max_size=6), max_size=24).map(b"".join)
SENDERS = (
    st.sampled_from(["bob@far.test", "prvs=1234567890=bob@far.test", "SRS0=A=B=far.test=bob@relay.test", ""])
    | st.lists(st.sampled_from([*'"<>@\\=+. ', "bob", "far.test", "SRS0", "\r\n", "ü"]), max_size=8).map(
        "".join
    )
    | st.text(max_size=20)
)
#: What an answer's header may hold, each once.
FIELDS = set(
    b"from to subject date message-id in-reply-to references auto-submitted x-auto-response-suppress"
    b" mime-version content-type content-transfer-encoding".split()
)


class Around(Nowhere):
    name = 'Alice "A" Example\\'
    addresses: Sequence[str] = (ALICE,)

    def may_send_as(self, address: str) -> bool:
        return address == ALICE


@settings(derandomize=True, max_examples=EXAMPLES, deadline=None)
@given(MESSAGES, SENDERS)
def test_an_answer_is_one_letter_to_its_sender(message: bytes, sender: str) -> None:
    message = b"To: alice@example.test\r\nSubject: " + message
    recipient = FilterRecipient(1, 1, ALICE, ALICE)
    request = FilterRequest("id", "192.0.2.1", "h.test", sender, (recipient,), 1_800_000_000.0)
    case = Case(request, recipient, MessageVerdict(), around=Around())
    result = RULES.run(STEPS, lambda: View(message, b"", len(message)), case)
    assert result.implicit_keep
    assert not result.error
    for one in result.actions:
        assert isinstance(one, SendMail)
        assert (one.envelope_from, one.recipients) == ("", (sender,))
        head, _, body = one.message.partition(b"\r\n\r\n")
        names = [line.partition(b":")[0].lower() for line in re.split(rb"\r\n(?![ \t])", head)]
        assert set(names) <= FIELDS  # V8
        assert len(set(names)) == len(names)
        assert not re.search(rb"\r(?!\n)|(?<!\r)\n|\0", one.message)
        assert body.strip() == b"I am away."
