"""The imap daemon in this process: real accounts, real mailboxes, the bus, the end."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from mailstack.app import imapd
from mailstack.app.daemon import Context
from mailstack.filters.sieve_options import SieveOptions
from mailstack.imap.options import ImapOptions
from mailstack.mailbox import MailStore
from mailstack.model.address import Address
from mailstack.model.mailbox import NewMessage
from mailstack.net.bus import Bus
from mailstack.net.tls_options import TlsOptions
from mailstack.state.maillog import MailLog
from tests.kit import certificates
from tests.kit.bare_managesieve import plain
from tests.kit.bare_session import message
from tests.kit.imap_service import RawClient
from tests.kit.instance import Instance, new_instance
from tests.kit.managesieve_service import say, until_ok

ALICE, SECRET = "alice@example.test", "correct horse battery"


@dataclass
class Running:
    """A running daemon."""

    instance: Instance
    context: Context
    port: int
    tls_port: int
    ca_file: str
    log: io.StringIO
    said: list[str]
    pop3_port: int
    pop3s_port: int
    sieve_port: int

    async def connect(self, *, tls: bool = False) -> RawClient:
        context = ssl.create_default_context(cafile=self.ca_file) if tls else None
        client = await RawClient.connect(self.tls_port if tls else self.port, context)
        await client.line()
        return client

    async def connect_pop3(self, *, tls: bool) -> RawClient:
        context = ssl.create_default_context(cafile=self.ca_file) if tls else None
        client = await RawClient.connect(self.pop3s_port if tls else self.pop3_port, context)
        await client.line()
        return client

    async def connect_sieve(self, password: str = SECRET) -> tuple[RawClient, bytes]:
        """A client of the ManageSieve port, under TLS, and what its login was answered."""
        client = await RawClient.connect(self.sieve_port, None)
        await until_ok(client)
        assert (await say(client, b"STARTTLS")).startswith(b"OK")
        await client.writer.start_tls(
            ssl.create_default_context(cafile=self.ca_file), server_hostname="localhost"
        )
        await until_ok(client)
        return client, await say(client, b'AUTHENTICATE "PLAIN" "%b"' % plain(ALICE, password))

    async def log_in(self) -> RawClient:
        client = await self.connect()
        assert (await client.command(f'LOGIN {ALICE} "{SECRET}"'.encode()))[-1].startswith(b"t OK")
        return client


@contextlib.asynccontextmanager
async def daemon(
    folder: Path, *, sieve: SieveOptions | None = None, **options: object
) -> AsyncIterator[Running]:
    instance = new_instance(folder / "instance")
    with instance.writer() as writer:
        writer.accounts.add(ALICE, password=SECRET)
        writer.accounts.add("printer@example.test", password=SECRET, kind="device")
    certificate, key = certificates.write(folder)
    config = msgspec.structs.replace(
        instance.config,
        sieve=sieve or instance.config.sieve,
        imap=ImapOptions(**{"allow_plaintext_loopback": True, **options}),  # type: ignore[arg-type]
        tls=TlsOptions(certificate_file=certificate, key_file=key),
    )
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(5)]
    log, said = io.StringIO(), list[str]()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    context = Context(
        config=config,
        paths=config.paths,
        role="imap",
        worker=0,
        workers=1,
        sockets={
            "imap": [sockets[0]],
            "imaps": [sockets[1]],
            "pop3": [sockets[2]],
            "pop3s": [sockets[3]],
            "sieve": [sockets[4]],
        },
        now=time.time,
        random_bytes=os.urandom,
        stop=stop,
        maillog=MailLog(None, daemon="imap", now=time.time, stream=log),
        bus=Bus(config.paths.run, "imap"),
        tell=said.append,
        halt=lambda: loop.call_soon_threadsafe(stop.set),
    )
    ports = [sock.getsockname()[1] for sock in sockets]
    task = asyncio.create_task(imapd.serve(context))
    while not said and not task.done():
        await asyncio.sleep(0.01)
    try:
        yield Running(instance, context, *ports[:2], certificate, log, said, *ports[2:])
    finally:
        stop.set()
        await asyncio.wait_for(task, 60)
        context.bus.close()
        for sock in sockets:
            sock.close()


async def test_an_account_logs_in_and_finds_its_folders(tmp_path: Path) -> None:
    async with daemon(tmp_path) as running:
        assert running.said == ["ready"]
        client = await running.connect(tls=True)
        assert (await client.command(f'LOGIN {ALICE} "{SECRET}"'.encode()))[-1].startswith(
            b"t OK [CAPABILITY"
        )
        lines = await client.command(b'LIST (SPECIAL-USE) "" *')
        assert len(lines) == 6
        assert b"* 0 EXISTS" in await client.command(b"SELECT INBOX")
        assert f"login protocol=imap peer=127.0.0.1 account={ALICE} mechanism=LOGIN" in running.log.getvalue()
        await client.close()


@pytest.mark.parametrize(
    ("user", "password"),
    [
        (ALICE, "wrong"),
        ("nobody@example.test", SECRET),
        ("printer@example.test", SECRET),
        ("", SECRET),
        (ALICE, ""),
    ],
)
async def test_whoever_may_not_gets_one_answer(tmp_path: Path, user: str, password: str) -> None:
    async with daemon(tmp_path) as running:
        client = await running.connect()
        answer = (await client.command(f'LOGIN "{user}" "{password}"'.encode()))[-1]
        assert answer == b"t NO [AUTHENTICATIONFAILED] Wrong user name or password"
        assert "login_failed protocol=imap" in running.log.getvalue()
        assert password not in running.log.getvalue() or not password
        await client.close()


async def test_without_tls_a_password_is_taken_only_where_the_configuration_says_so(tmp_path: Path) -> None:
    async with daemon(tmp_path, allow_plaintext_loopback=False) as running:
        client = await running.connect()
        answer = (await client.command(f'LOGIN {ALICE} "{SECRET}"'.encode()))[-1]
        assert answer.startswith(b"t NO [PRIVACYREQUIRED]")
        await client.close()


async def test_mail_another_process_delivers_shows_in_idle_within_a_moment(tmp_path: Path) -> None:
    async with daemon(tmp_path, poll_s=60.0) as running:
        client = await running.log_in()
        await client.command(b"SELECT INBOX")
        await client.send(b"i IDLE\r\n")
        await client.line()
        paths = running.context.paths

        def deliver() -> None:
            store = MailStore(paths.mail, now=time.time, random_bytes=os.urandom)
            bus = Bus(paths.run, "smtp")
            store.account(Address.parse(ALICE)).deliver("INBOX", NewMessage(message()), base_name="x.1.1")
            bus.publish("imap", {"event": "mailbox", "account": ALICE, "folder": "INBOX"})
            bus.close()
            store.close()

        await asyncio.to_thread(deliver)
        assert await client.line() == b"* 1 EXISTS"
        assert await client.line() == b"* 1 RECENT"
        await client.close()


async def test_a_file_another_program_drops_in_is_found_by_looking(tmp_path: Path) -> None:
    async with daemon(tmp_path, poll_s=0.1) as running:
        client = await running.log_in()
        await client.command(b"SELECT INBOX")
        await client.send(b"i IDLE\r\n")
        await client.line()
        new = running.context.paths.mail / "example.test" / "alice" / "Maildir" / "new"
        (new / "1.somebody.else").write_bytes(message().replace(b"\r\n", b"\n"))
        assert await client.line() == b"* 1 EXISTS"
        await client.send(b"DONE\r\n")
        await client.until(b"i ")
        lines = await client.command(b"FETCH 1 (RFC822.SIZE BODY.PEEK[])")
        assert lines[0] == b"* 1 FETCH (RFC822.SIZE %d BODY[] {%d}" % (len(message()), len(message()))
        await client.close()


async def test_what_pop3_deletes_goes_from_an_idle_imap_session_at_once(tmp_path: Path) -> None:
    async with daemon(tmp_path, poll_s=60.0) as running:
        client = await running.log_in()
        await client.send(b"a APPEND INBOX {%d+}\r\n%b\r\n" % (len(message()), message()))
        await client.until(b"a OK")
        await client.command(b"SELECT INBOX")
        await client.send(b"i IDLE\r\n")
        await client.line()
        other = await running.connect_pop3(tls=True)
        await other.send(f"USER {ALICE}\r\nPASS {SECRET}\r\nDELE 1\r\nQUIT\r\n".encode())
        lines = [await other.line() for _ in range(5)]
        assert lines[1] == b"+OK Logged in: 1 messages (%d octets)" % len(message())
        assert lines[3:] == [b"+OK Goodbye", b""]
        assert await client.line() == b"* 1 EXPUNGE"
        assert f"login protocol=pop3 peer=127.0.0.1 account={ALICE} mechanism=USER" in running.log.getvalue()
        await client.close()
        await other.close()


@pytest.mark.parametrize("user", [ALICE, "nobody@example.test", "printer@example.test"])
async def test_whoever_may_not_read_by_pop3_gets_one_answer(tmp_path: Path, user: str) -> None:
    async with daemon(tmp_path) as running:
        client = await running.connect_pop3(tls=True)
        password = "wrong" if user == ALICE else SECRET
        await client.send(f"USER {user}\r\nPASS {password}\r\n".encode())
        assert (await client.line(), await client.line()) == (
            b"+OK Send your password",
            b"-ERR [AUTH] Wrong user name or password",
        )
        assert "login_failed protocol=pop3" in running.log.getvalue()
        await client.close()


async def test_pop3_wants_tls_unless_the_configuration_says_otherwise(tmp_path: Path) -> None:
    async with daemon(tmp_path) as running:
        client = await running.connect_pop3(tls=False)
        await client.send(f"USER {ALICE}\r\n".encode())
        assert (await client.line()).startswith(b"-ERR Login needs TLS")
        await client.close()


@pytest.mark.parametrize("change", ["suspended", "password", "removed"])
async def test_sessions_of_a_changed_account_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    # A15, A16
    monkeypatch.setattr("mailstack.net.imap_hub.ImapHub.REVIEW_S", 0.1)
    async with daemon(tmp_path) as running:
        client = await running.log_in()
        await asyncio.sleep(0.25)
        assert (await client.command(b"NOOP"))[-1].startswith(b"t OK")
        with running.instance.writer() as writer:
            match change:
                case "suspended":
                    writer.accounts.set(ALICE, enabled=False)
                case "password":
                    writer.accounts.set_password(ALICE, "another horse battery")
                case "removed":
                    writer.accounts.remove(ALICE)
        assert (await client.line()).startswith(b"* BYE This account was suspended, or its password changed")
        await client.close()


async def test_sigterm_says_bye_and_ends(tmp_path: Path) -> None:
    # F37
    async with daemon(tmp_path) as running:
        client = await running.log_in()
        running.context.stop.set()
        assert (await client.line()).startswith(b"* BYE The server is shutting down")
        await client.close()


# -- ManageSieve ------------------------------------------------------------------------


async def test_scripts_are_managed_and_every_change_is_in_the_log(tmp_path: Path) -> None:
    async with daemon(tmp_path) as running:
        client, answer = await running.connect_sieve()
        assert answer == b'OK "Logged in"'
        assert await say(client, b'PUTSCRIPT "main" {5+}\r\nkeep;') == b'OK "Stored"'
        assert (await say(client, b'PUTSCRIPT "main" "keep")')).startswith(b"NO ")
        assert await say(client, b'SETACTIVE "main"') == b'OK "main is active"'
        assert await say(client, b'RENAMESCRIPT "main" "rules"') == b'OK "Renamed"'
        assert await say(client, b'HAVESPACE "x" 262145') == (
            b'NO (QUOTA/MAXSIZE) "The script has 262145 octets; at most 262144 work"'
        )
        reader = running.instance.reader()
        account = reader.find_account(ALICE)
        assert account is not None
        script = reader.active_script(account.id)
        reader.close()
        assert script is not None and (script.name, script.source) == ("rules", b"keep;")
        assert await say(client, b'SETACTIVE ""') == b'OK "No script is active"'
        assert await say(client, b'DELETESCRIPT "rules"') == b'OK "Deleted"'
        await client.close()
        log = running.log.getvalue()
        assert f"login protocol=sieve peer=127.0.0.1 account={ALICE} mechanism=PLAIN" in log
        for change in ("stored script=main", "activated script=main", "renamed script=rules before=main"):
            assert f"script account={ALICE} change={change}" in log
        assert "change=removed script=rules" in log and "change=deactivated" in log


async def test_only_app_passwords_for_sieve_are_taken(tmp_path: Path) -> None:
    async with daemon(tmp_path) as running:
        with running.instance.writer() as writer:
            _, good = writer.app_passwords.add(ALICE, "rules", scopes=["sieve"])
            _, bad = writer.app_passwords.add(ALICE, "phone", scopes=["imap", "smtp"])
        client, answer = await running.connect_sieve(good)
        assert answer == b'OK "Logged in"'
        await client.close()
        client, answer = await running.connect_sieve(bad)
        assert answer == b'NO "Wrong user name or password"'
        await client.close()
        client, answer = await running.connect_sieve("wrong")
        assert answer == b'NO "Wrong user name or password"'
        await client.close()
        assert "login_failed protocol=sieve" in running.log.getvalue()
