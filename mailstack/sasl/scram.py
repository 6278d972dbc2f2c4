"""SCRAM-SHA-256, with and without channel binding: the server's side.

The password never crosses the wire, and both sides learn whether the other knows it.
What an unknown user sees is what a known one with a wrong password sees.

Standards: RFC 5802, RFC 7677, RFC 4013 (SASLprep), RFC 5929 section 4
(tls-server-end-point).
Deviates from RFC 5802 section 6: tls-unique is not offered, and neither is tls-exporter
(RFC 9266): Python's ssl gives no keying material.
Imports: exchange, model.  No I/O.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
import stringprep
import unicodedata
from typing import Final

from mailstack.model.secret import Keys, Proof, Verifier
from mailstack.sasl.steps import Challenge, Credentials, Offer, SaslError, Step, decode

MECHANISM: Final = "SCRAM-SHA-256"
PLUS: Final = "SCRAM-SHA-256-PLUS"
MAX_NAME_OCTETS: Final = 1_024
MAX_NONCE_OCTETS: Final = 512

_HASH: Final = "sha256"
_DIGEST_OCTETS: Final = 32
_NO_KEYS: Final = Keys(bytes(_DIGEST_OCTETS), bytes(_DIGEST_OCTETS))
_NAME: Final = rb"((?:[^\x00,=]|=2C|=3D)*)"
_FIRST = re.compile(
    rb"(?P<gs2>(?P<flag>n|y|p=(?P<binding>[A-Za-z0-9.\-]{1,64})),(?:a=(?P<authzid>" + _NAME + rb"))?,)"
    rb"(?P<bare>n=(?P<name>" + _NAME + rb"),r=(?P<nonce>[!-+\--~]+)(?:,[A-Za-z]=[^\x00,]+)*)\Z"
)
_FINAL = re.compile(
    rb"(?P<unproven>c=(?P<channel>[A-Za-z0-9+/=]+),r=(?P<nonce>[!-+\--~]+)(?:,[A-Za-z]=[^\x00,]+)*)"
    rb",p=(?P<proof>[A-Za-z0-9+/=]+)\Z"
)


def make_keys(password: str, salt: bytes, iterations: int) -> Keys:
    """The keys of a password.  Some milliseconds; releases the GIL.

    Source: RFC 5802 section 3.
    """
    salted = hashlib.pbkdf2_hmac(_HASH, prepare(password).encode("utf-8", "replace"), salt, iterations)
    stored = hashlib.sha256(_hmac(salted, b"Client Key")).digest()
    return Keys(stored, _hmac(salted, b"Server Key"))


def prepare(text: str) -> str:
    """SASLprep; what it forbids is left as it is, so that no password stops working.

    Source: RFC 4013 section 2, with the tables of Unicode 3.2.
    """
    mapped = "".join(
        " " if stringprep.in_table_c12(sign) else sign
        for sign in text
        if not stringprep.in_table_b1(sign) or stringprep.in_table_c12(sign)
    )
    prepared = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    return prepared if _is_allowed(prepared) else text


def _is_allowed(text: str) -> bool:
    if any(forbidden(sign) for sign in text for forbidden in _FORBIDDEN):
        return False
    if not any(map(stringprep.in_table_d1, text)):
        return True
    # RFC 3454 section 6: text from right to left begins and ends so, and mixes with no other.
    ends = stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])
    return ends and not any(map(stringprep.in_table_d2, text))


_FORBIDDEN = (
    stringprep.in_table_a1,
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


class Scram:
    """One exchange: client-first, server-first, client-final, server-final, nothing."""

    def __init__(self, offer: Offer, *, plus: bool) -> None:
        """`plus`: with channel binding."""
        if offer.verifier is None:
            raise ValueError("SCRAM is not offered")
        self.mechanism = PLUS if plus else MECHANISM
        self._offer = offer
        self._look_up = offer.verifier
        self._plus = plus
        self._asked = False
        self._login = self._acting_for = ""
        self._channel = self._nonce = self._messages = b""
        self._verifier = Verifier(b"", 0)
        self._done: Credentials | None = None

    def respond(self, line: bytes | None) -> Step:
        """See exchange.Exchange."""
        if line is None:
            if self._asked:
                raise SaslError("nothing was sent")
            self._asked = True
            return Challenge(b"")
        octets = decode(line)
        if self._done is not None:
            if octets:
                raise SaslError("nothing may follow the proof")
            return self._done
        return self._final(octets) if self._nonce else self._first(octets)

    def _first(self, octets: bytes) -> Challenge:
        found = _FIRST.match(octets)
        if found is None:
            raise SaslError("this is no SCRAM message")
        if len(found["name"]) > MAX_NAME_OCTETS or len(found["nonce"]) > MAX_NONCE_OCTETS:
            raise SaslError("the message is too long")
        self._channel = found["gs2"] + self._binding(found["flag"], found["binding"])
        self._login = prepare(_name(found["name"]))
        if not self._login:
            raise SaslError("the user name is empty")
        other = _name(found["authzid"] or b"")
        self._acting_for = other if other != self._login else ""
        self._verifier = self._look_up(self._login)
        self._nonce = found["nonce"] + _base64(self._offer.nonce())
        first = b"r=%b,s=%b,i=%d" % (self._nonce, _base64(self._verifier.salt), self._verifier.iterations)
        self._messages = found["bare"] + b"," + first + b","
        return Challenge(_base64(first))

    def _binding(self, flag: bytes, name: bytes | None) -> bytes:
        """The channel's data, as this client must repeat it.

        Source: RFC 5802 section 6.
        """
        bindings = dict(self._offer.bindings)
        if not self._plus:
            if name is not None:
                raise SaslError("channel binding is for SCRAM-SHA-256-PLUS")
            if flag == b"y" and bindings:
                # It could bind and believes that we cannot: somebody has changed our words.
                raise SaslError("channel binding is offered here")
            return b""
        if name is None or (data := bindings.get(name.decode("ascii"))) is None:
            raise SaslError("this channel binding is not offered")
        return data

    def _final(self, octets: bytes) -> Step:
        found = _FINAL.match(octets)
        if found is None:
            raise SaslError("this is no SCRAM message")
        if not hmac.compare_digest(found["nonce"], self._nonce):
            raise SaslError("the nonce is another one")
        is_bound = hmac.compare_digest(_octets(found["channel"]), self._channel)
        messages = self._messages + found["unproven"]
        keys = self._proven(_octets(found["proof"]), messages)
        if keys is None or not is_bound:
            why = self._verifier.why or ("" if is_bound else "the channel binding does not match")
            return Credentials(self._login, Proof(why=why, mark=found["proof"]), self._acting_for)
        self._done = Credentials(self._login, Proof(keys.stored_key), self._acting_for)
        return Challenge(_base64(b"v=" + _base64(_hmac(keys.server_key, messages))))

    def _proven(self, proof: bytes, messages: bytes) -> Keys | None:
        """The keys whose password made the proof."""
        if len(proof) != _DIGEST_OCTETS:
            return None
        proven = None
        # An account without keys takes as long as one with a password.
        for keys in self._verifier.keys or (_NO_KEYS,):
            signature = _hmac(keys.stored_key, messages)
            client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
            if hmac.compare_digest(hashlib.sha256(client_key).digest(), keys.stored_key):
                proven = keys
        return proven


def _name(text: bytes) -> str:
    try:
        return text.replace(b"=2C", b",").replace(b"=3D", b"=").decode("utf-8")
    except UnicodeDecodeError:
        raise SaslError("the name is not UTF-8") from None


def _octets(text: bytes) -> bytes:
    try:
        octets = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        raise SaslError("a value is not base64") from None
    # strict_mode lets unused bits be set.
    if _base64(octets) != text:
        raise SaslError("a value is not base64")
    return octets


def _base64(octets: bytes) -> bytes:
    return binascii.b2a_base64(octets, newline=False)


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, _HASH)
