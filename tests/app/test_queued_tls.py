"""The queue daemon with DNS, policy and mail servers around it: what it saw of TLS outlives it."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mailstack.delivery.entry import QueueMessage, QueueRecipient
from mailstack.delivery.queue import Queue
from mailstack.state.sts_policies import StsPolicies
from mailstack.state.tls_facts import TlsFacts, day_of
from mailstack.state.tls_levels import TlsLevels
from tests.kit.authority import Authority
from tests.kit.dns_server import DnsServer
from tests.kit.instance import Instance, new_instance
from tests.kit.policy_server import PolicyServer, policy
from tests.kit.process import Process, mailstack
from tests.kit.queues import MESSAGE
from tests.kit.smtp_sink import EXTENSIONS, SmtpSink

ROOT = Authority("root")
DANE, STS = ROOT.issue("mx.dane.test"), ROOT.issue("mx.sts.test")


@dataclass
class Around:
    """dane.test, sts.test and plain.test on one port, at addresses of their own."""

    instance: Instance
    sinks: dict[str, SmtpSink]
    web: PolicyServer

    def run(self) -> Process:
        return Process(
            mailstack("run", "queue", "--config", self.instance.file), environ={"MAILSTACK_ALLOW_ROOT": "1"}
        )

    def send(self, *domains: str) -> None:
        config = self.instance.config
        queue = Queue(config.paths, now=time.time, random_bytes=os.urandom, options=config.queue)
        with closing(queue):
            queue.enqueue(
                [
                    QueueMessage(
                        (QueueRecipient(f"b@{domain}"),),
                        sender="a@example.test",
                        data=MESSAGE,
                        owner="a@example.test",
                    )
                    for domain in domains
                ]
            )


@pytest.fixture
def around(tmp_path: Path) -> Iterator[Around]:
    instance = new_instance(tmp_path)
    with ExitStack() as stack:
        first = stack.enter_context(
            SmtpSink(extensions=(*EXTENSIONS, "STARTTLS"), tls=DANE.write(tmp_path, "dane"))
        )
        sinks = {"dane.test": first}
        for number, (name, tls) in enumerate(
            (("sts.test", STS.write(tmp_path, "sts")), ("plain.test", None)), 2
        ):
            offered = EXTENSIONS if tls is None else (*EXTENSIONS, "STARTTLS")
            sinks[name] = stack.enter_context(
                SmtpSink(extensions=offered, tls=tls, host=f"127.0.0.{number}", port=first.port)
            )
        context = ROOT.issue("mta-sts.sts.test").server_context(tmp_path, "web")
        web = stack.enter_context(PolicyServer(context, policy("enforce", "mx.sts.test")))
        table: dict[str, dict[str, Any]] = {
            f"_{first.port}._tcp.mx.dane.test": {"TLSA": [[3, 1, 1, hashlib.sha256(DANE.spki).hexdigest()]]},
            "_mta-sts.sts.test": {"TXT": ["v=STSv1; id=1;"]},
            "mta-sts.sts.test": {"A": ["127.0.0.1"]},
        }
        for number, name in enumerate(sinks, 1):
            table[name] = {"MX": [[10, f"mx.{name}"]]}
            table[f"mx.{name}"] = {"A": [f"127.0.0.{number}"]}
        dns = stack.enter_context(DnsServer(table, authentic=True))
        with instance.file.open("a") as file:
            file.write(
                f'\n[dns]\nservers = ["{dns.address}"]\n'
                f"\n[queue]\nport = {first.port}\nallow_loopback = true\n"
                f'ca_file = "{ROOT.write(tmp_path)}"\n'
                f"\n[outbound_tls]\nmta_sts_port = {web.port}\nmta_sts_allow_private = true\n"
            )
        yield Around(instance, sinks, web)


def test_what_the_daemon_saw_of_tls_is_there_when_it_has_gone(around: Around) -> None:
    paths = around.instance.config.paths
    around.send(*around.sinks)
    daemon = around.run()
    try:
        for sink in around.sinks.values():
            sink.wait_for(1, timeout_s=30)
    finally:
        assert daemon.stop() == 0, daemon.output
    assert [sink.messages[0].tls != "" for sink in around.sinks.values()] == [True, True, False]
    facts, today = TlsFacts(paths.state_db), day_of(time.time())
    with closing(facts):
        found = {domain: facts.of(today, domain)[0] for domain in facts.domains(today)}
    assert {domain: (one.policy.kind, one.successes, one.failed) for domain, one in found.items()} == {
        "dane.test": ("tlsa", 1, 0),
        "sts.test": ("sts", 1, 0),
        "plain.test": ("no-policy-found", 0, 1),
    }
    with closing(TlsLevels(paths.state_db)) as levels:
        assert sorted(levels.of("dane.test")) == [1, 2, 3]
        assert levels.of("plain.test") == {}


def test_a_policy_outlives_the_daemon_that_fetched_it(around: Around) -> None:
    # RFC 8461 section 3.3
    for count in (1, 2):
        around.send("sts.test")
        daemon = around.run()
        try:
            around.sinks["sts.test"].wait_for(count, timeout_s=30)
        finally:
            assert daemon.stop() == 0, daemon.output
    assert len(around.web.asked) == 1
    with closing(StsPolicies(around.instance.config.paths.state_db)) as policies:
        kept = policies.find("sts.test", now=time.time())
    assert kept is not None
    assert kept.text.encode() == policy("enforce", "mx.sts.test")
