"""Mail from outside, beside its way to a mailbox: who really sent it, what is known about
that client, whether it comes in a circle or too early, and what is learned from it.

    begin    before routing: trusted relays are looked through, loop tokens are read
    hints    what the filter shall weigh: traps, bounces that are none
    greylist after the verdict: unknown senders come again, if the option is on
    learn    after the reply is certain: wanted mail, hits of spam traps

Source: product page, sections 1 (spam trap), 2.1 (relays) and 2.4 (backscatter).
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mailstack.app import loops, trace
from mailstack.app.dmarc_counting import is_report
from mailstack.app.fuse import Aside
from mailstack.app.hourly import Hourly
from mailstack.app.reputation import Reputation
from mailstack.filters.hints import BACKSCATTER, BOUNCE_RECIPIENTS, ONE_TIME_CODE, REPLAY, TRAP_NETWORK
from mailstack.mime.header import find_end
from mailstack.model.directory import ALWAYS_REACHED, Account
from mailstack.model.errors import TemporaryFailure
from mailstack.model.network import network_of
from mailstack.model.reply import Reply
from mailstack.model.verdict import AccountVerdict, FileInto, Reason
from mailstack.smtp import bounces, relays
from mailstack.state.feedback import Feedback, Note
from mailstack.state.greylist import Greylist, Waits, triplet
from mailstack.state.sent import Sent

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from mailstack.app.config import Config
    from mailstack.app.mail import Mail
    from mailstack.app.paths import Paths
    from mailstack.state.maillog import MailLog

#: Weight of a reason that decides by itself.
BACKSCATTER_WEIGHT = 4.0
#: The mail log is behind by less, also on a busy machine.
LOG_LATE_S = 0.3
#: Authenticated mail below this probability of spam is wanted.
WANTED_SCORE = 0.3
#: So many messages an hour without a verdict may be the end of a daemon; more are an alarm.
UNFILTERED_AN_HOUR = 20

_DIGITS = re.compile(r"\d+")
_SIGNATURE = re.compile(rb"^DKIM-Signature:((?:[^\n]*\n(?=[ \t]))*[^\n]*)", re.IGNORECASE | re.MULTILINE)
_TAG = re.compile(rb"(?:^|;)\s*(d|bh)\s*=([^;]*)")
_log = logging.getLogger(__name__)


class Arrivals:
    """One worker's."""

    def __init__(
        self,
        config: Config,
        paths: Paths,
        *,
        reputation: Reputation,
        maillog: MailLog,
        key: bytes,
        now: Callable[[], float],
        disk: Executor,
    ) -> None:
        """`key`: makes the loop tokens."""
        self._options = config.mx
        self._reputation = reputation
        self._maillog = maillog
        self._greylist = Greylist(paths.state_db)
        self._aside = Aside("greylist")
        self._sent = Sent(paths.maillog_db)
        self._feedback = Feedback(paths.state_db)
        self._teaches = config.feedback
        self._now = now
        self._disk = disk
        self._unfiltered = Hourly(UNFILTERED_AN_HOUR)
        self.key = key
        #: Set by whoever can send mail: subject of the day's notice, its title, its lines.
        self.tell_operator: Callable[[str, str, Sequence[str]], bool] = lambda about, subject, lines: False

    def close(self) -> None:
        """Releases the databases."""
        self._aside.close()
        self._greylist.close()
        self._feedback.close()
        self._sent.close()

    # -- before routing -------------------------------------------------------------------

    def begin(self, mail: Mail, head: bytes) -> None:
        """Finds out who sent it, and where it was before.  `head`: its header block, at least."""
        header = head[: find_end(head)[0]]
        mail.tokens = loops.find(header)
        mail.is_report = is_report(header)
        if self._reputation.has_replayed:
            mail.copies = self._reputation.copies(_signatures(header))
        client = mail.envelope.client
        if client.listener != "lmtp" and client.ip not in self._reputation.relays:
            return
        origin = relays.find_origin(header, self._reputation.relays)
        mail.is_relayed = True
        mail.origin = replace(client, ip=origin.ip, helo=origin.helo)
        if client.listener != "lmtp":
            self._maillog.write(
                "looked_through",
                mail.envelope.accept_id,
                relay=client.ip,
                client=origin.ip or "unknown",
                helo=origin.helo,
            )

    async def hints(self, mail: Mail) -> tuple[Reason, ...]:
        """What the filter cannot know."""
        found: list[Reason] = []
        ip, options = mail.origin.ip, self._options
        hits = self._reputation.trap_hits(ip)
        if hits and not await self._reputation.is_wanted(ip):
            network = network_of(ip, 24, 64)
            why = f"spam traps here got mail from {network} {hits} times"
            found.append(Reason(TRAP_NETWORK, options.trap_weight, why))
        copies, domain = mail.copies
        if copies:
            why = f"a message that {domain} signed came {copies} times, and not from there"
            found.append(Reason(REPLAY, options.replay_weight, why))
        if not bounces.is_sender_system(mail.envelope.reverse_path):
            return tuple(found)
        recipients = len(mail.envelope.recipients)
        if mail.envelope.reverse_path is None and recipients > 1:
            why = f"a bounce to {recipients} recipients"
            found.append(Reason(BOUNCE_RECIPIENTS, options.bounce_recipients_weight, why))
        if options.backscatter and mail.plan.locals:
            loop = asyncio.get_running_loop()
            strange = await loop.run_in_executor(self._disk, self._backscatter, mail)
            if strange:
                # What left a moment ago may not be in the log yet: lines are written together.
                await asyncio.sleep(LOG_LATE_S)
                strange = await loop.run_in_executor(self._disk, self._backscatter, mail)
            found.extend(strange)
        return tuple(found)

    def _backscatter(self, mail: Mail) -> list[Reason]:
        """A reason when the message is a bounce of something we never sent."""
        bounce = bounces.read(trace.beginning(mail.body, bounces.MAX_OCTETS))
        if bounce is None or not (bounce.messages or bounce.recipients):
            return []
        owners = {str(recipient.address) for recipient in mail.envelope.recipients}
        owners |= {str(target.account.address) for target in mail.plan.locals}
        try:
            # The recipient is asked for too: some relays give what they pass on a new Message-ID.
            if self._sent.is_message(bounce.messages):
                return []
            if self._sent.is_recipient(owners, bounce.recipients, now=self._now()):
                return []
        except TemporaryFailure as error:
            _log.error("a bounce is not looked at: %s", error.why)
            return []
        why = "a bounce of a message that was not sent from here in the last 20 days"
        return [Reason(BACKSCATTER, BACKSCATTER_WEIGHT, why)]

    # -- after the verdict ----------------------------------------------------------------

    def wants_codes(self, mail: Mail) -> bool:
        """Whether the filter shall look for one-time codes."""
        return self._options.greylist and mail.account is None

    async def greylist(self, mail: Mail) -> Reply | None:
        """451 for senders that must come again; None for all others."""
        if not self._options.greylist or mail.account is not None or mail.is_relayed:
            return None
        if mail.answer.verdict.unfiltered or is_always_reached(mail) or await self._is_known(mail):
            return None
        options, envelope = self._options, mail.envelope
        sender = envelope.reverse_path
        # A sender with a number for each message (VERP) is one sender.
        name = f"{_DIGITS.sub('#', sender.local.lower())}@{sender.domain}" if sender is not None else ""
        network = network_of(mail.origin.ip, 24, 64)
        triplets = [triplet(network, name, recipient.address.key) for recipient in envelope.recipients]
        waits = Waits(options.greylist_delay_s, options.greylist_window_s, options.greylist_keep_s)
        try:
            wait_s = await self._aside.run(lambda: self._greylist.wait_s(triplets, waits, now=self._now()))
        except TemporaryFailure as error:
            _log.error("greylisting: %s", error.why)
            return None
        if not wait_s:
            return None
        text = f"Your server is new to this recipient: try again in {math.ceil(wait_s)} seconds (greylisting)"
        return Reply(451, "7.1", text, "greylist")

    async def _is_known(self, mail: Mail) -> bool:
        """Authenticated, and either known for wanted mail or bringing a code somebody waits for."""
        verdict = mail.answer.verdict
        domain = _authenticated_domain(mail)
        if not domain:
            return False
        if any(reason.name == ONE_TIME_CODE for reason in verdict.reasons):
            return True
        return await self._reputation.is_wanted("", domain)

    def trapped(self, mail: Mail) -> dict[int, AccountVerdict]:
        """What becomes of copies for spam traps, by target number: Spam, whatever they are, and no rule."""
        return {
            target.number: AccountVerdict(
                target.number,
                "spam",
                mail.answer.verdict.score,
                (FileInto(target.account.filters.spam_folder, create=True),),
                (Reason("trap", 0.0, f"{target.account.address} is a spam trap"),),
            )
            for target in mail.plan.locals
            if target.account.kind == "spamtrap"
        }

    # -- when it is done ------------------------------------------------------------------

    def learn(self, mail: Mail) -> None:
        """Remembers what the message says about its client."""
        if mail.account is not None:
            return
        accounts = [target.account for target in mail.plan.locals]
        for account in accounts:
            if account.kind == "spamtrap":
                self._trapped(mail, str(account.address))
                if self._teaches.enabled:
                    self._disk.submit(self._teach, mail, account)
        verdict = mail.answer.verdict
        is_wanted = verdict.klass != "spam" and verdict.action == "accept" and verdict.score < WANTED_SCORE
        domain = _authenticated_domain(mail)
        welcoming = _welcoming(mail)
        self._count_copies(mail)
        if is_wanted and domain and welcoming:
            self._reputation.wanted(mail.origin.ip, domain)
            if mail.answer.author:
                self._reputation.heard(mail.answer.author, welcoming)

    def _count_copies(self, mail: Mail) -> None:
        found = mail.answer.verdict.authentication
        if mail.answer.verdict.unfiltered or not found.proves_by_signature:
            return
        for domain, body in {(one.domain, one.body) for one in found.dkim if one.result == "pass"}:
            self._reputation.signed(domain, body, len(mail.envelope.recipients))

    def _teach(self, mail: Mail, account: Account) -> None:
        """The trap's domain is trained with what is stored; see app/feedback.py."""
        notes = [
            Note(account.id, self._now(), "trap", "", copy.mailbox, copy.uid)
            for store, copies in mail.stored
            if store.target.account.id == account.id
            for copy in copies
        ]
        try:
            self._feedback.note(notes, most=self._teaches.waiting)
        except TemporaryFailure as failure:
            _log.error("mail for a trap trains nobody: %s", failure.why)

    def alarm(self, mail: Mail) -> None:
        """The operator is told of mail without a verdict: of what killed a filter, and when it is much."""
        verdict, now = mail.answer.verdict, self._now()
        may_be_chance = self._unfiltered.may("", now)
        lines = [
            "Mail is delivered without the filter's verdict and marked so; the last one was"
            f" {mail.envelope.accept_id} ({verdict.unfiltered}).",
            "The log of the filter daemon says more. There is at most one notice a day.",
        ]
        if verdict.aside:
            lines.insert(1, f"A copy of it is kept: 'mailstack filter aside show {verdict.aside}'.")
            about, subject = "filter killed", "A message has stopped the mail filter"
        elif may_be_chance:
            return
        else:
            about, subject = "unfiltered", "Mail is delivered without the filter"
        self._disk.submit(self.tell_operator, about, subject, lines)

    def _trapped(self, mail: Mail, trap: str) -> None:
        ip, options = mail.origin.ip, self._options
        hits = self._reputation.trap(ip, trap)
        self._maillog.write("trap", mail.envelope.accept_id, peer=ip, trap=trap)
        if hits < options.trap_hits:
            return
        network = network_of(ip, 24, 64)
        lines = [
            f"Spam traps here got mail from the network {network} {hits} times in"
            f" {options.trap_s / 86_400:.3g} days; the last one was {trap}, written to from {ip}.",
            f"Its mail is scored {options.trap_weight:g} higher until that is over, unless wanted mail came"
            " from it lately; nothing is refused.",
            "'mailstack client list' shows all such networks, 'mailstack client forget' ends it.",
            "There is at most one notice a day about each network.",
        ]
        self._disk.submit(self.tell_operator, f"trap {network}", f"Spam traps hit from {network}", lines)


def _welcoming(mail: Mail) -> list[int]:
    """Accounts it came to that want it: what a stranger asks for may make it spam to all of them."""
    found = []
    for target in mail.plan.locals:
        said = mail.verdicts.get(target.number)
        wants = said is None or (said.klass != "spam" and said.score < WANTED_SCORE)
        if wants and target.account.kind != "spamtrap":
            found.append(target.account.id)
    return found


def _signatures(header: bytes) -> list[tuple[str, str]]:
    """Domain and body hash of each signature; one in another form is nobody's."""
    found = []
    for field in _SIGNATURE.finditer(header):
        tags = {name: b"".join(value.split()) for name, value in _TAG.findall(field[1])}
        if b"d" in tags and b"bh" in tags:
            domain, body = tags[b"d"].decode("ascii", "replace"), tags[b"bh"].decode("ascii", "replace")
            found.append((domain.lower(), body))
    return found


def is_always_reached(mail: Mail) -> bool:
    """True when all recipients are postmaster and abuse, whatever is thought of the sender."""
    return all(r.address.local.lower() in ALWAYS_REACHED for r in mail.envelope.recipients)


def _authenticated_domain(mail: Mail) -> str:
    """The domain that stands behind the message by DMARC; "" for none."""
    verdict = mail.answer.verdict
    if verdict.unfiltered or verdict.authentication.dmarc.result != "pass":
        return ""
    return verdict.authentication.dmarc.domain
