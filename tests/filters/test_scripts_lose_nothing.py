"""Whatever its scripts are, an account's copy is stored, sent on, refused, or thrown away by its owner."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.delivery.local import store_actions
from mailstack.filters.accounts import Judge
from mailstack.filters.edits import View
from mailstack.filters.facts import AccountFacts
from mailstack.filters.rules import Rules
from mailstack.filters.scripts import MailKind, Step, StepKind
from mailstack.filters.spam.score import GTUBE
from mailstack.model.directory import Plan
from mailstack.model.verdict import (
    Class,
    DiscardMail,
    FileInto,
    FilterRecipient,
    FilterRequest,
    MessageVerdict,
    Redirect,
    RejectMail,
    SendMail,
)
from tests.filters.test_pipeline import run as pipeline

REQUIRE = (
    b'require ["fileinto", "reject", "ereject", "copy", "vacation", "enotify", "editheader", "imap4flags",'
    b' "mailbox", "variables", "duplicate", "replace", "enclose", "mime", "foreverypart", "include",'
    b' "body"];\n'
)
STATEMENTS = (
    b"keep;",
    b"discard;",
    b"stop;",
    b'fileinto "A";',
    b'fileinto :copy :create "../B";',
    b'redirect "x@far.test";',
    b'redirect :copy "y@far.test";',
    b'redirect "${nothing}";',
    b'reject "no";',
    b'ereject "no";',
    b'vacation "away";',
    b'notify "mailto:me@far.test";',
    b'addheader "X-New" "1";',
    b'deleteheader "Subject";',
    b'addflag "\\\\Seen";',
    b'replace "gone";',
    b'enclose "look";',
    b'include "own";',
    b'set "a" "${a}${a}xxxxxxxxxxxxxxxx";',
    b"if duplicate { discard; stop; }",
    b'if body :contains "How" { discard; }',
    b"nonsense;",
    b'if header :matches "subject" "*" { fileinto "${1}"; }',
)
MAIL = b"From: a@far.test\r\nTo: bob@home.test\r\nSubject: Hi\r\nMessage-ID: <1@far.test>\r\n\r\nHow?\r\n"
MESSAGES = (MAIL, b"", b"\r\n", MAIL[:40], b"junk\0 without a header", MAIL.replace(b"\r\n", b"\n"))

sources = st.lists(st.sampled_from(STATEMENTS), max_size=6).map(lambda lines: REQUIRE + b"\n".join(lines))
kinds: st.SearchStrategy[tuple[StepKind, MailKind]] = st.sampled_from(
    [("before", "all"), ("rules", "ham"), ("rules", "spam"), ("script", "ham"), ("reply", "ham")]
)
steps = st.lists(
    st.builds(lambda source, kind: Step(kind[0], source, *kind), sources, kinds), min_size=1, max_size=4
)
RULES = Rules(hostname="mx.home.test")


@settings(max_examples=300, deadline=None)
@given(
    made=steps,
    message=st.sampled_from(MESSAGES),
    sender=st.sampled_from(["", "a@far.test", "bob@home.test", "junk"]),
    plan=st.sampled_from(["normal", "free"]),
    klass=st.sampled_from(["ham", "spam", "promotions", "social"]),
)
def test_every_copy_ends_somewhere(
    made: list[Step], message: bytes, sender: str, plan: Plan, klass: Class
) -> None:
    recipient = FilterRecipient(1, 7, "bob@home.test", "bob@home.test")
    request = FilterRequest("a", "192.0.2.1", "h", sender, (recipient,), 1_700_000_000.0)
    verdict = MessageVerdict(klass, 0.5, "junk" if klass == "spam" else "accept")
    facts = AccountFacts(plan=plan, steps=tuple(made))
    judge = Judge(request, recipient, facts, verdict, None, author="a@far.test")
    own = b"X-Spam-Score: 0.5\r\n"
    said = judge.decide(RULES, lambda said: View(own + message, own, len(message)))
    stored = store_actions(said.actions)
    ends = [one for one in said.actions if not isinstance(one, SendMail)]
    assert ends
    assert stored or any(isinstance(one, Redirect | RejectMail | DiscardMail) for one in ends)
    if said.failed is not None and said.failed.script in ("rules", "script"):
        assert stored, "a script that fails keeps the mail"
    if klass == "spam":
        assert not any(isinstance(one, Redirect | SendMail) for one in said.actions)
    assert sum(isinstance(one, Redirect) for one in ends) <= (1 if plan == "free" else 4)
    for one in stored:
        if one.edited is not None and one.edited.body is None:
            assert 0 <= one.edited.body_at <= len(message)
            assert own not in one.edited.head


def test_spam_that_was_to_be_sent_on_is_kept() -> None:
    source = b'redirect "abuse@far.test"; discard;'
    facts = {1: AccountFacts(steps=(Step("before", source, "before", "all"),))}
    (said,) = pipeline("From: a@none.test\r\nSubject: x\r\n\r\n" + GTUBE, facts=facts).accounts
    assert said.actions == (FileInto("Spam", create=True),)
