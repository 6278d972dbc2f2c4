"""The sending side against real servers: sockets, TLS, time limits."""

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mailstack.delivery.options import QueueOptions
from mailstack.delivery.remote import Host
from mailstack.delivery.spool import Content
from mailstack.model.reply import Reply
from mailstack.net.client_wire import Wire
from mailstack.net.smtp_client import Connection, OpenFailed, _pieces, connect
from mailstack.smtp.client_events import Done, OutgoingRecipient, Transaction
from tests.kit.certificates import write
from tests.kit.loops import both_loops
from tests.kit.queues import MESSAGE, PATIENT
from tests.kit.smtp_sink import CLOSE, HANG, RESET, SLOW, SmtpSink

#: Nor for taking a piece of data slowly, unless a test wants it.
OPTIONS = msgspec.structs.replace(PATIENT, block_timeout_s=30)
UNFINISHED = b"250-x\r\n250-"


def content(data: bytes = MESSAGE) -> Content:
    return Content(data, Path("unused"), len(data))


def transaction(*recipients: str, size: int = len(MESSAGE)) -> Transaction:
    return Transaction("a@x.org", tuple(OutgoingRecipient(r) for r in recipients or ("b@y.org",)), size)


async def open_(sink: SmtpSink, **more: Any) -> Connection:
    return await connect(
        Host("sink.test", sink.host, sink.port), helo="us.test", **{"options": OPTIONS, **more}
    )


def impatient(stage: str, seconds: float) -> QueueOptions:
    """Waits for the answer at one stage no longer than this."""
    name = {"data": "data", "end": "end", "quit": "quit", "block": "block"}.get(stage, "command")
    return msgspec.structs.replace(OPTIONS, **{f"{name}_timeout_s": seconds})


async def send(sink: SmtpSink, *recipients: str, data: bytes = MESSAGE, **more: Any) -> Done:
    connection = await open_(sink, **more)
    done = await connection.deliver(transaction(*recipients, size=len(data)), content(data))
    await connection.quit()
    return done


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, str]:
    return write(tmp_path)


@pytest.fixture
def sink() -> Iterator[SmtpSink]:
    with SmtpSink() as started:
        yield started


@both_loops
async def test_a_server_that_takes_it_and_leaves_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # Its yes and its end may both be there before we look again: what was taken is not sent once more.
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        while (line := await reader.readline()) and line != b"DATA\r\n":
            writer.write(b"250 ok\r\n")
        writer.write(b"354 go on\r\n")
        await reader.readuntil(b"\r\n.\r\n")
        writer.write(b"250 2.0.0 taken\r\n")
        writer.close()

    async def until_over(wire: Wire) -> None:
        while not wire.is_over:
            await asyncio.sleep(0.001)

    monkeypatch.setattr(Wire, "has_room", False)
    monkeypatch.setattr(Wire, "drain", until_over)
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        connection = await connect(Host("sink.test", "127.0.0.1", port), helo="us.test", options=OPTIONS)
        done = await connection.deliver(transaction(), content())
    assert [answer.reply for answer in done.answers] == [Reply(250, "0.0", "taken")]


@both_loops
async def test_a_message_arrives_octet_by_octet_and_says_goodbye(sink: SmtpSink) -> None:
    data = b"Subject: dots\r\n\r\n.\r\n..\r\n.x\r\nb\xc3\xa4r\r\n"
    done = await send(sink, "b@y.org", "c@y.org", data=data)
    assert [a.reply for a in done.answers] == [Reply(250, "0.0", "queued")] * 2
    (message,) = sink.messages
    assert (message.sender, message.recipients, message.helo) == (
        "a@x.org",
        ("b@y.org", "c@y.org"),
        "us.test",
    )
    assert message.data == data
    assert sink.commands[-1] == "QUIT"


async def test_with_pipelining_the_envelope_is_one_packet(sink: SmtpSink) -> None:
    await send(sink, "b@y.org", "c@y.org")
    assert any(read.startswith(b"MAIL") and read.endswith(b"DATA\r\n") for read in sink.reads)


@pytest.mark.parametrize("sizes", [[], [5], [5, 4], [0, 262_144, 1], [262_143, 2], [600_000, 3]], ids=str)
def test_what_is_written_at_once_is_cut_and_joined(sizes: list[int]) -> None:
    blocks = [bytes([65 + n]) * size for n, size in enumerate(sizes)]
    pieces = list(_pieces(blocks))
    assert b"".join(pieces) == b"".join(blocks)
    assert all(len(piece) <= 262_144 for piece in pieces)
    assert len(pieces) <= sum(sizes) // 262_144 + 2


async def test_a_small_message_and_its_dot_are_one_packet(sink: SmtpSink) -> None:
    await send(sink)
    assert any(read.startswith(MESSAGE[:8]) and read.endswith(b"\r\n.\r\n") for read in sink.reads)


async def test_several_messages_use_one_connection(sink: SmtpSink) -> None:
    connection = await open_(sink)
    for _ in range(3):
        assert connection.is_usable
        await connection.deliver(transaction(), content())
    assert connection.sent == 3
    await connection.quit()
    assert {m.connection for m in sink.messages} == {1}


async def test_a_message_from_a_file_is_streamed(sink: SmtpSink, tmp_path: Path) -> None:
    data = b"Subject: big\r\n\r\n" + b"0123456789\r\n.\r\n" * 200_000
    (tmp_path / "body").write_bytes(data + b"trailer that must not be sent")
    connection = await open_(sink, options=QueueOptions())
    done = await connection.deliver(transaction(size=len(data)), Content(None, tmp_path / "body", len(data)))
    await connection.quit()
    assert done.answers[0].reply.code == 250
    assert sink.messages[0].data == data


# -- TLS


@both_loops
async def test_tls_is_used_when_it_is_offered(tmp_path: Path) -> None:
    with SmtpSink(extensions=("STARTTLS", "PIPELINING"), tls=write(tmp_path)) as sink:
        connection = await open_(sink)
        assert connection.tls.startswith("TLSv1.3 ")
        await connection.deliver(transaction(), content())
        await connection.quit()
        assert sink.messages[0].tls == "TLSv1.3"
        assert sink.commands.count("EHLO us.test") == 2


@both_loops
async def test_a_failed_handshake_is_told_apart(certificate: tuple[str, str]) -> None:
    # L13
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    with SmtpSink(
        extensions=("STARTTLS",), replies={"starttls": ["220 go\r\nnonsense"]}, tls_context=context
    ) as sink:
        with pytest.raises(OpenFailed) as error:
            await open_(sink)
        assert not error.value.is_tls  # plaintext after 220: an attack, not an old server
    with SmtpSink(extensions=("STARTTLS",)) as sink:  # closes instead of a handshake
        with pytest.raises(OpenFailed) as error:
            await open_(sink)
        assert error.value.is_tls
        assert error.value.answer.reply.status == "7.5"
        assert await send(sink, grade="clear")
        assert len(sink.messages) == 1


@both_loops
async def test_octets_injected_before_the_handshake_break_the_session(certificate: tuple[str, str]) -> None:
    # L15: the whole in one segment, and in two
    for said in (b"220 go\r\n250 injected\r\n",):
        with SmtpSink(extensions=("STARTTLS",), replies={"starttls": [said]}, tls=certificate) as sink:
            with pytest.raises(OpenFailed) as error:
                await open_(sink)
            assert error.value.answer.reply.code == 451
            assert sink.messages == []


async def test_an_old_server_gets_the_legacy_context(certificate: tuple[str, str]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with SmtpSink(extensions=("STARTTLS",), tls_context=context) as sink:
        with pytest.raises(OpenFailed) as error:
            await open_(sink)
        assert error.value.is_tls
        connection = await open_(sink, grade="legacy")
        assert connection.tls.startswith("TLSv1.1")
        connection.abort()


# -- what goes wrong


@pytest.mark.parametrize(
    ("replies", "code"),
    [
        ({"greeting": "554 5.7.1 no"}, 554),
        ({"greeting": "421 busy"}, 421),
        ({"greeting": CLOSE}, 451),
        ({"greeting": RESET}, 451),
        ({"greeting": HANG}, 451),
        ({"greeting": b"x" * 1_000_000}, 451),
        ({"greeting": b"220-x\r\n" * 10_000}, 451),
        ({"greeting": b"999 x\r\n"}, 451),
        ({"ehlo": "421 no"}, 421),
        ({"ehlo": CLOSE}, 451),
        ({"ehlo": "550 no", "helo": "550 no"}, 550),
        ({"ehlo": UNFINISHED}, 451),
    ],
    ids=str,
)
async def test_a_host_that_gives_no_session_is_an_answer(replies: dict[str, Any], code: int) -> None:
    # Q1, Q2, Q7, Q8
    with SmtpSink(replies=replies) as sink:
        is_silent = any(said in (HANG, UNFINISHED) for said in replies.values())
        options = impatient("greeting", 0.3) if is_silent else OPTIONS
        with pytest.raises(OpenFailed) as error:
            await open_(sink, options=options)
        assert error.value.answer.reply.code == code
        assert error.value.was_connected


@pytest.mark.parametrize("step", ["mail", "rcpt", "data", "end"])
@pytest.mark.parametrize(
    "what", [CLOSE, RESET, HANG, "421 4.7.0 slow", b"\xff\xfe\r\n", b"2 50 ok\r\n"], ids=str
)
async def test_whatever_breaks_a_message_is_a_temporary_answer(step: str, what: str | bytes) -> None:
    # Q1, Q4, Q5, Q7
    with SmtpSink(replies={step: what}) as sink:
        connection = await open_(sink, options=impatient(step, 1.0) if what == HANG else OPTIONS)
        done = await connection.deliver(transaction(), content())
        assert done.answers[0].reply.is_temporary
        is_answer = str(what).startswith("421")
        assert done.answers[0].is_possible_duplicate == (step == "end" and not is_answer)
        assert not connection.is_usable


async def test_a_server_that_stops_reading_is_given_up() -> None:
    over, gone = asyncio.Event(), asyncio.Event()

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 x\r\n")
        for answer in (b"250 x\r\n", b"250 x\r\n", b"250 x\r\n", b"354 x\r\n"):
            await reader.readline()
            writer.write(answer)
        await over.wait()
        writer.transport.abort()
        gone.set()

    listener = await asyncio.start_server(deaf, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    connection = await connect(Host("x", "127.0.0.1", port), helo="us.test", options=impatient("block", 0.3))
    data = b"x" * 60_000_000
    done = await connection.deliver(transaction(size=len(data)), content(data))
    assert "stopped taking" in done.answers[0].reply.text
    assert not done.answers[0].is_possible_duplicate
    await asyncio.sleep(0)
    transport = connection._wire.transport
    assert transport is not None
    assert transport.get_write_buffer_size() == 0  # nobody waits for it to be taken
    over.set()
    await gone.wait()
    listener.close()


async def test_nobody_there_is_an_answer_of_ours() -> None:
    with SmtpSink() as sink:
        port = sink.port
    with pytest.raises(OpenFailed) as error:
        await connect(Host("gone.test", "127.0.0.1", port), helo="us.test", options=OPTIONS)
    assert (
        str(error.value) == f"451 4.4.1 No connection to gone.test[127.0.0.1] port {port}: Connection refused"
    )
    assert not error.value.was_connected


async def test_an_idle_connection_that_is_cut_is_noticed(sink: SmtpSink) -> None:
    connection = await open_(sink)
    sink.stop()
    async with asyncio.timeout(60):
        await connection.wait_until_heard()
    assert not connection.is_usable
    connection.abort()


async def test_a_slow_greeting_is_waited_for() -> None:
    # Q8
    with SmtpSink(greeting_delay_s=0.2) as sink:
        assert (await send(sink)).answers[0].reply.code == 250


@pytest.mark.parametrize("step", ["greeting", "ehlo", "mail", "rcpt", "data", "end"])
async def test_a_reply_has_its_time_however_many_octets_come(step: str) -> None:
    # Q7: each octet is in time, the reply is not
    options = impatient(step, 0.6)
    with SmtpSink(replies={step: SLOW}, slow_s=0.4) as sink:
        if step in ("greeting", "ehlo"):
            with pytest.raises(OpenFailed) as error:
                await open_(sink, options=options)
            answer = error.value.answer
        else:
            connection = await open_(sink, options=options)
            (answer,) = (await connection.deliver(transaction(), content())).answers
    assert answer.reply.text.startswith("No answer from ")
    assert answer.is_possible_duplicate is (step == "end")


async def test_a_goodbye_that_is_never_answered_ends_all_the_same() -> None:
    # Q6
    with SmtpSink(replies={"quit": HANG}) as sink:
        connection = await open_(sink, options=impatient("quit", 0.3))
        await connection.deliver(transaction(), content())
        async with asyncio.timeout(60):
            await connection.quit()
