"""mailstack report."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Iterator

import pytest

from mailstack.disk.sqlite import open_database
from mailstack.model.verdict import PublishedPolicy
from mailstack.state.dmarc_facts import DmarcFact, DmarcFacts
from mailstack.state.tls_facts import TlsFact, TlsFacts, TlsPolicy
from tests.kit import dmarc_schema
from tests.kit.dns_server import DnsServer
from tests.kit.instance import Instance

DAY_S = 86_400
POLICY = PublishedPolicy("far.test", "none", "mailto:dmarc@far.test,mailto:x@collector.test", "far.test")
FACT = DmarcFact("203.0.113.9", "none", "fail", "fail", "far.test")
DNS = {"_smtp._tls.far.test": {"TXT": ["v=TLSRPTv1; rua=mailto:tls@far.test"]}}


@pytest.fixture
def counted(instance: Instance) -> Iterator[Instance]:
    """An instance with facts of yesterday, and a DNS."""
    dmarc, tls = DmarcFacts(instance.config.paths.state_db), TlsFacts(instance.config.paths.state_db)
    dmarc.note({(POLICY, FACT): 7}, at=time.time() - DAY_S)
    tls.note([TlsFact(TlsPolicy("far.test"))], at=time.time() - DAY_S)
    dmarc.close()
    tls.close()
    with DnsServer(DNS) as server:
        with instance.file.open("a") as file:
            file.write(f'[dns]\nservers = ["{server.address}"]\n')
        yield instance


def queued(instance: Instance) -> list[str]:
    connection = open_database(instance.config.paths.queue_db, read_only=True)
    try:
        return sorted(str(row[0]) for row in connection.execute("SELECT address FROM recipient"))
    finally:
        connection.close()


def test_a_dry_run_says_what_would_be_sent_and_sends_nothing(counted: Instance) -> None:
    rows = counted.cli("report", "send", "--dry-run", "--json").json
    assert [(row["kind"], row["target"], row["outcome"], row["octets"] > 0) for row in rows] == [
        ("dmarc", "mailto:dmarc@far.test", "queued", True),
        ("dmarc", "mailto:x@collector.test", "skipped", False),
        ("tls", "mailto:tls@far.test", "queued", True),
    ]
    assert queued(counted) == []
    nothing = counted.cli("report", "list")
    assert (nothing.out, nothing.err) == ("", "no report was sent in that time\n")


def test_reports_are_sent_once_and_listed(counted: Instance) -> None:
    assert counted.cli("report", "send").code == 0
    assert counted.cli("report", "send").code == 0
    assert queued(counted) == ["dmarc@far.test", "tls@far.test"]
    rows = counted.cli("report", "list", "--domain", "Far.test", "--json").json
    assert [(row["kind"], row["target"], row["outcome"]) for row in rows] == [
        ("dmarc", "mailto:dmarc@far.test", "queued"),
        ("dmarc", "mailto:x@collector.test", "skipped"),
        ("tls", "mailto:tls@far.test", "queued"),
    ]
    shown = counted.cli("queue", "show", rows[0]["queue_id"], "--json")
    assert "Report Domain: far.test" in shown.json["header"]


def test_a_report_is_shown_as_its_readers_unpack_it(counted: Instance) -> None:
    xml = counted.cli("report", "show", "dmarc", "far.test").out
    assert dmarc_schema.check(xml.encode()).findtext(".//{*}count") == "7"
    tls = counted.cli("report", "show", "tls", "FAR.test", "--json").json
    assert json.loads(tls["document"])["policies"][0]["policy"]["policy-domain"] == "far.test"


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("show", "dmarc", "nobody.test"), 66, "nothing was counted"),
        (("send", "--day", "today"), 64, "no day such as"),
        (("send", "--day", "2001-02-03"), 0, "nothing to report"),
    ],
    ids=["unknown", "no day", "long ago"],
)
def test_what_cannot_be_meant_is_said_in_words(
    instance: Instance, words: tuple[str, ...], code: int, text: str
) -> None:
    said = instance.cli("report", *words)
    assert (said.code, text in said.err) == (code, True)


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def test_today_is_not_over_yet(instance: Instance) -> None:
    today = ""
    while today != _today():  # midnight may come between
        today = _today()
        said = instance.cli("report", "send", "--day", today)
    assert (said.code, "not over yet" in said.err) == (65, True)


def test_without_a_key_nobody_reports(counted: Instance) -> None:
    with counted.file.open("a") as file:
        file.write('[reports]\nsender = "reports@elsewhere.test"\n')
    said = counted.cli("report", "send", "--dry-run")
    assert (said.code, "no domain has a DKIM key" in said.err) == (78, True)
