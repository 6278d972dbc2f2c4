"""ARC chains: whether the seals of those who passed a message on hold.

A pass says nothing of who they are: only listed sealers are believed (`arc_trust`, T26).

Standards: RFC 8617 sections 4.1.2, 4.1.3, 5.1.1 (what a seal covers) and 5.2.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from mmap import mmap

from mailstack.filters.authentication import arc
from mailstack.filters.authentication.arc import Set
from mailstack.filters.authentication.canonical import hash_body, relaxed_field
from mailstack.filters.authentication.dkim import (
    ALGORITHMS,
    CANONICAL,
    MAX_SIGNATURE_FIELD_OCTETS,
    MAX_SIGNED_NAMES,
    Invalid,
    KeyRecord,
    Signature,
    check_times,
    decode,
    find_keys,
    hash_fields,
    parse_names,
    parse_tags,
    without_signature,
)
from mailstack.filters.fields import Field, Header
from mailstack.model.dns import Lookup, NeedLookup

_MESSAGE_TAGS = (b"i", b"a", b"b", b"bh", b"d", b"h", b"s")
_SEAL_TAGS = (b"i", b"a", b"b", b"cv", b"d", b"s")


@dataclass(frozen=True, slots=True)
class Chain:
    """What the seals of a message come to.

    Attributes:
        result: none, pass or fail (RFC 8617 section 4.4).
        sets: oldest first; () unless it passed.
        sealers: domain of each set's seal.
        why: a reason, for a failure.
        oldest_pass: since which set nothing was changed; 0: since the first.
    """

    result: str
    sets: tuple[Set, ...] = ()
    sealers: tuple[str, ...] = ()
    why: str = ""
    oldest_pass: int = 0


class ChainVerifier:
    """The chain of one message; run `verify` again after a NeedLookup."""

    def __init__(self, message: bytes | mmap, header: Header, *, now: float) -> None:
        self._message = message
        self._header = header
        self._now = now
        self._bodies: dict[bool, bytes] = {}

    def verify(self, lookup: Lookup) -> Chain:
        """Checks the newest signature over the message and every seal.

        Raises:
            NeedLookup: keys are not known yet; all of them are recorded.

        Source: RFC 8617 section 5.2.
        """
        sets = arc.find_sets(self._header)
        if isinstance(sets, str):
            return Chain("fail", why=sets)
        if not sets:
            return Chain("none")
        try:
            sealers = self._check(sets, lookup)
        except Invalid as invalid:
            return Chain("fail", why=invalid.why)
        return Chain("pass", sets, sealers, oldest_pass=self._oldest_pass(sets, lookup))

    def _check(self, sets: tuple[Set, ...], lookup: Lookup) -> tuple[str, ...]:
        message = _message_signature(sets[-1].signature, now=self._now)
        seals = [_parse(one.seal, _SEAL_TAGS, now=self._now) for one in sets]
        keys = _all_keys([message, *seals], lookup)
        self._expect_message(message, keys[0])
        for number, seal in enumerate(seals, 1):
            _expect(seal, hash_seal(sets[:number], seal.field), keys[number])
        return tuple(seal.domain for seal in seals)

    def _expect_message(self, signature: Signature, keys: list[KeyRecord]) -> None:
        body = self._bodies.get(signature.relaxed_body)
        if body is None:
            body, _ = hash_body(self._message, self._header.body_at, relaxed=signature.relaxed_body)
            self._bodies[signature.relaxed_body] = body
        if decode(signature.tags[b"bh"]) != body:
            raise Invalid("fail", "the body was changed after it was signed")
        _expect(signature, hash_fields(self._header, signature), keys)

    def _oldest_pass(self, sets: tuple[Set, ...], lookup: Lookup) -> int:
        """The oldest signature from which on all hold; 0: all do.

        Source: RFC 8617 section 5.2 (step 4).
        """
        for number in range(len(sets) - 1, 0, -1):
            try:
                signature = _message_signature(sets[number - 1].signature, now=self._now)
                self._expect_message(signature, find_keys(signature, lookup))
            except Invalid:
                return number + 1
        return 0


def _message_signature(field: Field, *, now: float) -> Signature:
    found = _parse(field, _MESSAGE_TAGS, now=now)
    if b"arc-seal" in found.names or b"from" not in found.names:
        raise Invalid("fail", "a signature covers the wrong fields")
    if found.limit is not None:
        raise Invalid("fail", "a signature covers part of the body only")
    return found


def hash_seal(sets: tuple[Set, ...], seal: Field) -> bytes:
    """SHA-256 of what a seal covers: all sets up to its own, its own signature left out.

    Source: RFC 8617 section 5.1.1.
    """
    digest = hashlib.sha256()
    for one in sets:
        for field in (one.results, one.signature, one.seal):
            if field is not seal:
                digest.update(relaxed_field(field.name, field.value))
    digest.update(relaxed_field(b"arc-seal", without_signature(seal.value)).rstrip(b"\r\n"))
    return digest.digest()


def _parse(field: Field, mandatory: tuple[bytes, ...], *, now: float) -> Signature:
    if len(field.raw) > MAX_SIGNATURE_FIELD_OCTETS:
        raise Invalid("fail", "a field is too long")
    tags = parse_tags(field.value, mandatory=mandatory, is_arc=True)
    check_times(tags, now)
    kind = ALGORITHMS.get(tags[b"a"])
    if kind is None:
        raise Invalid("fail", "an algorithm is not accepted")
    canonical = CANONICAL.get(tags.get(b"c", b"simple"))
    if mandatory is _SEAL_TAGS:
        canonical = (True, True)
        if b"h" in tags:
            raise Invalid("fail", "a seal names fields")
    if canonical is None:
        raise Invalid("fail", "unknown c=")
    names = tuple(name.lower() for name in tags.get(b"h", b"").split(b":"))
    if len(names) > MAX_SIGNED_NAMES:
        raise Invalid("fail", "h= names too many fields")
    domain, selector = parse_names(tags)
    limit = int(tags[b"l"]) if b"l" in tags else None
    return Signature(field, tags, domain, selector, kind, *canonical, names, limit)


def _all_keys(signatures: list[Signature], lookup: Lookup) -> list[list[KeyRecord]]:
    """The keys of each, asked for at once."""
    keys: list[list[KeyRecord]] = []
    is_waiting = False
    for signature in signatures:
        try:
            keys.append(find_keys(signature, lookup))
        except NeedLookup:
            is_waiting = True
    if is_waiting:
        raise NeedLookup
    return keys


def _expect(signature: Signature, digest: bytes, keys: list[KeyRecord]) -> None:
    octets = decode(signature.tags[b"b"])
    if not any(key.kind == signature.kind and key.key.verify(digest, octets) for key in keys):
        raise Invalid("fail", f"a signature of {signature.domain} does not match")
