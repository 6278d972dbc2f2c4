"""Ordinary mail is never spam, spam is, and every part of the score is named."""

# ruff: noqa: E501  # tables of mail read better unbroken

from __future__ import annotations

import html
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from mailstack.filters.authentication.dmarc import find_author
from mailstack.filters.document import read
from mailstack.filters.fields import Header
from mailstack.filters.spam import model, score
from mailstack.model.verdict import Authentication, DmarcResult, Reason, SpfResult

CASES = Path(__file__).parents[2] / "cases" / "ordinary" / "mail.txt"
PRIOR = model.load((Path(score.__file__).parent / "prior.bin").read_bytes())


def judge(
    message: bytes, found: Authentication | None = None, trained: model.Model | None = PRIOR
) -> score.Score:
    header = Header(message)
    return score.score(read(message, header), found or Authentication(), find_author(header), trained)


def ordinary() -> Iterator[tuple[str, str]]:
    for line in CASES.read_text("utf-8").splitlines():
        if not line.startswith("#"):
            subject, _, body = line.partition("|")
            yield subject.strip(), body.strip().replace("\\n", "\n")


def styles(subject: str, body: str) -> Iterator[tuple[str, bytes]]:
    """As a person, a printer, a script and a web shop would send it."""
    page = f"<html><body><p>{html.escape(body)}</p><img src='https://a.test/x.png'></body></html>"
    for name in ("bare", "named", "html", "both", "headless"):
        message = EmailMessage()
        if name != "headless":
            message["From"] = (
                "scan@printer.example" if name == "bare" else "Alice <alice.example77@example.net>"
            )
            message["To"] = "bob@example.test"
            message["Date"] = "Sat, 21 Nov 2026 10:00:00 +0000"
        if subject:
            message["Subject"] = subject
        if name == "html":
            message.set_content(page, subtype="html")
        else:
            message.set_content(body + "\n", cte="8bit")
        if name == "both":
            message.add_alternative(page, subtype="html")
        yield name, message.as_bytes().replace(b"\n", b"\r\n")


@pytest.mark.parametrize(("subject", "body"), list(ordinary()))
def test_ordinary_mail_is_not_spam_however_it_is_sent(subject: str, body: str) -> None:
    for style, message in styles(subject, body):
        assert judge(message).probability < 0.8, style


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\r\n",
        b"hello\r\n",
        b"Subject: x\r\n\r\n",
        b"From: root@localhost\r\n\r\n.\r\n",
        # swaks
        b"Date: Sat, 21 Nov 2026 10:00:00 +0000\r\nTo: bob@example.test\r\nFrom: alice@example.net\r\n"
        b"Subject: test Sat, 21 Nov 2026 10:00:00 +0000\r\nMessage-Id: <20261121100000.000123@host>\r\n"
        b"X-Mailer: swaks v20201014.0 jetmore.org/john/code/swaks/\r\n\r\nThis is a test mailing\r\n\r\n\r\n",
        # curl with a file of three lines
        b"From: a@b.test\r\nTo: c@d.test\r\nSubject: curl\r\n\r\nhi\r\n",
        # an attachment alone
        b"From: a@b.test\r\nTo: c@d.test\r\nSubject: scan\r\nContent-Type: application/pdf; name=scan.pdf\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\nJVBERi0xLjQK\r\n",
    ],
)
def test_test_mail_of_tools_is_not_spam(message: bytes) -> None:
    assert judge(message).probability < 0.5


SPAM = (
    b"From: xq9182@offers.example\r\nTo: undisclosed-recipients:;\r\nSubject: MAKE MONEY FAST!!! FREE GUARANTEED $$$ 8271\r\n"
    b"Content-Type: text/html\r\n\r\n<html><body><font color=red>Dear friend, earn $5000 a week from home, guaranteed income!"
    b" No risk, absolutely free. Click here now: <a href='http://203.0.113.9/x'>order viagra, lose weight, cheap mortgage"
    b" rates, refinance today</a>. To be removed from our mailing list click here. This is a one time offer, credit cards"
    b" accepted.</font></body></html>\r\n"
)


def test_spam_is_spam() -> None:
    assert judge(SPAM).probability >= 0.9


def test_the_test_text_is_spam_wherever_it_stands() -> None:
    text = score.GTUBE.encode()
    assert judge(b"From: a@b.test\r\nSubject: gtube\r\n\r\n" + text + b"\r\n").probability >= 0.99
    assert judge(b"Content-Type: text/html\r\n\r\n<p>" + text + b"</p>\r\n").reasons[0].name == "gtube"


@pytest.mark.parametrize("message", [SPAM, b"Subject: lunch\r\n\r\nat one?\r\n"])
def test_weights_add_up_to_the_score(message: bytes) -> None:
    result = judge(
        message, Authentication(SpfResult("fail", "b.test"), dmarc=DmarcResult("fail", "b.test", "none"))
    )
    total = sum(reason.weight for reason in result.reasons)
    assert model.probability(total) == pytest.approx(result.probability)


WHOLE = (
    b"From: Ann <ann@b.test>\r\nTo: bob@c.test\r\nSubject: lunch\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n"
    b"Message-ID: <x1@b.test>\r\n\r\nhi\r\n"
)


def names(found: Authentication, message: bytes = WHOLE) -> set[str]:
    return {reason.name for reason in judge(message, found).reasons} - {"prior", "words", "id_home"}


@pytest.mark.parametrize(
    ("found", "reasons"),
    [
        (Authentication(), set()),
        # D1: failures of the DNS weigh nothing
        (Authentication(SpfResult("temperror"), dmarc=DmarcResult("temperror")), set()),
        (Authentication(SpfResult("permerror"), dmarc=DmarcResult("permerror")), set()),
        (Authentication(dmarc=DmarcResult("pass")), {"dmarc_pass"}),
        (Authentication(dmarc=DmarcResult("fail", "b.test", "reject")), {"dmarc_fail"}),
        (Authentication(dmarc=DmarcResult("fail", "b.test", "none")), {"dmarc_fail_none"}),
        (Authentication(SpfResult("fail")), {"spf_fail"}),
        (Authentication(SpfResult("softfail")), {"spf_softfail"}),
    ],
)
def test_what_the_sender_checks_add(found: Authentication, reasons: set[str]) -> None:
    assert names(found) == reasons


def test_authors_nobody_can_read_are_marked() -> None:
    assert "author_missing" in names(Authentication(), b"\r\nhi\r\n")
    assert "author_unreadable" in names(Authentication(), b"From: x\r\n\r\nhi\r\n")
    assert "authors_several" in names(Authentication(), b"From: a@b.test, c@d.test\r\n\r\nhi\r\n")


def test_programs_are_marked() -> None:
    message = b'From: a@b.test\r\nContent-Disposition: attachment; filename="Invoice.PDF.EXE"\r\n\r\nMZ\r\n'
    assert "program_attached" in names(Authentication(), message)


def test_without_a_model_only_signs_score() -> None:
    # M20
    assert judge(SPAM, trained=None).probability > 0.5
    result = judge(WHOLE, trained=None)
    assert result.probability < 0.2
    assert result.reasons[0] == Reason("prior", score.NEUTRAL_LOGIT, "there is no trained model")
