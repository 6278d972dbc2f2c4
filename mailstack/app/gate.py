"""The gate of all daemons: passwords, what guessing costs, the mail log.

Passwords are checked in threads of their own, as many as there are cores, so that a
burst of logins costs bounded memory and never the loop (limits, section 7).  One gate
serves every protocol, so that guessing by another one costs the same.
"""

from __future__ import annotations

import asyncio
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from mailstack.app.daemon import Context
from mailstack.directory import Directory
from mailstack.model.asking import LoginRefused
from mailstack.model.directory import Account
from mailstack.model.envelope import Client
from mailstack.model.errors import TemporaryFailure
from mailstack.model.reply import Reply
from mailstack.model.secret import Proof
from mailstack.sasl.delays import FailureDelays

#: Logins that may wait for a hash; more are told to try later.
MAX_WAITING = 64
#: What SMTP says for the codes of RFC 5530.
_SMTP = {
    "AUTHENTICATIONFAILED": Reply(
        535, "7.8", "User name or password is wrong (the user name is the full address)", "login"
    ),
    "UNAVAILABLE": Reply(454, "7.0", "Logins cannot be checked now; try again later", "temporary"),
}

_log = logging.getLogger(__name__)


class Gate:
    """Checks passwords, slows down who guesses, writes the mail log."""

    def __init__(self, context: Context, directory: Directory) -> None:
        self._context = context
        self._directory = directory
        self._threads = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="login")
        self._waiting = 0
        self._delays = FailureDelays(context.config.smtp.login_delays_s)

    def close(self) -> None:
        """Ends the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def authenticate(
        self,
        protocol: str,
        client: Client,
        login: str,
        password: str | Proof,
        mechanism: str,
        *,
        acting_for: str = "",
    ) -> Account | LoginRefused:
        """The account; or why not, after the wait the failure earned.

        Args:
            protocol: "smtp", "imap" or "pop3", for the directory and the mail log.
            acting_for: another user; refused (A5) as if the password were wrong.
        """
        if self._waiting >= MAX_WAITING:
            return LoginRefused("UNAVAILABLE", "Too many logins at once; try again later")
        self._waiting += 1
        try:
            found = await asyncio.get_running_loop().run_in_executor(
                self._threads, partial(self._directory.authenticate, login, password, protocol=protocol)
            )
        except TemporaryFailure as failure:
            _log.error("checking a login: %s", failure.why)
            return LoginRefused("UNAVAILABLE", "Logins cannot be checked now; try again later")
        finally:
            self._waiting -= 1
        if found is None or acting_for:
            return await self._refuse(protocol, client, login, password, mechanism)
        self._delays.succeeded(login, client.ip)
        self._log(protocol, client, str(found.address), mechanism, ok=True)
        return found

    async def _refuse(
        self, protocol: str, client: Client, login: str, password: str | Proof, mechanism: str
    ) -> LoginRefused:
        delay = self._delays.failed(login, client.ip, password=password, now=self._context.now())
        why = password.why if isinstance(password, Proof) else ""
        self._log(protocol, client, login, mechanism, ok=False, why=why)
        if delay:
            await asyncio.sleep(delay)
        return LoginRefused("AUTHENTICATIONFAILED", "Wrong user name or password")

    def _log(
        self, protocol: str, client: Client, account: str, mechanism: str, *, ok: bool, why: str = ""
    ) -> None:
        why = why or ("" if client.tls else "without TLS")
        self._context.maillog.login(
            protocol=protocol, peer=client.ip, account=account, ok=ok, mechanism=mechanism, why=why
        )


def login_refused(refused: LoginRefused) -> Reply:
    """The same in the words of SMTP."""
    return _SMTP.get(refused.code, _SMTP["UNAVAILABLE"])
