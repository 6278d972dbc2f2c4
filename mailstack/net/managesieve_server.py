"""The ManageSieve shell: what differs from other protocols.

Scripts lie in the directory, not in the mailbox, which is never opened.  They are
compiled one at a time in a thread of their own, so that a large one keeps neither the
loop nor the threads of mailboxes waiting.

Standards: RFC 5804.  Numbers: limits, sections 1 and 5.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from mailstack.managesieve.budget import CheckBudget
from mailstack.managesieve.options import ManageSieveOptions
from mailstack.managesieve.requests import Check, OnScripts
from mailstack.managesieve.response import status
from mailstack.managesieve.session import Session
from mailstack.model.asking import Conversation, Request, Unauthenticate
from mailstack.model.directory import Account
from mailstack.model.scripts import Checked, ScriptStore, Terms
from mailstack.net.listener import Peer
from mailstack.net.login_slots import LoginSlots
from mailstack.net.session_hub import SessionServices, account_key
from mailstack.net.session_server import SessionConnection
from mailstack.net.slotted_hub import SlottedHub


@dataclass(frozen=True, kw_only=True)
class ScriptServices:
    """What connections need beside what all need.

    Attributes:
        scripts: an account's scripts, for a client with this address.
        terms: what scripts of an account may use; of None: of nobody in particular.
        check: whether a source may be stored; blocking.
        checker: the thread for it.
    """

    scripts: Callable[[Account, str], ScriptStore]
    terms: Callable[[Account | None], Terms]
    check: Callable[[Account, bytes], Checked]
    checker: Executor


class ManageSieveHub(SlottedHub["ManageSieveConnection"]):
    """One event loop's ManageSieve connections; logins are counted over all workers."""

    def __init__(
        self,
        services: SessionServices,
        scripts: ScriptServices,
        options: ManageSieveOptions,
        slots: LoginSlots,
    ) -> None:
        self.options = options
        self.services = scripts
        self.budget = CheckBudget(options)
        super().__init__(
            services,
            slots,
            protocol="ManageSieve",
            max_before_login=options.max_before_login,
            max_per_account=options.max_per_account,
            stalled_time_s=options.stalled_time_s,
        )


class ManageSieveConnection(SessionConnection):
    """One connection; made by a listener, which calls `run`."""

    def __init__(
        self, hub: ManageSieveHub, peer: Peer, *, start_tls: Callable[[str], ssl.SSLContext] | None = None
    ) -> None:
        """`start_tls`: gives the context for STARTTLS; None: not offered."""
        super().__init__(hub, peer, start_tls=start_tls)
        self.slot: int | None = None
        self._hub = hub
        self._scripts: ScriptStore | None = None

    def _new_session(self) -> Session:
        options = self._hub.options
        return Session(
            self._setup(options, plaintext=options.allow_plaintext_loopback), self._hub.services.terms
        )

    def _farewell(self, text: str, code: str) -> bytes:
        return status("BYE", text, "TRYLATER")

    async def _open(self, account: Account) -> None:
        self._scripts = self._hub.services.scripts(account, self.ip)

    async def _answer_more(self, session: Conversation, request: Request[object]) -> object:
        match request:
            case OnScripts(work):
                assert self._scripts is not None
                return await self._in_thread(work, self._scripts)
            case Check(source):
                return await self._check(source)
            case Unauthenticate():
                self._hub.log_out(self)
                self._scripts = None
            case _:
                return await super()._answer_more(session, request)
        return None

    async def _check(self, source: bytes) -> Checked | None:
        account, hub = self.account, self._hub
        assert account is not None
        key = account_key(account)
        if not hub.budget.take(key, time.monotonic()):
            return None
        checked, cpu_s = await self._in_thread(
            _timed, hub.services.check, account, source, executor=hub.services.checker
        )
        hub.budget.charge(key, cpu_s, time.monotonic())
        return checked


def _timed(
    check: Callable[[Account, bytes], Checked], account: Account, source: bytes
) -> tuple[Checked, float]:
    begun = time.thread_time()
    return check(account, source), time.thread_time() - begun
