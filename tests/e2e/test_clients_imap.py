"""mbsync and aioimaplib against a running instance."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aioimaplib import aioimaplib

from tests.kit.demo import PASSWORD, Demo
from tests.kit.mbsync import Mbsync
from tests.kit.smtp_wire import Wire

BOB = "bob@example.test"
LETTER = b"From: a@outside.test\r\nTo: bob@example.test\r\nSubject: %s\r\n\r\nHello\r\n"


def deliver(demo: Demo, subject: str, to: str = BOB) -> None:
    with Wire(demo.host, demo.port("mx")).start() as wire:
        assert wire.mail("a@outside.test", [to], LETTER % subject.encode()).startswith("250")


@pytest.mark.debian
def test_mbsync_keeps_both_sides_equal(demo: Demo, account: str, tmp_path: Path) -> None:
    sync = Mbsync(demo, account, tmp_path)
    local = sync.near
    for number in range(20):
        deliver(demo, f"sync-{number}", account)
    sync()
    inbox = local / "INBOX"
    names = sorted([*(inbox / "new").iterdir(), *(inbox / "cur").iterdir()])
    assert len(names) == 20
    assert (local / "Sent").is_dir()

    # here: read one, delete one, write one, make a folder; there: flag one
    seen, gone = (
        next(p for p in names if mark in p.read_bytes().replace(b"\r", b""))
        for mark in (b"sync-3\n", b"sync-5\n")
    )
    seen.rename(inbox / "cur" / (seen.name.partition(":")[0] + ":2,S"))
    gone.rename(inbox / "cur" / (gone.name.partition(":")[0] + ":2,T"))
    (inbox / "new" / "1790000000.M1P1.here").write_bytes((LETTER % b"from-here").replace(b"\r\n", b"\n"))
    for part in ("new", "cur", "tmp"):
        (local / "Projects" / part).mkdir(parents=True)
    import imaplib

    with imaplib.IMAP4_SSL("localhost", demo.port("imaps"), ssl_context=demo.tls()) as client:
        client.login(account, PASSWORD)
        client.select("INBOX")
        client.store("8", "+FLAGS", "(\\Flagged)")
    sync()
    sync()
    with imaplib.IMAP4_SSL("localhost", demo.port("imaps"), ssl_context=demo.tls()) as client:
        client.login(account, PASSWORD)
        _, (count,) = client.select("INBOX")
        assert count == b"20"
        assert client.search(None, "SUBJECT", '"sync-5"', "NOT", "SUBJECT", '"sync-50"')[1] == [b""]
        assert client.search(None, "SUBJECT", '"from-here"')[1] != [b""]
        assert len(client.search(None, "SEEN")[1][0].split()) == 1
        assert client.select("Projects")[0] == "OK"
    assert any(p.name.endswith(":2,F") for p in (inbox / "cur").iterdir())


@pytest.fixture
async def client(demo: Demo, account: str) -> AsyncIterator[aioimaplib.IMAP4_SSL]:
    context = ssl.create_default_context(cafile=demo.state["ca_file"])
    client = aioimaplib.IMAP4_SSL("localhost", demo.port("imaps"), ssl_context=context, timeout=60)
    await client.wait_hello_from_server()
    assert (await client.login(account, PASSWORD)).result == "OK"
    yield client
    await client.logout()


async def test_new_mail_shows_in_idle_within_a_second(
    demo: Demo, account: str, client: aioimaplib.IMAP4_SSL
) -> None:
    assert (await client.select("INBOX")).result == "OK"
    idle = await client.idle_start(timeout=120)
    await asyncio.to_thread(deliver, demo, "idle-1", account)
    pushed = await client.wait_server_push(timeout=60)
    assert any(b"EXISTS" in line for line in pushed)
    client.idle_done()
    await asyncio.wait_for(idle, 60)


async def test_a_session_from_append_to_expunge(account: str, client: aioimaplib.IMAP4_SSL) -> None:
    appended = await client.append(LETTER % b"mine", mailbox="Drafts", flags="\\Seen \\Draft")
    assert appended.result == "OK"
    assert b"APPENDUID" in appended.lines[-1]
    assert (await client.select("Drafts")).result == "OK"
    fetched = await client.fetch("1", "(UID FLAGS ENVELOPE BODYSTRUCTURE RFC822.SIZE BODY.PEEK[HEADER])")
    text = b" ".join(bytes(line) for line in fetched.lines)
    assert b"\\Draft" in text
    assert b'"mine"' in text
    copied = await client.uid("copy", "1", "Archive")
    assert copied.result == "OK"
    moved = await client.uid("move", "1", "Trash")
    assert moved.result == "OK"
    assert (await client.select("Trash")).result == "OK"
    assert (await client.store("1", "+FLAGS", "\\Deleted")).result == "OK"
    assert b"1 EXPUNGE" in (await client.expunge()).lines
    listed = await client.list('""', "*")
    names = b" ".join(bytes(line) for line in listed.lines)
    for name in (b"Spam", b"Promotions", b"SocialNetworks", b"\\Junk", b"\\Trash"):
        assert name in names


async def test_a_file_put_there_by_another_program_is_seen(
    demo: Demo, account: str, client: aioimaplib.IMAP4_SSL
) -> None:
    assert (await client.select("INBOX")).result == "OK"
    target = demo.maildir(account) / "new" / "1790000001.M2P2.other"
    target.write_bytes(LETTER % b"by-hand")
    target.chmod(0o600)
    owner = demo.maildir(account).stat()
    os.chown(target, owner.st_uid, owner.st_gid)
    for _ in range(300):
        await client.noop()
        found = await client.search('SUBJECT "by-hand"')
        if found.lines[0].strip():
            break
        await asyncio.sleep(0.1)
    assert found.lines[0].strip() == b"1"
