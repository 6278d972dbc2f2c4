"""The queue: durable in, claimed once, one end per recipient."""

import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from mailstack.delivery import schema
from mailstack.delivery.entry import LOCAL, QueueMessage, QueueRecipient
from mailstack.delivery.options import QueueOptions
from mailstack.delivery.queue import LeaseLost, Queue
from mailstack.delivery.recover import recover
from mailstack.delivery.rows import destination_of
from mailstack.delivery.schema import DELIVERED, FAILED, RUNNING, WAITING
from mailstack.delivery.spool import Content, Damaged
from mailstack.delivery.upkeep import release
from mailstack.disk.sqlite import open_database
from mailstack.model.errors import TemporaryFailure
from mailstack.model.outcome import Deferred, Delivered, Failed
from mailstack.model.reply import Reply
from tests.kit.queues import ME, MESSAGE, QueueFolders, QueueKit, claim

OK = Delivered("mx.test[192.0.2.1]", "250 ok")
LATER = Deferred(Reply(451, "3.0", "later"))
NO = Failed(Reply(550, "1.1", "no such user"))


# -- in


def test_a_queue_of_an_earlier_version_keeps_its_mail(tmp_path: Path) -> None:
    kit = QueueKit(tmp_path)
    kit.put("b@example.net")
    kit.queue.close()
    before = open_database(kit.paths.queue_db)
    before.execute("ALTER TABLE message DROP COLUMN requiretls")
    before.execute("ALTER TABLE recipient DROP COLUMN original")
    for statement in (
        "DROP TRIGGER recipient_waits",
        "DROP TRIGGER recipient_waits_again",
        "DROP INDEX recipient_lane",
        "DROP TABLE lane",
        "ALTER TABLE recipient DROP COLUMN lane",
        "ALTER TABLE message DROP COLUMN rank",
        "CREATE INDEX recipient_due ON recipient (destination, next_at) WHERE state = 0",
        "DROP TABLE hold",
        "DROP TABLE undelivered",
        "ALTER TABLE recipient DROP COLUMN is_ours",
    ):
        before.execute(statement)
    before.execute("ALTER TABLE message DROP COLUMN origin")
    before.execute("ALTER TABLE message DROP COLUMN origin_domain")
    before.execute("PRAGMA user_version = 1")
    before.close()
    with pytest.raises(TemporaryFailure, match="mailstack migrate"):
        kit.open()
    assert schema.migrate(kit.paths.queue_db, now=kit.clock)
    kit.queue = kit.open()
    (entry,) = kit.claim()
    assert (entry.facts.requiretls, entry.recipients[0].original) == (False, "")
    kit.queue.close()


def test_what_was_queued_is_claimed_with_all_its_facts(kit: QueueKit) -> None:
    recipient = QueueRecipient(
        "B@Example.NET", frozenset({"NEVER"}), "rfc822;B@x", owner="o@x.org", detail="d"
    )
    queue_id = kit.put(
        recipient,
        accept_id="acc",
        kind="forward",
        owner="f@x.org",
        envid="e",
        ret="FULL",
        body="8BITMIME",
        smtputf8=True,
        is_sender_verified=False,
    )
    (entry,) = kit.claim()
    facts, (claimed,) = entry.facts, entry.recipients
    assert (facts.queue_id, facts.accept_id, facts.kind, facts.sender) == (
        queue_id,
        "acc",
        "forward",
        "a@example.org",
    )
    assert (facts.owner, facts.envid, facts.ret, facts.body) == ("f@x.org", "e", "FULL", "8BITMIME")
    assert (facts.smtputf8, facts.is_sender_verified, facts.has_8bit) == (True, False, False)
    assert (claimed.address, claimed.notify, claimed.orcpt) == ("B@Example.NET", {"NEVER"}, "rfc822;B@x")
    assert (claimed.owner, claimed.detail, claimed.position, claimed.tries) == ("o@x.org", "d", 1, 1)
    content = kit.queue.content(facts)
    assert isinstance(content, Content)
    assert content.read() == MESSAGE


def test_ids_given_by_the_caller_are_kept_and_must_be_new_file_names(kit: QueueKit) -> None:
    assert kit.put(queue_id="3xQ7-1") == "3xQ7-1"
    for wrong in ("3xQ7-1", "../x", ".hidden", "a/b", "a" * 121, "a\0"):
        with pytest.raises(ValueError, match="queue id"):
            kit.put(queue_id=wrong)
    assert kit.files() == ["3xQ7-1"]


def test_a_batch_is_queued_whole_or_not_at_all(kit: QueueKit, tmp_path: Path) -> None:
    good = QueueMessage((QueueRecipient("b@example.net"),), data=MESSAGE)
    missing = QueueMessage((QueueRecipient("b@example.net"),), path=str(tmp_path / "missing"))
    with pytest.raises(TemporaryFailure):
        kit.queue.enqueue([good, missing])
    assert kit.files() == []
    assert list(kit.paths.queue_tmp.iterdir()) == []
    assert kit.due() == []


def test_rows_that_are_refused_leave_no_file(kit: QueueKit) -> None:
    kit.put(queue_id="a")
    kit.queue.spool.path("a").rename(kit.paths.queue / "aside")
    with pytest.raises(Exception, match="UNIQUE"):
        kit.put(queue_id="a")
    assert kit.files() == []


def test_a_locked_database_is_a_temporary_failure_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # F35
    from mailstack.disk import sqlite

    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.1)
    monkeypatch.setattr(
        sqlite.open_database, "__kwdefaults__", {**sqlite.open_database.__kwdefaults__, "timeout_s": 0.1}
    )
    kit = QueueKit(tmp_path)
    blocker = sqlite.open_database(kit.paths.queue_db)
    blocker.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(TemporaryFailure):
            kit.put()
        assert kit.files() == []
    finally:
        blocker.close()
    assert kit.put()
    kit.queue.close()


@pytest.mark.parametrize("is_done", [True, False], ids=["found done", "found undone"])
def test_files_stay_when_nobody_knows_whether_the_commit_is_on_the_disk(
    kit: QueueKit, monkeypatch: pytest.MonkeyPatch, is_done: bool
) -> None:
    # F19: after EIO at the fdatasync of the -wal the next start may find the frames, and the rows count.
    first = kit.put("a@one.test")
    (entry,) = kit.claim("one.test")
    write = kit.queue.write

    def broken(work: Callable[[sqlite3.Connection], object]) -> object:
        if is_done:
            write(work)
        raise TemporaryFailure("writing queue.db: the disk reports an error", fatal=True)

    report = QueueMessage((QueueRecipient("s@two.test"),), queue_id="report", data=MESSAGE, kind="dsn")
    with monkeypatch.context() as patched:
        patched.setattr(kit.queue, "write", broken)
        with pytest.raises(TemporaryFailure):
            kit.finish(entry, Failed(Reply(550, "1.1", "no")), reports=[report])
    kit.clock.advance(3_700)
    for name in kit.files():
        os.utime(kit.queue.spool.path(name), (kit.clock.time - 3_650,) * 2)
    release(kit.queue, ME, now=kit.clock.time)
    recover(kit.queue, check_all=True)
    # Whatever came of the COMMIT: the sender is told, and nothing is without its octets.
    assert kit.files() == ["report"] if is_done else [first, "report"]
    (told,) = kit.claim("two.test")
    assert not isinstance(kit.queue.content(told.facts), Damaged)


def test_a_missing_old_or_broken_database_is_refused_in_words(tmp_path: Path) -> None:
    # F23: refuses to start with a clear text
    kit = QueueKit(tmp_path)
    kit.queue.close()
    kit.paths.queue_db.write_bytes(b"this is not a database" * 1000)
    with pytest.raises(TemporaryFailure, match="not a database"):
        kit.open()
    empty = QueueFolders(tmp_path / "other")
    empty.queue.mkdir()
    with pytest.raises(TemporaryFailure, match="mailstack migrate"):
        Queue(empty, now=kit.clock, random_bytes=kit.random_bytes)


def test_a_full_queue_refuses_accounts_that_fill_it_and_no_others(tmp_path: Path) -> None:
    kit = QueueKit(tmp_path, options=QueueOptions(max_messages=3, max_messages_per_account=2))
    kit.put(owner="a@x.org")
    kit.put(owner="a@x.org")
    assert kit.queue.room_for("a@x.org") is None
    kit.put(owner="b@x.org")
    reply = kit.queue.room_for("a@x.org")
    assert reply is not None
    assert str(reply).startswith("452 4.3.1 ")
    assert kit.queue.room_for("b@x.org") is None
    kit.queue.close()


def test_large_messages_fill_a_queue_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A fifth of the disk; what is sent from there frees it again.
    kit = QueueKit(tmp_path, options=QueueOptions(max_messages_per_account=1))
    kit.put(owner="a@x.org")
    assert kit.queue.room_for("a@x.org") is None
    disk = SimpleNamespace(f_blocks=len(MESSAGE) * 5 - 5, f_frsize=1)
    monkeypatch.setattr("mailstack.delivery.queue.os.statvfs", lambda path: disk)
    assert kit.queue.room_for("a@x.org") is not None
    assert kit.queue.room_for("b@x.org") is None
    (entry,) = kit.claim()
    kit.finish(entry, OK)
    kit.put(owner="b@x.org", data=b"\r\n")
    kit.clock.advance(11)
    assert kit.queue.room_for("a@x.org") is None
    kit.queue.close()


@pytest.mark.parametrize(
    ("address", "destination"),
    [
        ("a@Example.ORG", "example.org"),
        ("a@münchen.example", "xn--mnchen-3ya.example"),
        ("a@[192.0.2.1]", "[192.0.2.1]"),
        ("nonsense", "nonsense"),
    ],
)
def test_recipients_are_grouped_by_their_canonical_domain(address: str, destination: str) -> None:
    assert destination_of(address) == destination


# -- claiming


def test_an_attempt_is_committed_with_its_next_time_before_it_starts(kit: QueueKit) -> None:
    # P5
    queue_id = kit.put()
    (entry,) = kit.claim()
    state, tries, next_at, owner = kit.queue.read(
        "SELECT state, tries, next_at, lease_owner FROM recipient WHERE message = ?", (queue_id,)
    )[0]
    assert (state, tries, owner) == (RUNNING, 1, ME)
    assert next_at == entry.recipients[0].next_at == kit.clock.time + 300


def test_nothing_is_claimed_twice_or_early(kit: QueueKit) -> None:
    kit.put()
    (entry,) = kit.claim()
    assert kit.claim() == []
    kit.finish(entry, LATER)
    kit.clock.advance(299)
    assert kit.claim() == []
    kit.clock.advance(1)
    (again,) = kit.claim()
    assert again.recipients[0].tries == 2
    assert again.recipients[0].waited_s == 300
    assert again.recipients[0].next_at == kit.clock.time + 600


def test_two_processes_never_take_the_same_recipient(kit: QueueKit) -> None:
    # Q20
    for _ in range(60):
        kit.put()
    other = kit.open()
    taken: list[str] = []

    def take(queue: Queue) -> None:
        while entries := claim(queue, {"example.net": 1}, str(id(queue))):
            taken.extend(entry.facts.queue_id for entry in entries)

    threads = [threading.Thread(target=take, args=(queue,)) for queue in (kit.queue, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert len(taken) == len(set(taken)) == 60


def test_recipients_of_one_domain_travel_together_up_to_fifty(kit: QueueKit) -> None:
    kit.put(*(f"u{n}@example.net" for n in range(70)), "x@example.com")
    first = kit.claim()
    second = kit.claim()
    (other,) = kit.claim("example.com")
    assert [len(entry.recipients) for entry in first + second] == [50, 20]
    assert [r.address for r in other.recipients] == ["x@example.com"]


def test_local_recipients_are_taken_one_by_one(kit: QueueKit) -> None:
    kit.put(QueueRecipient("a@x.org", kind="local"), QueueRecipient("b@x.org", kind="local"))
    assert [len(e.recipients) for e in kit.claim(LOCAL) + kit.claim(LOCAL)] == [1, 1]


def test_no_more_messages_are_taken_than_asked_for_and_the_oldest_first(kit: QueueKit) -> None:
    ids = []
    for _ in range(5):
        ids.append(kit.put())
        kit.clock.advance(1)
    assert [entry.facts.queue_id for entry in kit.claim(count=3)] == ids[:3]
    assert [entry.facts.queue_id for entry in kit.claim(count=3)] == ids[3:]


def test_due_names_every_destination_with_its_first_time(kit: QueueKit) -> None:
    start = kit.clock.time
    kit.put("a@one.test", "b@two.test")
    kit.clock.advance(5)
    kit.put("c@one.test", "d@three.test", QueueRecipient("l@x.org", kind="local"))
    assert {(name, at - start) for name, at in kit.due()} == {
        ("one.test", 0),
        ("two.test", 0),
        ("three.test", 5),
        (LOCAL, 5),
    }
    kit.claim("one.test")
    assert "one.test" not in {name for name, _ in kit.due()}


# -- outcomes


def test_a_message_and_its_file_are_gone_after_the_last_end_state(kit: QueueKit) -> None:
    queue_id = kit.put("a@example.net", "b@example.net", "c@example.com")
    (entry,) = kit.claim()
    kit.finish(entry, [OK, NO])
    assert kit.states(queue_id) == [DELIVERED, FAILED, WAITING]
    assert kit.files() == [queue_id]
    (entry,) = kit.claim("example.com")
    kit.finish(entry, OK)
    assert kit.states(queue_id) == []
    assert kit.files() == []


def test_an_outcome_without_its_lease_changes_nothing(kit: QueueKit) -> None:
    # Q20, Q21: somebody else took it over meanwhile
    queue_id = kit.put("a@example.net", "b@example.net")
    (entry,) = kit.claim()
    kit.queue.write(
        lambda c: c.execute("UPDATE recipient SET lease_owner = 'other' WHERE position = 2").rowcount
    )
    with pytest.raises(LeaseLost):
        kit.finish(entry, OK, reports=[QueueMessage((QueueRecipient("a@example.org"),), data=MESSAGE)])
    assert kit.states(queue_id) == [RUNNING, RUNNING]
    assert kit.files() == [queue_id]


def test_an_outcome_is_taken_once(kit: QueueKit) -> None:
    kit.put("a@example.net", "b@example.com")
    (entry,) = kit.claim()
    kit.finish(entry, OK)
    with pytest.raises(LeaseLost):
        kit.finish(entry, NO)


def test_reports_are_queued_with_the_outcome_that_causes_them(kit: QueueKit) -> None:
    queue_id = kit.put()
    (entry,) = kit.claim()
    report = QueueMessage((QueueRecipient("a@example.org"),), data=b"Subject: no\r\n\r\n", kind="dsn")
    (report_id,) = kit.finish(entry, NO, reports=[report])
    assert kit.files() == [report_id]
    (entry,) = kit.claim("example.org")
    assert (entry.facts.queue_id, entry.facts.kind, entry.facts.sender) == (report_id, "dsn", "")
    assert report_id != queue_id


def test_the_far_servers_words_are_kept_but_not_without_end(kit: QueueKit) -> None:
    kit.put()
    (entry,) = kit.claim()
    kit.finish(entry, Deferred(Reply(451, "7.1", "x" * 5000)))
    (found,) = kit.queue.read("SELECT code, status, length(reply), host FROM recipient")
    assert found == (451, "7.1", 1000, "mx.test[192.0.2.1]")


def test_the_last_attempt_is_made_at_the_give_up_time(kit: QueueKit) -> None:
    kit.put()
    tries = 0
    while True:
        (entry,) = kit.claim()
        tries += 1
        if entry.recipients[0].is_last:
            break
        kit.finish(entry, LATER)
        kit.clock.time = entry.recipients[0].next_at
    assert entry.recipients[0].waited_s == pytest.approx(432_000)
    assert 105 < tries < 120


def test_a_clock_ten_years_ahead_bounces_nothing(kit: QueueKit) -> None:
    # F28
    kit.put()
    (entry,) = kit.claim()
    kit.finish(entry, LATER)
    kit.clock.advance(10 * 365 * 86_400)
    (entry,) = kit.claim()
    assert not entry.recipients[0].is_last
    assert entry.recipients[0].waited_s < 6_000


def test_the_schema_is_made_once_and_remembers_when(tmp_path: Path) -> None:
    assert schema.migrate(tmp_path / "queue.db", now=lambda: 5.0)
    assert not schema.migrate(tmp_path / "queue.db", now=lambda: 6.0)
