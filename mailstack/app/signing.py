"""DKIM for what mailstack itself composes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from mailstack.filters.authentication.rsa_adapter import BadKey
from mailstack.filters.authentication.sign import sign
from mailstack.model.errors import TemporaryFailure

if TYPE_CHECKING:
    from mailstack.directory import Directory
    from mailstack.filters.authentication.options import DkimOptions

_log = logging.getLogger(__name__)


def sign_report(
    directory: Directory, message: bytes, domain: str, options: DkimOptions, *, now: float
) -> bytes:
    """DKIM fields for a report; b"" where we have no key."""
    try:
        keys = directory.dkim_keys(domain)
        return sign(message, keys, now=int(now), valid_s=options.signature_s) if keys else b""
    except (BadKey, TemporaryFailure) as error:
        # D26: a report without signature is better than none.
        _log.error("a report of %s is not signed: %s", domain, error)
        return b""
