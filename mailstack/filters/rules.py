"""The scripts of an account, run one after the other, and what they want as actions of the verdict.

The engine is `mailstack.sieve`; nothing it raises leaves this file, and a script that
fails keeps the mail.  Order: filters/scripts.py.

Standards: RFC 5228 section 2.10.2 (implicit keep); product page, section 2.8.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import msgspec

from mailstack import sieve
from mailstack.filters import wishes
from mailstack.filters.case import Case
from mailstack.filters.compiled import CompiledScripts, version_of
from mailstack.filters.edits import View, edited
from mailstack.filters.rule_text import CLASS_ITEM, rule_at
from mailstack.filters.scripts import Step, steps_for
from mailstack.filters.senders import person
from mailstack.filters.sieve_options import SieveOptions, limits_of
from mailstack.model.verdict import AccountAction, Edited, ScriptFailed

#: What the owner sees when a script does not compile or run.
MAX_ERROR = 300
#: CPU seconds below which a message's scripts are not counted, because counting costs as much.
MIN_COUNTED_CPU_S = 0.01
_HOUR_S = 3_600.0
_encode = msgspec.msgpack.Encoder().encode
#: Fields of ours that no script changes: they are written anew on every stored copy.
_OURS = (
    "x-mailstack-verdict x-mailstack-note x-mailstack-loop x-mailstack-virus"
    " x-spam-flag x-spam-score x-spam-status"
)


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What scripts want.

    Attributes:
        actions: without the implicit keep.
        implicit_keep: the message also goes where the filter says.
        flags, edited: of the implicit keep.
        error: a compile-time or run-time error in words; "" when fine.
        failed: the script it happened in, when it is the account's own.
        notes: what each step decided, what of it cannot be, and why, in words.
        marks: ids to remember, and for how many seconds.
        cpu_s: what it cost.
    """

    actions: tuple[AccountAction, ...] = ()
    implicit_keep: bool = True
    flags: tuple[str, ...] = ()
    edited: Edited | None = None
    error: str = ""
    failed: ScriptFailed | None = None
    notes: tuple[str, ...] = ()
    marks: tuple[tuple[str, float], ...] = ()
    cpu_s: float = 0.0


def settings_of(options: SieveOptions) -> Mapping[str, object]:
    """The engine's settings, as the operator wants them."""
    wanted = {setting.name: setting.value for setting in options.setting}
    protected = f"{wanted.get('sieve_editheader_protected', '')} {_OURS}".strip()
    return MappingProxyType(wanted | {"sieve_editheader_protected": protected})


class Rules:
    """Runs scripts; compiled ones are kept."""

    def __init__(
        self,
        *,
        cpu_clock: Callable[[], float] | None = None,
        hostname: str = "",
        options: SieveOptions | None = None,
    ) -> None:
        self._options = options or SieveOptions()
        self._settings = settings_of(self._options)
        self._compiled = CompiledScripts(sieve.Registry.standard(), self._settings)
        self._cpu_clock = cpu_clock
        self._hostname = hostname

    def run(self, steps: Sequence[Step], view: Callable[[], View], case: Case) -> RuleResult:
        """Runs an account's scripts over one message.

        Args:
            view: gives the message; called only when there is something to run.
        """
        wanted = steps_for(steps, is_spam=case.is_spam)
        if not wanted:
            return RuleResult()
        around, now = case.around, case.request.received_at
        run = _Run(self._compiled, self._options, self._context(view(), case), view(), case)
        if around.cpu_s(since=now - _HOUR_S) >= (most := self._options.cpu_s_per_hour):
            wanted = [step for step in wanted if step.kind == "before"]
            run.errors.append(f"not run: its scripts used {most:g} s of CPU time within the hour")
        begun = self._cpu_clock() if self._cpu_clock is not None else 0.0
        try:
            run.all(wanted)
            answered = run.result(self._hostname)
        except MemoryError:
            # Else one account's script would leave everybody's copy of the message unfiltered.
            answered = run.too_much()
        if around.folders is not None:
            # A message to a hundred accounts must not hold a hundred databases.
            around.folders.close()
        spent = self._cpu_clock() - begun if self._cpu_clock is not None else 0.0
        return replace(answered, cpu_s=spent if spent >= MIN_COUNTED_CPU_S else 0.0)

    def _context(self, view: View, case: Case) -> sieve.Context:
        request, recipient = case.request, case.recipient
        context = sieve.Context(
            sieve.Message.from_bytes(view.octets),
            sieve.Envelope(
                request.sender,
                recipient.original or recipient.address,
                recipient.original or None,
                auth=request.login or None,
                notify=recipient.notify or None,
                orcpt=recipient.orcpt or None,
                ret=request.ret or None,
                envid=request.envid or None,
            ),
            settings={**self._settings, "sieve_user_email": recipient.address},
            mailbox=case.around.folders,
            now=request.received_at,
            cpu_clock=self._cpu_clock,
            environment=self._environment(case),
            ext_lists=wishes.Lists(case),
            limits=limits_of(case.plan),
            zone=case.around.offset_s,
        )
        context.spam = case.spam
        context.virus = case.virus
        if case.flags is not None:
            context.flags = list(case.flags)
        return context

    def _environment(self, case: Case) -> dict[str, str]:
        return {
            "domain": case.recipient.address.rpartition("@")[2],
            "host": self._hostname,
            "location": "MDA" if case.flags is None else "MS",
            "phase": "during" if case.flags is None else "post",
            "name": "mailstack",
            "remote-host": case.request.helo,
            "remote-ip": case.request.ip,
            CLASS_ITEM: case.klass,
        }


@dataclass(slots=True)
class _Run:
    """One account's scripts over one message."""

    compiled: CompiledScripts
    options: SieveOptions
    context: sieve.Context
    view: View
    case: Case
    marks: list[tuple[str, float]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    failed: ScriptFailed | None = None
    reply: sieve.Vacation | None = None
    ran: Step | None = None

    def all(self, steps: Sequence[Step]) -> None:
        """Runs them in their order; filters/scripts.py says what ends what."""
        is_over = is_silent = False
        for step in steps:
            if step.kind == "reply":
                if not is_silent:
                    self._reply(step)
            elif not is_over:
                known = list(self.context.result.actions)
                ok, stopped = self._step(step)
                self._tell(step, known, stopped=stopped)
                is_silent |= stopped and step.kind == "before"
                is_over = stopped or (not ok and step.kind != "before")
                if not ok and step.kind == "before":
                    # What is wrong with the operator's script is nobody's fault here.
                    self.context.result.failed = False

    def _tell(self, step: Step, known: Sequence[sieve.Action], *, stopped: bool) -> None:
        """For `sieve explain` and the log: what the step decided."""
        added = [wishes.in_words(one) for one in self.context.result.actions if one not in known]
        if stopped:
            added.append("stop")
        if added:
            self.notes.append(f"{step.name}: {', '.join(added)}")

    def _step(self, step: Step) -> tuple[bool, bool]:
        """Whether it ran to its end, and whether it wants nothing to run after it."""
        context, version = self.context, version_of(step.source)
        if self.ran is None or step.kind in ("rules", "script"):
            self.ran = step
        deaths = self.case.around.deaths(step.name, version)
        if deaths >= self.options.deaths:
            self._fail(step, f"not run: the filter died in it {deaths} times; change it to have it run again")
            context.result.failed = True
            return False, False
        # Before it is compiled: that can be what the filter dies of.
        self.case.around.begin(step.name, version)
        compiled = self.compiled.compile(step.source, context.limits, self.case.around.script)
        if compiled.script is None:
            context.result.failed = True
            self._fail(step, _words(step, compiled.errors[:1], "the script does not compile"))
            return False, False
        ids = wishes.Ids(self.case)
        context.duplicates, context.duplicate_ids = ids, {}
        context.variables = sieve.Variables(limits=context.limits)
        context.globals = sieve.Variables(limits=context.limits)
        context.included = set()
        outcome = sieve.run(compiled.script, context)
        if not outcome.ok:
            self._fail(step, _words(step, outcome.errors[-1:], "the script failed"))
            return False, False
        self.marks += ids.marked
        self.notes += [f"{step.name}: {_words(step, [one], '')}" for one in outcome.errors]
        return True, outcome.stopped

    def _reply(self, step: Step) -> None:
        """The autoresponder: whatever it decides, what becomes of the message stays as it is."""
        case = self.case
        why = wishes.why_no_reply(self.context.result) or case.around.silence(
            case.request.received_at, (person(case.request.sender).lower(), case.author)
        )
        if why:
            self.notes.append(f"{step.name}: no answer: {why}")
            return
        decided, self.context.result = self.context.result, sieve.Result()
        self._step(step)
        self._tell(step, (), stopped=False)
        self.reply = next((a for a in self.context.result.actions if isinstance(a, sieve.Vacation)), None)
        self.context.result = decided

    def _fail(self, step: Step, why: str) -> None:
        why = why[:MAX_ERROR]
        self.errors.append(f"{step.name}: {why}")
        self.notes.append(f"{step.name}: failed: {why}")
        if self.failed is None and step.kind != "before":
            self.failed = ScriptFailed(step.name, version_of(step.source), why)

    def result(self, hostname: str) -> RuleResult:
        """What came of all of them."""
        result, room = self.context.result, self.case.room_octets
        flags = () if result.failed else tuple(result.flags or ())
        at_home = edited(self.view, self.context.message, None)
        writer = wishes.Wishes(self.case, self.context, self.view, hostname)
        room -= len(_encode((self.marks, self.notes, flags, at_home)))
        for action in [*result.actions, *([self.reply] if self.reply is not None else [])]:
            writer.add(action)
            room -= len(_encode((writer.actions[-1:], writer.notes[-1:])))
            if room < 0:
                return self.too_much()
        return RuleResult(
            tuple(writer.actions),
            result.implicit_keep or writer.needs_keep,
            flags,
            at_home,
            "; ".join(self.errors)[:MAX_ERROR],
            self.failed,
            tuple([*self.notes, *writer.notes]),
            tuple(self.marks),
        )

    def too_much(self) -> RuleResult:
        """As if a script had failed: what they want is more than can be handed over."""
        self.notes.clear()
        assert self.ran is not None
        self._fail(self.ran, "the messages it changes or writes are too large together")
        return RuleResult(
            error="; ".join(self.errors)[:MAX_ERROR], failed=self.failed, notes=tuple(self.notes)
        )


def _words(step: Step, diagnostics: Sequence[sieve.Diagnostic], otherwise: str) -> str:
    if not diagnostics:
        return otherwise
    one = diagnostics[0]
    rule = rule_at(step.source, one.line) if step.kind == "rules" else ""
    if rule:  # who made it in a page has never seen the lines
        return f"rule {rule}: {one.message}"
    return f"{one.path + ', ' if one.path else ''}line {one.line}: {one.message}"
