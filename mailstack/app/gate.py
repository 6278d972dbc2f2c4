"""The gate of all daemons: passwords, what guessing costs, who is shut out, the mail log.

One gate serves every protocol, and what it counts lies in `state.db`, so that guessing by
another protocol, in another process, costs the same.

    why_not(client)      before the greeting: a network that is banned
    authenticate(...)    remembered? ─► account          no thread, no wait
                         guessed at from everywhere, and from an unknown network ─► 5 s
                         a thread checks ─► account, or the failure is counted:
                         its answer waits (delay curve), its network may be banned
    is_current(account)  whether an open session may go on

Passwords are checked in threads of their own, so that a burst of logins costs bounded
memory and never the loop.  A right password never waits for somebody's wrong ones, but
for an account that is guessed at.  When nothing can be counted (a full disk) logins go on
without delays and bans.  Numbers: limits, section 7.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mailstack.app.daemon import Context
from mailstack.app.fuse import Fuse
from mailstack.directory import Directory
from mailstack.directory.values import Denied, Entered
from mailstack.model.asking import Login, LoginRefused
from mailstack.model.directory import Account
from mailstack.model.envelope import Client
from mailstack.model.errors import TemporaryFailure
from mailstack.model.reply import Reply
from mailstack.model.secret import Proof
from mailstack.state.bans import Ban, Bans, ban_network
from mailstack.state.logins import Failed, LoginRecords, login_key

#: Wrong passwords of one login from one network whose answers may wait at a time.
MAX_ASLEEP = 4
#: The same account is said to be guessed at so often at most, in seconds; and so many are remembered.
_ALARM_S = 3_600.0
_ALARMS = 1_000
#: Trouble with counting is said so often at most, in seconds.
_SAY_S = 60.0
_BANNED_CODE = "UNAVAILABLE"

_WRONG = LoginRefused("AUTHENTICATIONFAILED", "Wrong user name or password")
_TOO_MANY = LoginRefused("UNAVAILABLE", "Too many logins at once; try again later")
_TOO_FAST = LoginRefused("UNAVAILABLE", "Too many wrong passwords at once; try again in a minute")
_NOT_NOW = LoginRefused("UNAVAILABLE", "Logins cannot be checked now; try again later")

#: The same in the words of SMTP.
_SMTP = {
    _WRONG: Reply(535, "7.8", "User name or password is wrong (the user name is the full address)", "login"),
    _TOO_MANY: Reply(454, "7.0", "Too many logins at once; try again in a minute", "logins_busy"),
    _TOO_FAST: Reply(454, "7.0", "Too many wrong passwords at once; try again in a minute", "logins_fast"),
    _NOT_NOW: Reply(454, "7.0", "Logins cannot be checked now; try again later", "temporary"),
}

_OVER = Reply(
    530, "7.13", "Your account was suspended or its password changed; connect and log in again", "login_over"
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """Somebody tries to log in."""

    protocol: str
    client: Client
    login: str
    password: str | Proof
    mechanism: str
    acting_for: str
    now: float


@dataclass(frozen=True, slots=True)
class _Wrong:
    """It failed, and that was counted."""

    denied: Denied
    failed: Failed


class _GuessedAt:
    """It must wait first."""


class Gate:
    """Checks passwords, slows down and shuts out who guesses, writes the mail log."""

    def __init__(self, context: Context, directory: Directory) -> None:
        config = context.config
        self._context = context
        self._directory = directory
        self._options = config.bans
        self._curve = config.smtp.login_delays_s
        self._max_waiting = config.auth.waiting_logins
        # All workers of a daemon together hash as much as there are cores (A10).
        cores = max(1, (os.cpu_count() or 1) // max(1, context.workers))
        self._threads = ThreadPoolExecutor(cores, thread_name_prefix="login")
        self._judging: dict[object, asyncio.Future[Entered | _Wrong | _GuessedAt]] = {}
        self._asleep: dict[tuple[str, str], int] = {}
        self._alarms: dict[str, float] = {}
        self._said_at = -_SAY_S
        self._fuse = Fuse()
        self._bans = Bans(context.paths.state_db)
        self._records = LoginRecords(context.paths.state_db, config.bans, key=self._key())
        self._is_counting = config.bans.enabled or any(self._curve)

    def close(self) -> None:
        """Ends the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._records.close()
        self._bans.close()

    # -- before the greeting ----------------------------------------------------------

    def why_not(self, client: Client) -> str:
        """Why this client may not even try to log in, which is logged; "" when it may.  Quick."""
        refusal = self.greet(client)
        if refusal is None:
            return ""
        self._context.maillog.refused(
            "", peer=client.ip, at="connect", check="banned", code=421, status="4.7.0", why=refusal.text
        )
        return refusal.text

    def greet(self, client: Client) -> Reply | None:
        """The same in the words of SMTP, not logged."""
        ban = self._find_ban(client.ip)
        return None if ban is None else Reply(421, "7.0", _ban_text(ban), "banned")

    # -- logins -----------------------------------------------------------------------

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
        attempt = _Attempt(protocol, client, login, password, mechanism, acting_for, self._context.now())
        ban = self._find_ban(client.ip)
        if ban is not None:
            self._log_failed(attempt, _ban_text(ban), "banned")
            return LoginRefused(_BANNED_CODE, _ban_text(ban), hang_up=True)
        try:
            found = await self._check(attempt)
        except TemporaryFailure as failure:
            _log.error("checking a login: %s", failure.why)
            return _NOT_NOW
        if isinstance(found, LoginRefused):
            self._log_failed(attempt, found.text, login_refused(found).check)
            return found
        if isinstance(found, _Wrong):
            return await self._refuse(attempt, found)
        self._note(attempt, found)
        return found.account

    async def log_in(self, protocol: str, client: Client, asked: Login) -> Account | LoginRefused:
        """The same for a session of IMAP or POP3."""
        return await self.authenticate(
            protocol, client, asked.login, asked.password, asked.mechanism, acting_for=asked.acting_for
        )

    def is_current(self, account: Account) -> bool:
        """False once sessions of the account must end: suspended, removed, another password (A15, A16).

        Raises:
            TemporaryFailure: the directory cannot be read.
        """
        now = self._directory.account_by_id(account.id)
        return now is not None and now.enabled and now.login_revision == account.login_revision

    def check(self, account: Account) -> Reply | None:
        """Refuses MAIL and RCPT of a session that must end."""
        try:
            return None if self.is_current(account) else _OVER
        except TemporaryFailure as failure:
            _log.error("looking at an account: %s", failure.why)
            return Reply(451, "3.0", "Your account cannot be looked up now; try again later", "directory")

    async def _check(self, attempt: _Attempt) -> Entered | _Wrong | LoginRefused:
        if not attempt.acting_for:
            found = self._directory.logins.remembered(
                attempt.login, attempt.password, protocol=attempt.protocol
            )
            if found is not None:
                return found
        if self._is_unproven(attempt) and self._asleep.get(_pair(attempt), 0) >= MAX_ASLEEP:
            return _TOO_FAST
        answer = await self._judged(attempt, has_waited=False)
        if isinstance(answer, _GuessedAt):
            await asyncio.sleep(self._options.account_delay_s)
            answer = await self._judged(attempt, has_waited=True)
            assert not isinstance(answer, _GuessedAt)
        return answer

    async def _judged(
        self, attempt: _Attempt, *, has_waited: bool
    ) -> Entered | _Wrong | _GuessedAt | LoginRefused:
        # Mail programs open several connections at once, each with the same login.
        same = (attempt.login, attempt.client.ip, attempt.protocol, attempt.password, attempt.acting_for)
        key = (same, has_waited)
        judging = self._judging.get(key)
        if judging is None:
            if self._is_unproven(attempt) and len(self._judging) >= self._max_waiting:
                return _TOO_MANY
            judging = asyncio.get_running_loop().run_in_executor(
                self._threads, self._judge, attempt, has_waited
            )
            self._judging[key] = judging
            judging.add_done_callback(lambda _: self._judging.pop(key))
        # Whoever hangs up does not take the others' answer away.
        return await asyncio.shield(judging)

    def _is_unproven(self, attempt: _Attempt) -> bool:
        """True for a password.  A proof was looked at by SCRAM: what is not counted is a free guess."""
        return isinstance(attempt.password, str)

    def _judge(self, attempt: _Attempt, has_waited: bool) -> Entered | _Wrong | _GuessedAt:
        """In a thread: up to one hash, and a row for a failure."""
        if not has_waited and self._options.enabled and self._must_wait(attempt):
            return _GuessedAt()
        found = self._directory.logins.check(attempt.login, attempt.password, protocol=attempt.protocol)
        if isinstance(found, Entered):
            if not attempt.acting_for:
                return found
            found = Denied(f"may not act for {attempt.acting_for}", "login_for_other")  # A5
        return _Wrong(found, self._count(attempt))

    def _must_wait(self, attempt: _Attempt) -> bool:
        account = self._directory.find_account(attempt.login)
        account_id = account.id if account else None
        try:
            standing = self._fuse.call(
                lambda: self._records.standing(attempt.login, account_id, attempt.client.ip, now=attempt.now)
            )
        except TemporaryFailure as failure:
            self._say(failure)
            return False
        if standing.is_guessed_at:
            self._alarm(attempt.login, attempt.now)
        return standing.is_guessed_at and not standing.is_known

    def _count(self, attempt: _Attempt) -> Failed:
        if not self._is_counting:
            return Failed(0)
        try:
            return self._fuse.call(
                lambda: self._records.failed(
                    attempt.login,
                    attempt.client.ip,
                    password=self._octets(attempt.password),
                    now=attempt.now,
                )
            )
        except TemporaryFailure as failure:
            self._say(failure)
            return Failed(0)

    def _octets(self, password: str | Proof) -> bytes:
        """What tells this wrong password from others; a failed proof never comes twice."""
        if isinstance(password, str):
            return password.encode("utf-8", "surrogatepass")
        return password.mark or self._context.random_bytes(8)

    async def _refuse(self, attempt: _Attempt, wrong: _Wrong) -> LoginRefused:
        self._log_failed(attempt, wrong.denied.why, wrong.denied.check)
        if wrong.failed.ban is not None:
            self._log_ban(wrong.failed.ban, attempt.client.ip)
        failed = wrong.failed
        delay_s = self._curve[min(failed.failures, len(self._curve)) - 1] if failed.failures else 0.0
        if failed.is_widespread:
            delay_s = max(delay_s, self._curve[-1])
        if delay_s:
            pair = _pair(attempt)
            self._asleep[pair] = self._asleep.get(pair, 0) + 1
            try:
                await asyncio.sleep(delay_s)
            finally:
                self._asleep[pair] -= 1
                if not self._asleep[pair]:
                    del self._asleep[pair]
        return _WRONG

    # -- what is written down -----------------------------------------------------------

    def _note(self, attempt: _Attempt, found: Entered) -> None:
        """The login went well."""
        app = found.app_password
        self._context.maillog.login(
            protocol=attempt.protocol,
            peer=attempt.client.ip,
            account=str(found.account.address),
            ok=True,
            mechanism=attempt.mechanism,
            app_password=app.name if app else "",
            tls=attempt.client.tls,
            why="" if attempt.client.tls else "without TLS",
        )
        app_id = app.id if app else None
        if self._records.is_due(found.account.id, attempt.client.ip, app_password=app_id, now=attempt.now):
            asyncio.get_running_loop().run_in_executor(self._threads, self._write_down, attempt, found)

    def _write_down(self, attempt: _Attempt, found: Entered) -> None:
        app = found.app_password
        try:
            self._fuse.call(
                lambda: self._records.succeeded(
                    found.account.id,
                    attempt.client.ip,
                    app_password=app.id if app else None,
                    protocol=attempt.protocol,
                    now=attempt.now,
                )
            )
        except TemporaryFailure as failure:
            self._say(failure)

    def _log_failed(self, attempt: _Attempt, why: str, check: str) -> None:
        self._context.maillog.login(
            protocol=attempt.protocol,
            peer=attempt.client.ip,
            account=attempt.login,
            ok=False,
            mechanism=attempt.mechanism,
            tls=attempt.client.tls,
            check=check,
            why=why,
        )

    def _log_ban(self, ban: Ban, ip: str) -> None:
        seconds = round(ban.until - ban.since)
        _log.warning("%s may not log in for %d s: %s", ban.network, seconds, ban.why)
        self._context.maillog.write(
            "banned",
            refused_to=[ip],
            peer=ip,
            network=ban.network,
            seconds=seconds,
            check="banned",
            why=ban.why,
        )

    def _alarm(self, login: str, now: float) -> None:
        """Says once an hour that an account is guessed at from everywhere (A9)."""
        key = login_key(login)
        if 0 <= now - self._alarms.get(key, -_ALARM_S) < _ALARM_S:
            return
        if len(self._alarms) >= _ALARMS:
            self._alarms.clear()
        self._alarms[key] = now
        options = self._options
        why = (
            f"more than {options.account_failures} wrong passwords in an hour"
            f" from more than {options.account_networks} networks"
        )
        _log.warning("the password of %r is guessed at: %s", login, why)
        self._context.maillog.write(
            "guessed_at",
            received_by=[login],
            refused_to=[login],
            account=login,
            check="guessed_at",
            why=why,
        )

    def _say(self, failure: TemporaryFailure) -> None:
        now = time.monotonic()
        if now - self._said_at >= _SAY_S:
            self._said_at = now
            _log.error("logins go on without delays and bans: %s", failure.why)

    # -- state --------------------------------------------------------------------------

    def _find_ban(self, ip: str) -> Ban | None:
        if not self._options.enabled:
            return None
        try:
            return self._bans.find(ip, now=self._context.now())
        except TemporaryFailure as failure:
            self._say(failure)
            return None

    def _key(self) -> bytes:
        """For the marks of wrong passwords; the same in all processes, if it can be."""
        try:
            return self._directory.derived_key("marks of wrong passwords")
        except TemporaryFailure as failure:
            _log.error("wrong passwords are told apart in this process only: %s", failure.why)
            return self._context.random_bytes(32)


def login_refused(refused: LoginRefused) -> Reply:
    """The same in the words of SMTP."""
    if refused.hang_up:
        return Reply(421, "7.0", refused.text, "banned")
    return _SMTP.get(refused, _SMTP[_NOT_NOW])


def _pair(attempt: _Attempt) -> tuple[str, str]:
    return login_key(attempt.login), ban_network(attempt.client.ip)


def _ban_text(ban: Ban) -> str:
    until = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(ban.until))
    if ban.is_by_operator:
        return f"Logins from your network are not taken until {until}"
    return f"Logins from your network are not taken until {until}: there were too many wrong passwords"
