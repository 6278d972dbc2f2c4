"""What the filter worker looks up for scripts: own and shared scripts, addresses, memory; nothing raises."""

from __future__ import annotations

import dataclasses
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstack.app.account_view import AccountView, OperatorScripts
from mailstack.directory import Directory
from mailstack.filters.sieve_options import SieveOptions
from mailstack.filters.surroundings import Heard
from mailstack.mailbox.store import MailStore
from mailstack.model.directory import Account
from mailstack.model.mailbox import NewMessage
from mailstack.state.maillog import MailLog
from mailstack.state.memory import Memory, Seen
from mailstack.state.sender_history import SenderHistory
from mailstack.state.sent import Sent
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
            sent=Sent(self.instance.config.paths.maillog_db),
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


def test_whom_the_account_hears_from_and_answers_to(bob: Bob) -> None:
    paths = bob.instance.config.paths
    history = SenderHistory(paths.state_db)
    history.note([(bob.account.id, "ann@far.test"), (0, "ann@far.test")], now=START)
    history.close()
    log = MailLog(paths.maillog_db, daemon="smtp", now=lambda: START, stream=io.StringIO())
    for message_id, login in (("<own@x>", BOB), ("<others@x>", "alice@example.test"), ("<theirs@x>", "")):
        log.accepted(
            "A", peer="", sender="", recipients=[], size_octets=1, login=login, message_id=message_id, tls=""
        )
    log.close()
    store = MailStore(paths.mail, now=lambda: START, random_bytes=os.urandom)
    mailbox = store.account(bob.account.address)
    for folder, name in (("INBOX", b"asked"), ("Sent", b"sent")):
        letter = b"Message-ID: <%s@y>\r\nReferences: <first-%s@y>\r\n\r\n" % (name, name)
        mailbox.deliver(folder, NewMessage(letter), base_name=f"1.{name.decode()}")
    store.close()
    view = bob.view
    assert view.heard("ann@far.test") == Heard(1, 1)
    assert view.heard("bob@far.test") == Heard()
    for id_ in ("<own@x>", "<sent@y>", "<first-sent@y>"):
        assert view.has_written(["<other@z>", id_]), id_
    for id_ in ("<others@x>", "<theirs@x>", "<asked@y>", "<first-asked@y>", "<>", ""):
        assert not view.has_written([id_]), id_
    assert not view.has_written([])


def test_a_memory_nobody_can_read_knows_nothing(bob: Bob) -> None:  # V15
    bob.instance.config.paths.state_db.write_bytes(b"this is no database" * 1_000)
    view = bob.view
    assert not view.seen("id", since=0) and view.cpu_s(since=0) == 0.0 and view.deaths("x", b"v") == 0
