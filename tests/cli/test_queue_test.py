"""mailstack queue test: the walk of a delivery over real DNS, HTTPS and SMTP servers."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from mailstack.state.tls_levels import TlsLevels
from tests.kit.authority import Authority
from tests.kit.dns_server import DnsServer
from tests.kit.instance import Instance, Result
from tests.kit.policy_server import PolicyServer, answer, policy
from tests.kit.smtp_sink import EXTENSIONS, SmtpSink

ROOT = Authority("root")
HOST = "mx.y.test"
GOOD = ROOT.issue(HOST)
STARTTLS = (*EXTENSIONS, "STARTTLS")


class Far:
    """y.test: its DNS, its policy and its mail server; and an instance that knows the ports."""

    def __init__(self, instance: Instance, stack: ExitStack, *, tls: bool = True, **sink: Any) -> None:
        folder = instance.folder
        facts: dict[str, Any] = {"extensions": STARTTLS, "tls": GOOD.write(folder)} if tls else {}
        self.sink = stack.enter_context(SmtpSink(**{**facts, **sink}))
        web = ROOT.issue("mta-sts.y.test").server_context(folder, "web")
        self.web = stack.enter_context(PolicyServer(web, policy("enforce", "*.y.test")))
        self.dns = stack.enter_context(
            DnsServer(
                {
                    "y.test": {"MX": [[10, HOST]]},
                    HOST: {"A": ["127.0.0.1"]},
                    "mta-sts.y.test": {"A": ["127.0.0.1"]},
                    "null.test": {"MX": [[0, "."]]},
                }
            )
        )
        self.instance = instance
        with instance.file.open("a") as file:
            file.write(
                f"\n[queue]\nport = {self.sink.port}\nallow_loopback = true\n"
                f'ca_file = "{ROOT.write(folder)}"\ncommand_timeout_s = 2\n'
                f"\n[outbound_tls]\nmta_sts_port = {self.web.port}\nmta_sts_allow_private = true\n"
            )

    def publish(self) -> None:
        self.dns.table["_mta-sts.y.test"] = {"TXT": ["v=STSv1; id=1;"]}

    def test(self, *words: str) -> Result:
        return self.instance.cli("queue", "test", *words, "--dns", self.dns.address)

    def steps(self, *words: str) -> list[dict[str, Any]]:
        found = self.test(*words, "--json").json["steps"]
        assert isinstance(found, list)
        return found


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def test_every_step_is_told_and_nothing_is_sent(instance: Instance, stack: ExitStack) -> None:
    far = Far(instance, stack)
    found = far.test("b@y.test", "--json")
    assert (found.code, found.json["result"], found.json["address"]) == (0, "good", "b@y.test")
    steps = {step["step"]: step for step in found.json["steps"]}
    assert list(steps) == ["hosts", "mta-sts", "dane", "tls", "rcpt"]
    assert {step["result"] for step in steps.values()} == {"good", "note"}
    assert steps["hosts"]["facts"]["hosts"][0]["name"] == HOST
    assert steps["tls"]["facts"]["names"] == [HOST]
    assert "250 2.1.5 ok" in steps["rcpt"]["text"]
    assert [c.partition(" ")[0] for c in far.sink.commands if not c.startswith(("EHLO", "STARTTLS"))] == [
        "MAIL",
        "RCPT",
        "RSET",
        "QUIT",
    ]
    assert far.sink.all == []


def test_people_read_a_line_for_each_step(instance: Instance, stack: ExitStack) -> None:
    far = Far(instance, stack, tls=False)
    found = far.test("b@y.test", "--from", "a@example.test")
    assert found.code == 0
    lines = found.out.splitlines()
    assert lines[0].startswith("hosts    ok")
    assert any(line.startswith("tls      note") and "in clear" in line for line in lines)
    assert "nothing was sent" in found.err
    assert any(command.startswith("MAIL FROM:<a@example.test>") for command in far.sink.commands)


def test_an_enforced_policy_and_what_it_wants_are_told(instance: Instance, stack: ExitStack) -> None:
    far = Far(instance, stack, tls=False)
    far.publish()
    found = far.test("b@y.test", "--json")
    assert (found.code, found.json["result"]) == (75, "later")
    steps = {step["step"]: step for step in found.json["steps"]}
    assert steps["mta-sts"]["facts"]["policy"] == {"mode": "enforce", "mx": ["*.y.test"], "max_age_s": 86_400}
    assert (steps["tls"]["result"], "MTA-STS" in steps["tls"]["text"]) == ("later", True)
    assert "rcpt" not in steps


def test_a_policy_that_cannot_be_had_is_told_with_its_reason(instance: Instance, stack: ExitStack) -> None:
    far = Far(instance, stack)
    far.publish()
    far.web.says = answer(b"", status="404 Not Found")
    (step,) = [step for step in far.steps("b@y.test") if step["step"] == "mta-sts"]
    assert step["result"] == "note"
    assert "answers 404" in step["text"]


def test_tlsa_records_that_match_and_that_do_not(instance: Instance, stack: ExitStack) -> None:
    far = Far(instance, stack)
    far.dns.authentic = True
    name = f"_{far.sink.port}._tcp.{HOST}"
    far.dns.table[name] = {"TLSA": [[3, 1, 1, hashlib.sha256(GOOD.spki).hexdigest()]]}
    steps = {step["step"]: step for step in far.steps("b@y.test")}
    assert steps["dane"]["facts"]["records"][0].startswith("3 1 1 ")
    assert "TLSA records name it" in steps["tls"]["text"]
    far.dns.table[name] = {"TLSA": [[3, 1, 1, "00" * 32]]}
    found = far.test("b@y.test")
    assert found.code == 75
    assert "none of those its TLSA records name" in found.out


@pytest.mark.parametrize(
    ("replies", "address", "code"),
    [
        ({"rcpt": "550 5.1.1 nobody"}, "b@y.test", 67),
        ({"rcpt": "450 4.2.1 busy\r\n"}, "b@y.test", 75),
        ({"greeting": "554 5.7.1 go away"}, "b@y.test", 75),
        ({}, "b@null.test", 67),
        ({}, "b@nowhere.test", 67),
        ({}, "no address", 65),
        ({}, "b@example.test", 64),
    ],
)
def test_what_stands_in_the_way_is_the_exit_code(
    instance: Instance, stack: ExitStack, replies: dict[str, Any], address: str, code: int
) -> None:
    far = Far(instance, stack, replies=replies)
    assert far.test(address).code == code


def test_a_resolver_that_is_none_is_no_fault_of_the_configuration(instance: Instance) -> None:
    refused = instance.cli("queue", "test", "b@y.test", "--dns", "nonsense")
    assert refused.code == 64 and "--dns: 'nonsense' is not an IP address" in refused.err


def test_what_the_domain_has_shown_before_is_told(instance: Instance, stack: ExitStack) -> None:
    far = Far(instance, stack)
    levels = TlsLevels(instance.config.paths.state_db)
    levels.keep([("y.test", {1: (time.time(), time.time(), 4), 2: (time.time(), time.time(), 4)})])
    levels.close()
    (step,) = [step for step in far.steps("b@y.test") if step["step"] == "shown"]
    assert step["facts"]["level"] == 2
    assert "(4 sessions)" in step["text"]


def test_a_route_is_walked_as_it_is_set(instance: Instance, stack: ExitStack) -> None:
    far = Far(instance, stack)
    with instance.file.open("a") as file:
        file.write(f'\n[[queue.route]]\ndomain = "z.test"\nhost = "127.0.0.1"\nport = {far.sink.port}\n')
    steps = far.steps("b@z.test")
    assert [step["step"] for step in steps] == ["hosts", "mta-sts", "tls", "rcpt"]
    assert steps[0]["facts"]["route"] is True


def test_hostile_replies_stay_on_their_line(instance: Instance, stack: ExitStack) -> None:
    # T92
    far = Far(instance, stack, replies={"rcpt": b"550 5.1.1 \x1b[2Jgone\x07\r\n"})
    assert "\x1b" not in far.test("b@y.test").out
