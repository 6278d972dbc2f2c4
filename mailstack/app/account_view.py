"""What the filter worker looks up about an account: its scripts, and what they may ask.

Read only.  What cannot be read is not known, and the mail flows.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TypeVar

from mailstack.directory import Directory, autoresponder, zones
from mailstack.filters.autoresponder import NAME, silence, source
from mailstack.filters.rule_text import script
from mailstack.filters.scripts import RULES, RULES_FOR_SPAM, MailKind, Step
from mailstack.filters.sieve_options import SieveOptions
from mailstack.filters.surroundings import Heard
from mailstack.mailbox.folder_facts import FolderFacts
from mailstack.model.address import Address, AddressError
from mailstack.model.autoresponse import Autoresponse
from mailstack.model.directory import Account
from mailstack.model.errors import TemporaryFailure
from mailstack.sieve import NORMAL
from mailstack.state import sender_history
from mailstack.state.memory import Seen
from mailstack.state.sent import Sent

#: What a script is told to be in, and its version.
Begin = Callable[[int, str, bytes], None]

T = TypeVar("T")

_SAFE_NAME = re.compile(r"[^/\0.][^/\0]*\Z")
_log = logging.getLogger(__name__)


class OperatorScripts:
    """The operator's own script, and those everybody may include; read when they changed."""

    def __init__(self, options: SieveOptions) -> None:
        self._options = options
        self._known: dict[Path, tuple[tuple[int, int], bytes | None]] = {}

    def before(self) -> bytes | None:
        """The script that runs before anything else; None: there is none."""
        return self._read(Path(self._options.before_script)) if self._options.before_script else None

    def shared(self, name: str) -> bytes | None:
        """A script for `include :global`."""
        folder = self._options.global_scripts
        if not folder or _SAFE_NAME.match(name) is None:
            return None
        return self._read(Path(folder) / f"{name}.sieve")

    def _read(self, path: Path) -> bytes | None:
        try:
            status = path.stat()
            mark = (status.st_mtime_ns, status.st_size)
            known = self._known.get(path)
            if known is None or known[0] != mark:
                with path.open("rb") as file:
                    known = self._known[path] = (mark, file.read(NORMAL.max_script_octets + 1))
            return known[1]
        except FileNotFoundError:
            self._known.pop(path, None)
            if path == Path(self._options.before_script):
                _log.error("sieve.before_script: there is no %s: mail is filed without it", path)
        except OSError as error:
            _log.error("%s: %s", path, error.strerror)
        return None


@dataclass(frozen=True, slots=True)
class Own:
    """What runs for an account of its own making.

    Attributes:
        answer: of the autoresponder's step; None: it says nothing.
    """

    steps: tuple[Step, ...]
    answer: Autoresponse | None


def find_own(directory: Directory, account: Account) -> Own:
    """Its rules, script and autoresponder, in the order in which they run.

    Raises:
        TemporaryFailure: the directory cannot be read.
    """
    rules = directory.rules(account.id)
    # Failures are counted by name: that of one text is not the other's.
    texts: list[tuple[str, bytes, MailKind]] = [
        (RULES, script(rules), "ham"),
        (RULES_FOR_SPAM, script(rules, spam=True), "spam"),
    ]
    steps = [Step(name, source, "rules", mail) for name, source, mail in texts if source]
    own = directory.active_script(account.id)
    if own is not None:
        steps.append(Step(f"script {own.name}", own.source, "script"))
    answer = autoresponder.active(directory, account)
    if answer is not None:
        steps.append(Step(NAME, source(answer), "reply"))
    return Own(tuple(steps), answer)


class AccountView:
    """One account; made for one message."""

    def __init__(
        self,
        account: Account,
        directory: Directory,
        scripts: OperatorScripts,
        *,
        seen: Seen | None,
        mail: Path | None,
        time_zone: str,
        begin: Begin,
        sent: Sent | None = None,
        own: Own | None = None,
    ) -> None:
        """
        Args:
            seen: what scripts remember; None: nobody knows.
            sent: what was sent lately; None: nobody knows.
            mail: root of the account homes; None: folders are not known.
            time_zone: the server's.
            begin: is told which script runs.
            own: None: looked up when it is asked for.
        """
        self._account = account
        self._directory = directory
        self._scripts = scripts
        self._seen = seen
        self._sent = sent
        self._time_zone = time_zone
        self._begin = begin
        self._own = own
        self.name = account.name
        self.folders = None if mail is None else FolderFacts(mail, account.address)

    def steps(self) -> tuple[Step, ...]:
        """Everything that runs for it.

        Raises:
            TemporaryFailure: the directory cannot be read.
        """
        if self._own is None:
            self._own = find_own(self._directory, self._account)
        before = self._scripts.before()
        if before is None:
            return self._own.steps
        return (Step("before", before, "before", "all"), *self._own.steps)

    @property
    def addresses(self) -> Sequence[str]:
        """Its address and the aliases that point at it alone."""
        try:
            return self._directory.addresses_of(self._account.id)
        except TemporaryFailure as error:
            _log.error("addresses of %s: %s", self._account.address, error.why)
            return [str(self._account.address)]

    def is_own(self, address: str) -> bool:
        """True for its own addresses, in every way they are written; not for groups it is in."""
        return self._may(self._directory.is_own, address)

    def may_send_as(self, address: str) -> bool:
        """True for its own addresses and the identities granted to it."""
        return self._may(self._directory.may_send_as, address)

    def _may(self, question: Callable[[Account, Address], bool], address: str) -> bool:
        try:
            return question(self._account, Address.parse(address))
        except AddressError:
            return False
        except TemporaryFailure as error:
            _log.error("identities of %s: %s", self._account.address, error.why)
            return False

    def script(self, name: str, location: str) -> bytes | None:
        """A script for `include`."""
        if location == "global":
            return self._scripts.shared(name)
        try:
            found = self._directory.script(self._account.id, name)
        except TemporaryFailure as error:
            _log.error("scripts of %s: %s", self._account.address, error.why)
            return None
        return None if found is None else found.source

    def seen(self, id_: str, *, since: float) -> bool:
        """True when `duplicate` marked the id since then (V15: "no" when nobody can tell)."""
        return self._ask(
            lambda seen: seen.has(self._account.id, "duplicate", id_, since=since), default=False
        )

    def is_correspondent(self, address: str) -> bool:
        """True when the account has written to this address."""
        try:
            key = Address.parse(address).key
        except AddressError:
            return False
        return self._ask(lambda seen: seen.is_correspondent(self._account.id, key), default=False)

    def has_written(self, message_ids: Sequence[str]) -> bool:
        """True when the account sent one of these, or one in a thread they are in."""
        try:
            if self._sent is not None and any(map(self.is_own, self._sent.logins(message_ids))):
                return True
        except TemporaryFailure as error:
            _log.error("%s", error.why)
        if self.folders is None:
            return False
        found = self.folders.takes_part(message_ids)
        self.folders.close()
        return found

    def heard(self, sender: str) -> Heard:
        """Since when wanted, authenticated mail of an author comes to it, and to the server."""
        name = sender_history.name(sender)
        here, own = self._ask(lambda seen: seen.heard(self._account.id, name), default=(0, 0))
        return Heard(here, own)

    def cpu_s(self, *, since: float) -> float:
        """What its scripts used since then."""
        return self._ask(lambda seen: seen.spent(self._account.id, "cpu_s", since=since), default=0.0)

    def deaths(self, script: str, version: bytes) -> int:
        """How often the filter died in this version of a script."""
        return self._ask(lambda seen: seen.deaths(self._account.id, script, version), default=0)

    def begin(self, script: str, version: bytes) -> None:
        """Tells who watches."""
        self._begin(self._account.id, script, version)

    def offset_s(self, at: float) -> int:
        """Seconds east of UTC at some time."""
        try:
            offset = datetime.fromtimestamp(at, UTC).astimezone(self._zone()).utcoffset()
        except (OverflowError, ValueError, OSError):
            return 0
        return 0 if offset is None else int(offset.total_seconds())

    def silence(self, at: float, senders: Sequence[str]) -> str:
        """Why its autoresponder says nothing to any of them at some time; "" when it answers."""
        if self._own is None or self._own.answer is None:
            return ""
        return silence(self._own.answer, now=at, zone=self._zone(), senders=senders)

    def _zone(self) -> tzinfo:
        try:
            return zones.load(zones.name_of(self._directory, self._account, self._time_zone))
        except TemporaryFailure as error:
            _log.error("time zone of %s: %s", self._account.address, error.why)
            return UTC

    def _ask(self, question: Callable[[Seen], T], *, default: T) -> T:
        if self._seen is None:
            return default
        try:
            return question(self._seen)
        except TemporaryFailure as error:
            _log.error("%s", error.why)
            return default
