"""The whole evaluation of a message, with a table for the DNS."""

# ruff: noqa: E501  # tables of mail read better unbroken

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mailstack.filters import spam
from mailstack.filters.authentication.sign import sign
from mailstack.filters.block_lists import BlockList
from mailstack.filters.facts import AccountFacts, Tools
from mailstack.filters.options import FilterOptions
from mailstack.filters.pipeline import Evaluation
from mailstack.filters.rules import Rules
from mailstack.filters.scripts import Step
from mailstack.filters.spam import model
from mailstack.filters.spam.score import GTUBE
from mailstack.model.directory import FilterSettings
from mailstack.model.dns import Lookup, NeedLookup
from mailstack.model.verdict import (
    Authentication,
    DiscardMail,
    DmarcResult,
    FileInto,
    FilterAnswer,
    FilterRecipient,
    FilterRequest,
    Keep,
    Reason,
    Redirect,
    RejectMail,
)
from tests.kit.dkim_keys import rsa_key, rsa_record
from tests.kit.lookups import resolve, resolve_counted

NOW = 1_800_000_000
PRIOR = model.load((Path(spam.__file__).parent / "prior.bin").read_bytes())
ZONE: dict[str, dict[str, Any]] = {
    "example.test": {"TXT": ["v=spf1 ip4:192.0.2.1 -all"], "A": ["192.0.2.1"]},
    "_dmarc.example.test": {"TXT": ["v=DMARC1; p=reject"]},
    "rsa._domainkey.example.test": {"TXT": [rsa_record()]},
    "list.test": {"TXT": ["v=spf1 ip4:198.51.100.1 -all"]},
    "quarantine.test": {"A": ["192.0.2.1"]},
    "_dmarc.quarantine.test": {"TXT": ["v=DMARC1; p=quarantine"]},
    "none.test": {"A": ["192.0.2.1"]},
    "_dmarc.none.test": {"TXT": ["v=DMARC1; p=none"]},
    "testing.test": {"A": ["192.0.2.1"]},
    "_dmarc.testing.test": {"TXT": ["v=DMARC1; p=reject; t=y"]},
    "broken.test": {"TXT": "SERVFAIL"},
    "_dmarc.broken.test": {"TXT": "SERVFAIL"},
}
HELLO = "Subject: lunch\r\nDate: x\r\nMessage-ID: <1@x>\r\n\r\nHi Bob, are you free for lunch today?\r\n"


def scripted(source: bytes) -> AccountFacts:
    """An account whose active script this is."""
    return AccountFacts(steps=(Step("script main", source, "script"),))


def run(
    message: str | bytes,
    *,
    ip: str = "203.0.113.9",
    sender: str = "alice@example.test",
    login: str = "",
    facts: Mapping[int, AccountFacts] | None = None,
    recipients: int = 1,
    options: FilterOptions | None = None,
    zone: dict[str, dict[str, Any]] | None = None,
    original: str = "bob@home.test",
    hints: tuple[Reason, ...] = (),
    wants_codes: bool = False,
) -> FilterAnswer:
    data = message if isinstance(message, bytes) else message.encode()
    to = tuple(FilterRecipient(n, n, "bob@home.test", original) for n in range(1, recipients + 1))
    request = FilterRequest(
        "id",
        ip,
        "client.test",
        sender,
        to,
        NOW,
        data,
        size_octets=len(data),
        login=login,
        hints=hints,
        wants_codes=wants_codes,
    )
    tools = Tools(options or FilterOptions(), "mx.home.test", PRIOR, Rules())
    evaluation = Evaluation(request, data, facts or {}, tools)
    return resolve(evaluation.step, ZONE if zone is None else zone)


# -- DMARC ----------------------------------------------------------------------------


def test_honest_mail_passes_and_is_kept() -> None:
    answer = run("From: alice@example.test\r\n" + HELLO, ip="192.0.2.1")
    found = answer.verdict.authentication
    assert (found.spf.result, found.dmarc.result, found.dmarc.disposition) == ("pass", "pass", "none")
    assert (answer.verdict.klass, answer.verdict.action) == ("ham", "accept")
    assert answer.accounts[0].actions == (Keep("INBOX", implicit=True),)
    assert "dmarc=pass" in answer.results_header


def test_a_plain_forgery_under_reject_is_refused_with_reasons() -> None:
    # product page, section 2.3: domain, policy and what failed are named
    verdict = run("From: alice@example.test\r\n" + HELLO).verdict
    assert (verdict.action, verdict.reply_code, verdict.reply_status) == ("reject", 550, "7.1")
    for word in ("example.test", "reject", "SPF fail", "no signature"):
        assert word in verdict.reply_text
    assert verdict.klass == "ham"  # DMARC changes the action, never the class
    assert verdict.authentication.dmarc.disposition == "reject"


@pytest.mark.parametrize(
    "field",
    ["List-Id: <x.list.test>", "List-Post: <mailto:x@list.test>", "Mailing-List: x", "Precedence: list",
     "Resent-From: x@y.test", "ARC-Seal: i=1; cv=none", "X-Forwarded-To: b@c.test"],
)  # fmt: skip
def test_a_sign_of_a_list_or_forwarder_makes_it_spam_instead(field: str) -> None:
    answer = run(f"{field}\r\nFrom: alice@example.test\r\n{HELLO}")
    assert answer.verdict.action == "junk"
    assert answer.verdict.authentication.dmarc.disposition == "quarantine"
    assert any(r.name == "dmarc_policy" and "not refused" in r.why for r in answer.verdict.reasons)
    assert answer.accounts[0].actions == (FileInto("Spam", create=True),)
    assert answer.accounts[0].klass == "ham"


@pytest.mark.parametrize(
    ("sender", "ip"), [("x@list.test", "198.51.100.1"), ("SRS0=a=b=c=d@list.test", "203.0.113.9")]
)
def test_an_authenticated_or_rewritten_sender_makes_it_spam_instead(sender: str, ip: str) -> None:
    assert run("From: alice@example.test\r\n" + HELLO, sender=sender, ip=ip).verdict.action == "junk"


def test_spam_is_evidence_whatever_a_list_field_says() -> None:
    answer = run(f"List-Id: <x>\r\nFrom: alice@example.test\r\nSubject: x\r\n\r\n{GTUBE}\r\n")
    assert answer.verdict.action == "reject"


@pytest.mark.parametrize(
    ("mode", "action"), [("with-evidence", "junk"), ("always", "reject"), ("never", "junk")]
)
def test_modes_with_a_detour(mode: Any, action: str) -> None:
    options = FilterOptions(dmarc_on_reject=mode)
    assert (
        run(f"List-Id: <x>\r\nFrom: alice@example.test\r\n{HELLO}", options=options).verdict.action == action
    )


def test_mode_never_files_even_plain_forgeries() -> None:
    options = FilterOptions(dmarc_on_reject="never")
    assert run("From: alice@example.test\r\n" + HELLO, options=options).verdict.action == "junk"


@pytest.mark.parametrize(
    ("domain", "action", "policy", "disposition"),
    [
        ("quarantine.test", "junk", "quarantine", "quarantine"),
        ("none.test", "accept", "none", "none"),
        ("testing.test", "junk", "reject", "quarantine"),
        ("nothing.test", "accept", None, "none"),
    ],
)
def test_softer_policies(domain: str, action: str, policy: str | None, disposition: str) -> None:
    verdict = run(f"From: a@{domain}\r\n{HELLO}", sender=f"a@{domain}").verdict
    assert verdict.action == action
    assert (verdict.authentication.dmarc.policy, verdict.authentication.dmarc.disposition) == (
        policy,
        disposition,
    )


@pytest.mark.parametrize("failure", ["SERVFAIL", "TIMEOUT"])
def test_a_temporary_failure_never_refuses(failure: str) -> None:
    # D1, P13
    everything = {name: {kind: failure for kind in ("TXT", "A", "MX")} for name in ZONE}
    verdict = run("From: alice@example.test\r\n" + HELLO, zone=everything).verdict
    assert verdict.action == "accept"
    assert verdict.authentication.spf.result == "temperror"
    assert verdict.authentication.dmarc.result == "temperror"
    only_spf = ZONE | {"example.test": {"TXT": failure}}
    assert run("From: alice@example.test\r\n" + HELLO, zone=only_spf).verdict.action == "accept"


def test_an_unknown_client_is_no_reason_to_refuse() -> None:
    verdict = run("From: alice@example.test\r\n" + HELLO, ip="").verdict
    assert verdict.action == "junk"
    assert verdict.authentication.spf.result == "none"


def test_a_good_signature_alone_passes() -> None:
    message = ("From: alice@example.test\r\n" + HELLO).encode()
    answer = run(sign(message, [rsa_key()], now=NOW) + message)
    assert answer.verdict.authentication.dmarc.result == "pass"
    assert answer.verdict.authentication.dkim[0].result == "pass"


def test_a_short_l_does_not_align() -> None:
    # T23: the body continues behind what was signed
    from tests.filters.authentication.test_dkim import resign  # the signer of that test

    message = resign(("From: alice@example.test\r\n" + HELLO).encode(), l=b"5")
    found = run(message).verdict.authentication
    assert (found.dkim[0].result, found.dmarc.result) == ("policy", "fail")


def test_two_from_fields_are_refused() -> None:
    # T20
    verdict = run("From: alice@none.test\r\nFrom : bob@none.test\r\n" + HELLO, sender="").verdict
    assert (verdict.action, verdict.reply_code) == ("reject", 550)


@pytest.mark.parametrize("head", ["", "From: \r\n", "From: x\r\n", "From: <>\r\n"])
def test_a_missing_or_broken_author_is_accepted_and_marked(head: str) -> None:
    verdict = run(head + HELLO, sender="").verdict
    assert verdict.action == "accept"
    assert any(r.name in ("author_missing", "author_unreadable") for r in verdict.reasons)


def test_everything_is_asked_in_few_rounds() -> None:
    message = ("From: alice@example.test\r\n" + HELLO).encode()
    signed = sign(message, [rsa_key()], now=NOW) + message
    request = FilterRequest("id", "192.0.2.1", "h", "alice@example.test", (), NOW, signed)
    evaluation = Evaluation(request, signed, {}, Tools(FilterOptions(), "mx", PRIOR, Rules()))
    _, asked = resolve_counted(evaluation.step, ZONE)
    assert evaluation.steps == 2
    assert len(asked) == 5


# -- accounts --------------------------------------------------------------------------

SPAM = f"From: a@none.test\r\nSubject: x\r\n\r\n{GTUBE}\r\n"
OFFER = (
    "From: Shop <news@none.test>\r\nList-Unsubscribe: <https://shop.test/u>\r\nPrecedence: bulk\r\n"
    "Subject: Summer sale: 50% off\r\n\r\nShop now. Unsubscribe: https://shop.test/u\r\n"
)
SOCIAL = "From: Facebook <n@facebookmail.com>\r\nSubject: Anna commented on your photo\r\n\r\nhi\r\n"


@pytest.mark.parametrize(
    ("message", "settings", "action"),
    [
        (SPAM, FilterSettings(), FileInto("Spam", create=True)),
        (SPAM, FilterSettings(spam_folder="Junk/Mail"), FileInto("Junk/Mail", create=True)),
        (SPAM, FilterSettings(spam=False), Keep("INBOX", implicit=True)),
        (OFFER, FilterSettings(), Keep("Promotions", implicit=True)),
        (OFFER, FilterSettings(promotions_folder="Ads"), Keep("Ads", implicit=True)),
        (OFFER, FilterSettings(ads=False), Keep("INBOX", implicit=True)),
        (SOCIAL, FilterSettings(), Keep("SocialNetworks", implicit=True)),
        (SOCIAL, FilterSettings(social_folder="Friends"), Keep("Friends", implicit=True)),
        (SOCIAL, FilterSettings(ads=False), Keep("INBOX", implicit=True)),
    ],
)
def test_switches_and_folders_of_an_account(message: str, settings: FilterSettings, action: object) -> None:
    # product page, section 2.8
    answer = run(message, sender="a@none.test", facts={1: AccountFacts(settings)})
    assert answer.accounts[0].actions == (action,)


def test_scores_stay_visible_when_the_filter_is_off() -> None:
    account = run(SPAM, facts={1: AccountFacts(FilterSettings(spam=False))}).accounts[0]
    assert (account.klass, account.score > 0.9) == ("spam", True)


SCRIPTS = {
    b'require "fileinto"; fileinto "Work";': (FileInto("Work"),),
    b"keep;": (Keep("INBOX"),),
    b"discard;": (DiscardMail(),),
    b'redirect "friend@outside.test";': (Redirect("friend@outside.test"),),
    b'require "copy"; redirect :copy "friend@outside.test";': (
        Redirect("friend@outside.test"), Keep("Promotions", implicit=True),
    ),
    b'if header :contains "subject" "nothing" { discard; }': (Keep("Promotions", implicit=True),),
    b'if address "from" "news@none.test" { keep; stop; } discard;': (Keep("INBOX"),),
}  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS, ids=repr)
def test_the_class_only_moves_the_implicit_keep(script: bytes) -> None:
    answer = run(OFFER, sender="a@none.test", facts={1: scripted(script)})
    assert answer.accounts[0].actions == SCRIPTS[script]


@pytest.mark.parametrize("script", list(SCRIPTS), ids=repr)
def test_no_rule_runs_on_spam(script: bytes) -> None:
    answer = run(SPAM, facts={1: scripted(script)})
    assert answer.accounts[0].actions == (FileInto("Spam", create=True),)


@pytest.mark.parametrize(
    "script",
    [
        b"this is not sieve",
        b'require "nonsense"; keep;',
        b"\xff\xfe",
        b"",
        b"if true {" * 100,
        b'fileinto "X";',
    ],
)
def test_a_broken_script_keeps_the_mail_and_says_why(script: bytes) -> None:
    account = run(OFFER, sender="a@none.test", facts={1: scripted(script)}).accounts[0]
    assert account.actions == (Keep("Promotions", implicit=True),)
    assert bool(account.script_error) == bool(script)


def test_scripts_see_our_fields_and_not_the_forged_ones() -> None:
    script = (
        b'require "fileinto"; if header :contains "X-Mailstack-Verdict" "class=promotions" { fileinto "seen"; }\n'
        b'if header :contains "X-Spam-Flag" "FORGED" { discard; }\n'
        b'if header :contains "Authentication-Results" "dmarc=fail" { fileinto "failed"; }'
    )
    message = "X-Spam-Flag: FORGED\r\nAuthentication-Results: mx.home.test; dmarc=pass\r\n" + OFFER
    account = run(message, sender="a@none.test", facts={1: scripted(script)}).accounts[0]
    assert account.actions == (FileInto("seen"), FileInto("failed"))


def test_scripts_see_the_address_that_was_written_to() -> None:
    script = b'require ["envelope","fileinto"]; if envelope "to" "shop@home.test" { fileinto "Shop"; }'
    account = run("From: a@none.test\r\n" + HELLO, facts={1: scripted(script)}, original="shop@home.test")
    assert account.accounts[0].actions == (FileInto("Shop"),)


def test_each_account_gets_its_own_verdict() -> None:
    facts = {
        1: AccountFacts(FilterSettings(spam=False)),
        2: AccountFacts(),
        3: AccountFacts(steps=(Step("script", b"discard;", "script"),)),
    }
    answer = run(SPAM, facts=facts, recipients=4)
    assert [a.recipient for a in answer.accounts] == [1, 2, 3, 4]
    assert [type(a.actions[0]) for a in answer.accounts] == [Keep, FileInto, FileInto, FileInto]


# -- lists ------------------------------------------------------------------------------


def test_blocked_senders_go_to_spam_and_nothing_else_runs() -> None:
    facts = AccountFacts(
        FilterSettings(spam=False),
        steps=(Step("script", b"discard;", "script"),),
        blocked=frozenset({"none.test"}),
    )
    account = run("From: a@none.test\r\n" + HELLO, facts={1: facts}).accounts[0]
    assert account.actions == (FileInto("Spam", create=True),)
    assert (account.klass, account.reasons[0].name) == ("spam", "blocked")


def test_allowed_senders_skip_the_filter_when_authenticated() -> None:
    message = f"From: alice@example.test\r\nSubject: x\r\n\r\n{GTUBE}\r\n"
    facts = {1: AccountFacts(allowed=frozenset({"alice@example.test"}))}
    account = run(message, ip="192.0.2.1", facts=facts).accounts[0]
    assert account.actions == (Keep("INBOX", implicit=True),)
    assert account.klass == "ham"


def test_allowed_senders_who_are_not_authenticated_are_named() -> None:
    facts = {1: AccountFacts(allowed=frozenset({"a@none.test"}))}
    account = run(SPAM, sender="a@none.test", facts=facts).accounts[0]
    assert account.actions == (FileInto("Spam", create=True),)
    assert any(r.why.startswith("not applied: ") for r in account.reasons)


def test_allowed_senders_are_never_promotions() -> None:
    zone = ZONE | {"none.test": {"TXT": ["v=spf1 ip4:192.0.2.1 -all"]}}
    facts = {1: AccountFacts(allowed=frozenset({"none.test"}))}
    account = run(OFFER, sender="news@none.test", ip="192.0.2.1", zone=zone, facts=facts).accounts[0]
    assert account.actions == (Keep("INBOX", implicit=True),)


# -- submissions --------------------------------------------------------------------------


def test_mail_of_our_own_users_is_not_judged() -> None:
    message = f"From: alice@home.test\r\nSubject: x\r\n\r\n{GTUBE}\r\n"
    facts = {1: AccountFacts(steps=(Step("script", b"keep;", "script"),), blocked=frozenset({"home.test"}))}
    answer = run(message, login="alice@home.test", sender="alice@home.test", facts=facts, zone={})
    assert (answer.verdict.klass, answer.verdict.action, answer.verdict.score) == ("ham", "accept", 0.0)
    assert answer.accounts[0].actions == (Keep("INBOX"),)
    assert answer.results_header == "mx.home.test;\r\n\tauth=pass smtp.auth=alice@home.test"


# -- hostile input ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        b"", b"\r\n", b"\0" * 1000, b"From", b":" * 5000, b"From: " + b"(" * 20_000, b"To: " + b"a@b.test," * 20_000,
        b"Subject: " + b"=?utf-8?q?x?= " * 5000 + b"\r\n\r\n",
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n" + b"--a\r\n" * 20_000,
        b"Content-Type: text/html\r\n\r\n" + b"<div>" * 200_000,
        b"Content-Type: text/html; charset=utf-16\r\n\r\n\xff<",
        b"Content-Type: text/plain; charset=utf-7\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b"=" * 100_000,
        b"DKIM-Signature: " + b"x" * 60_000 + b"\r\n\r\n",
        b"X-Spam-Flag: x\r\n" * 2000 + b"\r\n",
    ],
    ids=range(14),
)  # fmt: skip
def test_hostile_messages_get_a_verdict_in_time(message: bytes) -> None:
    # M1 to M18, P10
    import time

    began = time.process_time()
    answer = run(message, sender="")
    assert answer.verdict.unfiltered == ""
    assert time.process_time() - began < 5


def test_answers_survive_the_wire() -> None:
    answer = run(OFFER, facts={1: scripted(b'redirect "a@b.test";')})
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(answer), type=FilterAnswer)
    assert again == answer


def test_refusals_of_a_script_keep_their_words() -> None:
    answer = run(OFFER, facts={1: scripted(b'require "ereject"; ereject "go away";')})
    assert answer.accounts[0].actions == (RejectMail("go away", True),)


# -- what is known beside the message ---------------------------------------------------

LISTS = FilterOptions(
    block_list=(BlockList(zone="bl.test", weight=3.0), BlockList(zone="slow.test", weight=3.0))
)
LISTED: dict[str, dict[str, Any]] = {
    "9.113.0.203.bl.test": {"A": ["127.0.0.2"]},
    "9.113.0.203.slow.test": {"A": "TIMEOUT"},
    "9.113.0.203.in-addr.arpa": {"PTR": ["out-7.google.com"]},
    "out-7.google.com": {"A": ["203.0.113.9"]},
}


def weights(answer: FilterAnswer) -> dict[str, float]:
    return {reason.name: reason.weight for reason in answer.verdict.reasons}


def test_a_listed_client_makes_the_score_higher_and_a_silent_list_does_nothing() -> None:
    plain = run("From: a@none.test\r\n" + HELLO, sender="a@none.test")
    listed = run("From: a@none.test\r\n" + HELLO, sender="a@none.test", options=LISTS, zone=ZONE | LISTED)
    assert weights(listed)["listed_bl.test"] == 3.0
    assert listed.verdict.score > plain.verdict.score
    assert "no_reverse_name" in weights(plain)
    assert "no_reverse_name" not in weights(listed)
    assert not any("slow" in name for name in weights(listed))
    off = FilterOptions(client_facts=False)
    assert "no_reverse_name" not in weights(run("From: a@none.test\r\n" + HELLO, options=off))


def test_a_list_alone_refuses_nothing() -> None:
    lists = FilterOptions(block_list=(BlockList(zone="bl.test", weight=20.0),), block_lists_weight=20.0)
    answer = run("From: a@none.test\r\n" + HELLO, sender="a@none.test", options=lists, zone=ZONE | LISTED)
    assert (answer.verdict.klass, answer.verdict.action) == ("spam", "junk")


def test_hits_of_traps_count_unless_the_provider_is_big() -> None:
    # product page, section 1: never of big providers
    hints = (Reason("trap_network", 2.0, "spam traps here got mail from 203.0.113.0/24 3 times"),)
    assert weights(run("From: a@none.test\r\n" + HELLO, hints=hints))["trap_network"] == 2.0
    big = run("From: a@none.test\r\n" + HELLO, hints=hints, zone=ZONE | LISTED)
    assert "trap_network" not in weights(big)


def test_a_bounce_of_what_we_never_sent_is_spam_with_that_reason() -> None:
    # product page, section 2.4
    hints = (Reason("backscatter", 4.0, "a bounce of a message that was not sent from here"),)
    answer = run("From: mailer-daemon@none.test\r\n" + HELLO, sender="", hints=hints)
    assert (answer.verdict.klass, answer.verdict.action) == ("spam", "junk")
    assert answer.accounts[0].actions == (FileInto("Spam", create=True),)
    assert "backscatter" in weights(answer)


def test_one_time_codes_are_looked_for_when_somebody_asks() -> None:
    message = "From: a@none.test\r\nSubject: Your verification code\r\n\r\nYour code is 482913\r\n"
    assert "one_time_code" in weights(run(message, wants_codes=True))
    assert "one_time_code" not in weights(run(message))
    assert "one_time_code" not in weights(run("From: a@none.test\r\n" + HELLO, wants_codes=True))


def test_what_is_asked_beside_the_message_is_not_waited_for_long() -> None:
    data = ("From: a@none.test\r\n" + HELLO).encode()
    request = FilterRequest("id", "203.0.113.9", "client.test", "a@none.test", (), NOW, data)
    lookup = Lookup({})
    with pytest.raises(NeedLookup):
        Evaluation(request, data, {}, Tools(LISTS, "mx", PRIOR, Rules())).step(lookup)
    hasty = {question.name for question in lookup.hasty}
    assert hasty == {
        "9.113.0.203.bl.test", "9.113.0.203.slow.test", "9.113.0.203.in-addr.arpa", "client.test",
    }  # fmt: skip
    assert {"none.test", "_dmarc.none.test"} <= {question.name for question in lookup.wanted} - hasty


def test_copies_of_a_signed_message_count_only_where_nothing_else_proves_the_author() -> None:
    # T24
    hints = (Reason("dkim_replay", 2.0, "a message that example.net signed came 300 times"),)
    assert "dkim_replay" not in weights(run("From: a@none.test\r\n" + HELLO, hints=hints))
    by_spf = Authentication(dmarc=DmarcResult("pass", "a.test", is_dkim_aligned=True, is_spf_aligned=True))
    assert not by_spf.proves_by_signature
    assert Authentication(dmarc=DmarcResult("pass", "a.test", is_dkim_aligned=True)).proves_by_signature
