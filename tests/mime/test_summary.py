"""What messages are sorted and put into threads by."""

from __future__ import annotations

import pytest

from mailstack.mime.header import Headers
from mailstack.mime.summary import MAX_REFERENCES, message_ids, summarise
from mailstack.model.mailbox import MessageFields


def fields(header: bytes, internal_at: int = 1_000_000_000) -> MessageFields:
    return summarise(Headers.parse(header), internal_at)


def test_everything_is_taken_from_the_header() -> None:
    found = fields(
        b"Date: Mon, 23 Nov 2026 01:02:03 +0200\r\nSubject: Re: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
        b"From: =?utf-8?q?Jos=C3=A9?= <jose@a.example>, other@a.example\r\nTo: team: b@b.example;\r\n"
        b'Cc: carol@c.example\r\nMessage-ID: <1@a>\r\nReferences: <2@a> <"3"@a>\r\n\r\n'
    )
    assert found == MessageFields(
        sent_at=1_795_388_523, sent_day=20_780, subject="Re: Grüße", from_mailbox="jose", to_mailbox="team",
        cc_mailbox="carol", from_display="José", to_display="team", message_id="1@a",
        references=("2@a", "3@a"), base_subject="Grüße", is_reply=True,
    )  # fmt: skip


def test_a_header_without_any_of_it_gives_the_internal_date() -> None:
    found = fields(b"X: y\r\n\r\n", 86_400 * 3 + 5)
    assert (found.sent_at, found.sent_day) == (259_205, 3)
    assert found.subject == found.from_mailbox == found.from_display == found.message_id == ""
    assert found.references == ()


def test_an_address_without_a_name_is_shown_as_itself() -> None:
    assert fields(b"From: a@b.example\r\n\r\n").from_display == "a@b.example"
    assert fields(b"From: junk\r\n\r\n").from_mailbox == "junk"


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (b"<a@b>", ("a@b",)),
        (b"junk <a@b><c@d> (comment) <broken> <e@f", ("a@b", "c@d")),
        (b'<"a b"@c> <"q\\"q"@c>', ("a b@c", 'q"q@c')),
        (b"", ()),
    ],
)
def test_message_ids_are_read(value: bytes, wanted: tuple[str, ...]) -> None:
    assert message_ids(value) == wanted


def test_in_reply_to_stands_in_for_references() -> None:
    assert fields(b"In-Reply-To: <1@a> <2@a>\r\n\r\n").references == ("1@a",)
    assert fields(b"References: none\r\nIn-Reply-To: <1@a>\r\n\r\n").references == ("1@a",)


def test_of_many_references_the_first_and_the_last_are_kept() -> None:
    header = b"References: " + b" ".join(b"<%d@a>" % n for n in range(500)) + b"\r\n\r\n"
    found = fields(header).references
    assert len(found) == MAX_REFERENCES
    assert (found[0], found[1], found[-1]) == ("0@a", "401@a", "499@a")
