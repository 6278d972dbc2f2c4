"""Real messages, when they are at hand: the archive that MAILSTACK_CORPUS names.

Only tests and benchmarks read it; nothing of it lies in this repository.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def archive() -> Path:
    """Where the archive should be."""
    named = os.environ.get("MAILSTACK_CORPUS", "")
    return Path(named) if named else ROOT / ".." / "shared" / "corpus" / "mail-dev.tar.xz"


def messages(kind: str = "", *, limit: int | None = None, every: int = 1) -> Iterator[tuple[str, bytes]]:
    """Name and octets of the messages, in the archive's order; skips the test when there is none.

    Args:
        kind: "ham" or "spam"; "" for both.
        limit: at most so many.
        every: only each n-th, for a spread sample.
    """
    path = archive()
    if not path.exists():
        pytest.skip("the corpus of real messages is not here; MAILSTACK_CORPUS names it")
    given = seen = 0
    with tarfile.open(path, "r|xz") as tar:
        for member in tar:
            if not member.isfile() or (kind and kind not in Path(member.name).parts):
                continue
            seen += 1
            if (seen - 1) % every:
                continue
            if limit is not None and given >= limit:
                return
            stream = tar.extractfile(member)
            assert stream is not None
            given += 1
            yield member.name, stream.read()
