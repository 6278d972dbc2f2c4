"""ENVELOPE, BODY and BODYSTRUCTURE: golden texts, quoting, and that they can be read back."""

from __future__ import annotations

import pytest

from mailstack.mime import lines, structure
from mailstack.mime.structure import describe
from tests.kit import corpus, imap_value

# RFC 3501 section 8 prints the envelope of this message.
RFC_MESSAGE = (
    b"Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n"
    b"From: Terry Gray <gray@cac.washington.edu>\r\n"
    b"Subject: IMAP4rev1 WG mtg summary and minutes\r\n"
    b"To: imap@cac.washington.edu\r\n"
    b"cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\n"
    b"Message-Id: <B27397-0100000@cac.washington.edu>\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n"
    b"\r\n"
)


def test_the_envelope_of_rfc_3501() -> None:
    gray = b'(("Terry Gray" NIL "gray" "cac.washington.edu"))'
    assert describe(RFC_MESSAGE).envelope == (
        b'("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" "IMAP4rev1 WG mtg summary and minutes" '
        + b" ".join([gray, gray, gray])
        + b' ((NIL NIL "imap" "cac.washington.edu")) ((NIL NIL "minutes" "CNRI.Reston.VA.US")'
        b'("John Klensin" NIL "KLENSIN" "MIT.EDU")) NIL NIL "<B27397-0100000@cac.washington.edu>")'
    )


def test_the_body_of_rfc_3501() -> None:
    data = RFC_MESSAGE + b"x" * 68 + b"\r\n" + b"y\r\n"
    found = describe(data)
    assert found.body == b'("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 73 2)'
    assert found.bodystructure == (
        b'("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 73 2 NIL NIL NIL NIL)'
    )
    assert found.header_octets == len(RFC_MESSAGE)


def test_a_multipart_with_everything() -> None:
    data = (
        b'Content-Type: multipart/Mixed; boundary="b"\r\nContent-Language: en\r\n\r\n--b\r\n'
        b'Content-Type: image/png; name=x.png\r\nContent-ID: <i@d>\r\nContent-Description: a "b"\r\n'
        b"Content-Transfer-Encoding: BASE64\r\nContent-MD5: abc==\r\nContent-Location: http://x/\r\n"
        b"Content-Disposition: attachment; filename*=utf-8''x\r\nContent-Language: de, en-US\r\n\r\nAAAA\r\n"
        b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\nFrom: a@b\r\n\r\ntext\r\n\r\n--b--\r\n"
    )
    found = describe(data)
    ab = b'((NIL NIL "a" "b"))'
    inner = b'(NIL "in" ' + b" ".join([ab, ab, ab]) + b" NIL NIL NIL NIL NIL)"
    size = len(b"Subject: in\r\nFrom: a@b\r\n\r\ntext\r\n")
    assert found.body == (
        b'(("image" "png" ("name" "x.png") "<i@d>" "a \\"b\\"" "BASE64" 4)'
        b'("message" "rfc822" NIL NIL NIL "7BIT" %d %b'
        b' ("text" "plain" ("charset" "us-ascii") NIL NIL "7BIT" 6 1) 4) "Mixed")'
    ) % (size, inner)
    assert found.bodystructure == (
        b'(("image" "png" ("name" "x.png") "<i@d>" "a \\"b\\"" "BASE64" 4 "abc=="'
        b' ("attachment" ("filename*" "utf-8\'\'x")) ("de" "en-US") "http://x/")'
        b'("message" "rfc822" NIL NIL NIL "7BIT" %d %b'
        b' ("text" "plain" ("charset" "us-ascii") NIL NIL "7BIT" 6 1 NIL NIL NIL NIL) 4 NIL NIL NIL NIL)'
        b' "Mixed" ("boundary" "b") NIL "en" NIL)'
    ) % (size, inner)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (b"", b'""'),
        (b"plain", b'"plain"'),
        (b'a "b" \\', b'"a \\"b\\" \\\\"'),
        (b"caf\xc3\xa9", b"{5}\r\ncaf\xc3\xa9"),
        (b"a\r\nb", b"{4}\r\na\r\nb"),
        (b"a\0b", b"{3}\r\na?b"),
        (b"a\tb\x7f", b'"a\tb\x7f"'),
    ],
    ids=repr,
)
def test_a_string_is_quoted_or_a_literal(value: bytes, wanted: bytes) -> None:
    # RFC 3501 section 9: QUOTED-CHAR and literal
    assert structure.quote(value) == wanted


@pytest.mark.parametrize(
    "header",
    [
        b'Subject: x") (FLAGS (\\Seen)) BODY[] {4}\r\n',
        b"Subject: x\r * 1 EXPUNGE\r\n",
        b"Subject: \xff\x00{10}\r\n",
        b'Content-Type: text/plain; name="a\\" (b"\r\n',
        b'Content-Type: text/plain; a="\r\n * BYE"\r\n',
        b'From: "a\\"b" <"c d\\""@e>\r\n',
        b"To: undisclosed-recipients:;\r\n",
        b"To: (\r\n",
        b'Content-Type: multipart/"x"; boundary=b\r\n',
        b"Content-Disposition: (x) attachment\r\nContent-Language: ,,\r\nContent-Transfer-Encoding: \r\n",
        b"Content-Type: message/rfc822\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n",
    ],
    ids=repr,
)
def test_nothing_in_a_message_can_forge_a_response(header: bytes) -> None:
    # T67, I13
    found = describe(header + b"\r\nbody\r\n")
    assert len(imap_value.read(found.envelope)) == 10  # type: ignore[arg-type]
    imap_value.read(found.body)
    imap_value.read(found.bodystructure)


def test_sender_and_reply_to_default_to_from_when_missing_or_empty() -> None:
    # RFC 3501 section 7.4.2
    found = imap_value.read(describe(b"From: a@b\r\nSender:\r\nReply-To: (nobody)\r\n\r\n").envelope)
    assert found[2] == found[3] == found[4] == [[None, None, b"a", b"b"]]  # type: ignore[index]


def test_the_first_of_several_subjects_is_shown() -> None:
    # M18
    assert b'"one"' in describe(b"Subject: one\r\nSubject: two\r\n\r\n").envelope


def test_every_text_of_the_corpus_can_be_read_back() -> None:
    for name, raw in corpus.messages(every=9):
        data = lines.normalise(raw)
        found = describe(data)
        assert len(imap_value.read(found.envelope)) == 10, name  # type: ignore[arg-type]
        assert isinstance(imap_value.read(found.body), list), name
        assert isinstance(imap_value.read(found.bodystructure), list), name
        assert data[: found.header_octets].endswith(b"\r\n\r\n") or found.header_octets == len(data), name


def test_recipients_in_several_fields_are_one_list() -> None:
    data = b"From: a@b\r\nFrom: z@b\r\nCc: c@d\r\nCc: e@f,\r\n g@h\r\nTo: x@y\r\n\r\n"
    found = describe(data).envelope
    assert found.endswith(
        b'((NIL NIL "x" "y")) ((NIL NIL "c" "d")(NIL NIL "e" "f")(NIL NIL "g" "h")) NIL NIL NIL)'
    )
    assert b'"z"' not in found  # an author in two fields is a trick: the first is shown
