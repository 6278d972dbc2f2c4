"""The verdict in header fields."""

from __future__ import annotations

from mailstack.filters import explain
from mailstack.filters.spam.spoken import spoken
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


def test_plain_words_of_the_message_are_named_to_its_reader() -> None:
    shares = [
        (1.0, token) for token in ("casino", "s:win\x1b[0m", "d\u00e9j\u00e0", "h:id-none", "free money")
    ]
    found = MessageVerdict(reasons=(Reason("words", 3.0, spoken(shares)),))
    assert explain.verdict(found).endswith("reason=words:3.00; words=casino,free,money")
    long = MessageVerdict(reasons=(Reason("words", 3.0, spoken((1.0, f"{n}" * 39) for n in range(9))),))
    assert len(explain.verdict(long).rpartition("words=")[2].split(",")) == 3


def test_hundreds_of_reasons_stay_on_one_line_of_mail() -> None:
    words = Reason("words", 900.0, spoken((1.0, f"{n}" * 39) for n in range(9)))
    many = MessageVerdict(reasons=(words, *(Reason("n" * 60 + str(n), n) for n in range(300))))
    assert max(map(len, explain.headers(many).split(b"\r\n"))) < 998
    assert explain.verdict(many).partition("; words=")[0].count(",") == explain.MAX_REASONS - 1


def test_the_log_tells_the_heaviest_reasons_in_words_but_none_of_the_message() -> None:
    found = [
        Reason("words", 6.0, "secret meeting"),
        Reason("prior", -2.0, "before anything is known"),
        Reason("dmarc_fail", 1.5, "far.test does not stand behind it"),
        Reason("blocked", 0.0, "far.test is on the blocked list"),
        Reason(explain.JUNK, 0.0, "filed into Spam"),
        *(Reason(f"r{n}", n / 100, "x" * 1_000) for n in range(1, 50)),
    ]
    said = explain.sentences(found)
    assert said.startswith("far.test is on the blocked list; far.test does not stand behind it (+1.5); xxx")
    assert "secret" not in said and "filed" not in said
    assert len(said) < 1_000


def test_the_reasons_of_an_account_are_never_cut_and_the_rest_is_added_up() -> None:
    many = MessageVerdict(reasons=tuple(Reason(f"n{n}", 5.0 + n) for n in range(40)))
    own = AccountVerdict(1, "ham", 0.0, (Keep(),), (Reason("allowed", 0.0), Reason("learned", 0.1)))
    value = explain.verdict(many, own)
    assert "allowed:0.00" in value and "learned:0.10" in value
    parts = dict(part.split(":") for part in value.partition("reason=")[2].split(","))
    assert len(parts) == explain.MAX_REASONS
    assert abs(sum(map(float, parts.values())) - sum(5.0 + n for n in range(40)) - 0.1) < 0.01
    short = explain.headers(HAM, own, required=0.75)
    assert b"required=0.75" in short
