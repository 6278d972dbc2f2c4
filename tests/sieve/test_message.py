from __future__ import annotations

import pytest

from mailstack.sieve import Message
from mailstack.sieve.match import SplitAddress
from mailstack.sieve.message import encode, is_field_name

MAIL = b"""\
Subject: =?utf-8?q?caf=C3=A9?= =?iso-8859-1?b?6Q==?= x\r
To : a@example.org,\r
\tb@example.org\r
X-Empty:\r
x-eight: \xe9t\xc3\xa9\r
\r
Subject: not this\r
"""


def message(data: bytes = MAIL) -> Message:
    return Message.from_bytes(data)


def test_values_are_unfolded_decoded_and_stripped() -> None:
    assert message().header_values("SUBJECT") == ["caféé x"]
    assert message().header_values("to") == ["a@example.org,\tb@example.org"]
    assert message().header_values("x-empty") == [""]
    assert message().header_values("none") == []


@pytest.mark.parametrize(
    "word",
    [
        b"=?x-nonsense?q?a?=",
        b"=?utf-8?b?/w==?=",
        b"=?utf-8?q?=FF?=",
        b"=?utf-7?q?+2AA-?=",
        b"=?utf-8?x?a?=",
        b"=?",
        b"\xff",
    ],
)
def test_bad_encodings_never_fail_and_give_text_that_can_be_encoded(word: bytes) -> None:
    for value in message(b"Subject: " + word + b"\r\n\r\n").header_values("subject"):
        value.encode("utf-8")


def test_an_encoded_nul_does_not_end_the_value() -> None:
    # RFC 5228 section 2.7.2
    assert message(b"S: =?us-ascii?q?a=00b?=\r\n\r\n").header_values("s")[0].endswith("b")


def test_names_are_compared_without_case_and_white_space_before_the_colon_is_ignored() -> None:
    # RFC 5228 section 2.4.2.2
    assert message().exists("TO") and not message().exists("to:") and not message().exists("")


def test_size_counts_line_ends_as_crlf() -> None:
    # RFC 5228 section 5.9: octets of the Internet message.
    assert message(b"A: b\r\n\r\nc\r\n").size == 11
    assert message(b"A: b\n\nc\n").size == 11
    assert message(b"").size == 0


def test_the_octets_come_back_unchanged_without_edits() -> None:
    for data in (b"", b"junk", MAIL, b"From x\n\nSubject: a\n", b"\0\xff\r\n\r\n"):
        assert message(data).to_bytes() == data


def test_an_added_field_leaves_the_others_octet_for_octet() -> None:
    mail = message()
    mail.add_header("X-A", "b")
    mail.add_header("X-Z", "z", last=True)
    head, _, body = MAIL.partition(b"\r\n\r\n")
    assert mail.to_bytes() == b"X-A: b\r\n" + head + b"\r\nX-Z: z\r\n\r\n" + body
    assert mail.header_values("x-a") == ["b"]


def test_an_edit_loses_nothing_of_a_header_nobody_can_read() -> None:
    data = b"From x@y 2024\r\nA: b\r\njunk\r\n more\r\n" + b"F: x\r\n" * 1_200 + b"\r\nbody"
    mail = message(data)
    mail.add_header("X", "y")
    mail.add_header("Z", "z", last=True)
    assert mail.to_bytes() == b"X: y\r\n" + data[:-6] + b"Z: z\r\n\r\nbody"
    assert not mail.exists("") and mail.delete_header("") == 0
    assert mail.delete_header("a") == 1 and b"junk\r\n more" in mail.to_bytes()


def test_an_added_field_uses_the_line_ends_of_the_message() -> None:
    mail = message(b"A: b\n\nc")
    mail.add_header("X", "y")
    assert mail.to_bytes() == b"X: y\nA: b\n\nc"


def test_a_field_can_be_added_to_a_message_without_header_or_body() -> None:
    for data, want in ((b"", b"X: y\r\n\r\n"), (b"A: b", b"X: y\r\nA: b\r\nZ: z\r\n\r\n")):
        mail = message(data)
        mail.add_header("X", "y")
        if data:
            mail.add_header("Z", "z", last=True)
        assert mail.to_bytes() == want


@pytest.mark.parametrize(
    "value", ["a\r\nBcc: x", "a\nBcc: x", "a\r\rBcc: x", "a\r\n\r\nBody", "\r\n", "a\0b"]
)
def test_a_value_cannot_smuggle_in_another_field(value: str) -> None:
    mail = message(b"A: b\r\n\r\nc")
    mail.add_header("X", value)
    again = message(mail.to_bytes())
    assert [field.name for field in again.fields] == ["x", "a"] and again.body == b"c"


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "é", "a\0"])
def test_a_bad_field_name_is_refused(name: str) -> None:
    assert not is_field_name(name)
    with pytest.raises(ValueError):
        message().add_header(name, "x")


def test_text_that_is_not_ascii_is_written_as_encoded_words() -> None:
    raw = encode("Grüße aus 東京, mit vielen Wörtern in einer langen Zeile")
    assert raw.isascii() and all(len(line) <= 76 for line in raw.split(b"\r\n"))
    mail = message(b"X: " + raw + b"\r\n\r\n")
    assert mail.header_values("x") == ["Grüße aus 東京, mit vielen Wörtern in einer langen Zeile"]


def test_fields_can_be_deleted_by_name_number_and_value() -> None:
    data = b"X: 1\r\nY: 0\r\nX: 2\r\nX: 3\r\n\r\nb"
    for options, left in (
        ({}, []),
        ({"index": 1}, ["2", "3"]),
        ({"index": 1, "last": True}, ["1", "2"]),
        ({"index": 9}, ["1", "2", "3"]),
        ({"matches": lambda value: value == "2"}, ["1", "3"]),
        ({"index": 1, "matches": lambda value: value == "2"}, ["1", "2", "3"]),
    ):
        mail = message(data)
        assert mail.delete_header("x", **options) == 3 - len(left)
        assert mail.header_values("X") == left and mail.header_values("y") == ["0"]
        assert message(mail.to_bytes()).header_values("x") == left


def test_edits_can_be_undone() -> None:
    mail = message()
    mail.add_header("X", "y")
    mail.delete_header("subject")
    mail.undo_edits()
    assert mail.to_bytes() == MAIL and mail.exists("subject") and not mail.is_edited


def addresses(value: bytes) -> list[SplitAddress]:
    return message(b"To: " + value + b"\r\n\r\n").addresses("to")


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        (b"Tim <tim(the author)@example.com>", ["tim@example.com"]),
        (b"x: a@b.example, c@d.example;", ["a@b.example", "c@d.example"]),
        (b"undisclosed-recipients:;", []),
        (b"", [""]),
        (b'"sirius"@example.org', ["sirius@example.org"]),
        (b'"S[r]us"@example.org', ['"S[r]us"@example.org']),
        (b'"=?UTF-8?B?IkR1bWIgTWFpbGVyIg==?="\r\n\t<horde@lists.example>', ["horde@lists.example"]),
        (b"\xc3\xa9@example.org", ["é@example.org"]),
    ],
)
def test_addresses_are_read_without_names_comments_and_groups(value: bytes, texts: list[str]) -> None:
    assert [address.text for address in addresses(value)] == texts


def test_what_is_no_address_has_a_text_but_no_parts() -> None:
    # RFC 5228 section 2.7.4
    assert addresses(b"nonsense") == [SplitAddress(None, None, "nonsense")]
    assert addresses(b"@example.org") == [SplitAddress(None, None, "@example.org")]
    assert addresses(b"tim@")[0].local is None


@pytest.mark.parametrize(
    "value", [b"<" * 10_000, b"(" * 10_000, b'"' * 9_999, b"a@b," * 5_000, b"\0\xff", b":;" * 999]
)
def test_junk_in_address_fields_never_fails(value: bytes) -> None:
    assert len(addresses(value)) <= 1_000
