"""What FETCH tells of messages beside the view and their octets: ready-made texts, ids, dates.

Standards: RFC 3501 section 7.4.2, RFC 9051 section 7.5.2, RFC 8474 section 5.3 (EMAILID, THREADID), RFC 8514
section 4.2 (SAVEDATE), RFC 8970 (PREVIEW).
Imports: mime, model, requests, response, view.  No I/O.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial

from mailstack.imap.fetch_items import FetchItems
from mailstack.imap.requests import Steps, slow
from mailstack.imap.response import date_time, quote
from mailstack.imap.view import View
from mailstack.mime import structure
from mailstack.model.mailbox import AccountStore, MessageRow, MessageTexts

#: RFC 8970 section 3.3: characters of a preview.
MAX_PREVIEW = 256


@dataclass(slots=True)
class Extra:
    """What was looked up for the positions `rows`; messages that are gone are not among them."""

    rows: list[int]
    texts: dict[int, MessageTexts] = field(default_factory=dict)
    details: dict[int, MessageRow] = field(default_factory=dict)


def look_up(view: View, items: FetchItems, rows: list[int], *, rev2: bool) -> Steps[Extra]:
    """Asks the store for what the items need.

    Args:
        rev2: the client speaks IMAP4rev2.
    """
    extra = Extra(rows)
    if not items.needs_texts and not items.needs_details:
        return extra
    uids = [view.uids[at] for at in rows]
    if items.needs_texts:
        extra.texts = yield from slow(lambda store: store.texts(view.folder_id, uids, ready_only=items.lazy))
        if not items.lazy:
            extra.rows = [at for at in extra.rows if view.uids[at] in extra.texts]
        if rev2 and not items.lazy:
            yield from _know_global(view, extra)
    if items.needs_details:
        extra.details = yield from slow(lambda store: store.details(view.folder_id, uids))
        extra.rows = [at for at in extra.rows if view.uids[at] in extra.details]
    return extra


def _know_global(view: View, extra: Extra) -> Steps[None]:
    """Writes the few structures anew that differ between IMAP4rev1 and IMAP4rev2."""
    for uid, texts in extra.texts.items():
        if structure.has_global(texts.bodystructure):
            octets = yield from slow(partial(_read, view.folder_id, uid))
            found = structure.describe(octets, rev2=True)
            extra.texts[uid] = replace(texts, body=found.body, bodystructure=found.bodystructure)


def _read(folder_id: int, uid: int, store: AccountStore) -> bytes:
    with closing(store.open(folder_id, uid)) as file:
        return file.read()


def _preview(extra: Extra, uid: int) -> bytes:
    # RFC 8970 section 3.2: NIL only to those who asked for LAZY.
    texts = extra.texts.get(uid)
    return b"NIL" if texts is None else quote(texts.preview[:MAX_PREVIEW].encode())


def _thread_id(extra: Extra, uid: int) -> bytes:
    found = extra.details[uid].thread_id
    return b"(%b)" % found.encode() if found else b"NIL"


#: By item: its value for a message.
VALUES: dict[bytes, Callable[[Extra, int], bytes]] = {
    b"ENVELOPE": lambda extra, uid: extra.texts[uid].envelope,
    b"BODYSTRUCTURE": lambda extra, uid: extra.texts[uid].bodystructure,
    b"BODY": lambda extra, uid: extra.texts[uid].body,
    b"PREVIEW": _preview,
    b"SAVEDATE": lambda extra, uid: date_time(extra.details[uid].saved_at),
    b"EMAILID": lambda extra, uid: b"(%b)" % extra.details[uid].email_id.encode(),
    b"THREADID": _thread_id,
}
