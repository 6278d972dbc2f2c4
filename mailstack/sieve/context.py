"""What a run works on; every part may be replaced while a script runs.

Nothing here knows a clock, a disk or a network: whoever embeds the engine passes them in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Protocol

from mailstack.sieve.actions import Action, FileInto, Keep, Redirect
from mailstack.sieve.control import ControlFlow, LimitReached, SieveError
from mailstack.sieve.diagnostic import Diagnostic
from mailstack.sieve.limits import Limits, configured
from mailstack.sieve.match import OCTETS_PER_STEP, Comparator
from mailstack.sieve.message import Message
from mailstack.sieve.parts import MimePart
from mailstack.sieve.program import Args, Block, Call
from mailstack.sieve.result import Result
from mailstack.sieve.variables import Variables, VariableStore

#: What a question to the embedder costs: there may be a database behind it.
STEPS_PER_LOOK_UP = 50
#: Steps between two looks at the CPU clock.
_STEPS_PER_LOOK = 200
#: Long values whose folds are kept.
_MAX_FOLDS = 32


@dataclass(slots=True)
class Envelope:
    """The envelope of the message.

    Attributes:
        from_: MAIL FROM; "" is the null sender, None: not known.
        to: the RCPT TO that led here; None: not known.
        orig_to: the address first written to, before aliases; None: as `to`.
        auth: who authenticated the sending; None: nobody.
        notify, orcpt, ret, envid: parameters of RFC 3461; None: not given.
    """

    from_: str | None = None
    to: str | None = None
    orig_to: str | None = None
    auth: str | None = None
    notify: str | None = None
    orcpt: str | None = None
    ret: str | None = None
    envid: str | None = None


class Storage(Protocol):
    """Where scripts are, for `include`."""

    def get_script(self, name: str, location: str) -> bytes | None:
        """Source of a script; `location` is "personal" or "global"; None: there is none."""
        ...


class Mailboxes(Protocol):
    """The owner's mailboxes, for tests such as `mailboxexists`."""

    def exists(self, name: str) -> bool:
        """True when messages can be stored in it."""
        ...

    def create(self, name: str) -> bool:
        """Makes it; True when it is there then."""
        ...

    def special_use(self, name: str) -> Sequence[str]:
        """RFC 6154 attributes; of all mailboxes for ""."""
        ...

    def get_metadata(self, name: str, entry: str) -> str | None:
        """An annotation; of the server for the name ""."""
        ...


class Duplicates(Protocol):
    """Which ids have been seen before, for `duplicate` and loop control."""

    def seen(self, id_: str, ttl_s: int) -> bool:
        """True when the id was marked within the last `ttl_s` seconds."""
        ...

    def mark(self, id_: str, ttl_s: int) -> None:
        """Remembers the id once the run has ended well."""
        ...


class ExternalLists(Protocol):
    """Address books and the like (RFC 6134)."""

    def lookup(self, list_: str, value: str) -> bool:
        """True when the value is on the list; `list_` is a URI, its short form written out.

        Two more methods may be there: `knows(list_) -> bool` for `valid_ext_list`, and
        `members(list_) -> Iterable[str] | None` for `redirect :list`.
        """
        ...


class Context:
    """One run's surroundings; commands get it as `ctx` and may hang their own things on it.

    Attributes:
        now: Unix seconds; stands still during a run.
        cpu_clock: CPU seconds; None: only steps are counted.
        environment: domain, host, location, phase, name, version, remote-host, remote-ip.
        complaints: mistakes that did not end the script.
        debug_log: lines a script or command wrote for its author.
        steps: executed so far.
        part: the MIME part a `foreverypart` is at; None outside of one.
        globals: variables shared by included scripts (RFC 6609).
        included: scripts `include` has run, by location and name.
        duplicate_ids: what `duplicate` has answered in this run.
        enclosing: messages of which `message` is a part at the moment, the whole one first.
        loops: `foreverypart` commands under way, one inside the other.
        spam, virus: how sure the filter is, 0 to 1; None: nobody has looked.
        zone: gives the offset of the local time zone for Unix seconds, in seconds east of UTC.
    """

    def __init__(
        self,
        message: Message | None = None,
        envelope: Envelope | None = None,
        *,
        variables: VariableStore | None = None,
        settings: Mapping[str, object] | None = None,
        storage: Storage | None = None,
        mailbox: Mailboxes | None = None,
        now: float = 0.0,
        cpu_clock: Callable[[], float] | None = None,
        environment: Mapping[str, str] | None = None,
        duplicates: Duplicates | None = None,
        ext_lists: ExternalLists | None = None,
        result: Result | None = None,
        limits: Limits | None = None,
        zone: Callable[[float], int] | None = None,
    ) -> None:
        self.limits = Limits() if limits is None else limits
        self._settings: Mapping[str, object] = MappingProxyType({})
        self.message = Message.from_bytes(b"") if message is None else message
        self.envelope = Envelope() if envelope is None else envelope
        self.variables: VariableStore = Variables(limits=self.limits) if variables is None else variables
        self.globals: VariableStore = Variables(limits=self.limits)
        if settings is not None:
            self.settings = settings
        self.storage = storage
        self.mailbox = mailbox
        self.now = now
        self.cpu_clock = cpu_clock
        self.environment: Mapping[str, str] = MappingProxyType({}) if environment is None else environment
        self.duplicates = duplicates
        self.ext_lists = ext_lists
        self.result = Result() if result is None else result
        self.zone: Callable[[float], int] = (lambda at: 0) if zone is None else zone
        self.part: MimePart | None = None
        self.enclosing: list[Message] = []
        self.loops = 0
        self.spam: float | None = None
        self.virus: float | None = None
        self.complaints: list[Diagnostic] = []
        self.debug_log: list[str] = []
        self.included: set[str] = set()
        self.duplicate_ids: dict[str, bool] = {}
        self.steps = 0
        self.runs = 0
        self._look_at = 0
        self._at: Call | None = None
        self._folds: dict[tuple[str, str], str] = {}
        self._cpu_end: float | None = None

    @property
    def flags(self) -> list[str]:
        """The internal variable of `imap4flags`; kept in the result."""
        return self.result.flags or []

    @flags.setter
    def flags(self, value: list[str]) -> None:
        self.result.flags = value

    @property
    def current_flags(self) -> tuple[str, ...] | None:
        """What an action that stores now sets (RFC 5232 section 5); None where no script sets flags."""
        return None if self.result.flags is None else tuple(self.result.flags)

    # -- settings and limits ---------------------------------------------------

    @property
    def settings(self) -> Mapping[str, object]:
        """What an operator set; a reload is a new mapping, and its limits count at once."""
        return self._settings

    @settings.setter
    def settings(self, value: Mapping[str, object]) -> None:
        self._settings = value
        self.limits = configured(self.limits, value)
        for store in (self.variables, self.globals):
            if isinstance(store, Variables):
                store.limits = self.limits

    @property
    def max_actions(self) -> int:
        """`limits.max_actions`; setting it replaces the limits."""
        return self.limits.max_actions

    @max_actions.setter
    def max_actions(self, value: int) -> None:
        self.limits = replace(self.limits, max_actions=value)

    @property
    def max_redirects(self) -> int:
        """`limits.max_redirects`; setting it replaces the limits."""
        return self.limits.max_redirects

    @max_redirects.setter
    def max_redirects(self, value: int) -> None:
        self.limits = replace(self.limits, max_redirects=value)

    @property
    def cpu_time(self) -> float:
        """`limits.cpu_time` in seconds; setting it replaces the limits and starts afresh."""
        return self.limits.cpu_time

    @cpu_time.setter
    def cpu_time(self, value: float) -> None:
        self.limits = replace(self.limits, cpu_time=value)
        self.start_budget()

    # -- what commands call ---------------------------------------------------

    def run_block(self, block: Block | None) -> None:
        """Runs the commands of a block; None does nothing.

        Raises:
            ControlFlow: a command steered away.
            SieveError: with the place it happened.
        """
        if block is None:
            return
        taken: object = None
        for call in block.calls:
            if call.chained and taken is not False:
                continue
            self.steps += call.cost
            if self.steps >= self._look_at:
                self._look(call)
            self._at = call
            try:
                taken = call.run(self, Args(self, call), call.block)
            except ControlFlow:
                raise
            except SieveError as error:
                located(error, call)
                raise
            except Exception as error:  # whatever an embedder's command may raise
                raise located(error, call) from error

    def eval_test(self, test: Call) -> bool:
        """The truth of a test.

        Raises: as `run_block`.
        """
        self.steps += test.cost
        if self.steps >= self._look_at:
            self._look(test)
        try:
            return bool(test.run(self, Args(self, test), test.block))
        except ControlFlow:
            raise
        except SieveError as error:
            located(error, test)
            raise
        except Exception as error:  # whatever an embedder's test may raise
            raise located(error, test) from error

    def add_action(self, action: Action) -> None:
        """Adds to the result.

        Raises:
            SieveError: conflict with another action, or a limit.
        """
        message = self.enclosing[0] if self.enclosing else self.message
        if isinstance(action, Keep | FileInto):
            action = replace(action, moment=message.snapshot())
        elif isinstance(action, Redirect):
            # RFC 5703 section 6: what is redirected has not been put into another message.
            action = replace(action, moment=message.snapshot(enclosed=False))
        self.result.add(action, self.limits)

    def charge(self, steps: int) -> None:
        """Counts work beyond the call itself, such as comparing long texts.

        Raises:
            LimitReached: the run has cost too much.
        """
        self.steps += steps
        if self.steps >= self._look_at:
            self._look(None)

    def folded(self, value: str, comparator: Comparator) -> str:
        """A long value as a comparator sees it; many rules ask for the same ones."""
        key = (comparator.name, value)
        found = self._folds.get(key)
        if found is None:
            if len(self._folds) >= _MAX_FOLDS:
                self._folds.clear()
            found = self._folds[key] = comparator.folded(value)
        return found

    def charge_edit(self, octets: int = 0, *, rewrites: int = 0) -> None:
        """Counts an edit of the message before it is made.

        Args:
            octets: what it adds.
            rewrites: how often it makes the whole message anew.

        Raises:
            LimitReached: edits have added too much, or the run has cost too much.
        """
        message, limits = self.message, self.limits
        if message.added_octets + octets > limits.max_added_octets:
            raise LimitReached(f"edits add more than {limits.max_added_octets} octets to the message")
        if message.rewrites + rewrites > limits.max_rewrites:
            raise LimitReached(f"the message is made anew more than {limits.max_rewrites} times")
        # The next look at an edited message puts it together again.
        self.charge(1 + octets // OCTETS_PER_STEP + len(message.original) // (16 * OCTETS_PER_STEP))

    def complain(self, message: str) -> None:
        """Notes a mistake the script goes on after, such as a pattern that cannot be read."""
        if len(self.complaints) >= self.limits.max_errors:
            return
        pos, path = (self._at.pos, self._at.path) if self._at is not None else ((1, 1), None)
        self.complaints.append(Diagnostic(*pos, message, path))

    # -- budget ---------------------------------------------------------------

    def start_budget(self) -> None:
        """Begins counting CPU time and steps anew."""
        self.steps = 0
        self._cpu_end = None if self.cpu_clock is None else self.cpu_clock() + self.limits.cpu_time
        self._look_at = min(_STEPS_PER_LOOK, self.limits.max_steps + 1)

    def _look(self, call: Call | None) -> None:
        try:
            if self.steps > self.limits.max_steps:
                raise LimitReached(f"the script takes more than {self.limits.max_steps} steps")
            if self._is_out_of_time():
                raise LimitReached(f"the script takes more than {self.limits.cpu_time} s of CPU time")
        except LimitReached as error:
            if call is not None:
                raise located(error, call) from None
            raise
        self._look_at = min(self.steps + _STEPS_PER_LOOK, self.limits.max_steps + 1)

    def _is_out_of_time(self) -> bool:
        if self.cpu_clock is None:
            return False
        now = self.cpu_clock()
        if self._cpu_end is None:
            self._cpu_end = now + self.limits.cpu_time
        return now > self._cpu_end


def located(error: Exception, call: Call) -> SieveError:
    """The error with the place of the innermost command it came from."""
    failure = error if isinstance(error, SieveError) else SieveError(_words(error, call))
    if failure.diagnostic is None:
        failure.diagnostic = Diagnostic(*call.pos, failure.message, call.path)
    return failure


def _words(error: Exception, call: Call) -> str:
    text = str(error)
    kind = type(error).__name__
    return f"the {call.name} command failed: {kind}{': ' + text if text else ''}"
