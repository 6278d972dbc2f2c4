"""Command lines, paths and parameters."""

from __future__ import annotations

import pytest

from mailstack.model.address import Address
from mailstack.model.errors import PeerError
from mailstack.smtp import command
from mailstack.smtp.command import Command, Dialect, Mail, Rcpt, parse, parse_bdat, parse_mail, parse_rcpt

MX = Dialect()
SUBMISSION = Dialect(bare_paths=True)
EVERYTHING = Dialect(smtputf8=True, dsn=True, requiretls=True)
BINARY = Dialect(binarymime=True)


def code(error: pytest.ExceptionInfo[PeerError]) -> str:
    return str(error.value.reply)[:9]


def mail(argument: bytes, dialect: Dialect = MX) -> Mail:
    return parse_mail(argument, dialect)


def rcpt(argument: bytes, dialect: Dialect = MX, *, has_utf8: bool = False) -> Rcpt:
    return parse_rcpt(argument, dialect, has_utf8=has_utf8)


# -- lines ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (b"NOOP", Command("NOOP", b"")),
        (b"noop \t ", Command("NOOP", b"")),
        (b"mail from:<a@b>  ", Command("MAIL", b"from:<a@b>")),
        (b"", Command("", b"")),
        (b" NOOP", Command("", b"NOOP")),
    ],
    ids=repr,
)
def test_a_line_is_a_verb_and_an_argument(line: bytes, command: Command) -> None:
    # S7: trailing white space is tolerated
    assert parse(line) == command


@pytest.mark.parametrize("octet", [*range(0x20), 0x7F])
def test_control_characters_make_no_command(octet: int) -> None:
    # S7
    for line in (b"NO" + bytes([octet]) + b"OP", b"MAIL FROM:<a" + bytes([octet]) + b"@b>"):
        with pytest.raises(PeerError) as error:
            parse(line)
        assert code(error) == "500 5.5.2"


@pytest.mark.parametrize("line", [b"NO\xc3\xa4P", b"EHLO \xc3\xa4.test", b"VRFY \xff"], ids=repr)
def test_octets_above_127_stand_in_paths_only(line: bytes) -> None:
    # S7
    with pytest.raises(PeerError) as error:
        parse(line)
    assert code(error) == "500 5.5.2"
    assert parse(b"RCPT TO:<\xff@b>").verb == "RCPT"
    assert parse("VRFY jörg SMTPUTF8".encode()).verb == "VRFY"  # RFC 6531 section 3.1


# -- paths ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "address"),
    [
        (b"<a@b.test>", Address("a", "b.test")),
        (b" <A@B.Test>", Address("A", "b.test")),
        (b'<"a b"@us>', Address("a b", "us")),
        (b'<"a\\"b"@us>', Address('a"b', "us")),
        (b'<"a>b"@us>', Address("a>b", "us")),
        (b'<"user@other"@us>', Address("user@other", "us")),
        (b"<user%other.org@us>", Address("user%other.org", "us")),
        (b"<other!user@us>", Address("other!user", "us")),
        (b"<@us:user@other>", Address("user", "other")),
        (b"<@us,@x:user@other>", Address("user", "other")),
        (b"<@[IPv6:::1],@x:user@other>", Address("user", "other")),
        (b"<user@[192.0.2.1]>", Address("user", "[192.0.2.1]")),
        (b"<user@[IPv6:2001:DB8::1]>", Address("user", "[IPv6:2001:db8::1]")),
        (b"<postmaster>", Address("postmaster", "")),
        (b"<Postmaster>", Address("Postmaster", "")),
    ],
    ids=repr,
)
def test_recipients_are_read_unrouted_and_unquoted(path: bytes, address: Address) -> None:
    # S25, S26, S27, T7
    assert rcpt(b"TO:" + path).address == address


@pytest.mark.parametrize(
    "path",
    [
        b"<>",
        b"<a@b",
        b"a@b>",
        b"<<a@b>>",
        b"<a@b>c",
        b"<a>",
        b"<@us>",
        b"<@us:>",
        b"<user@>",
        b"<@>",
        b"<user@us.>",
        b"<a b@us>",
        b"<a@b@c>",
        b"<.a@b>",
        b"<a..b@c>",
        b"<a@b_ c>",
        b'<"a@b>',
        b'<"a"b@c>',
        b"<a(comment)@b>",
        b"<a@[300.1.1.1]>",
        b"<a@[192.0.2.1>",
        b"<a@-b->",
        b"<a,b@c>",
        b"<a@b>,<c@d>",
    ],
    ids=repr,
)
def test_what_is_no_address_is_refused(path: bytes) -> None:
    # S27
    for dialect in (MX, EVERYTHING):
        with pytest.raises(PeerError) as error:
            rcpt(b"TO:" + path, dialect)
        assert code(error).startswith("501 5.")


@pytest.mark.parametrize(
    ("local", "domain", "fits"),
    [(64, 10, True), (65, 10, False), (1, 63, True), (1, 64, False)],
)
def test_local_parts_and_labels_have_a_length(local: int, domain: int, fits: bool) -> None:
    # S28; RFC 5321 section 4.5.3.1.1
    path = b"TO:<" + b"l" * local + b"@" + b"d" * domain + b".test>"
    if fits:
        rcpt(path)
        return
    with pytest.raises(PeerError) as error:
        rcpt(path)
    assert code(error) == "501 5.1.3"


@pytest.mark.parametrize("length", [256, 257])
def test_a_path_of_256_octets_is_the_longest(length: int) -> None:
    # S28; RFC 5321 section 4.5.3.1.3
    label = b"d" * 60 + b"."
    path = b"<l@" + label * 4
    path += b"e" * (length - len(path) - 1) + b">"
    assert len(path) == length
    if length == 256:
        rcpt(b"TO:" + path)
        return
    with pytest.raises(PeerError) as error:
        rcpt(b"TO:" + path)
    assert code(error) == "501 5.1.3"
    with pytest.raises(PeerError) as error:
        mail(b"FROM:" + path)
    assert code(error) == "501 5.1.7"


def test_the_null_sender_is_a_sender() -> None:
    assert mail(b"FROM:<>").reverse_path is None


@pytest.mark.parametrize(
    "argument", [b"", b"FROM", b"FROM:", b"<a@b>", b"TO:<a@b>", b"FROM <a@b>", b"FROM:a@b"], ids=repr
)
def test_mail_wants_its_keyword_and_brackets(argument: bytes) -> None:
    with pytest.raises(PeerError) as error:
        mail(argument)
    assert code(error) == "501 5.5.2"


def test_devices_may_leave_the_brackets_out() -> None:
    found = mail(b"FROM: a@b.test SIZE=3", SUBMISSION)
    assert (str(found.reverse_path), found.size_octets) == ("a@b.test", 3)
    assert str(rcpt(b"TO:c@d.test", SUBMISSION).address) == "c@d.test"
    with pytest.raises(PeerError):
        rcpt(b"TO:c@d.test>", SUBMISSION)


@pytest.mark.parametrize(
    "path",
    [
        "<a\u202eb@us>".encode(),
        "<a\u200bb@us>".encode(),
        b"<a" + "\u0301".encode() * 20 + b"@us>",
        b"<\xed\xa0\x80@us>",
        b"<\xff@us>",
        "<a@\u200bus>".encode(),
        "<a\u3002b@x\u3002>".encode(),
    ],
    ids=repr,
)
def test_unreadable_and_misleading_letters_are_refused(path: bytes) -> None:
    # S30, T32
    for has_utf8 in (False, True):
        with pytest.raises(PeerError) as error:
            rcpt(b"TO:" + path, EVERYTHING, has_utf8=has_utf8)
        assert error.value.reply.code == 501 or not has_utf8


def test_letters_beyond_ascii_need_smtputf8() -> None:
    # S29
    path = "<jürgen@example.test>".encode()
    with pytest.raises(PeerError) as error:
        rcpt(b"TO:" + path, EVERYTHING)
    assert code(error) == "553 5.6.7"
    with pytest.raises(PeerError) as error:
        mail(b"FROM:" + path, EVERYTHING)
    assert code(error) == "553 5.6.7"
    assert str(mail(b"FROM:" + path + b" SMTPUTF8", EVERYTHING).reverse_path) == "jürgen@example.test"
    assert rcpt(b"TO:" + path, EVERYTHING, has_utf8=True).address.local == "jürgen"


# -- parameters ----------------------------------------------------------------------------


def test_parameters_are_read_in_any_case() -> None:
    found = mail(b"FROM:<a@b> size=10 body=8bitMIME SmtpUtf8 ret=hdrs envid=QQ+3D1 auth=<>", EVERYTHING)
    assert found == Mail(Address("a", "b"), 10, "8BITMIME", True, "HDRS", "QQ=1")


@pytest.mark.parametrize(
    "text",
    [
        b"SIZE",
        b"SIZE=",
        b"SIZE=-1",
        b"SIZE=abc",
        b"SIZE=1 SIZE=1",
        b"SIZE=1 size=2",
        b"SIZE=0x10",
        "SIZE=١".encode(),
        b"BODY=BINARYMIME",
        b"BODY",
        b"BODY=7BIT BODY=7BIT",
        b"SMTPUTF8=1",
        b"RET=ALL",
        b"ENVID=",
        b"ENVID=+00",
        b"ENVID=+0D+0A",
        b"ENVID=+0d",
        b"ENVID=a+",
        b"ENVID=" + b"x" * 101,
        b"ENVID=" + b"x" * 5000,
        b"AUTH",
        b"AUTH=a=b",
        b"=1",
        b"-X=1",
        b"X_Y=1",
        b"FOO=a=b",
    ],
    ids=lambda text: repr(text[:30]),
)
def test_malformed_parameters_are_refused(text: bytes) -> None:
    # S12, S48, T14
    with pytest.raises(PeerError) as error:
        mail(b"FROM:<a@b> " + text, EVERYTHING)
    assert code(error) in ("501 5.5.4", "500 5.5.2")


def test_only_unknown_parameters_are_named() -> None:
    # S24; RFC 5321 section 4.1.1.11
    line = b"FROM:<a@b> BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x AUTH=<> FOO=1"
    with pytest.raises(PeerError) as error:
        mail(line, EVERYTHING)
    assert str(error.value.reply) == "555 5.5.4 Parameter not known here: FOO"
    with pytest.raises(PeerError) as error:
        mail(line, MX)
    assert str(error.value.reply) == "555 5.5.4 Parameter not known here: SMTPUTF8, RET, ENVID, FOO"


def test_a_size_of_many_digits_is_large_and_not_malformed() -> None:
    assert mail(b"FROM:<a@b> SIZE=" + b"9" * 30).size_octets == int("9" * 30)


def test_recipients_carry_their_dsn_wishes() -> None:
    # RFC 3461 section 4
    found = rcpt(b"TO:<a@b> NOTIFY=success,FAILURE ORCPT=rfc822;a+2Bb@c", EVERYTHING)
    assert found.notify == frozenset(("SUCCESS", "FAILURE"))
    assert found.orcpt == "rfc822;a+b@c"


@pytest.mark.parametrize(
    "text",
    [
        b"NOTIFY=",
        b"NOTIFY",
        b"NOTIFY=NEVER,SUCCESS",
        b"NOTIFY=DELAY,DELAY",
        b"NOTIFY=OFTEN",
        b"ORCPT=rfc822",
        b"ORCPT=;a@b",
        b"ORCPT=rfc822;",
        b"ORCPT=rfc822;a+00b",
        b"ORCPT=rfc822;+0D+0AX:",
        b"ORCPT=rfc822;" + b"x" * 501,
    ],
    ids=lambda text: repr(text[:30]),
)
def test_malformed_dsn_wishes_are_refused(text: bytes) -> None:
    # S48
    with pytest.raises(PeerError) as error:
        rcpt(b"TO:<a@b> " + text, EVERYTHING)
    assert code(error) == "501 5.5.4"


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        ("utf-8;jörg@example.test", "utf-8;jörg@example.test"),
        ("UTF-8;j\\x{F6}rg@example.test", "UTF-8;jörg@example.test"),
        ("utf-8;a\\x{2B}b\\x{3D}@example.test", "utf-8;a+b=@example.test"),
        ("utf-8;\\x{1F4E8}@example.test", "utf-8;\U0001f4e8@example.test"),
    ],
)
def test_an_original_recipient_may_be_written_in_any_script(text: str, decoded: str) -> None:
    # RFC 6533 section 3: who offers DSN and SMTPUTF8 takes the type utf-8
    line = f"TO:<a@b> ORCPT={text}".encode()
    assert rcpt(line, EVERYTHING, has_utf8=True).orcpt == decoded
    if not text.isascii():
        with pytest.raises(PeerError) as error:
            rcpt(line, EVERYTHING)
        assert code(error) == "553 5.6.7"


@pytest.mark.parametrize(
    "text",
    [
        "rfc822;jörg@example.test",
        "utf-8;a\\x{0D}\\x{0A}X:",
        "utf-8;a\\x{00}",
        "utf-8;a\\x{D800}",
        "utf-8;a\\x{202E}",
        "utf-8;a\\x{110000}",
        "utf-8;a\\y",
        "utf-8;a+2B",
        "utf-8;" + "ö" * 251,
    ],
)
def test_a_broken_original_recipient_in_utf8_is_refused(text: str) -> None:
    # S48, T14
    with pytest.raises(PeerError) as error:
        rcpt(f"TO:<a@b> ORCPT={text}".encode(), EVERYTHING, has_utf8=True)
    assert code(error) == "501 5.5.4"


def test_other_parameters_stay_ascii() -> None:
    with pytest.raises(PeerError) as error:
        rcpt("TO:<a@b> NOTIFY=ö".encode(), EVERYTHING, has_utf8=True)
    assert code(error) == "500 5.5.2"


def test_replies_to_ascii_mail_are_ascii() -> None:
    # RFC 6531 section 3.7.4.2
    with pytest.raises(PeerError) as error:
        rcpt("TO:<a b\u00f6@b.test>".encode(), EVERYTHING)
    assert str(error.value.reply).isascii()


def test_tls_can_be_required_where_that_is_offered() -> None:
    # RFC 8689 section 2
    assert mail(b"FROM:<a@b> requiretls", EVERYTHING).requiretls
    for line, dialect in ((b"FROM:<a@b> REQUIRETLS=1", EVERYTHING), (b"FROM:<a@b> REQUIRETLS", MX)):
        with pytest.raises(PeerError):
            mail(line, dialect)


# -- BDAT ----------------------------------------------------------------------------------


def test_a_chunk_is_a_size_and_perhaps_the_last() -> None:
    # RFC 3030 section 2
    assert parse_bdat(b"0") == (0, False)
    assert parse_bdat(b"00000000000000000512 last") == (512, True)
    assert parse_bdat(b"9999999999  LAST") == (9_999_999_999, True)
    assert mail(b"FROM:<a@b> BODY=binarymime", BINARY).body == "BINARYMIME"


@pytest.mark.parametrize(
    "argument",
    [
        b"",
        b"LAST",
        b"-1",
        b"+1",
        b"0x10",
        b"1.5",
        b"5 LAST LAST",
        b"5 FIRST",
        b"5LAST",
        b"99999999999999999999",
    ],
    ids=repr,
)
def test_a_chunk_of_no_size_is_refused(argument: bytes) -> None:
    # S37
    with pytest.raises(PeerError) as error:
        parse_bdat(argument)
    assert code(error) == "501 5.5.4"


def test_dsn_wishes_are_unknown_where_they_are_not_offered() -> None:
    with pytest.raises(PeerError) as error:
        rcpt(b"TO:<a@b> NOTIFY=NEVER", MX)
    assert code(error) == "555 5.5.4"


def test_an_original_recipient_in_octets_of_utf8_is_read_whatever_its_type() -> None:
    # what Postfix sends for jürgen@example.test
    found = rcpt(b"TO:<a@b> ORCPT=rfc822;j+C3+BCrgen@c", EVERYTHING)
    assert found.orcpt == "rfc822;jürgen@c"
    for bad in (b"j+FC", b"+C2+85", b"+E2+80+AE"):
        with pytest.raises(PeerError):
            rcpt(b"TO:<a@b> ORCPT=rfc822;" + bad, EVERYTHING)


@pytest.mark.parametrize(
    ("argument", "shown"),
    [
        (b"TO:<a@b", "a@b"),
        (b"TO: <a@b> junk>", "a@b"),
        (b"TO:a@b", "a@b"),
        (b"TO:", ""),
        (b"", ""),
        (b"TO:<\xff@b>", "\ufffd@b"),
        (b"TO:<" + b"x" * 1000, "x" * 255),
    ],
)
def test_a_path_is_shown_as_it_was_written(argument: bytes, shown: str) -> None:
    assert command.shown_path(argument) == shown
