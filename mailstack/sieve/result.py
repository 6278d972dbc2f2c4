"""The actions a run has collected; carried out only when it has ended well.

Standards: RFC 5228 sections 2.10.1 to 2.10.6.
"""

from __future__ import annotations

from dataclasses import fields

from mailstack.sieve.actions import Action
from mailstack.sieve.control import LimitReached, SieveError
from mailstack.sieve.limits import Limits


class Result:
    """Actions in order, duplicates merged.

    Attributes:
        actions: without the implicit keep, which is derived.
        failed: a run-time error happened: the message is kept whatever else was decided.
        flags: the internal variable of `imap4flags`, what the implicit keep sets; None: not used.
        done: so many actions have been carried out; another script may add some.
        kept: the implicit keep has been carried out.
        keep_is_inbox: `keep` and `fileinto "INBOX"` are the same.
    """

    def __init__(self, *, keep_is_inbox: bool = True) -> None:
        self.keep_is_inbox = keep_is_inbox
        self.actions: list[Action] = []
        self.failed = False
        self.flags: list[str] | None = None
        self.done = 0
        self.kept = False

    @property
    def implicit_keep(self) -> bool:
        """True when nothing took the message elsewhere (RFC 5228 section 2.10.2)."""
        return self.failed or not any(action.cancels_implicit_keep for action in self.actions)

    def clear(self) -> None:
        """Forgets everything."""
        self.actions.clear()
        self.failed = False
        self.flags = None
        self.done = 0
        self.kept = False

    def add(self, action: Action, limits: Limits | None = None) -> None:
        """Adds an action, or merges it with one that does the same.

        Args:
            limits: those of the run; `ctx.add_action` gives them.

        Raises:
            SieveError: it cannot stand beside one that is there (RFC 5228 section 2.10.1).
            LimitReached: too many actions (RFC 5228 section 2.10.4).
        """
        for number, old in enumerate(self.actions):
            merged = old.merge(action) if self.keep_is_inbox or old.name == action.name else None
            if merged is not None:
                self.actions[number] = merged
                return
        if any(old.name == action.name and _disagree(old, action) for old in self.actions[: self.done]):
            return  # it has been done, and may be done only once
        for old in self.actions[self.done :]:
            if _disagree(old, action):
                raise SieveError(conflict_words(old, action))
        self._check_limits(action, limits or Limits())
        self.actions.append(action)

    def _check_limits(self, action: Action, limits: Limits) -> None:
        if len(self.actions) >= limits.max_actions:
            raise LimitReached(f"the total number of actions exceeds policy limit ({limits.max_actions})")
        bound = {"redirect": limits.max_redirects, "notify": limits.max_notifications}.get(action.name)
        same = sum(1 for old in self.actions if old.name == action.name)
        if bound is not None and same >= bound:
            raise LimitReached(f"the number of {action.name} actions exceeds policy limit ({bound})")

    def conflicts(self) -> list[str]:
        """Pairs of actions that cannot stand beside each other, in words; [] when all is well."""
        pairs = (
            (first, second)
            for number, first in enumerate(self.actions)
            for second in self.actions[number + 1 :]
        )
        return [conflict_words(first, second) for first, second in pairs if _disagree(first, second)]

    def as_json(self) -> list[dict[str, object]]:
        """The actions as `sieve run --json` prints them, the implicit keep among them."""
        out = [action_json(action) for action in self.actions]
        if self.implicit_keep:
            out.append({"action": "keep", "implicit": True, "flags": []})
        return out


def _disagree(first: Action, second: Action) -> bool:
    return second.name in first.conflicts_with or first.name in second.conflicts_with


def conflict_words(first: Action, second: Action) -> str:
    """One sentence about two actions."""
    if first.name == second.name:
        return f"the {second.name} action may be used only once"
    return f"the {second.name} action conflicts with the {first.name} action before it"


def action_json(action: Action) -> dict[str, object]:
    """One action as a mapping of JSON values."""
    out: dict[str, object] = {"action": action.name}
    for field in fields(action):
        if field.metadata.get("internal"):
            continue
        value = getattr(action, field.name)
        out[field.name.rstrip("_")] = list(value) if isinstance(value, tuple) else value
    if action.name == "reject":
        out["action"] = "ereject" if out.pop("ereject") else "reject"
        out["reason"] = out.pop("text")
    if action.name == "keep":
        out["implicit"] = False
    if "flags" in out and out["flags"] is None:
        out["flags"] = []
    return out
