"""The sending side against any server: it always ends with answers, never with an exception."""

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.smtp.client import ClientSession
from mailstack.smtp.client_events import (
    Done,
    OutgoingRecipient,
    Protocol,
    Ready,
    SendBody,
    StartTls,
    Transaction,
)

EXAMPLES = int(os.environ.get("MAILSTACK_FUZZ_EXAMPLES", "200"))
LINES = st.sampled_from(
    [
        b"220 mx\r\n",
        b"250 ok\r\n",
        b"250-mx\r\n250 PIPELINING\r\n",
        b"250-mx\r\n250-STARTTLS\r\n250 SIZE 50\r\n",
        b"250-mx\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 DSN\r\n",
        b"250-mx\r\n250-PIPELINING\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250 REQUIRETLS\r\n",
        b"354 go\r\n",
        b"421 bye\r\n",
        b"450 4.7.1 later\r\n",
        b"550 5.1.1 no\r\n",
        b"503 what\r\n",
        b"221 bye\r\n",
        b"250-",
        b"\xff\r\n",
        b"\n",
    ]
)
WIRE = st.lists(LINES | st.binary(max_size=6), max_size=25)
RECIPIENTS = (OutgoingRecipient("b@y.org"), OutgoingRecipient("ü@y.org"))
TRANSACTIONS = [
    Transaction("a@x.org", RECIPIENTS, 40, has_8bit=True),
    Transaction("a@x.org", RECIPIENTS, 40, is_binary=True),
    Transaction("", RECIPIENTS, 40, requiretls=True),
]
PROTOCOLS = st.sampled_from(["smtp", "lmtp"])


def run(chunks: list[bytes], messages: int, protocol: Protocol) -> list[str]:
    """A shell that never fails; gives what happened."""
    session = ClientSession(helo="us.test", protocol=protocol)
    seen: list[str] = []
    left = messages

    def pump() -> None:
        nonlocal left
        while (event := session.next_event()) is not None:
            seen.append(repr(event))
            if isinstance(event, StartTls):
                session.tls_done()
            elif isinstance(event, SendBody):
                session.body_done()
            if session.is_ready and isinstance(event, Ready | Done) and left:
                left -= 1
                session.send(TRANSACTIONS[left % 3])
        session.data_to_send()

    for chunk in [*chunks, b""]:
        session.receive(chunk)
        pump()
    assert session.closed
    return seen


@settings(derandomize=True, max_examples=EXAMPLES, deadline=None)
@given(WIRE, st.integers(0, 3), PROTOCOLS)
def test_every_message_is_answered_once_and_the_session_ends(
    chunks: list[bytes], messages: int, protocol: Protocol
) -> None:
    seen = run(chunks, messages, protocol)
    assert sum("Broken(" in event[:8] for event in seen) <= 1
    for event in seen:
        if event.startswith("Done"):
            assert event.count("Answer(") == 2


@settings(derandomize=True, max_examples=EXAMPLES, deadline=None)
@given(WIRE, PROTOCOLS)
def test_octet_by_octet_never_raises(chunks: list[bytes], protocol: Protocol) -> None:
    wire = b"".join(chunks)
    run([wire[i : i + 1] for i in range(len(wire))], 2, protocol)
