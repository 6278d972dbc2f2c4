"""Where mail for the server's own postmaster goes.

Source: RFC 5321 section 4.5.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.model.address import Address

if TYPE_CHECKING:
    from mailstack.app.config import Config
    from mailstack.directory import Directory


def postmaster(config: Config, directory: Directory) -> Address | None:
    """The configured one, else that of the first domain that has one; None: there is none."""
    if config.server.postmaster:
        return Address.parse(config.server.postmaster)
    candidates = (Address("postmaster", domain.name) for domain in directory.domains())
    return next((one for one in candidates if directory.find(one) is not None), None)
