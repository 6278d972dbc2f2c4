"""Whom somebody has written to, read from the folder of what they sent.

After a mailbox came from elsewhere, those who are found there are no first-time recipients
(`[sending]`).  Blocking; for the command line and for imports.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from mailstack.mime.addresses import specs
from mailstack.mime.header import MAX_BLOCK_OCTETS, Headers
from mailstack.model.address import Address, AddressError
from mailstack.model.mailbox import AccountStore, FolderEntry, MailboxError

#: Messages whose headers are held in memory at a time.
BATCH = 200
#: Correspondents learned from one folder; the newest messages first.
MAX_CORRESPONDENTS = 50_000

_FIELDS = ("to", "cc", "bcc")


def sent_folder(mailbox: AccountStore, name: str = "") -> FolderEntry | None:
    """The folder with this name; without a name that for sent mail; None when there is none."""
    for entry in mailbox.folders():
        if entry.exists and (entry.name == name if name else entry.special_use == "\\Sent"):
            return entry
    return None


def collect(mailbox: AccountStore, folder_id: int) -> Iterator[str]:
    """Address keys of all recipients, each once."""
    seen: set[str] = set()
    uids = [row.uid for row in mailbox.rows(folder_id)]
    uids.reverse()
    for start in range(0, len(uids), BATCH):
        for block in _headers(mailbox, folder_id, uids[start : start + BATCH]):
            for key in _recipients(block):
                if key not in seen:
                    seen.add(key)
                    yield key
                    if len(seen) >= MAX_CORRESPONDENTS:
                        return


def _headers(mailbox: AccountStore, folder_id: int, uids: Sequence[int]) -> Iterator[bytes]:
    ready = {}
    with contextlib.suppress(MailboxError):  # the folder is gone meanwhile
        ready = mailbox.headers(folder_id, uids)
    for uid in uids:
        if uid in ready:
            yield ready[uid]
            continue
        try:
            message = mailbox.open(folder_id, uid)
        except MailboxError:  # gone meanwhile
            continue
        try:
            yield message.read(0, MAX_BLOCK_OCTETS)
        finally:
            message.close()


def _recipients(block: bytes) -> Iterator[str]:
    headers = Headers.parse(block)
    for name in _FIELDS:
        for value in headers.all(name):
            for text in specs(value):
                try:
                    yield Address.parse(text).key
                except AddressError:
                    continue
