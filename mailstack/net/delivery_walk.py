"""A walk to where mail for an address would go, step by step, as a delivery would; nothing is sent.

    hosts ─► MTA-STS ─► each host: DANE ─► connection and TLS ─► RCPT with the first that takes us

Standards: RFC 5321 section 5.1, RFC 7672, RFC 8461, RFC 8689.
"""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cryptography import x509

from mailstack.delivery import certificates, ratchet
from mailstack.delivery.mta_sts import Policy
from mailstack.delivery.ratchet import Standing
from mailstack.delivery.remote import Host, Hosts, NoHost
from mailstack.delivery.spool import Content
from mailstack.delivery.tls_policy import Barred, Security
from mailstack.model.reply import Reply
from mailstack.net.mta_sts_fetch import StsSource
from mailstack.net.smtp_client import Connection, OpenFailed
from mailstack.net.smtp_delivery import SmtpDelivery
from mailstack.smtp.client_events import OutgoingRecipient, Transaction
from mailstack.state.tls_facts import TlsFact
from mailstack.state.tls_levels import Rows

Name = Literal["hosts", "mta-sts", "dane", "tls", "rcpt", "shown"]
#: "good"; "note": not as good as it could be, and no obstacle; "later": mail would wait; "never".
Result = Literal["good", "note", "later", "never"]

#: What is said of the message that is not sent.
_SIZE_OCTETS = 1_000
_NAMES_SHOWN = 5
#: Words for what is wrong with a certificate (RFC 8460 section 4.3).
_PROBLEMS = {
    "certificate-host-mismatch": "it is for another host",
    "certificate-expired": "it is not valid at this time",
    "certificate-not-trusted": "nobody we trust vouches for it",
    "validation-failure": "it cannot be checked",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was found.

    Attributes:
        host: `name[ip]`; "" for what concerns the domain.
        text: for people.
        facts: the same for machines.
    """

    step: Name
    result: Result
    text: str
    host: str = ""
    facts: dict[str, object] = field(default_factory=dict)


class Walk:
    """Walks; belongs to one event loop."""

    def __init__(
        self,
        delivery: SmtpDelivery,
        *,
        sts: StsSource | None,
        faults: list[TlsFact],
        levels: Callable[[str], Rows],
    ) -> None:
        """Nothing happens before `steps`.

        Args:
            delivery: with the Watch whose policies `sts` are.
            faults: where `sts` notes what it could not have.
            levels: what a domain has shown of TLS; blocking.
        """
        self._delivery = delivery
        self._sts = sts
        self._faults = faults
        self._levels = levels

    async def steps(self, address: str, domain: str, *, sender: str = "") -> AsyncIterator[Step]:
        """Every step, as soon as it is done.

        Args:
            address: whom RCPT names.
            domain: its domain, lower case A-labels.
            sender: whom MAIL names; "": the null sender.
        """
        found = await self._delivery.find(domain)
        yield _hosts(domain, found)
        if isinstance(found, NoHost):
            return
        if found.way.is_set:
            yield Step("mta-sts", "good", "a route is set: neither MTA-STS nor DANE is asked")
        else:
            yield await self._mta_sts(domain)
        has_answer = False
        for host in found.hosts:
            security = await self._delivery.opener.decide(domain, host, found)
            if not found.way.is_set:
                yield _dane(host, security, found)
            try:
                connection = await self._delivery.opener.open(
                    host, found, domain, wanted="any", is_tls_optional=_never
                )
            except OpenFailed as error:
                yield _refused("tls", host, error.answer.reply)
                continue
            yield self._tls(connection, security)
            if not has_answer:
                step = await _rcpt(connection, address, sender)
                has_answer = step.result != "later"
                yield step
            await connection.quit()
        shown = _shown(self._levels(domain))
        if shown is not None:
            yield shown

    async def _mta_sts(self, domain: str) -> Step:
        if self._sts is None:
            return Step("mta-sts", "note", "MTA-STS is switched off (outbound_tls.mta_sts)")
        policy = await self._sts.policy(domain)
        faults = [fact.reason for fact in self._faults]
        if policy is None:
            text = f"the policy cannot be had: {faults[-1]}" if faults else "no policy is published"
            return Step("mta-sts", "note", text, facts={"policy": None, "faults": faults})
        return _policy(policy, faults)

    def _tls(self, connection: Connection, security: Security | Barred) -> Step:
        host = str(connection.host)
        if not connection.tls:
            return Step("tls", "note", "the session is in clear: anybody on the way can read it", host)
        problem = self._delivery.opener.problem(connection)
        facts: dict[str, object] = {"tls": connection.tls, "problem": problem, **_certificate(connection)}
        text = f"{connection.tls}; {_words(facts)}"
        if isinstance(security, Security) and security.proof == "dane":
            return Step("tls", "good", f"{text}; its TLSA records name it", host, facts)
        if problem:
            return Step("tls", "note", f"{text}; {_PROBLEMS[problem]}", host, facts)
        return Step("tls", "good", f"{text}; the certificate is good", host, facts)


async def _never() -> bool:
    return False


def _hosts(domain: str, found: Hosts | NoHost) -> Step:
    if isinstance(found, NoHost):
        return _refused("hosts", None, found.reply)
    names = ", ".join(map(str, found.hosts))
    facts: dict[str, object] = {
        "hosts": [{"name": h.name, "ip": h.ip, "port": h.port, "protocol": h.protocol} for h in found.hosts],
        "route": found.way.is_set,
        "signed": found.is_secure and not found.way.is_set,
    }
    if found.way.is_set:
        return Step(
            "hosts", "good", f"mail for {domain} goes to {names}, as the configuration says", facts=facts
        )
    signed = "signed (DNSSEC)" if found.is_secure else "not signed (no DNSSEC, or no resolver that checks it)"
    return Step("hosts", "good", f"mail for {domain} goes to {names}; the records are {signed}", facts=facts)


def _policy(policy: Policy, faults: list[str]) -> Step:
    facts: dict[str, object] = {
        "policy": {"mode": policy.mode, "mx": list(policy.mx), "max_age_s": policy.max_age_s},
        "faults": faults,
    }
    words = {
        "enforce": "only to these hosts, with a good certificate",
        "testing": "faults are reported, mail is delivered all the same",
        "none": "asks for nothing",
    }
    text = f"mode {policy.mode}: {words[policy.mode]}"
    if policy.mx:
        text += f" ({', '.join(policy.mx)})"
    if faults:
        text += f"; kept from before, because the new one cannot be had: {faults[-1]}"
    return Step("mta-sts", "note" if faults or policy.mode == "testing" else "good", text, facts=facts)


def _dane(host: Host, security: Security | Barred, found: Hosts) -> Step:
    if isinstance(security, Barred):
        is_dane = security.fact.policy.kind == "tlsa"
        return Step("dane" if is_dane else "mta-sts", "later", security.reply.text, str(host))
    if security.dane is not None:
        records = [str(record) for record in security.dane.records]
        facts: dict[str, object] = {"base": security.dane.base, "records": records}
        return Step("dane", "good" if records else "note", security.why, str(host), facts)
    why = (
        "no TLSA records"
        if found.is_secure
        else "the MX records are not signed, so TLSA records would not count"
    )
    return Step("dane", "good", why, str(host), {"base": "", "records": []})


def _certificate(connection: Connection) -> dict[str, object]:
    leaf = certificates.load(connection.chain[0]) if connection.chain else None
    if leaf is None:
        return {"names": [], "issuer": "", "until": ""}
    until = leaf.not_valid_after_utc.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")
    return {"names": certificates.names_of(leaf), "issuer": _issuer(leaf), "until": until}


def _issuer(leaf: x509.Certificate) -> str:
    try:
        return leaf.issuer.rfc4514_string()
    except ValueError:
        return ""


def _words(facts: dict[str, object]) -> str:
    names = facts["names"]
    assert isinstance(names, list)
    shown = ", ".join(names[:_NAMES_SHOWN]) or "nobody"
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return f"certificate for {shown}{more}, by {facts['issuer']}, until {facts['until']}"


async def _rcpt(connection: Connection, address: str, sender: str) -> Step:
    transaction = Transaction(sender, (OutgoingRecipient(address),), _SIZE_OCTETS, is_probe=True)
    done = await connection.deliver(transaction, Content(b"", Path(), 0))
    answer = done.answers[0]
    if answer.reply.code < 300:
        facts: dict[str, object] = {"code": answer.reply.code, "status": answer.reply.status}
        text = f"takes mail for {address}: {answer.reply}"
        return Step("rcpt", "good", text, str(connection.host), facts)
    stage = "" if answer.stage == "rcpt" else f" (at {answer.stage.upper()})"
    return _refused("rcpt", connection.host, answer.reply, stage)


def _refused(step: Name, host: Host | None, reply: Reply, stage: str = "") -> Step:
    facts: dict[str, object] = {"code": reply.code, "status": reply.status}
    result: Result = "later" if reply.is_temporary else "never"
    return Step(step, result, f"{reply}{stage}", str(host) if host is not None else "", facts)


def _shown(rows: Rows) -> Step | None:
    """What the domain has shown to this server before."""
    if not rows:
        return None
    level = max(rows)
    standing = Standing(*rows[level])
    since = datetime.datetime.fromtimestamp(standing.since, datetime.UTC)
    text = (
        f"every session since {since:%Y-%m-%d} had at least {ratchet.WORDS[level]}"
        f" ({standing.sessions} sessions)"
    )
    return Step("shown", "good", text, facts={"level": level, "since": standing.since})
