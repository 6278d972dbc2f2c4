"""Submissions as they are stored and signed: fix-ups, devices, and none of it on port 25."""

from __future__ import annotations

import binascii
import io
import os
import types
from collections.abc import AsyncIterator
from pathlib import Path

import dkim
import msgspec
import pytest

from mailstack.app.accept import AcceptService
from mailstack.mailbox.store import MailStore
from mailstack.model.address import Address
from mailstack.model.directory import Account
from mailstack.model.envelope import Body, Client, Envelope, Recipient
from mailstack.model.mailbox import NewMessage
from mailstack.state.maillog import MailLog
from tests.kit.clock import Clock
from tests.kit.instance import Instance, new_instance

ALICE, BOB, PRINTER = (f"{name}@example.test" for name in ("alice", "bob", "printer"))
HEAD = b"From: alice@example.test\r\nTo: bob@example.test\r\nSubject: x\r\n"


class Kit:
    """The acceptor over a real directory, real mailboxes, and no filter."""

    def __init__(self, instance: Instance, spool: Path, **smtp: object) -> None:
        self.clock = Clock()
        self.spool = spool
        config = instance.config
        config = msgspec.structs.replace(config, smtp=msgspec.structs.replace(config.smtp, **smtp))
        self.store = MailStore(config.paths.mail, now=self.clock, random_bytes=os.urandom)
        self.log = io.StringIO()
        context = types.SimpleNamespace(
            config=config,
            paths=config.paths,
            now=self.clock,
            random_bytes=os.urandom,
            bus=types.SimpleNamespace(publish=lambda role, event: None),
            maillog=MailLog(None, daemon="smtp", now=self.clock, stream=self.log),
            fatal=lambda why: None,
            workers=1,
        )
        self.service = AcceptService(context)  # type: ignore[arg-type]
        self.directory = instance.reader()

    async def close(self) -> None:
        self.store.close()
        self.directory.close()
        await self.service.close()

    def account(self, address: str) -> Account:
        found = self.directory.find(Address.parse(address))
        assert isinstance(found, Account)
        return found

    async def send(
        self,
        letter: bytes,
        *to: str,
        login: str = ALICE,
        in_file: bool = False,
        is_binary: bool = False,
        **facts: object,
    ) -> str:
        sender = Address.parse(login or "x@far.test")
        envelope = Envelope(
            accept_id=self.service.new_id(),
            client=Client(
                "192.0.2.7", 5000, "laptop", login=login, listener="submissions" if login else "mx"
            ),
            reverse_path=sender,
            recipients=tuple(Recipient(Address.parse(text), n) for n, text in enumerate(to or (BOB,), 1)),
            received_at=self.clock(),
            **facts,  # type: ignore[arg-type]
        )
        body = Body(letter, size_octets=len(letter), is_binary=is_binary)
        if in_file:
            path = self.spool / envelope.accept_id
            path.write_bytes(letter)
            body = Body(None, str(path), len(letter))
        account = self.account(login) if login else None
        reply = await self.service.accept(envelope, body, account)
        if in_file:
            assert [file.name for file in self.spool.iterdir()] == [envelope.accept_id]
            path.unlink()
        return f"{reply.code} {reply.code // 100}.{reply.status}"

    def stored(self, address: str = BOB) -> bytes:
        home = self.store.account(Address.parse(address)).core.maildir
        (file,) = [file for part in ("new", "cur") for file in (home / part).iterdir()]
        return file.read_bytes()

    def verify(self, stored: bytes, number: int = 0) -> bool:
        """Whether a signature verifies for somebody else; what delivery put on top is taken off."""
        records = {
            f"{key.selector}._domainkey.example.test": f"v=DKIM1; k={key.algorithm[:-7]}; p={key.public}"
            for key in self.directory.published_keys("example.test")
        }
        message = stored[stored.index(b"DKIM-Signature:") :]

        def txt(name: bytes, timeout: int = 5) -> bytes:
            return records[name.decode().rstrip(".")].encode()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(dkim.time, "time", self.clock)  # a signature ends
            return bool(dkim.DKIM(message).verify(idx=number, dnsfunc=txt))


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    instance = new_instance(tmp_path / "i")
    with instance.writer() as writer:
        for address in (ALICE, BOB):
            writer.accounts.add(address)
        writer.accounts.add(PRINTER, kind="device")
        writer.accounts.add("full@example.test", quota_octets=10)
    (tmp_path / "spool").mkdir()
    kit = Kit(instance, tmp_path / "spool")
    yield kit
    await kit.close()


@pytest.mark.parametrize("in_file", [False, True], ids=["memory", "file"])
async def test_a_submission_leaves_in_ascii_and_its_signature_holds(kit: Kit, in_file: bool) -> None:
    # S46, S47, S4; RFC 6376 section 5.3
    body = "\r\nSchöne Grüße\r\n".encode() + b"w" * 2000 + b"\r\n"
    letter = HEAD + "X-Office: Büro 3\r\nBcc: secret@example.test\r\nReturn-Path: <x@y>\r\n".encode() + body
    assert await kit.send(letter, in_file=in_file, body="8BITMIME") == "250 2.0.0"
    stored = kit.stored()
    assert stored.isascii()
    assert max(map(len, stored.split(b"\r\n"))) <= 998
    assert b"secret" not in stored
    assert stored.count(b"Return-Path:") == 1
    assert b"\r\nMessage-ID: <" in stored
    assert b"\r\nDate: " in stored
    assert b"Content-Transfer-Encoding: quoted-printable" in stored
    assert kit.verify(stored, 0) and kit.verify(stored, 1)
    with pytest.raises(dkim.ValidationError, match="body hash"):
        kit.verify(stored.replace(b"Gr=C3", b"Gr=C4"))


@pytest.mark.parametrize("in_file", [False, True], ids=["memory", "file"])
async def test_a_plain_submission_keeps_its_octets(kit: Kit, in_file: bool) -> None:
    letter = (
        HEAD + b"Date: Sat, 22 Nov 2025 02:00:00 +0000\r\nMessage-ID: <a@b>\r\n\r\n" + b"hello\r\n" * 9000
    )
    assert await kit.send(letter, in_file=in_file) == "250 2.0.0"
    stored = kit.stored()
    assert stored.endswith(letter)
    assert kit.verify(stored, 0)


@pytest.mark.parametrize("in_file", [False, True], ids=["memory", "file"])
async def test_nothing_is_fixed_on_port_25(kit: Kit, in_file: bool) -> None:
    # S39: stored octet for octet
    letter = b"Bcc: b@example.test\r\nSubject: \xff\r\n\r\n\xc3\xa4" + b"w" * 5000 + b"\r\n"
    assert await kit.send(letter, login="", in_file=in_file) == "250 2.0.0"
    assert kit.stored().endswith(letter)


async def test_binary_parts_of_a_submission_travel_as_base64(kit: Kit) -> None:
    # RFC 3030 section 3: who cannot be sure of the next host converts
    blob = bytes(range(256)) * 3
    part = b"Content-Type: image/tiff\r\nContent-Transfer-Encoding: binary\r\n\r\n" + blob
    letter = HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + part + b"\r\n--b--\r\n"
    assert await kit.send(letter, body="BINARYMIME", is_binary=True) == "250 2.0.0"
    stored = kit.stored()
    assert stored.isascii() and b"Content-Transfer-Encoding: base64\r\n" in stored
    assert binascii.b2a_base64(blob[:57], newline=False) in stored
    assert kit.verify(stored, 0)


async def test_mail_signed_by_its_writer_is_as_it_came(kit: Kit) -> None:
    # RFC 1847
    letter = HEAD + b"Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\xc3\xa4\r\n--b--\r\n"
    assert await kit.send(letter, body="8BITMIME") == "250 2.0.0"
    assert b"\r\n\r\n--b\r\n\r\n\xc3\xa4\r\n--b--\r\n" in kit.stored()
    assert kit.verify(kit.stored(), 0)


@pytest.mark.parametrize("shown", [False, True])
async def test_received_names_the_client_only_where_that_is_wanted(tmp_path: Path, shown: bool) -> None:
    instance = new_instance(tmp_path / "i")
    with instance.writer() as writer:
        writer.accounts.add(ALICE)
        writer.accounts.add(BOB)
    kit = Kit(instance, tmp_path, submission_shows_client=shown)
    try:
        assert await kit.send(HEAD + b"\r\nx\r\n") == "250 2.0.0"
        stored = kit.stored()
        assert (b"192.0.2.7" in stored) is shown
        assert (b"laptop" in stored) is shown
        assert b"\tby mx.example.test with ESMTPA" in stored or b"Received: by mx.example.test" in stored
    finally:
        await kit.close()


async def test_a_device_is_the_author_of_what_it_sends(kit: Kit) -> None:
    # S46 and S45 for devices: rewritten instead of refused
    letter = "From: Büro 3 <scan@local>\r\nDate: Thu, 01 Jan 1970 00:00:01 +0000\r\n\r\nx\r\n".encode(
        "latin-1"
    )
    assert await kit.send(letter, login=PRINTER) == "250 2.0.0"
    stored = kit.stored()
    assert b"\r\nFrom: =?utf-8?b?QsO8cm8gMw==?= <printer@example.test>\r\n" in stored
    assert b"\r\nReply-To: =?utf-8?b?QsO8cm8gMw==?= <scan@local>\r\n" in stored
    assert b"1970" not in stored
    assert kit.verify(stored, 0)


async def test_a_device_is_not_told_to_come_again(kit: Kit) -> None:
    # Product page, section 6: 4xx avoided, since most have no queue
    kit.store.account(Address.parse("full@example.test")).append("INBOX", [NewMessage(b"x: y\r\n\r\n" * 9)])
    client = Client("192.0.2.7", 5000, login=PRINTER, listener="submissions")
    to = Address.parse("full@example.test")
    for login, rcpt, data in ((ALICE, 452, "452 4.2.2"), (PRINTER, 250, "250 2.0.0")):
        account = kit.account(login)
        said = await kit.service.check_recipient(client, account, account.address, to)
        assert said.code == rcpt
        letter = b"From: %b\r\n\r\nscan\r\n" % login.encode()
        assert await kit.send(letter, "full@example.test", login=login) == data
    assert "queued" in kit.log.getvalue()


async def test_a_device_is_not_kept_waiting_for_a_filter(tmp_path: Path) -> None:
    instance = new_instance(tmp_path / "i")
    with instance.file.open("a") as file:
        file.write('[filter]\non_unfiltered = "tempfail"\n')
    with instance.writer() as writer:
        writer.accounts.add(ALICE)
        writer.accounts.add(PRINTER, kind="device")
    kit = Kit(instance, tmp_path)
    try:
        assert await kit.send(HEAD + b"\r\nx\r\n", ALICE) == "451 4.3.2"
        assert await kit.send(b"\r\nscan\r\n", ALICE, login=PRINTER) == "250 2.0.0"
    finally:
        await kit.close()


async def test_a_device_without_a_login_writes_to_listed_domains_only(kit: Kit, tmp_path: Path) -> None:
    with Instance(tmp_path / "i").writer() as writer:
        writer.devices.allow(PRINTER, networks=["192.0.2.7"], domains=["example.test", "partner.test"])
    found = kit.service.device_at("192.0.2.7")
    assert found is not None and str(found.address) == PRINTER
    assert kit.service.device_at("192.0.2.8") is None
    client = Client("192.0.2.7", 5000, login=PRINTER, listener="submission", by_address=True)

    async def rcpt(to: str, client: Client = client) -> str:
        reply = await kit.service.check_recipient(client, found, found.address, Address.parse(to))
        return f"{reply.code} {reply.check}"

    assert await rcpt(BOB) == "250 "
    assert await rcpt("x@partner.test") == "250 "
    assert await rcpt("x@elsewhere.test") == "550 device_recipient"
    assert await rcpt("nobody@example.test") == "550 unknown_user"
    # With its password it may write to anybody.
    assert await rcpt("x@elsewhere.test", Client("192.0.2.7", 5000, login=PRINTER)) == "250 "
    with Instance(tmp_path / "i").writer() as writer:
        writer.devices.forbid(PRINTER, networks=["192.0.2.7"])
    assert await rcpt(BOB) == "550 device_recipient"
