"""What one smtp worker knows of sending on: targets that are paused, circles, who is told of what.

Nothing here may cost mail: where `state.db` cannot be read or written, mail is sent on as
if nothing were known.

    routing asks `standing`          paused, open, or one message to see
    `hold_back` after the filter     what was sent on too often goes round in a circle
    `begun` when it is queued        counts it, and takes the test of a paused target
    `done` when all is durable       the list for the recovery address, the first use of a rule's target
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from mailstack.app import forward_letters, loops, trace
from mailstack.app.owner_mail import OwnerMail
from mailstack.delivery.decide import is_junk
from mailstack.delivery.entry import QueueMessage
from mailstack.mime.encoding import decode_words
from mailstack.mime.header import Headers
from mailstack.model.address import Address, AddressError
from mailstack.model.errors import TemporaryFailure
from mailstack.smtp import bounces
from mailstack.state.forward_options import ForwardOptions
from mailstack.state.forward_targets import ForwardTargets
from mailstack.state.passed_on import PassedOn, mark
from mailstack.state.withheld import Withheld, WithheldMail

if TYPE_CHECKING:
    from pathlib import Path

    from mailstack.app.mail import Mail
    from mailstack.delivery.decide import Decision, Store
    from mailstack.model.verdict import Authentication
    from mailstack.routing.expand import HeldBack, Plan, RemoteTarget
    from mailstack.routing.route import Standing

#: Characters of a sender or subject in the list for the recovery address.
_MAX_TEXT = 200
#: Targets of rules that are known to have been told of.
_MAX_KNOWN = 10_000
_TELLING = (b"message-id", b"date", b"from")

_log = logging.getLogger(__name__)


class Forwards:
    """One worker's; thread-safe."""

    def __init__(self, state_db: Path, options: ForwardOptions, *, now: Callable[[], float]) -> None:
        self._options = options
        self._now = now
        self._targets = ForwardTargets(state_db)
        self._passed = PassedOn(state_db)
        self._withheld = WithheldMail(state_db)
        self._known: set[tuple[str, str]] = set()

    def close(self) -> None:
        """Releases the database."""
        for table in (self._targets, self._passed, self._withheld):
            table.close()

    def standing(self, owner: Address, target: Address) -> Standing:
        """Whether a target gets what an address here sends on to it."""
        try:
            known = self._targets.find(owner, target)
        except TemporaryFailure as error:
            _log.error("%s: sent on, whatever is known of it: %s", target, error.why)
            return "open"
        if known is None or known.paused_at is None:
            return "open"
        return "paused" if known.probe_at is None or known.probe_at > self._now() else "probe"

    # -- circles --------------------------------------------------------------------------

    def hold_back(self, mail: Mail) -> Plan:
        """The plan less what was sent on to the same target too often; blocking."""
        marks = _marks(mail, mail.plan.remotes)
        try:
            times = self._passed.times(marks.values(), since=self._now() - self._options.same_message_s)
        except TemporaryFailure as error:
            _log.error("%s: nobody knows what was sent on before: %s", mail.envelope.accept_id, error.why)
            return mail.plan
        most = self._options.same_message
        return loops.cut(mail.plan, [r for r, known in marks.items() if times.get(known, 0) >= most])

    def begun(self, mail: Mail, leaving: Sequence[RemoteTarget]) -> None:
        """This was queued; blocking."""
        marks = _marks(mail, leaving)
        if not marks:
            return
        now = self._now()
        try:
            self._passed.note([*marks.values()], since=now - self._options.same_message_s, now=now)
            for remote in leaving:
                if remote.is_probe and remote.owner is not None:
                    self._targets.probe(remote.owner, remote.address, options=self._options, now=now)
        except TemporaryFailure as error:
            _log.error("%s: not counted as sent on: %s", mail.envelope.accept_id, error.why)

    # -- who is told ----------------------------------------------------------------------

    def has_news(self, mail: Mail, decision: Decision) -> bool:
        """True when `done` has something to do; takes no time."""
        return bool(_kept(mail, decision) or self._new_targets(decision) or _is_bounce(decision))

    def done(self, mail: Mail, decision: Decision, letters: OwnerMail, *, key: bytes) -> list[QueueMessage]:
        """Notes what was not sent on, and what came back; gives letters for owners.

        Blocking; never raises TemporaryFailure.

        Args:
            key: of the loop tokens.
        """
        made: list[QueueMessage] = []
        try:
            self._withheld.note(_rows(mail, _kept(mail, decision), now=self._now()))
            for owner, target in self._new_targets(decision):
                if self._targets.may_tell(owner, target, self._now()):
                    made += letters.letters(owner, "rule_forwards", address=str(owner), target=str(target))
                if len(self._known) >= _MAX_KNOWN:
                    self._known.clear()
                self._known.add((owner.key, target.key))
            if _is_bounce(decision):
                made += self._bounced(mail, letters, key)
        except TemporaryFailure as error:
            _log.error("%s: owners are not told: %s", mail.envelope.accept_id, error.why)
        return made

    def _bounced(self, mail: Mail, letters: OwnerMail, key: bytes) -> list[QueueMessage]:
        """A target took a message and gave it back later, which counts like a refusal.

        Only the token of the address that sent it on, in the message that came back, proves
        that it went that way: nobody else can make a target look bad.
        """
        text = trace.beginning(mail.body, bounces.MAX_OCTETS)
        tokens = loops.find_returned(text)
        made: list[QueueMessage] = []
        for failure in bounces.failures(text) if tokens else ():
            status = failure.status.partition(".")[2]
            target = _address(failure.recipient)
            if target is None or forward_letters.is_about_the_message(status):
                continue
            known = [_address(owner) for owner in self._targets.forwarders(target)]
            for owner in {*letters.directory.forwarders(target), *known}:
                if owner is None or loops.token(key, owner) not in tokens:
                    continue
                answer = failure.answer or failure.status
                paused = self._targets.failed(
                    owner,
                    target,
                    why=answer,
                    is_unknown=forward_letters.is_unknown(status),
                    options=self._options,
                    now=self._now(),
                )
                if paused is not None:
                    made += forward_letters.paused(
                        letters, owner, target, answer=answer, options=self._options
                    )
        return made

    def _new_targets(self, decision: Decision) -> list[tuple[Address, Address]]:
        """Owner and target of what rules send on, where the owner may not know of it yet."""
        return [
            (remote.owner, remote.address)
            for remote in decision.forwards
            if remote.via
            and remote.owner is not None
            and remote.by_rule
            and (remote.owner.key, remote.address.key) not in self._known
        ]


def warning(found: Authentication) -> str:
    """Why the next server may refuse what is sent on; "" when nothing speaks for it.

    A forward comes from our address: what proves the author to the next server is the author's
    own DKIM signature, or nothing.
    """
    dmarc = found.dmarc
    if dmarc.result != "pass" or dmarc.policy not in ("quarantine", "reject") or dmarc.is_dkim_aligned:
        return ""
    if any(one.result == "pass" and _related(one.domain, dmarc.domain) for one in found.dkim):
        return ""
    return f"{dmarc.domain} wants {dmarc.policy} for what it has not signed (DKIM), and did not sign this"


def _is_bounce(decision: Decision) -> bool:
    return any(remote.kind == "srs-bounce" for remote in decision.forwards)


def _address(text: str) -> Address | None:
    try:
        return Address.parse(text)
    except AddressError:
        return None


def _related(one: str, other: str) -> bool:
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")


def _marks(mail: Mail, remotes: Iterable[RemoteTarget]) -> dict[RemoteTarget, bytes]:
    """What each copy that is sent on is remembered by; none for a message nobody could know again."""
    wanted = [remote for remote in remotes if remote.kind == "forward" and remote.owner is not None]
    if not wanted or not mail.message_id:
        return {}
    headers = Headers.parse(trace.head(mail.body))
    telling = b"\0".join(headers.first(name.decode("ascii")) or b"" for name in _TELLING)
    return {
        remote: mark(remote.owner, remote.address, telling) for remote in wanted if remote.owner is not None
    }


def _kept(mail: Mail, decision: Decision) -> list[tuple[Store, str, str]]:
    """Copies that stay at home instead of being sent on, each with the target and the reason's word."""
    held: dict[int, HeldBack] = {}
    for one in mail.plan.held_back:
        held.setdefault(one.remote.via, one)
    found = []
    for store in decision.stores:
        account = store.target.account
        if not account.recovery:
            continue
        forward = account.redirection
        if is_junk(mail.answer.verdict, store.verdict):
            if forward is not None and not forward.keep:
                found.append((store, "", "spam" if store.verdict.klass == "spam" else "dmarc"))
        elif account.id in held:
            one = held[account.id]
            found.append((store, str(one.remote.address), one.reply.check.removeprefix("forward_")))
    return found


def _rows(mail: Mail, kept: Sequence[tuple[Store, str, str]], *, now: float) -> list[Withheld]:
    if not kept:
        return []
    headers = Headers.parse(trace.head(mail.body))
    sender = decode_words(headers.first("from") or b"") or mail.envelope.sender
    subject = decode_words(headers.first("subject") or b"")
    return [
        Withheld(
            store.target.account.id,
            now,
            target,
            sender[:_MAX_TEXT],
            subject[:_MAX_TEXT],
            store.actions[0].mailbox,
            why,
        )
        for store, target, why in kept
    ]
