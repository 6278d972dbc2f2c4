"""URLs of messages."""

from __future__ import annotations

import pytest

from mailstack.imap.fetch_items import Section
from mailstack.imap.urls import MAX_OCTETS, BadUrl, MessageUrl, parse

WHOLE = Section(b"BODY[]")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"/INBOX/;UID=20", MessageUrl("", "", "INBOX", 0, 20, WHOLE)),
        (b"/a/b%20c;UIDVALIDITY=7/;uid=4294967295", MessageUrl("", "", "a/b c", 7, 4294967295, WHOLE)),
        (b"/INBOX;UID=1;SECTION=1.2.MIME",
         MessageUrl("", "", "INBOX", 0, 1, Section(b"BODY[1.2.MIME]", (1, 2), "MIME"))),
        (b";UID=1/;section=text/;partial=5", MessageUrl("", "", None, 0, 1,
         Section(b"BODY[TEXT]", (), "TEXT", partial=(5, 1 << 62)))),
        (b"/;UID=1", MessageUrl("", "", None, 0, 1, WHOLE)),
        (b"/x/;UID=1/;PARTIAL=0.10", MessageUrl("", "", "x", 0, 1, Section(b"BODY[]", partial=(0, 10)))),
        (b"imap://al%40x;AUTH=*@Host.Example:143/x/;UID=1",
         MessageUrl("al@x", "host.example", "x", 0, 1, WHOLE)),
        (b"imaps://h/x/;UID=1/;SECTION=HEADER.FIELDS%20(To%20%22Cc%22)",
         MessageUrl("", "h", "x", 0, 1,
                    Section(b"BODY[HEADER.FIELDS (TO CC)]", (), "FIELDS", frozenset((b"to", b"cc"))))),
        (b"/%C3%A9/;UID=1", MessageUrl("", "", "\xe9", 0, 1, WHOLE)),
    ],
)  # fmt: skip
def test_urls_of_messages(text: bytes, expected: MessageUrl) -> None:
    # RFC 5092 section 11
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        b"", b"/", b"/INBOX", b"/INBOX/;UID=0", b"/INBOX/;UID=4294967296", b"/INBOX/;UID=", b"/INBOX/;UID=x",
        b"INBOX/;UID=1", b"//host/INBOX/;UID=1", b"http://h/x/;UID=1", b"imap:///x/;UID=1", b"imap://h",
        b"/x/;UID=1/;SECTION=", b"/x/;UID=1/;SECTION=1.", b"/x/;UID=1/;SECTION=0", b"/x/;UID=1/;SECTION=FOO",
        b"/x/;UID=1/;SECTION=1]", b"/x/;UID=1/;SECTION=1%5D%0D%0A", b"/x/;UID=1/;PARTIAL=1.0",
        b"/x/;UID=1/;PARTIAL=-1", b"/x/;UID=1;URLAUTH=anonymous:internal:00", b"/x;UIDVALIDITY=0/;UID=1",
        b"/%FF/;UID=1", b"/%zz/;UID=1", b"/x%/;UID=1", b"/x\xc3\xa9/;UID=1", b"/x/;UID=1\r\n",
        b"/" + b"x" * MAX_OCTETS + b"/;UID=1", b"/x/;UID=1/;UID=2",
    ],
)  # fmt: skip
def test_what_is_no_url_of_a_message(text: bytes) -> None:
    with pytest.raises(BadUrl):
        parse(text)
