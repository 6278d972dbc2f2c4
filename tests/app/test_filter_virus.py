"""The filter daemon with a virus scanner beside it: refused, filed, marked; slow, gone, lying.

Source: product page, section 2.7; M12, M22.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstack.filters import explain
from mailstack.model.verdict import FileInto, FilterRecipient, Keep
from mailstack.net.clamd_options import ClamdOptions
from tests.kit.clamd import NAME, VIRUS, FakeClamd, real_clamd
from tests.kit.dns_server import DnsServer
from tests.kit.filter_daemon import MESSAGE, ZONE, running
from tests.kit.instance import new_instance
from tests.kit.loops import until

BAD = MESSAGE + VIRUS + b"\r\n"


@pytest.fixture(scope="module")
def dns() -> Iterator[DnsServer]:
    with DnsServer(ZONE) as server:
        yield server


@pytest.fixture(scope="module")
def clamd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with real_clamd(tmp_path_factory.mktemp("clamd")) as address:
        yield address


def options(address: str, **changes: object) -> ClamdOptions:
    return ClamdOptions(address=address, **changes)  # type: ignore[arg-type]


async def test_a_virus_is_refused_by_name(tmp_path: Path, dns: DnsServer, clamd: str) -> None:
    async with running(tmp_path, dns, clamd=options(clamd, budget_s=30), budget_s=60) as daemon:
        clean = await daemon.ask()
        assert (clean.verdict.action, clean.verdict.virus.result) == ("accept", "clean")
        assert b"X-Mailstack-Virus: clean\r\n" in explain.headers(clean.verdict)
        found = (await daemon.ask(message=BAD)).verdict
        assert (found.action, found.reply_code, found.reply_status) == ("reject", 550, "7.1")
        assert found.reply_text == f"The message holds a virus: {NAME}"
        assert found.authentication.dmarc.result == "pass"
        assert f"X-Mailstack-Virus: found; name={NAME}\r\n".encode() in explain.headers(found)
        assert "virus:0.00" in explain.verdict(found)
        spilled = tmp_path / "message"
        spilled.write_bytes(MESSAGE + b"more text\r\n" * 100_000 + VIRUS)
        large = await daemon.ask(message=None, path=str(spilled), size_octets=spilled.stat().st_size)
        assert large.verdict.virus.name == NAME
        # What our own users send is not from outside.
        own = await daemon.ask(message=BAD, login="alice@example.net")
        assert (own.verdict.action, own.verdict.virus.result) == ("accept", "")


async def test_a_virus_is_filed_whatever_lists_and_switches_say(tmp_path: Path, dns: DnsServer) -> None:
    instance = new_instance(tmp_path / "instance")
    with instance.writer() as writer:
        account = writer.accounts.add("bob@example.test")
    instance.cli("list", "allow", "bob@example.test", "alice@example.net")
    instance.cli("filters", "bob@example.test", "--spam", "off")
    recipient = FilterRecipient(1, account.id, "bob@example.test", "bob@example.test")
    async with FakeClamd(tmp_path, b"stream: Eicar FOUND\0") as fake:
        chosen = options(fake.address, on_virus="spam")
        async with running(tmp_path, dns, instance, clamd=chosen) as daemon:
            answer = await daemon.ask(recipients=(recipient,))
            assert answer.verdict.action == "junk"
            (said,) = answer.accounts
            assert said.klass == "spam"
            assert said.actions == (FileInto("Spam", create=True),)


async def test_a_rule_can_ask_for_it(tmp_path: Path, dns: DnsServer) -> None:
    # RFC 5235: 5 is a virus, 1 is none, 0 is not tested
    instance = new_instance(tmp_path / "instance")
    script = (
        b'require ["virustest", "fileinto", "relational", "comparator-i;ascii-numeric"];\n'
        b'if virustest :value "eq" :comparator "i;ascii-numeric" "5" { fileinto "Bad"; }\n'
        b'elsif virustest :value "eq" :comparator "i;ascii-numeric" "1" { fileinto "Good"; }\n'
        b'elsif virustest :value "eq" :comparator "i;ascii-numeric" "0" { fileinto "Unknown"; }\n'
    )
    with instance.writer() as writer:
        account = writer.accounts.add("bob@example.test")
        writer.scripts.put("bob@example.test", "s", script)
        writer.scripts.activate("bob@example.test", "s")
    recipient = FilterRecipient(1, account.id, "bob@example.test", "bob@example.test")
    async with FakeClamd(tmp_path, b"stream: Eicar FOUND\0") as fake:
        chosen = options(fake.address, on_virus="mark")
        async with running(tmp_path, dns, instance, clamd=chosen) as daemon:
            for answer, folder in (
                (b"stream: Eicar FOUND\0", "Bad"),
                (b"stream: OK\0", "Good"),
                (b"nonsense", "Unknown"),
            ):
                fake.answer = answer
                said = await daemon.ask(recipients=(recipient,))
                assert said.verdict.action == "accept"
                (action,) = said.accounts[0].actions
                assert isinstance(action, FileInto) and action.mailbox == folder


async def test_mail_goes_on_without_it(tmp_path: Path, dns: DnsServer) -> None:
    # M22, and fails open: nonsense, silence, nobody there
    async with FakeClamd(tmp_path, b"stream: OK\nstream: Eicar FOUND\0") as fake:
        chosen = options(fake.address, budget_s=0.3, failures=100)
        async with running(tmp_path, dns, clamd=chosen) as daemon:
            odd = await daemon.ask()
            assert (odd.verdict.action, odd.verdict.unfiltered) == ("accept", "")
            assert b"X-Mailstack-Virus: not scanned; why=clamd answers nonsense" in explain.headers(
                odd.verdict
            )
            fake.wait_s = 30
            began = time.monotonic()
            many = await asyncio.gather(*(daemon.ask() for _ in range(10)))
            assert time.monotonic() - began < 10
            # Eight at a time are asked about; the others may find no free connection in time.
            whys = {one.verdict.virus.why for one in many}
            assert whys - {"too many messages wait for clamd"} == {"clamd does not answer in time"}
            assert {one.verdict.unfiltered for one in many} == {""}
            fake.path.unlink()
            gone = await daemon.ask()
            assert gone.verdict.virus.why.startswith("clamd cannot be reached")
            assert gone.accounts[0].actions == (Keep(implicit=True),)


async def test_it_never_takes_more_than_half_of_the_time(tmp_path: Path, dns: DnsServer) -> None:
    async with FakeClamd(tmp_path, wait_s=30) as fake:
        chosen = options(fake.address, budget_s=30)
        async with running(tmp_path, dns, clamd=chosen, budget_s=3, step_s=1) as daemon:
            answer = await daemon.ask()
            assert answer.verdict.unfiltered == ""
            assert answer.verdict.virus.why == "clamd does not answer in time"


async def test_a_virus_that_kills_the_pipeline_is_still_a_virus(tmp_path: Path, dns: DnsServer) -> None:
    # M12: unfiltered, but the scanner has seen it
    async with (
        FakeClamd(tmp_path, b"stream: Eicar FOUND\0", wait_s=0.3) as fake,
        running(tmp_path, dns, clamd=options(fake.address), workers=1) as daemon,
    ):
        asking = asyncio.create_task(daemon.ask(message=BAD * 10))
        for _ in range(2):
            await until(lambda: bool(daemon.server.pool.workers))
            (worker,) = daemon.server.pool.workers
            os.kill(worker.pid, signal.SIGSTOP)
            await until(lambda w=worker: w.job != 0 or asking.done())  # type: ignore[misc]
            os.kill(worker.pid, signal.SIGKILL)
            await until(lambda w=worker: w not in daemon.server.pool.workers)  # type: ignore[misc]
        verdict = (await asking).verdict
        assert (verdict.action, verdict.virus.name) == ("reject", "Eicar")


async def test_one_scan_is_never_taken_for_another(tmp_path: Path, dns: DnsServer) -> None:
    async with (
        FakeClamd(tmp_path) as fake,
        running(tmp_path, dns, clamd=options(fake.address), workers=1) as daemon,
    ):
        for answer, result in ((b"stream: OK\0", "clean"), (b"stream: E FOUND\0", "found")) * 3:
            fake.answer = answer
            assert (await daemon.ask()).verdict.virus.result == result
        assert fake.asked == 6
