"""An e-mail address: local part and domain, parsed strictly, compared canonically.

Exactly one grammar serves SMTP paths, the CLI, DMARC and Sieve envelopes.  No
rewriting of `%` or `!`, no encoded words, no comments: what does not fit the
grammar is not an address (T7, T20 in the threat list).

Standards: RFC 5321 section 4.1.2 (Mailbox), RFC 6531 section 3.3 (UTF-8), RFC 5890.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

#: RFC 5321 sections 4.5.3.1.1 and 4.5.3.1.2, in octets.
MAX_LOCAL_OCTETS = 64
MAX_DOMAIN_OCTETS = 255

_ATEXT = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~\-"
_DOT_STRING = re.compile(rf"[{_ATEXT}]+(?:\.[{_ATEXT}]+)*\Z")
_DOT_STRING_UTF8 = re.compile(rf"[{_ATEXT}\u0080-\U0010ffff]+(?:\.[{_ATEXT}\u0080-\U0010ffff]+)*\Z")
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~\u0080-\U0010ffff]|\\[ -~])*)"\Z')
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z")
# Controls, white space, bidi marks and other invisible characters make two addresses look like one.
_INVISIBLE = re.compile(
    "[\u0080-\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180e\u2000-\u200f\u2028-\u202f"
    "\u205f-\u206f\u3000\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff\ud800-\udfff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


class AddressError(ValueError):
    """The text is not an address; `str()` says why in one sentence."""


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox address.

    Attributes:
        local: local part, unquoted, as written (NFC).
        domain: lower case A-labels without final dot, or a literal such as
            "[192.0.2.1]"; "" only for the bare `postmaster` of RFC 5321 section 4.1.1.3.
    """

    local: str
    domain: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parses `local@domain`.

        Raises:
            AddressError: names what is wrong.

        Source: RFC 5321 section 4.1.2; RFC 6531 section 3.3.
        """
        at = text.rfind("@")
        if at < 0:
            raise AddressError("there is no @ in it")
        return cls(parse_local(text[:at]), parse_domain(text[at + 1 :]))

    def __str__(self) -> str:
        local = self.local if _DOT_STRING_UTF8.match(self.local) else _quote(self.local)
        return f"{local}@{self.domain}" if self.domain else local

    @property
    def key(self) -> str:
        """The form our own tables compare: local part folded for ASCII only."""
        local = self.local
        return f"{local.lower() if local.isascii() else _ascii_lower(local)}@{self.domain}"

    @property
    def is_ascii(self) -> bool:
        """False when the address needs SMTPUTF8."""
        return self.local.isascii() and self.domain.isascii()


def _ascii_lower(text: str) -> str:
    # No folding beyond ASCII: the Turkish i and the German sz must not make two people one.
    return "".join(c.lower() if c.isascii() else c for c in text)


def _quote(local: str) -> str:
    return '"' + local.replace("\\", "\\\\").replace('"', '\\"') + '"'


def parse_local(text: str) -> str:
    """Checks a local part and gives it back unquoted.

    Raises:
        AddressError: empty, too long, or a character that may not stand there.
    """
    if not text:
        raise AddressError("the part before the @ is empty")
    if len(text.encode("utf-8", "surrogatepass")) > MAX_LOCAL_OCTETS:
        raise AddressError(f"the part before the @ is longer than {MAX_LOCAL_OCTETS} octets")
    if _DOT_STRING.match(text):
        return text
    if _INVISIBLE.search(text):
        raise AddressError("the part before the @ holds an invisible character")
    if _DOT_STRING_UTF8.match(text):
        if sum(1 for c in text if unicodedata.combining(c)) > 8:
            raise AddressError("the part before the @ holds too many combining marks")
        return unicodedata.normalize("NFC", text)
    quoted = _QUOTED.match(text)
    if quoted is not None:
        local = re.sub(r"\\(.)", r"\1", quoted.group(1))
        if not local:
            raise AddressError("the part before the @ is empty")
        return unicodedata.normalize("NFC", local)
    bad = next((c for c in text if not _DOT_STRING_UTF8.match(c) and c != "."), ".")
    raise AddressError(f"the character {bad!r} may not stand there before the @")


@lru_cache(maxsize=4096)
def parse_domain(text: str) -> str:
    """Checks a domain or address literal; gives lower-case A-labels.

    Raises:
        AddressError: not a host name, or not encodable by IDNA 2008.

    Source: RFC 5321 section 4.1.2 and 4.1.3, RFC 5890.
    """
    if text.startswith("["):
        return _parse_literal(text)
    if not text:
        raise AddressError("the domain is empty")
    if len(text) > MAX_DOMAIN_OCTETS:
        raise AddressError(f"the domain is longer than {MAX_DOMAIN_OCTETS} octets")
    domain = text.lower()
    if not domain.isascii():
        if _INVISIBLE.search(text):
            raise AddressError("the domain holds an invisible character")
        import idna  # only here: every command and worker would pay for its tables

        try:
            domain = idna.encode(text, uts46=True).decode("ascii").lower()
        except (idna.IDNAError, UnicodeError) as error:
            raise AddressError(f"the domain is not valid: {error}") from None
    if len(domain) > MAX_DOMAIN_OCTETS or not all(_LABEL.match(label) for label in domain.split(".")):
        raise AddressError("the domain has characters or parts no domain name has")
    return domain


def _parse_literal(text: str) -> str:
    if not text.endswith("]"):
        raise AddressError("the address literal is not closed by ]")
    inner = text[1:-1]
    if "%" in inner:  # Python takes a zone there, of any characters; RFC 5321 section 4.1.3 knows none
        raise AddressError("the address literal is not an IP address")
    version6 = inner[:5].lower() == "ipv6:"
    try:
        ip = ipaddress.IPv6Address(inner[5:]) if version6 else ipaddress.IPv4Address(inner)
    except ValueError:
        raise AddressError("the address literal is not an IP address") from None
    return f"[IPv6:{ip}]" if version6 else f"[{ip}]"


def with_name(name: str, address: str) -> str:
    """A mailbox with a display name, to be read by a parser; in a message's field it is encoded.

    Source: RFC 5322 section 3.4.
    """
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" <{address}>' if escaped else address
