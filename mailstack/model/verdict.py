"""What the filter says about a message: one message verdict, one per account.

These values cross the filter socket (msgspec), so they are Structs.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from mailstack.model.lessons import Digest, Lesson

Class: TypeAlias = Literal["ham", "spam", "promotions", "social"]
MessageAction: TypeAlias = Literal["accept", "junk", "reject", "tempfail"]
#: What is wanted of the filter: a verdict, what a stored message could teach, or what lessons come to.
Wanted: TypeAlias = Literal["verdict", "digest", "corrections"]


class Reason(msgspec.Struct, frozen=True, array_like=True):
    """One reason of a verdict: a fixed name, its weight (log-odds), a sentence."""

    name: str
    weight: float
    why: str = ""


class SpfResult(msgspec.Struct, frozen=True):
    """`result` is an RFC 8601 word; `domain` the checked identity's domain."""

    result: str = "none"
    domain: str = ""
    why: str = ""


class DkimResult(msgspec.Struct, frozen=True):
    """One signature.  `body`: of a pass, bh= without spaces."""

    result: str
    domain: str = ""
    selector: str = ""
    why: str = ""
    body: str = ""


class PublishedPolicy(msgspec.Struct, frozen=True):
    """What a DMARC record says, for the reports its domain asks for.

    Attributes:
        domain: where the record was found.
        rua: where reports go, as it stands in the record.
        organization: the organizational domain of the author.
        p, sp, np: policies; "" where a tag is absent.
    """

    domain: str
    p: str
    rua: str
    organization: str
    sp: str = ""
    np: str = ""
    adkim: str = "r"
    aspf: str = "r"
    fo: str = ""
    is_testing: bool = False


class DmarcResult(msgspec.Struct, frozen=True):
    """`policy` none, quarantine, reject or None; `disposition` what was applied.

    Attributes:
        published: None where no reports are wanted; then nobody looks at the following.
        is_dkim_aligned, is_spf_aligned: which of them made it pass.
        problem: what is wrong with the records of the domain, or with the author; "" for nothing.
        override: why less was applied than the policy asks for, as RFC 9990 names it; "": it was not.
        override_why: the same in words.
    """

    result: str = "none"
    domain: str = ""
    policy: str | None = None
    disposition: str = "none"
    why: str = ""
    published: PublishedPolicy | None = None
    is_dkim_aligned: bool = False
    is_spf_aligned: bool = False
    problem: str = ""
    override: str = ""
    override_why: str = ""


class ArcResult(msgspec.Struct, frozen=True):
    """Chain validation: none, pass or fail (RFC 8617).

    Attributes:
        sealer: domain of the newest seal of a chain that holds.
        vouches: the listed sealer that tells of a DMARC pass of the author's domain; "" for none.
        oldest_pass: since which set nothing was changed; 0: since the first.
    """

    result: str = "none"
    why: str = ""
    sealer: str = ""
    vouches: str = ""
    oldest_pass: int = 0


class Authentication(msgspec.Struct, frozen=True):
    """Who sent it, as far as DNS and signatures tell."""

    spf: SpfResult = SpfResult()
    helo_spf: SpfResult = SpfResult()
    dkim: tuple[DkimResult, ...] = ()
    dmarc: DmarcResult = DmarcResult()
    arc: ArcResult = ArcResult()

    @property
    def proves_author_only(self) -> bool:
        """True when a signature of the author's domain is all there is."""
        return self.dmarc.result == "pass" and self.spf.result != "pass"

    @property
    def proves_by_signature(self) -> bool:
        """True when the author is proven by a signature and not by where it comes from (T24)."""
        return self.dmarc.result == "pass" and self.dmarc.is_dkim_aligned and not self.dmarc.is_spf_aligned

    def proves(self, sender: str, *, author: str) -> bool:
        """True when a DSN to the envelope sender is no backscatter.

        SPF speaks for the sender's domain; a signature only for the author it signed, whose
        message anybody may send again under a sender of his choice.

        Args:
            sender: key of the envelope sender.
            author: key of the only address in From; "" for none.
        """
        return self.spf.result == "pass" or (self.proves_author_only and sender == author != "")


class Edited(msgspec.Struct, frozen=True):
    """A message a script changed, without our own fields on top.

    Attributes:
        head: its header; with the empty line when there is a body.
        body: what follows; None: as it came.
        body_at: where that begins in the message that came.
    """

    head: bytes
    body: bytes | None = None
    body_at: int = 0


class Keep(msgspec.Struct, frozen=True, tag="keep"):
    """Into the inbox, or where the implicit keep goes: the mailbox is filled in."""

    mailbox: str = "INBOX"
    flags: tuple[str, ...] = ()
    implicit: bool = False
    edited: Edited | None = None


class FileInto(msgspec.Struct, frozen=True, tag="fileinto"):
    """Into a named mailbox."""

    mailbox: str
    flags: tuple[str, ...] = ()
    create: bool = False
    edited: Edited | None = None


class Redirect(msgspec.Struct, frozen=True, tag="redirect"):
    """On to another address.

    Attributes:
        notify, ret: DSN wishes of the rule (RFC 6009); None: those of the message.
        envelope_from: sender the operator's settings want; None: as for all that is sent on.
    """

    address: str
    notify: str | None = None
    ret: str | None = None
    envelope_from: str | None = None
    edited: Edited | None = None


class RejectMail(msgspec.Struct, frozen=True, tag="reject"):
    """Refuse for this recipient, with the owner's words."""

    text: str
    ereject: bool = False


class Claim(msgspec.Struct, frozen=True):
    """What must be free before an automatic answer leaves, and is taken then.

    Attributes:
        id: which answer to whom.
        who: whom, as the owner sees it.
        period_s: how long it stays taken.
        handle: of the answer, as its script says; "": it does not.
    """

    id: str
    who: str
    period_s: float
    handle: str = ""


class SendMail(msgspec.Struct, frozen=True, tag="send"):
    """A composed message for the queue.

    Attributes:
        why: "vacation" or "notify".
        claim: of an automatic answer; None for a notification.
        copy: where the owner keeps one (RFC 8580); None: nowhere.
    """

    envelope_from: str
    recipients: tuple[str, ...]
    message: bytes
    why: Literal["vacation", "notify"] = "vacation"
    claim: Claim | None = None
    copy: FileInto | None = None


class DiscardMail(msgspec.Struct, frozen=True, tag="discard"):
    """The owner wants it gone; logged, never silent."""


AccountAction: TypeAlias = Keep | FileInto | Redirect | RejectMail | SendMail | DiscardMail


class ScriptFailed(msgspec.Struct, frozen=True):
    """A script that did not compile, or did not run to its end.

    Attributes:
        script: name of the step (filters/scripts.py).
        version: hash of its source.
        why: line and reason.
        died: the filter ended while it ran.
    """

    script: str
    version: bytes
    why: str
    died: bool = False


class VirusScan(msgspec.Struct, frozen=True):
    """What a virus scanner said.

    Attributes:
        result: "" when none was asked.
        name: of what was found.
        why: it was not scanned.
        is_unwelcome: it goes to Spam at least, whatever lists and switches say.
    """

    result: Literal["", "clean", "found", "unscanned"] = ""
    name: str = ""
    why: str = ""
    is_unwelcome: bool = False


class MessageVerdict(msgspec.Struct, frozen=True):
    """About the message as a whole.

    Attributes:
        score: calibrated probability of spam, 0 to 1.
        action: what SMTP should do.
        reply_text: for "reject" and "tempfail": code, status and words.
        unfiltered: "" or why no filter ran ("timeout", "filter down", ...).
        aside: under which id the operator finds a copy, because it killed a filter; "": nowhere.
    """

    klass: Class = "ham"
    score: float = 0.0
    action: MessageAction = "accept"
    reasons: tuple[Reason, ...] = ()
    authentication: Authentication = Authentication()
    reply_code: int = 0
    reply_status: str = ""
    reply_text: str = ""
    unfiltered: str = ""
    aside: str = ""
    virus: VirusScan = VirusScan()


class AccountVerdict(msgspec.Struct, frozen=True):
    """About one local account's copy.

    Attributes:
        recipient: number of the recipient in the request.
        klass: class for this account (lists and deltas may differ from the message's).
        actions: in order; empty never means loss: it then means an implicit keep.
        reasons: what this account's lists and rules added.
        script_error: a Sieve run-time error in words; "" when fine.
        failed: the script it happened in.
        notes: what each script decided, and what of it cannot be, in words.
        marks: ids to remember once the message is delivered, and for how many seconds.
        cpu_s: what its scripts cost; 0 when too little to count.
        is_outside: its domain wants it marked as mail from outside.
    """

    recipient: int
    klass: Class
    score: float
    actions: tuple[AccountAction, ...]
    reasons: tuple[Reason, ...] = ()
    script_error: str = ""
    failed: ScriptFailed | None = None
    notes: tuple[str, ...] = ()
    marks: tuple[tuple[str, float], ...] = ()
    cpu_s: float = 0.0
    is_outside: bool = False


class FilterRecipient(msgspec.Struct, frozen=True):
    """One local account the message is for.

    Attributes:
        number: deterministic: position in the expanded list, 1-based.
        account_id: directory id.
        address: the account's own address.
        original: the address written to (alias, plus form, catch-all hit).
        catch_all: the written address does not exist.
        notify, orcpt: what the sender wishes to hear (RFC 3461); "": not said.
    """

    number: int
    account_id: int
    address: str
    original: str
    catch_all: bool = False
    notify: str = ""
    orcpt: str = ""


class FilterRequest(msgspec.Struct, frozen=True):
    """What smtp asks.  The message travels in memory or as a file path.

    Attributes:
        ip, helo: who sent it; behind a trusted relay who gave it to that.  "" when unknown.
        hints: what smtp knows beside the message; their weights add to the score.
        wants_codes: a reason shall say whether it holds a one-time code.
        ret, envid: parameters of MAIL FROM (RFC 3461); "": not given.
        wants: for anything but a verdict no recipients are wanted.
        lessons: oldest first, to make corrections of.
    """

    accept_id: str
    ip: str
    helo: str
    sender: str
    recipients: tuple[FilterRecipient, ...]
    received_at: float
    message: bytes | None = None
    path: str = ""
    size_octets: int = 0
    tls: str = ""
    login: str = ""
    smtputf8: bool = False
    hints: tuple[Reason, ...] = ()
    wants_codes: bool = False
    ret: str = ""
    envid: str = ""
    wants: Wanted = "verdict"
    lessons: tuple[Lesson, ...] = ()


class FilterAnswer(msgspec.Struct, frozen=True):
    """What filter says.

    Attributes:
        cuts: byte ranges [start, end) of header fields to leave out of stored copies
            (forged Authentication-Results, X-Spam-*, X-Mailstack-*); ascending.
        results_header: value of our Authentication-Results field, without name, folded with CRLF.
        received_spf: the same of a Received-SPF field; "": none is wanted.
        digest, corrections: what was wanted instead of a verdict.
        author: key of the only address in From; "" when there is none.
    """

    verdict: MessageVerdict
    accounts: tuple[AccountVerdict, ...] = ()
    cuts: tuple[tuple[int, int], ...] = ()
    results_header: str = ""
    received_spf: str = ""
    digest: Digest | None = None
    corrections: bytes = b""
    author: str = ""
