"""The filter daemon with real workers: killed, hanging, growing old; and its parent's end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from mailstack.app import filter_pool
from mailstack.app.filter_steps import OUT_OF_MEMORY, Done, Setup
from mailstack.app.filter_worker import (
    load_knowledge,
    load_model,
    load_services,
    read_message,
    shipped_model,
)
from mailstack.filters.compiled import version_of
from mailstack.filters.options import FilterOptions
from mailstack.filters.study import load_corrections, unpack
from mailstack.model.lessons import Lesson
from mailstack.model.verdict import FilterRecipient, Keep
from tests.kit.dns_server import DnsServer
from tests.kit.filter_daemon import MESSAGE, ZONE, request, running
from tests.kit.instance import new_instance
from tests.kit.loops import until
from tests.kit.process import eventually


@pytest.fixture(scope="module")
def dns() -> object:
    with DnsServer(ZONE) as server:
        yield server


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_messages_are_judged_with_dns_in_memory_and_from_a_file(tmp_path: Path, dns: DnsServer) -> None:
    async with running(tmp_path, dns) as daemon:
        answer = await daemon.ask()
        assert answer.verdict.authentication.dmarc.result == "pass"
        assert answer.accounts[0].actions
        spilled = tmp_path / "message"
        spilled.write_bytes(MESSAGE + b"more text\r\n" * 100_000)
        large = await daemon.ask(message=None, path=str(spilled), size_octets=spilled.stat().st_size)
        assert large.verdict.unfiltered == ""
        assert large.verdict.authentication.dmarc.result == "pass"
        forged = await daemon.ask(ip="203.0.113.1")
        assert forged.verdict.action == "reject"
        many = await asyncio.gather(*(daemon.ask() for _ in range(100)))
        assert {a.verdict.unfiltered for a in many} == {""}
        assert daemon.reported[-1] == daemon.server.pool.pids


async def test_a_worker_killed_in_the_middle_costs_nothing(tmp_path: Path, dns: DnsServer) -> None:
    # M19: kill -9 while a step runs; another worker takes the message, the others go on
    async with running(tmp_path, dns) as daemon:
        before = daemon.worker_pids()
        victim = daemon.server.pool.workers[0]
        os.kill(victim.pid, signal.SIGSTOP)  # it takes the next step and does not come back
        asking = [asyncio.create_task(daemon.ask()) for _ in range(20)]
        await until(lambda: victim.job != 0)
        await asyncio.sleep(0.3)  # the other worker serves the rest meanwhile
        os.kill(victim.pid, signal.SIGKILL)
        answers = await asyncio.gather(*asking)
        words = [a.verdict.unfiltered for a in answers]
        assert words.count("") == 20
        assert daemon.aside.entries() == []
        await until(lambda: daemon.idle_workers() == 2)
        assert victim.pid not in daemon.worker_pids()
        assert set(before) != set(daemon.worker_pids())
        assert (await daemon.ask()).verdict.unfiltered == ""


async def test_a_worker_killed_in_a_script_names_it(tmp_path: Path, dns: DnsServer) -> None:
    # V14: the account's copy is kept, and the script can be found by its version
    instance = new_instance(tmp_path / "instance")
    script = b'require "body";\n' + b'if body :raw :matches "*a*b*c*d*e*f*z" { discard; }\n' * 2_000
    with instance.writer() as writer:
        account = writer.accounts.add("bob@example.test")
        writer.scripts.put("bob@example.test", "slow", script)
        writer.scripts.activate("bob@example.test", "slow")
    recipient = FilterRecipient(1, account.id, "bob@example.test", "bob@example.test")
    async with running(tmp_path, dns, instance) as daemon:
        asking = asyncio.create_task(
            daemon.ask(message=MESSAGE + b"abcdefg" * 20_000, recipients=(recipient,))
        )
        await until(lambda: any(w.begun for w in daemon.server.pool.workers))
        victim = next(w for w in daemon.server.pool.workers if w.begun)
        os.kill(victim.pid, signal.SIGKILL)
        answer = await asking
        assert answer.verdict.unfiltered == "filter crashed"
        (said,) = answer.accounts
        assert said.actions == (Keep(implicit=True),)
        assert said.failed is not None and said.failed.died
        assert said.failed.script == "script slow"
        assert said.failed.version == version_of(script)
        # Others go on, and so does the account with a script that ends.
        with instance.writer() as writer:
            writer.scripts.put("bob@example.test", "slow", b"keep;\n")
        again = await daemon.ask(recipients=(recipient,))
        assert again.verdict.unfiltered == "" and again.accounts[0].failed is None


async def test_a_hanging_worker_is_killed_after_its_budget(tmp_path: Path, dns: DnsServer) -> None:
    async with running(tmp_path, dns, step_s=1.5, budget_s=30) as daemon:
        victim = daemon.server.pool.workers[0]
        os.kill(victim.pid, signal.SIGSTOP)
        began = time.monotonic()
        answers = await asyncio.gather(*(daemon.ask() for _ in range(10)))
        assert time.monotonic() - began < 20  # by the step, not by the budget
        words = [a.verdict.unfiltered for a in answers]
        assert words.count("") == 10
        await until(lambda: daemon.idle_workers() == 2)
        await until(lambda: not is_alive(victim.pid))


async def test_all_workers_hanging_are_answered_by_the_deadline(tmp_path: Path, dns: DnsServer) -> None:
    async with running(tmp_path, dns, step_s=1.0, budget_s=1.5) as daemon:
        for worker in daemon.server.pool.workers:
            os.kill(worker.pid, signal.SIGSTOP)
        began = time.monotonic()
        answers = await asyncio.gather(*(daemon.ask() for _ in range(6)))
        assert time.monotonic() - began < 20
        assert all(a.verdict.unfiltered in ("timeout", "filter too slow", "") for a in answers)
        assert any(a.verdict.unfiltered for a in answers)
        await until(lambda: daemon.idle_workers() == 2)
        assert (await daemon.ask(message=MESSAGE + b"another")).verdict.unfiltered == ""


async def test_a_worker_that_talks_nonsense_is_killed(tmp_path: Path, dns: DnsServer) -> None:
    # M19
    async with running(tmp_path, dns) as daemon:
        victim = daemon.server.pool.workers[0]
        os.kill(victim.pid, signal.SIGSTOP)
        asking = asyncio.create_task(daemon.ask())
        await until(lambda: victim.job != 0)
        daemon.server.pool._received(victim, b"nonsense")
        assert (await asking).verdict.unfiltered == ""
        await until(lambda: victim not in daemon.server.pool.workers and daemon.idle_workers() == 2)
        assert (await daemon.ask()).verdict.unfiltered == ""


async def test_what_kills_worker_after_worker_is_set_aside(tmp_path: Path, dns: DnsServer) -> None:
    # M19: tried once more, then unfiltered; its like is not given to a worker again
    async with running(tmp_path, dns) as daemon:
        killer = MESSAGE + b"killer " * 50
        for worker in daemon.server.pool.workers:
            os.kill(worker.pid, signal.SIGSTOP)
        asking = asyncio.create_task(daemon.ask(message=killer, accept_id="the-killer"))
        for _ in range(2):
            await until(lambda: any(w.job for w in daemon.server.pool.workers))
            victim = next(w for w in daemon.server.pool.workers if w.job)
            os.kill(victim.pid, signal.SIGKILL)
            await until(lambda gone=victim: gone not in daemon.server.pool.workers)  # type: ignore[misc]
            for worker in daemon.server.pool.workers:
                os.kill(worker.pid, signal.SIGSTOP)
        answer = await asking
        assert answer.verdict.unfiltered == "filter crashed"
        assert answer.verdict.aside == "the-killer"
        (entry,) = daemon.aside.entries()
        assert (entry.id, entry.why, entry.ip) == ("the-killer", "filter crashed", "192.0.2.1")
        assert daemon.aside.message("the-killer") == killer
        # Another header, the same body: no worker sees it.
        await until(lambda: daemon.idle_workers() == 2)
        before = daemon.worker_pids()
        again = await daemon.ask(message=b"Subject: other\r\n" + killer)
        assert again.verdict.unfiltered == "it ended the filter before"
        assert daemon.worker_pids() == before
        for worker in daemon.server.pool.workers:
            os.kill(worker.pid, signal.SIGCONT)
        assert (await daemon.ask()).verdict.unfiltered == ""


async def test_what_is_not_done_in_time_is_set_aside(tmp_path: Path, dns: DnsServer) -> None:
    # M19: a step that outlasts the message's budget; what only waited its turn is not to blame
    async with running(tmp_path, dns, workers=1, step_s=1, budget_s=1.2) as daemon:
        (worker,) = daemon.server.pool.workers
        os.kill(worker.pid, signal.SIGSTOP)
        spilled = tmp_path / "message"
        spilled.write_bytes(MESSAGE + b"more text\r\n" * 100_000)
        slow = asyncio.create_task(
            daemon.ask(message=None, path=str(spilled), size_octets=spilled.stat().st_size, accept_id="slow")
        )
        await until(lambda: worker.job != 0)
        waiting = asyncio.create_task(daemon.ask(accept_id="waiting"))
        answer = await slow
        spilled.unlink()
        assert answer.verdict.unfiltered in ("filter too slow", "timeout")
        assert answer.verdict.aside == "slow"
        assert daemon.aside.path_of("slow").stat().st_size > 1_000_000
        await waiting
        assert [entry.id for entry in daemon.aside.entries()] == ["slow"]


async def test_all_memory_taken_is_the_same_as_a_death(tmp_path: Path, dns: DnsServer) -> None:
    # M12, M19: what a worker's limit stops is delivered; the worker is replaced
    async with running(tmp_path, dns) as daemon:
        server = daemon.server
        for worker in server.pool.workers:
            os.kill(worker.pid, signal.SIGSTOP)
        asking = asyncio.create_task(daemon.ask(accept_id="large"))
        for _ in range(2):
            await until(lambda: any(w.job and not w.is_retired for w in server.pool.workers))
            victim = next(w for w in server.pool.workers if w.job and not w.is_retired)
            done = Done(victim.job, problem=OUT_OF_MEMORY, retire=True)
            server.pool._received(victim, msgspec.msgpack.encode(done))
            os.kill(victim.pid, signal.SIGCONT)  # it leaves by itself
            for worker in server.pool.workers:
                if not worker.is_retired:
                    os.kill(worker.pid, signal.SIGSTOP)
        answer = await asking
        assert answer.verdict.unfiltered == OUT_OF_MEMORY
        assert answer.verdict.aside == "large"
        for worker in server.pool.workers:
            os.kill(worker.pid, signal.SIGCONT)
        await until(lambda: daemon.idle_workers() == 2)


async def test_who_was_let_go_and_does_not_leave_is_killed(
    tmp_path: Path, dns: DnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filter_pool, "RETIRE_S", 0.2)
    async with running(tmp_path, dns) as daemon:
        slow, other = daemon.server.pool.workers
        os.kill(slow.pid, signal.SIGSTOP)
        daemon.server.pool.retire(slow)
        await until(lambda: not is_alive(slow.pid))
        await until(lambda: daemon.idle_workers() == 2)
        assert other in daemon.server.pool.workers


async def test_an_error_in_the_filter_is_set_aside_at_once(tmp_path: Path, dns: DnsServer) -> None:
    async with running(tmp_path, dns) as daemon:
        victim = daemon.server.pool.workers[0]
        for worker in daemon.server.pool.workers:
            os.kill(worker.pid, signal.SIGSTOP)
        asking = asyncio.create_task(daemon.ask(accept_id="odd"))
        await until(lambda: victim.job != 0)
        done = Done(victim.job, problem="KeyError in the filter")
        daemon.server.pool._received(victim, msgspec.msgpack.encode(done))
        answer = await asking
        assert (answer.verdict.unfiltered, answer.verdict.aside) == ("KeyError in the filter", "odd")
        for worker in daemon.server.pool.workers:
            os.kill(worker.pid, signal.SIGCONT)


async def test_the_nursery_may_die_too(tmp_path: Path, dns: DnsServer) -> None:
    async with running(tmp_path, dns) as daemon:
        before = daemon.server.pool.pids
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        await until(lambda: not set(before) & set(daemon.server.pool.pids))
        await until(lambda: daemon.idle_workers() == 2)
        assert (await daemon.ask()).verdict.unfiltered == ""


async def test_a_dead_nursery_is_replaced_before_it_is_needed(tmp_path: Path, dns: DnsServer) -> None:
    async with running(tmp_path, dns) as daemon:
        nursery, *workers = daemon.server.pool.pids
        os.kill(nursery, signal.SIGKILL)
        await until(lambda: daemon.server.pool.pids[0] not in (nursery, *workers))
        assert daemon.reported[-1] == daemon.server.pool.pids
        assert daemon.worker_pids() == workers


async def test_workers_are_replaced_when_they_grow_old(tmp_path: Path, dns: DnsServer) -> None:
    async with running(tmp_path, dns, worker_messages=5) as daemon:
        before = daemon.worker_pids()
        answers = await asyncio.gather(*(daemon.ask() for _ in range(40)))
        assert {a.verdict.unfiltered for a in answers} == {""}
        await until(lambda: not set(before) & set(daemon.worker_pids()))
        await until(lambda: not any(map(is_alive, before)))


async def test_slow_dns_delays_only_its_own_message(tmp_path: Path, dns: DnsServer) -> None:
    # D2
    async with running(tmp_path, dns, dns_try_s=1.0) as daemon:
        slow = asyncio.create_task(daemon.ask(sender="x@slow.test"))
        await asyncio.sleep(0.05)
        for _ in range(20):
            assert (await daemon.ask()).verdict.unfiltered == ""
        assert not slow.done()
        assert (await slow).verdict.authentication.spf.result == "temperror"


async def test_too_many_jobs_are_answered_at_once(tmp_path: Path, dns: DnsServer) -> None:
    async with running(tmp_path, dns, dns_try_s=0.5, jobs=3) as daemon:
        answers = await asyncio.gather(*(daemon.ask(sender="x@slow.test") for _ in range(10)))
        assert [a.verdict.unfiltered for a in answers].count("filter busy") == 7


async def test_a_client_that_leaves_takes_its_jobs_along(tmp_path: Path, dns: DnsServer) -> None:
    async with running(tmp_path, dns, dns_try_s=1.0) as daemon:
        asking = asyncio.create_task(daemon.ask(sender="x@slow.test"))
        await until(lambda: len(daemon.server._jobs) == 1)
        await daemon.client.close()
        await until(lambda: not daemon.server._jobs)
        assert daemon.server._held == 0
        assert (await asking).verdict.unfiltered == "filter gone"


async def test_garbage_on_the_socket_ends_that_connection_only(tmp_path: Path, dns: DnsServer) -> None:
    async with running(tmp_path, dns) as daemon:
        reader, writer = await asyncio.open_unix_connection(daemon.path)
        writer.write(b"\x00\x00\x00\x04junk")
        assert await reader.read() == b""
        writer.close()
        assert (await daemon.ask()).verdict.unfiltered == ""


async def test_a_missing_file_is_one_unfiltered_message(tmp_path: Path, dns: DnsServer) -> None:
    async with running(tmp_path, dns) as daemon:
        answer = await daemon.ask(message=None, path=str(tmp_path / "nowhere"))
        assert answer.verdict.unfiltered == "FileNotFoundError in the filter"
        assert (await daemon.ask()).verdict.unfiltered == ""


def test_workers_die_with_their_parent(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from mailstack.app.filter_pool import Pool\n"
        "from mailstack.app.filter_steps import Setup\n"
        "from mailstack.filters.options import FilterOptions\n"
        "async def main():\n"
        "    pool = Pool(Setup(FilterOptions(), 'mx'), done=print, lost=print, changed=lambda: None)\n"
        "    await pool.start()\n"
        "    print(*pool.pids, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 3
    parent.kill()
    parent.wait()
    parent.stdout.close()
    eventually(lambda: not any(map(is_alive, pids)), explain=lambda: "a worker outlived its parent")


def test_a_worker_has_little_memory_and_no_core(tmp_path: Path) -> None:
    from mailstack.app import filter_worker

    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        import resource

        filter_worker._limit(Setup(FilterOptions(), "mx"))
        limits = [
            resource.getrlimit(r) for r in (resource.RLIMIT_AS, resource.RLIMIT_CORE, resource.RLIMIT_NOFILE)
        ]
        theirs.send(repr(limits).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    assert ours.recv(200) == b"[(536870912, 536870912), (0, 0), (64, 64)]"
    ours.close()
    theirs.close()


@pytest.mark.parametrize("content", [None, b"", b"garbage", b"mailstack model\n" + b"\0" * 100])
def test_a_broken_model_file_falls_back_to_the_shipped_one(tmp_path: Path, content: bytes | None) -> None:
    # M20
    file = tmp_path / "model.bin"
    if content is not None:
        file.write_bytes(content)
    trained = load_model(str(file))
    assert trained is not None
    assert trained.fingerprint == load_model("").fingerprint  # type: ignore[union-attr]


@pytest.mark.parametrize("content", [None, b"", b"[networks", b"\xff", b"#" * 1_048_577])
def test_a_broken_services_file_leaves_the_shipped_ones(tmp_path: Path, content: bytes | None) -> None:
    # M20
    file = tmp_path / "services.toml"
    if content is not None:
        file.write_bytes(content)
    assert load_services(str(file)) == load_services("")
    file.write_text('[networks]\n"Village" = "village.example"')
    assert load_services(str(file)).social["village.example"] == "Village"


def test_companies_of_the_operator_are_added_and_a_bad_file_is_left_out(tmp_path: Path) -> None:
    # M20
    brands, hosts = tmp_path / "brands.toml", tmp_path / "hosts.toml"
    brands.write_text('[local]\n"Brookbank" = "brookbank.example"\n', "utf-8")
    hosts.write_text("[shared", "utf-8")
    options = FilterOptions(brands_file=str(brands), hosts_file=str(hosts))
    known = load_knowledge(options)
    assert [brand.name for brand in known.owners("mail.brookbank.example")] == ["Brookbank"]
    assert known.shared_kind("x.web.app") == "site"
    assert load_knowledge(FilterOptions()) is load_knowledge(FilterOptions(hosts_file=str(hosts)))


def test_the_shipped_model_is_small() -> None:
    assert shipped_model().stat().st_size < 4_194_304


def test_an_empty_file_is_an_empty_message(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    assert read_message(request(message=None, path=str(tmp_path / "empty"))) == b""


async def test_stored_mail_is_studied_and_lessons_become_corrections(tmp_path: Path, dns: DnsServer) -> None:
    async with running(tmp_path, dns) as daemon:
        nothing: dict[str, object] = {"ip": "", "helo": "", "sender": "", "recipients": ()}
        found = (await daemon.ask(wants="digest", **nothing)).digest
        assert found is not None and found.author == "alice@example.net"
        lesson = Lesson(
            found.id, "spam", "ham", 1.0, "place", 0.0, found.indexes, found.logit, features=found.features
        )
        answer = await daemon.ask(wants="corrections", lessons=(lesson,) * 3, message=b"", **nothing)
        assert load_corrections(answer.corrections).spam(unpack(found.indexes)) > 1
