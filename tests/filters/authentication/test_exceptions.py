"""What the operator knows better about a DMARC failure, through the whole evaluation."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from mailstack.filters.authentication.arc_chain import Chain, ChainVerifier
from mailstack.filters.authentication.arc_seal import seal
from mailstack.filters.authentication.arc_trust import tells_of_pass
from mailstack.filters.authentication.sign import sign
from mailstack.filters.facts import Tools
from mailstack.filters.fields import Header
from mailstack.filters.options import FilterOptions
from mailstack.filters.pipeline import Evaluation
from mailstack.filters.rules import Rules
from mailstack.model.errors import ConfigError
from mailstack.model.verdict import FilterRequest, MessageVerdict
from tests.kit.dkim_keys import rsa_key, rsa_record
from tests.kit.lookups import resolve

NOW = int(time.time())
#: The list's host; nothing of it is aligned with the author.
IP = "198.51.100.1"
ZONE: dict[str, dict[str, Any]] = {
    "author.test": {"TXT": ["v=spf1 -all"], "A": ["192.0.2.1"]},
    "_dmarc.author.test": {"TXT": ["v=DMARC1; p=reject"]},
    "_dmarc.soft.test": {"TXT": ["v=DMARC1; p=quarantine"]},
    "list.test": {"TXT": [f"v=spf1 ip4:{IP} -all"]},
    "mx.helo.test": {"TXT": ["v=spf1 ip4:203.0.113.5 -all"]},
    "evil.test": {"TXT": ["v=spf1 +all"]},
    **{
        f"rsa._domainkey.{domain}": {"TXT": [rsa_record()]}
        for domain in ("list.test", "sub.list.test", "evil.test")
    },
}
LETTER = (
    b"From: Ann <ann@author.test>\r\nTo: list@list.test\r\nSubject: lunch\r\nDate: x\r\n"
    b"Message-ID: <1@author.test>\r\n\r\nHi Bob, are you free for lunch today?\r\n"
)
PASSED = "mx.list.test; dkim=pass header.d=author.test; dmarc=pass (p=reject) header.from=author.test"


def judge(
    message: bytes = LETTER,
    *,
    ip: str = "203.0.113.9",
    helo: str = "client.test",
    sender: str = "x@nowhere.test",
    zone: dict[str, dict[str, Any]] | None = None,
    **options: Any,
) -> MessageVerdict:
    request = FilterRequest("id", ip, helo, sender, (), NOW, message, size_octets=len(message))
    tools = Tools(FilterOptions(**options), "mx.home.test", None, Rules())
    return resolve(Evaluation(request, message, {}, tools).step, ZONE if zone is None else zone).verdict


def why(verdict: MessageVerdict) -> str:
    return next((reason.why for reason in verdict.reasons if reason.name == "dmarc_policy"), "")


def sealed(message: bytes, *domains: str, results: str = PASSED) -> bytes:
    """Passed on by each of the domains in turn; only the first tells of a pass."""
    for domain in domains:
        chain = resolve(ChainVerifier(message, Header(message), now=NOW).verify, ZONE)
        assert chain.result != "fail", chain
        told = results if chain == Chain("none") else f"mx.{domain}; dmarc=fail header.from=author.test"
        message = seal(message, chain, rsa_key(domain), results=told, now=NOW) + message
    return message


def test_without_exceptions_a_forgery_is_refused() -> None:
    found = judge()
    assert (found.action, found.authentication.dmarc.disposition) == ("reject", "reject")


@pytest.mark.parametrize(
    ("trusted", "facts"),
    [
        (["203.0.113.9"], {}),
        (["192.0.2.0/24", "203.0.113.0/24"], {}),
        (["2001:db8::/32"], {"ip": "2001:db8::1"}),
        (["list.test"], {"ip": IP, "sender": "bounce@list.test"}),
        (["helo.test"], {"ip": "203.0.113.5", "helo": "mx.helo.test"}),
        (["list.test"], {"message": sign(LETTER, [rsa_key("sub.list.test")], now=NOW) + LETTER}),
    ],
    ids=["address", "network", "ipv6", "spf", "helo", "dkim"],
)
def test_a_trusted_forwarder_is_believed(trusted: list[str], facts: dict[str, Any]) -> None:
    assert judge(**facts).action != "accept"
    found = judge(**facts, trusted_forwarders=tuple(trusted))
    assert found.action == "accept"
    dmarc = found.authentication.dmarc
    assert (dmarc.result, dmarc.disposition, dmarc.override) == ("fail", "none", "trusted_forwarder")
    assert "trusted forwarder" in dmarc.override_why == why(found)


@pytest.mark.parametrize(
    ("trusted", "facts"),
    [
        (["203.0.113.10"], {}),
        (["list.test"], {"ip": "203.0.113.9", "sender": "bounce@list.test"}),
        (["list.test"], {"helo": "mx.list.test"}),
        (["list.test"], {"ip": IP, "sender": "bounce@evil-list.test"}),
        (["list.test"], {"message": b"List-Id: <list.test>\r\nReceived: from list.test\r\n" + LETTER}),
    ],
    ids=["other address", "spf fails", "helo only said", "other domain", "fields only"],
)
def test_who_only_says_so_is_not_a_trusted_forwarder(trusted: list[str], facts: dict[str, Any]) -> None:
    assert judge(**facts, trusted_forwarders=tuple(trusted)).action in ("reject", "junk")


@pytest.mark.parametrize("domains", [("list.test",), ("sub.list.test",), ("list.test", "sub.list.test")])
def test_a_listed_sealer_vouches(domains: tuple[str, ...]) -> None:
    # RFC 8617 section 7.2: after the list has changed the message, the chain is what is left
    message = sealed(LETTER.replace(b"Subject: ", b"Subject: [list] "), *domains)
    unlisted = judge(message)
    assert (unlisted.authentication.arc.result, unlisted.action) == ("pass", "junk")  # neutral effect
    found = judge(message, arc_sealers=("list.test",))
    assert found.action == "accept"
    dmarc = found.authentication.dmarc
    assert (dmarc.result, dmarc.disposition, dmarc.override) == ("fail", "none", "local_policy")
    assert dmarc.override_why.startswith("arc=pass: ")


@pytest.mark.parametrize(
    "message",
    [
        sealed(LETTER, "evil.test"),
        sealed(LETTER, "list.test", "evil.test"),
        sealed(LETTER, "evil.test", "list.test"),
        sealed(LETTER, "list.test", results=PASSED.replace("dmarc=pass", "dmarc=fail")),
        sealed(LETTER, "list.test", results=PASSED.replace("from=author", "from=other")),
        sealed(LETTER, "list.test", results="mx.list.test; spf=pass smtp.mailfrom=author.test"),
        sealed(LETTER, "list.test").replace(b"lunch today", b"money today"),
        sealed(LETTER, "list.test").replace(b"dkim=pass", b"dkim=none"),
        b"From: evil@evil.test\r\n" + sealed(LETTER, "list.test"),
    ],
    ids=range(9),
)
def test_a_chain_that_proves_nothing_changes_nothing(message: bytes) -> None:
    # D25, T26: sealed by a stranger, of another author, or changed since
    found = judge(message, arc_sealers=("list.test",))
    assert found.action in ("junk", "reject")
    assert found.authentication.arc.vouches == ""


@pytest.mark.parametrize(
    ("value", "tells"),
    [
        (b"i=1; mx.test; dmarc=pass header.from=author.test", True),
        (b"i=1; mx.test 1; spf=fail; DMARC = PASS (p=none) Header.From = Author.Test.", True),
        (b"i=1; mx.test; dmarc=pass policy.dmarc=x header.from=author.test; arc=none", True),
        (b"i=1; mx.test; dmarc=pass", False),
        (b"i=1; mx.test; dmarc=pass header.from=author.test.evil.test", False),
        (b"i=1; mx.test; dmarc=pass header.from=author.test header.from=evil.test", False),
        (b"i=1; mx.test; dmarc=fail header.from=author.test; dmarc=pass header.from=author.test", False),
        (b'i=1; mx.test; spf=fail smtp.mailfrom="x; dmarc=pass header.from=author.test"@evil.test', False),
        (b"i=1; mx.test; spf=fail (x; dmarc=pass header.from=author.test)", False),
        (b"i=1; mx.test; spf=fail (x; dmarc=pass header.from=author.test", False),
        (b"i=1; dmarc=pass header.from=author.test", False),
        (b"dmarc=pass header.from=author.test", False),
        (b"", False),
        (b"i=1; mx.test" + b"; x=y" * 1000 + b"; dmarc=pass header.from=author.test", False),
    ],
    ids=range(14),
)
def test_what_a_sealer_tells(value: bytes, tells: bool) -> None:
    assert tells_of_pass(value, "author.test") is tells


def test_what_a_sealer_tells_is_read_once_however_long_a_word_is() -> None:
    started = time.process_time()
    said = b"i=1; mx.test; dmarc=pass " + b"a" * 60_000 + b" header.from=author.test"
    assert tells_of_pass(said, "author.test")
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("exceptions", "author", "action", "disposition"),
    [
        ({"author.test": "none"}, "author.test", "accept", "none"),
        ({"author.test": "quarantine"}, "author.test", "junk", "quarantine"),
        ({"author.test": "none"}, "a.b.author.test", "accept", "none"),
        ({"author.test": "none", "b.author.test": "quarantine"}, "a.b.author.test", "junk", "quarantine"),
        ({"soft.test": "none"}, "soft.test", "accept", "none"),
        ({"soft.test": "quarantine"}, "soft.test", "junk", "quarantine"),
        ({"thor.test": "none", "test.author.test": "none"}, "author.test", "reject", "reject"),
    ],
)
def test_domains_have_exceptions(
    exceptions: dict[str, str], author: str, action: str, disposition: str
) -> None:
    found = judge(
        LETTER.replace(b"@author.test>", b"@" + author.encode() + b">", 1), dmarc_exceptions=exceptions
    )
    assert (found.action, found.authentication.dmarc.disposition) == (action, disposition)
    assert found.authentication.dmarc.result == "fail"


def test_an_exception_for_one_of_two_authors_is_none() -> None:
    message = LETTER.replace(b"<ann@author.test>", b"<ann@author.test>, bob@free.test")
    assert judge(message, dmarc_exceptions={"free.test": "none"}).action == "reject"


@pytest.mark.parametrize("always", [{}, {"dmarc_on_reject": "always"}])
def test_the_operators_word_goes_before_the_mode(always: dict[str, str]) -> None:
    assert judge(dmarc_exceptions={"author.test": "quarantine"}, **always).action == "junk"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("trusted_forwarders", ("Example.org",)),
        ("trusted_forwarders", ("192.0.2.7/24",)),
        ("trusted_forwarders", ("not a domain",)),
        ("arc_sealers", ("",)),
        ("arc_sealers", ("192.0.2.7/32",)),
        ("dmarc_exceptions", {"b\u00fccher.test": "none"}),
    ],
)
def test_mistakes_are_named(key: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=key):
        FilterOptions(**{key: value})


# -- what is wrong with records is named ---------------------------------------------


@pytest.mark.parametrize(
    ("zone", "name", "words"),
    [
        (
            {"_dmarc.author.test": {"TXT": ["v=DMARC1; p=none", "v=DMARC1; p=reject"]}},
            "dmarc_record",
            "several",
        ),
        ({"_dmarc.author.test": {"TXT": ["v=DMARC1; p=reject; p=none"]}}, "dmarc_record", "p= stands twice"),
        ({"_dmarc.author.test": {"TXT": ["v=DMARC1; sp=x; p=none"]}}, "dmarc_record", "invalid sp="),
        ({"_dmarc.author.test": {"TXT": ["v=DMARC1; p=x"]}}, "dmarc_record", "no valid p="),
        ({"nowhere.test": {"TXT": ["v=spf1 moo"]}}, "spf_permerror", "nowhere.test: "),
        ({"nowhere.test": {"TXT": "SERVFAIL"}}, "spf_temperror", "nowhere.test: "),
        ({"client.test": {"TXT": ["v=spf1 moo"]}}, "spf_helo_permerror", "client.test: "),
    ],
)
def test_what_is_wrong_is_named_in_the_result(zone: dict[str, Any], name: str, words: str) -> None:
    # D5, D20; product page, section 2.3
    found = judge(zone={**ZONE, **zone})
    [reason] = [reason for reason in found.reasons if reason.name == name]
    assert words in reason.why
    assert reason.weight == 0


def test_a_broken_chain_and_a_bad_signature_are_named() -> None:
    message = b"ARC-Seal: i=1; cv=pass\r\nDKIM-Signature: v=1; a=rsa-sha1; d=x.test\r\n" + LETTER
    reasons = {reason.name: reason.why for reason in judge(message).reasons}
    assert "sets" in reasons["arc_fail"]
    assert reasons["dkim_permerror"]
    assert json.dumps(reasons)


# -- a stranger's DNS, and what he chooses -----------------------------------------------


@pytest.mark.parametrize("failure", ["SERVFAIL", "TIMEOUT"])
@pytest.mark.parametrize("how", ["spf", "dkim", "helo", "arc", "author"])
def test_broken_dns_of_a_stranger_undoes_no_policy(how: str, failure: str) -> None:
    zone = {**ZONE, "evil.test": {"TXT": failure}, "_dmarc.evil.test": {"TXT": failure}}
    facts: dict[str, Any] = {}
    if how == "spf":
        facts = {"sender": "x@evil.test"}
    elif how == "dkim":
        zone["rsa._domainkey.evil.test"] = {"TXT": failure}
        facts = {"message": sign(LETTER, [rsa_key("evil.test")], now=NOW) + LETTER}
    elif how == "helo":
        facts = {"helo": "evil.test"}
    elif how == "arc":
        facts = {"message": sealed(LETTER, "evil.test")}
        zone["rsa._domainkey.evil.test"] = {"TXT": failure}
    else:
        facts = {"message": LETTER.replace(b"From: ", b"From: <x@evil.test>, ")}
    found = judge(zone=zone, **facts)
    assert found.authentication.dmarc.result == "fail"
    assert found.action in ("junk", "reject")


@pytest.mark.parametrize("failure", ["SERVFAIL", "TIMEOUT"])
def test_d1_what_could_have_passed_is_temporary_and_never_refused(failure: str) -> None:
    spf_silent = {**ZONE, "sub.author.test": {"TXT": failure}}
    found = judge(sender="x@sub.author.test", zone=spf_silent)
    assert (found.authentication.dmarc.result, found.action) == ("temperror", "accept")
    key_silent = {**ZONE, "rsa._domainkey.author.test": {"TXT": failure}}
    found = judge(sign(LETTER, [rsa_key("author.test")], now=NOW) + LETTER, zone=key_silent)
    assert (found.authentication.dmarc.result, found.action) == ("temperror", "accept")


def test_a_second_author_who_passes_takes_nothing_away() -> None:
    # T20: the sender's own domain beside the one that is forged
    zone = {**ZONE, "_dmarc.evil.test": {"TXT": ["v=DMARC1; p=reject"]}}
    message = LETTER.replace(b"From: ", b"From: <x@evil.test>, ")
    found = judge(message, sender="x@evil.test", zone=zone)
    assert found.authentication.spf.result == "pass"
    dmarc = found.authentication.dmarc
    assert (dmarc.result, dmarc.domain, dmarc.policy) == ("fail", "author.test", "reject")
    assert found.action in ("junk", "reject")
