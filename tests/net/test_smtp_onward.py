"""What a message needs of the next host: verified TLS, 7-bit, binary, LMTP."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mailstack.delivery.entry import Entry
from mailstack.delivery.options import QueueOptions, Route
from mailstack.delivery.spool import Content
from mailstack.model.dns import Answer
from mailstack.net.resolver import Budget
from mailstack.net.smtp_delivery import Trial
from tests.kit.certificates import write
from tests.kit.queues import MESSAGE
from tests.kit.smtp_delivery import Zone, codes, delivery, entry
from tests.kit.smtp_sink import EXTENSIONS, SmtpSink

SECURED = (*EXTENSIONS, "REQUIRETLS")
EIGHT_BIT = MESSAGE.replace(b"\r\n\r\n", b"\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n").replace(
    b"Hello.", "Grüße, und noch mehr Text dazu.".encode()
)


@dataclass
class SignedZone(Zone):
    """DNS whose MX records are protected by DNSSEC, or not."""

    is_signed: bool = True
    names: dict[str, dict[str, list[object]]] = field(
        default_factory=lambda: {
            "y.test": {"MX": [(10, "mx.y.test"), (20, "other.y.test")]},
            "mx.y.test": {"A": ["127.0.0.1"]},
            "other.y.test": {"A": ["127.0.0.2"]},
        }
    )

    def __post_init__(self) -> None:
        self.asked = []

    async def lookup(self, name: str, kind: str, *, budget: Budget | None = None) -> Answer:
        records = self.names.get(name, {}).get(kind)
        return Answer("ok", tuple(records), secure=self.is_signed) if records else Answer("nodata")


async def send(
    sink: SmtpSink,
    *,
    data: bytes = MESSAGE,
    what: Entry | None = None,
    zone: Zone | None = None,
    **options: Any,
) -> Trial:
    async with delivery(sink, zone, **options) as made:
        return await made.deliver(what or entry(), Content(data, Path("unused"), len(data)))


def answers(trial: Trial) -> list[str]:
    return [str(tried.answer.reply).partition(" The")[0][:10].strip() for tried in trial.recipients]


# -- REQUIRETLS


@dataclass
class Safe:
    """A host with a certificate for mx.y.test, and who trusts it."""

    tls: tuple[str, str]

    def sink(self, **more: Any) -> SmtpSink:
        return SmtpSink(
            tls=self.tls, **{"extensions": (*EXTENSIONS, "STARTTLS"), "secured_extensions": SECURED, **more}
        )

    async def send(self, sink: SmtpSink, *, trusted: bool = True, signed: bool = True, **facts: Any) -> Trial:
        return await send(
            sink,
            what=entry(requiretls=True, **facts),
            zone=SignedZone(is_signed=signed),
            ca_file=self.tls[0] if trusted else "",
        )


@pytest.fixture
def safe(tmp_path: Path) -> Safe:
    return Safe(write(tmp_path, name="mx.y.test"))


async def test_a_message_for_tls_only_goes_to_a_verified_server_that_promises_the_same(safe: Safe) -> None:
    # RFC 8689 section 4.2.1
    with safe.sink() as sink:
        trial = await safe.send(sink)
    assert codes(trial) == [250]
    assert "REQUIRETLS" in sink.messages[0].parameters["mail"]
    assert sink.messages[0].tls.startswith("TLSv1.")


@pytest.mark.parametrize(
    ("sink_facts", "facts", "status"),
    [
        ({"secured_extensions": EXTENSIONS}, {}, "550 5.7.30"),
        ({"extensions": EXTENSIONS}, {}, "550 5.7.10"),
        ({}, {"trusted": False}, "550 5.7.10"),
        ({}, {"signed": False}, "550 5.7.30"),
        ({"replies": {"starttls": "454 4.7.0 no"}}, {}, "550 5.7.10"),
    ],
    ids=["no promise", "no TLS", "unknown certificate", "no DNSSEC", "TLS refused"],
)
async def test_a_message_for_tls_only_goes_to_nobody_else(
    safe: Safe, sink_facts: dict[str, Any], facts: dict[str, Any], status: str
) -> None:
    with safe.sink(**sink_facts) as sink:
        trial = await safe.send(sink, **facts)
    assert answers(trial) == [status]
    assert sink.all == []
    assert not any(command.startswith("MAIL") for command in sink.commands)


async def test_a_certificate_of_another_name_is_not_the_hosts(tmp_path: Path) -> None:
    other = Safe(write(tmp_path, name="elsewhere.test"))
    with other.sink() as sink:
        assert answers(await other.send(sink)) == ["550 5.7.10"]


async def test_a_host_that_promises_nothing_leaves_it_to_the_next(safe: Safe, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    other = write(tmp_path / "b", name="other.y.test")
    both = tmp_path / "both.pem"
    both.write_bytes(Path(safe.tls[0]).read_bytes() + Path(other[0]).read_bytes())
    with (
        safe.sink(secured_extensions=EXTENSIONS) as first,
        SmtpSink(
            tls=other,
            extensions=(*EXTENSIONS, "STARTTLS"),
            secured_extensions=SECURED,
            host="127.0.0.2",
            port=first.port,
        ) as second,
    ):
        trial = await send(first, what=entry(requiretls=True), zone=SignedZone(), ca_file=str(both))
    assert codes(trial) == [250]
    assert first.all == []
    assert len(second.messages) == 1


async def test_a_host_nobody_can_reach_is_no_reason_to_give_up(safe: Safe) -> None:
    sink = safe.sink()
    sink.stop()
    assert codes(await safe.send(sink)) == [451]


@pytest.mark.parametrize("sink_facts", [{"secured_extensions": EXTENSIONS}, {"extensions": EXTENSIONS}, {}])
@pytest.mark.parametrize("trusted", [True, False])
async def test_a_report_about_it_takes_what_there_is(
    safe: Safe, sink_facts: dict[str, Any], trusted: bool
) -> None:
    # RFC 8689 section 5: the null sender
    with safe.sink(**sink_facts) as sink:
        trial = await safe.send(sink, sender="", trusted=trusted, signed=False)
    assert codes(trial) == [250]
    assert ("REQUIRETLS" in sink.messages[0].parameters["mail"]) is (trusted and not sink_facts)


async def test_a_connection_nobody_verified_is_not_used_for_it(safe: Safe) -> None:
    with safe.sink() as sink:
        async with delivery(sink, SignedZone(), ca_file=safe.tls[0]) as made:
            for requiretls in (False, True, False):
                content = Content(MESSAGE, Path("unused"), len(MESSAGE))
                assert codes(await made.deliver(entry(requiretls=requiretls), content)) == [250]
    assert sink.connections == 2


async def test_a_trust_file_that_is_not_there_fails_no_message(safe: Safe, tmp_path: Path) -> None:
    with safe.sink() as sink:
        zone = SignedZone()
        del zone.names["other.y.test"]
        trial = await send(sink, what=entry(requiretls=True), zone=zone, ca_file=str(tmp_path / "none"))
    assert codes(trial) == [451]
    assert "queue.ca_file" in trial.recipients[0].answer.reply.text


# -- octets


@pytest.mark.parametrize(
    ("kind", "code"), [("dsn", 250), ("submission", 250), ("relay", 554), ("forward", 554)]
)
async def test_8_bit_mail_of_our_own_becomes_7_bit_for_an_old_server(kind: str, code: int) -> None:
    # RFC 6152 section 3
    with SmtpSink(extensions=("PIPELINING", "SIZE")) as sink:
        what = entry(kind=kind, has_8bit=True, size_octets=len(EIGHT_BIT))
        trial = await send(sink, data=EIGHT_BIT, what=what)
    assert codes(trial) == [code]
    if code == 250:
        assert b"Gr=C3=BC=C3=9Fe," in sink.messages[0].data
        assert sink.messages[0].parameters["mail"] == f"SIZE={len(sink.messages[0].data)}"


async def test_a_new_server_gets_it_as_it_is() -> None:
    with SmtpSink() as sink:
        what = entry(has_8bit=True, size_octets=len(EIGHT_BIT))
        assert codes(await send(sink, data=EIGHT_BIT, what=what)) == [250]
    assert sink.messages[0].data == EIGHT_BIT
    assert "BODY=8BITMIME" in sink.messages[0].parameters["mail"]


async def test_signed_parts_are_not_changed_for_anybody() -> None:
    data = (
        b'From: a@x.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary="b"\r\n\r\n'
        b"--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n--b--\r\n"
    )
    with SmtpSink(extensions=("PIPELINING",)) as sink:
        trial = await send(sink, data=data, what=entry(has_8bit=True, size_octets=len(data)))
    assert answers(trial) == ["554 5.6.3"]


async def test_a_header_in_utf8_is_encoded_when_every_address_is_plain() -> None:
    # RFC 6531 section 3.2
    data = MESSAGE.replace(b"hello", "Grüße".encode())
    what = entry(smtputf8=True, has_8bit=True, has_8bit_header=True, size_octets=len(data))
    with SmtpSink(extensions=("PIPELINING", "8BITMIME")) as sink:
        assert codes(await send(sink, data=data, what=what)) == [250]
    assert b"Subject: =?utf-8?" in sink.messages[0].data
    assert "SMTPUTF8" not in sink.messages[0].parameters["mail"]


@pytest.mark.parametrize(
    ("facts", "to", "status"),
    [
        ({"sender": "ä@x.org"}, "b@y.test", "550 5.6.7"),
        ({}, "ü@y.test", "553 5.6.7"),
        ({"kind": "relay", "has_8bit": True, "has_8bit_header": True}, "b@y.test", "554 5.6.9"),
    ],
)
async def test_what_needs_smtputf8_goes_back_where_it_is_not_spoken(
    facts: dict[str, Any], to: str, status: str
) -> None:
    with SmtpSink(extensions=("PIPELINING", "8BITMIME")) as sink:
        trial = await send(sink, what=entry(to, smtputf8=True, **facts))
    assert answers(trial) == [status]


BINARY = (
    b"From: a@x.org\r\nMIME-Version: 1.0\r\nContent-Type: image/png\r\n"
    b"Content-Transfer-Encoding: binary\r\n\r\n" + bytes(range(256))
)


async def test_a_binary_message_arrives_octet_by_octet() -> None:
    # RFC 3030
    with SmtpSink(extensions=(*EXTENSIONS, "CHUNKING", "BINARYMIME")) as sink:
        what = entry(body="BINARYMIME", has_8bit=True, size_octets=len(BINARY), kind="forward")
        assert codes(await send(sink, data=BINARY, what=what)) == [250]
    assert sink.messages[0].data == BINARY
    assert "BODY=BINARYMIME" in sink.messages[0].parameters["mail"]
    assert f"BDAT {len(BINARY)} LAST" in sink.commands


@pytest.mark.parametrize(("kind", "code"), [("submission", 250), ("forward", 554)])
async def test_a_binary_message_of_our_own_is_encoded_where_it_cannot_be_taken(kind: str, code: int) -> None:
    with SmtpSink() as sink:
        what = entry(kind=kind, body="BINARYMIME", has_8bit=True, size_octets=len(BINARY))
        assert codes(await send(sink, data=BINARY, what=what)) == [code]
    if code == 250:
        assert b"Content-Transfer-Encoding: base64\r\n" in sink.messages[0].data
        assert sink.messages[0].data.isascii()


# -- LMTP


@pytest.fixture(params=["tcp", "unix"])
def lists(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[SmtpSink, Route]]:
    replies: dict[str, Any] = {
        "rcpt": {"no@y.test": "550 5.1.1 no such list"},
        "end": {"closed@y.test": "550 5.7.2 closed list", "busy@y.test": "451 4.3.0 busy"},
    }
    socket = str(tmp_path / "l.sock") if request.param == "unix" else ""
    with SmtpSink(replies=replies, lmtp=True, unix=socket, extensions=("PIPELINING", "8BITMIME")) as sink:
        host = f"unix:{socket}" if socket else "127.0.0.1"
        yield sink, Route(domain="y.test", host=host, port=sink.port or 24, protocol="lmtp")


async def test_a_list_manager_answers_for_each_list(lists: tuple[SmtpSink, Route]) -> None:
    sink, route = lists
    to = [f"{name}@y.test" for name in ("a", "no", "closed", "busy", "b")]
    async with delivery(route=(route,)) as made:
        for _ in range(2):
            trial = await made.deliver(entry(*to), Content(MESSAGE, Path("unused"), len(MESSAGE)))
            assert codes(trial) == [250, 550, 550, 451, 250]
    assert all(tried.is_final for tried in trial.recipients if tried.answer.reply.code == 250)
    assert sink.commands[0] == "LHLO us.test"
    assert [m.recipients for m in sink.messages] == [("a@y.test", "b@y.test")] * 2
    assert sink.connections == 1


async def test_what_needs_tls_reaches_a_list_manager_on_this_machine(lists: tuple[SmtpSink, Route]) -> None:
    _, route = lists
    async with delivery(route=(route,)) as made:
        content = Content(MESSAGE, Path("unused"), len(MESSAGE))
        assert codes(await made.deliver(entry("a@y.test", requiretls=True), content)) == [250]


async def test_mail_for_this_machine_needs_no_tls_where_all_other_does(lists: tuple[SmtpSink, Route]) -> None:
    _, route = lists
    async with delivery(route=(route,), tls="require") as made:
        assert codes(await made.deliver(entry("a@y.test"), Content(MESSAGE, Path("x"), len(MESSAGE)))) == [
            250
        ]


async def test_a_list_manager_with_tls_is_spoken_to_under_tls(tmp_path: Path) -> None:
    with SmtpSink(lmtp=True, tls=write(tmp_path), extensions=("STARTTLS",)) as sink:
        route = Route(domain="y.test", host="localhost", port=sink.port, protocol="lmtp")
        zone = Zone(localhost={"A": ["127.0.0.1"]})
        async with delivery(zone=zone, route=(route,)) as made:
            content = Content(MESSAGE, Path("unused"), len(MESSAGE))
            assert codes(await made.deliver(entry("a@y.test"), content)) == [250]
    assert sink.messages[0].tls.startswith("TLSv1.")


async def test_nobody_at_the_socket_is_for_now(tmp_path: Path) -> None:
    route = Route(domain="y.test", host=f"unix:{tmp_path}/none", protocol="lmtp")
    async with delivery(route=(route,)) as made:
        trial = await made.deliver(entry("a@y.test"), Content(MESSAGE, Path("unused"), len(MESSAGE)))
    assert codes(trial) == [451]
    assert trial.is_dead
    assert f"No connection to unix:{tmp_path}/none: No such file" in trial.recipients[0].answer.reply.text


def test_the_options_name_what_is_wrong_with_a_socket() -> None:
    with pytest.raises(Exception, match="a socket's path begins with /"):
        QueueOptions(route=(Route(domain="y.test", host="unix:relative"),))
