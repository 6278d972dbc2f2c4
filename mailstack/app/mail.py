"""The message of one transaction, as it grows from DATA to its end; and what works on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mailstack.app.success import Ends
from mailstack.delivery.decide import Store
from mailstack.delivery.entry import QueueMessage
from mailstack.delivery.local import Copy
from mailstack.model.directory import Account
from mailstack.model.envelope import Body, Client, Envelope
from mailstack.model.errors import TemporaryFailure
from mailstack.model.verdict import AccountVerdict, FilterAnswer, MessageVerdict, Reason
from mailstack.routing.expand import Plan

if TYPE_CHECKING:
    from mailstack.app.arrival import Arrivals
    from mailstack.app.config import Config
    from mailstack.app.forwards import Forwards
    from mailstack.app.script_effects import ScriptEffects
    from mailstack.app.threads import Threads
    from mailstack.delivery.queue import Queue
    from mailstack.directory import Directory
    from mailstack.filters.authentication.arc_chain import Chain
    from mailstack.mailbox import MailStore
    from mailstack.net.bus import Bus
    from mailstack.net.filter_client import FilterClient
    from mailstack.net.resolver import DnsSource
    from mailstack.state.maillog import MailLog
    from mailstack.state.senders import LongSenders


#: Large submissions a worker fixes and signs at a time: that is work for the processor, so
#: more would not be faster, only hold more files in memory.
LARGE_AT_ONCE = 2


@dataclass(frozen=True)
class Services:
    """What a transaction works with; one per worker process.

    Attributes:
        arrivals: what is known beside a message from outside.
        forwards: what is known of targets outside.
        scripts: what scripts decided beside the storing.
        disk: threads for whatever blocks.
        new_id: a fresh accept or queue id.
        fatal: promise P8: the process must stop.
        large: held while a submission that lies in a file is prepared.
    """

    config: Config
    directory: Directory
    store: MailStore
    queue: Queue
    filter: FilterClient
    maillog: MailLog
    bus: Bus
    resolver: DnsSource
    long_senders: LongSenders
    arrivals: Arrivals
    forwards: Forwards
    scripts: ScriptEffects
    disk: Threads
    new_id: Callable[[], str]
    fatal: Callable[[str], None]
    large: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LARGE_AT_ONCE))


@dataclass
class Mail:
    """One message on its way.

    Attributes:
        account: who logged in; None on MX.
        origin: who sent it; behind a trusted relay who gave it to that.
        is_relayed: a trusted relay brought it: nothing is refused for its content.
        is_report: it looks like a DMARC or TLS report.
        tokens: of the addresses it was delivered to before (app/loops.py).
        circling: keys of the addresses that had it before.
        hints: what the filter shall weigh beside the message.
        copies: of what signed it, if too many came lately, and who that is.
        received: our Received field, with CRLF.
        signature: DKIM-Signature fields of a submission, with CRLF; else empty.
        author: key of the only address in From, where it matters for `is_sender_verified`.
        answer: the filter's first answer; its verdict is the message's.
        verdicts: per number of a local target.
        stored: copies that are durable.
        later: copies that failed for the moment, and why.
        entries: what is durable in the queue.
        ends: where the wishes to hear of success end.
        chain: the ARC chain it came with, when what is sent on gets a seal; else None.
    """

    envelope: Envelope
    body: Body
    account: Account | None
    origin: Client = field(init=False)
    is_relayed: bool = False
    is_report: bool = False
    tokens: frozenset[str] = frozenset()
    circling: frozenset[str] = frozenset()
    hints: tuple[Reason, ...] = ()
    copies: tuple[int, str] = (0, "")
    received: bytes = b""
    signature: bytes = b""
    message_id: str = ""
    author: str = ""
    plan: Plan = field(default_factory=lambda: Plan((), ()))
    answer: FilterAnswer = field(default_factory=lambda: FilterAnswer(MessageVerdict()))
    verdicts: dict[int, AccountVerdict] = field(default_factory=dict)
    stored: list[tuple[Store, Sequence[Copy]]] = field(default_factory=list)
    later: list[tuple[Store, TemporaryFailure]] = field(default_factory=list)
    entries: list[QueueMessage] = field(default_factory=list)
    ends: Ends = field(default_factory=Ends)
    chain: Chain | None = None

    def __post_init__(self) -> None:
        self.origin = self.envelope.client

    @property
    def is_sender_verified(self) -> bool:
        """True when a report to the envelope sender is no backscatter (T9)."""
        path = self.envelope.reverse_path
        sender = path.key if path is not None else ""
        proven = self.answer.verdict.authentication.proves(sender, author=self.author)
        return self.account is not None or proven
