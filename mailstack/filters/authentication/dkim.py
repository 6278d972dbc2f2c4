"""DKIM signatures: at most eight, each to one RFC 8601 word; nothing raises.

dkimpy reads the tag lists and checks the fields' form; its limits are ours: no SHA-1, RSA
of 1024 to 4096 bits, `l=` shorter than the body never passes, `x=` with the given clock.
What dkimpy raises on malformed input is a result here, not a crash.

Standards: RFC 6376, RFC 8301 (algorithms), RFC 8463 (Ed25519); result words RFC 8601.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from mmap import mmap

import dkim as dkimpy
import msgspec
from dkim.util import InvalidTagValueList, parse_tag_value

from mailstack.filters.authentication.canonical import hash_body, relaxed_field
from mailstack.filters.authentication.rsa_adapter import BadKey, PublicKey, load_ed25519, load_rsa
from mailstack.filters.fields import Field, Header
from mailstack.model.address import AddressError, parse_domain
from mailstack.model.dns import Lookup, NeedLookup
from mailstack.model.verdict import DkimResult

#: T25, D15.
MAX_SIGNATURES = 8
#: A signature of an RSA-4096 key with a long h= takes 3 KiB.
MAX_SIGNATURE_FIELD_OCTETS = 16_384
MAX_SIGNED_NAMES = 300
#: D5: several key records are each tried, up to here.
MAX_KEY_RECORDS = 4
MAX_KEY_RECORD_OCTETS = 4_096
#: Clocks differ: dkimpy's leeway for t=, in seconds; x= is the signer's word and gets less.
FUTURE_SLACK_S = 36_000
EXPIRY_SLACK_S = 300

_SPACE = re.compile(rb"\s+")
_SELECTOR = re.compile(
    r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*\Z"
)
ALGORITHMS = {b"rsa-sha256": "rsa", b"ed25519-sha256": "ed25519"}
#: What a DKIM-Signature must have.
_MANDATORY = (b"v", b"a", b"b", b"bh", b"d", b"h", b"s")
#: c= to whether header and body are relaxed.
CANONICAL = {
    b"simple": (False, False),
    b"simple/simple": (False, False),
    b"simple/relaxed": (False, True),
    b"relaxed": (True, False),
    b"relaxed/simple": (True, False),
    b"relaxed/relaxed": (True, True),
}


class Invalid(Exception):
    """Ends one signature, or seal, with a result word and a reason."""

    def __init__(self, result: str, why: str) -> None:
        super().__init__(why)
        self.result = result
        self.why = why


@dataclass(frozen=True, slots=True)
class Signature:
    """One parsed signature.

    Attributes:
        tags: names to values, blanks removed from b, bh and h.
        domain, selector: lower case.
        names: lower case field names of h=, in order.
        limit: l=, or None.
    """

    field: Field
    tags: dict[bytes, bytes]
    domain: str
    selector: str
    kind: str
    relaxed_header: bool
    relaxed_body: bool
    names: tuple[bytes, ...]
    limit: int | None


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A key from the DNS; `exact`: t=s, the i= domain must be d= itself."""

    kind: str
    key: PublicKey
    exact: bool


class Verifier:
    """The signatures of one message; run `verify` again after a NeedLookup, it goes on."""

    def __init__(self, message: bytes | mmap, header: Header, *, now: float) -> None:
        self._message = message
        self._header = header
        self._now = now
        self._signatures = header.all(b"dkim-signature")[:MAX_SIGNATURES]
        self._done: dict[int, DkimResult] = {}
        self._body: dict[bool, tuple[bytes, int]] = {}
        self._parsed: dict[int, Signature] = {}

    def verify(self, lookup: Lookup) -> tuple[DkimResult, ...]:
        """One result per signature, top to bottom; () for an unsigned message.

        Raises:
            NeedLookup: keys are not known yet; all of them are recorded.
        """
        waiting = False
        for number, field in enumerate(self._signatures):
            if number not in self._done:
                try:
                    self._done[number] = self._verify(number, field, lookup)
                except NeedLookup:
                    waiting = True
        if waiting:
            raise NeedLookup
        return tuple(self._done[number] for number in range(len(self._signatures)))

    def _verify(self, number: int, field: Field, lookup: Lookup) -> DkimResult:
        domain = selector = ""
        try:
            signature = self._parsed.get(number)
            if signature is None:
                signature = self._parsed[number] = parse_signature(field, now=self._now)
            domain, selector = signature.domain, signature.selector
            keys = find_keys(signature, lookup)
            self._check_body(signature)
            self._check_header(signature, keys)
        except Invalid as invalid:
            return DkimResult(invalid.result, domain, selector, invalid.why)
        body = b"".join(signature.tags[b"bh"].split()).decode("ascii", "replace")
        return DkimResult("pass", domain, selector, body=body)

    def _check_body(self, signature: Signature) -> None:
        body = self._body.get(signature.relaxed_body)
        if body is None:
            body = hash_body(self._message, self._header.body_at, relaxed=signature.relaxed_body)
            self._body[signature.relaxed_body] = body
        digest, octets = body
        if signature.limit is not None and signature.limit != octets:
            # T23: what follows the signed part could be anything.  RFC 6376 section 8.2 allows to refuse.
            longer = signature.limit > octets
            raise Invalid(
                "permerror" if longer else "policy",
                f"l= covers {signature.limit} of {octets} octets of the body",
            )
        if decode(signature.tags[b"bh"]) != digest:
            raise Invalid("fail", "body hash does not match")

    def _check_header(self, signature: Signature, keys: list[KeyRecord]) -> None:
        digest = hash_fields(self._header, signature)
        good = decode(signature.tags[b"b"])
        identity = signature.tags.get(b"i", b"")
        for record in keys:
            if record.kind != signature.kind or not record.key.verify(digest, good):
                continue
            if (
                record.exact
                and identity
                and identity.rpartition(b"@")[2].lower() != signature.domain.encode()
            ):
                raise Invalid("permerror", "the key (t=s) is not for sub-domains")
            return
        if all(record.kind != signature.kind for record in keys):
            raise Invalid("permerror", "the key is of another kind")
        raise Invalid("fail", "signature does not match")


def parse_signature(field: Field, *, now: float) -> Signature:
    """The tags of a DKIM-Signature field, checked.

    Raises:
        Invalid: with the word and the reason.

    Source: RFC 6376 sections 3.5 and 6.1.1.
    """
    if len(field.raw) > MAX_SIGNATURE_FIELD_OCTETS:
        raise Invalid("permerror", "the field is too long")
    tags = parse_tags(field.value)
    check_times(tags, now)
    kind = ALGORITHMS.get(tags[b"a"])
    if kind is None:
        raise Invalid("permerror", f"algorithm {_show(tags[b'a'])} is not accepted")
    canonical = CANONICAL.get(tags.get(b"c", b"simple"))
    if canonical is None:
        raise Invalid("permerror", "unknown c=")
    names = tuple(name.lower() for name in tags[b"h"].split(b":"))
    if len(names) > MAX_SIGNED_NAMES:
        raise Invalid("permerror", "h= names too many fields")
    if b"from" not in names:
        raise Invalid("permerror", "From is not signed")
    limit = int(tags[b"l"]) if b"l" in tags else None
    domain, selector = parse_names(tags)
    return Signature(field, tags, domain, selector, kind, *canonical, names, limit)


def parse_tags(
    value: bytes, *, mandatory: Sequence[bytes] = _MANDATORY, is_arc: bool = False
) -> dict[bytes, bytes]:
    """The tags of a signature or seal, their form checked.

    Raises:
        Invalid: with the word and the reason.
    """
    try:
        tags: dict[bytes, bytes] = parse_tag_value(value)
        for name in (b"b", b"bh", b"h", b"c", b"a", b"q", b"l"):
            if name in tags:  # also keeps dkimpy's patterns away from long runs of blanks
                tags[name] = _SPACE.sub(b"", tags[name])
        # Times are checked with our clock, l= with the body.
        checked = {k: v for k, v in tags.items() if k not in (b"t", b"x", b"l")}
        dkimpy.validate_signature_fields(checked, list(mandatory), is_arc)
    except (InvalidTagValueList, dkimpy.DKIMException) as error:
        raise Invalid("permerror", _printable(str(error))) from None
    except (ValueError, IndexError, AssertionError, KeyError, TypeError):
        raise Invalid("permerror", "malformed signature field") from None
    if b"l" in tags and not tags[b"l"][:20].isdigit():
        raise Invalid("permerror", "l= is not a number")
    if len(tags.get(b"l", b"")) > 20:
        raise Invalid("permerror", "l= is not a number of this world")
    return tags


def check_times(tags: dict[bytes, bytes], now: float) -> None:
    """t= and x= by our clock.

    Raises:
        Invalid: signed in the future, or expired.
    """
    times = {}
    for name in (b"t", b"x"):
        if name in tags:
            if not tags[name].isdigit() or len(tags[name]) > 12:
                raise Invalid("permerror", f"{name.decode()}= is not a time")
            times[name] = int(tags[name])
    if times.get(b"t", 0) > now + FUTURE_SLACK_S:
        raise Invalid("permerror", "signed in the future")
    if b"x" in times:
        if times[b"x"] < times.get(b"t", 0):
            raise Invalid("permerror", "expires before it was signed")
        if times[b"x"] < now - EXPIRY_SLACK_S:
            raise Invalid("permerror", "the signature has expired")


def parse_names(tags: dict[bytes, bytes]) -> tuple[str, str]:
    """Domain and selector, lower case.

    Raises:
        Invalid: one of them is none.
    """
    try:
        domain = parse_domain(tags[b"d"].decode("utf-8").rstrip("."))
        selector = tags[b"s"].decode("ascii").lower()
    except (AddressError, UnicodeDecodeError):
        raise Invalid("permerror", "d= or s= is not a domain name") from None
    if "." not in domain or domain.startswith("["):
        raise Invalid("permerror", "d= is not a domain that sends mail")
    if len(selector) > 200 or not _SELECTOR.match(selector):
        raise Invalid("permerror", "s= is not a selector")
    return domain, selector


def find_keys(signature: Signature, lookup: Lookup) -> list[KeyRecord]:
    """The usable keys for a signature, at least one.

    Raises:
        NeedLookup: the question is recorded.
        Invalid: no usable key.

    Source: RFC 6376 section 6.1.2.
    """
    answer = lookup(f"{signature.selector}._domainkey.{signature.domain}", "TXT")
    if answer.status == "temperror":
        raise Invalid("temperror", "the key cannot be looked up now")
    problem = Invalid("permerror", "there is no key")
    keys = []
    for record in answer.records[:MAX_KEY_RECORDS]:
        assert isinstance(record, bytes)
        if len(record) > MAX_KEY_RECORD_OCTETS:  # nor is it remembered
            problem = Invalid("permerror", "the key record is too long")
            continue
        key = parse_key(record)
        if isinstance(key, KeyRecord):
            keys.append(key)
        else:
            problem = Invalid(*key)
    if not keys:
        raise problem
    return keys


@lru_cache(maxsize=2_000)
def parse_key(record: bytes) -> KeyRecord | tuple[str, str]:
    """A key record, or the result word and the reason why it is none.

    Source: RFC 6376 section 3.6.1; RFC 8463 section 4.
    """
    try:
        tags = parse_tag_value(record)
    except (InvalidTagValueList, IndexError, ValueError):
        return "permerror", "malformed key record"
    if tags.get(b"v", b"DKIM1") != b"DKIM1" or b"p" not in tags:
        return "permerror", "this is no key record"
    hashes = [h.strip().lower() for h in tags.get(b"h", b"sha256").split(b":")]
    services = [s.strip().lower() for s in tags.get(b"s", b"*").split(b":")]
    if b"sha256" not in hashes or not {b"*", b"email"} & set(services):
        return "permerror", "the key is not for this use"
    raw = _SPACE.sub(b"", tags[b"p"])
    if not raw:
        return "permerror", "the key is revoked"
    exact = b"s" in [f.strip().lower() for f in tags.get(b"t", b"").split(b":")]
    return _load_key(tags.get(b"k", b"rsa").lower(), raw, exact=exact)


def _load_key(kind: bytes, raw: bytes, *, exact: bool) -> KeyRecord | tuple[str, str]:
    try:
        data = base64.b64decode(raw, validate=True)
        if kind == b"rsa":
            return KeyRecord("rsa", load_rsa(data), exact)
        if kind == b"ed25519":
            return KeyRecord("ed25519", load_ed25519(data), exact)
    except BadKey as bad:
        return ("policy" if bad.weak else "permerror"), str(bad)
    except binascii.Error:
        return "permerror", "the key is not base64"
    return "permerror", "unknown kind of key"


def hash_fields(header: Header, signature: Signature) -> bytes:
    """SHA-256 over the signed fields and the signature field itself without its b= value.

    Source: RFC 6376 sections 3.7 and 5.4.2.
    """
    # As dkimpy does (Debian bug 644046): one more From than signed breaks the signature.
    signed = select_fields(header, (*signature.names, b"from"))
    own = signature.field
    bare = msgspec.structs.replace(own, raw=own.raw[: own.colon + 1] + without_signature(own.value))
    forms = [canonical_field(field, relaxed=signature.relaxed_header) for field in (*signed, bare)]
    forms[-1] = forms[-1].rstrip(b"\r\n")
    return hashlib.sha256(b"".join(forms)).digest()


def select_fields(header: Header, names: tuple[bytes, ...]) -> list[Field]:
    """The fields that h= means: each further mention of a name is the next one from below."""
    left: dict[bytes, list[Field]] = {}
    out = []
    for name in names:
        fields = left.get(name)
        if fields is None:
            fields = left[name] = list(header.all(name))
        if fields:
            out.append(fields.pop())
    return out


def canonical_field(field: Field, *, relaxed: bool) -> bytes:
    """One field in the form that is hashed."""
    return relaxed_field(field.name, field.value) if relaxed else field.raw


def without_signature(value: bytes) -> bytes:
    """The field's value with an empty b= (RFC 6376 section 3.7: everything else stays as it is)."""
    parts = value.split(b";")
    for number, part in enumerate(parts):
        name, equals, _ = part.partition(b"=")
        if equals and name.strip() == b"b":
            parts[number] = name + equals
    return b";".join(parts)


def decode(text: bytes) -> bytes:
    """Base64; b"" when it is none."""
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        return b""


def _show(value: bytes) -> str:
    return _printable(value[:40].decode("ascii", "replace"))


def _printable(text: str) -> str:
    return "".join(c if " " <= c <= "~" else "?" for c in text[:120])
