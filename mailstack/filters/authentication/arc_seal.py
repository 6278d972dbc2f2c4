"""Seals a message that is sent on: what SPF, DKIM and DMARC were when it came here.

Off unless it is configured; few ask for it, and the IETF is about to declare ARC historic
(T26).  Nothing else of the mail path knows of it, so that it can be removed.

The three fields go on top of the message; they cover its body and the fields a reader
sees, none of which a forward changes.  A chain that does not hold is not sealed over: it
would say nothing but that it is broken.

Standards: RFC 8617 sections 4.1 and 5.1.
"""

from __future__ import annotations

import base64
from mmap import mmap

from mailstack.filters.authentication.arc import MAX_INSTANCES, Set
from mailstack.filters.authentication.arc_chain import Chain, hash_seal
from mailstack.filters.authentication.canonical import hash_body
from mailstack.filters.authentication.sign import (
    field_names,
    fold_names,
    hash_to_sign,
    relaxed_fields,
    signature_text,
)
from mailstack.filters.fields import Field, Header
from mailstack.model.keys import DkimKey


def seal(message: bytes | mmap, chain: Chain, key: DkimKey, *, results: str, now: int) -> bytes:
    """The header lines to put in front of a message.

    Args:
        message: as it is sent on, without what is put in front of it here.
        chain: what `arc_chain` found on it.
        key: of kind rsa-sha256, the one that others know.
        results: value of our Authentication-Results field, comments and folding included.
        now: Unix seconds, for t=.

    Returns:
        The set with CRLF line ends, newest field first; b"" for a chain that is broken or as
        long as it may be.

    Raises:
        BadKey: the private key cannot be used.
    """
    number = len(chain.sets) + 1
    if chain.result == "fail" or number > MAX_INSTANCES:
        return b""
    header = Header(message)
    told = _field(b"ARC-Authentication-Results", b" i=%d; %s" % (number, results.encode("utf-8")))
    signature = _message_signature(message, header, key, number=number, now=now)
    unsigned = _field(
        b"ARC-Seal",
        b" i=%d; cv=%s; a=%s; d=%s; s=%s;\r\n\tt=%d; b="
        % (number, chain.result.encode("ascii"), *_names(key), now),
    )
    digest = hash_seal((*chain.sets, Set(told, signature, unsigned)), unsigned)
    return _signed(unsigned, digest, key).raw + signature.raw + told.raw


def _message_signature(
    message: bytes | mmap, header: Header, key: DkimKey, *, number: int, now: int
) -> Field:
    # RFC 8617 section 4.1.2: also the signatures the message came with.
    names = (*field_names(header), *[b"dkim-signature"] * len(header.all(b"dkim-signature")))
    body_hash = base64.b64encode(hash_body(message, header.body_at, relaxed=True)[0])
    algorithm, domain, selector = _names(key)
    value = b" i=%d; a=%s; c=relaxed/relaxed; d=%s; s=%s;\r\n\tt=%d; h=%s;\r\n\tbh=%s;\r\n\tb=" % (
        number,
        algorithm,
        domain,
        selector,
        now,
        fold_names(names),
        body_hash,
    )
    unsigned = _field(b"ARC-Message-Signature", value)
    digest = hash_to_sign(relaxed_fields(header, names), unsigned.name, value)
    return _signed(unsigned, digest, key)


def _names(key: DkimKey) -> tuple[bytes, bytes, bytes]:
    return key.algorithm.encode("ascii"), key.domain.encode("ascii"), key.selector.encode("ascii")


def _signed(unsigned: Field, digest: bytes, key: DkimKey) -> Field:
    name, value = unsigned.raw[: unsigned.colon], unsigned.value[:-2]
    return _field(name, value + signature_text(digest, key))


def _field(name: bytes, value: bytes) -> Field:
    raw = name + b":" + value + b"\r\n"
    return Field(name.lower(), raw, len(name), 0, len(raw))
