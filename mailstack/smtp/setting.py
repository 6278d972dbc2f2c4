"""What all sessions of one listener have in common."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

from mailstack.smtp.command import Dialect
from mailstack.smtp.events import Say
from mailstack.smtp.options import SmtpOptions, for_relay


@dataclass(frozen=True)
class Setting:
    """What a session starts with.

    Attributes:
        hostname: ours.
        starttls: TLS can be had on this connection.
        is_submission: people and devices send here; else other servers.
        sends_reports: the wishes of RFC 3461 are carried out; not for LMTP, whose client reports.
        offers: what EHLO says before a login, by whether TLS is active and the mechanisms;
            made when needed.
    """

    hostname: str
    options: SmtpOptions
    starttls: bool = False
    is_submission: bool = False
    sends_reports: bool = True
    offers: dict[tuple[bool, tuple[str, ...]], Say] = field(default_factory=dict)

    @cached_property
    def for_relay(self) -> Setting:
        """The same for a trusted relay."""
        return replace(self, options=for_relay(self.options), offers={})

    @cached_property
    def dialect(self) -> Dialect:
        """What may be said in MAIL and RCPT in clear."""
        options = self.options
        return Dialect(
            bare_paths=self.is_submission,
            smtputf8=options.smtputf8,
            dsn=options.dsn and self.sends_reports,
            binarymime=options.chunking and options.binarymime,
        )

    @cached_property
    def dialect_under_tls(self) -> Dialect:
        """The same under TLS."""
        return replace(self.dialect, requiretls=self.options.requiretls)
