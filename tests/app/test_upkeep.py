"""The hourly job: what expires, what is purged, and what never goes early."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import io
import logging
import os
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mailstack.app import upkeep
from mailstack.app.upkeep import Upkeep
from mailstack.directory import Directory
from mailstack.mailbox.store import Account, MailStore
from mailstack.model.address import Address
from mailstack.model.mailbox import NewMessage
from mailstack.state.forward_targets import ForwardTargets
from mailstack.state.maillog import MailLog
from mailstack.state.steady import Reading
from tests.kit.clock import Clock
from tests.kit.instance import Instance, new_instance

DAY_S = 86_400
OCTETS = b"Subject: x\r\n\r\nx\r\n"


@dataclass
class Kit:
    instance: Instance
    clock: Clock
    directory: Directory
    store: MailStore
    log: io.StringIO
    published: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    since_boot_s: float = 0.0
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.context = types.SimpleNamespace(
            config=self.instance.config,
            paths=self.instance.config.paths,
            now=self.clock,
            random_bytes=os.urandom,
            stop=self.stop,
            bus=types.SimpleNamespace(publish=lambda role, event: self.published.append((role, event))),
            maillog=MailLog(None, daemon="queue", now=self.clock, stream=self.log),
            fatal=lambda why: None,
        )

    def clocks(self, now: float) -> Reading:
        return Reading("a boot", self.since_boot_s, now)

    @property
    def job(self) -> Upkeep:
        return Upkeep(self.context, self.directory, self.store, clocks=self.clocks)  # type: ignore[arg-type]

    def pass_days(self, days: float) -> None:
        """Time passes, and the date with it."""
        self.clock.advance(days * DAY_S)
        self.since_boot_s += days * DAY_S

    def account(self, name: str) -> Account:
        return self.store.account(Address.parse(f"{name}@example.test"))

    def held(self, name: str, folder: str) -> int:
        return self.account(name).status(folder).messages


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[Kit]:
    instance, clock = new_instance(tmp_path), Clock()
    for name in ("alice", "bob"):
        with instance.writer(now=clock) as writer:
            writer.accounts.add(f"{name}@example.test")
    directory = instance.reader()
    store = MailStore(instance.config.paths.mail, now=clock, random_bytes=os.urandom)
    yield Kit(instance, clock, directory, store, io.StringIO())
    store.close()
    directory.close()


def change(kit: Kit, work: Callable[[object], object]) -> None:
    with kit.instance.writer(now=kit.clock) as writer:
        work(writer.accounts)


def test_spam_goes_after_30_days_and_everybody_is_told(kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    kit.account("alice").append("Spam", [NewMessage(OCTETS)] * 2)
    kit.account("alice").append("Trash", [NewMessage(OCTETS)])
    for _ in range(31):
        kit.job.run()
        kit.pass_days(1)
    assert (kit.held("alice", "Spam"), kit.held("alice", "Trash")) == (2, 1)
    kit.job.run()
    assert (kit.held("alice", "Spam"), kit.held("alice", "Trash")) == (0, 1)
    event = {"event": "mailbox", "account": "alice@example.test", "folder": "Spam"}
    assert kit.published == [("imap", event)]
    assert "2 messages in Spam expired" in caplog.text
    assert "expired" in kit.log.getvalue()


def test_an_account_may_have_its_own_days(kit: Kit) -> None:
    change(kit, lambda a: a.set_keeping("alice@example.test", spam_days=0, trash_days=7))  # type: ignore[attr-defined]
    for folder in ("Spam", "Trash"):
        kit.account("alice").append(folder, [NewMessage(OCTETS)])
    kit.job.run()
    for _ in range(40):
        kit.pass_days(1)
    kit.job.run()
    assert (kit.held("alice", "Spam"), kit.held("alice", "Trash")) == (1, 0)


def test_what_pop3_fetched_goes_when_its_owner_wants_it(kit: Kit) -> None:
    change(kit, lambda a: a.set_pop3_days("alice@example.test", 3))  # type: ignore[attr-defined]
    account = kit.account("alice")
    account.append("INBOX", [NewMessage(OCTETS)] * 2)
    account.note_fetched(account.status("INBOX").id, [1])
    kit.job.run()
    kit.pass_days(4)
    kit.job.run()
    assert kit.held("alice", "INBOX") == 1


@pytest.mark.parametrize("written_at", [0, 4_000_000_000])
@pytest.mark.parametrize("name", ["queue_quarantine", "filter_aside"])
def test_what_was_set_aside_is_kept_for_30_days_that_really_passed(
    kit: Kit, name: str, written_at: float
) -> None:
    # F28: neither a date of 1970 on the file nor a jump of ten years takes it away early.
    folder: Path = getattr(kit.instance.config.paths, name)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "damaged").write_bytes(OCTETS)
    os.utime(folder / "damaged", (written_at,) * 2)
    kit.job.run()
    kit.clock.advance(3_650 * DAY_S)
    for _ in range(30):
        kit.job.run()
        assert (folder / "damaged").exists()
        kit.pass_days(1)
    kit.job.run()
    assert not (folder / "damaged").exists()


def test_a_wrong_date_makes_nothing_expire_or_go(kit: Kit) -> None:
    # F28
    account = kit.account("alice")
    account.append("Spam", [NewMessage(OCTETS)])
    account.append("INBOX", [NewMessage(OCTETS)])
    account.expunge(account.status("INBOX").id, [1])
    kit.store.flush()
    change(kit, lambda a: a.remove("bob@example.test"))  # type: ignore[attr-defined]
    kit.account("bob").append("INBOX", [NewMessage(OCTETS)])
    for jump in (0.0, 10 * 365 * DAY_S, -kit.clock(), DAY_S, -DAY_S):
        kit.clock.advance(jump)
        kit.since_boot_s += 60
        kit.job.run()
        kit.clock.advance(-jump)
    assert kit.held("alice", "Spam") == 1
    assert kit.held("bob", "INBOX") == 1
    aside = kit.instance.config.paths.mail / "example.test/alice/expunged"
    assert len(list(aside.glob("*/*.mailstack.*"))) == 1


def test_what_was_expunged_goes_after_its_time(kit: Kit) -> None:
    account = kit.account("alice")
    account.append("INBOX", [NewMessage(OCTETS)])
    account.expunge(account.status("INBOX").id, [1])
    kit.store.flush()
    place = kit.instance.config.paths.mail / "example.test/alice/expunged"
    kit.job.run()
    kit.pass_days(13)
    kit.job.run()
    assert list(place.glob("2*"))
    kit.pass_days(1.1)
    kit.job.run()
    assert not list(place.glob("2*"))


def test_a_removed_account_goes_after_its_time_and_its_name_stays(kit: Kit) -> None:
    for name in ("alice", "bob"):
        kit.account(name).append("INBOX", [NewMessage(OCTETS)])
        change(kit, lambda a, n=name: a.remove(f"{n}@example.test"))  # type: ignore[misc]
    targets = ForwardTargets(kit.instance.config.paths.state_db)
    for name in ("alice", "bob"):
        targets.pause(Address(name, "example.test"), Address("x", "far.test"), why="", now=kit.clock())
    kit.job.run()
    kit.pass_days(29)
    kit.job.run()
    change(kit, lambda a: a.restore("bob@example.test"))  # type: ignore[attr-defined]
    kit.pass_days(2)
    kit.job.run()
    homes = kit.instance.config.paths.mail / "example.test"
    assert sorted(path.name for path in homes.iterdir()) == ["bob"]
    assert kit.held("bob", "INBOX") == 1
    assert [one.owner for one in targets.paused()] == ["bob@example.test"]
    assert kit.instance.cli("user", "add", "alice@example.test").code == 65
    change(kit, lambda a: a.remove("bob@example.test"))  # type: ignore[attr-defined]
    kit.job.run()
    kit.pass_days(29)  # its time begins anew
    kit.job.run()
    assert (homes / "bob").is_dir()


@pytest.mark.parametrize("when", ["before", "at last"])
def test_an_account_restored_while_others_are_removed_keeps_its_mail(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    kit.account("alice").append("INBOX", [NewMessage(OCTETS)])
    change(kit, lambda a: a.remove("alice@example.test"))  # type: ignore[attr-defined]
    kit.job.run()
    kit.pass_days(31)

    def restore() -> None:
        monkeypatch.undo()
        change(kit, lambda a: a.restore("alice@example.test", has_mail=True))  # type: ignore[attr-defined]

    if when == "before":
        close = kit.account("alice").core.close
        monkeypatch.setattr(kit.account("alice").core, "close", lambda: (close(), restore()))
    else:
        rename = os.rename

        def moved(old: Path, new: Path) -> None:
            rename(old, new)
            if Path(new).name == ".purged-alice":
                restore()

        monkeypatch.setattr(os, "rename", moved)
    kit.job.run()
    kit.job.run()
    assert kit.held("alice", "INBOX") == 1


def test_one_run_goes_on_where_the_last_one_stopped(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "MOST_ACCOUNTS", 1)
    for name in ("alice", "bob"):
        kit.account(name).append("Spam", [NewMessage(OCTETS)])
    kit.job.run()
    kit.job.run()
    kit.pass_days(31)
    kit.job.run()
    assert (kit.held("alice", "Spam"), kit.held("bob", "Spam")) == (0, 1)
    kit.job.run()
    assert kit.held("bob", "Spam") == 0


def test_only_one_process_works_at_a_time(kit: Kit) -> None:
    kit.account("alice").append("Spam", [NewMessage(OCTETS)])
    kit.job.run()
    kit.pass_days(31)
    with (kit.instance.config.paths.run / "upkeep.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        kit.job.run()
        assert kit.held("alice", "Spam") == 1
    kit.job.run()
    assert kit.held("alice", "Spam") == 0


def test_one_broken_mailbox_does_not_stop_the_others(kit: Kit, caplog: pytest.LogCaptureFixture) -> None:
    kit.account("bob").append("Spam", [NewMessage(OCTETS)])
    kit.account("alice").folders()
    kit.job.run()
    kit.pass_days(31)
    (kit.instance.config.paths.mail / "example.test/alice/account.db").write_bytes(b"x" * 8_192)
    kit.job.run()
    assert kit.held("bob", "Spam") == 0
    assert "upkeep of alice@example.test" in caplog.text and "mailbox rebuild" in caplog.text


def test_one_place_that_cannot_be_looked_at_does_not_stop_the_others(
    kit: Kit, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("alice", "bob"):
        kit.account(name).append("Spam", [NewMessage(OCTETS)])
    with kit.instance.writer(now=kit.clock) as writer:
        writer.domains.add("loop.test")
        for name in ("aaron", "abel"):
            writer.accounts.add(f"{name}@loop.test")
        writer.accounts.remove("abel@loop.test")
    loop = kit.instance.config.paths.mail / "loop.test"
    loop.symlink_to(loop)
    quarantined = kit.instance.config.paths.queue_quarantine / "damaged"
    quarantined.parent.mkdir(parents=True, exist_ok=True)
    quarantined.write_bytes(OCTETS)
    kit.job.run()
    kit.pass_days(31)
    kit.job.run()
    assert (kit.held("alice", "Spam"), kit.held("bob", "Spam")) == (0, 0)
    assert not quarantined.exists()
    assert "upkeep of aaron@loop.test" in caplog.text and "abel@loop.test" in caplog.text


def test_lost_notes_keep_things_longer(kit: Kit) -> None:
    change(kit, lambda a: a.remove("bob@example.test"))  # type: ignore[attr-defined]
    kit.account("bob").append("INBOX", [NewMessage(OCTETS)])
    kit.job.run()
    kit.pass_days(29)
    (kit.instance.config.paths.state / "upkeep.json").write_text("{}x")
    kit.job.run()
    kit.pass_days(29)
    kit.job.run()
    assert kit.held("bob", "INBOX") == 1


async def test_it_runs_by_itself(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "FIRST_S", 0.01)
    monkeypatch.setattr(upkeep, "EVERY_S", 0.01)
    runs: list[None] = []
    monkeypatch.setattr(Upkeep, "run", lambda self: runs.append(None))
    task = asyncio.create_task(upkeep.upkeep(kit.context, kit.directory, kit.store))  # type: ignore[arg-type]
    while len(runs) < 3:
        await asyncio.sleep(0.01)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
