"""Rules of accounts, and the rule templates domains offer: stored as data, kept in order.

A rule made from a template keeps the conditions the template had then: whoever administers
a domain changes what it offers, never what somebody's mail does (confidentiality).  For the
same reason no method here changes rules of more than one account.

Numbers: section 5 of the limits.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from mailstack.directory import names
from mailstack.directory.session import Session, account_of, check_target, domain_id
from mailstack.model.address import Address
from mailstack.model.directory import Account, Plan
from mailstack.model.errors import PermanentFailure, TemporaryFailure
from mailstack.model.rules import Choice, Rule, Template, check_choice, check_name, check_plan
from mailstack.model.rules import Plan as RulePlan
from mailstack.sieve import FREE, NORMAL

#: Rules of an account by its plan.
MAX_RULES: dict[Plan, int] = {"normal": 100, "free": 20}
#: Addresses a rule forwards to, as many as a run of a script may.
MAX_FORWARDS: dict[Plan, int] = {"normal": NORMAL.max_redirects, "free": FREE.max_redirects}
#: Octets of all rules of an account.  Written as Sieve they are at most four times as long, with
#: a head (tests/filters/test_rule_text.py), and so no longer than a script may be.
MAX_OCTETS: dict[Plan, int] = {
    "normal": NORMAL.max_script_octets // 4 - 256,
    "free": FREE.max_script_octets // 4 - 256,
}
#: Templates of one domain.
MAX_TEMPLATES = 100

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode
_plan = msgspec.json.Decoder(RulePlan).decode
_choice = msgspec.json.Decoder(Choice).decode


@dataclass(frozen=True, slots=True)
class RuleChange:
    """What to change of a rule; None: nothing of that."""

    name: str | None = None
    plan: RulePlan | None = None
    enabled: bool | None = None


class Rules:
    """Changes rules and templates; every method is one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(
        self,
        address: str,
        name: str,
        plan: RulePlan,
        *,
        at: int | None = None,
        enabled: bool = True,
        template: str = "",
    ) -> Rule:
        """Makes a rule.

        Args:
            at: its place in the list, from 1; None: the last.
            template: name of the domain's template whose conditions `plan` has; "" for none.

        Raises:
            PermanentFailure: no such account or template, a name that is taken, too many
                rules, or a rule that cannot be.
        """
        name = check_name(name)
        check_plan(plan)
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            _check_account(account)
            there = rules(cursor, account.id)
            if len(there) >= MAX_RULES[account.plan]:
                raise PermanentFailure(f"{account.address} has {len(there)} rules already; no more work")
            _check_free(there, account, name)
            _check_forwards(cursor, account, plan)
            if template:
                _check_template(find_template(cursor, account.address.domain, template), plan)
            made = Rule(len(there) + 1, name, plan, enabled, template)
            _check_size(account, [*there, made])
            number = len(there) + 1 if at is None else min(max(at, 1), len(there) + 1)
            cursor.execute(
                "INSERT INTO rule (account_id, position, name, plan, enabled, template, changed_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (account.id, len(there), name, _encode(plan), enabled, template, self._session.now()),
            )
            _order(cursor, account.id, [rule.name for rule in there], name, number)
            return msgspec.structs.replace(made, number=number)

    def find(self, address: str, which: str) -> Rule:
        """A rule by its name, or by its number in the list.

        Raises:
            PermanentFailure: no such account or rule.
        """
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            return _find(rules(cursor, account.id), account, which)

    def change(self, address: str, which: str, change: RuleChange) -> Rule:
        """Changes a rule; conditions of a template stay as they are.

        Args:
            which: its name, or its number in the list.

        Raises:
            PermanentFailure: no such account or rule, a name that is taken, or a rule that
                cannot be.
        """
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            there = rules(cursor, account.id)
            old = _find(there, account, which)
            plan = old.plan if change.plan is None else change.plan
            check_plan(plan)
            if change.plan is not None:
                _check_forwards(cursor, account, plan)
            if old.template and plan.choice != old.plan.choice:
                raise PermanentFailure(
                    f"the conditions of {old.name!r} are those of the template {old.template!r};"
                    " make a rule of your own for others"
                )
            name = old.name if change.name is None else check_name(change.name)
            if name != old.name:
                _check_free([rule for rule in there if rule is not old], account, name)
            enabled = old.enabled if change.enabled is None else change.enabled
            changed = Rule(old.number, name, plan, enabled, old.template)
            if change.enabled is None:
                _check_size(account, [changed if rule is old else rule for rule in there])
            cursor.execute(
                "UPDATE rule SET name = ?, plan = ?, enabled = ?, changed_at = ?"
                " WHERE account_id = ? AND name = ?",
                (name, _encode(plan), enabled, self._session.now(), account.id, old.name),
            )
            return changed

    def move(self, address: str, which: str, number: int) -> list[Rule]:
        """Gives a rule another place; the others keep their order.

        Raises:
            PermanentFailure: no such account or rule, or no such place.
        """
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            there = rules(cursor, account.id)
            rule = _find(there, account, which)
            if not 1 <= number <= len(there):
                raise PermanentFailure(f"{account.address} has rules 1 to {len(there)}; {number} is no place")
            others = [one.name for one in there if one is not rule]
            _order(cursor, account.id, others, rule.name, number)
            return list(rules(cursor, account.id))

    def remove(self, address: str, which: str) -> str:
        """Removes a rule, also one that cannot be read; gives its name.

        Raises:
            PermanentFailure: no such account or rule.
        """
        with self._session.transaction() as cursor:
            account = account_of(cursor, names.any_address(address))
            there = cursor.execute(
                "SELECT name FROM rule WHERE account_id = ? ORDER BY position, id", (account.id,)
            ).fetchall()
            for number, (name,) in enumerate(there, 1):
                if which in (name, str(number)):
                    cursor.execute("DELETE FROM rule WHERE account_id = ? AND name = ?", (account.id, name))
                    return str(name)
            raise _missing(account, which, len(there))

    # -- templates ---------------------------------------------------------------------

    def put_template(self, domain: str, name: str, choice: Choice, *, visible: bool = True) -> Template:
        """Makes or replaces a template; rules that were made from it stay as they are.

        Raises:
            PermanentFailure: no such domain, too many templates, or conditions that cannot be.
        """
        name = check_name(name)
        check_choice(choice)
        with self._session.transaction() as cursor:
            id_ = domain_id(cursor, names.new_domain(domain))
            there = [one.name for one in templates(cursor, names.new_domain(domain))]
            if name not in there and len(there) >= MAX_TEMPLATES:
                raise PermanentFailure(f"{domain} has {len(there)} rule templates already; no more work")
            cursor.execute(
                "INSERT INTO rule_template (domain_id, name, choice, visible, changed_at)"
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT (domain_id, name) DO UPDATE SET"
                " choice = excluded.choice, visible = excluded.visible, changed_at = excluded.changed_at",
                (id_, name, _encode(choice), visible, self._session.now()),
            )
            return Template(name, choice, visible)

    def show_template(self, domain: str, name: str, *, visible: bool) -> Template:
        """Shows a template to users, or hides it from them.

        Raises:
            PermanentFailure: no such domain or template.
        """
        with self._session.transaction() as cursor:
            id_ = domain_id(cursor, names.new_domain(domain))
            found = find_template(cursor, names.new_domain(domain), name)
            cursor.execute(
                "UPDATE rule_template SET visible = ?, changed_at = ? WHERE domain_id = ? AND name = ?",
                (visible, self._session.now(), id_, found.name),
            )
            return Template(found.name, found.choice, visible)

    def remove_template(self, domain: str, name: str) -> None:
        """Removes a template; rules that were made from it stay.

        Raises:
            PermanentFailure: no such domain or template.
        """
        with self._session.transaction() as cursor:
            id_ = domain_id(cursor, names.new_domain(domain))
            gone = cursor.execute("DELETE FROM rule_template WHERE domain_id = ? AND name = ?", (id_, name))
            if not gone.rowcount:
                raise PermanentFailure(f"{domain} has no rule template {name!r}")


def rules(cursor: sqlite3.Cursor, account_id: int) -> tuple[Rule, ...]:
    """All rules of an account, in their order.

    Raises:
        TemporaryFailure: one of them is damaged.
    """
    found = cursor.execute(
        "SELECT name, plan, enabled, template FROM rule WHERE account_id = ? ORDER BY position, id",
        (account_id,),
    ).fetchall()
    return tuple(
        Rule(number, name, _read(_plan, plan, f"the rule {name!r}"), bool(enabled), template)
        for number, (name, plan, enabled, template) in enumerate(found, 1)
    )


def templates(cursor: sqlite3.Cursor, domain: str) -> tuple[Template, ...]:
    """All templates of a domain, by name.

    Raises:
        TemporaryFailure: one of them is damaged.
    """
    found = cursor.execute(
        "SELECT t.name, t.choice, t.visible FROM rule_template t JOIN domain d ON d.id = t.domain_id"
        " WHERE d.name = ? AND d.removed_at IS NULL ORDER BY t.name",
        (domain,),
    ).fetchall()
    return tuple(
        Template(name, _read(_choice, choice, f"the rule template {name!r}"), bool(visible))
        for name, choice, visible in found
    )


def damaged(cursor: sqlite3.Cursor) -> Iterator[str]:
    """Rules and templates that cannot be read, a sentence each."""
    found = cursor.execute(
        "SELECT 'the rule ' || r.name || ' of ' || a.local || '@' || d.name, r.plan, 1 FROM rule r"
        " JOIN account a ON a.id = r.account_id JOIN domain d ON d.id = a.domain_id UNION ALL"
        " SELECT 'the rule template ' || t.name || ' of ' || d.name, t.choice, 0 FROM rule_template t"
        " JOIN domain d ON d.id = t.domain_id"
    )
    for what, octets, is_rule in found.fetchall():
        try:
            _read(_plan if is_rule else _choice, octets, what)
        except TemporaryFailure as error:
            yield error.why


def _read(decode: Callable[[bytes], T], octets: bytes, what: str) -> T:
    try:
        return decode(octets)
    except msgspec.DecodeError as error:
        raise TemporaryFailure(f"{what} cannot be read ({error}): remove it and make it anew") from error


def find_template(cursor: sqlite3.Cursor, domain: str, name: str) -> Template:
    """A domain's template.

    Raises:
        PermanentFailure: there is none of that name.
    """
    for one in templates(cursor, domain):
        if one.name == name:
            return one
    raise PermanentFailure(f"{domain} has no rule template {name!r}")


def _check_account(account: Account) -> None:
    if account.kind in ("device", "noreply", "spamtrap"):
        raise PermanentFailure(f"{account.address} receives no mail for itself, so rules would never run")


def octets_of(rule: Rule) -> int:
    """How much of `MAX_OCTETS` a rule takes."""
    return len(_encode(rule.plan)) + len(rule.name.encode()) + len(rule.template.encode())


def _check_size(account: Account, rules: Sequence[Rule]) -> None:
    size, most = sum(map(octets_of, rules)), MAX_OCTETS[account.plan]
    if size > most:
        raise PermanentFailure(
            f"the rules of {account.address} would have {size} octets; at most {most} work"
        )


def _check_forwards(cursor: sqlite3.Cursor, account: Account, plan: RulePlan) -> None:
    """Refuses what would fail with every message, or is a typing mistake."""
    targets = [Address.parse(one.value) for one in plan.actions if one.deed == "forward"]
    if len(targets) > MAX_FORWARDS[account.plan]:
        raise PermanentFailure(f"rules of {account.address} forward to at most {MAX_FORWARDS[account.plan]}")
    for target in targets:
        check_target(cursor, target)
        base = Address(target.local.partition("+")[0] or target.local, target.domain)
        if account.address.key in (target.key, base.key):
            raise PermanentFailure(f"{account.address} cannot forward to itself")


def _check_template(template: Template, plan: RulePlan) -> None:
    if plan.choice != template.choice:
        raise PermanentFailure(f"the conditions of a rule from {template.name!r} are {template.choice}")


def _check_free(there: Sequence[Rule], account: Account, name: str) -> None:
    if any(rule.name.casefold() == name.casefold() for rule in there):
        raise PermanentFailure(f"{account.address} has a rule {name!r} already")


def _find(there: Sequence[Rule], account: Account, which: str) -> Rule:
    for rule in there:
        if which in (rule.name, str(rule.number)):
            return rule
    raise _missing(account, which, len(there))


def _missing(account: Account, which: str, count: int) -> PermanentFailure:
    return PermanentFailure(f"{account.address} has no rule {which!r}; it has {count}")


def _order(cursor: sqlite3.Cursor, account_id: int, others: Sequence[str], name: str, number: int) -> None:
    wanted = [*others[: number - 1], name, *others[number - 1 :]]
    cursor.executemany(
        "UPDATE rule SET position = ? WHERE account_id = ? AND name = ?",
        [(position, account_id, one) for position, one in enumerate(wanted)],
    )
