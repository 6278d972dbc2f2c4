"""What is stored, forwarded, sent and refused: one pure decision for a whole message.

In: where the message may go (routing), what the filter says per account.  Out: what to
do.  The one rule above all others: no account's message ends nowhere.  When redirections
lead only in circles, or to targets that are refused, the account keeps it.

Source: product page, sections 2 ("One message, several recipients") and 3.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from mailstack.delivery.local import is_discarded, mails_of, redirects_of, reject_of, store_actions
from mailstack.model.envelope import Recipient
from mailstack.model.reply import Reply
from mailstack.model.verdict import AccountVerdict, FileInto, Keep, MessageVerdict, SendMail
from mailstack.routing.expand import LocalTarget, Plan, RemoteTarget

#: A "reject" gets this far only for the postmaster, who reads it here and nowhere else.
_NOT_SENT_ON = ("junk", "reject")

#: Copies each account keeps, by its id.
_Stored: TypeAlias = dict[int, tuple[Keep | FileInto, ...]]


@dataclass(frozen=True, slots=True)
class Store:
    """Copies for one account.  `note`: why, when it is not the rules' plain result."""

    target: LocalTarget
    actions: tuple[Keep | FileInto, ...]
    verdict: AccountVerdict
    note: str = ""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A recipient that refuses.  `target` is None for an alias without a mailbox."""

    recipient: Recipient
    reply: Reply
    target: LocalTarget | None = None
    verdict: AccountVerdict | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Everything that is to happen to one message."""

    stores: tuple[Store, ...]
    forwards: tuple[RemoteTarget, ...]
    mails: tuple[tuple[LocalTarget, SendMail], ...]
    rejections: tuple[Rejection, ...]
    discards: tuple[LocalTarget, ...]

    @property
    def leaving(self) -> frozenset[str]:
        """Keys of the outside addresses that get it: one copy leaves for each, whoever sends it there."""
        return frozenset(remote.address.key for remote in self.forwards)


def forward_spam(recipient: Recipient) -> Rejection:
    """An alias without a mailbox that leads outside: it refuses in the session."""
    text = f"{recipient.address} does not forward this: it looks like spam"
    return Rejection(recipient, Reply(550, "7.1", text, "forward_spam"))


def is_junk(verdict: MessageVerdict, account: AccountVerdict) -> bool:
    """Spam for this account, or failed DMARC under a policy: such mail is never sent on."""
    policy = verdict.authentication.dmarc.disposition in ("quarantine", "reject")
    return account.klass == "spam" or policy or verdict.action == "reject"


def implicit_verdict(target: LocalTarget, verdict: MessageVerdict | None = None) -> AccountVerdict:
    """What holds for an account the filter said nothing about: the implicit keep; Spam for spam."""
    said, filters = verdict or MessageVerdict(), target.account.filters
    home: Keep | FileInto = Keep(implicit=True)
    if said.virus.is_unwelcome or (said.action in _NOT_SENT_ON and filters.spam):
        home = FileInto(filters.spam_folder, create=True)
    return AccountVerdict(target.number, said.klass, said.score, (home,))


def _said(target: LocalTarget, verdict: MessageVerdict, said: AccountVerdict | None) -> AccountVerdict:
    """What holds for an account.  A virus in mail without a verdict is spam: nobody has looked at a rule."""
    implied = implicit_verdict(target, verdict)
    if not verdict.unfiltered or not verdict.virus.is_unwelcome:
        return said or implied
    return msgspec.structs.replace(said or implied, klass="spam", actions=implied.actions)


class _Decider:
    def __init__(
        self, plan: Plan, verdict: MessageVerdict, accounts: Mapping[int, AccountVerdict], *, is_login: bool
    ) -> None:
        self.plan = plan
        self.verdict = verdict
        self.is_login = is_login
        self.of = {t.account.id: _said(t, verdict, accounts.get(t.number)) for t in plan.locals}
        self.targets = {t.account.id: t for t in plan.locals}
        self.next: dict[int, set[int]] = {}
        self.before: dict[int, set[int]] = {}
        for source, target in plan.edges:
            self.next.setdefault(source, set()).add(target)
            self.before.setdefault(target, set()).add(source)
        self.remote_via = {remote.via for remote in plan.remotes if remote.via}
        # Accounts whose targets do not get it, or are only tested with it.
        self.stays = {held.remote.via for held in plan.held_back}
        self.stays |= {remote.via for remote in plan.remotes if remote.is_probe}

    def sends_on(self, account_id: int) -> bool:
        """True when what the account forwards may leave."""
        said = self.of[account_id]
        return not is_junk(self.verdict, said) and reject_of(said) is None

    def active(self) -> list[int]:
        """Accounts the message reaches, in the order of their numbers."""
        reached = {t.account.id for t in self.plan.locals if t.is_addressed}
        todo = list(reached)
        while todo:
            account_id = todo.pop()
            if not self.sends_on(account_id):
                continue
            for other in self.next.get(account_id, ()):
                if other in self.targets and other not in reached:
                    reached.add(other)
                    todo.append(other)
        return [t.account.id for t in self.plan.locals if t.account.id in reached]

    def actions(self, account_id: int) -> tuple[Keep | FileInto, ...]:
        """Copies the account itself keeps."""
        said = self.of[account_id]
        if reject_of(said) is not None:
            return ()
        stores = store_actions(said.actions)
        redirection = self.targets[account_id].account.redirection
        stays = account_id in self.stays
        if redirection is not None and not redirection.keep and self.sends_on(account_id) and not stays:
            # Without a copy at home only what a rule of the owner files explicitly stays.
            stores = [a for a in stores if not (isinstance(a, Keep) and a.implicit)]
        if not stores and (stays or not said.actions):
            return (Keep(implicit=True),)
        return tuple(stores)

    def ends_somewhere(self, account_id: int, stored: _Stored, refusing: Collection[int]) -> bool:
        """True when following the account's forwards reaches a copy, a remote or a no the sender hears of."""
        seen = set()
        todo = [account_id]
        while todo:
            current = todo.pop()
            if current in seen or current not in self.targets:
                continue
            seen.add(current)
            said = self.of[current]
            if stored[current] or is_discarded(said) or current in refusing:
                return True
            if self.sends_on(current):
                if current in self.remote_via:
                    return True
                todo.extend(self.next.get(current, ()))
        return False

    def changed_by(self, remote: RemoteTarget) -> int:
        """The account whose rule changed what it sends there; 0: it goes as it came.

        Nobody's changes are in what another account sends to the same address.
        """
        rules = redirects_of(self.of[remote.via]) if remote.rule else []
        return remote.via if any(r.address == remote.rule and r.edited is not None for r in rules) else 0

    def why_not_sent_on(self, account_id: int) -> str:
        """A sentence for the owner."""
        held = [one.why for one in self.plan.held_back if one.remote.via == account_id]
        tested = [r.address for r in self.plan.remotes if r.via == account_id and r.is_probe]
        told = [f"not sent on: {why}" for why in held]
        told += [
            f"sent on to {target}, which is paused, to see whether it still refuses" for target in tested
        ]
        return "; ".join(told)

    def decide(self) -> Decision:
        active = self.active()
        stored = {account_id: self.actions(account_id) for account_id in self.targets}
        refusing, notes = self.keep(active, stored)
        for account_id in active:
            if account_id in self.stays and self.sends_on(account_id):
                notes[account_id] = self.why_not_sent_on(account_id)
        stores = tuple(
            Store(self.targets[i], stored[i], self.of[i], notes.get(i, "")) for i in active if stored[i]
        )
        forwards, refused = self._remotes(set(active))
        rejections = [*self._rejections(active, refusing), *refused]
        return Decision(
            stores,
            tuple(forwards),
            tuple((self.targets[i], mail) for i in active for mail in mails_of(self.of[i])),
            tuple(rejections),
            tuple(
                self.targets[i]
                for i in active
                if is_discarded(self.of[i])
                and not stored[i]
                and not (i in self.remote_via and self.sends_on(i))
            ),
        )

    def keep(self, active: Sequence[int], stored: _Stored) -> tuple[set[int], dict[int, str]]:
        """Adds the copies of accounts whose redirections lead to nobody who takes it.

        Returns:
            Accounts whose rule's no the sender is to hear, and why accounts keep it.
        """
        refusing, notes = self._refusing(active, stored), dict[int, str]()
        before: set[int] | None = None
        while refusing != before:
            before = refusing
            for account_id in active:
                is_own_no = reject_of(self.of[account_id]) is not None
                if is_own_no or self.ends_somewhere(account_id, stored, refusing):
                    continue
                stored[account_id] = (Keep(),)
                notes[account_id] = "its redirection leads nowhere"
            refusing = self._refusing(active, stored)
        return refusing, notes

    def _refusing(self, active: Sequence[int], stored: _Stored) -> set[int]:
        reached = set(active)
        return {
            i
            for i in active
            if reject_of(self.of[i]) is not None and not self._is_kept_before(i, reached, stored)
        }

    def _rejections(self, active: Sequence[int], refusing: Collection[int]) -> list[Rejection]:
        found = []
        for account_id in active:
            said, target = reject_of(self.of[account_id]), self.targets[account_id]
            if said is None or account_id not in refusing:
                continue
            text = " ".join(said.text.split()) or "The recipient does not want this message"
            found.append(
                Rejection(
                    target.recipient,
                    Reply(550, "7.1", text[:400], "rejected"),
                    target,
                    self.of[account_id],
                )
            )
        return found

    def _is_kept_before(self, account_id: int, active: Collection[int], stored: _Stored) -> bool:
        """True for a mere redirection's end when one who sent it there has the message anyway."""
        if self.targets[account_id].is_addressed:
            return False
        sources = [i for i in self.before.get(account_id, ()) if i in active and self.sends_on(i)]
        return any(stored[i] or i in self.remote_via for i in sources)

    def _remotes(self, active: set[int]) -> tuple[list[RemoteTarget], list[Rejection]]:
        leaving: dict[tuple[str, int], RemoteTarget] = {}
        refused = []
        stored = {self.targets[account_id].recipient.number for account_id in active}
        for remote in self.plan.remotes:
            if remote.via:
                if remote.via in active and self.sends_on(remote.via):
                    leaving.setdefault((remote.address.key, self.changed_by(remote)), remote)
            elif remote.kind == "forward" and self.verdict.action in _NOT_SENT_ON and not self.is_login:
                if remote.recipient.number in stored:
                    continue  # a group whose members here have it, in their Spam
                refused.append(forward_spam(remote.recipient))
            else:
                leaving.setdefault((remote.address.key, 0), remote)
        return list(leaving.values()), refused


def decide(
    plan: Plan, verdict: MessageVerdict, accounts: Mapping[int, AccountVerdict], *, is_login: bool
) -> Decision:
    """Decides for the whole message.

    Args:
        plan: where it may go.
        verdict: of the message.
        accounts: verdict per target number; a missing one means the implicit keep.
        is_login: the sender logged in, so nothing is refused as spam.
    """
    return _Decider(plan, verdict, accounts, is_login=is_login).decide()
