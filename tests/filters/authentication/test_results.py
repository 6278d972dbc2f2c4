"""Authentication-Results: ours is well formed, forged ones in our name are cut."""

from __future__ import annotations

import authres
import pytest

from mailstack.filters.authentication import received_spf
from mailstack.filters.authentication.results import build, build_submission, find_cuts
from mailstack.filters.fields import Header
from mailstack.model.verdict import (
    ArcResult,
    Authentication,
    DkimResult,
    DmarcResult,
    FilterRequest,
    SpfResult,
)

OURS = "mx.example.test"
BODY = b"From: a@b.test\r\n\r\nbody\r\n"


def cut(fields: bytes) -> bytes:
    """What is left of a message after the cuts."""
    message = fields + BODY
    out = b""
    at = 0
    for start, end in find_cuts(Header(message), frozenset({OURS})):
        out += message[at:start]
        at = end
    return out + message[at:]


@pytest.mark.parametrize(
    "field",
    [
        b"Authentication-Results: mx.example.test; dmarc=pass\r\n",
        b"authentication-results : MX.Example.TEST; dmarc=pass\r\n",
        b"AUTHENTICATION-RESULTS:mx.example.test;dmarc=pass\r\n",
        b"Authentication-Results:\r\n mx.example.test;\r\n\tdmarc=pass\r\n",
        b"Authentication-Results: mx.example.test 1; dmarc=pass\r\n",
        b"Authentication-Results: mx.example.test\r\n",
        b"Authentication-Results: (comment; more) mx.example.test; dmarc=pass\r\n",
        b"Authentication-Results: (a (nested\\) one)) mx.example.test; dmarc=pass\r\n",
        b"Authentication-Results: ( \r\n ) (x) mx.example.test (y) 1; dmarc=pass\r\n",
        b'Authentication-Results: "mx.example.test"; dmarc=pass\r\n',
        b'Authentication-Results: "mx.ex\\ample.test"; dmarc=pass\r\n',
        b"Authentication-Results: mx.example.test.; dmarc=pass\r\n",
        b"Authentication-Results: mx.example.test(c); dmarc=pass\r\n",
        b"Authentication-Results: (never closed mx.example.test; dmarc=pass\r\n",
        b"Received-SPF: pass (x) client-ip=192.0.2.1; receiver=mx.example.test; identity=mailfrom\r\n",
        b'received-spf : pass\r\n RECEIVER = "MX.example.test."\r\n',
        b"X-Spam-Flag: NO\r\n",
        b"x-spam-status: No,\r\n score=-100\r\n",
        b"X-Mailstack-Verdict: class=ham\r\n",
        b"X-MAILSTACK-ANYTHING : x\r\n",
    ],
    ids=repr,
)
def test_fields_in_our_name_are_cut(field: bytes) -> None:
    # T22, D24; RFC 8601 section 5
    assert (
        cut(b"Subject: x\r\n" + field + b"To: y@z.test\r\n" + field)
        == b"Subject: x\r\nTo: y@z.test\r\n" + BODY
    )


@pytest.mark.parametrize(
    "field",
    [
        b"Authentication-Results: mx.example.org; dmarc=pass\r\n",
        b"Authentication-Results: mx.example.test.evil.org; dmarc=pass\r\n",
        b"Authentication-Results: example.test; dmarc=pass\r\n",
        b"Authentication-Results: (mx.example.test) other.test; x=y\r\n",
        b'Authentication-Results: "other.test"; reason="mx.example.test"\r\n',
        b"Authentication-Results:\r\n",
        b"X-Authentication-Results: mx.example.test; dmarc=pass\r\n",
        b"ARC-Authentication-Results: i=1; mx.example.test; dmarc=pass\r\n",
        b"Received-SPF: pass (mx.example.test: x) client-ip=192.0.2.1; receiver=mx.example.org\r\n",
        b"X-Spamalot: yes\r\n",
        b"X-Mailstacked: yes\r\n",
    ],
    ids=repr,
)
def test_fields_of_others_stay(field: bytes) -> None:
    assert cut(field) == field + BODY


def test_cuts_are_ascending_and_whole_fields() -> None:
    message = b"X-Spam-Flag: NO\r\nA: 1\r\nX-Spam-Score: 1\r\n 2\r\n" + BODY
    cuts = find_cuts(Header(message), frozenset({OURS}))
    assert [message[start:end] for start, end in cuts] == [
        b"X-Spam-Flag: NO\r\n",
        b"X-Spam-Score: 1\r\n 2\r\n",
    ]


FOUND = Authentication(
    SpfResult("softfail", "b.test"),
    SpfResult(),
    (DkimResult("pass", "b.test", "s1"), DkimResult("permerror", "", "", "junk")),
    DmarcResult("fail", "b.test", "reject", "quarantine", problem='_dmarc.b.test: "sp=" (x); invalid'),
    ArcResult("fail", "a signature of c.test does not match"),
)


def test_our_field_can_be_parsed_and_says_everything() -> None:
    value = build(OURS, FOUND, sender="a@b.test", helo="h.test", ip="192.0.2.7")
    parsed = authres.AuthenticationResultsHeader.parse(
        "Authentication-Results: " + value.replace("\r\n\t", " ")
    )
    assert parsed.authserv_id == OURS
    assert [(r.method, r.result) for r in parsed.results] == [
        ("spf", "softfail"), ("dkim", "pass"), ("dkim", "permerror"), ("dmarc", "fail"), ("arc", "fail"),
    ]  # fmt: skip
    assert "header.d=b.test header.s=s1" in value
    assert "header.from=b.test" in value
    assert "dkim=permerror reason=junk" in value
    assert (
        'dmarc=fail (p=reject dis=quarantine) reason="_dmarc.b.test: _sp=_ _x_, invalid" header.from' in value
    )
    assert 'arc=fail reason="a signature of c.test does not match" smtp.remote-ip=192.0.2.7' in value
    assert all(len(line) < 300 for line in value.split("\r\n"))


@pytest.mark.parametrize(
    "evil",
    ["a@b.test; dmarc=pass", "a@b.test\r\nX: y", 'a" b@c.test', "a(b@c.test", "\u202ea@b.test", "a" * 5000],
)
def test_what_a_peer_chose_cannot_forge_a_result(evil: str) -> None:
    for value in (
        build(OURS, FOUND, sender=evil, helo="x"),
        build(OURS, FOUND, sender="", helo=evil),
        build_submission(OURS, evil),
    ):
        assert value.count(";") == value.count(";\r\n\t")
        assert value.isascii()
        assert "(b" not in value
        assert len(value) < 1500


def test_both_identities_of_spf_are_told() -> None:
    # RFC 7208 section 2.3
    found = Authentication(SpfResult("fail", "b.test"), SpfResult("pass", "h.test"))
    value = build(OURS, found, sender="a@b.test", helo="h.test")
    assert "\tspf=fail smtp.mailfrom=a@b.test;\r\n\tspf=pass smtp.helo=h.test;" in value


@pytest.mark.parametrize("word", ["pass", "fail", "softfail", "neutral", "none", "temperror", "permerror"])
@pytest.mark.parametrize("sender", ["a@b.test", "", 'x"; receiver=y\r\nA: b\\@c.test', "(" * 500])
def test_received_spf_is_one_field_whatever_a_peer_chose(word: str, sender: str) -> None:
    # RFC 7208 section 9.1
    request = FilterRequest("id", "192.0.2.7", 'h"(\r\n', sender, (), 0.0)
    value = received_spf.build(OURS, SpfResult(word, "b.test"), request)
    assert value.startswith(f"{word} (mx.example.test: ")
    assert value.count("\n") == value.count("\r\n\t") == (5 if sender else 4)
    assert value.count('"') == (4 if sender else 2)
    assert value.count("(") == value.count(")") == 1
    assert f"identity={'mailfrom' if sender else 'helo'}" in value
    assert find_cuts(Header(f"Received-SPF: {value}\r\n\r\n".encode()), frozenset({OURS}))


def test_mail_without_signature_says_so() -> None:
    value = build(OURS, Authentication(), sender="", helo="")
    assert value == ("mx.example.test;\r\n\tspf=none smtp.helo=unknown;\r\n\tdkim=none;\r\n\tdmarc=none")


def test_submissions_say_who_logged_in() -> None:
    assert build_submission(OURS, "alice@example.test") == (
        "mx.example.test;\r\n\tauth=pass smtp.auth=alice@example.test"
    )


@pytest.mark.parametrize("text", ["@", "a@", "a@b@c", "@@"])
def test_a_lone_at_does_not_break_the_field(text: str) -> None:
    # Found by fuzzing: the library puts nothing that holds an "@" into quotes.
    found = Authentication(
        spf=SpfResult("permerror", text, why=text), dkim=(DkimResult("pass", text, text, text),)
    )
    value = build("mx.home.test", found, sender=text, helo=text)
    parsed = authres.AuthenticationResultsHeader.parse(f"Authentication-Results: {value}")
    assert [one.method for one in parsed.results][-2:] == ["dkim", "dmarc"]


@pytest.mark.parametrize(
    ("sender", "written"),
    [
        ("a@[192.0.2.1]", '"a@[192.0.2.1]"'),
        ("a@[IPv6:2001:db8::1]", '"a@[IPv6:2001:db8::1]"'),
        ("a:b@c.test", '"a:b@c.test"'),
        ("a..b@c.test", '"a..b@c.test"'),
        ("[a]@c.test", '"[a]@c.test"'),
        ("a@b_c.test", '"a@b_c.test"'),
        ("a/b=c+d.e@c.test", "a/b=c+d.e@c.test"),
    ],
)
def test_addresses_that_are_not_atoms_at_a_domain_are_quoted(sender: str, written: str) -> None:
    found = Authentication(SpfResult("none"), dkim=(DkimResult("pass", "c.test", "s"),))
    value = build(OURS, found, sender=sender, helo="h")
    assert f"smtp.mailfrom={written};" in value
    parsed = authres.AuthenticationResultsHeader.parse("Authentication-Results: " + value.replace("\r\n", ""))
    assert [one.result for one in parsed.results if one.method == "dkim"] == ["pass"]
