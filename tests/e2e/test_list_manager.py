"""A mailing-list manager behind us: Mailman's way, mail by LMTP and posts back by SMTP."""

from __future__ import annotations

import email
import os
import smtplib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mailstack.disk.sqlite import open_database
from tests.kit.instance import Instance, new_instance
from tests.kit.ports import free_port
from tests.kit.process import Process, eventually, mailstack, wait_for_port
from tests.kit.smtp_sink import SmtpSink

LETTER = (
    b"From: Far <x@far.test>\r\nTo: dev@example.test\r\nSubject: post\r\nMessage-ID: <1@far.test>\r\n"
    b"\r\nHello.\r\n"
)
CONFIG = """
[listen]
mx = ["127.0.0.1:{port}"]
submissions = []
submission = []
imap = []
imaps = []
pop3 = []
pop3s = []
sieve = []
[dns]
servers = ["127.0.0.1:1"]
[queue]
first_wait_s = 0.5
max_wait_s = 1
[[queue.route]]
domain = "example.test"
host = "127.0.0.1"
port = {lists}
protocol = "lmtp"
"""


@dataclass
class Lists:
    """An instance whose lists are a sink's."""

    instance: Instance
    sink: SmtpSink
    port: int

    def post(self, *to: str, sender: str = "x@far.test") -> dict[str, tuple[int, bytes]]:
        with smtplib.SMTP("127.0.0.1", self.port, "client.far.test", timeout=30) as client:
            return client.sendmail(sender, list(to), LETTER)

    def inbox(self, account: str) -> list[bytes]:
        home = self.instance.config.paths.mail / "example.test" / account / "Maildir"
        return [path.read_bytes() for part in ("new", "cur") for path in sorted((home / part).glob("*"))]

    def is_empty(self) -> bool:
        connection = open_database(self.instance.config.paths.queue_db, read_only=True)
        try:
            return connection.execute("SELECT COUNT(*) FROM message").fetchone() == (0,)
        finally:
            connection.close()


@pytest.fixture
def lists(tmp_path: Path) -> Iterator[Lists]:
    replies: dict[str, Any] = {"end": {"closed@example.test": "550 5.7.2 You may not post to this list"}}
    instance, port = new_instance(tmp_path), free_port()
    with SmtpSink(lmtp=True, replies=replies, extensions=("SIZE", "8BITMIME")) as sink:
        with instance.file.open("a") as file:
            file.write(CONFIG.format(port=port, lists=sink.port))
        instance.cli("user", "add", "alice@example.test")
        instance.cli("alias", "add", "postmaster@example.test", "alice@example.test")
        for name in ("dev", "dev-bounces", "closed"):
            instance.cli("alias", "add", f"{name}@example.test", f"{name}@example.test")
        environ = {**os.environ, "MAILSTACK_ALLOW_ROOT": "1"}
        process = Process(mailstack("up", "--config", instance.file), environ=environ)
        try:
            wait_for_port(port)
            yield Lists(instance, sink, port)
        finally:
            process.stop()


def test_a_post_goes_to_the_list_manager_as_it_came(lists: Lists) -> None:
    assert lists.post("dev@example.test", "alice@example.test") == {}
    (message,) = lists.sink.wait_for(1)
    assert (message.sender, message.recipients) == ("x@far.test", ("dev@example.test",))
    assert message.data.endswith(LETTER)
    assert lists.sink.commands[0].startswith("LHLO ")
    eventually(lambda: len(lists.inbox("alice")) == 1)


def test_a_bounce_to_a_list_keeps_what_says_whose_it_is(lists: Lists) -> None:
    assert lists.post("dev-bounces+you=far.test@example.test", sender="") == {}
    (message,) = lists.sink.wait_for(1)
    assert (message.sender, message.recipients) == ("", ("dev-bounces+you=far.test@example.test",))


def test_a_list_that_does_not_exist_is_refused_at_once(lists: Lists) -> None:
    with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
        lists.post("nolist@example.test")
    assert caught.value.recipients["nolist@example.test"][0] == 550


def test_a_refusal_of_a_forged_post_is_not_sent_to_its_victim(lists: Lists) -> None:
    # P11: nobody knows that x@far.test sent it
    lists.post("closed@example.test")
    eventually(lambda: len(lists.inbox("alice")) == 1 and lists.is_empty())
    (copy,) = lists.inbox("alice")
    note = email.message_from_bytes(copy)["X-Mailstack-Note"]
    assert "closed@example.test" in note
    assert "550" in note


def test_lists_that_are_away_get_their_mail_when_they_are_back(lists: Lists) -> None:
    lists.sink.stop()
    assert lists.post("dev@example.test") == {}
    eventually(lambda: "Connection refused" in lists.instance.cli("--json", "queue", "list").out)
    with SmtpSink(lmtp=True, port=lists.sink.port) as back:
        (message,) = back.wait_for(1)
        assert message.recipients == ("dev@example.test",)
