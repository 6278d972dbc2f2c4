"""One message in the filter's parent, and the answers it gets without a verdict."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import msgspec

from mailstack.app.filter_pool import WorkerProcess
from mailstack.app.filter_steps import Begins, Record
from mailstack.filters import virus
from mailstack.model.verdict import (
    AccountVerdict,
    FilterAnswer,
    FilterRequest,
    Keep,
    MessageVerdict,
    ScriptFailed,
    VirusScan,
)
from mailstack.net.filter_wire import FrameProtocol
from mailstack.net.resolver import Budget

_encode = msgspec.msgpack.Encoder().encode
_request = msgspec.msgpack.Decoder(FilterRequest)


@dataclass(eq=False, slots=True)
class Job:
    """One message.

    Attributes:
        client, number: whom to answer.
        records: every DNS answer it has asked for.
        fresh: those its worker has not been told yet.
        worker: who holds its state; None: nobody.
        rounds: how often it came back with questions.
        shape: by which it is known again, once a worker has died over it.
        scan: of a virus scanner, beside the steps; None: nobody is asked.
    """

    id: int
    client: FrameProtocol
    number: int
    request: bytes
    budget: Budget
    records: list[Record] = field(default_factory=list)
    fresh: list[Record] = field(default_factory=list)
    worker: WorkerProcess | None = None
    rounds: int = 0
    shape: str = ""
    deadline: asyncio.TimerHandle | None = None
    asking: asyncio.Task[None] | None = None
    scan: asyncio.Task[VirusScan] | None = None

    @property
    def left_s(self) -> float:
        """Seconds until it must be answered."""
        if self.deadline is None:
            return 0.0
        return self.deadline.when() - asyncio.get_running_loop().time()

    @property
    def scanned(self) -> VirusScan | None:
        """What the scanner said; None: nothing yet."""
        if self.scan is None or not self.scan.done() or self.scan.cancelled():
            return None
        return self.scan.result()

    def decode(self) -> FilterRequest:
        """What was asked."""
        return _request.decode(self.request)

    def stop(self) -> None:
        """Nothing is waited for any more."""
        for waiting in (self.deadline, self.asking, self.scan):
            if waiting is not None:
                waiting.cancel()


def unfiltered(
    why: str,
    job: Job | None = None,
    *,
    begun: Begins | None = None,
    aside: str = "",
    on_virus: virus.Policy = "",
) -> msgspec.Raw:
    """No verdict, but what a virus scanner said.

    Args:
        begun: the script the worker died in, if it was in one (V14).
        aside: the id of the operator's copy.
        on_virus: what is done about a virus.
    """
    accounts: tuple[AccountVerdict, ...] = ()
    if begun is not None and job is not None:
        failed = ScriptFailed(begun.script, begun.version, f"the filter died in it ({why})", died=True)
        accounts = tuple(
            AccountVerdict(r.number, "ham", 0.0, (Keep(implicit=True),), (), failed.why, failed)
            for r in job.decode().recipients
            if r.account_id == begun.account_id
        )
    verdict = MessageVerdict(unfiltered=why, aside=aside)
    if job is not None and job.scan is not None:
        verdict = virus.apply(verdict, job.scanned or virus.TOO_LATE, on_virus)
    return msgspec.Raw(_encode(FilterAnswer(verdict, accounts)))
