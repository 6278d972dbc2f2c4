"""Octets into commands: lines, literals, caps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mailstack.imap import framing
from mailstack.imap.errors import HangUp
from mailstack.imap.framing import BodyData, BodyStart, Command, Frame, FrameLimits, Framer, GoAhead, Refused


def frames(
    data: bytes, *, user: bool = True, append_octets: int = 1000, limits: FrameLimits | None = None
) -> list[Frame]:
    framer = Framer(limits or (framing.after_login(append_octets) if user else framing.before_login()))
    framer.feed(data)
    out = []
    while (frame := framer.next()) is not None:
        out.append(frame)
    return out


def test_a_line_is_a_command_and_two_lines_are_two() -> None:
    assert frames(b"a NOOP\r\nb NOOP\r\nc") == [Command(b"a NOOP"), Command(b"b NOOP")]


@pytest.mark.parametrize("ending", [b"\n", b"\r", b"\n\r", b"\r\r"], ids=repr)
def test_only_crlf_ends_a_line(ending: bytes) -> None:
    assert frames(b"a NOOP" + ending + b"b NOOP" + ending) == []


def test_a_literal_stays_in_place() -> None:
    assert frames(b"a LOGIN {1+}\r\nx {3+}\r\n\r\ny\r\n") == [Command(b"a LOGIN {1+}\r\nx {3+}\r\n\r\ny")]


def test_the_client_waits_for_a_go_ahead_before_a_synchronising_literal() -> None:
    assert frames(b"a LOGIN {1}\r\nx y\r\n") == [GoAhead(), Command(b"a LOGIN {1}\r\nx y")]


def test_the_message_of_append_is_handed_out_and_not_part_of_the_command() -> None:
    assert frames(b"a APPEND INBOX (\\Seen) {5}\r\nabcde\r\n") == [
        BodyStart(5, go_ahead=True),
        BodyData(b"abcde"),
        Command(b"a APPEND INBOX (\\Seen) {5}\r\n", bodies=1),
    ]


def test_the_mailbox_of_append_may_be_a_literal() -> None:
    # The first argument is never the message.
    assert frames(b"a append {5+}\r\nINBOX {2+}\r\nab {1+}\r\nc\r\n") == [
        BodyStart(2, go_ahead=False),
        BodyData(b"ab"),
        BodyStart(1, go_ahead=False),
        BodyData(b"c"),
        Command(b"a append {5+}\r\nINBOX {2+}\r\n {1+}\r\n", bodies=2),
    ]


def test_a_message_above_the_limit_is_refused_before_an_octet_of_it() -> None:
    assert frames(b"a APPEND x {1000}\r\n")[0] == BodyStart(1000, go_ahead=True)
    assert frames(b"a APPEND x {1001}\r\nb NOOP\r\n") == [
        Refused(b"a", "The message is too big", too_big=True),
        Command(b"b NOOP"),
    ]


def test_a_message_on_its_way_is_dropped_to_its_end_and_refused_once() -> None:
    data = b"a APPEND x {1001+}\r\n" + b"y" * 1001 + b" {2+}\r\nzz\r\nb NOOP\r\n"
    assert frames(data) == [Refused(b"a", "The message is too big", too_big=True), Command(b"b NOOP")]


def test_dropping_has_a_bound() -> None:
    # I4
    with pytest.raises(HangUp):
        frames(b"a APPEND x {%d+}\r\n" % (framing.DRAIN_OCTETS + 1))


def test_several_messages_count_together() -> None:
    limits = replace(framing.after_login(1000), bodies=1500)
    data = b"a APPEND x {1000+}\r\n" + b"y" * 1000
    assert frames(data + b" {500}\r\n", limits=limits)[-1] == BodyStart(500, go_ahead=True)
    expected = Refused(b"a", "The message is too big", too_big=True)
    assert frames(data + b" {501}\r\n", limits=limits)[-1] == expected


def test_messages_of_a_command_are_counted() -> None:
    few = b"a APPEND x" + b" {1+}\r\nz" * 1000
    assert frames(few + b"\r\n")[-1] == Command(b"a APPEND x" + b" {1+}\r\n" * 1000, bodies=1000)
    assert frames(few + b" {1}\r\n")[-1] == Refused(b"a", "Too many literals", too_big=True)


def test_a_literal8_is_marked() -> None:
    # RFC 3516 section 7
    assert frames(b"a APPEND x ~{2+}\r\n\0\0\r\n") == [
        BodyStart(2, go_ahead=False, literal8=True),
        BodyData(b"\0\0"),
        Command(b"a APPEND x ~{2+}\r\n", bodies=1),
    ]


@pytest.mark.parametrize("head", [b"a REPLACE 4 x", b"a UID REPLACE 4294967295 x", b"a replace * {1+}\r\nx"])
def test_the_message_of_replace_is_handed_out(head: bytes) -> None:
    # RFC 8508 section 5
    wire = head + b" {2+}\r\nab\r\n"
    assert frames(wire)[-1] == Command(head + b" {2+}\r\n", bodies=1)


def test_texts_of_catenate_are_handed_out_and_its_urls_are_not() -> None:
    # RFC 4469 section 5
    wire = b"a APPEND x CATENATE (TEXT {1+}\r\na URL {2+}\r\n/b TEXT ~{1}\r\nc url {1+}\r\nd)\r\n"
    assert frames(wire) == [
        BodyStart(1, go_ahead=False),
        BodyData(b"a"),
        BodyStart(1, go_ahead=True, literal8=True),
        BodyData(b"c"),
        Command(b"a APPEND x CATENATE (TEXT {1+}\r\n URL {2+}\r\n/b TEXT ~{1}\r\n url {1+}\r\nd)", bodies=2),
    ]


@pytest.mark.parametrize(("octets", "taken"), [(1024, True), (1025, False)])
def test_a_stranger_s_literal_has_a_cap(octets: int, taken: bool) -> None:
    # T60
    expected = GoAhead() if taken else Refused(b"a", "The literal is too long")
    assert frames(b"a LOGIN {%d}\r\n" % octets, user=False) == [expected]


def test_a_stranger_s_literals_together_have_a_cap() -> None:
    piece = b"{1024+}\r\n" + b"x" * 1024
    with pytest.raises(HangUp):
        frames(b"a LOGIN " + piece + b" " + piece + b" {1+}\r\n", user=False)


@pytest.mark.parametrize(("octets", "taken"), [(102_400, True), (102_401, False)])
def test_a_user_s_literal_has_a_cap(octets: int, taken: bool) -> None:
    expected = GoAhead() if taken else Refused(b"a", "The literal is too long")
    assert frames(b"a SEARCH TEXT {%d}\r\n" % octets) == [expected]


def test_literals_of_a_command_are_counted() -> None:
    few = b"a SEARCH " + b"{0+}\r\n" * 1000
    assert frames(few + b"\r\n") == [Command(few)]
    with pytest.raises(HangUp):
        frames(few + b"{0+}\r\n")


@pytest.mark.parametrize(("length", "user"), [(8_192, False), (65_536, True)])
def test_a_command_line_has_a_cap(length: int, user: bool) -> None:
    # I1
    line = b"a NOOP ".ljust(length, b"x")
    assert frames(line + b"\r\n", user=user) == [Command(line)]
    with pytest.raises(HangUp):
        frames(line + b"x\r\n", user=user)
    with pytest.raises(HangUp):
        frames(line + b"x", user=user)


def test_lines_of_one_command_count_together() -> None:
    half = b"x" * 5_000
    with pytest.raises(HangUp):
        frames(b"a LOGIN " + half + b" {1+}\r\ny" + half + b"\r\n", user=False)


def test_a_stranger_s_append_is_an_ordinary_command() -> None:
    with pytest.raises(HangUp):
        frames(b"a APPEND x {5000+}\r\n", user=False)


def test_line_gives_lines_as_they_are() -> None:
    framer = Framer(framing.before_login())
    framer.feed(b"dGVzdA=={3}\r\nDO")
    assert framer.line() == b"dGVzdA=={3}"
    assert framer.line() is None
    framer.feed(b"NE\r\n")
    assert framer.line() == b"DONE"


@pytest.mark.parametrize(
    "number", [b"{-1}", b"{ 1}", b"{1 }", b"{0x1}", b"{+}", b"{}", b"{" + b"9" * 21 + b"}"]
)
def test_what_is_no_literal_ends_the_command(number: bytes) -> None:
    assert frames(b"a NOOP " + number + b"\r\n") == [Command(b"a NOOP " + number)]
