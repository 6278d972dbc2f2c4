from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mailstack.app import indexer
from mailstack.app.indexer import Indexer
from mailstack.mailbox import MailStore
from mailstack.model.mailbox import Needle, NewMessage
from tests.kit.bare_session import ACCOUNT, message
from tests.kit.process import eventually


async def test_mail_nobody_looks_at_is_indexed_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexer, "EVERY_S", 0.01)
    with ThreadPoolExecutor(1) as threads:
        delivering = MailStore(tmp_path, now=time.time, random_bytes=os.urandom)
        delivering.account(ACCOUNT.address).append("INBOX", [NewMessage(message(body="a rare wörd"))])
        indexing = MailStore(tmp_path, now=time.time, random_bytes=os.urandom, index=True)
        now = [0.0]
        one = Indexer(indexing, threads, clock=lambda: now[0])
        task = asyncio.create_task(one.run())
        one.heard({"event": "mailbox", "account": ACCOUNT.address.key, "folder": "INBOX"})
        one.heard({"event": "mailbox", "account": "nobody@example.test", "folder": "INBOX"})
        one.heard({"event": "mailbox", "account": "not an address", "folder": "INBOX"})
        now[0] = indexer.WAIT_S
        account = delivering.account(ACCOUNT.address)
        inbox = account.status("INBOX").id

        def is_indexed() -> bool:
            (hits,) = account.find_text(inbox, [Needle("body", "rare word")])
            (other,) = account.find_text(inbox, [Needle("body", "rare")])
            return not hits.unsure and bool(other.found)

        await asyncio.to_thread(eventually, is_indexed)
        assert not indexing.exists(ACCOUNT.address.parse("nobody@example.test"))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        indexing.close()
        delivering.close()
