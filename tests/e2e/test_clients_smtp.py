"""swaks, curl and mutt send through a running instance, as people do."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.kit import debian
from tests.kit.demo import Demo

pytestmark = pytest.mark.debian

ALICE, BOB, CAROL, PRINTER = (f"{name}@example.test" for name in ("alice", "bob", "carol", "printer"))


def swaks(demo: Demo, port: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [debian.need("swaks"), "--server", "localhost", "--port", str(demo.port(port))]
    return debian.run([*command, "--timeout", "30", "--helo", "client.outside.test", *options])


def login(demo: Demo, address: str, kind: str = "PLAIN") -> list[str]:
    return ["--auth", kind, "--auth-user", address, "--auth-password", demo.users[address]]


@pytest.mark.parametrize("tls", [[], ["--tls"]], ids=["clear", "starttls"])
def test_swaks_delivers_to_the_mx_and_it_is_not_spam(demo: Demo, tls: list[str]) -> None:
    mark = f"swaks-mx-{len(tls)}"
    done = swaks(demo, "mx", "--to", ALICE, "--from", "me@outside.test", "--header", f"Subject: {mark}", *tls)
    assert done.returncode == 0, done.stdout
    demo.wait_for_message(ALICE, mark.encode())


def test_the_shortest_swaks_of_all_lands_in_the_inbox(demo: Demo) -> None:
    before = len(demo.messages(BOB))
    done = swaks(demo, "mx", "--to", BOB)
    assert done.returncode == 0, done.stdout
    assert len(demo.messages(BOB)) == before + 1


@pytest.mark.parametrize(
    ("port", "tls"), [("submission", "--tls"), ("submissions", "--tlsc")], ids=["starttls", "implicit"]
)
@pytest.mark.parametrize("kind", ["PLAIN", "LOGIN"])
def test_swaks_submits_with_a_login(demo: Demo, port: str, tls: str, kind: str) -> None:
    mark = f"swaks-{port}-{kind}"
    done = swaks(
        demo,
        port,
        tls,
        *login(demo, ALICE, kind),
        "--from",
        ALICE,
        "--to",
        BOB,
        "--header",
        f"Subject: {mark}",
    )
    assert done.returncode == 0, done.stdout
    message = demo.wait_for_message(BOB, mark.encode())
    assert message.count(b"DKIM-Signature:") == 2


@pytest.mark.parametrize(("port", "tls"), [("submission", "--tls"), ("submissions", "--tlsc")])
def test_a_wrong_password_is_refused(demo: Demo, port: str, tls: str) -> None:
    done = swaks(
        demo, port, tls, "--auth", "PLAIN", "--auth-user", ALICE, "--auth-password", "wr$ng", "--to", BOB
    )
    assert done.returncode != 0
    assert "535 5.7.8" in done.stdout


def test_without_tls_there_is_no_login(demo: Demo) -> None:
    done = swaks(demo, "submission", *login(demo, ALICE), "--from", ALICE, "--to", BOB)
    assert done.returncode != 0
    assert demo.users[ALICE] not in done.stdout


def test_without_login_nothing_is_submitted(demo: Demo) -> None:
    done = swaks(demo, "submission", "--tls", "--from", ALICE, "--to", BOB)
    assert "530 5.7.0" in done.stdout


@pytest.mark.parametrize(
    "options",
    [["--from", BOB], ["--from", ALICE, "--header", f"From: {BOB}"], ["--from", "x@outside.test"]],
    ids=["envelope", "header", "outside"],
)
def test_a_foreign_sender_is_told_what_to_use(demo: Demo, options: list[str]) -> None:
    done = swaks(demo, "submissions", "--tlsc", *login(demo, ALICE), *options, "--to", BOB)
    assert "550 5.7.1" in done.stdout
    refusal = next(line for line in done.stdout.split("\n") if "550 5.7.1" in line)
    assert ALICE in refusal
    assert BOB in refusal or "x@outside.test" in refusal


def test_an_alias_may_be_used_as_sender(demo: Demo) -> None:
    sales = "sales@example.test"
    done = swaks(demo, "submissions", "--tlsc", *login(demo, ALICE), "--from", sales, "--to", BOB)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("address", "limit"), [(ALICE, 100), (CAROL, 10)])
def test_one_recipient_too_many_stops_the_whole_message(demo: Demo, address: str, limit: int) -> None:
    # S9, S10
    mark = f"too-many-{limit}"
    to = ",".join(f"r{n}@outside.test" for n in range(limit + 1))
    done = swaks(
        demo,
        "submissions",
        "--tlsc",
        *login(demo, address),
        "--from",
        address,
        "--to",
        to,
        "--h-Subject",
        mark,
    )
    assert f"550 5.5.3 this account may address at most {limit} recipients" in done.stdout
    assert "554 5.5.3" in done.stdout
    assert done.stdout.count("-  RCPT") == 0
    assert not any(mark.encode() in message for message in demo.outside())


@pytest.mark.parametrize(("address", "limit"), [(ALICE, 100), (CAROL, 10)])
def test_exactly_the_limit_is_sent(demo: Demo, address: str, limit: int) -> None:
    mark = f"just-right-{limit}"
    to = ",".join(f"r{n}@outside.test" for n in [*range(limit), 0, 1])
    done = swaks(
        demo,
        "submissions",
        "--tlsc",
        *login(demo, address),
        "--from",
        address,
        "--to",
        to,
        "--h-Subject",
        mark,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    demo.wait_for_outside(mark.encode())


def test_a_printer_with_odd_manners_can_send(demo: Demo) -> None:
    done = swaks(
        demo,
        "submission",
        "--tls",
        *login(demo, PRINTER, "LOGIN"),
        "--from",
        PRINTER,
        "--header",
        "From: Scanner <scanner@local>",
        "--header",
        "Subject: scan-1",
        "--to",
        ALICE,
    )
    assert done.returncode == 0, done.stdout
    message = demo.wait_for_message(ALICE, b"scan-1")
    assert b"printer@example.test" in message


def curl(demo: Demo, *options: str) -> subprocess.CompletedProcess[str]:
    ca = str(demo.state["ca_file"])
    return debian.run([debian.need("curl"), "-sS", "--cacert", ca, "--max-time", "30", *options])


def test_curl_sends_and_reads(demo: Demo, tmp_path: Path) -> None:
    letter = tmp_path / "letter.eml"
    letter.write_text(f"From: {ALICE}\r\nTo: {ALICE}\r\nSubject: curl-1\r\n\r\nHello from curl\r\n")
    user = f"{ALICE}:{demo.users[ALICE]}"
    sent = curl(
        demo,
        f"smtps://localhost:{demo.port('submissions')}",
        "--mail-from",
        ALICE,
        "--mail-rcpt",
        ALICE,
        "--user",
        user,
        "--upload-file",
        str(letter),
    )
    assert sent.returncode == 0, sent.stdout
    url = f"imaps://localhost:{demo.port('imaps')}"
    found = curl(demo, f"{url}/INBOX?SUBJECT%20curl-1", "--user", user)
    assert found.stdout.startswith("* SEARCH "), found.stdout
    number = found.stdout.split()[-1]
    read = curl(demo, f"{url}/INBOX;MAILINDEX={number}", "--user", user)
    assert "Hello from curl" in read.stdout
    folders = curl(demo, url, "--user", user)
    assert "Promotions" in folders.stdout


def test_mutt_sends_and_files_its_copy(demo: Demo, tmp_path: Path) -> None:
    mutt = debian.need("mutt")
    password = demo.users[ALICE]
    rc = tmp_path / "muttrc"
    rc.write_text(
        f"""
set from = "{ALICE}"
set use_from = yes
set realname = "Alice"
set ssl_force_tls = yes
set ssl_usesystemcerts = no
set certificate_file = "{demo.state["ca_file"]}"
set smtp_url = "smtps://{ALICE.replace("@", "%40")}@localhost:{demo.port("submissions")}"
set smtp_pass = "{password}"
set imap_user = "{ALICE}"
set imap_pass = "{password}"
set folder = "imaps://localhost:{demo.port("imaps")}"
set record = "+Sent"
set copy = yes
"""
    )
    environ = {**os.environ, "HOME": str(tmp_path), "TERM": "dumb"}
    done = debian.run(
        [mutt, "-F", rc, "-s", "mutt-1", "-a", rc, "--", BOB, "far@outside.test"],
        stdin="Hello from mutt\n",
        environ=environ,
    )
    assert done.returncode == 0, done.stdout
    assert b"Hello from mutt" in demo.wait_for_message(BOB, b"mutt-1")
    demo.wait_for_outside(b"mutt-1")
    demo.wait_for_message(ALICE, b"mutt-1", ".Sent")
