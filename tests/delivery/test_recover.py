"""Files and rows put together again."""

import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from mailstack.delivery import recover as recovering
from mailstack.delivery import schema, upkeep
from mailstack.delivery.entry import QueueRecipient
from mailstack.delivery.queue import Queue
from mailstack.delivery.recover import recover
from mailstack.delivery.schema import HELD, RUNNING, WAITING
from mailstack.delivery.spool import Content, Damaged
from mailstack.model.errors import TemporaryFailure
from mailstack.model.outcome import Delivered
from tests.kit.queues import MESSAGE, QueueFolders, QueueKit

OK = Delivered("mx", "ok")


def orphan(kit: QueueKit, *, age_s: float) -> str:
    """A file whose rows were never committed."""
    queue_id = kit.put()
    kit.queue.write(lambda c: c.execute("DELETE FROM message WHERE id = ?", (queue_id,)).rowcount)
    path = kit.queue.spool.path(queue_id)
    os.utime(path, (kit.clock.time - age_s,) * 2)
    return queue_id


def test_a_sound_queue_has_no_findings(kit: QueueKit) -> None:
    kit.put()
    kit.put("a@one.test", QueueRecipient("l@x.org", kind="local"))
    assert recover(kit.queue, check_all=True) == []


# -- files without rows


def test_a_young_file_without_row_may_still_get_one(kit: QueueKit) -> None:
    kit.clock.advance(10)
    queue_id = orphan(kit, age_s=60)
    assert recover(kit.queue) == []
    assert kit.files() == [queue_id]


def test_an_old_whole_file_without_row_is_queued_again_and_reported(kit: QueueKit) -> None:
    kit.clock.advance(10)
    queue_id = orphan(kit, age_s=3_700)
    (finding,) = recover(kit.queue)
    assert (finding.name, finding.action, finding.is_alarm) == (queue_id, "recovered", True)
    (entry,) = kit.claim()
    assert entry.facts.queue_id == queue_id
    assert recover(kit.queue) == []


def test_an_old_file_that_is_not_whole_goes_to_quarantine_and_is_reported(kit: QueueKit) -> None:
    kit.clock.advance(10)
    queue_id = orphan(kit, age_s=0)
    path = kit.queue.spool.path(queue_id)
    path.write_bytes(path.read_bytes()[:-10])
    os.utime(path, (kit.clock.time - 3_700,) * 2)
    (finding,) = recover(kit.queue)
    assert (finding.name, finding.action, finding.is_alarm) == (queue_id, "quarantined", True)
    assert kit.files() == []
    assert [p.name for p in kit.paths.queue_quarantine.iterdir()] == [queue_id]
    assert kit.due() == []
    assert recover(kit.queue) == []


def test_a_finished_file_that_cannot_be_removed_is_not_sent_again_when_its_note_is_old(
    kit: QueueKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit.put()
    (entry,) = kit.claim()
    monkeypatch.setattr(kit.queue.spool, "remove", lambda ids: None)
    kit.finish(entry, OK)
    for _ in range(3):
        kit.clock.advance(upkeep.FINISHED_S - 60)
        assert [f.action for f in recover(kit.queue)] == ["removed"]
        upkeep.purge(kit.queue, kit.paths, now=kit.clock.time)
    monkeypatch.undo()
    assert [f.action for f in recover(kit.queue)] == ["removed"]
    assert kit.files() == []
    assert kit.due() == []


# -- the database damaged, lost or rolled back (F23, F40)


def cut(database: Path, octets: int) -> None:
    with database.open("r+b") as file:
        file.truncate(octets)


def flip(database: Path) -> None:
    """Every page but the first with another type and free list."""
    octets = bytearray(database.read_bytes())
    for page in range(4_096, len(octets), 4_096):
        octets[page : page + 4] = b"\x41\x41\x41\x41"
    database.write_bytes(octets)


def remove(database: Path, *endings: str) -> None:
    for ending in endings:
        database.with_name(database.name + ending).unlink()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda database: cut(database, 0),
    "half": lambda database: cut(database, 20_000),
    "one page": lambda database: cut(database, 4_096),
    "flipped": flip,
    "gone": lambda database: remove(database, "", "-wal", "-shm"),
    "no wal": lambda database: remove(database, "-wal"),
    "no shm": lambda database: remove(database, "-shm"),
    "neither": lambda database: remove(database, "-wal", "-shm"),
    "garbage": lambda database: database.write_bytes(random.Random(7).randbytes(50_000)),
}


@pytest.mark.parametrize("checkpointed", [0, 20])
@pytest.mark.parametrize("damage", DAMAGES)
def test_every_message_of_a_damaged_database_is_still_sent(
    kit: QueueKit, damage: str, checkpointed: int
) -> None:
    # F23; the copy is what kill -9 leaves: rows in the -wal
    sent = []
    for number in range(30):
        sent.append(kit.put(f"a{number}@one.test", "b@one.test"))
        if number + 1 == checkpointed:
            with closing(sqlite3.connect(kit.paths.queue_db)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    copy = QueueFolders(kit.folder / "copy")
    shutil.copytree(kit.paths.queue, copy.queue)
    DAMAGES[damage](copy.queue_db)
    kit.clock.advance(60)
    try:
        recovering.check_database(copy)
    except TemporaryFailure as error:
        assert "queue verify --repair" in error.why
        assert damage in ("half", "one page", "flipped", "gone", "garbage")
        # What that command does.
        recovering.set_database_aside(copy, now=kit.clock.time)
    schema.migrate(copy.queue_db, now=kit.clock)
    queue = Queue(copy, now=kit.clock, random_bytes=kit.random_bytes)
    recover(queue)
    for path in copy.queue_messages.iterdir():
        os.utime(path, (kit.clock.time - 4_000,) * 2)  # an hour goes by
    recover(queue)
    assert {name for (name,) in queue.read("SELECT message FROM recipient WHERE state = 0")} == set(sent)
    assert list(copy.queue_quarantine.glob("[!q]*")) == []
    queue.close()


def test_the_database_of_yesterday_over_the_files_of_today_loses_nothing(kit: QueueKit) -> None:
    # F40: what was done since is held and shown, what came since is sent.
    done, waits = kit.put("a@one.test"), kit.put("b@two.test")
    yesterday = kit.folder / "queue.db"
    with closing(sqlite3.connect(kit.paths.queue_db)) as connection:
        connection.execute("VACUUM INTO ?", (str(yesterday),))
    (entry,) = kit.claim("one.test")
    kit.finish(entry, OK)
    kit.clock.advance(86_400)
    new = kit.put("c@three.test")
    kit.queue.close()
    for path in kit.paths.queue.glob("queue.db*"):
        path.unlink()
    shutil.copy(yesterday, kit.paths.queue_db)
    kit.queue = kit.open()
    os.utime(kit.queue.spool.path(new), (kit.clock.time - 4_000,) * 2)
    reported = recover(kit.queue, check_all=True, repair=False)
    assert {(f.name, f.action) for f in reported} == {(done, "reported"), (new, "reported")}
    findings = recover(kit.queue)
    assert {(f.name, f.action) for f in findings} == {(done, "quarantined"), (new, "recovered")}
    assert all(finding.is_alarm for finding in findings)
    assert kit.states(done) == [HELD]
    assert [kit.states(queue_id) for queue_id in (waits, new)] == [[WAITING], [WAITING]]


# -- files that cannot be read (F20)


def test_one_file_that_cannot_be_read_does_not_keep_the_others_from_being_looked_at(
    kit: QueueKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, changed = kit.put(), kit.put()
    path = kit.queue.spool.path(changed)
    path.write_bytes(path.read_bytes().replace(b"Hello", b"HELLO"))
    whole = kit.queue.spool.open

    def opened(queue_id: str, size_octets: int, sha256: str) -> Content | Damaged:
        if queue_id == broken:
            raise TemporaryFailure(f"the file {queue_id} cannot be read: Input/output error")
        return whole(queue_id, size_octets, sha256)

    monkeypatch.setattr(kit.queue.spool, "open", opened)
    findings = {f.name: f.action for f in recover(kit.queue, check_all=True)}
    assert findings == {broken: "reported", changed: "quarantined"}
    assert kit.states(broken) == [WAITING]


def test_a_file_whose_message_is_done_is_only_removed(kit: QueueKit) -> None:
    # Killed between the commit of the last outcome and the unlink: delivering again would double it.
    queue_id = kit.put()
    (entry,) = kit.claim()
    octets = kit.queue.spool.path(queue_id).read_bytes()
    kit.finish(entry, OK)
    kit.queue.spool.path(queue_id).write_bytes(octets)
    os.utime(kit.queue.spool.path(queue_id), (0, 0))
    (finding,) = recover(kit.queue)
    assert (finding.action, finding.is_alarm) == ("removed", False)
    assert kit.files() == []
    assert kit.due() == []


def test_files_older_than_the_database_get_their_rows_back(kit: QueueKit) -> None:
    # F23: queue rows recovered from the trailers of the spool files
    first = kit.put("a@one.test", QueueRecipient("l@x.org", kind="local", detail="d"), accept_id="acc")
    second = kit.put("b@two.test", kind="forward", owner="o@x.org")
    kit.queue.close()
    kit.clock.advance(60)
    aside = recovering.set_database_aside(kit.paths, now=kit.clock.time)
    assert aside is not None
    kit.queue = kit.open()
    findings = recover(kit.queue)
    assert {(f.name, f.action) for f in findings} == {(first, "recovered"), (second, "recovered")}
    (entry,) = kit.claim("one.test")
    assert (entry.facts.queue_id, entry.facts.accept_id) == (first, "acc")
    (entry,) = kit.claim("two.test")
    assert (entry.facts.kind, entry.facts.owner) == ("forward", "o@x.org")
    assert recover(kit.queue, check_all=True) == []


def test_a_broken_database_is_set_aside_with_its_log(kit: QueueKit) -> None:
    queue_id = kit.put()
    kit.queue.close()
    kit.paths.queue_db.write_bytes(b"\0" * 4096)
    kit.clock.advance(60)
    with pytest.raises(TemporaryFailure):
        kit.open()
    aside = recovering.set_database_aside(kit.paths, now=kit.clock.time)
    assert aside is not None
    assert aside.parent == kit.paths.queue_quarantine
    kit.queue = kit.open()
    assert [f.action for f in recover(kit.queue)] == ["recovered"]
    assert kit.files() == [queue_id]


def test_a_cut_file_of_a_lost_database_is_never_delivered(kit: QueueKit) -> None:
    queue_id = kit.put()
    kit.queue.close()
    path = kit.queue.spool.path(queue_id)
    path.write_bytes(path.read_bytes()[:-1])
    os.utime(path, (kit.clock.time - 7_200,) * 2)
    kit.clock.advance(60)
    recovering.set_database_aside(kit.paths, now=kit.clock.time)
    kit.queue = kit.open()
    (finding,) = recover(kit.queue)
    assert finding.action == "quarantined"
    assert "not written to its end" in finding.what
    assert kit.due() == []


def test_an_operator_may_adopt_whole_files_without_rows(kit: QueueKit) -> None:
    kit.clock.advance(10)
    queue_id = orphan(kit, age_s=10)
    (finding,) = recover(kit.queue, adopt=True)
    assert (finding.name, finding.action) == (queue_id, "recovered")
    (entry,) = kit.claim()
    assert entry.facts.queue_id == queue_id


def test_without_repair_nothing_is_touched(kit: QueueKit) -> None:
    # F40: lists, asks, never deletes
    kit.clock.advance(10)
    old = orphan(kit, age_s=7_200)
    lost = kit.put()
    kit.queue.spool.path(lost).unlink()
    findings = recover(kit.queue, check_all=True, repair=False)
    assert {(f.name, f.action) for f in findings} == {(old, "reported"), (lost, "reported")}
    assert kit.files() == [old]
    assert kit.claim()


# -- rows without files


def test_a_row_without_file_is_held_and_stays_visible(kit: QueueKit) -> None:
    # Q19
    queue_id = kit.put()
    kit.queue.spool.path(queue_id).unlink()
    (finding,) = recover(kit.queue)
    assert (finding.name, finding.action, finding.is_alarm) == (queue_id, "quarantined", True)
    assert kit.states(queue_id) == [HELD]
    assert kit.claim() == []


def test_a_changed_file_is_isolated(kit: QueueKit) -> None:
    queue_id = kit.put()
    path = kit.queue.spool.path(queue_id)
    path.write_bytes(path.read_bytes().replace(b"Hello", b"HELLO"))
    assert recover(kit.queue) == []
    (finding,) = recover(kit.queue, check_all=True)
    assert "changed" in finding.what
    assert kit.states(queue_id) == [HELD]
    assert [p.name for p in kit.paths.queue_quarantine.iterdir()] == [queue_id]


def test_damage_found_by_an_attempt_ends_it_and_spares_the_others(kit: QueueKit) -> None:
    queue_id = kit.put("a@one.test", "b@two.test", "c@three.test")
    (other,) = kit.claim("one.test")
    (finder,) = kit.claim("two.test")
    kit.queue.spool.path(queue_id).unlink()
    found = kit.queue.content(finder.facts)
    assert isinstance(found, Damaged)
    assert recovering.mark_damaged(kit.queue, queue_id, found.why, claimed=[r.row for r in finder.recipients])
    assert kit.states(queue_id) == [RUNNING, HELD, HELD]
    kit.finish(other, OK)
    assert not recovering.mark_damaged(kit.queue, "unknown", "why")


def test_what_lies_in_quarantine_is_listed(kit: QueueKit) -> None:
    (kit.paths.queue_quarantine / "x").write_bytes(MESSAGE)
    (finding,) = recovering.quarantined(kit.paths)
    assert finding.name == "x"
