"""What all SMTP ports of one worker share."""

from __future__ import annotations

from collections.abc import Callable, Container
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path

from mailstack.model.secret import Verifier
from mailstack.net.acceptor import Acceptor
from mailstack.net.counts import Counts, LocalCounts
from mailstack.net.tls import TlsContexts
from mailstack.smtp.options import SmtpOptions
from mailstack.state.maillog import MailLog


@dataclass
class Shared:
    """What the listeners of one worker have in common.

    Attributes:
        spool: folder for large messages.
        disk: threads for it; None: the loop's own.
        has_room: whether the disk can take a message; cheap.
        is_stressed: whether waits must be short; cheap.
        verifier: for SCRAM, by login; None: it is not offered.
        sessions: open sessions of each account, by account id; perhaps of all workers.
        relays: addresses of trusted relays: neither their errors nor what they bring ends a session.
    """

    options: SmtpOptions
    hostname: str
    acceptor: Acceptor
    maillog: MailLog
    tls: TlsContexts | None
    spool: Path
    disk: Executor | None = None
    has_room: Callable[[], bool] = lambda: True
    is_stressed: Callable[[], bool] = lambda: False
    verifier: Callable[[str], Verifier] | None = None
    spool_folder: str = field(init=False)
    sessions: Counts = field(default_factory=LocalCounts)
    relays: Container[str] = ()

    def __post_init__(self) -> None:
        self.spool_folder = str(self.spool)
