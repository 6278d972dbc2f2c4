"""All commands: name, function, states.

Standards: RFC 3501 section 6, and the RFC named in each command's file.
"""

from __future__ import annotations

from mailstack.imap.commands import (
    append,
    authenticate,
    cancelupdate,
    capability,
    close,
    compress,
    copy,
    create,
    delete,
    enable,
    esearch,
    expunge,
    fetch,
    identify,
    idle,
    list_,
    login,
    logout,
    lsub,
    namespace,
    noop,
    notify,
    rename,
    replace,
    search,
    select,
    sort,
    starttls,
    status,
    store,
    subscribe,
    thread,
    unauthenticate,
)
from mailstack.imap.commands.entry import Entry, State, at_once

_ANY = frozenset(State)
_STRANGER = frozenset((State.STRANGER,))
_USER = frozenset((State.USER, State.SELECTED))
_SELECTED = frozenset((State.SELECTED,))

COMMANDS: dict[bytes, Entry] = {
    b"CAPABILITY": Entry(at_once(capability.capability), _ANY),
    b"NOOP": Entry(noop.noop, _ANY),
    b"LOGOUT": Entry(at_once(logout.logout), _ANY, syncs=False),
    b"ID": Entry(at_once(identify.identify), _ANY),
    b"STARTTLS": Entry(starttls.starttls, _STRANGER, syncs=False),
    b"AUTHENTICATE": Entry(authenticate.authenticate, _STRANGER, syncs=False),
    b"LOGIN": Entry(login.login, _STRANGER, syncs=False),
    b"SELECT": Entry(select.select, _USER, syncs=False),
    b"EXAMINE": Entry(select.examine, _USER, syncs=False),
    b"CREATE": Entry(create.create, _USER, relists=True),
    b"DELETE": Entry(delete.delete, _USER, relists=True),
    b"RENAME": Entry(rename.rename, _USER, relists=True),
    b"SUBSCRIBE": Entry(subscribe.subscribe, _USER, relists=True),
    b"UNSUBSCRIBE": Entry(subscribe.unsubscribe, _USER, relists=True),
    b"LIST": Entry(list_.list_folders, _USER),
    b"LSUB": Entry(lsub.lsub, _USER),
    b"NAMESPACE": Entry(at_once(namespace.namespace), _USER),
    b"STATUS": Entry(status.status, _USER),
    b"APPEND": Entry(append.append, _USER),
    b"UNAUTHENTICATE": Entry(unauthenticate.unauthenticate, _USER, syncs=False),
    b"ENABLE": Entry(at_once(enable.enable), _USER),
    b"COMPRESS": Entry(compress.compress, _USER, syncs=False),
    b"NOTIFY": Entry(notify.notify, _USER),
    b"IDLE": Entry(idle.idle, _USER),
    b"CHECK": Entry(noop.check, _SELECTED),
    b"CLOSE": Entry(close.close, _SELECTED, syncs=False),
    b"UNSELECT": Entry(close.unselect, _SELECTED, syncs=False),
    b"EXPUNGE": Entry(expunge.expunge, _SELECTED),
    b"UID EXPUNGE": Entry(expunge.uid_expunge, _SELECTED),
    b"SEARCH": Entry(search.search, _SELECTED, expunge=False),
    b"UID SEARCH": Entry(search.uid_search, _SELECTED),
    b"ESEARCH": Entry(esearch.esearch, _USER),
    b"CANCELUPDATE": Entry(at_once(cancelupdate.cancelupdate), _SELECTED),
    b"SORT": Entry(sort.sort, _SELECTED, expunge=False),
    b"UID SORT": Entry(sort.uid_sort, _SELECTED),
    b"THREAD": Entry(thread.thread, _SELECTED, expunge=False),
    b"UID THREAD": Entry(thread.uid_thread, _SELECTED),
    b"FETCH": Entry(fetch.fetch, _SELECTED, expunge=False),
    b"UID FETCH": Entry(fetch.uid_fetch, _SELECTED),
    b"STORE": Entry(store.store, _SELECTED, expunge=False),
    b"UID STORE": Entry(store.uid_store, _SELECTED),
    b"COPY": Entry(copy.copy, _SELECTED),
    b"UID COPY": Entry(copy.uid_copy, _SELECTED),
    b"REPLACE": Entry(replace.replace, _SELECTED),
    b"UID REPLACE": Entry(replace.uid_replace, _SELECTED),
    b"MOVE": Entry(copy.move, _SELECTED),
    b"UID MOVE": Entry(copy.uid_move, _SELECTED),
}

#: Commands with message numbers, which have a UID form (RFC 9586 section 3.2).
NUMBERED = frozenset(name for name in COMMANDS if b"UID " + name in COMMANDS) - {b"EXPUNGE"}
