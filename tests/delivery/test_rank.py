"""What goes first, by a bounded look."""

import pytest

from mailstack.delivery.entry import Kind
from mailstack.delivery.rank import BULK, NORMAL, URGENT, rank_of

CODE = b"From: shop@x.test\r\nSubject: Your verification code\r\n\r\nYour code: 482913\r\n"
LETTER = b"From: a@x.test\r\nSubject: Lunch?\r\n\r\nAt noon.\r\n"


def rank(front: bytes, kind: Kind = "submission", recipients: int = 1, *, is_whole: bool = True) -> int:
    return rank_of(kind, front, recipients=recipients, is_whole=is_whole, bulk_recipients=50)


@pytest.mark.parametrize(
    "front",
    [
        CODE,
        b"Subject: 482913 is your login code\r\n\r\n",
        b"Subject: =?utf-8?b?RWlubWFsY29kZSA0ODI5MTM=?=\r\n\r\n",
        b"Subject: hello\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        b"WW91ciBvbmUgdGltZSBjb2RlIGlzIDQ4MjkxMy4=\r\n",
    ],
)
def test_a_one_time_code_is_urgent(front: bytes) -> None:
    assert rank(front) == URGENT
    assert rank(front, "forward") == URGENT


@pytest.mark.parametrize(
    "front",
    [
        b"List-Unsubscribe: <https://x.test/u>\r\n" + CODE,
        b"List-Id: <news.x.test>\r\n" + LETTER,
        b"Precedence: bulk\r\n" + LETTER,
        b"Feedback-ID: 1:2:3:x\r\n" + LETTER,
    ],
)
def test_what_says_that_it_goes_to_many_is_bulk(front: bytes) -> None:
    assert rank(front) == BULK


def test_what_goes_to_many_is_bulk_and_automatic_answers_are() -> None:
    assert rank(LETTER, recipients=50) == BULK
    assert rank(LETTER, recipients=49) == NORMAL
    assert rank(LETTER, "vacation") == BULK


def test_letters_reports_and_local_copies_are_normal() -> None:
    assert rank(LETTER) == NORMAL
    for kind in ("dsn", "local", "srs-bounce"):
        assert rank(CODE, kind) == NORMAL  # type: ignore[arg-type]


def test_talk_about_a_code_and_long_mail_are_no_codes() -> None:
    assert rank(b"In-Reply-To: <1@x.test>\r\n" + CODE) == NORMAL
    assert rank(CODE, recipients=4) == NORMAL
    assert rank(CODE, is_whole=False) == NORMAL


@pytest.mark.parametrize("front", [b"", b"\r\n\r\n", b"\x00\xff" * 100, b"Subject: " + b"code 1234 " * 5_000])
def test_any_octets_have_a_rank(front: bytes) -> None:
    assert rank(front) in (URGENT, NORMAL, BULK)
