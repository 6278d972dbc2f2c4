"""Passwords: rules for new ones, hashing, checking, and a short memory of good logins.

argon2id as `limits` section 7 says.  Every check costs one hash, also for users that do
not exist, so that the time tells nothing (T81, A6, A11).  A stored hash is looked at
before it is computed: absurd parameters must not take the machine down (A17).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import logging
import re
import threading
import unicodedata
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from mailstack.directory.common_passwords import COMMON
from mailstack.model.errors import PermanentFailure
from mailstack.sasl import scram

log = logging.getLogger("mailstack.directory")

MAX_PASSWORD_OCTETS = 1024
MIN_DISTINCT_CHARACTERS = 4
#: A17: a stored hash that asks for more is refused, not computed.
MAX_MEMORY_KIB = 131_072
MAX_PASSES = 10
MAX_LANES = 4
_MAX_HASH_CHARACTERS = 256
_ENCODED = re.compile(
    r"\$argon2id\$v=19\$m=([1-9]\d{0,9}),t=([1-9]\d{0,9}),p=([1-9]\d{0,9})"
    r"\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})\Z"
)
_SALT_OCTETS = 16
_HASH_OCTETS = 32
#: A generated password: five groups of four from 32 signs that nobody confuses, 100 bits.
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
_CACHE_ENTRIES = 10_000


@dataclass(frozen=True, slots=True)
class HashParameters:
    """The cost of one hash: memory in KiB, passes, lanes."""

    memory_kib: int = 19_456
    passes: int = 2
    lanes: int = 1


#: OWASP minimum; ~30 ms.
NORMAL = HashParameters()
#: RFC 9106 second choice, for people with administrator rights.
ADMIN = HashParameters(65_536, 3, 1)


def check_new(password: str, *, min_chars: int = 10, address: str = "") -> str:
    """A password somebody wants to set, prepared as it is going to be hashed.

    Raises:
        PermanentFailure: too short, too long, NUL, too simple, or widely known.
    """
    password = forms(password)[0]
    octets = len(password.encode("utf-8", "surrogatepass"))
    folded = password.casefold()
    local = address.partition("@")[0].casefold()
    if "\0" in password or any("\ud800" <= c <= "\udfff" for c in password):
        why = "a password cannot hold NUL or undecodable octets"
    elif len(password) < min_chars:
        why = f"the password is too short: it has {len(password)} characters, it needs {min_chars}"
    elif octets > MAX_PASSWORD_OCTETS:
        why = f"the password is too long: it has {octets} octets, at most {MAX_PASSWORD_OCTETS} work"
    elif len(set(password)) < MIN_DISTINCT_CHARACTERS or _is_run(folded):
        why = "the password is too simple: it repeats or counts"
    elif folded in COMMON or folded.rstrip("0123456789!?.") in COMMON:
        why = "the password is one of those everybody tries first"
    elif local and folded in (local, address.casefold(), local * 2):
        why = "the password is the address itself"
    else:
        return password
    raise PermanentFailure(why)


def generate(random_bytes: Callable[[int], bytes]) -> str:
    """A password nobody guesses, easy to type: "kx4m-...", 100 bits."""
    signs = "".join(_ALPHABET[octet % 32] for octet in random_bytes(20))
    return "-".join(signs[n : n + 4] for n in range(0, 20, 4))


def forms(password: str) -> list[str]:
    """How a password may have been meant: prepared as SASL asks for, and as it was written.

    The first one is what is hashed now.  There is a second one for few passwords only
    (ligatures, other spaces), which may have been hashed before that was done.

    Source: RFC 4013, RFC 4616 section 2.
    """
    prepared = unicodedata.normalize("NFC", scram.prepare(password))
    return list(dict.fromkeys((prepared, unicodedata.normalize("NFC", password))))


def hash_password(
    password: str, random_bytes: Callable[[int], bytes], parameters: HashParameters = NORMAL
) -> str:
    """The argon2id hash in its usual text form.  Blocking, ~30 ms; releases the GIL.

    Source: RFC 9106.
    """
    from argon2.low_level import Type, hash_secret

    return hash_secret(
        forms(password)[0].encode(),
        random_bytes(_SALT_OCTETS),
        time_cost=parameters.passes,
        memory_cost=parameters.memory_kib,
        parallelism=parameters.lanes,
        hash_len=_HASH_OCTETS,
        type=Type.ID,
    ).decode("ascii")


def verify(hash_: str, password: str, parameters: HashParameters = NORMAL) -> bool:
    """Whether the password belongs to the hash.  Blocking; releases the GIL.

    A stored hash that is malformed, of another scheme or with absurd parameters is
    refused with an alarm in the log, after the time a normal check takes.

    Args:
        hash_: "" for a user that does not exist.
        parameters: what a check costs where there is nothing to compare with.
    """
    secrets = _secrets(password)
    if secrets and parameters_of(hash_) is not None:
        return any(_is_of(hash_, secret) for secret in secrets)
    if hash_ and secrets:
        log.error("a stored password hash is malformed or has absurd parameters: login refused")
    for _ in secrets or [b""]:
        waste_time(parameters)
    return False


def _is_of(hash_: str, secret: bytes) -> bool:
    from argon2.exceptions import Argon2Error, InvalidHashError
    from argon2.low_level import Type, verify_secret

    try:
        return verify_secret(hash_.encode("ascii"), secret, Type.ID)
    except (Argon2Error, InvalidHashError):
        return False


def parameters_of(hash_: str) -> HashParameters | None:
    """What a stored hash costs; None unless it is argon2id and we are willing to compute it."""
    found = _ENCODED.match(hash_) if len(hash_) <= _MAX_HASH_CHARACTERS else None
    if found is None:
        return None
    memory, passes, lanes = (int(found.group(n)) for n in (1, 2, 3))
    is_sane = 8 * lanes <= memory <= MAX_MEMORY_KIB and passes <= MAX_PASSES and lanes <= MAX_LANES
    return HashParameters(memory, passes, lanes) if is_sane else None


def waste_time(parameters: HashParameters = NORMAL) -> None:
    """Costs what a check costs: for users that do not exist."""
    from argon2.exceptions import Argon2Error
    from argon2.low_level import Type, verify_secret

    try:
        verify_secret(_dummy(parameters).encode("ascii"), b"not the password", Type.ID)
    except Argon2Error:
        pass


class SuccessCache:
    """Remembers good logins as a keyed hash, so that the next one costs microseconds.

    An entry is bound to the stored hash: a changed password never matches an old entry.
    Failures are never remembered.  Thread-safe.
    """

    def __init__(self, key: bytes, *, lifetime_s: float, clock: Callable[[], float]) -> None:
        """`key`: random, of this process; `clock`: seconds that only grow."""
        self._key = key
        self._lifetime_s = lifetime_s
        self._clock = clock
        self._entries: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()

    def knows(self, hash_: str, password: str) -> bool:
        """True while this password was good for this hash a short time ago."""
        tag = self._tag(hash_, password)
        with self._lock:
            until = self._entries.get(tag)
            if until is None:
                return False
            if until <= self._clock():
                del self._entries[tag]
                return False
            return True

    def add(self, hash_: str, password: str) -> None:
        """This password is good for this hash."""
        if self._lifetime_s <= 0:
            return
        tag = self._tag(hash_, password)
        with self._lock:
            self._entries[tag] = self._clock() + self._lifetime_s
            self._entries.move_to_end(tag)
            while len(self._entries) > _CACHE_ENTRIES:
                self._entries.popitem(last=False)

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._entries.clear()

    def _tag(self, hash_: str, password: str) -> bytes:
        # NUL cannot stand in a stored hash, so the two parts cannot run into each other.
        data = hash_.encode("utf-8", "replace") + b"\0" + password.encode("utf-8", "surrogatepass")
        return hmac.new(self._key, data, hashlib.sha256).digest()


def _secrets(password: str) -> list[bytes]:
    """The octets to compare; none when no password of ours can look like this (A13)."""
    if not password or "\0" in password or len(password) > MAX_PASSWORD_OCTETS:
        return []
    try:
        octets = [form.encode() for form in forms(password)]
    except UnicodeEncodeError:
        return []
    return [secret for secret in octets if 0 < len(secret) <= MAX_PASSWORD_OCTETS]


@lru_cache(maxsize=8)
def _dummy(parameters: HashParameters) -> str:
    """A well-formed hash that no password has; making it costs nothing."""
    salt, digest = (base64.b64encode(bytes(n)).decode().rstrip("=") for n in (_SALT_OCTETS, _HASH_OCTETS))
    costs = f"m={parameters.memory_kib},t={parameters.passes},p={parameters.lanes}"
    return f"$argon2id$v=19${costs}${salt}${digest}"


def _is_run(text: str) -> bool:
    """All neighbours differ by the same step: 1234567890, aaaaaaaaaa, fedcba..."""
    steps = {ord(b) - ord(a) for a, b in itertools.pairwise(text)}
    return steps in ({0}, {1}, {-1})
