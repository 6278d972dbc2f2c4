"""One account's copy: its own score and class, its lists, the class folder, then the scripts that run for it.

Source: product page, sections 2.5 and 2.8: on spam only the operator's script and rules
marked for it run; the class only says where the implicit keep goes; an explicit keep means
INBOX.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec

from mailstack.filters import attachment_rules, explain, lists
from mailstack.filters.case import MAX_WISHES_OCTETS, Case
from mailstack.filters.edits import View
from mailstack.filters.facts import AccountFacts
from mailstack.filters.personal import Material, Personal, judge
from mailstack.filters.rules import RuleResult, Rules
from mailstack.model.directory import ALWAYS_REACHED
from mailstack.model.verdict import (
    AccountAction,
    AccountVerdict,
    Class,
    DiscardMail,
    FileInto,
    FilterRecipient,
    FilterRequest,
    Keep,
    MessageVerdict,
    Reason,
    Redirect,
    RejectMail,
    SendMail,
)


class Judge:
    """Decides about one account's copy."""

    def __init__(
        self,
        request: FilterRequest,
        recipient: FilterRecipient,
        facts: AccountFacts,
        verdict: MessageVerdict,
        material: Material | None,
        *,
        author: str,
        is_outside: bool = False,
    ) -> None:
        """
        Args:
            material: what was found in the message; None: the verdict says it all.
            author: the only From address, lower case; "" when there is none that can be read.
            is_outside: it is to be marked as mail from outside.
        """
        self._request = request
        self._recipient = recipient
        self._facts = facts
        self._verdict = verdict
        self._material = material
        self._author = author
        self._is_outside = is_outside
        self._unwelcome = self._find_unwelcome()
        self._score = verdict.score
        self._reasons: list[Reason] = []
        self._is_allowed = False
        self._is_blocked = False

    def decide(
        self, rules: Rules, message: Callable[[AccountVerdict], View], room_octets: int = MAX_WISHES_OCTETS
    ) -> AccountVerdict:
        """The account's verdict.

        Args:
            message: gives what a script sees; is told what is known before it runs.
            room_octets: what its wishes may take.
        """
        personal = self._personal()
        self._score = personal.score
        is_junk = self._is_junk(personal)
        klass = self._class(personal)
        home: Keep | FileInto = self._home(klass)
        if is_junk:
            folder = self._facts.filters.spam_folder
            home = FileInto(folder, create=True)
            self._reasons.append(Reason(explain.JUNK, 0.0, f"filed into {folder}"))
        facts = self._facts
        if self._unwelcome is not None and self._unwelcome.action == "refuse":
            return self._answer(klass, (self._refusal(self._unwelcome),), RuleResult())
        case = Case(
            self._request,
            self._recipient,
            self._verdict,
            facts.plan,
            klass,
            is_junk,
            facts.blocked,
            facts.allowed,
            facts.around,
            self._author,
            room_octets=room_octets,
            score=self._score,
        )
        so_far = self._answer(klass, (), RuleResult())
        result = rules.run(facts.steps, lambda: message(so_far), case)
        actions = result.actions
        if is_junk:
            # Spam is neither sent on nor answered, whatever a rule says; what was to be sent on stays.
            leaves = any(isinstance(one, Redirect) for one in actions)
            gone = Redirect | SendMail | DiscardMail if leaves else Redirect | SendMail
            actions = tuple(one for one in actions if not isinstance(one, gone))
        if result.implicit_keep or not any(not isinstance(one, SendMail) for one in actions):
            home = msgspec.structs.replace(home, flags=result.flags, edited=result.edited)
            actions = (*actions, home)
        return self._answer(klass, actions, result)

    def _personal(self) -> Personal:
        """What it is for this account, before the lists have spoken."""
        if self._material is None:
            return Personal(self._verdict.klass, self._verdict.score, ())
        found = judge(self._material, self._facts)
        self._reasons += found.reasons
        return found

    def _is_junk(self, personal: Personal) -> bool:
        """Lists first, then what the filter says, if the owner wants it to act."""
        facts = self._facts
        if self._unwelcome is not None:
            self._reasons.append(Reason("attachment", 0.0, self._unwelcome.why))
            return True
        if self._verdict.virus.is_unwelcome:
            return True
        if not self._request.login:
            listed = self._listed()
            if listed.kind == "blocked":
                self._reasons.append(Reason("blocked", 0.0, listed.why))
                self._is_blocked = True
                return True
            if listed.kind == "allowed":
                self._is_allowed = self._may_allow(listed)
        is_policy = self._verdict.action in ("junk", "reject")
        if self._material is not None:
            is_policy = self._material.is_policy_junk
        junk = personal.klass == "spam" or is_policy
        if junk and self._is_allowed:
            return False
        return junk and facts.filters.spam

    def _find_unwelcome(self) -> attachment_rules.Finding | None:
        """An attachment the domain does not take; postmasters are never refused anything."""
        if self._material is None:
            return None
        found = self._material.unwelcome(self._facts.domain.policy.attachments)
        local = self._recipient.original.rpartition("@")[0].lower()
        if found is not None and local in ALWAYS_REACHED:
            return replace(found, action="junk")
        return found

    def _refusal(self, found: attachment_rules.Finding) -> RejectMail:
        # A reply of SMTP is ASCII, and the name of a file is whatever its sender likes (M16).
        why = found.why.encode("ascii", "replace").decode("ascii")
        return RejectMail(f"{self._recipient.original} does not take this: {why}")

    def _listed(self) -> lists.Listed:
        """The account's own lists first, then those of its domain."""
        facts, policy = self._facts, self._facts.domain.policy
        sender = self._request.sender.lower()
        own, domain = (facts.blocked, facts.allowed), (policy.blocked, policy.allowed)
        return lists.decide(self._author, sender, own, domain)

    def _may_allow(self, listed: lists.Listed) -> bool:
        domain = self._author.rpartition("@")[2]
        if lists.is_author_authenticated(domain, self._verdict.authentication):
            self._reasons.append(Reason("allowed", 0.0, listed.why))
            return True
        why = f"not applied: {listed.why}, but the sender is not authenticated"
        self._reasons.append(Reason("allowed_not_applied", 0.0, why))
        return False

    def _class(self, personal: Personal) -> Class:
        if self._is_blocked or self._unwelcome is not None or self._verdict.virus.is_unwelcome:
            return "spam"
        return "ham" if self._is_allowed else personal.klass

    def _home(self, klass: Class) -> Keep:
        """Where the implicit keep goes."""
        filters = self._facts.filters
        folder = "INBOX"
        if filters.ads and klass == "promotions":
            folder = filters.promotions_folder
        elif filters.ads and klass == "social":
            folder = filters.social_folder
        return Keep(folder, implicit=True)

    def _answer(self, klass: Class, actions: tuple[AccountAction, ...], result: RuleResult) -> AccountVerdict:
        return AccountVerdict(
            self._recipient.number,
            klass,
            self._score,
            actions,
            tuple(self._reasons),
            result.error,
            result.failed,
            result.notes,
            result.marks,
            result.cpu_s,
            self._is_outside,
        )
