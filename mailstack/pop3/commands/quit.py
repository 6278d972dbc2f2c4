"""QUIT: removes what was marked, durably, before it says so.

Standards: RFC 1939 sections 4 and 6.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mailstack.model.asking import Steps, slow
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import AccountStore, MailboxError
from mailstack.pop3.errors import Refused

if TYPE_CHECKING:
    from mailstack.pop3.session import Session

#: Messages removed in one transaction: others get their turn, and a crash undoes little.
_SLICE = 2_000


def quit_(session: Session, argument: bytes) -> Steps[str]:
    """Ends the session; an -ERR says that not everything was removed."""
    session.leaving = True
    failed = False
    for folder_id, uids in session.drop.by_folder(session.marked()).items():
        name = session.drop.names[session.drop.folders.index(folder_id)]
        for begin in range(0, len(uids), _SLICE):
            work = partial(_expunge, folder_id, name, uids[begin : begin + _SLICE])
            try:
                yield from slow(work)
            except TemporaryFailure:
                failed = True
        yield from session.announce([name])
    if failed:
        raise Refused("Some deleted messages were not removed", code="SYS/TEMP")
    return "Goodbye"


def _expunge(folder_id: int, name: str, uids: list[int], store: AccountStore) -> None:
    try:
        store.expunge(folder_id, uids)
    except MailboxError as error:
        if error.code != "NONEXISTENT" or _exists(store, name):
            raise TemporaryFailure(error.text) from error
        # The folder was deleted, and the messages with it.


def _exists(store: AccountStore, name: str) -> bool:
    """Whether a folder is there under a new id, as after the index was made anew from the files."""
    try:
        store.status(name)
    except MailboxError:
        return False
    return True
