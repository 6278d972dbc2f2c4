"""The mail log: one event, one line, one row; one method per event.

Every event goes to the log stream as `event id=... key=value` in a fixed order and to
`maillog.db`, from which `mailstack log` reads it back per address.  Whatever a peer
can choose is quoted unless it is plain, so nobody outside can forge a field or a line
(T92).  No passwords, no subjects, no message text.
"""

from __future__ import annotations

import json
import queue
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TextIO

from mailstack.model.envelope import Envelope
from mailstack.model.reply import Reply
from mailstack.state import maillog_db
from mailstack.state.maillog_db import Event, Row, Value

#: One field's value is cut here, in characters (T92).
MAX_FIELD = 256
#: Recipients of a message that an event names.
_SHOWN = 5
#: Lines and rows of the daemons are written at most this much later than they are said.
BATCH_S = 0.05
#: A write of lines is no longer, so that those of several processes do not mix in a pipe, in characters.
_WRITE = 4_096

_PLAIN = re.compile(r"[!#-<>-\[\]-~]+\Z")


def quote(value: Value) -> str:
    """A field's value as it stands in a log line: bare when plain, else a JSON string.

    Control characters, separators, bidi marks and everything outside printable ASCII are escaped.
    """
    text = value if type(value) is str else str(value)
    if len(text) > MAX_FIELD:
        text = text[:MAX_FIELD] + "..."
    if _PLAIN.match(text):
        return text
    return json.dumps(text).replace("\x7f", "\\u007f")


@lru_cache(maxsize=4)
def _stamp(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))


def line(name: str, id_: str, fields: dict[str, Value]) -> str:
    """`name id=... key=value ...`, always exactly one line."""
    parts = [name, f"id={quote(id_)}"] if id_ else [name]
    for key, value in fields.items():
        if value != "":
            parts.append(f"{key}={quote(value)}")
    return " ".join(parts)


class _Said(NamedTuple):
    """One event, as `MailLog.write` was given it."""

    event: Event
    message_id: str
    sent_by: Iterable[str]
    received_by: Iterable[str]
    refused_to: Iterable[str]


class MailLog:
    """Writes events; thread-safe.

    With a database, lines and rows are written by a thread of its own, some at a time: what
    a message says costs the one who says it next to nothing.  A log that cannot be written
    never stops mail: what fails is counted in `dropped`.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        daemon: str,
        now: Callable[[], float],
        stream: TextIO | None = None,
        stamped: bool = True,
    ) -> None:
        """Opens the log.

        Args:
            path: `maillog.db`, already migrated; None: lines only.
            stamped: put UTC time stamps on the lines (False under the journal).
        """
        self._now = now
        self._daemon = daemon
        self._stream = stream if stream is not None else sys.stderr
        self._stamped = stamped
        self._path = path
        self.dropped = 0
        self._queue: queue.SimpleQueue[_Said | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def write(
        self,
        name: str,
        id_: str = "",
        *,
        sent_by: Iterable[str] = (),
        received_by: Iterable[str] = (),
        refused_to: Iterable[str] = (),
        message_id: str = "",
        **fields: Value,
    ) -> None:
        """One event.

        Args:
            sent_by: local addresses whose log shows it as sent.
            received_by: the same, as received.
            refused_to: whom `log explain` finds a refusal by: client, login, sender, recipients.
        """
        said = _Said(
            Event(self._now(), self._daemon, name, id_, fields), message_id, sent_by, received_by, refused_to
        )
        if self._path is None:
            self._print([said.event])
            return
        self._queue.put(said)
        if self._thread is None:
            self._start()

    def close(self) -> None:
        """Writes what is queued."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(5)
            self._thread = None

    # -- events, in the order of a message's life ---------------------------------

    def accepted(
        self,
        id_: str,
        *,
        peer: str,
        sender: str,
        recipients: Sequence[str],
        size_octets: int,
        login: str = "",
        message_id: str = "",
        tls: str = "",
        why: str = "",
    ) -> None:
        """The message is on disk for everybody; 250 follows."""
        self.write(
            "accepted",
            id_,
            sent_by=[login],
            received_by=() if login else recipients,
            message_id=message_id,
            peer=peer,
            login=login,
            sender=sender or "<>",
            recipients=len(recipients),
            to=",".join(recipients[:5]) + (",..." if len(recipients) > 5 else ""),
            size_octets=size_octets,
            tls=tls,
            msgid=message_id,
            note=why,
        )

    def refused(
        self,
        id_: str,
        *,
        peer: str,
        at: str,
        check: str,
        code: int,
        status: str,
        why: str = "",
        sender: str = "",
        to: str = "",
        login: str = "",
        key: str = "",
        received_by: Iterable[str] = (),
    ) -> None:
        """We said 4xx or 5xx.

        Args:
            at: connect, helo, auth, mail, rcpt, data, end, command.
            check: the word `state/explanations.py` explains.
            key: the configuration key that decided, where the word has several; or what did instead.
        """
        self.write(
            "refused",
            id_,
            sent_by=[login],
            received_by=received_by,
            refused_to=[peer, login, sender, *to.split(",")],
            peer=peer,
            at=at,
            check=check,
            code=code,
            status=status,
            login=login,
            sender=sender,
            to=to,
            key=key,
            why=why,
        )

    def refused_message(
        self,
        envelope: Envelope,
        reply: Reply,
        *,
        check: str,
        why: str = "",
        key: str = "",
        received_by: Iterable[str] = (),
    ) -> None:
        """We said 4xx or 5xx at the end of a message; see `refused`.

        Args:
            check: the word, unless the reply has one of its own.
            why: more than the reply says.
        """
        self.refused(
            envelope.accept_id,
            peer=envelope.client.ip,
            at="end",
            check=reply.check or check,
            code=reply.code,
            status=reply.enhanced,
            why=why or reply.text,
            sender=envelope.sender,
            login=envelope.client.login,
            to=",".join(str(recipient.address) for recipient in envelope.recipients[:_SHOWN]),
            key=key,
            received_by=received_by,
        )

    def filtered(
        self,
        id_: str,
        *,
        klass: str,
        score: float,
        action: str,
        spf: str,
        dkim: str,
        dmarc: str,
        reasons: str,
        why: str = "",
    ) -> None:
        """The filter's verdict; reasons as `name:weight,...`, the heaviest in words."""
        self.write(
            "filtered",
            id_,
            klass=klass,
            score=round(score, 4),
            action=action,
            spf=spf,
            dkim=dkim,
            dmarc=dmarc,
            reasons=reasons,
            why=why,
        )

    def unfiltered(self, id_: str, *, why: str, aside: str = "") -> None:
        """Delivered without the filter's word.  `aside`: of the operator's copy; "": there is none."""
        self.write("unfiltered", id_, why=why, aside=aside)

    def filed(
        self,
        id_: str,
        *,
        to: str,
        original: str,
        mailbox: str,
        uid: int,
        klass: str,
        sieve: str,
        why: str = "",
        score: float | None = None,
        reasons: str = "",
    ) -> None:
        """In a local mailbox, durable.

        Args:
            score, reasons: of this account, where they are not those of the message.
        """
        self.write(
            "filed",
            id_,
            received_by=dict.fromkeys((to, original)),
            to=to,
            original="" if original == to else original,
            mailbox=mailbox,
            uid=uid,
            klass=klass,
            sieve=sieve,
            why=why,
            score="" if score is None else round(score, 4),
            reasons=reasons,
        )

    def discarded(self, id_: str, *, to: str, why: str) -> None:
        """The owner's rule threw it away."""
        self.write("discarded", id_, received_by=[to], to=to, why=why)

    def queued(self, id_: str, *, queue_id: str, sender: str, to: str, kind: str, owner: str = "") -> None:
        """In the queue, durable.  `kind`: submission, forward, dsn, vacation, local, srs-bounce."""
        self.write(
            "queued", queue_id, sent_by=[owner], accept_id=id_, sender=sender or "<>", to=to, kind=kind
        )

    def forwarded(
        self, id_: str, *, owner: str, to: str, sender: str, queue_id: str, warning: str = ""
    ) -> None:
        """A redirection took it on, with this SRS sender.  `warning`: why the next server may refuse it."""
        self.write(
            "forwarded",
            id_,
            received_by=[owner],
            owner=owner,
            to=to,
            sender=sender,
            queue_id=queue_id,
            warning=warning,
        )

    def delivered(
        self, queue_id: str, *, to: str, host: str, answer: str, tries: int, tls: str = "", owner: str = ""
    ) -> None:
        """The next host took it."""
        self.write(
            "delivered", queue_id, sent_by=[owner], to=to, host=host, answer=answer, tries=tries, tls=tls
        )

    def deferred(
        self,
        queue_id: str,
        *,
        to: str,
        host: str,
        code: int,
        why: str,
        next_s: int,
        tries: int,
        owner: str = "",
    ) -> None:
        """Not now; next attempt in `next_s` seconds."""
        self.write(
            "deferred",
            queue_id,
            sent_by=[owner],
            to=to,
            host=host,
            code=code,
            next_s=next_s,
            tries=tries,
            why=why,
        )

    def bounced(
        self, queue_id: str, *, to: str, host: str, code: int, why: str, dsn: str, owner: str = ""
    ) -> None:
        """Given up; `dsn` is the queue id of the report, or why there is none."""
        self.write("bounced", queue_id, sent_by=[owner], to=to, host=host, code=code, why=why, dsn=dsn)

    def removed(self, queue_id: str, *, to: Sequence[str], who: str, owner: str = "") -> None:
        """An operator took it out of the queue; nobody was told."""
        some = ",".join(to[:5]) + (",..." if len(to) > 5 else "")
        self.write("removed", queue_id, sent_by=[owner], to=some, who=who)

    def login(
        self,
        *,
        protocol: str,
        peer: str,
        account: str,
        ok: bool,
        mechanism: str,
        app_password: str = "",
        tls: str = "",
        check: str = "",
        why: str = "",
    ) -> None:
        """Somebody logged in, or failed to.

        Args:
            account: as the client wrote it.
            app_password: its name, when one was used.
            check: the word for the rule that refused it.
        """
        self.write(
            "login" if ok else "login_failed",
            received_by=[account],
            refused_to=() if ok else (peer, account),
            protocol=protocol,
            peer=peer,
            account=account,
            mechanism=mechanism,
            check=check,
            app_password=app_password,
            tls=tls,
            why=why,
        )

    # -- the writing thread ---------------------------------------------------------

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="maillog", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        assert self._path is not None
        rows = maillog_db.RowWriter(self._path, _tell)
        closing = False
        while not closing:
            batch = [self._queue.get()]
            time.sleep(BATCH_S)
            while not self._queue.empty():
                batch.append(self._queue.get())
            closing = None in batch
            said = [entry for entry in batch if entry is not None]
            if said:
                self._print([each.event for each in said])
                self.dropped += rows.write([_row(each) for each in said])
        rows.close()

    def _print(self, events: Iterable[Event]) -> None:
        held: list[str] = []
        size = 0
        for event in events:
            text = line(event.name, event.id, event.fields)
            if self._stamped:
                at = event.at
                text = f"{_stamp(int(at))}.{int(at % 1 * 1000):03d}Z {self._daemon} {text}"
            if held and size + len(text) >= _WRITE:
                self._write_lines(held)
                held, size = [], 0
            held.append(text)
            size += len(text) + 1
        self._write_lines(held)

    def _write_lines(self, lines: list[str]) -> None:
        try:
            self._stream.write("\n".join(lines) + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            self.dropped += len(lines)


def _tell(sentence: str) -> None:
    print(sentence, file=sys.stderr)  # noqa: T201


def _row(said: _Said) -> Row:
    owners = [
        (address.lower(), direction)
        for address, direction in chain(
            ((name, "sent") for name in said.sent_by),
            ((name, "received") for name in said.received_by),
            ((name, "refused") for name in said.refused_to),
        )
        if address
    ]
    return said.event, said.message_id, owners
