"""The probability that a message is spam: the classifier's logit plus a few rules.

Every part is a named reason whose weight is its share of the logit, so that the weights
add up to the score (product page, section 2: each decision is explained).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mailstack.filters.authentication.dmarc import Author
from mailstack.filters.document import Document, attachments
from mailstack.filters.hints import BACKSCATTER
from mailstack.filters.spam.features import tokens
from mailstack.filters.spam.model import Model, probability, to_logit
from mailstack.model.verdict import Authentication, Reason

#: https://spamassassin.apache.org/gtube/ : any filter calls this spam, so filing can be tried out.
GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
GTUBE_SCORE = 0.999
#: Of a bounce of something we never sent.
BACKSCATTER_SCORE = 0.95
#: Logit of a message nothing is known about, when there is no model.
NEUTRAL_LOGIT = -2.2
#: Words named as reasons.
MAX_WORDS = 8
#: A mail program runs these; nobody sends them in good faith any more.
_PROGRAMS = (".exe", ".scr", ".pif", ".bat", ".cmd", ".vbs", ".jse", ".wsf", ".hta", ".lnk")


@dataclass(frozen=True, slots=True)
class Score:
    """Probability of spam, 0 to 1, and what it is made of.

    Attributes:
        reasons: what counts for everybody.
        for_strangers: what counts only where nobody knows the sender (filters/personal.py).
        is_fixed: nothing anybody taught or listed changes it.
        indexes: the features of the message (`model.indexes`), where they were looked at.
    """

    probability: float
    reasons: tuple[Reason, ...]
    for_strangers: tuple[Reason, ...] = ()
    is_fixed: bool = False
    indexes: Sequence[int] | None = None


def score(
    document: Document,
    found: Authentication,
    author: Author,
    model: Model | None,
    *,
    outside: Iterable[Reason] = (),
) -> Score:
    """Scores one message.

    Args:
        outside: what is known beside the message: its client, traps, forged bounces.
    """
    if GTUBE in document.text:
        why = "the test text for spam filters"
        return Score(GTUBE_SCORE, (Reason("gtube", to_logit(GTUBE_SCORE), why),), is_fixed=True)
    reasons = [*_learned(document, model), *_rules(document, found, author), *outside]
    if any(reason.name == BACKSCATTER for reason in reasons):
        return Score(BACKSCATTER_SCORE, tuple(reasons), is_fixed=True)
    return Score(probability(sum(reason.weight for reason in reasons)), tuple(reasons))


def _learned(document: Document, model: Model | None) -> Iterator[Reason]:
    if model is None:
        yield Reason("prior", NEUTRAL_LOGIT, "there is no trained model")
        return
    neutral = model.logit(())
    logit, largest = model.judge(tokens(document), MAX_WORDS)
    yield Reason("prior", round(neutral, 4), "before anything is known")
    words = " ".join(token for weight, token in largest if abs(weight) >= 0.02)
    yield Reason("words", round(logit - neutral, 4), words)


def _rules(document: Document, found: Authentication, author: Author) -> Iterator[Reason]:
    yield from _sender_rules(found, author)
    if any(name.endswith(_PROGRAMS) for name in attachments(document)):
        yield Reason("program_attached", 2.0, "a program is attached")
    header = document.header
    if header.has(b"list-unsubscribe") and not header.has(b"list-post"):
        if found.dmarc.result == "pass":
            yield Reason("honest_bulk", -2.0, "an authenticated sender lets readers unsubscribe")
        else:
            yield Reason("polite_bulk", -1.0, "the sender lets readers unsubscribe")


def _sender_rules(found: Authentication, author: Author) -> Iterator[Reason]:
    dmarc = found.dmarc
    if dmarc.result == "pass":
        yield Reason("dmarc_pass", -0.6, f"{dmarc.domain} stands behind it")
    elif dmarc.result == "fail" and dmarc.policy in ("quarantine", "reject"):
        yield Reason("dmarc_fail", 1.5, f"{dmarc.domain} does not stand behind it")
    elif dmarc.result == "fail" and dmarc.policy == "none":
        yield Reason("dmarc_fail_none", 0.4, f"{dmarc.domain} does not vouch for it")
    if author.count and author.problem:
        yield Reason("author_unreadable", 1.5, author.problem)
    elif not author.count:
        yield Reason("author_missing", 0.5, author.problem)
    elif len(author.domains) > 1:
        yield Reason("authors_several", 1.0, "the author field names several domains")
    if found.spf.result == "fail":
        yield Reason("spf_fail", 0.8, f"{found.spf.domain} does not send from there")
    elif found.spf.result == "softfail":
        yield Reason("spf_softfail", 0.3, f"{found.spf.domain} rather does not send from there")
