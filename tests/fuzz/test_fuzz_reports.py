"""Reports: whatever a server says and a message holds, each recipient has one action."""

from __future__ import annotations

import email
import re

from hypothesis import given
from hypothesis import strategies as st

from mailstack.delivery import dsn, words
from mailstack.delivery.dsn import Original, Reported, Site
from mailstack.model.language import LANGUAGES, known, preferred
from mailstack.model.reply import Reply
from tests.kit.fuzzing import FUZZ

PIECES = st.sampled_from(
    [
        "550 ", "5.1.1", "4.7.1 ", "user ", "unknown", "mailbox ", "is ", "full", "over quota", "spamhaus",
        "<a@b>", "\r\n", "\n", "\x00", "--=_rep1", "--", "=?utf-8?q?x?=", "Action: delivered", "Bcc: x@y",
        "{host}", "{0}", "%s", "é", "漢", "\u2028", "\ud800", " " * 70, "x" * 200,
    ]
)  # fmt: skip
SAID = st.lists(PIECES | st.text(max_size=5), max_size=12).map("".join)
FIELDS = st.lists(
    st.sampled_from(
        [
            b"Subject: ", b"Accept-Language: ", b"Content-Language: ", b"Message-ID: <a@b>", b"de-AT",
            b"fr;q=0, it", b"{to}", b"\r\n", b"\r\n ", b"\xff\xfe", b"=?x?b?////?=", b",", b";", b"\r\n\r\n",
        ]
    ) | st.binary(max_size=6),
    max_size=14,
).map(b"".join)  # fmt: skip


@FUZZ
@given(SAID, SAID, SAID, FIELDS, st.sampled_from(LANGUAGES), st.integers(400, 599), st.booleans())
def test_a_report_is_mail_with_three_parts_and_one_action_per_recipient(
    said: str, host: str, envid: str, header: bytes, language: str, code: int, is_ours: bool
) -> None:
    site = Site("mail.example.test", lambda address: (address, "remote"), language=known(language) or "en")
    about = Original(
        "id1", "submission", "a@example.org", "a@example.org", header, len(header), 0.0, envid=envid
    )
    told = [
        Reported(f"{name}@example.net", "failed", Reply(code, "1.1", said), host=host, is_ours=is_ours)
        for name in "bc"
    ]
    report = dsn.report(about, told, site, now=1e6, report_id="rep1")
    assert report is not None and report.data is not None
    parsed = email.message_from_bytes(report.data)
    assert parsed["To"] == "<a@example.org>" and parsed["Bcc"] is None
    boundary = (parsed.get_boundary() or "").encode()
    parts = re.split(rb"(?:\A|\r\n)--" + re.escape(boundary) + rb"(?:--)?\r\n", report.data)
    assert len(parts) == 5
    assert len(re.findall(rb"(?m)^Action: failed\r$", parts[2])) == 2
    assert not re.search(rb"(?mi)^Action: delivered", parts[2])
    assert b"\r" not in report.data.replace(b"\r\n", b"") or b"\r" in header.replace(b"\r\n", b"")


@FUZZ
@given(
    st.lists(PIECES, max_size=200).map("".join),
    st.integers(200, 599),
    st.sampled_from(["", "1.1", "x.y", "7.1"]),
)
def test_every_answer_has_a_meaning(said: str, code: int, status: str) -> None:
    assert words.meaning(Reply(code, status, said)) in words.ADVICE


@FUZZ
@given(st.text(max_size=300))
def test_wishes_for_a_language_give_one_of_ours_or_none(field: str) -> None:
    assert preferred(field) in (*LANGUAGES, None)
