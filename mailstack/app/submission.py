"""A message from a login: who it says it is from, what it lacks, and its signature.

Standards: RFC 6409 sections 6 and 8, RFC 6376.
"""

from __future__ import annotations

import logging

from mailstack.app import trace
from mailstack.app.mail import Mail, Services
from mailstack.filters.authentication.rsa_adapter import BadKey
from mailstack.filters.authentication.sign import sign
from mailstack.mime.addresses import Unparsable, strict_addresses
from mailstack.mime.header import Headers, find_end
from mailstack.model.directory import Account
from mailstack.model.errors import TemporaryFailure
from mailstack.model.reply import Reply
from mailstack.smtp import fixups
from mailstack.smtp.policy import sender

_log = logging.getLogger(__name__)


def prepare(services: Services, mail: Mail, account: Account) -> Reply | tuple[bytes, bytes]:
    """Checks and completes a submission; blocking.

    Returns:
        A refusal, or the final octets and the DKIM-Signature fields over them.

    Raises:
        TemporaryFailure: a signing key cannot be used; sending unsigned would harm more.
    """
    message = trace.read(mail.body)
    directory, envelope = services.directory, mail.envelope
    refusal = sender.check_from(
        message[: find_end(message)[0]],
        account,
        may_send_as=lambda address: directory.may_send_as(account, address),
        reverse_path=envelope.reverse_path,
    )
    if refusal is not None:
        return refusal
    fixed = fixups.fix(
        message,
        now=envelope.received_at,
        accept_id=envelope.accept_id,
        message_id_domain=account.address.domain,
        device=account.address if account.kind == "device" else None,
    )
    return fixed, _signature(services, fixed, account, int(envelope.received_at))


def _signature(services: Services, message: bytes, account: Account, now: int) -> bytes:
    domain = _author_domain(message) or account.address.domain
    keys = services.directory.dkim_keys(domain)
    if not keys:
        _log.warning("%s has no DKIM key: mail of %s leaves unsigned", domain, account.address)
    try:
        return sign(message, keys, now=now)
    except BadKey as error:
        raise TemporaryFailure(f"the DKIM key of {domain} cannot be used: {error}") from error


def _author_domain(message: bytes) -> str:
    value = Headers.parse(message).first("from")
    found = strict_addresses(value) if value is not None else ()
    return "" if isinstance(found, Unparsable) or not found else found[0].domain
