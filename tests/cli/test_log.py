"""`mailstack log show|explain`, read by people and by programs."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import pytest

from mailstack.cli.log import words
from mailstack.delivery.entry import QueueMessage, QueueRecipient
from mailstack.delivery.queue import Queue
from mailstack.state.maillog import MailLog
from mailstack.state.maillog_db import Event
from tests.kit.instance import Instance, new_instance

ALICE = "alice@example.test"
NOW = 1_790_000_000.0


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    made = new_instance(tmp_path / "i")
    log = MailLog(made.config.paths.maillog_db, daemon="smtp", now=time.time, stream=io.StringIO())
    log.accepted(
        "A1",
        peer="192.0.2.7",
        sender="x@far.test",
        recipients=[ALICE],
        size_octets=900,
        message_id="<m1@far.test>",
    )
    log.filed("A1", to=ALICE, original=ALICE, mailbox="INBOX", uid=3, klass="ham", sieve="keep")
    log.accepted(
        "A2", peer="192.0.2.7", sender=ALICE, recipients=["y@far.test"], size_octets=900, login=ALICE
    )
    log.queued("A2", queue_id="A2-1", sender=ALICE, to="y@far.test", kind="submission", owner=ALICE)
    log.close()
    return made


def test_show_tells_the_way_of_every_message(instance: Instance) -> None:
    done = instance.cli("log", "show", ALICE)
    assert done.code == 0
    assert "accepted from x@far.test at 192.0.2.7" in done.out
    assert f"filed into INBOX of {ALICE} as UID 3" in done.out
    assert "put into the queue for y@far.test" in done.out


def test_what_mail_was_taken_for_and_what_it_taught_is_told(instance: Instance) -> None:
    log = MailLog(instance.config.paths.maillog_db, daemon="imap", now=time.time, stream=io.StringIO())
    log.filed("A3", to=ALICE, original=ALICE, mailbox="Spam", uid=4, klass="spam", sieve="fileinto")
    fields = {"account": ALICE, "evidence": "place", "weak": "", "listed": "block", "mailbox": "Spam"}
    log.write("learned", received_by=[ALICE], author="x@far.test", label="spam", **fields)
    log.write("unlearned", received_by=[ALICE], account=ALICE, author="x@far.test")
    log.close()
    told = instance.cli("log", "show", ALICE).out
    assert f"filed into Spam of {ALICE} as UID 4, taken for spam (fileinto)" in told
    taught = "that a message of x@far.test is spam (it was put in Spam); its sender is on the block list now"
    assert f"{ALICE} has taught the filter {taught}" in told
    assert f"{ALICE} has taken back what it had taught the filter about a message of x@far.test" in told


def test_what_waits_in_the_queue_is_said_as_it_stands_now(instance: Instance) -> None:
    # The log's last word may be "next try in 300 s"; nothing is tried while it is held.
    queue = Queue(instance.config.paths, now=time.time, random_bytes=os.urandom)
    recipients = (QueueRecipient("y@far.test"), QueueRecipient("z@far.test"))
    queue.enqueue([QueueMessage(recipients, queue_id="A2-1", accept_id="A2", sender=ALICE, data=b"x: y\r\n")])
    queue.close()
    assert "now in the queue: y@far.test is due" in instance.cli("log", "explain", "A2").out
    assert instance.cli("queue", "hold", "--destination", "far.test", "--reason", "broken").code == 0
    last = instance.cli("log", "explain", "A2").out.splitlines()[-1]
    assert "now in the queue: z@far.test is held for" in last
    assert "(broken) until 'mailstack queue release --destination far.test'" in last
    assert [e["event"] for e in instance.cli("--json", "log", "explain", "A2").json][-1] == "in_queue"
    assert instance.cli("queue", "remove", "A2-1").code == 0
    assert "now in the queue" not in instance.cli("log", "explain", "A2").out


@pytest.mark.parametrize(("option", "ids"), [("--sent", ["A2", "A2-1"]), ("--received", ["A1", "A1"])])
def test_show_can_be_narrowed_to_one_direction(instance: Instance, option: str, ids: list[str]) -> None:
    done = instance.cli("--json", "log", "show", ALICE, option)
    assert [event["id"] for event in done.json] == ids


def test_show_tells_of_failed_logins_too_and_why(instance: Instance) -> None:
    log = MailLog(instance.config.paths.maillog_db, daemon="imap", now=time.time, stream=io.StringIO())
    log.login(
        protocol="pop3",
        peer="192.0.2.9",
        account="Alice@example.test",
        ok=False,
        mechanism="SCRAM-SHA-256",
        why="there is no SCRAM verifier",
    )
    log.close()
    last = instance.cli("log", "show", ALICE).out.splitlines()[-1]
    assert "failed login as Alice@example.test over pop3 from 192.0.2.9: there is no SCRAM verifier" in last


def test_since_and_until(instance: Instance) -> None:
    assert len(instance.cli("--json", "log", "show", ALICE, "--since", "1h").json) == 4
    assert instance.cli("--json", "log", "show", ALICE, "--until", "1h").json == []
    wrong = instance.cli("log", "show", ALICE, "--until", "yesterday")
    assert wrong.code == 64 and "--until: 'yesterday' is no time; write it like 30m, 2h" in wrong.err


@pytest.mark.parametrize("key", ["A1", "<m1@far.test>", "m1@far.test"])
def test_explain_takes_any_id(instance: Instance, key: str) -> None:
    assert [event["event"] for event in instance.cli("--json", "log", "explain", key).json] == [
        "accepted",
        "filed",
    ]


@pytest.fixture
def refusals(instance: Instance) -> Instance:
    log = MailLog(instance.config.paths.maillog_db, daemon="smtp", now=time.time, stream=io.StringIO())
    log.refused(
        "R1",
        peer="2001:db8::7",
        at="end",
        check="loop",
        code=554,
        status="5.4.6",
        why="Too many hops: more than 50 Received fields, this is a loop",
        sender="x@far.test",
        to="Nobody@example.test",
    )
    log.refused(
        "", peer="192.0.2.8", at="mail", check="sender", code=550, status="5.7.1", why="No", login=ALICE
    )
    log.refused("", peer="192.0.2.9", at="command", check="order", code=503, status="5.5.1", why="Say EHLO")
    log.close()
    return instance


@pytest.mark.parametrize("name", ["R1", "2001:db8::7", "[2001:0DB8::7]", "x@far.test", "nobody@example.test"])
def test_a_refusal_is_explained_by_its_facts_rule_and_key(refusals: Instance, name: str) -> None:
    told = refusals.cli("log", "explain", name).out
    assert "refused with 554 5.4.6 at end (loop), client 2001:db8::7: Too many hops" in told
    assert "facts          sender x@far.test, to Nobody@example.test" in told
    assert "rule           The message has been through too many servers" in told
    assert "configuration  smtp.hops = 50\n" in told
    assert "what to do     Find the two addresses" in told
    (event,) = refusals.cli("--json", "log", "explain", name).json
    assert event["explanation"]["configuration"] == {"smtp.hops": 50}


def test_a_refusal_that_nothing_changes_says_so_without_keys(refusals: Instance) -> None:
    told = refusals.cli("log", "explain", "192.0.2.9").out
    assert "configuration" not in told
    assert "what to do     The client's software is wrong; there is nothing to change here." in told


def test_the_refusals_of_a_login_are_found_by_its_address(refusals: Instance) -> None:
    told = refusals.cli("log", "explain", ALICE).out
    assert "refused with 550 5.7.1 at mail (sender), client 192.0.2.8: No" in told
    assert f"facts          login {ALICE}" in told


def test_an_address_that_was_refused_nothing_is_told_where_the_rest_is(instance: Instance) -> None:
    done = instance.cli("log", "explain", ALICE)
    assert done.code == 65
    assert f"'mailstack log show {ALICE}' tells the rest" in done.err


def test_explain_follows_into_the_queue(instance: Instance) -> None:
    assert [e["event"] for e in instance.cli("--json", "log", "explain", "A2").json] == ["accepted", "queued"]


def test_what_is_not_there_is_said(instance: Instance) -> None:
    done = instance.cli("log", "explain", "nothing")
    assert done.code == 65
    assert "nothing in the log" in done.err
    assert instance.cli("log", "show", "not an address").code == 65


def test_an_empty_log_is_said_and_an_alias_named(instance: Instance) -> None:
    done = instance.cli("log", "show", "nobody@example.test")
    assert (done.code, done.out, done.err) == (0, "", "nothing in the log for nobody@example.test\n")
    instance.cli("user", "add", ALICE)
    instance.cli("alias", "add", "sales@example.test", ALICE)
    err = instance.cli("log", "show", "sales@example.test").err
    assert f"sales@example.test is an alias of {ALICE}; see 'mailstack log show {ALICE}'" in err


def test_since_after_until_is_a_usage_error(instance: Instance) -> None:
    assert instance.cli("log", "show", ALICE, "--since", "1h", "--until", "2h").code == 64


def test_values_from_outside_are_safe_for_a_terminal() -> None:
    event = Event(
        NOW, "smtp", "accepted", "A1", {"sender": "\x1b[2J\n{peer}", "peer": "1", "to": "x", "size_octets": 1}
    )
    assert "\x1b" not in words(event)
    assert "\n" not in words(event)
    assert "{peer}" in words(event)


def test_what_ended_here_names_no_far_server() -> None:
    fields: dict[str, str | int | float] = {"to": "a@null.test", "host": "", "code": 556, "dsn": "D1"}
    said = words(Event(NOW, "queue", "bounced", "Q1", fields))
    assert said == "given up for a@null.test (this server said 556); report: D1"


@pytest.mark.parametrize(
    "words", [("show", ALICE), ("explain", "A1"), ("explain", "<m1@far.test>")], ids=" ".join
)
def test_a_log_that_cannot_be_read_is_said_with_what_to_do(
    instance: Instance, words: tuple[str, str]
) -> None:
    path = instance.config.paths.maillog_db
    path.with_name("maillog.db-wal").unlink(missing_ok=True)
    path.write_bytes(b"")
    empty = instance.cli("log", *words)
    assert empty.code == 75 and "run 'mailstack migrate'" in empty.err
    path.unlink()
    missing = instance.cli("log", *words)
    assert missing.code == 75 and f"there is no {path}; 'mailstack migrate' makes" in missing.err
    path.write_bytes(b"not a database" * 500)
    assert "the database is damaged" in instance.cli("log", *words).err


@pytest.mark.parametrize("client", ["192.0.2.77", "[2001:db8::7]"])
def test_a_client_that_was_refused_nothing_may_still_be_in_the_log(instance: Instance, client: str) -> None:
    done = instance.cli("log", "explain", client)
    assert (done.code, done.err) == (65, f"mailstack: {client}: no refusal in the log, which keeps 20 days\n")
