"""What TLS a session with one host must have, and why: one decision out of all that was found.

    TLSA records that bind us        DANE: TLS that matches them, or no mail by this host
    else an MTA-STS policy           enforce: a good certificate and an allowed host, or no mail by it
                                     testing: as without, but its failures are reported
    else                             whatever the host manages, clear text too

DANE goes before MTA-STS (RFC 8461 section 2).  A message that must not be lost for want of TLS
says so itself (TLS-Required: No); one that wants protection says that (REQUIRETLS).

Standards: RFC 7672 section 2.2, RFC 8461 section 5, RFC 8689.
Imports: model, mime, state.  Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from mailstack.delivery.dane import Dane, Unknown
from mailstack.delivery.mta_sts import Policy
from mailstack.mime.header import Headers
from mailstack.model.reply import Reply
from mailstack.state.tls_facts import TlsFact, TlsPolicy

#: How the server proves who it is.
Proof: TypeAlias = Literal["none", "certificate", "dane"]


@dataclass(frozen=True, slots=True)
class Security:
    """What one session must have.

    Attributes:
        policy: the policy domain and what it says; for reports.
        proof: what the server must show, or there is no delivery by it.
        must: TLS, or no delivery by this host.
        dane: with proof "dane"; also without usable records, when TLS alone is asked for.
        watches: the certificate and host are looked at and their faults reported, no more.
        is_refused_host: an MTA-STS policy that is only watched does not name this host.
        why: who asks for it, for people; "" where it is the message itself.
    """

    policy: TlsPolicy
    proof: Proof = "none"
    must: bool = False
    dane: Dane | None = None
    watches: bool = False
    is_refused_host: bool = False
    why: str = ""

    def server_name(self, host: str) -> str:
        """The name to tell the server (RFC 7672 section 8.1)."""
        return self.dane.base if self.dane is not None else host


@dataclass(frozen=True, slots=True)
class Barred:
    """No session with this host: why, and what a report says of it."""

    reply: Reply
    fact: TlsFact


def open_to_all(domain: str) -> Security:
    """Nobody asks for anything."""
    return Security(TlsPolicy(domain))


def decide(domain: str, host: str, *, dane: Dane | Unknown | None, sts: Policy | None) -> Security | Barred:
    """What a session with a host needs.

    Args:
        domain: of the recipients, A-labels.
        host: one of its mail servers.
        dane: what `dane.find` found for the host; None where MX records are not signed.
        sts: the domain's MTA-STS policy; None without.
    """
    if isinstance(dane, Unknown):
        reply = Reply(451, "7.5", f"The TLSA records of {host} cannot be had ({dane.name}); DANE wants them")
        return Barred(reply, TlsFact(TlsPolicy(domain, "tlsa", (), (host,)), "dnssec-invalid", host))
    if dane is not None:
        return _by_dane(domain, host, dane)
    if sts is None or sts.mode == "none":
        return open_to_all(domain)
    return _by_sts(domain, host, sts)


def _by_dane(domain: str, host: str, dane: Dane) -> Security:
    policy = TlsPolicy(domain, "tlsa", tuple(map(str, dane.records)), (host,))
    if not dane.records:
        why = f"DANE: the TLSA records of {dane.base} cannot be used; TLS with any certificate"
        return Security(policy, must=True, dane=dane, why=why)
    return Security(policy, "dane", must=True, dane=dane, why=f"DANE: TLSA records of {dane.base}")


def _by_sts(domain: str, host: str, sts: Policy) -> Security | Barred:
    policy = TlsPolicy(domain, "sts", sts.lines, sts.mx)
    is_allowed = sts.allows(host)
    if sts.mode == "testing":
        why = f"MTA-STS: the policy of {domain} is being tested; faults are reported, mail is delivered"
        return Security(policy, watches=True, is_refused_host=not is_allowed, why=why)
    if not is_allowed:
        reply = Reply(451, "7.5", f"The MTA-STS policy of {domain} does not allow the host {host}")
        reason = "MX host is not in the policy"
        return Barred(reply, TlsFact(policy, "validation-failure", host, reason=reason))
    return Security(policy, "certificate", must=True, why=f"MTA-STS: policy of {domain}, enforced")


def protected(found: Security, *, is_mx_signed: bool) -> Security | None:
    """The same for mail that must be protected (REQUIRETLS); None where it cannot be.

    Args:
        is_mx_signed: nobody could have put another host's name there.

    Source: RFC 8689 section 4.2.1: the host's name is known by DNSSEC or MTA-STS.
    """
    if found.must and found.proof != "none":
        return found
    is_known = is_mx_signed or (found.policy.kind == "sts" and not found.is_refused_host)
    if not is_known:
        return None
    # Nothing the domain asked for: nothing to report to it.
    return Security(TlsPolicy(""), "certificate", must=True)


def is_tls_optional(message: bytes) -> bool:
    """True when a message says `TLS-Required: No`: delivery counts more than protection.

    Args:
        message: its header at least.

    Source: RFC 8689 section 3; more than one such field is none.
    """
    return [value.lower() for value in Headers.parse(message).all("TLS-Required")] == [b"no"]
