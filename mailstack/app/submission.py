"""A message from a login: who it says it is from, what it lacks, and its signature.

Standards: RFC 6409 sections 6 and 8, RFC 6376.
"""

from __future__ import annotations

import logging
from mmap import mmap

from mailstack.app import fixing, trace
from mailstack.app.mail import Mail, Services
from mailstack.filters.authentication.rsa_adapter import BadKey
from mailstack.filters.authentication.sign import sign
from mailstack.mime.addresses import Unparsable, strict_addresses
from mailstack.mime.header import Headers, find_end
from mailstack.model.directory import Account
from mailstack.model.envelope import Body, Envelope
from mailstack.model.errors import TemporaryFailure
from mailstack.model.reply import Reply
from mailstack.smtp import fixups
from mailstack.smtp.policy import sender
from mailstack.smtp.policy.sender import Resent

_log = logging.getLogger(__name__)


def prepare(services: Services, mail: Mail, account: Account) -> Reply | Resent | tuple[Body, bytes]:
    """Checks and completes a submission; blocking.

    Returns:
        A refusal; `Resent`, when the author must be proven first (app/redirect.py) and `finish`
        called then; or the final message and the DKIM-Signature fields over it.

    Raises:
        TemporaryFailure: a signing key cannot be used; sending unsigned would harm more.
    """
    with trace.opened(mail.body) as message:
        refusal = sender.check_header(
            message[: find_end(message)[0]],
            account,
            may_send_as=lambda address: services.directory.may_send_as(account, address),
        )
    return refusal if refusal is not None else finish(services, mail, account)


def finish(services: Services, mail: Mail, account: Account) -> tuple[Body, bytes]:
    """Completes and signs what may be sent; see `prepare`."""
    with trace.opened(mail.body) as message:
        body = fixing.fix(mail.body, message, _wishes(services, mail.envelope, account))
    with trace.opened(body) as fixed:
        mail.envelope, body = fixing.relabel(mail.envelope, body, fixed)
        return body, _signature(services, fixed, account, int(mail.envelope.received_at))


def _wishes(services: Services, envelope: Envelope, account: Account) -> fixups.Wishes:
    return fixups.Wishes(
        now=envelope.received_at,
        accept_id=envelope.accept_id,
        message_id_domain=account.address.domain,
        device=account.address if account.kind == "device" else None,
        may_send_as=lambda address: services.directory.may_send_as(account, address),
        seven_bit=services.config.smtp.submission_seven_bit,
        smtputf8=envelope.smtputf8,
    )


def _signature(services: Services, message: bytes | mmap, account: Account, now: int) -> bytes:
    domain = _signing_domain(services, message, account)
    options = services.config.dkim
    try:
        keys = services.directory.dkim_keys(domain)
        if not keys:
            raise BadKey(f"there is none; 'mailstack domain rotate-dkim {domain} --now' makes one")
        return sign(message, keys, now=now, valid_s=options.signature_s)
    except (BadKey, TemporaryFailure) as error:
        if not options.unsigned:
            raise TemporaryFailure(f"the DKIM key of {domain} cannot be used: {error}") from error
        _log.error("mail of %s leaves unsigned: the DKIM key of %s: %s", account.address, domain, error)
        return b""


def _signing_domain(services: Services, message: bytes | mmap, account: Account) -> str:
    """The author's; the login's where the author is somebody else (redirects, lists), or writes as an
    address that was granted in a domain of others, for which there can be no key here."""
    block = message[: find_end(message)[0]]
    value = Headers.parse(block).first("from")
    found = strict_addresses(value) if value is not None else ()
    if isinstance(found, Unparsable) or not found:
        return account.address.domain
    is_own = services.directory.may_send_as(account, found[0])
    is_ours = services.directory.domain(found[0].domain) is not None
    return found[0].domain if is_own and is_ours else account.address.domain
