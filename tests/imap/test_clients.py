"""Real client libraries against a real server on loopback."""

from __future__ import annotations

import asyncio
import datetime
import imaplib
from pathlib import Path

import aioimaplib
import imapclient

from tests.kit.bare_session import PASSWORD, USER, message
from tests.kit.imap_service import running
from tests.kit.memory_mailbox import MemoryMailbox


async def test_imapclient_works_through_a_day(tmp_path: Path) -> None:
    store = MemoryMailbox()
    async with running(tmp_path, store=store) as service:
        port, context = service.tls_port, service.client_context

        def day() -> None:
            with imapclient.IMAPClient("localhost", port, ssl=True, ssl_context=context) as client:
                client.login(USER, PASSWORD)
                assert client.has_capability("MOVE") and client.has_capability("UIDPLUS")
                assert client.namespace().personal == (("", "/"),)
                assert client.id_({"name": "test"}) == ((b"name", b"mailstack"),)
                folders = {name: flags for flags, _, name in client.list_folders()}
                assert folders["Spam"] == (b"\\HasNoChildren", b"\\Junk")
                assert client.find_special_folder(imapclient.imapclient.TRASH) == "Trash"
                client.create_folder("Entwürfe/für später")
                assert client.folder_exists("Entwürfe/für später")
                client.subscribe_folder("Entwürfe/für später")
                when = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
                client.append("INBOX", message(subject="one"), flags=[b"\\Seen", b"$Work"], msg_time=when)
                client.append("INBOX", message(subject="two"))
                info = client.select_folder("INBOX")
                assert info[b"EXISTS"] == 2 and info[b"READ-WRITE"]
                assert client.search(["SUBJECT", "two"]) == [2]
                assert client.search(["OR", "SEEN", "TEXT", "ü"], charset="UTF-8") == [1]
                got = client.fetch(
                    [1, 2], ["FLAGS", "ENVELOPE", "BODYSTRUCTURE", "INTERNALDATE", "RFC822.SIZE"]
                )
                assert got[1][b"ENVELOPE"].subject == b"one" and b"$Work" in got[1][b"FLAGS"]
                assert got[2][b"ENVELOPE"].from_[0].mailbox == b"bob"
                size = got[2][b"RFC822.SIZE"]
                body = client.fetch(2, ["BODY[]"])[2][b"BODY[]"]
                assert body == message(subject="two") and len(body) == size
                client.add_flags(2, [imapclient.FLAGGED])
                assert client.get_flags(2)[2] == (b"\\Seen", b"\\Flagged", b"\\Recent")
                client.copy(1, "Entwürfe/für später")
                client.move(1, "Trash")
                client.delete_messages(2)
                client.expunge()
                assert client.search() == []
                assert client.folder_status("Trash")[b"MESSAGES"] == 1
                client.idle()
                store.add("INBOX", message(subject="three"))
                found = client.idle_check(timeout=60)
                client.idle_done()
                assert (1, b"EXISTS") in found
                client.unselect_folder()
                client.rename_folder("Entwürfe/für später", "Entwürfe/bald")
                client.delete_folder("Entwürfe/bald")

        await asyncio.to_thread(day)


async def test_aioimaplib_idles_and_fetches(tmp_path: Path) -> None:
    store = MemoryMailbox()
    async with running(tmp_path, store=store) as service:
        client = aioimaplib.IMAP4_SSL("localhost", service.tls_port, ssl_context=service.client_context)
        await client.wait_hello_from_server()
        assert (await client.login(USER, PASSWORD)).result == "OK"
        assert (await client.select("INBOX")).result == "OK"
        idle = await client.idle_start(timeout=120)
        await asyncio.sleep(0.05)
        store.add("INBOX", message(subject="new"))
        service.hub.heard({"event": "mailbox", "account": USER, "folder": "INBOX"})
        assert b"1 EXISTS" in await client.wait_server_push(timeout=60)
        client.idle_done()
        await asyncio.wait_for(idle, 60)
        answer = await client.uid("fetch", "1", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        assert answer.result == "OK" and b"Subject: new" in answer.lines[1]
        assert (await client.append(message(), "Drafts")).result == "OK"
        assert (await client.uid("move", "1", "Archive")).result == "OK"
        await client.logout()


async def test_the_standard_library_s_client_works_with_starttls(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        port, context = service.port, service.client_context

        def talk() -> None:
            client = imaplib.IMAP4("localhost", port)
            client.starttls(context)
            client.login(USER, PASSWORD)
            assert client.append("INBOX", "(\\Draft)", imaplib.Time2Internaldate(0.0), message())[0] == "OK"
            assert client.select()[1] == [b"1"]
            assert client.status("INBOX", "(MESSAGES UNSEEN)")[1] == [b'"INBOX" (MESSAGES 1 UNSEEN 1)']
            assert client.search(None, "ALL")[1] == [b"1"]
            kind, data = client.fetch("1", "(RFC822)")
            assert kind == "OK" and data[0][1] == message()  # type: ignore[index]
            client.close()
            client.logout()

        await asyncio.to_thread(talk)
