"""Client libraries and folders: uses, quota, rights, what others share."""

from __future__ import annotations

import asyncio
import imaplib
from pathlib import Path

import imapclient
from imapclient.imapclient import DRAFTS, JUNK, SENT

from tests.kit.bare_session import PASSWORD, USER
from tests.kit.imap_service import running
from tests.kit.memory_mailbox import MemoryMailbox
from tests.kit.street import BOB, furnished


def _memory(key: str) -> MemoryMailbox:
    store = MemoryMailbox(quota=1_000_000)
    store.owner = key
    return store


async def test_imapclient_finds_uses_quota_rights_and_shared_folders(tmp_path: Path) -> None:
    async with running(tmp_path, store=furnished(_memory, shared=True)) as service:
        port, context = service.tls_port, service.client_context

        def day() -> None:
            with imapclient.IMAPClient("localhost", port, ssl=True, ssl_context=context) as client:
                client.login(USER, PASSWORD)
                for word in (
                    "ACL",
                    "QUOTA",
                    "METADATA",
                    "LIST-EXTENDED",
                    "LIST-STATUS",
                    "CREATE-SPECIAL-USE",
                ):
                    assert client.has_capability(word), word
                assert client.namespace().other == (("Shared/", "/"),)
                client.create_folder("Gesendete Elemente")
                assert client.find_special_folder(SENT) == "Gesendete Elemente"
                assert client.find_special_folder(JUNK) == "Spam"
                assert client.find_special_folder(DRAFTS) == "Drafts"
                root, quotas = client.get_quota_root("INBOX")
                assert root.quota_roots == [USER]
                assert {(each.resource, each.limit) for each in quotas} == {("STORAGE", 976)}
                client.setacl("INBOX", BOB, "lrs")
                assert (BOB.encode(), b"lrs") in [
                    (bytes(who), bytes(may)) for who, may in client.getacl("INBOX")
                ]
                shared = f"Shared/{BOB}/INBOX"
                assert shared in [name for _, _, name in client.list_folders("Shared/", "*")]
                assert client.folder_status(shared)[b"MESSAGES"] == 2
                assert client.select_folder(shared, readonly=True)[b"EXISTS"] == 2
                client.copy([1, 2], "Archive")
                assert client.folder_status("Archive")[b"MESSAGES"] == 2

        await asyncio.to_thread(day)


async def test_imaplib_asks_for_rights_and_quota(tmp_path: Path) -> None:
    async with running(tmp_path, store=furnished(_memory, shared=True)) as service:
        port, context = service.tls_port, service.client_context

        def day() -> None:
            with imaplib.IMAP4_SSL("localhost", port, ssl_context=context) as client:
                client.login(USER, PASSWORD)
                assert client.myrights("INBOX") == ("OK", [b'"INBOX" lrswipkxteacd'])
                assert client.getquota(USER)[0] == "OK"
                assert client.setquota(USER, "(STORAGE 5)")[0] == "NO"
                assert client.deleteacl("INBOX", BOB)[0] == "OK"
                kind, lines = client.lsub()
                assert kind == "OK" and any(b"Drafts" in line for line in lines if isinstance(line, bytes))

        await asyncio.to_thread(day)
