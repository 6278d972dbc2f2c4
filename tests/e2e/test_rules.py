"""Rules made on the command line: what running daemons do with mail, and with mail that is there."""

from __future__ import annotations

import imaplib
from collections.abc import Iterator
from contextlib import contextmanager

from tests.kit.demo import Demo
from tests.kit.process import eventually

SENDER = "someone@far.test"
PASSWORD = "rules beside 7 scripts"


def send(demo: Demo, to: str, mark: str) -> None:
    message = (
        f"From: Someone <{SENDER}>\r\nTo: {to}\r\nSubject: {mark}\r\nMessage-ID: <{mark}@far.test>\r\n"
        "\r\nHello, are you there?\r\n"
    )
    with demo.smtp() as client:
        client.sendmail(SENDER, [to], message.encode())


def rule(demo: Demo, address: str, name: str, condition: str, *deeds: str, spam: bool = False) -> None:
    words = [word for deed in deeds for word in ("--do", deed)] + ["--also-spam"] * spam
    demo.cli("rule", "add", address, name, "--if", condition, *words)


@contextmanager
def imap(demo: Demo, account: str) -> Iterator[imaplib.IMAP4_SSL]:
    demo.cli("user", "passwd", account, "--password-stdin", stdin=PASSWORD)
    with imaplib.IMAP4_SSL("localhost", demo.port("imaps"), timeout=30, ssl_context=demo.tls()) as client:
        client.login(account, PASSWORD)
        yield client


def flags(client: imaplib.IMAP4_SSL, folder: str) -> str:
    client.select(f'"{folder}"', readonly=True)
    return str(client.fetch("1:*", "(FLAGS)")[1])


def test_a_rule_counts_for_the_next_message(demo: Demo, account: str, mark: str) -> None:
    rule(demo, account, "lists", f"subject contains {mark}", "move Lists/Far", "mark-read", "label $Far")
    demo.cli("sieve", "put", account, "main", "-", "--activate", stdin='redirect "nobody@elsewhere.test";')
    send(demo, account, mark)
    demo.wait_for_message(account, mark.encode(), ".Lists.Far")
    with imap(demo, account) as client:
        found = flags(client, "Lists/Far")
        assert "\\Seen" in found and "$Far" in found
    # The rule stops: the script did not run, and nothing left.
    assert not [one for one in demo.outside() if mark.encode() in one]
    demo.cli("rule", "off", account, "lists")
    demo.cli("sieve", "activate", account, "")
    send(demo, account, f"{mark}-later")
    demo.wait_for_message(account, f"{mark}-later".encode())


def test_a_rule_forwards_with_a_sender_of_ours(demo: Demo, account: str, mark: str) -> None:
    rule(demo, account, "on", "from is @far.test", f"forward {mark}@elsewhere.test", "discard")
    send(demo, account, mark)
    gone = demo.wait_for_outside(f"<{mark}@far.test>".encode())
    assert b"X-Mailstack-Verdict" not in gone
    # What is here is the letter that tells of the new target.
    assert not [one for one in demo.messages(account) if f"<{mark}@far.test>".encode() in one]
    assert any("SRS0=" in str(one["fields"]) for one in demo.events(account, "forwarded"))


def test_only_marked_rules_run_for_spam(demo: Demo, account: str, mark: str) -> None:
    demo.cli("list", "block", account, SENDER)
    rule(demo, account, "plain", "size over 1", "move Plain")
    send(demo, account, f"{mark}-1")
    demo.wait_for_message(account, f"{mark}-1".encode(), ".Spam")
    rule(demo, account, "marked", f"subject contains {mark}-2", "move Marked", spam=True)
    send(demo, account, f"{mark}-2")
    demo.wait_for_message(account, f"{mark}-2".encode(), ".Marked")


def test_a_client_sees_what_apply_does(demo: Demo, account: str, mark: str) -> None:
    for number in range(3):
        send(demo, account, f"{mark}-{number}")
    demo.wait_for_message(account, f"{mark}-2".encode())
    rule(demo, account, "one", f"subject is {mark}-1", "move Sorted")
    rule(demo, account, "all", "size over 1", "flag")
    with imap(demo, account) as client:
        client.select("INBOX")
        assert demo.json("sieve", "apply", account, "INBOX", "--dry-run")["moved"] == {"Sorted": 1}
        assert demo.json("sieve", "apply", account, "INBOX")["changed"] == 3

        def there() -> int:
            client.noop()
            found = client.search(None, "FLAGGED")[1][0]
            return len(found.split())

        eventually(lambda: there() == 2)
        assert client.search(None, "ALL")[1] == [b"1 2"]
    demo.wait_for_message(account, f"{mark}-1".encode(), ".Sorted")
    assert demo.json("sieve", "apply", account, "INBOX")["changed"] == 0
