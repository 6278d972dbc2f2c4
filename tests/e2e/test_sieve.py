"""What scripts decide really happens: with the daemons, over their sockets, into files and the queue."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest

from tests.kit.demo import Demo
from tests.kit.process import eventually

SENDER = "someone@far.test"


def letter(to: str, mark: str, **fields: str) -> bytes:
    lines = {"From": SENDER, "To": to, "Subject": mark, "Message-ID": f"<{mark}@far.test>"} | {
        name.replace("_", "-"): value for name, value in fields.items()
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{head}\r\nHello, are you there?\r\n".encode()


def send(demo: Demo, to: str, message: bytes, sender: str = SENDER) -> None:
    with demo.smtp() as client:
        client.sendmail(sender, [to], message)


Install = Callable[[str], str]


@pytest.fixture
def script(demo: Demo, account: str) -> Install:
    """Makes a script the account's active one; gives the account."""

    def install(source: str) -> str:
        demo.cli("sieve", "put", account, "main", "-", "--activate", stdin=source)
        return account

    return install


def parsed(octets: bytes) -> EmailMessage:
    return message_from_bytes(octets, policy=policy.SMTP)


def notes(demo: Demo, address: str) -> list[str]:
    """What the log says that scripts wanted and did not get."""
    shown = demo.json("log", "show", address)
    return [str(one["fields"]["note"]) for one in shown if one["event"] == "sieve"]


def test_one_answer_leaves_for_many_messages_at_once(demo: Demo, script: Install, mark: str) -> None:
    address = script(
        'require ["vacation", "fcc", "mailbox"];'
        f'vacation :subject "away {mark}" :fcc "Answers" :create "Bye";'
    )
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda n: send(demo, address, letter(address, f"{mark}-{n}")), range(6)))
    answer = parsed(demo.wait_for_outside(f"away {mark}".encode()))
    assert answer["To"] == SENDER and answer["From"].endswith(f"{address}")
    assert answer["Auto-Submitted"].startswith("auto-replied")
    assert answer["DKIM-Signature"] is not None
    copy = demo.wait_for_message(address, f"away {mark}".encode(), ".Answers")
    assert b"Auto-Submitted" in copy
    send(demo, address, letter(address, f"{mark}-later"))
    demo.wait_for_message(address, f"{mark}-later".encode())
    demo.wait_for_outside(f"Subject: away {mark}".encode())
    sent = [one for one in demo.outside() if f"Subject: away {mark}".encode() in one]
    assert len(sent) == 1
    eventually(lambda: sum("has been answered already" in note for note in notes(demo, address)) == 6)


def test_a_message_is_marked_changed_and_sent_on_as_it_was_at_each_moment(
    demo: Demo, script: Install, mark: str
) -> None:
    address = script(
        'require ["editheader", "fileinto", "mailbox", "copy", "imap4flags"];'
        'fileinto :copy :create "Raw"; addheader "X-Seen" "yes"; deleteheader "X-Noise";'
        f'redirect :copy "edited-{mark}@elsewhere.test"; setflag ["\\\\Flagged", "blue"];'
    )
    send(demo, address, letter(address, mark, X_Noise="brr"))
    raw = demo.wait_for_message(address, mark.encode(), ".Raw")
    kept = demo.wait_for_message(address, mark.encode())
    gone = demo.wait_for_outside(f"<{mark}@far.test>".encode())
    assert b"X-Noise: brr" in raw and b"X-Seen" not in raw
    for octets in (kept, gone):
        assert b"X-Noise" not in octets and octets.count(b"X-Seen: yes\r\n") == 1
        assert octets.endswith(b"\r\n\r\nHello, are you there?\r\n")
    # Our fields stand on top of a copy, once, and on none that leaves.
    assert kept.startswith(b"Return-Path:") and kept.index(b"Authentication-Results") < kept.index(b"X-Seen")
    assert kept.count(b"X-Spam-Score") == 1 and b"X-Spam-Score" not in gone


def test_the_same_message_is_filed_once(demo: Demo, script: Install, mark: str) -> None:
    address = script(
        'require ["duplicate", "fileinto", "mailbox"]; if duplicate { fileinto :create "Twice"; }'
    )
    send(demo, address, letter(address, mark))
    demo.wait_for_message(address, mark.encode())
    send(demo, address, letter(address, mark))
    demo.wait_for_message(address, mark.encode(), ".Twice")
    assert len([one for one in demo.messages(address) if mark.encode() in one]) == 1


def test_folders_are_known_and_scripts_included(demo: Demo, script: Install, account: str, mark: str) -> None:
    own = 'require ["fileinto", "special-use"]; fileinto :specialuse "\\\\Archive" "Nowhere";'
    demo.cli("sieve", "put", account, "own", "-", stdin=own)
    script('require ["include", "mailbox"]; if mailboxexists ["INBOX", "Spam"] { include "own"; }')
    send(demo, account, letter(account, mark))
    demo.wait_for_message(account, mark.encode(), ".Archive")


def test_somebody_is_notified(demo: Demo, script: Install, mark: str) -> None:
    address = script(f'require "enotify"; notify :message "ping {mark}" "mailto:phone@elsewhere.test";')
    send(demo, address, letter(address, mark))
    told = parsed(demo.wait_for_outside(f"ping {mark}".encode()))
    assert told["To"] == "phone@elsewhere.test" and told["From"] == address
    assert told["Auto-Submitted"].startswith("auto-notified")
    demo.wait_for_message(address, mark.encode())


def test_the_owner_of_a_failing_script_is_told_once(demo: Demo, script: Install, mark: str) -> None:  # V14
    address = script('require "variables"; discard;\nredirect "${x}";')
    send(demo, address, letter(address, f"{mark}-1"))
    send(demo, address, letter(address, f"{mark}-2"))
    for number in (1, 2):
        demo.wait_for_message(address, f"{mark}-{number}".encode())
    notice = parsed(demo.wait_for_message(address, b"A mail rule of"))
    assert "line 2" in notice.get_content() and "script main" in notice.get_content()
    (listed,) = demo.json("sieve", "list", address)
    assert listed["failed"].startswith("line 2") and listed["failed"].endswith("(2 messages)")
    assert len([one for one in demo.messages(address) if b"A mail rule of" in one]) == 1
    # A new version has a clean record until it fails.
    script("keep;")
    assert demo.json("sieve", "list", address)[0]["failed"] is None
    eventually(lambda: any("line 2" in note for note in notes(demo, address)))
