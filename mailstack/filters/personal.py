"""What a message is for one account: the shared verdict, and what only its owner knows.

The logit of an account is that of the message, plus what the owner and the domain taught
(filters/spam/learned.py), plus what follows from whom the owner knows.  Every part is a
reason with its weight, so that all reasons together add up to the account's score.  SMTP's
own decisions look at the message's score alone: what one user taught refuses nobody's mail.

Source: product page, sections 2.4 and 2 ("Feedback"); T46.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mailstack.filters import attachment_rules, lists
from mailstack.filters.authentication.dmarc import Author
from mailstack.filters.classes import bulk
from mailstack.filters.classes.bulk import Classified
from mailstack.filters.classes.services import Services
from mailstack.filters.document import Document
from mailstack.filters.facts import AccountFacts
from mailstack.filters.once import once
from mailstack.filters.spam import features, model
from mailstack.filters.spam.score import Score
from mailstack.mime import links
from mailstack.model.directory import AttachmentRules
from mailstack.model.verdict import Authentication, Class, Reason

#: An authenticated sender the account has written to.
CORRESPONDENT_WEIGHT = -2.0
#: An answer to mail of the account, or in a conversation it takes part in.
ANSWER_WEIGHT = -1.5
#: An authenticated sender whose wanted mail came to the account on several days.
HEARD_WEIGHT = -1.0
#: The same, to other accounts of this server only.
HEARD_HERE_WEIGHT = -0.3
#: So many days make a sender known: whoever begins with a harmless word is not.
KNOWN_DAYS = 3
#: Message ids an answer names that are looked for.
MAX_IDS = 20
#: What an account must have taught to file what is in doubt for everybody, in log-odds.
SURE_SHIFT = 1.0
#: A probability is never taken to be nearer to 0 or 1 than this.
_EDGE = 1e-9


class Material:
    """What was found about a message, for the judges of all its accounts.

    Attributes:
        spam: for everybody.
        threshold: the probability from which mail is spam.
        is_policy_junk: its domain's policy wants it set aside, whatever stands in it.
    """

    def __init__(
        self,
        document: Document,
        found: Authentication,
        author: Author,
        spam: Score,
        *,
        threshold: float,
        is_policy_junk: bool,
        services: Services | None = None,
        prior: model.Model | None = None,
    ) -> None:
        """`services`, `prior`: of the classes; None: those that come with mailstack, and none."""
        self._document = document
        self.found = found
        self.author = author
        self.spam = spam
        self.threshold = threshold
        self.is_policy_junk = is_policy_junk
        self._services, self._prior = services, prior
        self._unwelcome: dict[AttachmentRules, attachment_rules.Finding | None] = {}

    @once
    def indexes(self) -> Sequence[int]:
        """The features of the message."""
        known = self.spam.indexes
        return features.tokens(self._document).indexes if known is None else known

    @once
    def classified(self) -> Classified:
        """What it is when it is not spam."""
        return bulk.classify(
            self._document,
            self.found,
            known=self._services,
            model=self._prior,
            indexes=lambda: self.indexes,
        )

    def unwelcome(self, rules: AttachmentRules) -> attachment_rules.Finding | None:
        """The attachment a domain does not take; looked for once for all its addresses."""
        if rules not in self._unwelcome:
            self._unwelcome[rules] = attachment_rules.find(self._document.attachments, rules)
        return self._unwelcome[rules]

    @once
    def exemption(self) -> str:
        """Why it is never promotion or social, for nobody; "" when it may be."""
        return bulk.exemption(self._document)

    @once
    def answers(self) -> Sequence[str]:
        """Message ids it answers."""
        header = self._document.header
        found: list[bytes] = []
        for name in (b"references", b"in-reply-to"):
            found += [id_ for field in header.all(name)[:1] for id_ in links.read(field.raw).ancestors]
        return [f"<{id_.decode('utf-8', 'replace')}>" for id_ in dict.fromkeys(found[-MAX_IDS:])]

    @once
    def is_author_proven(self) -> bool:
        """True when whoever From names stands behind it."""
        domain = self.author.address.rpartition("@")[2]
        return bool(domain) and lists.is_author_authenticated(domain, self.found)


@dataclass(frozen=True, slots=True)
class Personal:
    """What it is for one account.  `reasons`: those the account adds."""

    klass: Class
    score: float
    reasons: tuple[Reason, ...]


class Acquaintance:
    """How well an account knows the sender; looked up once, when first asked."""

    def __init__(self, material: Material, facts: AccountFacts) -> None:
        self._material = material
        self._around = facts.around

    @once
    def is_answer(self) -> bool:
        """It answers mail of the account."""
        ids = self._material.answers
        return bool(ids) and self._around.has_written(ids)

    @once
    def is_correspondent(self) -> bool:
        """The account has written to whom From names."""
        author = self._material.author.address
        return bool(author) and self._around.is_correspondent(author)

    @once
    def reasons(self) -> tuple[Reason, ...]:
        """What speaks for the sender; nothing that anybody could claim does."""
        material = self._material
        if not material.is_author_proven:
            return ()
        if self.is_correspondent:
            return (Reason("correspondent", CORRESPONDENT_WEIGHT, "you have written to this sender"),)
        if self.is_answer:
            return (Reason("answer", ANSWER_WEIGHT, "it answers mail of yours"),)
        heard = self._around.heard(material.author.address)
        if heard.own >= KNOWN_DAYS:
            why = f"wanted mail of this sender came on {heard.own} days"
            return (Reason("known_sender", HEARD_WEIGHT, why),)
        if heard.here >= KNOWN_DAYS:
            why = f"wanted mail of this sender came to others here on {heard.here} days"
            return (Reason("known_here", HEARD_HERE_WEIGHT, why),)
        return ()

    @property
    def is_stranger(self) -> bool:
        """Nothing says that the owner knows whom it comes from."""
        return all(reason.name == "known_here" for reason in self.reasons)


def judge(material: Material, facts: AccountFacts) -> Personal:
    """The class and score for one account, before its lists."""
    spam = material.spam
    if spam.is_fixed:
        return Personal("spam", spam.probability, ())
    known = Acquaintance(material, facts)
    reasons = list(_taught_spam(material, facts))
    reasons += known.reasons
    if known.is_stranger:
        reasons += spam.for_strangers
    score = spam.probability
    if reasons:
        before = model.to_logit(min(max(score, _EDGE), 1 - _EDGE))
        score = model.probability(before + sum(reason.weight for reason in reasons))
    if score >= material.threshold:
        return Personal("spam", score, tuple(reasons))
    klass, more = _class(material, facts, known)
    if klass != "ham" and spam.probability >= material.threshold:
        # Spam for everybody else, so nobody has said yet what else it is.
        more = (*more, *material.classified.reasons)
    return Personal(klass, score, (*reasons, *more))


def _taught_spam(material: Material, facts: AccountFacts) -> list[Reason]:
    found = []
    for name, learned, who in (
        ("learned", facts.learned, "you"),
        ("learned_domain", facts.domain.learned, "your domain"),
    ):
        weight = learned.spam(material.indexes) if learned else 0.0
        if weight:
            what = "marked as spam" if weight > 0 else "wanted"
            found.append(Reason(name, round(weight, 4), f"it is like mail {who} {what}"))
    return found


def _class(material: Material, facts: AccountFacts, known: Acquaintance) -> tuple[Class, tuple[Reason, ...]]:
    """The class of mail that is not spam for this account."""
    shared = material.classified
    klass: Class = shared.klass
    reasons: tuple[Reason, ...] = ()
    if facts.learned or facts.domain.learned:
        klass, reasons = _taught_class(material, facts)
    if klass == "ham":
        return klass, reasons
    why = _never(material, known)
    if why:
        return "ham", (*reasons, Reason("personal", 0.0, why))
    return klass, reasons


def _taught_class(material: Material, facts: AccountFacts) -> tuple[Class, tuple[Reason, ...]]:
    shared = material.classified
    own, domain = (one.classes(material.indexes) for one in (facts.learned, facts.domain.learned))
    shifts = {name: own[name] + domain[name] for name in own}
    if not any(shifts.values()):
        return shared.klass, ()
    logits = {name: shared.logits.get(name, model.NEUTRAL_CLASS) + shift for name, shift in shifts.items()}
    klass = bulk.best(logits)
    if klass == shared.klass:
        return klass, ()
    if klass != "ham" and shared.klass == "ham":
        is_doubted = shared.logits.get(klass, -1.0) >= 0
        if material.exemption or (is_doubted and shifts[klass] < SURE_SHIFT):
            return "ham", ()
    why = (
        "it is like mail you moved out of that folder"
        if klass == "ham"
        else "it is like mail you moved there"
    )
    name = shared.klass if klass == "ham" else klass
    return klass, (Reason(f"{name}.learned", round(shifts[name], 4), why),)


def _never(material: Material, known: Acquaintance) -> str:
    """Why this account never finds it in a class folder; "" when it may.

    Source: product page, section 2.4; T46: past correspondents and replies.
    """
    if known.is_answer:
        return "it answers mail of yours"
    # A name anybody can write into From must not be denied by DMARC, that is all: it is only filed.
    if material.found.dmarc.result != "fail" and known.is_correspondent:
        return "you have written to this sender"
    return ""
