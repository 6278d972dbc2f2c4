"""Every reply at every stage: what one server's trouble means, and that nobody loses or doubles mail.

One engine, one server per line of the table, all at once; then each line is judged by the
accounting rule: every recipient ends once, delivered or reported, and is in two copies only
where the answer to a whole message never came (promises P2 and P4).
"""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvloop

from mailstack.delivery.options import Route
from tests.kit import certificates
from tests.kit.queue_engine import EngineKit, running
from tests.kit.queues import MESSAGE
from tests.kit.smtp_sink import CLOSE, DEFAULTS, EXTENSIONS, HANG, RESET, SLOW, Received, SmtpSink

ALICE = "alice@example.org"
TLS = ("STARTTLS", "AUTH PLAIN", *EXTENSIONS)

#: What a server may say instead of what it should; the first time only.
TROUBLE: dict[str, str | bytes] = {
    "4xx": "450 4.2.1 later",
    "5xx": "550 5.1.1 never",
    "421": "421 4.3.2 closing",
    "close": CLOSE,
    "reset": RESET,
    "hang": HANG,
    "binary": b"\xff\xfe\x00\x01\r\n",
    "blank code": b"2 50 ok\r\n",
    "code 999": b"999 ok\r\n",
    "other code": b"250-one\r\n450 two\r\n",
    "no end": b"250-and\r\n",
    "no line end": b"250 ok",
    "1 MB": b"250 " + b"x" * 1_000_000 + b"\r\n",
    "10,000 lines": b"250-more\r\n" * 10_000 + b"250 ok\r\n",
    "3xx": "300 what",
    "unasked": b"250 one\r\n250 two\r\n250 three\r\n250 four\r\n250 five\r\n250 six\r\n",
}
#: The same trouble is the same for every stage, but for these.
LATER, ONCE, BOUNCED, DOUBTFUL = "later", "once", "bounced", "doubtful"
EXPECTED: dict[tuple[str, str], str] = {
    # Q2: who does not talk to us says nothing of the message.
    ("mail", "5xx"): BOUNCED,
    ("rcpt", "5xx"): BOUNCED,
    ("data", "5xx"): BOUNCED,
    ("end", "5xx"): BOUNCED,
    # Q9: HELO.
    ("ehlo", "5xx"): ONCE,
    # It offers and refuses: opportunistic means without.
    ("starttls", "4xx"): ONCE,
    ("starttls", "5xx"): ONCE,
    ("starttls", "3xx"): ONCE,
    # What is no plain refusal of a whole message may have followed its acceptance (Q4).
    **{("end", name): DOUBTFUL for name in TROUBLE if name not in ("4xx", "5xx", "421", "3xx")},
    # The first of them is an answer to MAIL, RCPT or the dot as good as any other.
    ("rcpt", "unasked"): LATER,
    ("end", "unasked"): ONCE,
}
STAGES = ("greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "end")


@dataclass
class Line:
    """One server and one message for two people there.

    Attributes:
        hit: recipients that meet the trouble.
        route: further settings of the way there.
    """

    name: str
    expected: str
    replies: dict[str, Any] = field(default_factory=dict)
    sink: dict[str, Any] = field(default_factory=dict)
    route: dict[str, Any] = field(default_factory=dict)
    hit: tuple[str, ...] = ("a", "b")
    domain: str = ""

    def address(self, local: str) -> str:
        return f"{local}@{self.domain}"


def lines(folder: Path) -> list[Line]:
    """The table."""
    tls = certificates.write(folder, name="sink.test")
    broken = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # has no certificate to show
    found = []
    for stage in STAGES:
        more = {"extensions": TLS, "tls": tls} if stage in ("starttls", "auth") else {}
        # Q25: no wrong password is the sender's fault.
        route = {"login": "us", "password": "x", "tls": "require"} if stage == "auth" else {}
        for name, said in TROUBLE.items():
            expected = EXPECTED.get((stage, name), LATER)
            # One recipient of two, where the reply is about one; without its connection both wait.
            is_own = stage == "rcpt" and name in ("4xx", "5xx", "3xx")
            hit = ("a",) if is_own else ("a", "b")
            found.append(Line(f"{stage} {name}", expected, {stage: [said]}, more, route, hit))
        found.append(Line(f"{stage} slow", ONCE, {stage: [SLOW]}, more, route))
    wire = len(MESSAGE) + len(b".\r\n")
    for octets in range(wire):
        found.append(Line(f"cut after {octets}", LATER, sink={"cuts": [octets]}))
    found += [
        Line("greeting 521", BOUNCED, {"greeting": "521 5.3.2 no mail here"}),
        Line("ehlo and helo 5xx", LATER, {"ehlo": ["550 no"], "helo": ["550 no"]}),
        Line("quit never answered", ONCE, {"quit": HANG}),
        Line("quit cut", ONCE, {"quit": CLOSE}),
        Line("quit 5xx", ONCE, {"quit": "550 stay"}),
        *(
            Line(f"rset {name}", LATER, {"rcpt": ["450 4.2.1 later"] * 2, "rset": [said]})
            for name, said in TROUBLE.items()
        ),
    ]
    found += [
        Line("no handshake", ONCE, sink={"extensions": TLS}),
        Line("broken handshake", ONCE, sink={"extensions": TLS, "tls_context": broken}),
        Line(
            "octets before the handshake",
            LATER,
            {"starttls": [b"220 go\r\n250 x\r\n"]},
            {"extensions": TLS, "tls": tls},
        ),
        Line("wrong certificate, nobody minds", ONCE, sink={"extensions": TLS, "tls": tls}),
        Line("without pipelining", ONCE, sink={"extensions": ("8BITMIME",)}),
        Line("no extensions", ONCE, {"ehlo": "502 5.5.1 what"}),
    ]
    for n, line in enumerate(found):
        line.domain = _domain(n)
    return found


def _domain(number: int) -> str:
    return f"c{number}.test"


@dataclass
class Outcome:
    """What became of a line: what its server has, what Alice was told, what was logged."""

    line: Line
    all: list[Received]
    reports: list[bytes]
    log: list[str]

    def copies(self, address: str) -> list[Received]:
        return [m for m in self.all if m.is_accepted and address in m.recipients]

    def doubtful(self, address: str) -> list[Received]:
        return [m for m in self.all if m.reply[:1] not in "45" and address in m.recipients]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """The whole table at work at the same time."""
    folder = tmp_path_factory.mktemp("stages")
    table = lines(folder)
    with contextlib.ExitStack() as stack:
        sinks = [stack.enter_context(SmtpSink(replies=line.replies, **line.sink)) for line in table]
        routes = [
            Route(domain=line.domain, host=sink.host, port=sink.port, **line.route)
            for line, sink in zip(table, sinks, strict=True)
        ]
        log, mail = uvloop.run(_work(folder, table, routes))  # as the daemon does
        return {
            line.name: Outcome(
                line,
                list(sink.all),
                [m for m in mail if f"@{line.domain}".encode() in m],
                [entry for entry in log if f"@{line.domain} " in entry],
            )
            for line, sink in zip(table, sinks, strict=True)
        }


async def _work(folder: Path, table: list[Line], routes: list[Route]) -> tuple[list[str], list[bytes]]:
    limits = {
        "connect_timeout_s": 20.0,
        "command_timeout_s": 5.0,
        "data_timeout_s": 5.0,
        "end_timeout_s": 5.0,
        "give_up_after_s": 60.0,
    }
    kit: EngineKit
    async with running(folder, *routes, delay_notice_after_s=60.0, **limits) as kit:
        for line in table:
            kit.put(line.address("a"), line.address("b"))
        await kit.until_empty(120)
        return list(kit.log), list(kit.mail(ALICE))


NAMES = [f"{stage} {name}" for stage in STAGES for name in (*TROUBLE, "slow")]


def judge(outcome: Outcome) -> None:
    """The accounting rule."""
    line = outcome.line
    for local in ("a", "b"):
        address = line.address(local)
        copies, reports = outcome.copies(address), [r for r in outcome.reports if address.encode() in r]
        expected = line.expected if local in line.hit else ONCE
        told = [entry for entry in outcome.log if entry.startswith("deferred") and f" to={address} " in entry]
        if expected == BOUNCED:
            assert (len(copies), len(reports)) == (0, 1), outcome.log
            continue
        assert reports == []
        assert all(m.data == MESSAGE for m in copies)
        if expected == DOUBTFUL:
            # P4: the server may have it once more than it said, and it is the same message.
            assert len(outcome.doubtful(address)) in (1, 2), outcome.all
            assert any("possible duplicate" in entry for entry in told), outcome.log
            continue
        assert len(copies) == 1, outcome.all
        assert bool(told) is (expected == LATER), outcome.log


@pytest.mark.parametrize("name", NAMES)
def test_any_reply_at_any_stage_loses_and_doubles_nothing(outcomes: dict[str, Outcome], name: str) -> None:
    # Q1, Q2, Q3, Q4, Q5, Q7, Q8, Q9
    judge(outcomes[name])


def test_a_line_cut_after_any_octet_of_the_message_brings_it_once(outcomes: dict[str, Outcome]) -> None:
    # Q4, S14 from the other side
    cut = [outcome for name, outcome in outcomes.items() if name.startswith("cut after ")]
    assert len(cut) == len(MESSAGE) + 3
    for outcome in cut:
        judge(outcome)


def test_goodbyes_resets_handshakes_and_old_servers(outcomes: dict[str, Outcome]) -> None:
    # Q6, Q9, L13, L15
    for name, outcome in outcomes.items():
        if name not in NAMES and not name.startswith("cut after "):
            judge(outcome)


def test_the_table_meets_every_stage_that_has_a_reply(outcomes: dict[str, Outcome]) -> None:
    met = {name.split(" ")[0] for name in outcomes}
    assert set(DEFAULTS) - {"helo", "noop"} <= met
