"""One message through the pipeline: lists, marks and attachments of a domain, personal scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from mailstack.filters import attachment_rules
from mailstack.filters.facts import AccountFacts, DomainFacts
from mailstack.filters.reading.facts import Attachment
from mailstack.filters.scripts import Step
from mailstack.filters.spam.hashing import SIZE
from mailstack.filters.spam.learned import Learned
from mailstack.model.directory import AttachmentRules, FilterSettings, MailPolicy
from mailstack.model.verdict import AccountVerdict, FileInto, Keep, Reason, Redirect, RejectMail
from tests.filters.test_pipeline import HELLO, run

HOME = frozenset({"home.test"})
WRITES_ALL = Learned({"spam": dict.fromkeys(range(SIZE), 8.0)})
WANTS_ALL = Learned({"spam": dict.fromkeys(range(SIZE), -8.0)})
LETTER = "From: alice@example.test\r\n" + HELLO
PROGRAM = (
    "From: alice@example.test\r\nSubject: the tool\r\nMIME-Version: 1.0\r\n"
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nHere it is.\r\n"
    '--b\r\nContent-Type: application/octet-stream; name="run.exe"\r\n'
    'Content-Disposition: attachment; filename="run.exe"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    "TVqQAAMAAAAEAAAA//8AALgAAAAAAAAAQAAAAA==\r\n--b--\r\n"
)


def names(said: AccountVerdict) -> set[str]:
    return {reason.name for reason in said.reasons}


def honest(message: str, facts: AccountFacts, **more: object) -> AccountVerdict:
    """From a sender who is proven."""
    return run(message, ip="192.0.2.1", facts={1: facts}, **more).accounts[0]  # type: ignore[arg-type]


def with_policy(**policy: object) -> AccountFacts:
    return AccountFacts(domain=DomainFacts(MailPolicy(HOME, **policy)))  # type: ignore[arg-type]


# -- lists -----------------------------------------------------------------------------


def test_the_lists_of_a_domain_count_for_its_addresses() -> None:
    said = honest(LETTER, with_policy(blocked=frozenset({"example.test"})))
    assert (said.klass, said.actions) == ("spam", (FileInto("Spam", create=True),))
    assert "blocked list of the domain" in next(r.why for r in said.reasons if r.name == "blocked")


def test_own_lists_go_before_those_of_the_domain() -> None:
    facts = replace(
        with_policy(blocked=frozenset({"alice@example.test"})), allowed=frozenset({"example.test"})
    )
    said = honest(LETTER, facts)
    assert (said.klass, names(said)) == ("ham", {"allowed"})


def test_a_forger_is_not_let_in_by_a_list_of_the_domain() -> None:
    said = run(
        "From: a@none.test\r\n" + HELLO,
        sender="a@none.test",
        facts={1: with_policy(allowed=frozenset({"none.test"}))},
    ).accounts[0]
    assert "allowed_not_applied" in names(said)


# -- scores ----------------------------------------------------------------------------


def test_what_one_account_taught_files_its_copy_alone_and_smtp_hears_nothing() -> None:
    answer = run(
        LETTER, ip="192.0.2.1", facts={1: AccountFacts(learned=WRITES_ALL), 2: AccountFacts()}, recipients=2
    )
    taught, other = answer.accounts
    assert (taught.klass, taught.actions) == ("spam", (FileInto("Spam", create=True),))
    assert taught.score > 0.9 > other.score == answer.verdict.score
    assert other.actions == (Keep("INBOX", implicit=True),)
    assert (answer.verdict.klass, answer.verdict.action) == ("ham", "accept")


def test_what_a_domain_taught_counts_for_all_its_accounts() -> None:
    said = honest(LETTER, AccountFacts(domain=DomainFacts(learned=WRITES_ALL)))
    assert (said.klass, names(said)) == ("spam", {"learned_domain", "filed_as_spam"})


def test_spam_to_all_but_one_is_delivered_sent_on_and_seen_by_his_script() -> None:
    source = b'require ["spamtestplus", "relational", "comparator-i;ascii-numeric"];\n'
    source += b'if spamtest :percent :value "gt" :comparator "i;ascii-numeric" "80" { discard; }'
    source += b'else { redirect "x@far.test"; keep; }'
    step = Step("script main", source, "script")
    answer = run(
        LETTER,
        ip="192.0.2.1",
        facts={1: AccountFacts(steps=(step,), learned=WANTS_ALL), 2: AccountFacts()},
        recipients=2,
        hints=(Reason("trap_network", 8.0),),
    )
    wants, other = answer.accounts
    assert (answer.verdict.klass, other.klass, wants.klass) == ("spam", "spam", "ham")
    assert {type(action) for action in wants.actions} == {Redirect, Keep}
    assert other.actions == (FileInto("Spam", create=True),)


def test_a_filter_that_is_off_leaves_the_score_of_the_account() -> None:
    facts = AccountFacts(FilterSettings(spam=False), learned=WRITES_ALL)
    said = honest(LETTER, facts)
    assert (said.klass, said.actions) == ("spam", (Keep("INBOX", implicit=True),))


# -- mail from outside -------------------------------------------------------------------


def test_no_line_of_the_header_is_lost_by_the_prefix() -> None:
    # M18: lines that are no fields; what speaks in our name goes
    ours, end = "X-Mailstack-A: b\r\n", "\r\n\r\n"
    letter = "from the box\r\n" + LETTER.replace(end, f"\r\nno colon\r\n{ours}Z: z{end}", 1)
    (keep,) = honest(letter, with_policy(marks_outside=True, outside_prefix="[EXT]")).actions
    assert isinstance(keep, Keep) and keep.edited is not None
    stored = keep.edited.head.decode() + letter[keep.edited.body_at :]
    assert stored == letter.replace(ours, "").replace("Subject: ", "Subject: [EXT] ")


def test_mail_from_outside_is_marked_where_its_domain_wants_it() -> None:
    said = honest(LETTER, with_policy(marks_outside=True))
    assert (said.is_outside, said.actions) == (True, (Keep("INBOX", ("Outside",), implicit=True),))
    said = honest(LETTER, with_policy())
    assert (said.is_outside, said.actions) == (False, (Keep("INBOX", implicit=True),))


def test_mail_of_ones_own_is_not() -> None:
    facts = with_policy(marks_outside=True, outside_prefix="[EXT]")
    said = run(LETTER, login="alice@home.test", facts={1: facts}).accounts[0]
    assert (said.is_outside, said.actions) == (False, (Keep("INBOX", implicit=True),))
    neighbour = run(LETTER, login="eve@neighbour.test", facts={1: facts}).accounts[0]
    assert neighbour.is_outside


def test_mail_of_another_domain_of_the_organisation_is_not_once_it_is_proven() -> None:
    facts = with_policy(marks_outside=True, inside=frozenset({"example.test"}))
    assert not honest(LETTER, facts).is_outside
    assert run(LETTER, facts={1: facts}).accounts[0].is_outside
    assert not run(LETTER, login="eve@example.test", facts={1: facts}).accounts[0].is_outside


def test_scripts_see_the_mark_and_subjects_change_on_stored_copies_only() -> None:
    source = b'if header "x-mailstack-outside" "yes" { redirect "x@far.test"; fileinto "Work"; }'
    facts = replace(
        with_policy(marks_outside=True, outside_prefix="[EXT]"),
        steps=(Step("script main", b'require "fileinto"; ' + source, "script"),),
    )
    forged = "X-Mailstack-Outside: no\r\n" + LETTER
    redirect, filed = honest(forged, facts).actions
    assert redirect == Redirect("x@far.test")
    assert isinstance(filed, FileInto) and filed.edited is not None and filed.flags == ("Outside",)
    assert filed.edited.head.startswith(b"From: alice@example.test\r\nSubject: [EXT] lunch\r\n")
    assert b"X-Mailstack" not in filed.edited.head
    assert forged.encode()[filed.edited.body_at :].startswith(b"\r\nHi Bob")


def test_no_room_for_a_hundred_subjects_marks_them_without() -> None:
    fields = "".join(f"X-{n}: {'y' * 900}\r\n" for n in range(400))
    facts = with_policy(marks_outside=True, outside_prefix="[EXT]")
    answer = run(fields + LETTER, ip="192.0.2.1", facts=dict.fromkeys(range(1, 101), facts), recipients=100)
    kept = [action for said in answer.accounts for action in said.actions if isinstance(action, Keep)]
    assert len(kept) == 100 and all(keep.flags == ("Outside",) for keep in kept)
    assert sum(len(keep.edited.head) for keep in kept if keep.edited is not None) < 6_291_456


# -- attachments -------------------------------------------------------------------------


def test_attachments_a_domain_does_not_take_are_refused() -> None:
    facts = replace(
        with_policy(attachments=AttachmentRules(refused=frozenset({"program"}))),
        steps=(Step("script main", b"keep;", "script"),),
        allowed=frozenset({"example.test"}),
    )
    said = honest(PROGRAM, facts)
    (refusal,) = said.actions
    assert isinstance(refusal, RejectMail) and "run.exe" in refusal.text and "program" in refusal.text
    assert said.klass == "spam", "where it cannot be refused it is kept in Spam and sent on nowhere"
    assert honest(LETTER, facts).actions == (Keep("INBOX"),)


def test_the_name_of_a_file_does_nothing_to_the_reply() -> None:
    # M16
    facts = with_policy(attachments=AttachmentRules(refused=frozenset({"program"})))
    named = PROGRAM.replace('filename="run.exe"', "filename*=utf-8''r%C3%BCn%E2%80%AE%0D%0A250%20ok.exe")
    (refusal,) = honest(named, facts).actions
    assert isinstance(refusal, RejectMail) and refusal.text.isascii() and refusal.text.isprintable()


@pytest.mark.parametrize("local", ["postmaster", "Abuse"])
def test_a_postmaster_gets_it_in_spam(local: str) -> None:
    facts = with_policy(attachments=AttachmentRules(refused=frozenset({"program"})))
    said = honest(PROGRAM, facts, original=f"{local}@home.test")
    assert said.actions == (FileInto("Spam", create=True),)


def test_attachments_may_make_it_spam() -> None:
    facts = with_policy(attachments=AttachmentRules(junked=frozenset({".exe"})))
    said = honest(PROGRAM, replace(facts, filters=FilterSettings(spam_folder="Junk")))
    assert (said.klass, said.actions) == ("spam", (FileInto("Junk", create=True),))
    assert "attachment" in names(said)


def test_mail_of_own_users_is_not_looked_into() -> None:
    facts = with_policy(attachments=AttachmentRules(refused=frozenset({"program"})))
    said = run(PROGRAM, login="alice@home.test", facts={1: facts}).accounts[0]
    assert said.actions == (Keep("INBOX", implicit=True),)


def test_attachments_are_looked_at_once_for_all_addresses_of_a_domain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # M11: a hundred recipients, a hundred thousand members of archives
    looked: list[object] = []
    find = attachment_rules.find

    def look(attachments: Sequence[Attachment], rules: AttachmentRules) -> attachment_rules.Finding | None:
        looked.append(rules)
        return find(attachments, rules)

    monkeypatch.setattr(attachment_rules, "find", look)
    rules = AttachmentRules(frozenset({"program"}))
    facts = dict.fromkeys(range(1, 4), with_policy(attachments=rules))
    answer = run(PROGRAM, ip="192.0.2.1", facts=facts, recipients=3)
    assert [type(one.actions[0]) for one in answer.accounts] == [RejectMail] * 3
    assert looked == [rules]
