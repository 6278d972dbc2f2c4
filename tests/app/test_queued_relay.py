"""The queue daemon behind somebody else's server, as its file says: login, TLS, address."""

from __future__ import annotations

import os
import time
from pathlib import Path

from mailstack.delivery.entry import QueueMessage, QueueRecipient
from mailstack.delivery.queue import Queue
from tests.kit import certificates
from tests.kit.accounting import marked
from tests.kit.instance import Instance, new_instance
from tests.kit.process import eventually, mailstack, started
from tests.kit.smtp_sink import EXTENSIONS, SmtpSink

ALICE = "alice@example.test"
OPTIONS = """
[queue]
relay_host = "127.0.0.1"
relay_port = {port}
relay_login = "us@relay.test"
relay_password = "{password}"
ca_file = "{ca_file}"
source_ipv4 = "127.0.0.5"
first_wait_s = 0.3
max_wait_s = 0.6
jitter_percent = 0
"""


def put(instance: Instance) -> None:
    config = instance.config
    queue = Queue(config.paths, now=time.time, random_bytes=os.urandom, options=config.queue)
    to = (QueueRecipient("b@far.test"),)
    queue.enqueue([QueueMessage(to, sender=ALICE, owner=ALICE, data=marked("m"))])
    queue.close()


def test_a_wrong_password_waits_until_the_file_is_mended(tmp_path: Path) -> None:
    # Q25
    tls = certificates.write(tmp_path)
    offered = ("STARTTLS", "AUTH PLAIN SCRAM-SHA-256", *EXTENSIONS)
    with SmtpSink(extensions=offered, tls=tls, logins={"us@relay.test": "new pencil"}) as sink:
        instance = new_instance(tmp_path)
        instance.cli("user", "add", ALICE, "--password", "a-long-password-1")
        words = OPTIONS.format(port=sink.port, password="old pencil", ca_file=tls[0])
        instance.file.write_text(instance.file.read_text() + words)
        put(instance)
        daemon = mailstack("run", "queue", "--config", instance.file)
        with started(daemon, environ={"MAILSTACK_ALLOW_ROOT": "1"}) as process:
            eventually(lambda: "alarm" in process.output, 60, explain=lambda: process.output)
            assert 'why="The relay host refuses our login: 535' in process.output
            assert "pencil" not in process.output
        assert sink.messages == []
        instance.file.write_text(instance.file.read_text().replace("old pencil", "new pencil"))
        with started(daemon, environ={"MAILSTACK_ALLOW_ROOT": "1"}):
            (message,) = sink.wait_for(1, 60)
    assert (message.login, message.peer, message.tls) == (
        "us@relay.test by SCRAM-SHA-256",
        "127.0.0.5",
        "TLSv1.3",
    )
    assert "pencil" not in instance.cli("config", "show").out
