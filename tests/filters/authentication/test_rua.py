"""Where reports go, and who has to agree to it."""

from __future__ import annotations

from typing import Any

import pytest

from mailstack.filters.authentication.rua import MAX_URIS, Mailbox, Target, Upload, check, parse, tls_targets
from mailstack.model.address import Address
from tests.kit.lookups import resolve, resolve_counted

BLUE = "blue.example.com"
RED = Mailbox(Address("reports", "red.example.net"))
CONSENT = f"{BLUE}._report._dmarc.red.example.net"


def box(text: str, max_octets: int | None = None) -> Mailbox:
    return Mailbox(Address.parse(text), max_octets)


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ("mailto:a@b.test", [box("a@b.test")]),
        (" MAILTO:a@b.test!10m , mailto:c@d.test ", [box("a@b.test", 10 << 20), box("c@d.test")]),
        ("mailto:a@b.test!500", [box("a@b.test", 500)]),
        ("mailto:a@b.test!2K,mailto:a@b.test!2K", [box("a@b.test", 2048)]),
        ("mailto:a%21b@b.test", [Mailbox(Address("a!b", "b.test"))]),
        ("mailto:a%2Cb@b.test", []),  # no address without quotes
        ("mailto:a@b.test?subject=x", [box("a@b.test")]),
        ("mailto:a@[192.0.2.1]", []),
        ("mailto:postmaster", []),
        ("mailto:a@b.test%0d%0aBcc:x@y.test", []),
        ("mailto:a@b.test\r\nBcc: x@y.test", []),
        ("mailto:%ff@b.test", []),
        ("https://collect.test/x", []),
        ("a@b.test", []),
        ("", []),
    ],
)
def test_addresses_are_read_strictly_and_each_once(text: str, targets: list[Target]) -> None:
    assert list(parse(text)) == targets


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("https://Collect.test/v1/x?k=v", Upload("collect.test", 443, "/v1/x?k=v")),
        ("https://collect.test", Upload("collect.test", 443, "/")),
        ("https://collect.test:8443/x#part", Upload("collect.test", 8443, "/x")),
        ("https://192.0.2.1/x", None),
        ("https://user@collect.test/x", None),
        ("https://collect.test:0/x", None),
        ("https://collect.test/x y", None),
        ("http://collect.test/x", None),
    ],
)
def test_uploads_are_to_names_alone(text: str, target: Upload | None) -> None:
    # T86
    assert parse(text, schemes=("mailto", "https")) == ((target,) if target else ())
    if target is not None:
        assert parse(str(target), schemes=("https",)) == (target,)


def test_more_than_ten_are_a_bomb() -> None:
    # T29
    text = ",".join(f"mailto:{n}@b.test" for n in range(MAX_URIS + 1))
    assert len(parse(text)) == MAX_URIS


@pytest.mark.parametrize(
    ("records", "found"),
    [
        (["v=TLSRPTv1; rua=mailto:t@b.test"], (box("t@b.test"),)),
        (["v=TLSRPTv1;rua=https://b.test/r,mailto:t@b.test"], (Upload("b.test", 443, "/r"), box("t@b.test"))),
        (["v=TLSRPTv1; rua=mailto:t@b.test", "v=TLSRPTv1; rua=mailto:u@b.test"], ()),
        (["something else", "v=TLSRPTv1; rua=mailto:t@b.test"], (box("t@b.test"),)),
        (["v=TLSRPTv1; rua=ftp://b.test"], ()),
        ([], ()),
        ("SERVFAIL", None),
    ],
)
def test_who_wants_tls_reports(records: Any, found: tuple[Target, ...] | None) -> None:
    # RFC 8460 section 3
    assert resolve(lambda k: tls_targets("b.test", k), {"_smtp._tls.b.test": {"TXT": records}}) == found


def checked(table: dict[str, dict[str, Any]], target: Mailbox = RED) -> Mailbox | str | None:
    return resolve(lambda k: check(BLUE, "example.com", target, k), table)


def test_a_stranger_who_did_not_agree_is_not_written_to() -> None:
    # RFC 9990 section 4
    assert "does not say that it wants reports" in str(checked({}))
    assert "does not say that it wants reports" in str(checked({CONSENT: {"TXT": ["v=DMARC2"]}}))
    assert checked({CONSENT: {"TXT": "SERVFAIL"}}) is None


def test_a_stranger_who_agreed_is() -> None:
    assert checked({CONSENT: {"TXT": ["v=DMARC1"]}}) == RED
    assert checked({CONSENT: {"TXT": ["other", "v=DMARC1;"]}}) == RED


def test_a_stranger_may_name_another_mailbox_of_its_own_and_no_third_party() -> None:
    own = {CONSENT: {"TXT": ["v=DMARC1; rua=mailto:other@red.example.net!1k"]}}
    assert checked(own) == box("other@red.example.net", 1024)
    third = {CONSENT: {"TXT": ["v=DMARC1; rua=mailto:x@victim.test"]}}
    assert "somebody else" in str(checked(third))


def test_the_organization_itself_needs_no_consent() -> None:
    table = {"_dmarc.example.com": {"TXT": ["v=DMARC1; p=none"]}}
    own, asked = resolve_counted(lambda k: check(BLUE, "example.com", box("x@mail.example.com"), k), table)
    assert own == box("x@mail.example.com")
    assert all("_report" not in question.name for question in asked)
    assert resolve_counted(lambda k: check(BLUE, "example.com", box(f"x@{BLUE}"), k))[1] == []


def test_a_name_too_long_for_the_dns_cannot_agree() -> None:
    long = ".".join(["a" * 60] * 4)
    found = resolve(lambda k: check(long, long, RED, k))
    assert "so long a name" in str(found)
