"""A pipelined stream over a socket, cut anywhere, is answered as the bare session answers it."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kit.bare_smtp import BareSmtp
from tests.kit.smtp_acceptor import running
from tests.kit.smtp_talk import Talk

#: No limit ends a session here: they have tests of their own.
PATIENCE = dict.fromkeys(
    ("errors", "errors_before_recipient", "junk_commands", "unknown_recipients", "mx_messages_per_session"),
    "off",
)
TEXT = st.lists(
    st.sampled_from([b"\r\n", b"\n", b"\r", b"QUIT\r\n", b".\r\n", b"\0", b"x" * 3000]), max_size=5
).map(b"".join)


def chunk(text: bytes, is_last: bool) -> bytes:
    return b"BDAT %d%s\r\n%s" % (len(text), b" LAST" if is_last else b"", text)


MAIL = b"MAIL FROM:<a@b.test> BODY=BINARYMIME\r\nRCPT TO:<bob@example.test>\r\n"
WORDS = st.one_of(
    st.sampled_from([MAIL, b"RSET\r\n", b"NOOP\r\n" * 55, b"RCPT TO:<nobody@example.test>\r\n", b"FROB\r\n"]),
    st.builds(chunk, TEXT, st.booleans()),
    st.builds(lambda text: MAIL + chunk(b"a: b\r\n\r\n", False) + chunk(text, True), TEXT),
)
SETTINGS = settings(
    max_examples=int(os.environ.get("MAILSTACK_FUZZ_EXAMPLES", "200")) // 4,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


async def over_a_socket(stream: bytes, sizes: list[int]) -> tuple[list[bytes], list[bytes]]:
    with tempfile.TemporaryDirectory() as folder:
        async with running(Path(folder), tls=False, memory_octets=4000, **PATIENCE) as server:
            async with await Talk.hello(server.port) as talk:
                at = 0
                while at < len(stream):
                    size = sizes[at % len(sizes)]
                    talk.send(stream[at : at + size])
                    at += size
                    await asyncio.sleep(0)
                talk.writer.write_eof()
                said = (await talk.rest()).encode().split(b"\r\n")[:-1]
            return [line[:9] for line in said], [data for _, data, _ in server.acceptor.taken]


@SETTINGS
@given(
    st.lists(WORDS, min_size=1, max_size=8).map(b"".join),
    st.lists(st.sampled_from([1, 7, 300, 5000, 200_000]), min_size=1, max_size=3),
)
def test_how_a_stream_is_cut_changes_nothing(stream: bytes, sizes: list[int]) -> None:
    bare = BareSmtp(memory_octets=4000, **PATIENCE)  # type: ignore[arg-type]
    bare.ask("EHLO client.example")
    bare.send(stream)
    said, taken = asyncio.run(over_a_socket(stream, sizes))
    assert said == [line[:9] for line in bare._lines]
    assert taken == [data for _, data, _ in bare.acceptor.taken]
