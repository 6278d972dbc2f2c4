"""The whole recipient list at the end of DATA: aliases, groups, redirections.

The result names every account once and every outside address once, however many
ways lead there.  Which account sent the message on to which is kept as edges, so
that the decision (delivery/decide.py) can see circles and suppressed forwards.
Bounded: section `[routing]`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from mailstack.model.address import Address, AddressError
from mailstack.model.directory import Account, DirectoryReader
from mailstack.model.envelope import Recipient
from mailstack.model.reply import Reply
from mailstack.routing.options import RoutingOptions
from mailstack.routing.route import Expand, Facts, Local, Refuse, Remote, RemoteKind, Route, route

_PAUSED = Reply(
    450, "2.1", "{} cannot be sent on at the moment: the address behind it refuses mail", "forward_paused"
)
_PENDING = Reply(
    550, "7.1", "{} leads to an address that has not agreed yet to take its mail", "forward_pending"
)


@dataclass(frozen=True, slots=True)
class LocalTarget:
    """One account that may get the message.

    Attributes:
        number: 1-based over all local targets; part of file names, so deterministic.
        recipient: the RCPT that led here first.
        original: the address written to, which the catch-all or an alias may hide.
        is_addressed: written to by a RCPT (perhaps through an alias), not only
            reached through another account's redirection.
        via, rule: the only account whose rule leads here, and the address it redirects to; else 0, "".
    """

    number: int
    recipient: Recipient
    account: Account
    original: Address
    catch_all: bool = False
    is_addressed: bool = True
    via: int = 0
    rule: str = ""


@dataclass(frozen=True, slots=True)
class RemoteTarget:
    """One outside address, reached in one way.

    Attributes:
        owner: the local address that forwards to it; None for a submission or bounce.
        via: id of the account whose redirection or rule leads there; 0: none.
        is_probe: the target is paused, and this message tests whether it still refuses.
        by_rule: a rule of the account sends it there, not its redirection.
        rule: the address a rule of the account `via` redirects to, when that led here; else "".
    """

    recipient: Recipient
    address: Address
    kind: RemoteKind
    owner: Address | None = None
    via: int = 0
    is_probe: bool = False
    by_rule: bool = False
    rule: str = ""


@dataclass(frozen=True, slots=True)
class HeldBack:
    """A target outside that does not get the message; whose account it is keeps it.

    Attributes:
        reply: for the sender, when there is no account that could; does not name the target.
        why: for the owner.
    """

    remote: RemoteTarget
    reply: Reply
    why: str


@dataclass(frozen=True, slots=True)
class Lost:
    """Somebody behind a recipient whom the message does not reach, as the operator may know it.

    Attributes:
        recipient: the RCPT that led there.
        check: the log's word for why.
        why: names the address behind it, which the sender is not told.
    """

    recipient: Recipient
    check: str
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Where the message may go.

    Attributes:
        edges: (account id, account id): the first sends it on to the second.
        refused: targets that cannot be reached, by the RCPT that led there.
        reached: numbers of the RCPTs that led to at least one target.
        held_back: what would leave, were its target not paused or still to be confirmed.
        lost: what stands behind `refused`, for the log.
    """

    locals: tuple[LocalTarget, ...]
    remotes: tuple[RemoteTarget, ...]
    edges: frozenset[tuple[int, int]] = frozenset()
    refused: tuple[tuple[Recipient, Reply], ...] = ()
    reached: frozenset[int] = frozenset()
    held_back: tuple[HeldBack, ...] = ()
    lost: tuple[Lost, ...] = ()


@dataclass(frozen=True, slots=True)
class _Step:
    recipient: Recipient
    address: Address
    original: Address
    depth: int
    owner: Address | None
    via: int
    by_rule: bool = False
    rule: str = ""


class Expansion:
    """Follows addresses until nothing new appears; can be continued with rules' redirects."""

    def __init__(self, directory: DirectoryReader, facts: Facts, options: RoutingOptions) -> None:
        self._directory = directory
        self._facts = facts
        self._options = options
        self._todo: deque[_Step] = deque()
        self._seen: dict[tuple[str, int], int] = {}
        self._followed: set[tuple[str, int]] = set()
        self._same: set[tuple[int, int]] = set()
        self._reached: set[int] = set()
        self._rcpts: dict[int, Recipient] = {}
        self._locals: dict[int, LocalTarget] = {}
        self._remotes: dict[tuple[str, int], RemoteTarget] = {}
        self._edges: set[tuple[int, int]] = set()
        self._refused: list[tuple[Recipient, Reply]] = []
        self._held_back: dict[tuple[str, int], HeldBack] = {}
        self._lost: list[Lost] = []

    def add(self, recipients: Sequence[Recipient]) -> Plan:
        """Follows the recipients of a transaction."""
        for recipient in recipients:
            self._rcpts[recipient.number] = recipient
            self._todo.append(_Step(recipient, recipient.address, recipient.address, 0, None, 0))
        return self._run()

    def redirect(self, target: LocalTarget, addresses: Iterable[str]) -> Plan:
        """Follows what the account's own rules redirect to."""
        self._targets(
            _Step(target.recipient, target.account.address, target.original, 0, None, 0),
            addresses,
            target.account.address,
            target.account.id,
            by_rule=True,
        )
        return self._run()

    def _run(self) -> Plan:
        while self._todo:
            self._step(self._todo.popleft())
        reached = self._all_reached()
        return Plan(
            tuple(self._locals.values()),
            tuple(self._remotes.values()),
            frozenset(self._edges),
            self._all_refused(reached),
            reached,
            tuple(self._held_back.values()),
            tuple(self._lost),
        )

    def _all_refused(self, reached: frozenset[int]) -> tuple[tuple[Recipient, Reply], ...]:
        # Of two RCPTs that join and lead to nobody each has its refusal, not only the first; and so has
        # one whose aliases only lead to each other.
        refused = list(self._refused)
        known = {recipient.number: reply for recipient, reply in reversed(refused)}
        earlier = dict(reversed(sorted(self._same)))
        for number, recipient in self._rcpts.items():
            if number not in reached and number not in known:
                text = f"{recipient.address} leads to nobody any more"
                nowhere = Reply(550, "1.1", text, "nowhere")
                known[number] = known.get(earlier.get(number, 0), nowhere)
                refused.append((recipient, known[number]))
        return tuple(refused)

    def _all_reached(self) -> frozenset[int]:
        # A RCPT whose way joins that of an earlier one reaches what that one reached.
        reached = set(self._reached)
        while more := {later for later, earlier in self._same if earlier in reached} - reached:
            reached |= more
        return frozenset(reached)

    def _step(self, step: _Step) -> None:
        number = step.recipient.number
        earlier = self._seen.setdefault((step.address.key, step.via), number)
        if earlier != number:
            self._same.add((number, earlier))
            return
        if (step.address.key, step.via) in self._followed:
            return
        self._followed.add((step.address.key, step.via))
        if len(self._seen) > self._options.max_expansion or step.depth > self._options.max_depth:
            text = f"{step.recipient.address} expands to too many addresses"
            self._refuse(step, Reply(550, "4.6", text, "expansion"))
            return
        facts = self._facts
        if step.depth > 0:
            facts = replace(facts, trusted=True, login=None)
        self._carry(step, route(step.address, self._directory, facts))

    def _carry(self, step: _Step, found: Route) -> None:
        match found:
            case Local():
                self._local(step, found)
            case Expand():
                self._expand(step, found)
            case Remote():
                self._remote(step, found)
            case Refuse():
                reply, why = found.reply, found.reply.text
                if step.depth > 0:
                    # Whom an alias hides is nobody's business outside.
                    reply = replace(reply, text=f"{step.recipient.address} cannot be delivered")
                self._refuse(step, replace(reply, check=found.check), why)
            case _:
                assert_never(found)

    def _remote(self, step: _Step, found: Remote) -> None:
        kind: RemoteKind = "forward" if step.owner is not None else found.kind
        remote = RemoteTarget(step.recipient, found.address, kind, step.owner, step.via)
        if step.owner is not None:
            standing = self._facts.standing(step.owner, found.address)
            if standing == "paused":
                self._hold_back(remote, _PAUSED, f"{found.address} keeps refusing, so it is paused")
                return
            remote = replace(remote, is_probe=standing == "probe", by_rule=step.by_rule, rule=step.rule)
        self._reached.add(step.recipient.number)
        self._remotes.setdefault((found.address.key, step.via), remote)

    def _hold_back(self, remote: RemoteTarget, reply: Reply, why: str) -> None:
        reply = replace(reply, text=reply.text.format(remote.recipient.address))
        self._held_back.setdefault((remote.address.key, remote.via), HeldBack(remote, reply, why))
        if not remote.via:
            self._refused.append((remote.recipient, reply))
            self._lost.append(Lost(remote.recipient, reply.check, why))

    def _local(self, step: _Step, found: Local) -> None:
        account = found.account
        self._reached.add(step.recipient.number)
        if step.via:
            self._edges.add((step.via, account.id))
        known = self._locals.get(account.id)
        if known is not None:
            if not step.via and not known.is_addressed:
                self._locals[account.id] = replace(known, is_addressed=True, via=0, rule="")
            elif step.via != known.via and known.rule:
                # Two send it there: it comes as it was, not as the first one's rule changed it.
                self._locals[account.id] = replace(known, via=0, rule="")
            return
        self._locals[account.id] = LocalTarget(
            len(self._locals) + 1,
            step.recipient,
            account,
            step.original,
            found.catch_all,
            is_addressed=not step.via,
            via=step.via,
            rule=step.rule,
        )
        if account.redirection is not None:
            forward = account.redirection
            self._targets(step, forward.targets, account.address, account.id, pending=forward.pending)

    def _expand(self, step: _Step, found: Expand) -> None:
        if len(found.alias.targets) > self._options.max_members:
            self._refuse(step, Reply(550, "4.6", f"{step.original} has too many members", "expansion"))
            return
        alias = found.alias
        self._targets(step, alias.targets, alias.address, step.via, pending=alias.pending, rule=step.rule)

    def _targets(
        self,
        step: _Step,
        targets: Iterable[str],
        owner: Address,
        via: int,
        *,
        pending: Collection[str] = (),
        by_rule: bool = False,
        rule: str = "",
    ) -> None:
        for text in targets:
            try:
                address = Address.parse(text)
            except AddressError as error:
                text = f"{owner} points at an address that is not valid: {error}"
                self._refuse(step, Reply(550, "1.3", text, "bad_target"))
                continue
            if address.key in pending:
                remote = RemoteTarget(step.recipient, address, "forward", owner, via)
                self._hold_back(remote, _PENDING, f"{address} has not said yet that it wants the mail")
                continue
            depth = step.depth + 1
            leads = text if by_rule else rule
            self._todo.append(
                _Step(step.recipient, address, step.original, depth, owner, via, by_rule, leads)
            )

    def _refuse(self, step: _Step, reply: Reply, why: str = "") -> None:
        """`why`: for the log, where the reply does not tell it."""
        self._refused.append((step.recipient, reply))
        self._lost.append(Lost(step.recipient, reply.check, why or reply.text))
