"""Nothing in the log is older than 20 days (promise P14)."""

from __future__ import annotations

import asyncio
import contextlib
import io
import types
from pathlib import Path

import pytest

from mailstack.app import tidy
from mailstack.state import maillog
from mailstack.state.maillog import MailLog, MailLogReader
from tests.kit.clock import Clock

ALICE = "alice@example.test"


def context(path: Path, clock: Clock) -> types.SimpleNamespace:
    return types.SimpleNamespace(paths=types.SimpleNamespace(maillog_db=path), now=clock)


async def run_for_a_moment(given: types.SimpleNamespace) -> None:
    task = asyncio.create_task(tidy.tidy(given))  # type: ignore[arg-type]
    await asyncio.sleep(0.3)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_old_rows_go_and_young_ones_stay(tmp_path: Path) -> None:
    path, clock = tmp_path / "maillog.db", Clock()
    maillog.migrate(path)
    for days in (0, 15):
        clock.advance(days * 86_400)
        log = MailLog(path, daemon="imap", now=clock, stream=io.StringIO())
        log.login(protocol="imap", peer="192.0.2.1", account=ALICE, ok=True, mechanism="PLAIN")
        log.close()
    clock.advance(6 * 86_400)
    await run_for_a_moment(context(path, clock))
    reader = MailLogReader(path)
    assert len(reader.of_address(ALICE)) == 1
    reader.close()


async def test_a_database_in_trouble_does_not_end_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "maillog.db"
    path.write_bytes(b"this is no database" * 100)
    await run_for_a_moment(context(path, Clock()))
    assert "old log rows stay" in caplog.text
