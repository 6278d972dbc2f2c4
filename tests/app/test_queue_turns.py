"""Nobody waits behind another's flood: real queue, real sockets."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

from mailstack.delivery import holds
from mailstack.delivery.options import Route
from tests.kit.queue_engine import EngineKit, routes, running
from tests.kit.queues import MESSAGE
from tests.kit.smtp_sink import HANG, SmtpSink

CODE = b"Subject: Your code\r\n\r\nYour code is 482913.\r\n"
NEWS = b"Subject: News\r\nList-Unsubscribe: <https://x.test/>\r\n\r\nNews.\r\n"
ONE_BY_ONE: dict[str, Any] = {"start_concurrency": 1, "max_concurrency": 1}


async def work_until_empty(kit: EngineKit, timeout_s: float = 20.0) -> None:
    work = asyncio.create_task(kit.engine.run(kit.stop))
    await kit.until_empty(timeout_s)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


async def test_q15_one_senders_flood_does_not_hold_up_anothers_letter(tmp_path: Path) -> None:
    with SmtpSink() as sink:
        async with running(tmp_path, *routes(live_test=sink), start=False, **ONE_BY_ONE) as kit:
            for _ in range(100):
                kit.kit.put("b@live.test", sender="flood@example.org", owner="flood@example.org")
            kit.kit.put("b@live.test", sender="one@example.org", owner="one@example.org")
            await work_until_empty(kit)
        senders = [message.sender for message in sink.messages]
        assert len(senders) == 101
        assert senders.index("one@example.org") < 3


async def test_codes_and_letters_overtake_bulk_and_bulk_still_moves(tmp_path: Path) -> None:
    with SmtpSink() as sink:
        async with running(tmp_path, *routes(live_test=sink), start=False, **ONE_BY_ONE) as kit:
            for data, count in ((NEWS, 40), (MESSAGE, 20), (CODE, 20)):
                for _ in range(count):
                    kit.kit.put("b@live.test", data=data, owner="shop@example.org")
            await work_until_empty(kit)
        order = [message.data for message in sink.messages]
        assert len(order) == 80
        last = {data: max(n for n, found in enumerate(order) if found == data) for data in (CODE, MESSAGE)}
        assert last[CODE] < last[MESSAGE] < 60
        assert NEWS in order[:22]  # one of 21 turns


async def test_bulk_for_hosts_that_hang_leaves_deliveries_for_a_code(tmp_path: Path) -> None:
    # Every place bulk may have is taken by destinations that never answer.
    # Whoever connects waits for a greeting for ever.
    with socket.create_server(("0.0.0.0", 0), backlog=50) as silent, SmtpSink() as sink:
        port = silent.getsockname()[1]
        slow = [Route(domain=f"d{n}.test", host=f"127.0.0.{n + 1}", port=port) for n in range(20)]
        few = {"max_deliveries": 10, "max_concurrency": 10, "command_timeout_s": 30}
        async with running(tmp_path, *routes(live_test=sink), *slow, start=False, **few) as kit:
            for n in range(20):
                kit.kit.put(f"b@d{n}.test", data=NEWS, owner=f"news{n}@example.org")
            work = asyncio.create_task(kit.engine.run(kit.stop))
            await kit.until(
                lambda: kit.kit.queue.read("SELECT COUNT(*) FROM recipient WHERE state = 1") == [(8,)]
            )
            kit.put("b@live.test", data=CODE)
            await kit.until(lambda: len(sink.messages) == 1)
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)


async def test_q15_one_senders_mail_for_hosts_that_hang_leaves_deliveries_for_others(tmp_path: Path) -> None:
    # A domain for each recipient costs its owner nothing, and one host that never answers is enough.
    with socket.create_server(("0.0.0.0", 0), backlog=50) as silent, SmtpSink() as sink:
        port = silent.getsockname()[1]
        slow = [Route(domain=f"d{n}.test", host=f"127.0.0.{n + 1}", port=port) for n in range(40)]
        few = {"max_deliveries": 10, "max_concurrency": 10, "command_timeout_s": 30}
        async with running(tmp_path, *routes(live_test=sink), *slow, start=False, **few) as kit:
            for n in range(40):
                kit.kit.put(f"b@d{n}.test", sender="thief@example.org", owner="thief@example.org")
            work = asyncio.create_task(kit.engine.run(kit.stop))
            await kit.until(lambda: len(kit.engine._tasks) >= 7)
            kit.put("b@live.test")
            await kit.until(lambda: len(sink.messages) == 1)
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)


async def test_one_relay_host_that_is_busy_holds_up_no_route_of_its_own(tmp_path: Path) -> None:
    with SmtpSink(replies={"greeting": HANG}) as relay, SmtpSink() as sink:
        options = {"relay_host": relay.host, "relay_port": relay.port, "tls": "none", **ONE_BY_ONE}
        async with running(tmp_path, *routes(live_test=sink), start=False, **options) as kit:
            for n in range(30):
                kit.kit.put(f"b@d{n}.test", sender="")
            kit.kit.put("b@live.test")
            work = asyncio.create_task(kit.engine.run(kit.stop))
            await kit.until(lambda: len(sink.messages) == 1)
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)


async def test_q22_a_held_sender_stops_at_once_and_goes_on_when_released(tmp_path: Path) -> None:
    with SmtpSink() as sink:
        async with running(tmp_path, *routes(live_test=sink)) as kit:
            holds.hold(kit.kit.queue, "sender", "alice@example.org", reason="stolen", who="test")
            held = kit.put("b@live.test")
            kit.put("b@live.test", sender="bob@example.org", owner="bob@example.org")
            await kit.until(lambda: len(sink.messages) == 1)
            assert sink.messages[0].sender == "bob@example.org"
            assert kit.kit.states(held) == [4]
            holds.release(kit.kit.queue, "sender", "alice@example.org")
            kit.engine.wake()
            await kit.until_empty()
        assert len(sink.messages) == 2


async def test_lanes_whose_mail_was_held_cost_the_others_no_time(tmp_path: Path) -> None:
    with SmtpSink() as sink:
        one = {"max_deliveries": 1, **ONE_BY_ONE}
        async with running(tmp_path, *routes(live_test=sink), start=False, **one) as kit:
            for n in range(40):
                kit.kit.put(f"b@d{n}.test", sender="", owner="held@example.org")
            kit.kit.put("b@live.test")
            holds.hold(kit.kit.queue, "sender", "held@example.org", reason="stolen", who="test")
            work = asyncio.create_task(kit.engine.run(kit.stop))
            await kit.until(lambda: len(sink.messages) == 1)
            assert kit.engine._turns._turn > 1  # the others were asked
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
