"""Each SMTP target with its seeds, what once failed, and mutations of both."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.fuzz_targets import TARGETS, seeds
from tests.kit.fuzzing import FUZZ

FILES = [(target, file) for target in TARGETS for file in seeds(target)]

#: What a grammar hangs on; put in, it changes more than a random octet.
SIGNS = [b"\r\n", b"\r", b"\n", b".", b"\0", b" ", b"<", b">", b'"', b"\\", b"@", b":", b"+", b"=", b"\xff"]
EDIT = st.tuples(st.floats(0, 1), st.integers(0, 6), st.sampled_from(SIGNS) | st.binary(max_size=5))


@pytest.mark.parametrize(("target", "file"), FILES, ids=lambda value: getattr(value, "name", value))
def test_seed(target: str, file: Path) -> None:
    TARGETS[target](file.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_there_are_seeds(target: str) -> None:
    assert len(seeds(target)) >= 5


def edited(octets: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    """Each edit: where (a share of the length), how many octets go, what comes."""
    for where, gone, come in edits:
        at = int(where * len(octets))
        octets = octets[:at] + come + octets[at + gone :]
    return octets


@pytest.mark.parametrize("target", TARGETS)
def test_mutations_of_the_seeds(target: str) -> None:
    begin = st.sampled_from([file.read_bytes() for file in seeds(target)])

    @FUZZ
    @given(st.lists(begin, min_size=1, max_size=2).map(b"".join), st.lists(EDIT, max_size=6))
    def check(octets: bytes, edits: list[tuple[float, int, bytes]]) -> None:
        TARGETS[target](edited(octets, edits))

    check()
