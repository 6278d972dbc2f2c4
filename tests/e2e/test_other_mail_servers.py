"""Postfix and Exim, both ways: what they send us, what we send them, and what both report."""

from __future__ import annotations

import email
import smtplib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kit import debian
from tests.kit.demo import OFFSETS, Demo, running_demo
from tests.kit.dns_server import DnsServer, Table
from tests.kit.mta import Kind, Mta, running_mta
from tests.kit.ports import free_base
from tests.kit.process import eventually

pytestmark = pytest.mark.debian

ALICE, BOB = "alice@example.test", "bob@example.test"
FAR = "far@peer.test"
TABLE: Table = {
    "peer.test": {"TXT": ["v=spf1 ip4:127.0.0.1 -all"], "MX": [[10, "mx.peer.test"]]},
    "mx.peer.test": {"A": ["127.0.0.1"], "TXT": ["v=spf1 ip4:127.0.0.1 -all"]},
}
#: Addresses there whose mail comes back here, where it is sent there again.
CIRCLES = {"circle@peer.test": "circle@example.test", "round@peer.test": "round@example.test"}


@dataclass(frozen=True)
class Both:
    """Our server, and the other one: mail for peer.test is there, for example.test here."""

    demo: Demo
    peer: Mta

    def from_there(
        self, sender: str, *to: str, mail: tuple[str, ...] = (), rcpt: tuple[str, ...] = ()
    ) -> None:
        """Somebody's program gives a message to the other server."""
        with smtplib.SMTP("127.0.0.1", self.peer.port, "client.peer.test", timeout=30) as client:
            client.ehlo()
            assert client.mail(sender, mail)[0] == 250
            for address in to:
                assert client.rcpt(address, rcpt)[0] == 250
            code, said = client.data(self.message)
            assert code == 250, said

    message: bytes = b""

    def saying(self, mark: str, body: bytes = b"Hello.\r\n", more: str = "") -> Both:
        """With another message."""
        head = f"From: Far <{FAR}>\r\nTo: {ALICE}\r\nSubject: {mark}\r\nMessage-ID: <{mark}@peer.test>\r\n"
        return Both(self.demo, self.peer, f"{head}{more}\r\n".encode() + body)


@pytest.fixture(scope="module", params=["postfix", "exim"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    kind: Kind = request.param
    base = free_base(OFFSETS)
    hops = {BOB: f"lmtp:{base + 24}", "example.test": base + 25, "strict.test": base + 25}
    folder = tmp_path_factory.mktemp(kind) / "demo"
    with (
        DnsServer(TABLE) as dns,
        running_mta(kind, hops, CIRCLES) as peer,
        running_demo(
            folder, "--dns", dns.address, "--outside", f"127.0.0.1:{peer.port}", port_base=base
        ) as demo,
    ):
        yield Both(demo, peer)


def head(message: bytes) -> bytes:
    return message.partition(b"\r\n\r\n")[0]


def body(message: bytes) -> bytes:
    return message.partition(b"\r\n\r\n")[2]


def reports(demo: Demo, address: str, mark: str) -> list[list[dict[str, str]]]:
    """The machine part of each report about a message."""
    return [_machine(m) for m in demo.messages(address) if b"multipart/report" in m and mark.encode() in m]


def _machine(message: bytes) -> list[dict[str, str]]:
    part = email.message_from_bytes(message).get_payload()[1]  # type: ignore[index]
    return [dict(block.items()) for block in part.get_payload()]  # type: ignore[union-attr]


# -- from there to here


def test_what_they_send_arrives_as_it_was(both: Both) -> None:
    text = b".\r\n..x\r\n" + b"y" * 900 + b"\r\nGr\xc3\xbc\xc3\x9fe \xff\r\n\r\n.end\r\n"
    more = (
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
    )
    both.saying("in-1", text, more).from_there(FAR, ALICE, mail=("BODY=8BITMIME",))
    message = both.demo.wait_for_message(ALICE, b"in-1")
    assert body(message) == text
    assert b" by mx.example.test with ESMTPS id " in message.replace(b"\r\n\t", b" ")
    assert b"spf=pass" in message


def test_a_large_message_arrives_whole(both: Both) -> None:
    text = b"".join(b"%07d %s\r\n" % (n, b"z" * 68) for n in range(65_000))
    both.saying("in-large", text).from_there(FAR, ALICE)
    assert body(both.demo.wait_for_message(ALICE, b"in-large", timeout_s=60)) == text


def test_many_recipients_of_one_message_get_one_copy_each(both: Both) -> None:
    others = [f"many{n}@example.test" for n in range(12)]
    for address in others:
        both.demo.cli("user", "add", address, "--password", "a long password 1")
    both.saying("in-many").from_there(FAR, ALICE, *others)
    for address in (ALICE, *others):
        both.demo.wait_for_message(address, b"in-many")
        assert sum(b"Subject: in-many" in m for m in both.demo.messages(address)) == 1


def test_twenty_messages_one_after_the_other_all_arrive(both: Both) -> None:
    for n in range(20):
        both.saying(f"in-row-{n}-").from_there(FAR, ALICE)
    for n in range(20):
        both.demo.wait_for_message(ALICE, f"in-row-{n}-".encode(), timeout_s=60)


def test_an_address_that_does_not_exist_is_their_bounce_with_our_words(both: Both) -> None:
    both.demo.cli("domain", "add", "strict.test")
    both.saying("in-no").from_there(FAR, "nobody@strict.test")
    bounce = both.peer.wait_for(b"nobody@strict.test")
    assert b"5.1.1" in bounce
    assert b"does not exist here" in b" ".join(bounce.split())


def test_internationalized_mail_arrives(both: Both) -> None:
    # RFC 6531
    both.demo.cli("alias", "add", "jürgen@example.test", ALICE)
    both.saying("in-größer").from_there("weit@peer.test", "jürgen@example.test", mail=("SMTPUTF8",))
    message = both.demo.wait_for_message(ALICE, "in-größer".encode())
    assert b"with UTF8SMTPS id" in message


@pytest.mark.parametrize("address", [ALICE, BOB], ids=["smtp", "lmtp"])
def test_they_hear_of_success_when_they_ask(both: Both, address: str) -> None:
    # RFC 3461 section 5.2.3; Bob's mail comes by LMTP
    mark = f"in-dsn-{address[:3]}"
    both.saying(mark).from_there(
        FAR,
        address,
        mail=("RET=HDRS", f"ENVID={mark}"),
        rcpt=("NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;first@elsewhere.test"),
    )
    both.demo.wait_for_message(address, mark.encode())
    report = both.peer.wait_for(f": {mark}\n".encode(), within=b"multipart/report")
    assert b"Action: delivered" in report or b"Action: relayed" in report
    assert b"Original-Recipient: rfc822;first@elsewhere.test" in report
    assert b"\r\nHello.\r\n" not in report


def test_they_hear_nothing_when_they_do_not_want_to(both: Both) -> None:
    both.saying("in-never").from_there(FAR, ALICE, rcpt=("NOTIFY=NEVER",))
    both.demo.wait_for_message(ALICE, b"in-never")
    both.saying("in-after").from_there(FAR, ALICE, rcpt=("NOTIFY=SUCCESS",))
    both.peer.wait_for(b"in-after")
    assert not any(b"in-never" in message for message in both.peer.mail)


def test_mail_by_lmtp_is_answered_by_the_recipient(both: Both) -> None:
    both.saying("in-lmtp").from_there(FAR, BOB)
    message = both.demo.wait_for_message(BOB, b"in-lmtp")
    assert b" by mx.example.test with LMTP" in message.replace(b"\r\n\t", b" ")


def test_exim_sends_chunks(both: Both) -> None:
    # RFC 3030: Exim uses BDAT wherever it is offered, and notes it as K
    if both.peer.kind != "exim":
        pytest.skip("Postfix receives BDAT and never sends it")
    both.saying("in-chunk").from_there(FAR, ALICE)
    both.demo.wait_for_message(ALICE, b"in-chunk")
    assert any(" => alice@example.test" in line and " K " in line for line in both.peer.log.split("\n"))


# -- from here to there


def submit(both: Both, mark: str, *to: str, mail: tuple[str, ...] = (), rcpt: tuple[str, ...] = ()) -> None:
    head_ = f"From: Alice <{ALICE}>\r\nTo: {FAR}\r\nSubject: {mark}\r\n"
    with both.demo.submission(ALICE) as client:
        assert client.mail(ALICE, mail)[0] == 250
        for address in to or (FAR,):
            assert client.rcpt(address, rcpt)[0] == 250
        code, said = client.data(f"{head_}\r\nHello, Grüße.\r\n".encode())
        assert code == 250, said


def test_what_we_send_arrives_signed(both: Both) -> None:
    submit(both, "out-1")
    message = both.peer.wait_for(b"Subject: out-1")
    assert message.count(b"DKIM-Signature:") == 2
    assert b"Return-path: <alice@example.test>".lower() in message.lower()
    assert email.message_from_bytes(message).get_payload(decode=True) == "Hello, Grüße.\r\n".encode()


def test_our_connection_to_them_is_encrypted(both: Both) -> None:
    submit(both, "out-tls")
    message = both.peer.wait_for(b"Subject: out-tls")
    assert b"TLS1" in message or b"TLSv1" in message


def test_their_refusal_comes_back_as_our_report(both: Both) -> None:
    submit(both, "out-no", "no@peer.test", FAR)
    both.peer.wait_for(b"Subject: out-no")
    report = both.demo.wait_for_message(ALICE, b"no@peer.test")
    ((_, fields),) = [_machine(report)]
    assert (fields["Action"], fields["Status"]) == ("failed", "5.1.1")
    assert FAR not in report.decode().partition("message/delivery-status")[2].partition("--=_")[0]


def test_what_they_put_off_waits(both: Both) -> None:
    submit(both, "out-later", "later@peer.test")
    eventually(lambda: "busy" in str(both.demo.json("queue", "list")), explain=both.demo.log)
    (entry,) = both.demo.json("queue", "list")
    assert [one["address"] for one in entry["recipients"]] == ["later@peer.test"]
    both.demo.cli("queue", "remove", entry["id"])


def test_our_users_hear_of_success_from_them(both: Both) -> None:
    # RFC 3461 section 5.2.1: our wish is passed on, their server answers
    submit(both, "out-dsn", mail=("RET=HDRS", "ENVID=out-dsn-1"), rcpt=("NOTIFY=SUCCESS",))
    report = both.demo.wait_for_message(ALICE, b"out-dsn-1")
    assert b"Reporting-MTA: dns; mx.peer.test".lower() in report.lower()
    assert b"Action: delivered" in report or b"Action: relayed" in report


def test_we_send_internationalized_mail(both: Both) -> None:
    submit(both, "out-größer", "jürgen@peer.test", mail=("SMTPUTF8",))
    message = both.peer.wait_for("jürgen@peer.test".encode())
    assert "Subject: out-größer".encode() in message


def test_a_redirection_through_us_reaches_them_and_its_failure_finds_back(both: Both) -> None:
    both.demo.cli("alias", "add", "away@example.test", "no@peer.test")
    both.saying("in-away").from_there(FAR, "away@example.test")
    report = both.peer.wait_for(b"Not delivered: your message to away@example.test")
    assert b"no@peer.test" not in report
    assert b"in-away" in report


# -- circles


def _wait_until_idle(demo: Demo) -> None:
    eventually(lambda: not demo.json("queue", "list"), explain=lambda: demo.json("queue", "list"))


def test_a_circle_of_two_systems_ends_with_one_report_to_our_user(both: Both) -> None:
    # Q11
    both.demo.cli("alias", "add", "circle@example.test", "circle@peer.test")
    submit(both, "out-circle", "circle@example.test")
    # The report quotes the message's header; words of other reports are in her mailbox already.
    both.demo.wait_for_message(ALICE, b"out-circle")
    _wait_until_idle(both.demo)
    about = [m for m in both.demo.messages(ALICE) if b"out-circle" in m]
    assert len(about) == 1, [m[:600] for m in about]
    assert b"5.4.6" in about[0]


def test_a_circle_of_two_systems_ends_with_one_report_to_their_user(both: Both) -> None:
    # Q11, Q17: the report finds back through SRS and makes no other
    both.demo.cli("alias", "add", "round@example.test", "round@peer.test")
    both.saying("in-circle").from_there(FAR, "round@example.test")
    report = both.peer.wait_for(b"in-circle", within=b"5.4.6")
    _wait_until_idle(both.demo)
    assert FAR.encode() in head(report)
    assert len([m for m in both.peer.mail if b"in-circle" in m]) == 1


# -- a program that asks for reports


def test_msmtp_sends_and_asks_for_reports(both: Both, tmp_path: Path) -> None:
    rc = tmp_path / "msmtprc"
    secret = both.demo.users[ALICE].replace("\\", "\\\\").replace('"', '\\"')
    rc.write_text(
        f"account default\nhost localhost\nport {both.demo.port('submission')}\nfrom {ALICE}\n"
        f'auth on\nuser {ALICE}\npassword "{secret}"\ntls on\ntls_starttls on\n'
        f"tls_trust_file {both.demo.state['ca_file']}\ndsn_notify success,failure\ndsn_return headers\n"
    )
    rc.chmod(0o600)
    done: subprocess.CompletedProcess[str] = debian.run(
        [debian.need("msmtp"), "-C", rc, "--", FAR, BOB],
        stdin=f"From: {ALICE}\nTo: {FAR}\nSubject: msmtp-1\n\nHello from msmtp\n",
    )
    assert done.returncode == 0, done.stdout
    both.peer.wait_for(b"Subject: msmtp-1")
    both.demo.wait_for_message(BOB, b"Subject: msmtp-1")

    def actions() -> list[str]:
        return [fields["Action"] for r in reports(both.demo, ALICE, "msmtp-1") for fields in r[1:]]

    eventually(lambda: len(actions()) == 2, explain=actions)
    assert sorted(actions())[0] == "delivered"
