"""The SMTP server over sockets: what aiosmtpd gets wrong, and what clients do wrong."""

from __future__ import annotations

import asyncio
import gc
import io
import os
import socket
import ssl
import struct
from base64 import b64encode
from pathlib import Path

import aiosmtplib
import pytest
from aiosmtpd.smtp import SMTP

from mailstack.app.ports import LogWatcher
from mailstack.model.reply import Reply
from mailstack.net.listener import ConnectionCaps
from mailstack.net.smtp_server import SmtpConnection
from mailstack.state.maillog import MailLog
from tests.kit import accounts
from tests.kit.loops import both_loops, on_uvloop, until
from tests.kit.smtp_acceptor import Running, running
from tests.kit.smtp_talk import Talk, client_context, old_context

ALICE = {"login": "alice@example.test", "password": "a$1 geheim"}


def spooled(server: Running) -> list[str]:
    return os.listdir(server.spool)


def test_the_connection_is_an_aiosmtpd_connection() -> None:
    assert issubclass(SmtpConnection, SMTP)


# -- mail ------------------------------------------------------------------------------------


@both_loops
async def test_a_mail_goes_its_way(tmp_path: Path) -> None:
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        await talk.begin()
        assert await talk.ask("Subject: x\r\n\r\n..dot\r\n.") == "250 2.0.0 Ok id=id1"
        assert await talk.ask("QUIT") == "221 2.0.0 Bye"
        assert await talk.rest() == ""
        envelope, data, body = server.acceptor.taken[0]
        assert data == b"Subject: x\r\n\r\n.dot\r\n"
        assert (body.path, body.size_octets) == ("", len(data))
        assert envelope.client.protocol == "ESMTP"
        assert (envelope.client.ip, envelope.client.listener) == ("127.0.0.1", "mx")


@both_loops
async def test_who_is_not_wanted_is_told_instead_of_greeted(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        server.acceptor.unwanted["127.0.0.1"] = Reply(421, "7.0", "Not from there")
        async with await Talk.open(server.port) as talk:
            assert await talk.reply() == "421 4.7.0 Not from there"
            assert await talk.rest() == ""
        assert "check=client" in server.lines[-1]


@both_loops
async def test_pipelined_mails_are_answered_in_order_in_few_writes(tmp_path: Path) -> None:
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        for n in range(3):
            talk.send(
                b"MAIL FROM:<a@b.test>\r\nRCPT TO:<bob@example.test>\r\nRCPT TO:<x@example.test>\r\nDATA\r\n"
            )
            replies = await asyncio.wait_for(
                talk.reader.readuntil(b"354 Go ahead, end with CRLF.CRLF\r\n"), 60
            )
            assert [line[:3] for line in replies.split(b"\r\n")] == [b"250", b"250", b"550", b"354", b""]
            # RFC 2920: the text of a message and the next commands may travel together.
            talk.send(b"n: %d\r\n\r\nx\r\n.\r\nNOOP\r\n" % n)
            assert (await talk.reply())[:3] == "250"
            assert (await talk.reply())[:3] == "250"
        assert len(server.acceptor.taken) == 3


@both_loops
async def test_many_pipelined_commands_get_every_reply(tmp_path: Path) -> None:
    async with running(tmp_path, junk_commands="off") as server, await Talk.hello(server.port) as talk:
        talk.send(b"NOOP\r\n" * 5000 + b"QUIT\r\n")
        assert (await talk.rest()).count("250 2.0.0 Ok") == 5000


@on_uvloop
async def test_what_comes_while_a_turn_ends_is_answered(tmp_path: Path) -> None:
    async with running(tmp_path, junk_commands="off") as server:
        gate = asyncio.Event()
        real = server.acceptor.check_recipient

        async def slowly(*question: object) -> Reply:
            await gate.wait()
            return await real(*question)  # type: ignore[arg-type]

        server.acceptor.check_recipient = slowly  # type: ignore[method-assign]
        async with await Talk.hello(server.port) as talk:
            # A turn is 50 commands; the next one comes while the last of them is being answered.
            talk.send(b"MAIL FROM:<a@b.test>\r\n" + b"NOOP\r\n" * 48 + b"RCPT TO:<bob@example.test>\r\n")
            await asyncio.sleep(0.05)
            talk.send(b"NOOP\r\n")
            await asyncio.sleep(0.05)
            gate.set()
            assert [(await talk.reply())[:3] for _ in range(51)] == ["250"] * 51


@both_loops
async def test_one_octet_at_a_time_is_the_same(tmp_path: Path) -> None:
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        for octets in (
            b"MAIL FROM:<a@b.test>\r\n",
            b"RCPT TO:<bob@example.test>\r\n",
            b"DATA\r\n",
            b"a: b\r\n\r\n.\r\n",
        ):
            for n in range(len(octets)):
                talk.send(octets[n : n + 1])
                await asyncio.sleep(0)
            assert (await talk.reply())[:1] in "23"
        assert server.acceptor.taken[0][1] == b"a: b\r\n\r\n"


@both_loops
async def test_a_large_message_lies_in_the_spool_only_while_it_is_accepted(tmp_path: Path) -> None:
    message = b"From: a@b\r\n\r\n" + b"x" * 998 + b"\r\n"
    message += (b"y" * 70 + b"\r\n") * 20_000
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        server.acceptor.gate = asyncio.Event()
        await talk.begin()
        talk.send(message + b".\r\n")
        await until(lambda: server.acceptor.started == 1)
        assert spooled(server) == ["id1"]
        assert os.stat(server.spool / "id1").st_mode & 0o777 == 0o600
        server.acceptor.gate.set()
        assert (await talk.reply())[:3] == "250"
        _, data, body = server.acceptor.taken[0]
        assert data == message
        assert (body.data, body.path) == (None, str(server.spool / "id1"))
        assert body.size_octets == len(message)
        assert spooled(server) == []


@on_uvloop
async def test_the_acceptor_may_take_the_spool_file_away(tmp_path: Path) -> None:
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        server.acceptor.gate = asyncio.Event()
        await talk.begin()
        talk.send(b"\r\n" + (b"z" * 98 + b"\r\n") * 4000 + b".\r\n")
        await until(lambda: server.acceptor.started == 1)
        os.rename(server.spool / "id1", tmp_path / "kept")
        server.acceptor.gate.set()
        assert (await talk.reply())[:3] == "250"
        assert (tmp_path / "kept").stat().st_size == 400_002


@on_uvloop
async def test_a_full_disk_is_a_temporary_refusal(tmp_path: Path) -> None:
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        os.rmdir(server.spool)
        await talk.begin()
        talk.send(b"\r\n" + (b"z" * 98 + b"\r\n") * 4000 + b".\r\n")
        assert (await talk.reply())[:1] == "4"
        await talk.begin()
        assert (await talk.ask("small: one\r\n."))[:3] == "250"
        server.shared.has_room = lambda: False
        assert (await talk.ask("MAIL FROM:<a@b.test>"))[:9] == "452 4.3.1"


# -- what ends a message -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ending",
    [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r\n\0.\r\n", b"\r.\r\n", b"\r\r\n.\r\n"],
    ids=repr,
)
@on_uvloop
async def test_smuggled_commands_are_never_executed(tmp_path: Path, ending: bytes) -> None:
    # S1, S2, T1
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        await talk.begin()
        talk.send(b"a: b\r\n\r\nx" + ending)
        if not ending.endswith(b"\r\r\n.\r\n"):
            talk.send(b"MAIL FROM:<evil@bank.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\nx\r\n.\r\n")
        assert (await talk.reply())[:10] == "550 5.6.11"
        assert (await talk.ask("NOOP"))[:3] == "250"
        assert server.acceptor.taken == []
        assert sum("at=end" in line for line in server.lines) == 1


@on_uvloop
async def test_bare_line_feeds_become_crlf_and_bare_cr_a_space(tmp_path: Path) -> None:
    # S3, S4
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        await talk.begin()
        talk.send(b"From: a@b\nTo: c\rX: y\n\nbody\n\r\n.\r\n")
        assert (await talk.reply())[:3] == "250"
        _, data, body = server.acceptor.taken[0]
        assert data == b"From: a@b\r\nTo: c X: y\r\n\r\nbody\r\n\r\n"
        assert (body.had_bare_lf, body.had_bare_cr) == (True, True)


@pytest.mark.parametrize(
    ("length", "said"), [(65_536, "250"), (65_537, "554 5.6.0"), (1_000_000, "554 5.6.0")]
)
@on_uvloop
async def test_long_lines(tmp_path: Path, length: int, said: str) -> None:
    # S5
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        await talk.begin()
        talk.send(b"a: b\r\n\r\n" + b"x" * length + b"\r\n.\r\n")
        assert (await talk.reply()).startswith(said)
        assert spooled(server) == []


@both_loops
async def test_a_message_that_grows_too_large_is_cut_and_its_file_gone(tmp_path: Path) -> None:
    # S13
    async with running(tmp_path, message_octets=1_000_000) as server, await Talk.hello(server.port) as talk:
        await talk.begin(more=" SIZE=10")
        for _ in range(300):
            talk.send((b"y" * 98 + b"\r\n") * 100)
            await talk.writer.drain()
        assert spooled(server) == []
        assert (await talk.ask("."))[:9] == "552 5.3.4"
        assert (await talk.ask("NOOP"))[:3] == "250"
        assert server.acceptor.taken == []


@both_loops
async def test_a_client_lost_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    # S14, L12
    async with running(tmp_path) as server:
        for reset in (False, True):
            talk = await Talk.hello(server.port)
            await talk.begin()
            talk.send((b"y" * 98 + b"\r\n") * 5000)
            await until(lambda: len(spooled(server)) == 1)
            if reset:
                sock = talk.writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                talk.writer.transport.abort()
            await talk.close()
            await until(lambda: server.listener.connections == 0)
            assert spooled(server) == []
        assert server.acceptor.started == 0
        assert [line.split(" peer")[0] for line in server.lines] == ["lost id=id1", "lost id=id2"]


@pytest.mark.parametrize("name", ["mx", "submissions"])
@both_loops
async def test_a_client_lost_after_the_dot_never_cancels_the_delivery(tmp_path: Path, name: str) -> None:
    # S15
    is_mx = name == "mx"
    async with running(tmp_path, name) as server:
        server.acceptor.gate = asyncio.Event()
        talk = await Talk.hello(server.port, tls=not is_mx, **({} if is_mx else ALICE))
        await talk.begin(sender="a@b.test" if is_mx else "alice@example.test")
        talk.send(b"From: alice@example.test\r\n\r\nx\r\n.\r\n")
        await until(lambda: server.acceptor.started == 1)
        await talk.close()
        await asyncio.sleep(0.05)
        server.acceptor.gate.set()
        await until(lambda: len(server.acceptor.taken) == 1)
        await until(lambda: server.listener.connections == 0)


@both_loops
async def test_a_half_closed_client_gets_its_replies(tmp_path: Path) -> None:
    # S50
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        await talk.begin()
        talk.send(b"a: b\r\n\r\n.\r\n")
        talk.writer.write_eof()
        assert await talk.rest() == "250 2.0.0 Ok id=id1\r\n"


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (b"Received: x\r\n" * 50 + b"\r\n", "250"),
        (b"Received: x\r\n" * 51 + b"\r\n", "554 5.4.6"),
        (b"Received: x\r\n" * 60_000 + b"\r\n", "554 5.4.6"),
        (b"From: a@b\r\nFrom: c@d\r\n\r\n", "550 5.7.1"),
        (b"X: " + b"y" * 60_000 + b"\r\n", "250"),
        (b"X: y\r\n" * 100_000 + b"\r\n", "552 5.3.4"),
        (b"", "250"),
        (b"no header\r\n", "250"),
        (b"From someone Mon Jan  1 00:00:00 2026\r\nSubject: x\r\n\r\n", "250"),
    ],
    ids=lambda value: repr(value[:24]),
)
@on_uvloop
async def test_odd_messages(tmp_path: Path, message: bytes, said: str) -> None:
    # S39, S40, M5, M6, T20
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        await talk.begin()
        talk.send(message + b".\r\n")
        assert (await talk.reply()).startswith(said)
        assert [data for _, data, _ in server.acceptor.taken] == ([message] if said == "250" else [])


@on_uvloop
async def test_a_refusal_by_the_acceptor_is_passed_on_and_a_crash_is_421(tmp_path: Path) -> None:
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        server.acceptor.reply = Reply(550, "7.1", "no")
        await talk.begin()
        assert await talk.ask("a: b\r\n.") == "550 5.7.1 no"
        await talk.begin()
        server.acceptor.taken = None  # type: ignore[assignment]
        said = await talk.ask("a: b\r\n.")
        assert said[:9] == "421 4.3.0"
        assert "NoneType" not in said


# -- TLS -----------------------------------------------------------------------------------------


@both_loops
async def test_mail_goes_through_starttls(tmp_path: Path) -> None:
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        await talk.ask("MAIL FROM:<old@b.test>")
        await talk.ask("RSET")
        await talk.start_tls()
        # L3: nothing of before is left
        assert (await talk.ask("MAIL FROM:<a@b.test>"))[:3] == "503"
        said = await talk.ask("EHLO again")
        assert "STARTTLS" not in said
        assert "AUTH" not in said
        assert (await talk.ask("STARTTLS"))[:3] == "503"
        await talk.begin()
        assert (await talk.ask("a: b\r\n."))[:3] == "250"
        client = server.acceptor.taken[0][0].client
        assert client.tls.startswith("TLSv1.3 ")
        assert (client.helo, client.protocol) == ("again", "ESMTPS")


@pytest.mark.parametrize("name", ["mx", "submission"])
@both_loops
async def test_what_stands_behind_starttls_is_never_executed(tmp_path: Path, name: str) -> None:
    # L1, T3
    async with running(tmp_path, name) as server, await Talk.hello(server.port) as talk:
        talk.send(b"STARTTLS\r\nMAIL FROM:<x@y.test>\r\n")
        assert (await talk.reply())[:9] == "554 5.5.0"
        assert await talk.rest() == ""


@both_loops
async def test_clear_text_sent_after_the_220_breaks_the_handshake(tmp_path: Path) -> None:
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        assert (await talk.ask("STARTTLS"))[:3] == "220"
        talk.send(b"MAIL FROM:<x@y.test>\r\n")
        assert "250" not in (await talk.rest())
        await until(lambda: server.listener.connections == 0)
        assert any("tls_failed" in line for line in server.lines)


@both_loops
async def test_the_first_command_after_the_handshake_is_answered_under_tls(tmp_path: Path) -> None:
    # The STARTTLS box: EHLO travels with the end of the handshake.
    async with running(tmp_path) as server:
        for _ in range(10):
            async with await Talk.hello(server.port) as talk:
                await talk.start_tls()
                talk.send(b"EHLO x\r\n")
                assert (await talk.reply())[:3] == "250"


@both_loops
async def test_a_handshake_that_never_comes_ends(tmp_path: Path) -> None:
    # L4
    async with running(tmp_path, tls_handshake_s=0.2) as server, await Talk.hello(server.port) as talk:
        assert (await talk.ask("STARTTLS"))[:3] == "220"
        assert await talk.rest() == ""
        await until(lambda: server.listener.connections == 0)


@pytest.mark.parametrize("name", ["submission", "submissions"])
@both_loops
async def test_a_listed_device_may_use_tls_1_0_and_nobody_else(tmp_path: Path, name: str) -> None:
    # L5, L6
    old = old_context()
    for devices, works in ((("127.0.0.0/8",), True), ((), False)):
        async with running(tmp_path, name, devices=devices) as server:
            talk = await Talk.open(server.port) if name == "submission" else None
            try:
                if talk is not None:
                    await talk.reply()
                    await talk.ask("EHLO x")
                    await talk.ask("STARTTLS")
                    await talk.writer.start_tls(old)
                else:
                    streams = await asyncio.open_connection("127.0.0.1", server.port, ssl=old)
                    talk = Talk(*streams)
                    await talk.reply()
            except (ssl.SSLError, ConnectionError):
                assert not works
            else:
                assert works
                assert (await talk.ask("EHLO x"))[:3] == "250"
            if talk is not None:
                await talk.close()
            await until(lambda server=server: server.listener.connections == 0)


# -- login -----------------------------------------------------------------------------------------


@both_loops
async def test_login_works_on_implicit_tls_and_mail_is_sent(tmp_path: Path) -> None:
    async with running(tmp_path, "submissions") as server:
        async with await Talk.hello(server.port, tls=True, **ALICE) as talk:
            await talk.begin("x@elsewhere.test", "alice@example.test")
            assert (await talk.ask("From: alice@example.test\r\n."))[:3] == "250"
        envelope = server.acceptor.taken[0][0]
        assert envelope.client.login == "alice@example.test"
        assert envelope.client.protocol == "ESMTPSA"


@on_uvloop
async def test_the_third_wrong_password_ends_the_connection(tmp_path: Path) -> None:
    async with running(tmp_path, "submissions") as server, await Talk.hello(server.port, tls=True) as talk:
        line = "AUTH PLAIN " + b64encode(b"\0alice@example.test\0wrong").decode()
        assert (await talk.ask(line))[:9] == "535 5.7.8"
        assert (await talk.ask(line))[:9] == "535 5.7.8"
        assert (await talk.ask(line))[:9] == "535 5.7.8"
        assert (await talk.reply())[:9] == "421 4.7.0"
        assert await talk.rest() == ""


@on_uvloop
async def test_whoever_is_shut_out_at_a_login_is_told_and_left(tmp_path: Path) -> None:
    async with running(tmp_path, "submissions") as server, await Talk.hello(server.port, tls=True) as talk:
        server.acceptor.banned.add("alice@example.test")
        line = b64encode(b"\0alice@example.test\0a$1 geheim").decode()
        assert (await talk.ask(f"AUTH PLAIN {line}"))[:9] == "421 4.7.0"
        assert await talk.rest() == ""


@on_uvloop
async def test_nobody_acts_for_another_user(tmp_path: Path) -> None:
    # A5
    async with running(tmp_path, "submissions") as server, await Talk.hello(server.port, tls=True) as talk:
        line = b64encode(b"bob@example.test\0alice@example.test\0a$1 geheim").decode()
        assert (await talk.ask(f"AUTH PLAIN {line}"))[:9] == "535 5.7.8"


@on_uvloop
async def test_an_account_has_so_many_connections(tmp_path: Path) -> None:
    async with running(tmp_path, "submissions", submission_sessions_per_account=1) as server:
        line = "AUTH PLAIN " + b64encode(b"\0alice@example.test\0a$1 geheim").decode()
        async with (
            await Talk.hello(server.port, tls=True) as one,
            await Talk.hello(server.port, tls=True) as two,
        ):
            assert (await one.ask(line))[:3] == "235"
            assert (await two.ask(line))[:9] == "454 4.7.0"
            await one.close()
            await until(lambda: server.listener.connections == 1)
            assert (await two.ask(line))[:3] == "235"
        await until(lambda: server.listener.connections == 0)
        assert server.shared.sessions.add(str(accounts.ALICE.id), 0) == 0


@pytest.mark.parametrize("mechanism", ["plain", "login"])
@pytest.mark.parametrize("name", ["submission", "submissions"])
async def test_aiosmtplib_sends(tmp_path: Path, name: str, mechanism: str) -> None:
    async with running(tmp_path, name) as server:
        client = aiosmtplib.SMTP(
            hostname="127.0.0.1",
            port=server.port,
            use_tls=name == "submissions",
            start_tls=name == "submission",
            tls_context=client_context(),
            timeout=5,
        )
        await client.connect()
        await client.ehlo()
        log_in = client.auth_plain if mechanism == "plain" else client.auth_login
        await log_in("alice@example.test", "a$1 geheim")
        errors, said = await client.sendmail(
            "alice@example.test", ["bob@example.test", "x@y.test"], b"From: alice@example.test\n\n.hello\n"
        )
        assert (errors, said[:5]) == ({}, "2.0.0")
        assert client.esmtp_extensions["size"] == "52428800"
        await client.quit()
        assert server.acceptor.taken[0][1].endswith(b"\r\n\r\n.hello\r\n")


@on_uvloop
async def test_ports_25_and_587_in_clear_take_no_login(tmp_path: Path) -> None:
    # A1
    for name, said in (("mx", "503 5.5.1"), ("submission", "530 5.7.0")):
        async with running(tmp_path, name) as server, await Talk.hello(server.port) as talk:
            assert (await talk.ask("AUTH PLAIN AGEAYg=="))[:9] == said
            assert server.acceptor.logins == []


# -- speaking out of turn ----------------------------------------------------------------------------


@both_loops
async def test_a_client_that_speaks_first_is_refused(tmp_path: Path) -> None:
    # S35
    async with running(tmp_path, greeting_wait_s=0.3) as server, await Talk.open(server.port) as talk:
        talk.send(b"EHLO x\r\n")
        assert (await talk.reply())[:9] == "554 5.5.0"
        assert await talk.rest() == ""
        assert any("check=early_talker" in line for line in server.lines)


@both_loops
async def test_octets_waiting_at_the_accept_are_seen_without_a_wait(tmp_path: Path) -> None:
    # S35
    async with running(tmp_path) as server:
        sock = socket.create_connection(("127.0.0.1", server.port))  # nothing accepts yet: we block the loop
        sock.sendall(b"EHLO x\r\n")
        talk = Talk(*await asyncio.open_connection(sock=sock))
        assert (await talk.reply())[:9] == "554 5.5.0"
        assert await talk.rest() == ""
        await talk.close()


@both_loops
async def test_a_message_before_the_354_is_refused_and_not_executed(tmp_path: Path) -> None:
    # S34, T2
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        talk.send(
            b"MAIL FROM:<a@b.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\na: b\r\n\r\nx\r\n.\r\nNOOP\r\n"
        )
        said = await talk.rest()
        assert [line[:3] for line in said.splitlines()] == ["250", "250", "554"]
        assert server.acceptor.started == 0


@on_uvloop
async def test_a_message_behind_a_refused_data_is_not_executed_either(tmp_path: Path) -> None:
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        talk.send(
            b"MAIL FROM:<a@b.test>\r\nRCPT TO:<no@example.test>\r\nDATA\r\nRSET\r\nMAIL FROM:<x@y.test>\r\n"
        )
        said = await talk.rest()
        assert [line[:3] for line in said.splitlines()] == ["250", "550", "554"]


@both_loops
async def test_the_end_of_a_refused_client_is_heard(tmp_path: Path) -> None:
    """A client that still sends gets the last reply, not a reset."""
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        talk.send(b"x" * 1_000_000)
        assert (await talk.reply())[:9] == "500 5.5.2"
        assert (await talk.reply())[:9] == "421 4.5.2"
        await talk.close()
        await until(lambda: server.listener.connections == 0)


@pytest.mark.parametrize(
    "octets",
    [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"SSH-2.0-x\r\n"],
    ids=repr,
)
@on_uvloop
async def test_other_protocols_get_one_reply(tmp_path: Path, octets: bytes) -> None:
    # S36
    async with running(tmp_path) as server, await Talk.open(server.port) as talk:
        await talk.reply()
        talk.send(octets)
        assert [line[:3] for line in (await talk.rest()).splitlines()] == ["554"]


# -- time --------------------------------------------------------------------------------------------


@both_loops
async def test_a_command_has_a_deadline_that_octets_do_not_move(tmp_path: Path) -> None:
    # S17
    async with running(tmp_path, command_wait_s=1.0) as server, await Talk.hello(server.port) as talk:
        loop = asyncio.get_running_loop()
        before = loop.time()
        said = asyncio.ensure_future(talk.reply())
        while not said.done():
            talk.send(b"N")
            await asyncio.sleep(0.05)
        assert (await said)[:9] == "421 4.4.2"
        assert loop.time() - before < 20
        assert any("check=timeout" in line for line in server.lines)


@on_uvloop
async def test_each_command_has_its_own_deadline(tmp_path: Path) -> None:
    async with running(tmp_path, command_wait_s=2.0) as server, await Talk.hello(server.port) as talk:
        for _ in range(4):
            await asyncio.sleep(0.6)
            assert (await talk.ask("NOOP"))[:3] == "250"


@both_loops
async def test_a_message_that_drips_is_ended_by_its_rate(tmp_path: Path) -> None:
    # S16
    async with running(tmp_path, data_wait_s=0.3) as server, await Talk.hello(server.port) as talk:
        await talk.begin()
        before = asyncio.get_running_loop().time()
        said = asyncio.ensure_future(talk.reply())
        while not said.done():
            talk.send(b"x")
            await asyncio.sleep(0.05)
        assert (await said)[:9] == "421 4.4.2"
        assert asyncio.get_running_loop().time() - before < 20
        assert spooled(server) == []
        assert any("check=too_slow" in line for line in server.lines)


@both_loops
async def test_a_message_that_stops_is_ended(tmp_path: Path) -> None:
    async with running(tmp_path, data_wait_s=0.2) as server, await Talk.hello(server.port) as talk:
        await talk.begin()
        talk.send(b"x" * 10_000)
        assert (await talk.reply())[:9] == "421 4.4.2"


@on_uvloop
async def test_login_and_sessions_have_a_deadline(tmp_path: Path) -> None:
    tls_server = running(tmp_path, "submissions", login_wait_s=3.0)
    async with tls_server as server, await Talk.hello(server.port, tls=True) as talk:
        await asyncio.sleep(0.2)
        assert (await talk.ask("NOOP"))[:3] == "250"
        assert (await talk.reply())[:3] == "421"
    async with running(tmp_path, mx_session_s=1.5) as server, await Talk.hello(server.port) as talk:
        assert (await talk.reply())[:9] == "421 4.7.0"


@both_loops
async def test_an_answer_that_takes_too_long_is_421_and_the_delivery_goes_on(tmp_path: Path) -> None:
    async with running(tmp_path, answer_wait_s=0.2) as server, await Talk.hello(server.port) as talk:
        server.acceptor.gate = asyncio.Event()
        await talk.begin()
        assert (await talk.ask("a: b\r\n."))[:9] == "421 4.4.2"
        assert await talk.rest() == ""
        server.acceptor.gate.set()
        await until(lambda: len(server.acceptor.taken) == 1)


@on_uvloop
async def test_errors_are_delayed(tmp_path: Path) -> None:
    # S19
    async with running(tmp_path, error_delay_s=1.0) as server, await Talk.hello(server.port) as talk:
        loop = asyncio.get_running_loop()
        waits = []
        for _ in range(6):
            before = loop.time()
            assert (await talk.ask("FROB"))[:3] == "500"
            waits.append(loop.time() - before)
        assert max(waits[:5]) < 0.99 <= waits[5]


@on_uvloop
async def test_stress_makes_waits_short(tmp_path: Path) -> None:
    async with running(tmp_path, stress_wait_s=1.0) as server:
        server.shared.is_stressed = lambda: True
        async with await Talk.hello(server.port) as talk:
            assert (await talk.reply())[:3] == "421"


# -- flow --------------------------------------------------------------------------------------------


@both_loops
async def test_a_client_that_does_not_read_is_made_to_wait_and_then_cut(tmp_path: Path) -> None:
    async with running(tmp_path, output_wait_s=2.0, junk_commands="off", command_wait_s=60) as server:
        server.listener._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        sock.connect(("127.0.0.1", server.port))
        sock.setblocking(False)
        await asyncio.sleep(0.05)
        sent = stuck = 0
        while stuck < 20 and sent < 20_000_000:
            try:
                sent += sock.send(b"HELP\r\n" * 10_000)
            except BlockingIOError:
                stuck += 1
                await asyncio.sleep(0.01)
        (connection,) = server.server.connections
        held = sum(map(len, connection._chunks)) + 8 * len(connection._lines)
        assert held < 800_000
        await until(lambda: server.listener.connections == 0)
        assert sent < 1_000_000
        sock.close()


@both_loops
async def test_everything_is_released(tmp_path: Path) -> None:
    # S50
    async with running(tmp_path) as server:
        await (await Talk.hello(server.port)).close()
        await until(lambda: server.listener.connections == 0)
        descriptors = len(os.listdir("/proc/self/fd"))
        for steps in (0, 1, 2, 3, 4):
            talk = await Talk.open(server.port)
            await talk.reply()
            for line in ["EHLO x", "MAIL FROM:<a@b.test>", "RCPT TO:<bob@example.test>", "DATA"][:steps]:
                await talk.ask(line)
            sock = talk.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            talk.writer.transport.abort()
            await talk.close()
        async with await Talk.hello(server.port) as talk:
            talk.send(b"QUIT\r\nNOOP\r\n")
            assert (await talk.rest())[:3] == "221"
        await until(lambda: server.listener.connections == 0)
        await until(lambda: len(os.listdir("/proc/self/fd")) <= descriptors)
        assert server.server.connections == set()
        gc.collect()
        assert not [thing for thing in gc.get_objects() if type(thing) is SmtpConnection]


@both_loops
async def test_stop_ends_idle_sessions_and_finishes_messages(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        idle, busy = await Talk.hello(server.port), await Talk.hello(server.port)
        server.acceptor.gate = asyncio.Event()
        await busy.begin()
        busy.send(b"a: b\r\n.\r\n")
        await until(lambda: server.acceptor.started == 1)
        server.listener.stop()
        server.server.stop()
        assert (await idle.reply())[:9] == "421 4.3.2"
        server.acceptor.gate.set()
        assert (await busy.reply())[:3] == "250"
        assert (await busy.reply())[:9] == "421 4.3.2"
        assert await server.listener.finish(3) == 0
        await idle.close()
        await busy.close()


@on_uvloop
async def test_the_third_connection_of_an_address_is_421(tmp_path: Path) -> None:
    # S42
    log = io.StringIO()
    watcher = LogWatcher(MailLog(None, daemon="smtp", now=lambda: 0.0, stream=log, stamped=False))
    async with running(tmp_path, caps=ConnectionCaps(per_ip=2), watcher=watcher) as server:
        talks = [await Talk.hello(server.port) for _ in range(2)]
        async with await Talk.open(server.port) as third:
            assert (await third.reply())[:9] == "421 4.7.0"
        assert (await talks[0].ask("NOOP"))[:3] == "250"
        for talk in talks:
            await talk.close()
    assert "at=connect check=connections code=421" in log.getvalue()


# -- the log -------------------------------------------------------------------------------------------


@on_uvloop
async def test_every_refusal_is_one_line_that_cannot_be_forged(tmp_path: Path) -> None:
    # T92
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        await talk.ask('MAIL FROM:<"a b=c"@b.test> FOO=1')
        await talk.ask("MAIL FROM:<a@b.test>")
        await talk.ask('RCPT TO:<"x id=1 y"@example.test>')
        assert len(server.lines) == 2
        assert server.lines[0].startswith(
            "refused peer=127.0.0.1 at=mail check=parameter code=555 status=5.5.4"
        )
        assert 'to="\\"x id=1 y\\"@example.test"' in server.lines[1]


@on_uvloop
async def test_a_refusal_names_the_sender_of_the_message_under_way(tmp_path: Path) -> None:
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        await talk.ask("MAIL FROM:<big@b.test> SIZE=99999999999")
        await talk.ask("MAIL FROM:<a@b.test>")
        await talk.ask("RCPT TO:<nobody@example.test>")
        await talk.ask("RSET")
        await talk.ask("WHAT")
        told = [line.partition("sender=")[2].partition(" ")[0] for line in server.lines]
        assert told == ["big@b.test", "a@b.test", ""]
