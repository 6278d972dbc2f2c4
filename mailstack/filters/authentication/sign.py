"""Signs outgoing mail: one DKIM-Signature per key, relaxed/relaxed, oversigned.

No l= (T23); x= ends what somebody may send again in our name (T24).  What a reader sees
(From, To, Cc, Subject, ...) is named once more than it stands in the message, so that
nobody can add a second one (T24).

Standards: RFC 6376 sections 3.5, 5.4; RFC 8463 (Ed25519); RFC 8301 (SHA-256 only).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import lru_cache
from mmap import mmap

from mailstack.filters.authentication.canonical import hash_body, relaxed_field
from mailstack.filters.authentication.dkim import select_fields
from mailstack.filters.authentication.rsa_adapter import sign_digest
from mailstack.filters.fields import Header
from mailstack.model.keys import DkimKey

#: Named once more than they occur.
OVERSIGNED = (
    b"from",
    b"to",
    b"cc",
    b"subject",
    b"date",
    b"reply-to",
    b"message-id",
    b"content-type",
    b"mime-version",
)
#: Signed as often as they occur.
SIGNED = (
    b"sender",
    b"in-reply-to",
    b"references",
    b"content-transfer-encoding",
    b"content-disposition",
    b"list-id",
    b"list-unsubscribe",
    b"list-unsubscribe-post",
    b"auto-submitted",
    b"resent-from",
    b"resent-to",
    b"resent-date",
    b"resent-message-id",
)
#: A message may repeat a field without end; signatures of more names than this are not verified.
MAX_REPEATS = 8
_LINE = 72


def sign(message: bytes | mmap, keys: Sequence[DkimKey], *, now: int, valid_s: int = 0) -> bytes:
    """The header lines to put in front of a message.

    Args:
        message: final octets with CRLF line ends; nothing may change afterwards.
        keys: in the order the fields shall stand.
        now: Unix seconds, for t=.
        valid_s: seconds the signature is good, for x=; 0: it has no end.

    Returns:
        DKIM-Signature fields with CRLF; b"" without keys.

    Raises:
        BadKey: a private key cannot be used (D26: the caller decides what then).
    """
    if not keys:
        return b""
    header = Header(message)
    names = field_names(header)
    body_hash = base64.b64encode(hash_body(message, header.body_at, relaxed=True)[0])
    selected = relaxed_fields(header, names)
    times = b"t=%d; x=%d;" % (now, now + valid_s) if valid_s else b"t=%d;" % now
    return b"".join(_sign(selected, names, body_hash, key, times=times) for key in keys)


def field_names(header: Header) -> tuple[bytes, ...]:
    """What is signed of a message, oversigned."""
    names: list[bytes] = []
    for name in OVERSIGNED:
        names.extend([name] * (min(len(header.all(name)), MAX_REPEATS) + 1))
    for name in SIGNED:
        names.extend([name] * min(len(header.all(name)), MAX_REPEATS))
    return tuple(names)


def relaxed_fields(header: Header, names: tuple[bytes, ...]) -> bytes:
    """The fields that h= means, in the form that is hashed."""
    return b"".join(relaxed_field(f.name, f.value) for f in select_fields(header, names))


def hash_to_sign(selected: bytes, name: bytes, value: bytes) -> bytes:
    """SHA-256 over selected fields and the signature field itself, whose b= is empty."""
    return hashlib.sha256(selected + relaxed_field(name, value).rstrip(b"\r\n")).digest()


def _sign(
    selected: bytes, names: tuple[bytes, ...], body_hash: bytes, key: DkimKey, *, times: bytes
) -> bytes:
    value = b" v=1; a=%s; c=relaxed/relaxed; d=%s; s=%s;\r\n\t%s h=%s;\r\n\tbh=%s;\r\n\tb=" % (
        key.algorithm.encode("ascii"),
        key.domain.encode("ascii"),
        key.selector.encode("ascii"),
        times,
        fold_names(names),
        body_hash,
    )
    digest = hash_to_sign(selected, b"dkim-signature", value)
    return b"DKIM-Signature:" + value + signature_text(digest, key) + b"\r\n"


def signature_text(digest: bytes, key: DkimKey) -> bytes:
    """The folded value of b=.

    Raises:
        BadKey: the private key cannot be used.
    """
    signature = base64.b64encode(sign_digest(key.private_pem, digest, algorithm=key.algorithm))
    return b"\r\n\t ".join(signature[n : n + _LINE] for n in range(0, len(signature), _LINE))


@lru_cache(maxsize=64)
def fold_names(names: tuple[bytes, ...]) -> bytes:
    """The value of h=, folded."""
    lines, line = [], b""
    for name in names:
        if line and len(line) + len(name) > _LINE:
            lines.append(line)
            line = b""
        line += name + b":"
    return b"\r\n\t ".join([*lines, line[:-1]])
