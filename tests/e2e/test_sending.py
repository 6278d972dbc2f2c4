"""As whom and how much a login may send: real daemons, several workers, real sockets."""

from __future__ import annotations

import contextlib
import os
import signal
import smtplib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstack.filters.authentication.sign import sign
from tests.kit import dkim_keys
from tests.kit.demo import PASSWORD, Demo, calm, new_account, running_demo
from tests.kit.dns_server import DnsServer
from tests.kit.process import eventually


@contextlib.contextmanager
def login(demo: Demo, address: str) -> Iterator[smtplib.SMTP_SSL]:
    """A new connection to port 465, logged in; EHLO said again."""
    with smtplib.SMTP_SSL("localhost", demo.port("submissions"), timeout=60, context=demo.tls()) as client:
        client.login(address, demo.users.get(address, PASSWORD))
        client.ehlo()
        yield client


def letter(author: str, *, head: str = "", mark: str = "hello") -> bytes:
    return f"From: {author}\r\nTo: x@outside.test\r\nSubject: {mark}\r\n{head}\r\nHello.\r\n".encode()


def submit(client: smtplib.SMTP, sender: str, to: list[str], message: bytes) -> str:
    """The last reply: of MAIL, of DATA, or of the end of the message."""
    try:
        code, text = client.mail(sender)
        if code == 250:
            for one in to:
                client.rcpt(one)
            code, text = client.data(message)
    except smtplib.SMTPDataError as error:
        code, text = error.smtp_code, error.smtp_error  # type: ignore[assignment]
    client.rset()
    return f"{code} {text.decode()}"


@pytest.fixture
def account(demo: Demo, request: pytest.FixtureRequest) -> str:
    return new_account(demo, request)


# -- recipients -----------------------------------------------------------------------------


def test_of_101_recipients_from_outside_100_get_the_mail_once(demo: Demo, account: str) -> None:
    # S8
    local, _, domain = account.partition("@")
    with demo.smtp() as client:
        client.ehlo()
        client.mail("someone@outside.test")
        replies = [client.rcpt(f"{local}+{n}@{domain}") for n in range(101)]
        assert [code for code, _ in replies[:100]] == [250] * 100
        assert replies[100][0] == 452
        assert replies[100][1].startswith(b"4.5.3 ")
        mark = f"S8 {local}"
        assert client.data(letter("someone@outside.test", mark=mark))[0] == 250
    eventually(
        lambda: sum(mark.encode() in one for one in demo.messages(account)) >= 1,
        30,
        lambda: demo.log()[-2000:],
    )
    # Plus forms are one mailbox: it gets one copy, not a hundred.
    assert sum(mark.encode() in one for one in demo.messages(account)) == 1


@pytest.mark.parametrize(("plan", "limit"), [("normal", 100), ("free", 10)])
def test_one_recipient_too_many_and_nobody_gets_it(demo: Demo, account: str, plan: str, limit: int) -> None:
    # S9, S10
    demo.cli("user", "set", account, "--plan", plan)
    mark = f"S9 {account}"
    with login(demo, account) as client:
        assert f"RCPTMAX={limit}" in client.esmtp_features["limits"]
        client.mail(account)
        assert client.rcpt("bob@example.test")[0] == 250
        replies = [client.rcpt(f"x{n}@outside.test")[0] for n in range(limit - 1)]
        assert replies == [250] * (limit - 1)
        # Duplicates of one address count once.
        assert client.rcpt("X0@outside.test")[0] == 250
        code, text = client.rcpt("one-more@outside.test")
        assert code == 550
        assert text == f"5.5.3 this account may address at most {limit} recipients per message".encode()
        code, text = client.docmd("DATA")
        assert (code, text[:6]) == (554, b"5.5.3 ")
        # The session goes on; the same mail to as many as are allowed goes out.
        assert submit(client, account, ["bob@example.test"], letter(account, mark=mark)).startswith("250 ")
    demo.wait_for_message("bob@example.test", mark.encode(), timeout_s=60)
    assert sum(mark.encode() in one for one in demo.messages("bob@example.test")) == 1


def test_an_alias_with_many_members_is_one_recipient(demo: Demo, account: str) -> None:
    # S11: its members are the alias owner's matter.
    group = f"group-{account}"
    members = [f"m{n}@outside.test" for n in range(120)]
    demo.cli("alias", "add", group, *members)
    demo.cli("user", "limits", account, "--recipients", "2", "--recipients-per-day", "2")
    with login(demo, account) as client:
        assert submit(client, account, [group], letter(account, mark=group)).startswith("250 ")
    assert demo.json("user", "limits", account)["recipients_per_day"]["sent"] == 1


def test_a_size_of_its_own_is_announced_and_kept(demo: Demo, account: str) -> None:
    demo.cli("user", "limits", account, "--message-size", "100K")
    with login(demo, account) as client:
        assert client.esmtp_features["size"] == "102400"
        assert client.mail(account, ["SIZE=102401"])[0] == 552
        client.rset()
        big = letter(account) + b"x" * 70 * 1500 + b"\r\n"
        said = submit(client, account, ["x@outside.test"], big.replace(b"x" * 70, b"x" * 68 + b"\r\n"))
        assert said.startswith("552 ")


# -- hours and days -------------------------------------------------------------------------


def test_however_many_connections_bring_it_exactly_the_limit_goes_out(demo: Demo, account: str) -> None:
    # Q24: connections are spread over all workers.
    demo.cli("user", "limits", account, "--messages-per-hour", "10")
    replies: list[str] = []

    def bring(number: int) -> None:
        with login(demo, account) as client:
            for n in range(4):
                to = [f"q{number}-{n}@outside.test"]
                replies.append(submit(client, account, to, letter(account, mark=f"Q24 {account}")))

    threads = [threading.Thread(target=bring, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(1 for reply in replies if reply.startswith("250 ")) == 10
    refused = [reply for reply in replies if not reply.startswith("250 ")]
    assert len(refused) == 14
    assert all(
        reply.startswith(f"450 4.7.1 {account} may send 10 messages an hour and has sent them; try again in ")
        for reply in refused
    )
    assert demo.json("user", "limits", account)["messages_per_hour"] == {"sent": 10, "limit": 10, "own": True}
    told = demo.wait_for_message(account, b"Subject: Sending limit reached", timeout_s=60)
    assert b"may send 10 messages an hour" in told.replace(b"\r\n", b" ")
    notice = f"Sending limit reached: {account}".encode()
    demo.wait_for_message("alice@example.test", notice, timeout_s=60)  # she is postmaster@
    # One more refusal makes no second notice.
    with login(demo, account) as client:
        assert submit(client, account, ["z@outside.test"], letter(account)).startswith("450 ")
        # Raised limits count in the same session.
        demo.cli("user", "limits", account, "--messages-per-hour", "11")
        assert submit(client, account, ["z@outside.test"], letter(account)).startswith("250 ")
    assert sum(b"Subject: Sending limit reached" in one for one in demo.messages(account)) == 1
    refused = demo.events(account, "refused")
    assert {one["fields"]["check"] for one in refused} == {"messages_per_hour"}


def test_a_device_over_its_limit_is_told_for_good(demo: Demo, account: str) -> None:
    demo.cli("user", "set", account, "--kind", "device")
    demo.cli("user", "limits", account, "--messages-per-day", "1")
    with login(demo, account) as client:
        assert submit(client, account, ["bob@example.test"], letter(account)).startswith("250 ")
        assert submit(client, account, ["bob@example.test"], letter(account)).startswith("550 5.7.1 ")


# -- who ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        letter("bob@example.test"),
        letter("other@tenant.test"),
        letter("{me}", head="From: bob@example.test\r\n"),
        letter("{me}", head="Sender: bob@example.test\r\n"),
        letter("group: {me};"),
        letter("{me}, bob@example.test"),
        letter("{me} <bob@example.test>"),
        letter("{me}", head="Resent-From: bob@example.test\r\n"),
        letter("bob@outside.test", head="Resent-From: {me}\r\n"),
        letter("bob@outside.test", head="List-Id: <talk.example.test>\r\n"),
        b"Subject: nobody\r\n\r\nHello.\r\n",
    ],
    ids=range(11),
)
def test_authors_that_do_not_belong_to_the_login(demo: Demo, account: str, message: bytes) -> None:
    # S45, S46
    with login(demo, account) as client:
        said = submit(client, account, ["x@outside.test"], message.replace(b"{me}", account.encode()))
    assert said.startswith("550 5.7.1 ")
    assert account in said
    assert demo.json("user", "limits", account)["messages_per_hour"]["sent"] == 0


def test_a_foreign_sender_is_named_with_the_login_and_the_owner_told_once(demo: Demo, account: str) -> None:
    with login(demo, account) as client:
        for _ in range(2):
            code, text = client.mail("bob@example.test")
            assert code == 550
            assert (
                text
                == (
                    f"5.7.1 {account} may not use bob@example.test as the envelope sender;"
                    f" use {account} or an alias of it"
                ).encode()
            )
    told = demo.wait_for_message(account, b"Subject: Refused:", timeout_s=60)
    assert b"bob@example.test" in told
    assert b"Auto-Submitted: auto-generated" in told
    assert sum(b"Subject: Refused:" in one for one in demo.messages(account)) == 1
    refusals = demo.events(account, "refused")
    assert refusals[0]["fields"]["check"] == "sender"


def test_a_read_receipt_has_the_null_sender_and_counts(demo: Demo, account: str) -> None:
    # S23
    to = ["x@outside.test", "y@outside.test"]
    with login(demo, account) as client:
        assert submit(client, "", to, letter(account)).startswith("250 ")
        assert submit(client, "", to, letter("bob@example.test")).startswith("550 5.7.1 ")
    used = demo.json("user", "limits", account)
    assert (used["messages_per_hour"]["sent"], used["recipients_per_day"]["sent"]) == (1, 2)


def test_grants_count_at_once(demo: Demo, account: str) -> None:
    with login(demo, account) as client:
        assert client.mail("news@brand.example")[0] == 550
        demo.cli("user", "grant", account, "identity", "news@brand.example")
        news = letter("news@brand.example")
        assert submit(client, "news@brand.example", ["x@outside.test"], news).startswith("250 ")
        assert submit(client, account, ["x@outside.test"], letter("a@brand.example")).startswith("550 ")
        demo.cli("user", "grant", account, "domain", "brand.example")
        assert submit(client, account, ["x@outside.test"], letter("a@brand.example")).startswith("250 ")
        post = letter("member@far.example", head="List-Id: <talk.example.test>\r\n")
        assert "From munging" in submit(client, account, ["x@outside.test"], post)
        demo.cli("user", "grant", account, "list")
        assert submit(client, account, ["x@outside.test"], post).startswith("250 ")
    with login(demo, account) as client:
        assert "RCPTMAX=500" in client.esmtp_features["limits"]


def test_a_redirect_goes_out_when_the_original_proves_its_author(tmp_path: Path) -> None:
    head = (
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
    )
    original = letter("bob@far.test", mark="as I wrote it", head=head) + "Grüße\r\n".encode()
    signed = sign(original, [dkim_keys.ed25519_key("far.test")], now=1_790_000_000) + original
    resent = b"Resent-From: alice@example.test\r\nResent-To: x@outside.test\r\n"
    resent += b"Resent-Date: Sun, 22 Nov 2026 09:00:00 +0000\r\nResent-Message-ID: <r@example.test>\r\n"
    table = {"ed._domainkey.far.test": {"TXT": [dkim_keys.ed25519_record()]}}
    with (
        DnsServer(table) as dns,
        running_demo(tmp_path / "demo", "--dns", dns.address) as demo,
        login(demo, "alice@example.test") as client,
    ):
        to = ["x@outside.test"]
        assert submit(client, "alice@example.test", to, resent + signed).startswith("250 ")
        gone = demo.wait_for_outside(b"as I wrote it", timeout_s=60)
        # Byte for byte: its signature still holds at the next host.
        assert signed in gone
        assert b"d=example.test" in gone
        changed = resent + signed.replace(b"Hello.", b"Hallo.")
        said = submit(client, "alice@example.test", to, changed)
        assert said.startswith("550 5.7.1 alice@example.test may not redirect mail of bob@far.test, because")
        assert "forward it as alice@example.test instead" in said


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("sending") / "demo", "--limits", change=calm) as running:
        yield running


@pytest.fixture
def free(limited: Demo, request: pytest.FixtureRequest) -> str:
    """An account of the free plan, such as carol's."""
    address = new_account(limited, request)
    limited.cli("user", "set", address, "--plan", "free")
    return address


def test_the_plans_limits_survive_kill_9_of_every_worker(limited: Demo, free: str) -> None:
    demo, carol = limited, free  # 10 messages an hour

    def send(number: int) -> list[str]:
        with login(demo, carol) as client:
            return [submit(client, carol, ["bob@example.test"], letter(carol)) for _ in range(number)]

    def is_back() -> bool:
        try:
            with login(demo, carol):
                return True
        except OSError:
            return False

    assert all(said.startswith("250 ") for said in send(6))
    for pid in demo.pids("smtp"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    eventually(is_back, explain=demo.log)
    replies = send(6)
    assert [said[:4] for said in replies] == ["250 "] * 4 + ["450 "] * 2
    assert replies[-1].startswith(f"450 4.7.1 {carol} may send 10 messages an hour and has sent them;")
    refused = demo.events(carol, "refused", 2)
    assert {one["fields"]["check"] for one in refused} == {"messages_per_hour"}


@pytest.mark.parametrize("own", [True, False])
def test_the_log_explains_which_limit_it_was(limited: Demo, free: str, own: bool) -> None:
    if own:
        limited.cli("user", "limits", free, "--recipients-per-hour", "19")
    with login(limited, free) as client:
        to = [f"x{n}@outside.test" for n in range(9)]
        for said in ("250", "250", "450"):
            assert submit(client, free, to, letter(free)).startswith(said)
    [refused] = limited.events(free, "refused")
    told = limited.cli("log", "explain", refused["id"])
    key = "sending.free_recipients_per_hour = 20"
    assert "written to 18, and this message has 9" in told
    assert (key in told, "the account's own" in told) == (not own, own)
    assert "normal_recipients" not in told


def test_first_time_recipients_are_limited_and_old_ones_are_not(tmp_path: Path) -> None:
    # Q24: 10 an hour for a free account; here from its first day.
    carol = "carol@example.test"
    new = [f"new{n}@outside.test" for n in range(8)]

    def change(text: str) -> str:
        return f"{calm(text)}\n[sending]\nnew_recipients_after_days = 0\n"

    with running_demo(tmp_path / "demo", "--limits", change=change) as demo:
        with login(demo, carol) as client:
            assert submit(client, carol, [*new, "bob@example.test"], letter(carol)).startswith("250 ")
            said = submit(
                client, carol, ["a@outside.test", "b@outside.test", "c@outside.test"], letter(carol)
            )
            assert said.startswith(
                f"450 4.7.1 {carol} may write to 10 recipients an hour for the first time,"
            )
            # Nothing of it counts, and whom it has written to before may be written to again.
            assert submit(client, carol, ["a@outside.test", *new[:2]], letter(carol)).startswith("250 ")
            assert submit(client, carol, new[:3], letter(carol)).startswith("250 ")
        used = demo.json("user", "limits", carol)
        assert used["counts_new_recipients"] is True
        assert used["new_recipients_per_hour"] == {"sent": 9, "limit": 10, "own": False}
