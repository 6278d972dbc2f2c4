"""What scripts decide beside the storing: answers once, limits, failures told, edited copies."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from mailstack.delivery.local import load_retry
from mailstack.model.errors import TemporaryFailure
from mailstack.model.verdict import (
    Claim,
    Edited,
    FileInto,
    Keep,
    MessageVerdict,
    Redirect,
    RejectMail,
    ScriptFailed,
    SendMail,
)
from mailstack.state import statedb
from tests.kit.transaction_world import LETTER, VERIFIED, World

ANSWER = SendMail(
    "", ("x@far.test",), b"Subject: away\r\n\r\nBye\r\n", claim=Claim("id", "x@far.test", 604_800.0, "h")
)
PING = SendMail("", ("phone@far.test",), b"Subject: ping\r\n\r\n\r\n", "notify")


def files(world: World) -> list[bytes]:
    """What lies in the queue, with what was put in front."""
    folder = world.services.config.paths.queue_messages
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


async def send(world: World, *to: str, n: int = 1) -> str:
    reply = await world.send(*to, accept_id=f"{n:017d}")
    return str(reply.code)


async def test_an_answer_leaves_once(world: World) -> None:
    world.filter.actions["bob"] = (Keep(), ANSWER)
    for n in range(3):
        assert await send(world, "bob@example.test", n=n) == "250"
    assert world.queued() == {"vacation": ("", ["x@far.test"])}
    assert len(world.mail.held("bob")) == 3
    assert world.lines.getvalue().count("has been answered already") == 2


async def test_no_answer_leaves_while_nobody_can_take_note(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:  # V15
    monkeypatch.setattr(statedb, "BUSY_TIMEOUT_S", 0.05)
    world.filter.actions["bob"] = (Keep(), ANSWER)
    other = sqlite3.connect(world.services.config.paths.state_db, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert await send(world, "bob@example.test") == "250"
    other.execute("ROLLBACK")
    other.close()
    assert world.queued() == {}
    assert len(world.mail.held("bob")) == 1


async def test_an_answer_that_could_not_be_queued_is_given_next_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.filter.actions["bob"] = (Keep(), ANSWER)
    with monkeypatch.context() as patch:

        def broken(*arguments: object) -> None:
            raise OSError("no space")

        patch.setattr(world.queue, "enqueue", broken)
        with pytest.raises(OSError, match="no space"):
            await send(world, "bob@example.test")
    assert await send(world, "bob@example.test", n=2) == "250"
    assert "vacation" in world.queued()


async def test_an_answer_to_somebody_here_goes_into_the_mailbox(world: World) -> None:
    local = msgspec.structs.replace(ANSWER, recipients=("alice@example.test",))
    world.filter.actions["bob"] = (Keep(), local)
    await send(world, "bob@example.test")
    (row,) = world.queue.read("SELECT kind, address FROM recipient")
    assert tuple(row) == ("local", "alice@example.test")


async def test_a_copy_of_an_answer_is_stored(world: World) -> None:
    world.filter.actions["bob"] = (Keep(), msgspec.structs.replace(ANSWER, copy=FileInto("Sent")))
    await send(world, "bob@example.test")
    assert world.mail.held("bob", "Sent") == [ANSWER.message]


async def test_rules_send_on_so_much_a_day_and_the_rest_stays(world: World) -> None:
    world.filter.verdict = VERIFIED
    world.services.scripts._options = msgspec.structs.replace(
        world.services.config.sieve, redirects_per_day=3
    )
    world.filter.actions["bob"] = (Redirect("friend@far.test"), PING)
    for n in range(3):
        letter = LETTER.replace(b"<1@", b"<%d@" % n)
        await world.send("bob@example.test", letter=letter, accept_id=f"{n:017d}")
    queued = world.queued()
    assert len(queued["forward"][1]) == 2
    assert queued["vacation"][1].count("phone@far.test") == 1
    # What is not sent on stays at home, with the reason; a notification is not worth a copy.
    (kept,) = world.mail.held("bob")
    assert b"its rules have sent on 3 messages within 24 hours" in kept


async def test_what_is_refused_is_not_counted_as_sent_on(world: World) -> None:
    world.filter.verdict = MessageVerdict(klass="spam", score=0.99, action="reject", reply_text="no")
    world.filter.actions["bob"] = (Redirect("friend@far.test"),)
    assert await send(world, "bob@example.test") == "550"
    assert world.services.scripts._memory._read("x", "SELECT what FROM sieve_spent") == []


async def test_the_owner_is_told_once_a_version(world: World) -> None:  # V14
    for n, version in enumerate((b"1", b"1", b"2")):
        world.filter.said["bob"] = {
            "script_error": "script main: line 3: no",
            "failed": ScriptFailed("script main", version, "line 3: no"),
        }
        await send(world, "bob@example.test", n=n)
    told = [octets for octets in files(world) if b"line 3: no" in octets]
    assert len(told) == 2
    assert len(world.mail.held("bob")) == 3


@pytest.mark.parametrize("answer", ["accept", "tempfail"])
async def test_a_death_is_noted_whatever_is_answered(
    world: World, answer: Literal["accept", "tempfail"]
) -> None:
    # V14: with 451 the message comes again, until the script is no longer run
    config = world.services.config
    options = msgspec.structs.replace(config.filter, on_unfiltered=answer)
    object.__setattr__(world.services, "config", msgspec.structs.replace(config, filter=options))
    world.filter.verdict = MessageVerdict(unfiltered="filter crashed")
    failed = ScriptFailed("script main", b"1", "the filter died in it", died=True)
    world.filter.said["bob"] = {"failed": failed}
    for n in range(2):
        assert await send(world, "bob@example.test", n=n) == ("250" if answer == "accept" else "451")
    (known,) = world.services.scripts._memory.failures(world.account("bob@example.test").id)
    assert known.deaths == 2
    assert len([octets for octets in files(world) if b"the filter died in it" in octets]) == 1
    assert len(world.mail.held("bob")) == (2 if answer == "accept" else 0)


async def test_marks_and_cpu_time_are_noted(world: World) -> None:
    world.filter.said["bob"] = {"marks": (("id", 600.0),), "cpu_s": 0.5}
    await send(world, "bob@example.test")
    rows = world.services.scripts._memory._read("x", "SELECT kind FROM sieve_mark")
    assert rows == [("duplicate",)]
    rows = world.services.scripts._memory._read("x", "SELECT what, amount FROM sieve_spent")
    assert rows == [("cpu_s", 0.5)]


async def test_scripts_that_refuse_have_a_limit_of_cpu_time_too(world: World) -> None:
    world.filter.actions["bob"] = (RejectMail("no"),)
    world.filter.said["bob"] = {"marks": (("id", 600.0),), "cpu_s": 0.5}
    assert await send(world, "bob@example.test") == "550"
    rows = world.services.scripts._memory._read("x", "SELECT what, amount FROM sieve_spent")
    assert rows == [("cpu_s", 0.5)]
    # The message was not taken: it is not seen yet.
    assert world.services.scripts._memory._read("x", "SELECT kind FROM sieve_mark") == []


# -- edits ------------------------------------------------------------------------------

AT = LETTER.index(b"\r\n\r\n") + 2
EDITED = Edited(b"X-New: 1\r\n" + LETTER[:AT], None, AT)
REPLACED = Edited(b"Subject: other\r\n", b"\r\nOther.\r\n")


@pytest.mark.parametrize(
    ("edited", "end"), [(EDITED, b"X-New: 1\r\n" + LETTER), (REPLACED, b"Subject: other\r\n\r\nOther.\r\n")]
)
@pytest.mark.parametrize("path", [False, True])
async def test_a_copy_is_as_the_script_left_it(
    world: World, edited: Edited, end: bytes, path: bool, tmp_path: Path
) -> None:
    world.filter.actions["bob"] = (FileInto("Raw", create=True), Keep(edited=edited))
    await world.send("bob@example.test", path=tmp_path / "letter" if path else None)
    (raw,), (kept,) = world.mail.held("bob", "Raw"), world.mail.held("bob")
    assert raw.endswith(LETTER) and kept.endswith(b"\r\n" + end)
    assert kept.startswith(b"Return-Path:")


@pytest.mark.parametrize("edited", [EDITED, REPLACED])
async def test_what_is_sent_on_is_as_the_script_left_it(world: World, edited: Edited) -> None:
    world.filter.verdict = VERIFIED
    world.filter.actions["bob"] = (
        Redirect("friend@far.test", edited=edited),
        Redirect("other@far.test", "FAILURE", "HDRS"),
        Redirect("alice@example.test", edited=edited),
    )
    await world.send("bob@example.test")
    changed = edited.head + (edited.body or LETTER[AT:])
    (kept,) = world.mail.held("alice")
    assert kept.endswith(b"\r\n" + changed)
    rows = world.queue.read(
        "SELECT r.address, r.notify, m.ret FROM message m JOIN recipient r ON r.message = m.id"
        " WHERE m.kind = 'forward' ORDER BY 1"
    )
    assert [tuple(row) for row in rows] == [
        ("friend@far.test", "", ""),
        ("other@far.test", "FAILURE", "HDRS"),
    ]
    assert sum(changed in octets for octets in files(world)) == 1


async def test_an_edited_copy_that_must_wait_is_not_forgotten(world: World) -> None:
    world.filter.cuts = ((0, LETTER.index(b"To:")),)
    world.filter.actions["bob"] = (Keep(edited=EDITED),)
    world.mail.failing["bob"] = TemporaryFailure("the disk is slow")
    await world.send("alice@example.test", "bob@example.test")
    ((detail,),) = world.queue.read("SELECT detail FROM recipient WHERE kind = 'local'")
    (action,) = load_retry(str(detail), received_at=0).actions
    (waiting,) = [octets for octets in files(world) if b"Hello." in octets]
    assert action.edited is not None
    again = action.edited.head + waiting[action.edited.body_at :]
    assert again.startswith(b"Return-Path:") and (EDITED.head + b"\r\nHello.\r\n") in again


async def test_what_another_account_changes_is_not_what_mine_sends_on(world: World) -> None:
    world.filter.verdict = VERIFIED
    world.filter.actions["bob"] = (
        Redirect("third@far.test", edited=REPLACED),
        Redirect("alice@example.test", edited=REPLACED),
    )
    world.filter.actions["kept"] = (Redirect("third@far.test"), Redirect("alice@example.test"))
    await world.send("bob@example.test", "kept@example.test")
    assert world.mail.held("alice")[0].endswith(LETTER)
    # Two different messages, for two owners.
    rows = world.queue.read(
        "SELECT m.id FROM message m JOIN recipient r ON r.message = m.id WHERE r.address = 'third@far.test'"
    )
    assert len(rows) == 2
    assert sum(b"Other." in octets for octets in files(world)) == 1
