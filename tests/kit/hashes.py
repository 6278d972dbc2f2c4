"""What checks of passwords cost: counted, since times on a shared machine say little."""

from __future__ import annotations

import argon2
import pytest
from argon2 import low_level


def watch_hashes(monkeypatch: pytest.MonkeyPatch) -> list[argon2.Parameters]:
    """Variant, version, lengths, passes, memory and lanes of each hash that is computed from now on."""
    computed: list[argon2.Parameters] = []
    verify = low_level.verify_secret

    def watched(hash_: bytes, secret: bytes, kind: argon2.Type) -> bool:
        found = argon2.extract_parameters(hash_.decode())
        assert found.type is kind
        computed.append(found)
        return verify(hash_, secret, kind)

    monkeypatch.setattr(low_level, "verify_secret", watched)
    return computed
