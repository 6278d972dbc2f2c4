"""The verdict in header fields."""

from __future__ import annotations

from mailstack.filters import explain
from mailstack.model.verdict import AccountVerdict, FileInto, Keep, MessageVerdict, Reason

HAM = MessageVerdict(
    "ham", 0.0131, reasons=(Reason("prior", -2.39), Reason("Odd name;\r\n", 0.5, "x"), Reason("big", 7.0))
)


def test_verdict_line_names_class_score_action_and_the_heaviest_reason_first() -> None:
    assert explain.verdict(HAM) == (
        "class=ham; score=0.013; action=accept; reason=big:7.00,prior:-2.39,odd_name___:0.50"
    )


def test_an_unfiltered_message_says_why() -> None:
    assert explain.verdict(MessageVerdict(unfiltered="timeout")) == "unfiltered; why=timeout"
    assert (
        explain.headers(MessageVerdict(unfiltered="a;b\r\nc"))
        == b"X-Mailstack-Verdict: unfiltered; why=a,b??c\r\n"
    )


def test_a_copy_carries_its_own_accounts_verdict() -> None:
    account = AccountVerdict(
        1, "spam", 0.99, (FileInto("Spam"),), (Reason(explain.JUNK, 0.0), Reason("blocked", 0.0))
    )
    lines = explain.headers(HAM, account).decode().split("\r\n")
    assert lines[0].startswith("X-Mailstack-Verdict: class=spam; score=0.990; action=junk; reason=big:7.00,")
    assert "blocked:0.00" in lines[0]
    assert "filed_as_spam" not in lines[0]
    assert lines[1:] == [
        "X-Spam-Flag: YES", "X-Spam-Score: 0.990", "X-Spam-Status: Yes, score=0.990 required=0.90", "",
    ]  # fmt: skip
    kept = AccountVerdict(1, "ham", 0.01, (Keep(),))
    assert b"X-Spam-Flag: NO\r\n" in explain.headers(HAM, kept)


def test_hundreds_of_reasons_stay_on_one_line_of_mail() -> None:
    many = MessageVerdict(reasons=tuple(Reason("n" * 60 + str(n), n) for n in range(300)))
    assert max(map(len, explain.headers(many).split(b"\r\n"))) < 998
    assert explain.verdict(many).count(",") == explain.MAX_REASONS - 1
