"""The probability that a message is spam: the classifier's logit, the signs and the sender's proofs.

Every part is a named reason whose weight is its share of the logit, so that the weights
add up to the score (product page, section 2: each decision is explained).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mailstack.filters.authentication.dmarc import Author
from mailstack.filters.document import Document
from mailstack.filters.hints import BACKSCATTER
from mailstack.filters.signs import find as signs
from mailstack.filters.signs.knowledge import Knowledge
from mailstack.filters.spam.features import tokens
from mailstack.filters.spam.model import Model, probability, to_logit
from mailstack.filters.spam.spoken import spoken
from mailstack.model.verdict import Authentication, Reason

#: https://spamassassin.apache.org/gtube/ : any filter calls this spam, so filing can be tried out.
GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
GTUBE_SCORE = 0.999
#: Of a bounce of something we never sent.
BACKSCATTER_SCORE = 0.95
#: Logit of a message nothing is known about, when there is no model.
NEUTRAL_LOGIT = -2.2
#: What is taken off beforehand because most mail, wanted too, has one sign or other.
SIGNS_LOGIT = -0.7
#: Words named as reasons.
MAX_WORDS = 8
#: Characters of one that people are shown.
MAX_NAMED = 60
#: Signs that a way to unsubscribe does not excuse.
_UNEXCUSED = frozenset(
    {
        *("brand_and_wish", "brand_disguised", "brand_name_free", "brand_forged", "brand_name", "relayed"),
        *("wants_extortion", "wants_easy_money", "wants_esoteric", "wants_gambling", "wants_advance_fee"),
        *("wants_loan", "wants_wallet", "wants_mail_login", "wish_in_page", "wish_of_outsider"),
        *("wants_romance", "wants_replica", "wants_register", "wants_job_fee", "wants_pay_elsewhere"),
        *("brand_answers_to_free", "wish_of_no_host", "wish_of_no_state", "free_mail_trade"),
    }
)


@dataclass(frozen=True, slots=True)
class Score:
    """Probability of spam, 0 to 1, and what it is made of.

    Attributes:
        reasons: what counts for everybody.
        for_strangers: what counts only where nobody knows the sender (filters/personal.py).
        is_fixed: nothing anybody taught or listed changes it.
        indexes: the features of the message (`hashing.Tokens.indexes`), where they were looked at.
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
    knowledge: Knowledge | None = None,
    outside: Iterable[Reason] = (),
) -> Score:
    """Scores one message.

    Args:
        knowledge: what the signs know; what comes with the package when left out.
        outside: what is known beside the message: its client, traps, forged bounces.
    """
    if GTUBE in document.text:
        why = "the test text for spam filters"
        return Score(GTUBE_SCORE, (Reason("gtube", to_logit(GTUBE_SCORE), why),), is_fixed=True)
    learned, features = _learned(document, model)
    seen = signs.find(document, found, author, knowledge)
    reasons = (*learned, *seen.reasons, *_sender(document, found, seen.reasons), *outside)
    if any(reason.name == BACKSCATTER for reason in reasons):
        return Score(BACKSCATTER_SCORE, reasons, is_fixed=True)
    chance = probability(sum(reason.weight for reason in reasons))
    return Score(chance, reasons, seen.for_strangers, indexes=features)


def _learned(document: Document, model: Model | None) -> tuple[tuple[Reason, ...], Sequence[int] | None]:
    """What the model says, and the features it looked at."""
    if model is None:
        return (Reason("prior", NEUTRAL_LOGIT, "there is no trained model"),), None
    seen = tokens(document)
    neutral = model.neutral
    logit, largest = model.judge(seen.indexes, MAX_WORDS)
    words = spoken((share, seen.of(n)[:MAX_NAMED]) for share, n in largest)
    prior = Reason("prior", round(neutral + SIGNS_LOGIT, 4), "before anything is known")
    return (prior, Reason("words", round(logit - neutral, 4), words)), seen.indexes


def _sender(document: Document, found: Authentication, seen: Iterable[Reason]) -> Iterator[Reason]:
    """What the sender proves, and what it lets readers do."""
    dmarc = found.dmarc
    if dmarc.result == "pass":
        yield Reason("dmarc_pass", -0.4, f"{dmarc.domain} stands behind it")
    elif dmarc.result == "fail" and dmarc.policy in ("quarantine", "reject"):
        yield Reason("dmarc_fail", 1.5, f"{dmarc.domain} does not stand behind it")
    elif dmarc.result == "fail" and dmarc.policy == "none":
        yield Reason("dmarc_fail_none", 0.4, f"{dmarc.domain} does not vouch for it")
    if found.spf.result == "fail":
        yield Reason("spf_fail", 0.8, f"{found.spf.domain} does not send from there")
    elif found.spf.result == "softfail":
        yield Reason("spf_softfail", 0.3, f"{found.spf.domain} rather does not send from there")
    header = document.header
    if not header.has(b"list-unsubscribe") or header.has(b"list-post"):
        return
    if any(reason.name in _UNEXCUSED for reason in seen):
        return
    if dmarc.result == "pass":
        yield Reason("honest_bulk", -1.5, "an authenticated sender lets readers unsubscribe")
    else:
        yield Reason("polite_bulk", -0.5, "the sender lets readers unsubscribe")
