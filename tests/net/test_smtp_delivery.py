"""One message to one destination: hosts in turn, TLS by grades, connections kept."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mailstack.delivery import convert
from mailstack.delivery.options import Route
from mailstack.delivery.remote import Host
from mailstack.net.smtp_client import Connection
from mailstack.net.smtp_delivery import has_address
from tests.kit.certificates import write
from tests.kit.loops import until
from tests.kit.smtp_delivery import Zone, codes, deliver, delivery, entry
from tests.kit.smtp_sink import CLOSE, HANG, SmtpSink


async def test_a_message_finds_its_way_by_mx() -> None:
    with SmtpSink() as sink:
        async with delivery(sink) as made:
            trial = await deliver(made)
        (tried,) = trial.recipients
        assert (tried.answer.reply.code, tried.host) == (250, "mx.y.test[127.0.0.1]")
        assert tried.relays_report
        assert not trial.is_dead
        assert sink.messages[0].recipients == ("b@y.test",)


async def test_a_static_route_needs_no_dns() -> None:
    zone = Zone()
    with SmtpSink() as sink:
        route = Route(domain="y.test", host="127.0.0.1", port=sink.port)
        async with delivery(zone=zone, route=(route,), allow_loopback=False) as made:
            assert codes(await deliver(made)) == [250]
    assert zone.asked == []


async def test_what_dns_says_against_it_is_the_answer_for_all() -> None:
    async with delivery(zone=Zone(y_test={"MX": [(0, "")]})) as made:
        trial = await deliver(made, entry("b@y.test", "c@y.test"))
    assert codes(trial) == [556, 556]
    assert trial.recipients[0].host == ""


# -- hosts in turn


def two_hosts(first: SmtpSink, second: SmtpSink) -> dict[str, Any]:
    """Both sinks must listen on the same port of two loopback addresses."""
    zone = Zone(
        y_test={"MX": [(10, "a.y.test"), (20, "b.y.test")]},
        a_y_test={"A": [first.host]},
        b_y_test={"A": [second.host]},
    )
    return {"zone": zone, "port": first.port}


@pytest.mark.parametrize(
    "replies",
    [
        {"greeting": "554 5.7.1 go away"},
        {"greeting": "421 4.7.0 busy"},
        {"greeting": CLOSE},
        {"greeting": HANG},
        {"ehlo": "450 no"},
        {"mail": "451 4.3.0 later"},
        {"rcpt": "450 4.2.1 later"},
        {"data": "451 later"},
        {"end": "452 4.3.1 full"},
    ],
    ids=str,
)
async def test_what_the_best_host_does_not_take_goes_to_the_next(replies: dict[str, Any]) -> None:
    # Q1, Q2, Q8; RFC 5321 section 5.1
    with SmtpSink(replies=replies) as first, SmtpSink(host="127.0.0.2", port=first.port) as second:
        patience = {"command_timeout_s": 1} if HANG in replies.values() else {}
        async with delivery(**two_hosts(first, second), **patience) as made:
            trial = await deliver(made)
    assert codes(trial) == [250]
    assert trial.recipients[0].host == "b.y.test[127.0.0.2]"
    assert len(second.messages) == 1


@pytest.mark.parametrize(
    "replies", [{"rcpt": "550 5.1.1 no"}, {"mail": "550 no"}, {"end": "554 5.6.0 no"}], ids=str
)
async def test_what_the_best_host_refuses_for_good_is_refused(replies: dict[str, Any]) -> None:
    with SmtpSink(replies=replies) as first, SmtpSink(host="127.0.0.2", port=first.port) as second:
        async with delivery(**two_hosts(first, second)) as made:
            assert codes(await deliver(made))[0] in (550, 554)
    assert second.connections == 0


async def test_a_message_we_fail_on_leaves_no_connection_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(content: object) -> None:
        raise ValueError("a part nobody expected")

    monkeypatch.setattr(convert, "seven_bit", fails)
    with SmtpSink(extensions=()) as sink:
        async with delivery(sink) as made:
            with pytest.raises(ValueError, match="nobody expected"):
                await deliver(made, entry(has_8bit=True))
            async with asyncio.timeout(60):
                while sink.open_now:
                    await asyncio.sleep(0.01)
        assert sink.connections == 1


async def test_each_recipient_is_sent_to_once() -> None:
    # Q3
    replies = {"rcpt": {"later@y.test": "450 4.2.0 later", "no@y.test": "550 5.1.1 no"}}
    with SmtpSink(replies=replies) as first, SmtpSink(host="127.0.0.2", port=first.port) as second:
        async with delivery(**two_hosts(first, second)) as made:
            trial = await deliver(made, entry("ok@y.test", "later@y.test", "no@y.test"))
    assert codes(trial) == [250, 250, 550]
    assert [m.recipients for m in first.messages] == [("ok@y.test",)]
    assert [m.recipients for m in second.messages] == [("later@y.test",)]


async def test_what_one_host_took_counts_although_we_fail_on_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # P4: the message would be sent again to who has it.
    replies = {"rcpt": {"later@y.test": "450 4.2.0 later"}}
    with SmtpSink(replies=replies) as first, SmtpSink(host="127.0.0.2", port=first.port) as second:
        async with delivery(**two_hosts(first, second)) as made:
            open_, opened = made.opener.open, list[Host]()

            async def fails(host: Host, *arguments: Any, **options: Any) -> Connection:
                opened.append(host)
                if len(opened) > 1:
                    raise ValueError("an answer nobody expected")
                return await open_(host, *arguments, **options)

            monkeypatch.setattr(made.opener, "open", fails)
            trial = await deliver(made, entry("ok@y.test", "later@y.test"))
    assert codes(trial) == [250, 450]
    assert len(opened) == 2


async def test_what_one_host_took_counts_although_we_are_stopped_at_the_next() -> None:
    # F37: a stop cuts off what is under way, and nothing that has come to its end.
    replies = {"rcpt": {"later@y.test": "450 4.2.0 later"}}
    hanging = {"greeting": [HANG]}
    with (
        SmtpSink(replies=replies) as first,
        SmtpSink(host="127.0.0.2", port=first.port, replies=hanging) as second,
    ):
        async with delivery(**two_hosts(first, second)) as made:
            task = asyncio.create_task(deliver(made, entry("ok@y.test", "later@y.test")))
            await until(lambda: second.connections == 1)
            task.cancel()
            assert codes(await task) == [250, 450]


async def test_a_possible_duplicate_is_not_sent_to_the_next_host() -> None:
    # Q4, P4
    with SmtpSink(replies={"end": CLOSE}) as first, SmtpSink(host="127.0.0.2", port=first.port) as second:
        async with delivery(**two_hosts(first, second)) as made:
            trial = await deliver(made)
    assert trial.recipients[0].answer.is_possible_duplicate
    assert trial.recipients[0].answer.reply.code == 451
    assert second.connections == 0


async def test_an_address_that_does_not_answer_is_passed_over_in_the_same_attempt() -> None:
    # Q12
    with SmtpSink() as sink:
        zone = Zone(y_test={"AAAA": ["2001:db8::1"], "A": ["127.0.0.1"]})
        async with delivery(sink, zone, connect_timeout_s=1) as made:
            assert codes(await deliver(made)) == [250]


async def test_no_more_hosts_are_talked_to_than_allowed() -> None:
    sinks: list[SmtpSink] = []
    for n in range(1, 5):
        sinks.append(
            SmtpSink({"mail": "451 later"}, host=f"127.0.0.{n}", port=sinks[0].port if sinks else 0).start()
        )
    zone = Zone(y_test={"A": [sink.host for sink in sinks]})
    async with delivery(sinks[0], zone, max_sessions=2) as made:
        trial = await deliver(made)
    assert codes(trial) == [451]
    assert [sink.connections for sink in sinks] == [1, 1, 0, 0]
    for sink in sinks:
        sink.stop()


async def test_nobody_anywhere_is_a_dead_destination() -> None:
    with SmtpSink() as sink:
        port = sink.port
    async with delivery(port=port) as made:
        trial = await deliver(made)
    assert trial.is_dead
    assert str(trial.recipients[0].answer.reply).startswith("451 4.4.1 No connection to mx.y.test[127.0.0.1]")


@pytest.mark.parametrize(
    ("greeting", "code"),
    [("554 5.7.1 your address is listed", 451), ("521 no mail here", 556), ("421 busy", 421)],
)
async def test_a_host_that_refuses_to_talk_defers_unless_it_never_takes_mail(
    greeting: str, code: int
) -> None:
    # Q2; RFC 7504
    with SmtpSink(replies={"greeting": greeting}) as sink:
        async with delivery(sink) as made:
            trial = await deliver(made)
    assert codes(trial) == [code]
    assert trial.is_dead


@pytest.mark.parametrize(
    ("replies", "less", "pause"),
    [
        ({"mail": "421 4.7.0 slow"}, True, True),
        ({"greeting": "421 busy"}, True, True),
        ({"rcpt": "450 4.7.1 grey"}, True, False),
        ({"rcpt": "450 4.2.1 x"}, False, False),
        ({"rcpt": "550 5.7.1 x"}, False, False),
    ],
)
async def test_a_host_that_wants_less_or_a_pause_is_noticed(
    replies: dict[str, Any], less: bool, pause: bool
) -> None:
    # Q14
    with SmtpSink(replies=replies) as sink:
        async with delivery(sink) as made:
            trial = await deliver(made)
    assert (trial.wants_less, trial.wants_pause) == (less, pause)


# -- too many recipients


async def test_recipients_above_the_servers_limit_follow_at_once() -> None:
    # RFC 5321 section 4.5.3.1.10
    said: list[str] = []

    def limited(address: str) -> str:
        said.append(address)
        return "452 4.5.3 too many recipients" if len(said) % 3 == 0 else "250 ok"

    with SmtpSink(replies={"rcpt": limited}) as sink:
        async with delivery(sink) as made:
            trial = await deliver(made, entry(*(f"u{n}@y.test" for n in range(6))))
    assert codes(trial) == [250] * 6
    assert sorted(r for m in sink.messages for r in m.recipients) == [f"u{n}@y.test" for n in range(6)]


async def test_a_server_that_takes_none_is_not_asked_for_ever() -> None:
    with SmtpSink(replies={"rcpt": "452 4.5.3 too many"}) as sink:
        async with delivery(sink) as made:
            assert codes(await deliver(made)) == [452]
    assert len([c for c in sink.commands if c.startswith("RCPT")]) == 1


# -- TLS


async def test_tls_that_fails_is_followed_by_clear_text_at_once_and_remembered() -> None:
    # L13
    with SmtpSink(extensions=("STARTTLS", "PIPELINING")) as sink:
        async with delivery(sink, session_idle_s=0) as made:
            assert codes(await deliver(made)) == [250]
            tried = sink.connections
            assert codes(await deliver(made)) == [250]
    assert tried == 3  # modern, legacy, clear
    assert sink.connections == tried + 1
    assert [m.tls for m in sink.messages] == ["", ""]


async def test_tls_that_is_required_never_falls_back(tmp_path: Path) -> None:
    with SmtpSink(extensions=("STARTTLS",)) as sink:
        async with delivery(sink, tls="require") as made:
            assert codes(await deliver(made)) == [451]
    assert sink.messages == []
    with SmtpSink(extensions=("STARTTLS",), tls=write(tmp_path)) as sink:
        async with delivery(sink, tls="require") as made:
            assert (await deliver(made)).recipients[0].tls.startswith("TLSv1.3")


# -- connections that are kept


async def test_the_next_message_uses_the_same_connection() -> None:
    with SmtpSink() as sink:
        async with delivery(sink) as made:
            for _ in range(3):
                await deliver(made)
            assert "QUIT" not in sink.commands
        assert sink.connections == 1
        assert len(sink.messages) == 3
        assert sink.commands[-1] == "QUIT"


async def test_a_connection_carries_a_limited_number_of_messages() -> None:
    with SmtpSink() as sink:
        async with delivery(sink, messages_per_session=2) as made:
            for _ in range(5):
                await deliver(made)
        assert sink.connections == 3


async def test_an_idle_connection_is_left_after_a_while() -> None:
    with SmtpSink() as sink:
        async with delivery(sink, session_idle_s=0.1) as made:
            await deliver(made)
            async with asyncio.timeout(30):
                while sink.commands[-1] != "QUIT":
                    await asyncio.sleep(0.02)
            await deliver(made)
        assert sink.connections == 2


@pytest.mark.parametrize("last", ["421 4.4.2 idle", CLOSE])
async def test_a_connection_the_server_gave_up_is_replaced_without_a_second_try(last: str) -> None:
    with SmtpSink(replies={"mail": ["250 ok", last]}) as sink:
        async with delivery(sink) as made:
            assert codes(await deliver(made)) == [250]
            assert codes(await deliver(made)) == [250]
        assert sink.connections == 2
        assert len(sink.messages) == 2


async def test_a_refusal_over_a_kept_connection_is_not_asked_again() -> None:
    with SmtpSink(replies={"rcpt": ["250 ok", "450 4.2.1 later"]}) as sink:
        async with delivery(sink) as made:
            await deliver(made)
            assert codes(await deliver(made)) == [450]
        assert sink.connections == 1


async def test_connections_of_other_destinations_are_not_mixed_up() -> None:
    with SmtpSink() as sink:
        zone = Zone(y_test={"A": ["127.0.0.1"]}, z_test={"A": ["127.0.0.1"]})
        async with delivery(sink, zone) as made:
            await deliver(made, entry("b@y.test"))
            await deliver(made, entry("b@z.test"))
        assert sink.connections == 2


# -- what is sent


async def test_reports_never_ask_for_content() -> None:
    # RFC 3461 section 6.1
    with SmtpSink() as sink:
        async with delivery(sink) as made:
            await deliver(made, entry(kind="dsn", ret="FULL", sender="", envid="e"))
            await deliver(made, entry(ret="FULL"))
        assert "RET" not in sink.messages[0].parameters["mail"]
        assert "RET=FULL" in sink.messages[1].parameters["mail"]


@pytest.mark.parametrize(("eight_bit", "code"), [("bounce", 554), ("send", 250)])
async def test_8_bit_mail_for_an_old_server_follows_the_option(eight_bit: str, code: int) -> None:
    # Q9
    with SmtpSink(extensions=("PIPELINING",)) as sink:
        async with delivery(sink, eight_bit=eight_bit) as made:
            trial = await deliver(made, entry(has_8bit=True, kind="relay"))
    assert codes(trial) == [code]


def test_our_own_addresses_are_known() -> None:
    assert has_address("127.0.0.1")
    assert not has_address("192.0.2.1")
    assert not has_address("2001:db8::1")
