"""Who sends what to whom: the frozen facts of one mail transaction."""

from __future__ import annotations

from dataclasses import dataclass

from mailstack.model.address import Address


@dataclass(frozen=True, slots=True)
class Client:
    """The peer of a session, as far as a message's fate needs it.

    Attributes:
        ip: textual, IPv4-mapped IPv6 already unmapped.
        helo: as given, for people; may be anything.
        tls: e.g. "TLSv1.3 TLS_AES_256_GCM_SHA384"; "" in clear.
        login: canonical address of the account that logged in; "" on MX.
        listener: as in section `[listen]`: "mx", "submission", "lmtp" ...
        by_address: `login` is a device that did not log in, but is known by its address.
    """

    ip: str
    port: int
    helo: str = ""
    esmtp: bool = True
    tls: str = ""
    login: str = ""
    listener: str = "mx"
    by_address: bool = False

    @property
    def protocol(self) -> str:
        """The `with` word of the Received field (RFC 3848)."""
        if not self.esmtp:
            return "SMTP"
        word = "LMTP" if self.listener == "lmtp" else "ESMTP"
        return word + ("S" if self.tls else "") + ("A" if self.login and not self.by_address else "")


@dataclass(frozen=True, slots=True)
class Recipient:
    """One RCPT: the address as written, and its DSN wishes (RFC 3461).

    Attributes:
        number: 1-based, in the order of RCPT; part of deterministic file names.
        notify: subset of {"NEVER","SUCCESS","FAILURE","DELAY"}; empty: default.
        orcpt: original recipient as `type;address`, decoded; "" when not given.
    """

    address: Address
    number: int
    notify: frozenset[str] = frozenset()
    orcpt: str = ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One accepted transaction.

    Attributes:
        accept_id: unique for ever; appears in Received, log and file names.
        reverse_path: None for the null sender.
        body: "7BIT", "8BITMIME" or "BINARYMIME".
        received_at: Unix seconds.
    """

    accept_id: str
    client: Client
    reverse_path: Address | None
    recipients: tuple[Recipient, ...]
    received_at: float
    body: str = "7BIT"
    smtputf8: bool = False
    requiretls: bool = False
    ret: str = ""
    envid: str = ""

    @property
    def protocol(self) -> str:
        """The `with` word of the Received field (RFC 3848; RFC 6531 section 4.3)."""
        word = self.client.protocol
        return f"UTF8{word.removeprefix('E')}" if self.smtputf8 else word

    @property
    def sender(self) -> str:
        """The envelope sender as text; "" for the null sender."""
        return str(self.reverse_path) if self.reverse_path is not None else ""


@dataclass(frozen=True, slots=True)
class Body:
    """A received message: in memory when small, else a file on the mail file system.

    Attributes:
        data: the octets, with CRLF line ends; None when spilled.
        path: where the octets lie; "" when in memory.
        size_octets: length either way.
        had_bare_lf, had_bare_cr: line ends were normalised on the way in.
        is_binary: it came with BODY=BINARYMIME: the body may hold any octets in any order.
    """

    data: bytes | None
    path: str = ""
    size_octets: int = 0
    had_bare_lf: bool = False
    had_bare_cr: bool = False
    is_binary: bool = False
