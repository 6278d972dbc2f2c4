"""What a message is for one account: its own score, class, and whom its owner knows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from mailstack.filters import personal
from mailstack.filters.authentication.dmarc import find_author
from mailstack.filters.classes.bulk import Classified
from mailstack.filters.document import read
from mailstack.filters.facts import AccountFacts, DomainFacts
from mailstack.filters.fields import Header
from mailstack.filters.personal import Material, Personal, judge
from mailstack.filters.spam.learned import Learned
from mailstack.filters.spam.model import CLASS_HEADS, norm, probability, to_logit
from mailstack.filters.spam.score import Score
from mailstack.filters.surroundings import Heard, Nowhere
from mailstack.model.verdict import Authentication, DmarcResult, Reason

PROVEN = Authentication(dmarc=DmarcResult("pass", "far.test"))
FORGED = Authentication(dmarc=DmarcResult("fail", "far.test"))
ASKS = Reason("asks_for_gift_cards", 2.5, "somebody nobody knows asks for gift cards")
HELLO = b"From: Ann <ann@far.test>\r\nSubject: lunch\r\n\r\nAre you free for lunch today?\r\n"
ANSWER = b"In-Reply-To: <1@home.test>\r\nReferences: <0@far.test> <1@home.test>\r\n" + HELLO


class Known(Nowhere):
    """An account that knows people."""

    def __init__(self, *, wrote_to: str = "", sent: str = "", heard: Heard | None = None) -> None:
        self.wrote_to, self.sent, self.days = wrote_to, sent, heard or Heard()
        self.asked: list[Sequence[str]] = []

    def is_correspondent(self, address: str) -> bool:
        return address == self.wrote_to

    def has_written(self, message_ids: Sequence[str]) -> bool:
        self.asked.append(message_ids)
        return self.sent in message_ids

    def heard(self, sender: str) -> Heard:
        return self.days if sender == "ann@far.test" else Heard()


def material(
    message: bytes = HELLO,
    *,
    score: float = 0.5,
    found: Authentication = PROVEN,
    strangers: tuple[Reason, ...] = (ASKS,),
    is_fixed: bool = False,
) -> Material:
    header = Header(message)
    spam = Score(score, (Reason("prior", to_logit(score)),), strangers, is_fixed)
    return Material(
        read(message, header), found, find_author(header), spam, threshold=0.9, is_policy_junk=False
    )


def taught(one: Material, head: str, weight: float) -> Learned:
    """Corrections that add about so much to the logit of this message."""
    found = one.indexes
    return Learned({head: dict.fromkeys(found, weight * norm(len(found)) / len(found))})


def names(said: Personal) -> list[str]:
    return [reason.name for reason in said.reasons]


def test_reasons_for_strangers_count_for_those_who_do_not_know_the_sender() -> None:
    stranger = judge(material(), AccountFacts())
    assert names(stranger) == ["asks_for_gift_cards"]
    assert math.isclose(stranger.score, probability(2.5))
    friend = judge(material(), AccountFacts(around=Known(wrote_to="ann@far.test")))
    assert names(friend) == ["correspondent"]
    assert math.isclose(friend.score, probability(personal.CORRESPONDENT_WEIGHT))


@pytest.mark.parametrize("found", [FORGED, Authentication()], ids=["forged", "nothing proven"])
def test_a_friends_name_alone_makes_nobody_a_friend(found: Authentication) -> None:
    said = judge(material(found=found), AccountFacts(around=Known(wrote_to="ann@far.test")))
    assert names(said) == ["asks_for_gift_cards"]


def test_the_reasons_of_an_account_add_up_to_its_score() -> None:
    one = material(score=0.2)
    facts = AccountFacts(
        around=Known(heard=Heard(9, 4)),
        learned=taught(one, "spam", 1.5),
        domain=DomainFacts(learned=taught(one, "spam", 0.5)),
    )
    said = judge(one, facts)
    assert names(said) == ["learned", "learned_domain", "known_sender"]
    total = sum(reason.weight for reason in (*one.spam.reasons, *said.reasons))
    assert math.isclose(said.score, probability(total), rel_tol=1e-6)


@pytest.mark.parametrize(
    ("heard", "name"),
    [
        (Heard(3, 3), "known_sender"),
        (Heard(3, 2), "known_here"),
        (Heard(2, 2), ""),
    ],
)
def test_who_sent_wanted_mail_on_several_days_is_known(heard: Heard, name: str) -> None:
    said = judge(material(strangers=()), AccountFacts(around=Known(heard=heard)))
    assert names(said) == ([name] if name else [])


def test_who_is_known_to_others_only_is_still_a_stranger() -> None:
    said = judge(material(), AccountFacts(around=Known(heard=Heard(30, 0))))
    assert names(said) == ["known_here", "asks_for_gift_cards"]


def test_an_answer_to_own_mail_is_no_strangers() -> None:
    said = judge(material(ANSWER), AccountFacts(around=Known(sent="<1@home.test>")))
    assert names(said) == ["answer"]
    other = Known(sent="<2@home.test>")
    assert names(judge(material(ANSWER), AccountFacts(around=other))) == ["asks_for_gift_cards"]
    assert other.asked == [["<0@far.test>", "<1@home.test>"]]


def test_of_thousands_of_message_ids_the_last_are_looked_for() -> None:
    # T45: whoever names a thousand messages must not cost a thousand look-ups
    ids = b" ".join(b"<%d@x.test>" % n for n in range(1_000))
    around = Known()
    judge(material(b"References: " + ids + b"\r\n" + HELLO), AccountFacts(around=around))
    assert len(around.asked[0]) <= personal.MAX_IDS
    assert "<999@x.test>" in around.asked[0]


def test_what_one_account_taught_changes_its_class_and_no_others() -> None:
    one = material(score=0.5, strangers=())
    said = judge(one, AccountFacts(learned=taught(one, "spam", 4.0)))
    assert (said.klass, names(said)) == ("spam", ["learned"])
    assert judge(one, AccountFacts()) == Personal("ham", 0.5, ())


def test_spam_for_all_but_one_is_filed_by_what_it_is_otherwise() -> None:
    one = material(score=0.95, strangers=())
    offer = Reason("promotions.offer", 3.5, "an offer")
    one.__dict__["classified"] = Classified("promotions", (offer,), {"promotions": 1.0})
    said = judge(one, AccountFacts(learned=taught(one, "spam", -4.0)))
    assert (said.klass, names(said)) == ("promotions", ["learned", "promotions.offer"])
    assert said.score < 0.9


@pytest.mark.parametrize("name", ["gtube", "backscatter"])
def test_nothing_personal_changes_what_is_certain(name: str) -> None:
    one = material(score=0.95, is_fixed=True)
    facts = AccountFacts(around=Known(wrote_to="ann@far.test"), learned=taught(one, "spam", -6.0))
    assert judge(one, facts) == Personal("spam", 0.95, ()), name


# -- classes ---------------------------------------------------------------------------


def classed(klass: str, logits: dict[str, float] | None = None, message: bytes = HELLO) -> Material:
    one = material(message, strangers=(), found=PROVEN)
    one.__dict__["classified"] = Classified(klass, logits=logits or {})  # type: ignore[arg-type]
    return one


@pytest.mark.parametrize("klass", CLASS_HEADS)
def test_people_written_to_and_answers_never_go_to_a_class_folder(klass: str) -> None:
    # T46; product page, section 2.4
    friend = AccountFacts(around=Known(wrote_to="ann@far.test"))
    said = judge(classed(klass, {klass: 3.0}), friend)
    assert (said.klass, names(said)) == ("ham", ["correspondent", "personal"])
    answered = AccountFacts(around=Known(sent="<1@home.test>"))
    assert judge(classed(klass, {klass: 3.0}, ANSWER), answered).klass == "ham"
    assert judge(classed(klass, {klass: 3.0}), AccountFacts()).klass == klass


def test_people_written_to_are_exempt_without_proof_unless_it_is_denied() -> None:
    friend = AccountFacts(around=Known(wrote_to="ann@far.test"))
    for found, klass in ((Authentication(), "ham"), (FORGED, "promotions")):
        one = material(strangers=(), found=found)
        one.__dict__["classified"] = Classified("promotions", logits={"promotions": 3.0})
        assert judge(one, friend).klass == klass


def test_what_was_moved_teaches_the_class() -> None:
    there = classed("ham")
    said = judge(there, AccountFacts(learned=taught(there, "promotions", 4.0)))
    assert (said.klass, names(said)) == ("promotions", ["promotions.learned"])
    back = classed("promotions", {"promotions": 1.0})
    said = judge(back, AccountFacts(learned=taught(back, "promotions", -3.0)))
    assert (said.klass, names(said)) == ("ham", ["promotions.learned"])
    other = classed("promotions", {"promotions": 1.0})
    facts = AccountFacts(learned=Learned({**taught(other, "social", 5.0).weights}))
    assert judge(other, facts).klass == "social"


def test_a_class_nothing_was_taught_of_stays() -> None:
    one = classed("social", {"social": 0.5, "promotions": 3.0})
    assert judge(one, AccountFacts(learned=taught(one, "promotions", 0.1))).klass == "social"
    assert judge(one, AccountFacts(learned=taught(one, "social", -2.0))).klass == "promotions"


def test_what_is_in_doubt_stays_until_its_reader_says_otherwise() -> None:
    one = classed("ham", {"promotions": 1.0})
    assert judge(one, AccountFacts(learned=taught(one, "promotions", 0.2))).klass == "ham"
    assert judge(one, AccountFacts(learned=taught(one, "promotions", 2.0))).klass == "promotions"


def test_what_is_exempt_for_everybody_is_not_taught_away() -> None:
    code = b"From: a@far.test\r\nSubject: Your verification code is 482913\r\n\r\nYour code is 482913.\r\n"
    one = classed("ham", {}, code)
    assert judge(one, AccountFacts(learned=taught(one, "promotions", 6.0))).klass == "ham"


def test_nothing_taught_costs_no_reading() -> None:
    one = material(strangers=())
    judge(one, replace(AccountFacts(), around=Known()))
    assert "indexes" not in one.__dict__
