"""Chains of certificates: who vouches for whom, for which name, until when."""

from __future__ import annotations

import time

import pytest

from mailstack.delivery import certificates
from tests.kit.authority import Authority

NOW = time.time()
ROOT = Authority("root")
BELOW = ROOT.authority("below")
NAMES = ["mx.example.net"]


def judged(chain: list[bytes], *anchors: Authority, names: list[str] = NAMES, at: float = NOW) -> str:
    trusted = certificates.trusting(one.certificate for one in anchors)
    return certificates.check(chain, trusted, names, at=at)


def test_a_path_to_somebody_we_trust_is_good() -> None:
    chain = BELOW.issue("mx.example.net").chain
    assert judged(chain, ROOT) == ""
    assert judged(chain[:2], ROOT) == ""
    assert judged(chain, BELOW) == ""
    assert judged([chain[0], chain[2], chain[1]], ROOT) == ""


@pytest.mark.parametrize("forger", [Authority("root"), Authority("below")], ids=lambda one: one.name)
def test_a_name_alone_makes_no_authority(forger: Authority) -> None:
    assert judged(BELOW.issue("mx.example.net").chain, forger) == "certificate-not-trusted"
    assert (
        judged([forger.issue("mx.example.net").der, BELOW.der, ROOT.der], ROOT) == "certificate-not-trusted"
    )


def test_who_may_not_sign_is_no_authority() -> None:
    # RFC 5280 section 6.1.4 (k)
    server = ROOT.authority("mx.example.org", ca=False)
    assert judged(server.issue("mx.example.net").chain, ROOT) == "certificate-not-trusted"


def test_dates_count_for_everybody() -> None:
    assert judged(BELOW.issue("mx.example.net", days=-1).chain, ROOT) == "certificate-expired"
    old = ROOT.authority("old", days=-1)
    assert judged(old.issue("mx.example.net").chain, ROOT) == "certificate-not-trusted"
    assert judged(BELOW.issue("mx.example.net").chain, ROOT, at=NOW - 61 * 86_400) == "certificate-expired"


def test_the_name_is_one_of_those_we_mean() -> None:
    chain = BELOW.issue("mx.example.net", "*.example.org").chain
    assert judged(chain, ROOT, names=["other.example", "MX.example.net."]) == ""
    assert judged(chain, ROOT, names=["mx9.example.org"]) == ""
    for wrong in ("example.org", "a.b.example.org", "mx.example.net.evil.example", ""):
        assert judged(chain, ROOT, names=[wrong]) == "certificate-host-mismatch"


def test_a_common_name_counts_only_where_there_is_no_other() -> None:
    assert judged(BELOW.issue("mx.example.net", with_names=False).chain, ROOT) == ""


def test_no_chain_and_no_certificate_are_no_proof() -> None:
    assert judged([], ROOT) == "validation-failure"
    assert judged([b"\x30\x03\x02\x01\x01"], ROOT) == "validation-failure"
    assert judged([b"", *BELOW.issue("mx.example.net").chain], ROOT) == "validation-failure"
    assert judged(BELOW.issue("mx.example.net").chain) == "certificate-not-trusted"
    assert certificates.load(b"\x30" * (certificates.MAX_CERTIFICATE_OCTETS + 1)) is None


@pytest.mark.parametrize(
    ("pattern", "name", "is_meant"),
    [
        ("*.example.net", "mx.example.net", True),
        ("*.example.net", "a.mx.example.net", False),
        ("*.example.net", "example.net", False),
        ("*.example.net", ".example.net", False),
        ("*.net", "example.net", False),
        ("*", "net", False),
        ("mx*.example.net", "mx1.example.net", False),
        ("", "", False),
        ("mx.example.net", "MX.EXAMPLE.NET", True),
    ],
)
def test_a_wildcard_is_one_whole_label(pattern: str, name: str, is_meant: bool) -> None:
    # RFC 6125 section 6.4.3
    assert certificates.matches(pattern, name) is is_meant


def test_a_name_that_cannot_be_read_is_none() -> None:
    # Found by fuzzing: the subject of a certificate without other names is read late.
    der = ROOT.authority("below").der
    broken = der.replace(b"\x0c\x05below", b"\x00\x05below")
    assert broken != der
    assert certificates.load(broken) is not None
    assert judged([broken], ROOT) == "certificate-host-mismatch"
