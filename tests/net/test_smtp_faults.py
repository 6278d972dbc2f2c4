"""Rows of the fault list (S6 to S50) over sockets, where `test_smtp_server.py` does not have them already."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from mailstack.model.reply import Reply
from mailstack.net.listener import ConnectionCaps
from tests.kit.loops import both_loops, on_uvloop, until
from tests.kit.smtp_acceptor import running
from tests.kit.smtp_talk import Talk
from tests.net.test_smtp_server import ALICE

# -- lines and words -----------------------------------------------------------------------------


@pytest.mark.parametrize("octets", [512, 2048])
@on_uvloop
async def test_a_command_may_have_its_length(tmp_path: Path, octets: int) -> None:
    # S6
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        assert (await talk.ask(b"NOOP " + b"x" * (octets - 5)))[:9] == "250 2.0.0"


@both_loops
async def test_a_longer_command_is_the_last_one(tmp_path: Path) -> None:
    # S6, T6: the tail is never a command
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        talk.send(b"NOOP " + b"x" * 2044 + b"\r\nMAIL FROM:<a@b.test>\r\n")
        said = (await talk.rest()).splitlines()
        assert [line[:9] for line in said] == ["500 5.5.2", "421 4.5.2"]


@on_uvloop
async def test_control_characters_are_refused_and_the_log_stays_whole(tmp_path: Path) -> None:
    # S7, T92
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        for line in (b"NOOP \0", b"MAIL FROM:<a\x07@b.test>", b"NOOP \xff", b"VRFY \xc3\x28"):
            assert (await talk.ask(line))[:9] == "500 5.5.2"
        assert (await talk.ask(b"noop \t "))[:3] == "250"
        await talk.ask("MAIL FROM:<a@b.test>")
        await talk.ask(b'RCPT TO:<"x\xe2\x80\xae"@example.test>')
        assert all(line.isprintable() for line in server.lines)


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("SIZE=99999999999999999999", "552 5.3.4"),
        ("SIZE=-1", "501 5.5.4"),
        ("SIZE=abc", "501 5.5.4"),
        ("SIZE=1 SIZE=1", "501 5.5.4"),
        ("BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x AUTH=<> FOO=1", "555 5.5.4"),
        ("ENVID=+00", "501 5.5.4"),
        ("ENVID=+0D+0A", "501 5.5.4"),
        ("ENVID=" + "x" * 1500, "501 5.5.4"),
    ],
    ids=lambda value: value[:20],
)
@on_uvloop
async def test_what_mail_may_not_say(tmp_path: Path, argument: str, said: str) -> None:
    # S12, S24, S48
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        answer = await talk.ask(f"MAIL FROM:<a@b.test> {argument}")
        assert answer[:9] == said
        assert said[:3] != "555" or answer.endswith(" FOO")
        assert (await talk.ask("MAIL FROM:<a@b.test>"))[:3] == "250"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("jürgen@example.test".encode(), "553 5.6.7"),
        ("x" * 65 + "@example.test", "501 5.1.3"),
        ("a@" + "d." * 127 + "test", "501 5.1.3"),
        ("a" * 250 + "@example.test", "501 5.1.3"),
        ("a\u202eb@example.test", "501 5.1.3"),
        ("a\u200bb@example.test", "501 5.1.3"),
        ("a" + "\u0301" * 20 + "@example.test", "501 5.1.3"),
        (b"a\xed\xa0\x80@example.test", "501 5.1.3"),
    ],
    ids=repr,
)
@on_uvloop
async def test_recipients_that_are_none(tmp_path: Path, path: str | bytes, said: str) -> None:
    # S28, S29, S30
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        utf8 = "" if said[:3] == "553" else " SMTPUTF8"
        assert (await talk.ask(f"MAIL FROM:<a@b.test>{utf8}"))[:3] == "250"
        raw = path.encode() if isinstance(path, str) else path
        assert (await talk.ask(b"RCPT TO:<" + raw + b">"))[:9] == said


@pytest.mark.parametrize("line", ["EHLO again", "HELO again", "RSET"])
@on_uvloop
async def test_a_second_hello_begins_anew(tmp_path: Path, line: str) -> None:
    # S21; RFC 5321 section 4.1.4
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        await talk.ask("MAIL FROM:<a@b.test>")
        await talk.ask("RCPT TO:<bob@example.test>")
        assert (await talk.ask(line))[:3] == "250"
        assert (await talk.ask("DATA"))[:9] == "503 5.5.1"
        assert (await talk.ask("RCPT TO:<bob@example.test>"))[:9] == "503 5.5.1"


@pytest.mark.parametrize(
    ("helo", "said"),
    [
        ("[127.0.0.1]", "250"),
        ("mx.example.test", "250"),
        ("localhost", "250"),
        ("", "501"),
        ("x" * 300, "501"),
        ("a;b(c)<d>", "250"),
        ("a;b (c) <d>", "501"),
    ],
    ids=lambda value: value[:12],
)
@on_uvloop
async def test_odd_names_are_taken_or_refused_and_kept_as_they_are(
    tmp_path: Path, helo: str, said: str
) -> None:
    # S22; how Received shows them: tests/smtp/test_received.py
    async with running(tmp_path) as server, await Talk.open(server.port) as talk:
        await talk.reply()
        assert (await talk.ask(f"EHLO {helo}"))[:3] == said
        if said == "250":
            await talk.begin()
            assert (await talk.ask("a: b\r\n."))[:3] == "250"
            assert server.acceptor.taken[0][0].client.helo == helo


@on_uvloop
async def test_a_name_cannot_bring_a_line_of_its_own(tmp_path: Path) -> None:
    # S22
    async with running(tmp_path) as server, await Talk.open(server.port) as talk:
        await talk.reply()
        talk.send(b"EHLO a;\r\nX: y\r\n")
        assert (await talk.rest()).splitlines()[-1][:9] == "554 5.5.0"


@on_uvloop
async def test_vrfy_and_expn_tell_nothing(tmp_path: Path) -> None:
    # S33, T12: nothing is looked up, so the time is the same too
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        server.acceptor.check_recipient = None  # type: ignore[assignment]
        for verb, said in (("VRFY", "252 2.1.5"), ("EXPN", "502 5.5.1")):
            answers = {
                await talk.ask(f"{verb} {name}") for name in ("bob", "nobody", "bob@example.test", "x y")
            }
            assert len(answers) == 1
            assert answers.pop()[:9] == said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("XCLIENT ADDR=192.0.2.1 NAME=x", "500 5.5.2"),
        ("PROXY TCP4 192.0.2.1 192.0.2.2 1 25", "500 5.5.2"),
        ("ETRN example.test", "502 5.5.1"),
        ("TURN", "502 5.5.1"),
    ],
)
@on_uvloop
async def test_commands_for_friends_are_not_known_to_strangers(tmp_path: Path, line: str, said: str) -> None:
    # S49: each is an error that counts
    async with running(tmp_path, errors_before_recipient=3) as server, await Talk.hello(server.port) as talk:
        assert (await talk.ask(line))[:9] == said
        if said[:3] == "500":
            assert (await talk.ask(line))[:9] == said
            assert (await talk.ask(line))[:9] == said
            assert (await talk.reply())[:9] == "421 4.7.0"


@pytest.mark.parametrize(
    "octets",
    [
        b"POST / HTTP/1.1\r\nContent-Length: 60\r\n\r\nMAIL FROM:<a@b.test>\r\n",
        b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10",
        b"OPTIONS sip:x SIP/2.0\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"*1\r\n$4\r\nPING\r\n",
    ],
    ids=lambda octets: repr(octets[:12]),
)
@on_uvloop
async def test_other_protocols_are_shown_the_door(tmp_path: Path, octets: bytes) -> None:
    # S36, T63
    async with running(tmp_path) as server, await Talk.open(server.port) as talk:
        await talk.reply()
        talk.send(octets)
        assert [line[:3] for line in (await talk.rest()).splitlines()] == ["554"]


# -- counters and limits ---------------------------------------------------------------------------


@on_uvloop
async def test_the_hundred_and_first_recipient_comes_later(tmp_path: Path) -> None:
    # S8; RFC 5321 section 4.5.3.1.8
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        await talk.ask("MAIL FROM:<a@b.test>")
        answers = [(await talk.ask(f"RCPT TO:<any{n}@example.test>"))[:9] for n in range(101)]
        assert answers == ["250 2.1.5"] * 100 + ["452 4.5.3"]
        assert (await talk.ask("DATA"))[:3] == "354"
        assert (await talk.ask("a: b\r\n."))[:3] == "250"
        assert len(server.acceptor.taken[0][0].recipients) == 100


@pytest.mark.parametrize(("login", "most"), [(ALICE, 100), ({**ALICE, "login": "carol@example.test"}, 10)])
@on_uvloop
async def test_one_recipient_too_many_of_an_account_stops_the_message(
    tmp_path: Path, login: dict[str, str], most: int
) -> None:
    # S9, S10
    login = {**login, "password": "a$1 geheim" if most == 100 else "carol-password"}
    async with running(tmp_path, "submissions") as server:
        async with await Talk.hello(server.port, tls=True, **login) as talk:
            assert f"RCPTMAX={most}" in await talk.ask("EHLO again")  # RFC 9422
            await talk.ask(f"MAIL FROM:<{login['login']}>")
            for n in range(most):
                assert (await talk.ask(f"RCPT TO:<r{n}@outside.test>"))[:3] == "250"
                assert (await talk.ask(f"RCPT TO:<R{n}@outside.test>"))[:3] == "250"
            over = await talk.ask("RCPT TO:<more@outside.test>")
            assert over[:9] == "550 5.5.3"
            assert f" {most} " in over
            assert (await talk.ask("DATA"))[:9] == "554 5.5.3"
        assert server.acceptor.taken == []
        key = f"key=smtp.{'normal' if most == 100 else 'free'}_recipients"
        assert [key in line for line in server.lines if "check=too_many" in line] == [True, True]


@pytest.mark.parametrize("line", ["NOOP", "RSET", "VRFY x", "HELP", "EXPN x", "EHLO x"])
@both_loops
async def test_ten_thousand_commands_without_use_end_at_fifty(tmp_path: Path, line: str) -> None:
    # S18
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        talk.send((line.encode() + b"\r\n") * (1 if line == "EHLO x" else 10_000))
        if line == "EHLO x":  # must be the last of its group
            said = [await talk.reply()]
            while not said[-1].startswith("421"):
                said.append(await talk.ask(line))
        else:
            said = (await talk.rest()).splitlines()
        assert said[-1][:9] == "421 4.7.0"
        assert 49 <= len(said) <= 51
        assert any("check=too_many_errors" in line for line in server.lines)


@on_uvloop
async def test_syntax_errors_end_a_session_at_twenty(tmp_path: Path) -> None:
    # S19; the delays: test_smtp_server.py
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        await talk.ask("MAIL FROM:<a@b.test>")
        await talk.ask("RCPT TO:<bob@example.test>")
        talk.send(b"BLURB\r\n" * 30)
        said = [line[:3] for line in (await talk.rest()).splitlines()]
        assert said == ["500"] * 20 + ["421"]


@on_uvloop
async def test_whoever_guesses_recipients_is_slowed_and_sent_away(tmp_path: Path) -> None:
    # S44, T12
    async with running(tmp_path, unknown_recipients=5) as server, await Talk.hello(server.port) as talk:
        await talk.ask("MAIL FROM:<a@b.test>")
        talk.send(b"".join(b"RCPT TO:<guess%d@example.test>\r\n" % n for n in range(50)))
        said = [line[:9] for line in (await talk.rest()).splitlines()]
        assert said == ["550 5.1.1"] * 5 + ["421 4.7.0"]
        assert sum("check=unknown_user" in line for line in server.lines) == 5


@both_loops
async def test_too_many_connections_of_one_address_leave_the_others_alone(tmp_path: Path) -> None:
    # S42
    async with running(tmp_path, caps=ConnectionCaps(per_ip=20)) as server:
        talks = [await Talk.hello(server.port) for _ in range(20)]
        late = await Talk.open(server.port)
        assert await late.rest() == ""  # what it is told: test_smtp_server.py
        sock = socket.create_connection(("127.0.0.1", server.port), source_address=("127.0.0.2", 0))
        async with Talk(*await asyncio.open_connection(sock=sock)) as other:
            assert (await other.reply())[:3] == "220"
        assert (await talks[0].ask("NOOP"))[:3] == "250"
        for talk in [*talks, late]:
            await talk.close()


# -- stress ------------------------------------------------------------------------------------------


@on_uvloop
async def test_under_stress_patience_is_short(tmp_path: Path) -> None:
    # S43; limits, section 1: one error, one useless command, one message per session
    async with running(tmp_path) as server:
        server.shared.is_stressed = lambda: True
        async with await Talk.hello(server.port) as talk:
            assert (await talk.ask("BLURB"))[:3] == "500"
            assert (await talk.reply())[:9] == "421 4.7.0"
        async with await Talk.hello(server.port) as talk:
            answers = [(await talk.ask("NOOP"))[:3] for _ in range(2)]
            assert answers[-1] == "421"
        async with await Talk.hello(server.port) as talk:
            await talk.begin()
            assert (await talk.ask("a: b\r\n."))[:3] == "250"
            assert (await talk.ask("MAIL FROM:<a@b.test>"))[:9] == "421 4.7.0"


@on_uvloop
async def test_stress_is_no_reason_to_send_people_away_who_log_in(tmp_path: Path) -> None:
    async with running(tmp_path, "submissions") as server:
        server.shared.is_stressed = lambda: True
        async with await Talk.hello(server.port, tls=True, **ALICE) as talk:
            for _ in range(3):
                assert (await talk.ask("BLURB"))[:3] == "500"
                assert (await talk.ask("NOOP"))[:3] == "250"
                await talk.begin("bob@example.test", "alice@example.test")
                assert (await talk.ask("From: alice@example.test\r\n."))[:3] == "250"


@both_loops
async def test_whoever_is_waited_for_when_stress_begins_has_little_time(tmp_path: Path) -> None:
    # S43: hundreds of idle clients may be there already
    async with running(tmp_path, stress_wait_s=0.2) as server:
        idle, sending = await Talk.hello(server.port), await Talk.hello(server.port)
        await sending.begin()
        await asyncio.sleep(0.05)
        server.server.hurry()
        assert (await idle.reply())[:9] == "421 4.4.2"
        assert (await sending.reply())[:9] == "421 4.4.2"
        await idle.close()
        await sending.close()


@on_uvloop
async def test_patience_comes_back_with_the_room(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        is_stressed = True
        server.shared.is_stressed = lambda: is_stressed
        async with await Talk.hello(server.port) as talk:
            assert (await talk.ask("NOOP"))[:3] == "250"
            is_stressed = False
            await talk.begin()
            assert (await talk.ask("a: b\r\n."))[:3] == "250"
            for _ in range(3):
                assert (await talk.ask("NOOP"))[:3] == "250"


@both_loops
async def test_hundreds_of_clients_at_once_are_served_or_told(tmp_path: Path) -> None:
    # S43: nobody waits for those who do nothing
    async with running(tmp_path, caps=ConnectionCaps(total=150)) as server:
        socks = []
        for n in range(300):
            sock = socket.socket()
            sock.setblocking(False)
            sock.bind((f"127.0.{1 + n % 200}.{1 + n // 200}", 0))
            sock.connect_ex(("127.0.0.1", server.port))
            socks.append(sock)
        await until(lambda: server.listener.connections == 150)
        for sock in socks[:200]:
            sock.close()
        async with await Talk.hello(server.port) as talk:
            await talk.begin()
            assert (await talk.ask("a: b\r\n."))[:3] == "250"
        for sock in socks[200:]:
            sock.close()
        await until(lambda: server.listener.connections == 0)


# -- endings -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("refusal", [None, Reply(550, "7.1", "no")])
@both_loops
async def test_who_never_heard_the_answer_is_in_the_log(tmp_path: Path, refusal: Reply | None) -> None:
    # S15: the same message will come again, as an accepted one of its own; nothing is said of a refused one
    async with running(tmp_path) as server:
        server.acceptor.gate = asyncio.Event()
        server.acceptor.reply = refusal
        talk = await Talk.hello(server.port)
        await talk.begin()
        talk.send(b"Message-ID: <1@b.test>\r\n\r\n.\r\n")
        await until(lambda: server.acceptor.started == 1)
        talk.writer.transport.abort()
        await asyncio.sleep(0.05)
        server.acceptor.gate.set()
        await until(lambda: server.listener.connections == 0)
        assert len(server.acceptor.taken) == 1
        assert server.lines == ([] if refusal else ["unheard id=id1 peer=127.0.0.1"])


@pytest.mark.parametrize("name", ["mx", "submissions"])
@pytest.mark.parametrize("octets", [b"QUIT\r\nMAIL FROM:<a@b.test>\r\n", b"BDAT 100\r\nx", b"AUTH LOGIN\r\n"])
@both_loops
async def test_everything_is_released_however_it_ends(tmp_path: Path, name: str, octets: bytes) -> None:
    # S50
    async with running(tmp_path, name) as server:
        await (await Talk.hello(server.port, tls=name != "mx")).close()
        await until(lambda: server.listener.connections == 0)
        descriptors, tasks = len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks())
        for ending in ("close", "half", "abort"):
            talk = await Talk.hello(server.port, tls=name != "mx")
            talk.send(octets)
            await talk.writer.drain()
            if ending == "abort":
                talk.writer.transport.abort()
            elif ending == "half" and talk.writer.can_write_eof():
                talk.writer.write_eof()
                await talk.rest()
            await talk.close()
        await until(lambda: server.listener.connections == 0)
        await until(lambda: len(os.listdir("/proc/self/fd")) <= descriptors)
        await until(lambda: len(asyncio.all_tasks()) <= tasks)
        assert server.server.connections == set()
        assert os.listdir(server.spool) == []


# -- trusted relays -------------------------------------------------------------------------------


@on_uvloop
async def test_errors_and_authors_of_others_do_not_end_the_session_of_a_relay(tmp_path: Path) -> None:
    # product page, section 2.1: no bans, no content refusals
    two = "From: a@far.test\r\nFrom: b@far.test\r\n\r\nhi\r\n.\r\n"
    async with running(tmp_path, relays={"127.0.0.1"}) as server, await Talk.hello(server.port) as talk:
        await talk.ask("MAIL FROM:<a@far.test>")
        for n in range(60):
            assert (await talk.ask(f"RCPT TO:<nobody{n}@example.test>"))[:9] == "550 5.1.1"
        assert (await talk.ask("RCPT TO:<alice@example.test>"))[:3] == "250"
        assert (await talk.ask("DATA"))[:3] == "354"
        assert (await talk.ask(two))[:3] == "250"
    async with running(tmp_path) as server, await Talk.hello(server.port) as talk:
        await talk.ask("MAIL FROM:<a@far.test>")
        await talk.ask("RCPT TO:<alice@example.test>")
        await talk.ask("DATA")
        assert (await talk.ask(two))[:9] == "550 5.7.1"
