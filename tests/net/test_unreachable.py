"""Addresses that gave no connection a moment ago."""

import asyncio

from mailstack.delivery.remote import Host
from mailstack.net.unreachable import MAX_ADDRESSES, Unreachable
from tests.kit.ports import free_port
from tests.kit.smtp_delivery import Zone, codes, deliver, delivery
from tests.kit.smtp_sink import SmtpSink

A, B, C = (Host("x.test", f"192.0.2.{n}", 25) for n in (1, 2, 3))


async def test_they_are_tried_last_and_else_the_order_stays() -> None:
    memory = Unreachable(60)
    memory.note(A)
    assert memory.last((A, B, C)) == [B, C, A]
    memory.note(B)
    assert memory.last((A, B, C)) == [C, A, B]
    memory.forget(A)
    assert memory.last((A, B, C)) == [A, C, B]


async def test_the_memory_ends_with_its_time_and_may_be_none() -> None:
    memory = Unreachable(0.01)
    memory.note(A)
    await asyncio.sleep(0.02)
    assert memory.last((A, B)) == [A, B]
    never = Unreachable(0)
    never.note(A)
    assert never.last((A, B)) == [A, B]


async def test_the_memory_is_bounded() -> None:
    memory = Unreachable(60)
    for n in range(MAX_ADDRESSES + 1):
        memory.note(Host("x", f"10.0.{n // 250}.{n % 250}", 25))
    oldest = Host("x", "10.0.0.0", 25)
    assert memory.last((oldest, A)) == [oldest, A]


async def test_the_second_message_goes_to_the_address_that_answers() -> None:
    # Q12
    zone = Zone(y_test={"AAAA": ["::1"], "A": ["127.0.0.1"]})
    with SmtpSink() as sink:
        async with delivery(sink, zone, session_idle_s=0) as made:
            assert codes(await deliver(made)) == [250]
            order = made._unreachable.last((Host("y.test", "::1", sink.port), A))
            assert order[0] == A
            assert codes(await deliver(made)) == [250]


async def test_a_host_that_is_back_is_found_although_it_was_away() -> None:
    port = free_port()
    async with delivery(port=port) as made:
        assert codes(await deliver(made)) == [451]
        with SmtpSink(port=port):
            assert codes(await deliver(made)) == [250]
