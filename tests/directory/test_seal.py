"""Secrets at rest."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from mailstack.directory import seal
from mailstack.directory.seal import Sealer
from mailstack.model.errors import TemporaryFailure

KEY = bytes(range(32))


def test_a_sealed_secret_opens_where_it_belongs() -> None:
    sealer = Sealer(KEY)
    sealed = sealer.seal(b"secret", "dkim example.org", os.urandom)
    assert b"secret" not in sealed
    assert sealer.open(sealed, "dkim example.org", sealer.master_id) == b"secret"


def test_a_sealed_secret_copied_into_another_row_does_not_open() -> None:
    sealer = Sealer(KEY)
    sealed = sealer.seal(b"secret", "dkim example.org", os.urandom)
    with pytest.raises(TemporaryFailure, match="damaged"):
        sealer.open(sealed, "dkim example.net", sealer.master_id)


@pytest.mark.parametrize("cut", [0, 5, 12, 20])
def test_a_damaged_secret_is_a_failure_in_words(cut: int) -> None:
    sealer = Sealer(KEY)
    sealed = sealer.seal(b"secret", "x", os.urandom)
    with pytest.raises(TemporaryFailure, match="damaged"):
        sealer.open(sealed[:cut], "x", sealer.master_id)


def test_another_master_key_is_named() -> None:
    sealer, other = Sealer(KEY), Sealer(bytes(32))
    with pytest.raises(TemporaryFailure, match="restore the old file"):
        other.open(sealer.seal(b"secret", "x", os.urandom), "x", sealer.master_id)


def test_key_file_is_private_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    seal.create(path, os.urandom)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        seal.create(path, os.urandom)
    assert seal.load(path).master_id


def test_missing_or_short_key_file_is_a_failure_in_words(tmp_path: Path) -> None:
    with pytest.raises(TemporaryFailure, match="cannot be read"):
        seal.load(tmp_path / "none")
    (tmp_path / "short").write_bytes(b"x" * 31)
    with pytest.raises(TemporaryFailure, match="31 octets"):
        seal.load(tmp_path / "short")
