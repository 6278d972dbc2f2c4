"""The autoresponder with the daemons: switched on by the command line, answered into the queue."""

from __future__ import annotations

from email import message_from_bytes, policy

from tests.kit.demo import Demo

SENDER = "someone@far.test"


def _send(demo: Demo, to: str, mark: str, sender: str = SENDER) -> None:
    fields = f"From: {sender}\r\nTo: {to}\r\nSubject: {mark}\r\nMessage-ID: <{mark}@far.test>\r\n"
    with demo.smtp() as client:
        client.sendmail(sender, [to], f"{fields}\r\nHello, are you there?\r\n".encode())
    demo.wait_for_message(to, f"Subject: {mark}\r\n".encode())


def _answers(demo: Demo, mark: str) -> list[str]:
    return [message_from_bytes(one)["Subject"] for one in demo.outside() if f"{mark} is".encode() in one]


def test_a_sender_is_answered_once_until_it_is_forgotten(demo: Demo, account: str, mark: str) -> None:
    demo.cli("vacation", "set", account, "--text", f"{mark} is away.", "--subject", f"away {mark}", "--on")
    _send(demo, account, f"{mark}-1")
    answer = message_from_bytes(demo.wait_for_outside(f"away {mark}".encode()), policy=policy.SMTP)
    assert (answer["To"], answer["Auto-Submitted"]) == (SENDER, "auto-replied (vacation)")
    assert answer["DKIM-Signature"] is not None
    [row] = demo.json("vacation", "answered", account)
    assert (row["sender"], row["by"]) == (SENDER, "autoresponder")
    # Another prepared answer is none to somebody who has had one; another sender gets it.
    demo.cli(
        "vacation", "set", account, "ill", "--text", f"{mark} is ill.", "--subject", f"ill {mark}", "--on"
    )
    _send(demo, account, f"{mark}-2")
    _send(demo, account, f"{mark}-3", "other@far.test")
    demo.wait_for_outside(f"ill {mark}".encode())
    assert sorted(_answers(demo, mark)) == [f"away {mark}", f"ill {mark}"]
    assert demo.json("vacation", "reset", account)["forgotten"] == 2
    demo.cli("vacation", "on", account, "away")
    demo.cli("vacation", "set", account, "away", "--subject", f"still away {mark}")
    _send(demo, account, f"{mark}-4")
    demo.wait_for_outside(f"still away {mark}".encode())
    # What was not answered has had its time by now.
    assert len(_answers(demo, mark)) == 3
