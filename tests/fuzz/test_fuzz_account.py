"""One account's judgement: any message ends somewhere, its reasons add up, its header stays one."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from mailstack.filters import outside, personal
from mailstack.filters.accounts import Judge
from mailstack.filters.authentication.dmarc import find_author
from mailstack.filters.document import read
from mailstack.filters.edits import View
from mailstack.filters.facts import AccountFacts, DomainFacts
from mailstack.filters.fields import Header
from mailstack.filters.personal import Material
from mailstack.filters.rules import Rules
from mailstack.filters.spam.hashing import SIZE
from mailstack.filters.spam.learned import Learned
from mailstack.filters.spam.model import probability, to_logit
from mailstack.filters.spam.score import Score
from mailstack.mime.header import Headers
from mailstack.model.directory import AttachmentRules, FilterSettings, MailPolicy
from mailstack.model.verdict import (
    Authentication,
    DmarcResult,
    FileInto,
    FilterRecipient,
    FilterRequest,
    Keep,
    MessageVerdict,
    Reason,
    RejectMail,
)
from tests.filters.test_personal import Known
from tests.kit.fuzzing import FUZZ

RULES = Rules(hostname="mx.home.test")
FIELDS = st.sampled_from(
    [
        b"From: ann@far.test",
        b"From: \xff <ann@far.test>, x@y.test",
        b"From:",
        b"In-Reply-To: <1@home.test> <",
        b"References: " + b"<a@b>" * 300,
        b"References: <\xff\x00@x> (((",
        b"Subject: lunch",
        b"Subject: =?utf-8?q?=FF?= =?x",
        b"Subject:\xff\r\n \r\n\tfolded",
        b"Subject :" + b"x" * 2_000,
        b"List-Unsubscribe: <https://far.test/u>",
        b"Precedence: bulk",
        b'Content-Type: application/x; name="run.exe"',
        b"Content-Type: application/zip",
        b"no colon",
    ]
)
BODIES = st.sampled_from(
    [b"", b"unsubscribe here https://far.test/u 50% off", b"MZ\x90\x00", b"PK\x03\x04broken", b"\xff" * 50]
)
TAUGHT = {
    "nothing": Learned(),
    "spam": Learned({"spam": dict.fromkeys(range(SIZE), 8.0)}),
    "ham": Learned({"spam": dict.fromkeys(range(0, SIZE, 2), -8.0)}),
    "promotions": Learned({"promotions": dict.fromkeys(range(SIZE), 8.0)}),
    "social": Learned({"social": dict.fromkeys(range(0, SIZE, 3), 8.0)}),
}
#: Their weights are of another question than whether it is spam.
OF_CLASSES = ("promotions.learned", "social.learned")
LEARNED = st.sampled_from(sorted(TAUGHT))
WORDS = st.sampled_from(["", "program", "archive .exe", "suspicious-archive html"])


@FUZZ
@given(
    fields=st.lists(FIELDS, max_size=6),
    noise=st.binary(max_size=60),
    body=BODIES,
    score=st.sampled_from([0.0, 0.0001, 0.5, 0.91, 1.0]),
    learned=st.tuples(LEARNED, LEARNED),
    wrote=st.sampled_from(["", "ann@far.test"]),
    dmarc=st.sampled_from(["pass", "fail", "none"]),
    refused=WORDS,
    junked=WORDS,
    switches=st.tuples(st.booleans(), st.booleans()),
    lists=st.sampled_from([("", ""), ("far.test", ""), ("", "far.test"), ("ann@far.test", "far.test")]),
    original=st.sampled_from(["bob@home.test", "postmaster@home.test", "", "@"]),
)
def test_every_message_ends_somewhere_for_every_account(
    fields: list[bytes],
    noise: bytes,
    body: bytes,
    score: float,
    learned: tuple[str, str],
    wrote: str,
    dmarc: str,
    refused: str,
    junked: str,
    switches: tuple[bool, bool],
    lists: tuple[str, str],
    original: str,
) -> None:
    message = b"\r\n".join([*fields, noise, b"", body])
    header = Header(message)
    author = find_author(header)
    found = Authentication(dmarc=DmarcResult(dmarc, "far.test"))
    spam = Score(score, (), (Reason("stranger", 2.5, "asks for money"),))
    material = Material(read(message, header), found, author, spam, threshold=0.9, is_policy_junk=False)
    policy = MailPolicy(
        frozenset({"home.test"}),
        frozenset(filter(None, lists[:1])),
        frozenset(filter(None, lists[1:])),
        attachments=AttachmentRules(frozenset(refused.split()), frozenset(junked.split())),
    )
    facts = AccountFacts(
        FilterSettings(*switches),
        around=Known(wrote_to=wrote, sent="<1@home.test>"),
        learned=TAUGHT[learned[0]],
        domain=DomainFacts(policy, TAUGHT[learned[1]]),
    )
    said = personal.judge(material, facts)
    added = [reason.weight for reason in said.reasons if reason.name not in OF_CLASSES]
    logit = to_logit(min(max(score, 1e-9), 1 - 1e-9)) + sum(added)
    assert not added or math.isclose(said.score, probability(logit), abs_tol=1e-6)
    assert (said.klass == "spam") == (said.score >= 0.9)

    recipient = FilterRecipient(1, 1, "bob@home.test", original)
    request = FilterRequest("id", "192.0.2.1", "h", "x@far.test", (recipient,), 0.0)
    verdict = MessageVerdict(authentication=found)
    judge = Judge(request, recipient, facts, verdict, material, author=author.address)
    copy = judge.decide(RULES, lambda so_far: View(message, b"", len(message)))
    assert len(copy.actions) == 1
    (action,) = copy.actions
    assert isinstance(action, Keep | FileInto | RejectMail)
    if isinstance(action, RejectMail):
        assert refused and not original.startswith("postmaster@") and copy.klass == "spam"


@FUZZ
@given(
    fields=st.lists(FIELDS, max_size=8),
    noise=st.binary(max_size=60),
    prefix=st.sampled_from(["[EXT]", "[Außen]"]),
)
def test_a_prefix_changes_the_subject_alone(fields: list[bytes], noise: bytes, prefix: str) -> None:
    # T44: what stands in a subject makes no other field
    message = b"\r\n".join([*fields, noise, b"", b"body"])
    head = b"".join(field.raw for field in Header(message).fields)
    made = outside.with_prefix(head, prefix)
    before, after = Headers.parse(head), Headers.parse(made)
    others = [field.name for field in before.fields if field.name != b"subject"]
    assert [field.name for field in after.fields if field.name != b"subject"] == others
    assert after.count("subject") == max(1, before.count("subject"))
    assert outside.with_prefix(made, prefix) == made
