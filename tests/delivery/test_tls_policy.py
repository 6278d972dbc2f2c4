"""What TLS a session needs: DANE before MTA-STS, testing binds nobody, REQUIRETLS wants proof."""

from __future__ import annotations

import pytest

from mailstack.delivery.dane import Dane, Tlsa, Unknown
from mailstack.delivery.mta_sts import Policy, parse
from mailstack.delivery.tls_policy import Barred, Security, decide, open_to_all, protected
from mailstack.state.tls_facts import TlsPolicy

DOMAIN, HOST = "example.net", "mx.example.net"
RECORD = Tlsa(3, 1, 1, bytes(32))
DANE = Dane(HOST, (RECORD,))


def sts(mode: str, mx: str = HOST) -> Policy:
    return parse(f"version: STSv1\nmode: {mode}\nmx: {mx}\nmax_age: 86400\n".encode())


def secured(dane: Dane | Unknown | None = None, policy: Policy | None = None) -> Security:
    found = decide(DOMAIN, HOST, dane=dane, sts=policy)
    assert isinstance(found, Security)
    return found


def test_nobody_asks_for_anything() -> None:
    assert secured() == open_to_all(DOMAIN) == Security(TlsPolicy(DOMAIN))
    assert secured(policy=sts("none")) == open_to_all(DOMAIN)


def test_dane_binds_and_goes_before_mta_sts() -> None:
    # RFC 8461 section 2
    for policy in (None, sts("enforce"), sts("enforce", "other.example"), sts("testing")):
        found = secured(DANE, policy)
        assert (found.must, found.proof, found.dane) == (True, "dane", DANE)
        assert found.policy == TlsPolicy(DOMAIN, "tlsa", (f"3 1 1 {'00' * 32}",), (HOST,))
    assert secured(DANE).server_name(HOST) == HOST
    assert secured(Dane("last.example", (RECORD,))).server_name(HOST) == "last.example"


def test_records_of_no_use_ask_for_tls_alone() -> None:
    # RFC 7672 section 2.2
    found = secured(Dane(HOST, ()), sts("enforce"))
    assert (found.must, found.proof, found.policy.kind) == (True, "none", "tlsa")


def test_records_that_cannot_be_had_bar_the_host() -> None:
    # RFC 7672 section 2.1.1
    found = decide(DOMAIN, HOST, dane=Unknown("_25._tcp.mx.example.net"), sts=None)
    assert isinstance(found, Barred)
    assert (found.reply.code, found.reply.status) == (451, "7.5")
    assert (found.fact.result, found.fact.policy.kind) == ("dnssec-invalid", "tlsa")


def test_an_enforced_policy_binds_and_bars_other_hosts() -> None:
    # RFC 8461 section 5
    found = secured(policy=sts("enforce"))
    assert (found.must, found.proof, found.policy.kind) == (True, "certificate", "sts")
    assert found.policy.mx == (HOST,)
    barred = decide(DOMAIN, "evil.example", dane=None, sts=sts("enforce"))
    assert isinstance(barred, Barred)
    assert (barred.reply.code, barred.fact.result) == (451, "validation-failure")


@pytest.mark.parametrize(("mx", "is_refused"), [(HOST, False), ("other.example", True)])
def test_a_policy_in_testing_is_only_watched(mx: str, is_refused: bool) -> None:
    found = secured(policy=sts("testing", mx))
    assert (found.must, found.proof, found.watches) == (False, "none", True)
    assert found.is_refused_host is is_refused


def test_protected_mail_wants_proof_and_a_host_nobody_could_put_there() -> None:
    # RFC 8689 section 4.2.1
    assert protected(secured(), is_mx_signed=False) is None
    assert protected(secured(policy=sts("testing", "other.example")), is_mx_signed=False) is None
    for found, signed in (
        (secured(), True),
        (secured(Dane(HOST, ())), True),
        (secured(policy=sts("testing")), False),
    ):
        wanted = protected(found, is_mx_signed=signed)
        assert wanted is not None
        assert (wanted.must, wanted.proof) == (True, "certificate")
    for found in (secured(DANE), secured(policy=sts("enforce"))):
        assert protected(found, is_mx_signed=False) == found
