"""One message through everything: who sent it, do we want it, where does each copy go.

A pure, re-runnable evaluation: `step(lookup)` either gives the answer or raises
NeedLookup after recording what it has to know; what is done stays done for the next run.

    authenticate   SPF, DKIM, DMARC, ARC
    classify       spam; of the rest promotions and social
    dispose        the DMARC policy, and what SMTP shall do
    accounts       lists, then the account's own script (filters/accounts.py)

Order of filing: product page, section 2.8.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

import msgspec

from mailstack.filters import accounts, block_lists, client, disposition, explain, outside, virus
from mailstack.filters.authentication import dmarc, received_spf, results
from mailstack.filters.authentication.sender import Sender, problems
from mailstack.filters.case import MAX_WISHES_OCTETS
from mailstack.filters.classes import words
from mailstack.filters.classes.bulk import Classified
from mailstack.filters.document import Document, read
from mailstack.filters.edits import View
from mailstack.filters.facts import AccountFacts, Tools
from mailstack.filters.fields import Header
from mailstack.filters.hints import ONE_TIME_CODE, REPLAY, TRAP_NETWORK
from mailstack.filters.personal import Material
from mailstack.filters.spam.score import Score, score
from mailstack.model.dns import Lookup, NeedLookup
from mailstack.model.verdict import (
    AccountVerdict,
    Authentication,
    FilterAnswer,
    FilterRequest,
    MessageVerdict,
    Reason,
    VirusScan,
)

#: Messages up to here are shown to scripts with our own header fields on top.
MAX_SCRIPT_VIEW_OCTETS = 1_048_576
_encode = msgspec.msgpack.Encoder().encode


class Evaluation:
    """The evaluation of one message.

    Attributes:
        steps: how often it was run, for the log.
    """

    def __init__(
        self, request: FilterRequest, message: bytes, facts: Mapping[int, AccountFacts], tools: Tools
    ) -> None:
        """`facts`: by account id; an account without facts is treated with the defaults."""
        self._request = request
        self._message = message
        self._facts = facts
        self._tools = tools
        self._header = Header(message)
        self._author = dmarc.find_author(self._header)
        self._sender = Sender(
            request,
            message,
            self._header,
            author=self._author,
            sealers=tools.options.arc_sealers,
            memory=tools.senders,
        )
        self._outside: tuple[Reason, ...] | None = None
        self._virus = None if tools.on_virus else VirusScan()
        self.steps = 0

    def step(self, lookup: Lookup) -> FilterAnswer:
        """The answer.

        Raises:
            NeedLookup: questions are recorded in `lookup`; run again with the answers.
        """
        self.steps += 1
        cuts = results.find_cuts(self._header, self._tools.names)
        if self._request.login:
            return self._submission(cuts)
        found = self._authenticate(lookup)
        document = read(self._message, self._header)
        spam = score(
            document,
            found,
            self._author,
            self._tools.model,
            knowledge=self._tools.knowledge,
            outside=self._told_outside(found),
        )
        verdict, material = self._judge(document, found, spam)
        if self._virus is not None and self._virus.result:
            verdict = virus.apply(verdict, self._virus, self._tools.on_virus)
        value = results.build(
            self._tools.authserv_id,
            verdict.authentication,
            sender=self._request.sender,
            helo=self._request.helo,
            ip=self._request.ip,
        )
        spf_value = ""
        if self._tools.options.received_spf:
            spf_value = received_spf.build(self._tools.authserv_id, found.spf, self._request)
        said = self._accounts(verdict, material, cuts, value)
        return FilterAnswer(verdict, said, cuts, value, spf_value, author=self._author.address)

    def _submission(self, cuts: tuple[tuple[int, int], ...]) -> FilterAnswer:
        """Mail of our own users: only the recipients' own rules."""
        value = results.build_submission(self._tools.authserv_id, self._request.login)
        verdict = MessageVerdict(reasons=(Reason("authenticated", 0.0, "sent by a user of ours"),))
        return FilterAnswer(verdict, self._accounts(verdict, None, cuts, value), cuts, value)

    # -- who sent it -----------------------------------------------------------------

    def _authenticate(self, lookup: Lookup) -> Authentication:
        found = None
        with contextlib.suppress(NeedLookup):
            found = self._sender.check(lookup)
        if self._outside is None:
            hasty = Lookup(lookup.known)
            try:
                self._outside = self._look_outside(hasty)
            except NeedLookup:
                lookup.add_hasty(hasty)
        if self._virus is None:
            with contextlib.suppress(NeedLookup):
                self._virus = virus.ask(lookup)
        if found is None or self._outside is None or self._virus is None:
            raise NeedLookup
        return found

    def _look_outside(self, lookup: Lookup) -> tuple[Reason, ...]:
        """What is known beside the message: block lists, the client's names, smtp's hints."""
        request, options = self._request, self._tools.options
        if options.block_list:
            for _, name in block_lists.questions(request.ip, options.block_list):
                lookup.prefetch(name, "A")
        seen = client.Client()
        if options.client_facts:
            seen = client.check(
                request.ip, request.helo, ours=self._tools.names, lookup=lookup, memory=self._tools.clients
            )
        listed = block_lists.check(
            request.ip, options.block_list, lookup, max_weight=options.block_lists_weight
        )
        hints = request.hints
        if hints and any(f".{seen.name}".endswith(f".{big}") for big in options.big_providers):
            hints = tuple(hint for hint in hints if hint.name != TRAP_NETWORK)
        return (*hints, *seen.reasons, *listed)

    def _told_outside(self, found: Authentication) -> Sequence[Reason]:
        """What was found outside, as far as it says something of this message."""
        if found.proves_by_signature:
            return self._outside or ()
        return [reason for reason in self._outside or () if reason.name != REPLAY]

    # -- do we want it ---------------------------------------------------------------

    def _judge(
        self, document: Document, found: Authentication, spam: Score
    ) -> tuple[MessageVerdict, Material]:
        is_spam = spam.probability >= self._tools.options.spam_score
        decided = self._dispose(found, is_spam=is_spam)
        # T20: several From fields show different authors to different readers.
        is_forged = self._author.count > 1
        material = Material(
            document,
            found,
            self._author,
            spam,
            threshold=self._tools.options.spam_score,
            is_policy_junk=is_forged or decided.action != "accept",
            services=self._tools.services,
            prior=self._tools.model,
        )
        classified = Classified("spam") if is_spam else material.classified
        policy = msgspec.structs.replace(
            found.dmarc,
            disposition=decided.applied,
            override=decided.override,
            override_why=decided.why if decided.override else "",
        )
        found = msgspec.structs.replace(found, dmarc=policy)
        reasons = [*spam.reasons, *classified.reasons, *problems(found)]
        if self._request.wants_codes and words.is_code(document.subject, document.text[:2_000]):
            reasons.append(Reason(ONE_TIME_CODE, 0.0, "it holds a one-time code"))
        if decided.why:
            reasons.append(Reason("dmarc_policy", 0.0, decided.why))
        verdict = MessageVerdict(
            classified.klass, spam.probability, "junk" if is_spam else "accept", tuple(reasons), found
        )
        if decided.action == "reject":
            return refuse(verdict, decided.reply), material
        if is_forged:
            return refuse(verdict, "The message has more than one From field"), material
        if decided.action == "junk":
            verdict = msgspec.structs.replace(verdict, action="junk")
        return verdict, material

    def _dispose(self, found: Authentication, *, is_spam: bool) -> disposition.Disposition:
        if found.dmarc.result != "fail":
            return disposition.NOTHING
        results_ = [found.spf.result, *(d.result for d in found.dkim)]
        return disposition.decide(
            found.dmarc,
            mode=self._tools.options.dmarc_on_reject,
            is_spam=is_spam,
            is_definite=bool(self._request.ip) and "temperror" not in results_,
            detour=disposition.find_detour(self._header, self._author, found, self._request.sender),
            exception=disposition.find_exception(
                found, self._author, self._tools.options, ip=self._request.ip
            ),
        )

    # -- where does each copy go -----------------------------------------------------

    def _accounts(
        self,
        verdict: MessageVerdict,
        material: Material | None,
        cuts: tuple[tuple[int, int], ...],
        results_header: str,
    ) -> tuple[AccountVerdict, ...]:
        request = self._request

        shown: dict[bytes, View] = {}

        def view(said: AccountVerdict) -> View:
            own = b""
            if len(self._message) <= MAX_SCRIPT_VIEW_OCTETS:
                own = f"Authentication-Results: {results_header}\r\n".encode()
                own += explain.headers(verdict, said, required=self._tools.options.spam_score)
            if own not in shown:
                shown.clear()
                shown[own] = self._script_view(cuts, own)
            return shown[own]

        out = []
        room = MAX_WISHES_OCTETS
        share = room // max(1, len(request.recipients))
        for number, recipient in enumerate(request.recipients, 1):
            # Nobody's wishes take the room of those who come later.
            kept_free = share * (len(request.recipients) - number)
            facts = self._facts.get(recipient.account_id, AccountFacts())
            author, policy = self._author.address, facts.domain.policy
            is_outside = policy.marks_outside and outside.is_outside(
                request.login, author, verdict.authentication, policy.names | policy.inside
            )
            judge = accounts.Judge(
                request, recipient, facts, verdict, material, author=author, is_outside=is_outside
            )
            said = judge.decide(self._tools.rules, view, room - kept_free)
            if is_outside:
                said = self._marked(said, policy.outside_prefix, cuts, room - kept_free)
            room -= len(_encode(said.actions))
            out.append(said)
        return tuple(out)

    def _marked(
        self, said: AccountVerdict, prefix: str, cuts: tuple[tuple[int, int], ...], room: int
    ) -> AccountVerdict:
        """With the marks of mail from outside; subjects stay as they are where there is no room."""
        fields = self._header.fields
        end = fields[-1].end if fields else 0
        head = self._without(cuts, end) if prefix else b""
        marked = outside.mark(said, prefix, head, end)
        if prefix and len(_encode(marked.actions)) > room:
            return outside.mark(said, "", head, 0)
        return marked

    def _script_view(self, cuts: tuple[tuple[int, int], ...], own: bytes) -> View:
        """The message as it will be stored, as far as a script may ask about it."""
        whole = len(self._message)
        return View(own + self._without(cuts, whole), own, whole)

    def _without(self, cuts: tuple[tuple[int, int], ...], end: int) -> bytes:
        """The message up to there without the fields that are cut; lines that are no field stay (M18)."""
        pieces, at = [], 0
        for start, stop in cuts:
            pieces.append(self._message[at:start])
            at = stop
        return b"".join([*pieces, self._message[at:end]])


def refuse(verdict: MessageVerdict, words: str) -> MessageVerdict:
    """The verdict as a refusal: 550 5.7.1."""
    return msgspec.structs.replace(
        verdict, action="reject", reply_code=550, reply_status="7.1", reply_text=words[:400]
    )
