"""mailstack queue."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from mailstack.delivery import holds
from mailstack.delivery.entry import QueueMessage, QueueRecipient
from mailstack.delivery.queue import Queue
from tests.kit.instance import Instance
from tests.kit.queues import MESSAGE


@pytest.fixture
def queue(instance: Instance) -> Iterator[Queue]:
    opened = Queue(instance.config.paths, now=time.time, random_bytes=os.urandom)
    yield opened
    opened.close()


def put(queue: Queue, *recipients: str, owner: str = "alice@example.test") -> str:
    made = tuple(QueueRecipient(r) for r in recipients or ("b@example.net",))
    return queue.enqueue([QueueMessage(made, sender=owner, data=MESSAGE, owner=owner)])[0]


def test_an_empty_queue_says_so(instance: Instance) -> None:
    assert instance.cli("queue", "list").out == "the queue is empty\n"
    assert instance.cli("queue", "list", "--json").json == []


def test_the_list_names_what_waits(instance: Instance, queue: Queue) -> None:
    queue_id = put(queue, "b@example.net", "c@example.net")
    (row,) = instance.cli("queue", "list", "--json").json
    assert (row["id"], row["state"], row["sender"]) == (queue_id, "waiting", "alice@example.test")
    assert [r["address"] for r in row["recipients"]] == ["b@example.net", "c@example.net"]
    assert row["created"].endswith("Z")
    text = instance.cli("queue", "list").out
    assert queue_id in text
    assert "b@example.net, c@example.net" in text


def test_the_list_can_be_of_one_address(instance: Instance, queue: Queue) -> None:
    put(queue)
    mine = put(queue, owner="bob@example.test")
    assert [r["id"] for r in instance.cli("queue", "list", "--owner", "Bob@Example.test", "--json").json] == [
        mine
    ]


def test_one_message_is_shown_with_its_header(instance: Instance, queue: Queue) -> None:
    queue_id = put(queue)
    shown = instance.cli("queue", "show", queue_id, "--json").json
    assert shown["id"] == queue_id
    assert "Subject: hello\n" in shown["header"]
    assert "Hello." not in shown["header"]
    assert "Subject: hello" in instance.cli("queue", "show", queue_id).out
    assert instance.cli("queue", "show", "none").code == 65


def test_messages_are_held_released_retried_and_removed(instance: Instance, queue: Queue) -> None:
    queue_id, other = put(queue), put(queue)

    def states() -> dict[str, str]:
        return {row["id"]: row["state"] for row in instance.cli("queue", "list", "--json").json}

    assert instance.cli("queue", "hold", queue_id, "--json").json == {"messages": 1}
    assert states() == {queue_id: "held", other: "waiting"}
    assert instance.cli("queue", "retry", "--all", "--json").json == {"recipients": 1}
    released = instance.cli("queue", "release", "--all")
    assert (released.out, released.err) == ("", "1 message is released\n")
    assert states() == {queue_id: "waiting", other: "waiting"}
    assert instance.cli("queue", "remove", queue_id).code == 0
    assert states() == {other: "waiting"}
    assert instance.cli("queue", "hold", "--owner", "alice@example.test", "--json").json == {"messages": 1}


@pytest.mark.parametrize("words", [(), ("x", "--all"), ("--all", "--owner", "a@b.org")])
def test_which_messages_must_be_clear(instance: Instance, words: tuple[str, ...]) -> None:
    assert instance.cli("queue", "remove", *words).code == 64
    assert instance.cli("queue", "remove", "unknown").code == 65


def test_verify_reports_and_mends(instance: Instance, queue: Queue) -> None:
    assert instance.cli("queue", "verify").out == "the queue is sound\n"
    queue_id = put(queue)
    queue.spool.path(queue_id).unlink()
    found = instance.cli("queue", "verify", "--json")
    assert found.code == 65
    assert [(f["name"], f["action"]) for f in found.json] == [(queue_id, "reported")]
    assert instance.cli("queue", "verify", "--repair").code == 0
    assert [row["state"] for row in instance.cli("queue", "list", "--json").json] == ["damaged"]


def test_a_broken_database_is_made_again_from_the_files(instance: Instance, queue: Queue) -> None:
    # F23
    queue_id = put(queue)
    queue.close()
    path = instance.config.paths.queue_db
    path.with_name("queue.db-wal").unlink(missing_ok=True)
    path.write_bytes(b"not a database at all" * 500)
    refused = instance.cli("queue", "list")
    assert refused.code == 75 and "run 'mailstack queue verify --repair'" in refused.err
    time.sleep(0.01)
    mended = instance.cli("queue", "verify", "--repair", "--json")
    assert mended.code == 0
    assert {f["action"] for f in mended.json if f["name"] in (queue_id, "queue.db")} == {"recovered"}
    assert [row["id"] for row in instance.cli("queue", "list", "--json").json] == [queue_id]


def test_what_a_far_server_said_cannot_touch_the_terminal(instance: Instance, queue: Queue) -> None:
    put(queue)
    queue.write(
        lambda c: c.execute("UPDATE recipient SET reply = ?, code = 450", ("\x1b[31mred\x07",)).rowcount
    )
    for words in (("queue", "list"), ("queue", "show", queue.read("SELECT id FROM message")[0][0])):
        shown = instance.cli(*map(str, words)).out
        assert "\x1b" not in shown and r"450 \x1b[31mred\x07" in shown


def test_the_list_has_room_for_a_part_of_what_a_far_server_said(instance: Instance, queue: Queue) -> None:
    queue_id = put(queue)
    said = ("come again, the cat sleeps on the disk; " * 20).strip()
    queue.write(
        lambda c: (
            c.execute(
                "UPDATE recipient SET reply = ?, code = 450, status = '3.1', host = 'mx.far.test'", (said,)
            ).rowcount
        )
    )
    line = instance.cli("queue", "list").out.splitlines()[1]
    part = line[line.index("mx.far.test: 450 4.3.1 come again, the cat sleeps") :]
    assert len(part) == 100 and part.endswith("...")
    assert said in instance.cli("queue", "show", queue_id).out


def test_senders_and_domains_are_held_with_a_reason_and_released(instance: Instance, queue: Queue) -> None:
    queue_id = put(queue)
    held = instance.cli("queue", "hold", "--sender", "Alice@example.test", "--reason", "was stolen", "--json")
    assert held.json == {"messages": 1}
    (row,) = instance.cli("queue", "holds", "--json").json
    assert (row["scope"], row["name"], row["reason"]) == ("sender", "alice@example.test", "was stolen")
    assert "was stolen" in instance.cli("queue", "holds").out
    (shown,) = instance.cli("queue", "show", queue_id, "--json").json["recipients"]
    assert shown["state"] == "held"
    assert "was stolen" in shown["outlook"]
    later = put(queue)
    assert instance.cli("queue", "release", "--sender", "alice@example.test", "--json").json == {
        "messages": 2
    }
    states = {row["id"]: row["state"] for row in instance.cli("queue", "list", "--json").json}
    assert states == {queue_id: "waiting", later: "waiting"}
    assert instance.cli("queue", "holds").out == "nothing is held but single messages\n"


def test_what_a_hold_covers_is_purged(instance: Instance, queue: Queue) -> None:
    put(queue, "b@bad.test")
    put(queue, "b@good.test")
    instance.cli("queue", "hold", "--destination", "bad.test")
    assert instance.cli("queue", "purge", "--destination", "bad.test", "--json").json == {"messages": 1}
    assert len(instance.cli("queue", "list", "--json").json) == 1
    assert instance.cli("queue", "purge", "--destination", "good.test").code == 65


@pytest.mark.parametrize(
    "words",
    [
        ("hold", "--sender", "a@x.test", "--destination", "x.test"),
        ("hold", "id", "--sender", "a@x.test"),
        ("release", "--all", "--sender", "a@x.test"),
        ("purge",),
        ("hold", "id", "--reason", "lost otherwise"),
    ],
)
def test_a_hold_is_of_one_thing(instance: Instance, words: tuple[str, ...]) -> None:
    assert instance.cli("queue", *words).code == os.EX_USAGE


def test_a_bounce_is_a_last_attempt(instance: Instance, queue: Queue) -> None:
    assert instance.cli("queue", "bounce", put(queue), "--json").json == {"recipients": 1}


def test_the_summary_counts_by_destination(instance: Instance, queue: Queue) -> None:
    put(queue, "a@big.test", "b@big.test", "c@small.test")
    found = instance.cli("queue", "summary", "--json").json
    assert found["messages"] == 1
    assert [(d["destination"], d["waiting"]) for d in found["destinations"]] == [
        ("big.test", 2),
        ("small.test", 1),
    ]
    assert "big.test" in instance.cli("queue", "summary").out


def test_a_long_list_says_that_there_is_more(instance: Instance, queue: Queue) -> None:
    for _ in range(3):
        put(queue)
    shown = instance.cli("queue", "list", "--limit", "2", "--json")
    assert len(shown.json) == 2
    assert "1 more" in shown.err
    assert len(instance.cli("queue", "list", "--limit", "0", "--json").json) == 3


def test_what_stays_held_is_said(instance: Instance, queue: Queue) -> None:
    queue_id = put(queue)
    instance.cli("queue", "hold", "--sender", "alice@example.test")
    for words, count in (("retry", "0 recipients are tried now"), ("bounce", "0 recipients are tried for")):
        said = instance.cli("queue", words, queue_id).err
        assert count in said
        assert "1 message is still held; 'mailstack queue list' says by what" in said
    instance.cli("queue", "hold", queue_id)
    assert "1 message is released\n1 message is still held" in instance.cli("queue", "release", queue_id).err
    instance.cli("queue", "release", "--sender", "alice@example.test")
    assert instance.cli("queue", "bounce", queue_id).err == "1 recipient is tried for the last time\n"


def test_what_an_operator_takes_out_stands_in_the_mail_log(instance: Instance, queue: Queue) -> None:
    removed, purged = put(queue), put(queue, "b@bad.test", "b@good.test")
    instance.cli("queue", "remove", removed)
    instance.cli("queue", "hold", "--destination", "bad.test")
    instance.cli("queue", "purge", "--destination", "bad.test")
    for queue_id, recipient in ((removed, "b@example.net"), (purged, "b@bad.test")):
        (event,) = instance.cli("log", "explain", queue_id, "--json").json
        assert (event["event"], event["fields"]["to"]) == ("removed", recipient)
        assert f"not sent to {recipient}; nobody was told" in event["words"]
    assert len(instance.cli("log", "show", "alice@example.test", "--json").json) == 2


def test_a_hold_of_containment_ends_with_the_account(instance: Instance, queue: Queue) -> None:
    put(queue)
    holds.hold(queue, "sender", "alice@example.test", reason="was stolen", who=holds.CONTAINMENT)
    (row,) = instance.cli("queue", "holds", "--json").json
    assert row["ended_by"] == "mailstack user release alice@example.test"
    assert "until 'mailstack user release alice@example.test'" in instance.cli("queue", "list").out
