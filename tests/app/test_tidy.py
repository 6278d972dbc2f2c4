"""Nothing in the log is older than 20 days (promise P14)."""

from __future__ import annotations

import io
import types
from pathlib import Path
from typing import Any

import pytest

from mailstack.app import tidy
from mailstack.app.config import Config
from mailstack.model.sending import Caps, Used
from mailstack.state import maillog_db, statedb
from mailstack.state.greylist import Greylist, Waits, triplet
from mailstack.state.guesses import Count, Guesses, Rule
from mailstack.state.maillog import MailLog
from mailstack.state.maillog_reader import MailLogReader
from mailstack.state.sending import Sending
from mailstack.state.traps import Traps
from mailstack.state.wanted import Wanted
from tests.kit.clock import Clock

ALICE = "alice@example.test"


def context(path: Path, clock: Clock) -> Any:
    """Of an instance whose log is `path`; the rest is new."""
    state_db = path.with_name("state.db")
    statedb.migrate(state_db)
    paths = types.SimpleNamespace(maillog_db=path, state_db=state_db)
    return types.SimpleNamespace(paths=paths, now=clock, config=Config())


async def test_old_rows_go_and_young_ones_stay(tmp_path: Path) -> None:
    path, clock = tmp_path / "maillog.db", Clock()
    maillog_db.migrate(path)
    for days in (0, 15):
        clock.advance(days * 86_400)
        log = MailLog(path, daemon="imap", now=clock, stream=io.StringIO())
        log.login(protocol="imap", peer="192.0.2.1", account=ALICE, ok=True, mechanism="PLAIN")
        log.close()
    clock.advance(6 * 86_400)
    await tidy.tidy_once(context(path, clock))
    reader = MailLogReader(path)
    assert len(reader.of_address(ALICE)) == 1
    reader.close()


async def test_what_was_sent_is_forgotten_when_no_limit_looks_at_it(tmp_path: Path) -> None:
    clock = Clock()
    maillog_db.migrate(tmp_path / "maillog.db")
    given = context(tmp_path / "maillog.db", clock)
    table = Sending(given.paths.state_db)
    table.take(1, ["x@far.test"], Caps(), strangers=[], counts_new=True, now=clock())
    table.learn(1, ["x@far.test"], clock())
    used_at = clock()
    clock.advance(2 * 86_400)
    await tidy.tidy_once(given)
    assert table.used(1, used_at) == Used()
    assert table.knows(1, "x@far.test")
    table.close()


async def test_a_database_in_trouble_does_not_end_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "maillog.db"
    path.write_bytes(b"this is no database" * 100)
    await tidy.tidy_once(context(path, Clock()))
    assert "old log rows stay" in caplog.text


async def test_what_is_known_about_clients_goes_when_it_says_nothing_any_more(tmp_path: Path) -> None:
    clock = Clock()
    maillog_db.migrate(tmp_path / "maillog.db")
    given = context(tmp_path / "maillog.db", clock)
    path = given.paths.state_db
    tables = (Guesses(path), Traps(path), Wanted(path), Greylist(path))
    guesses, traps, wanted, greylist = tables
    guesses.add({"192.0.2.1/32": Count(unknown=9)}, Rule(50, 5, 3600), now=clock())
    traps.hit("192.0.2.0/24", "trap@example.test", now=clock(), keep_s=1e9)
    wanted.note(["dom far.test"], now=clock(), keep_s=1e9)
    greylist.wait_s([triplet("n", "s", "r")], Waits(1, 2, 3), now=clock())
    await tidy.tidy_once(given)
    assert guesses.forget("192.0.2.1/32") == 1
    clock.advance(31 * 86_400)
    await tidy.tidy_once(given)
    assert traps.listed() == []
    assert not wanted.is_any(["dom far.test"], since=0)
    assert greylist.forget() == 0
    for table in tables:
        table.close()
