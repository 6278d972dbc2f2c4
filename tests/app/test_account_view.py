"""What the filter worker looks up for scripts: own and shared scripts, addresses, memory; nothing raises."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstack.app.account_view import AccountView, OperatorScripts
from mailstack.directory import Directory
from mailstack.filters.sieve_options import SieveOptions
from mailstack.model.directory import Account
from mailstack.state.memory import Memory, Seen
from tests.kit.clock import START
from tests.kit.instance import Instance, new_instance

BOB = "bob@example.test"


@dataclasses.dataclass
class Bob:
    """His account, and how it is looked at."""

    instance: Instance
    directory: Directory
    account: Account
    seen: Seen
    scripts: OperatorScripts
    begun: list[tuple[int, str, bytes]]

    @property
    def view(self) -> AccountView:
        return AccountView(
            self.account,
            self.directory,
            self.scripts,
            seen=self.seen,
            mail=self.instance.config.paths.mail,
            time_zone="Europe/Zurich",
            begin=lambda *what: self.begun.append(what),
        )


@pytest.fixture
def bob(tmp_path: Path) -> Iterator[Bob]:
    instance = new_instance(tmp_path / "i")
    with instance.writer() as writer:
        account = writer.accounts.add(BOB)
        writer.scripts.put(BOB, "main", b"keep;")
        writer.scripts.put(BOB, "other", b"stop;")
        writer.scripts.activate(BOB, "main")
    folder = tmp_path / "shared"
    folder.mkdir()
    options = SieveOptions(before_script=str(tmp_path / "before.sieve"), global_scripts=str(folder))
    directory, seen = instance.reader(), Seen(instance.config.paths.state_db)
    yield Bob(instance, directory, account, seen, OperatorScripts(options), [])
    directory.close()
    seen.close()


def names(bob: Bob) -> list[tuple[str, bytes]]:
    return [(step.name, step.source) for step in bob.view.steps()]


def test_the_operators_script_comes_first_and_changes_at_once(bob: Bob, tmp_path: Path) -> None:
    assert names(bob) == [("script main", b"keep;")]
    before = tmp_path / "before.sieve"
    before.write_bytes(b"discard;")
    assert names(bob)[0] == ("before", b"discard;")
    before.write_bytes(b"keep; # longer")
    assert names(bob)[0] == ("before", b"keep; # longer")
    before.unlink()
    assert names(bob) == [("script main", b"keep;")]


def test_scripts_to_include_are_own_or_the_operators(bob: Bob, tmp_path: Path) -> None:
    (tmp_path / "shared" / "common.sieve").write_bytes(b"keep;")
    (tmp_path / "secret.sieve").write_bytes(b"no")
    view = bob.view
    assert view.script("other", "personal") == b"stop;"
    assert view.script("common", "global") == b"keep;"
    for name in ("missing", "../secret", "..", ".hidden", "a/b", "a\0b", ""):
        assert view.script(name, "global") is None, name
        assert view.script(name, "personal") is None


def test_a_script_that_cannot_be_read_is_not_there(bob: Bob, tmp_path: Path) -> None:
    (tmp_path / "shared" / "folder.sieve").mkdir()
    assert bob.view.script("folder", "global") is None
    os.symlink("loop.sieve", tmp_path / "shared" / "loop.sieve")
    assert bob.view.script("loop", "global") is None


def test_what_it_may_send_as_and_where_it_lives(bob: Bob) -> None:
    view = bob.view
    assert view.may_send_as(BOB) and view.may_send_as("bob+tag@example.test")
    assert not view.may_send_as("alice@example.test") and not view.may_send_as("nonsense")
    assert view.offset_s(1_784_000_000) == 7_200 and view.offset_s(1e30) == 0


def test_memory_is_read_and_who_watches_is_told(bob: Bob) -> None:
    memory = Memory(bob.instance.config.paths.state_db)
    memory.mark(bob.account.id, "id", keep_s=600, most=10, now=START)
    memory.spend(bob.account.id, "cpu_s", 0.5, now=START)
    memory.note_failure(bob.account.id, "script main", b"v", "no", now=START, died=True)
    memory.close()
    view = bob.view
    assert view.seen("id", since=START - 1) and not view.seen("id", since=START)
    assert view.cpu_s(since=START - 3_600) == 0.5
    assert view.deaths("script main", b"v") == 1
    assert not view.is_correspondent("x@far.test") and not view.is_correspondent("nonsense")
    view.begin("script main", b"v")
    assert bob.begun == [(bob.account.id, "script main", b"v")]


def test_a_memory_nobody_can_read_knows_nothing(bob: Bob) -> None:  # V15
    bob.instance.config.paths.state_db.write_bytes(b"this is no database" * 1_000)
    view = bob.view
    assert not view.seen("id", since=0) and view.cpu_s(since=0) == 0.0 and view.deaths("x", b"v") == 0
