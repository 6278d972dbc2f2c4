"""`mailstack mailbox merge`."""

from __future__ import annotations

import os
import time
from pathlib import Path

from mailstack.mailbox.store import MailStore
from mailstack.model.address import Address
from mailstack.model.mailbox import NewMessage
from tests.kit.instance import new_instance

ALICE = "alice@example.test"


def test_one_folder_of_two(tmp_path: Path) -> None:
    instance = new_instance(tmp_path)
    assert instance.cli("user", "add", ALICE).code == 0
    assert "has no mailbox yet" in instance.cli("mailbox", "merge", ALICE, "Sent Items", "Sent").err
    store = MailStore(instance.config.paths.mail, now=time.time, random_bytes=os.urandom)
    account = store.account(Address.parse(ALICE))
    account.create("Sent Items")
    account.append("Sent Items", [NewMessage(b"Subject: x\r\n\r\nx\r\n")] * 2)
    done = instance.cli("mailbox", "merge", ALICE, "Sent Items", "Sent")
    assert "2 messages moved from Sent Items to Sent" in done.out
    assert "Sent is \\Sent now" in done.out
    assert account.status("Sent").messages == 2
    assert instance.cli("mailbox", "merge", ALICE, "Sent Items", "Sent").code == 65
    store.close()
