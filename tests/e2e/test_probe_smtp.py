"""A black-box probe of port 25: what RFC 5321 and the announced extensions ask for, one check each.

Nothing here knows how the server is made; expectations are the RFCs'.  Port 465, 587 and
LMTP are probed in test_probe_submission.py and test_probe_lmtp.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.kit.demo import Demo
from tests.kit.smtp_probe import Probe, mail

ALICE, BOB, FREE, NOBODY = (f"{n}@example.test" for n in ("alice", "bob", "carol", "nobody"))


@pytest.fixture
def bare(demo: Demo) -> Iterator[Probe]:
    """Connected, nothing read yet."""
    with Probe((demo.host, demo.port("mx"))) as probe:
        yield probe


@pytest.fixture
def probe(bare: Probe) -> Probe:
    """After EHLO."""
    return bare.open()


# -- hello ------------------------------------------------------------------------------


def test_greeting_names_the_host(bare: Probe) -> None:
    # RFC 5321 sections 4.2 and 4.3.1
    answer = bare.greeting()
    assert answer.code == 220
    assert len(answer.lines) == 1
    name, service = answer.text.split(" ")[:2]
    assert re.fullmatch(r"[A-Za-z0-9.-]+|\[.+\]", name)
    assert service.upper().startswith("ESMTP")


def test_ehlo_reply_follows_its_grammar(bare: Probe) -> None:
    # RFC 5321 section 4.1.1.1
    bare.greeting()
    answer = bare.hello()
    assert re.fullmatch(r"[A-Za-z0-9.-]+(?: [^\x00-\x1f]+)?", answer.lines[0])
    for line in answer.lines[1:]:
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*(?: [!-~]+)*", line), line


@pytest.mark.parametrize(
    "keyword",
    [
        "PIPELINING",
        "SIZE",
        "8BITMIME",
        "ENHANCEDSTATUSCODES",
        "SMTPUTF8",
        "DSN",
        "CHUNKING",
        "BINARYMIME",
        "STARTTLS",
        "LIMITS",
    ],
)
def test_extension_is_announced(probe: Probe, keyword: str) -> None:
    assert keyword in probe.keywords


@pytest.mark.parametrize("keyword", ["AUTH", "REQUIRETLS", "ETRN", "EXPN", "XCLIENT", "XFORWARD"])
def test_what_does_not_work_here_is_not_announced(probe: Probe, keyword: str) -> None:
    # RFC 4954 section 4 (no login in clear), RFC 8689 section 2 (REQUIRETLS only under TLS)
    assert keyword not in probe.keywords


def test_limits_and_size_are_numbers(probe: Probe) -> None:
    # RFC 9422 section 4, RFC 1870 section 4
    assert int(probe.keywords["SIZE"]) >= 65_536
    limits = dict(pair.split("=", 1) for pair in probe.keywords["LIMITS"].split())
    assert int(limits["RCPTMAX"]) >= 100
    assert all(re.fullmatch(r"[A-Z]+", name) and value.isdigit() for name, value in limits.items())


@pytest.mark.parametrize("name", ["[127.0.0.1]", "[IPv6:::1]", "a", "under_score.test", "xn--bcher-kva.test"])
def test_ehlo_takes_every_name_a_client_may_have(bare: Probe, name: str) -> None:
    # RFC 5321 section 4.1.4: no refusal because the name cannot be verified
    bare.greeting()
    bare.hello(name=name)


def test_helo_is_one_line(bare: Probe) -> None:
    # RFC 5321 section 4.1.1.1: no extension is offered in answer to HELO
    bare.greeting()
    assert len(bare.hello("HELO").lines) == 1
    assert bare.ask("MAIL FROM:<a@outside.test>").code == 250


@pytest.mark.parametrize("line", ["EHLO", "HELO", "EHLO ", "HELO " + "a" * 300])
def test_hello_without_or_with_too_long_a_name(bare: Probe, line: str) -> None:
    bare.greeting()
    assert bare.ask(line, status=False).code in (501, 504)
    bare.hello()


@pytest.mark.parametrize("line", ["NOOP", "RSET", "HELP", f"VRFY {ALICE}", "QUIT", "EXPN everyone"])
def test_commands_that_need_no_hello(bare: Probe, line: str) -> None:
    # RFC 5321 section 4.1.4
    bare.greeting()
    assert bare.ask(line).code in (250, 214, 211, 252, 221, 502, 550)


@pytest.mark.parametrize("verb", ["EHLO", "HELO"])
def test_a_second_hello_clears_the_transaction(probe: Probe, verb: str) -> None:
    # RFC 5321 section 4.1.4
    probe.envelope([ALICE])
    probe.hello(verb)
    assert probe.ask("DATA").code == 503


# -- the small commands -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "codes"),
    [
        ("NOOP", {250}),
        ("NOOP anything at all", {250}),
        ("nOoP", {250}),
        ("NOOP  \t", {250}),
        ("RSET", {250}),
        ("RSET now", {501}),
        ("HELP", {211, 214}),
        ("HELP MAIL", {211, 214, 502, 504}),
        ("VRFY", {501, 252}),
        ("EXPN everyone", {502, 550, 252}),
        ("SEND FROM:<a@b.test>", {500, 502}),
        ("TURN", {500, 502}),
        ("ETRN example.test", {500, 502}),
        ("STARTTLS now", {501}),
        ("QUIT now", {501, 221}),
        ("BLAH", {500}),
        ("", {500}),
        (" NOOP", {500}),
        ("MAILFROM:<a@b.test>", {500, 501}),
        ("AUTH PLAIN AGEAYg==", {502, 503, 504, 530, 538}),
        ("XCLIENT ADDR=192.0.2.1", {500, 502, 503}),
    ],
)
def test_small_command(probe: Probe, line: str, codes: set[int]) -> None:
    # RFC 5321 sections 4.1.1, 4.2.4 and 4.5.1
    assert probe.ask(line).code in codes


def test_vrfy_tells_nothing(probe: Probe) -> None:
    # RFC 5321 section 7.3
    first, second = probe.ask(f"VRFY {ALICE}"), probe.ask(f"VRFY {NOBODY}")
    assert (first.code, second.code) == (252, 252)
    assert first.text.replace("alice", "") == second.text.replace("nobody", "")


def test_quit_closes_and_nothing_else_does(probe: Probe) -> None:
    # RFC 5321 section 3.8
    for line in ("BLAH", "DATA", "RCPT TO:<>", "RSET"):
        probe.ask(line)
    assert probe.ask("QUIT").code == 221
    assert probe.is_closed()


def test_a_half_closed_client_still_hears_its_replies(probe: Probe) -> None:
    probe.send(b"NOOP\r\nRSET\r\n")
    probe.half_close()
    assert [probe.reply().code for _ in range(2)] == [250, 250]
    assert probe.is_closed()


# -- MAIL ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "argument",
    [
        "FROM:<>",
        "from:<a@outside.test>",
        "FROM:<a@outside.test> BODY=7BIT",
        "FROM:<a@outside.test> body=8bitmime",
        "FROM:<a@outside.test> SIZE=1000",
        "FROM:<a@outside.test> SIZE=0",
        "FROM:<a@outside.test> SIZE=1000 BODY=8BITMIME SMTPUTF8",
        'FROM:<"a b"@outside.test>',
        'FROM:<"a\\"b@c"@outside.test>',
        "FROM:<a!#$%&'*+-/=?^_`{|}~b@outside.test>",
        "FROM:<@one.test,@two.test:a@outside.test>",
        "FROM:<a@[192.0.2.1]>",
        "FROM:<a@[IPv6:2001:db8::1]>",
        "FROM:<" + "l" * 64 + "@outside.test>",
        "FROM:<a@outside.test> RET=HDRS ENVID=QQ+2B314159",
        "FROM:<a@outside.test> RET=FULL",
        "FROM:<a@outside.test> BODY=BINARYMIME",
        "FROM:<d\u00f6rte@b\u00fccher.test> SMTPUTF8",
    ],
)
def test_mail_is_taken(probe: Probe, argument: str) -> None:
    # RFC 5321 sections 4.1.1.2 and 4.1.2; RFC 1870, 3030, 3461, 6152, 6531
    assert probe.ask(f"MAIL {argument}").code == 250


@pytest.mark.parametrize(
    ("argument", "codes"),
    [
        ("", {501}),
        ("FROM:", {501, 553}),
        ("FROM:<a@outside.test", {501, 553}),
        ("FROM:<a b@outside.test>", {501, 553}),
        ("FROM:<a@out side.test>", {501, 553}),
        ("FROM:<a@@outside.test>", {501, 553}),
        ("FROM:<@outside.test>", {501, 553}),
        ("FROM:<a@outside.test>X", {501, 553, 555}),
        ("FROM:<a..b@outside.test", {501, 553}),
        ("TO:<a@outside.test>", {501}),
        ("FROM:<" + "l" * 300 + "@outside.test>", {501, 553, 500}),
        ("FROM:<a@" + "d" * 300 + ".test>", {501, 553}),
        ("FROM:<a@[999.1.1.1]>", {501, 553}),
        ("FROM:<a@outside.test> BODY=9BIT", {501}),
        ("FROM:<a@outside.test> BODY", {501}),
        ("FROM:<a@outside.test> SIZE=abc", {501}),
        ("FROM:<a@outside.test> SIZE=-1", {501}),
        ("FROM:<a@outside.test> SIZE=1 SIZE=1", {501}),
        ("FROM:<a@outside.test> SIZE=99999999999999999999", {552, 501}),
        ("FROM:<a@outside.test> SIZE=9999999999999", {552}),
        ("FROM:<a@outside.test> SMTPUTF8=yes", {501}),
        ("FROM:<a@outside.test> RET=SOME", {501}),
        ("FROM:<a@outside.test> RET=FULL RET=FULL", {501}),
        ("FROM:<a@outside.test> ENVID=a=b", {501}),
        ("FROM:<a@outside.test> ENVID=" + "x" * 101, {501}),
        ("FROM:<a@outside.test> REQUIRETLS", {501, 530, 555}),
        ("FROM:<a@outside.test> FOO=BAR", {555}),
        ("FROM:<d\u00f6rte@outside.test>", {500, 501, 550, 553}),
    ],
)
def test_mail_is_refused(probe: Probe, argument: str, codes: set[int]) -> None:
    assert probe.ask(f"MAIL {argument}").code in codes
    assert probe.ask("MAIL FROM:<a@outside.test>").code == 250, "the refused one left a transaction"


def test_too_large_a_size_has_its_status(probe: Probe) -> None:
    # RFC 1870 section 6.1, RFC 3463 section 3.4
    assert probe.ask("MAIL FROM:<a@outside.test> SIZE=9999999999").status == "5.3.4"


def test_order_of_the_mail_transaction(probe: Probe) -> None:
    # RFC 5321 sections 3.3 and 4.1.4
    assert probe.ask(f"RCPT TO:<{ALICE}>").code == 503
    assert probe.ask("DATA").code == 503
    assert probe.ask("MAIL FROM:<a@outside.test>").code == 250
    assert probe.ask("MAIL FROM:<b@outside.test>").code == 503
    assert probe.ask("DATA").code in (503, 554)
    assert probe.ask(f"RCPT TO:<{ALICE}>").code == 250
    assert probe.ask("RSET").code == 250
    assert probe.ask("DATA").code == 503


# -- RCPT ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "argument",
    [
        f"TO:<{ALICE}>",
        "to:<ALICE@EXAMPLE.TEST>",
        'TO:<"alice"@example.test>',
        "TO:<alice+detail@example.test>",
        f"TO:<@relay.test,@other.test:{ALICE}>",
        "TO:<postmaster>",
        "TO:<PostMaster>",
        "TO:<Postmaster@example.test>",
        "TO:<abuse@example.test>",
        f"TO:<{ALICE}> NOTIFY=NEVER",
        f"TO:<{ALICE}> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;alice+2Bx@example.test",
        f"TO:<{ALICE}> notify=failure",
    ],
)
def test_rcpt_is_taken(probe: Probe, argument: str) -> None:
    # RFC 5321 sections 2.4, 4.1.1.3 and 4.5.1; RFC 3461 section 4
    probe.ask("MAIL FROM:<a@outside.test>")
    assert probe.ask(f"RCPT {argument}").code == 250


@pytest.mark.parametrize(
    ("argument", "codes"),
    [
        ("TO:<>", {501, 550, 553}),
        ("TO:", {501, 553}),
        ("TO:alice", {501, 550, 553}),
        (f"FROM:<{ALICE}>", {501}),
        ("TO:<alice>", {501, 550, 553}),
        (f"TO:<{ALICE}> FOO=BAR", {555}),
        (f"TO:<{ALICE}> NOTIFY=", {501}),
        (f"TO:<{ALICE}> NOTIFY=NEVER,SUCCESS", {501}),
        (f"TO:<{ALICE}> NOTIFY=SOMETIMES", {501}),
        (f"TO:<{ALICE}> NOTIFY=NEVER NOTIFY=NEVER", {501}),
        (f"TO:<{ALICE}> ORCPT=alice", {501}),
        (f"TO:<{ALICE}> ORCPT=rfc822;a=b", {501}),
        (f"TO:<{ALICE}> ORCPT=rfc822;" + "x" * 501, {501}),
        (f"TO:<{ALICE}> SIZE=1", {501, 555}),
    ],
)
def test_rcpt_is_refused(probe: Probe, argument: str, codes: set[int]) -> None:
    probe.ask("MAIL FROM:<a@outside.test>")
    assert probe.ask(f"RCPT {argument}").code in codes
    assert probe.ask(f"RCPT TO:<{ALICE}>").code == 250, "one refused recipient spoils the others"


def test_an_unknown_recipient_is_550_5_1_1(probe: Probe) -> None:
    # RFC 5321 section 3.3, RFC 3463 section 3.2.  (The demo has a catch-all for its own domain.)
    probe.ask("MAIL FROM:<a@outside.test>")
    answer = probe.ask("RCPT TO:<gone-for-good@sub.example.test>")
    assert answer.code in (550, 554)
    assert answer.status in ("5.1.1", "5.1.2", "5.7.1")


@pytest.mark.parametrize(
    "recipient",
    [
        "victim@elsewhere.test",
        "victim%elsewhere.test@example.test",
        "elsewhere.test!victim",
        "@example.test:victim@elsewhere.test",
        "@elsewhere.test:victim@elsewhere.test",
        '"victim@elsewhere.test"',
        "victim@[192.0.2.9]",
        "victim@elsewhere.test@example.test",
        "victim@EXAMPLE.test.elsewhere.test",
    ],
)
@pytest.mark.parametrize("sender", ["", "a@outside.test", ALICE, "postmaster@example.test"])
def test_nothing_is_relayed(demo: Demo, probe: Probe, recipient: str, sender: str, mark: str) -> None:
    # RFC 5321 section 7.8; what is taken all the same stays here
    assert probe.ask(f"MAIL FROM:<{sender}>").code == 250
    answer = probe.ask(f"RCPT TO:<{recipient}>")
    if answer.code == 250:
        assert recipient.endswith("@example.test")
        return
    assert 500 <= answer.code < 560


def test_at_least_a_hundred_recipients(probe: Probe, mark: str) -> None:
    # RFC 5321 sections 4.5.3.1.8 and 4.5.3.1.10
    most = int(dict(p.split("=") for p in probe.keywords["LIMITS"].split())["RCPTMAX"])
    probe.envelope([f"alice+{n}@example.test" for n in range(most)])
    over = probe.ask("RCPT TO:<bob@example.test>")
    assert (over.code, over.status) == (452, "4.5.3")
    assert probe.message(mail(mark)).code == 250


# -- DATA ---------------------------------------------------------------------------------


def test_dots_and_long_lines_arrive_as_they_were(demo: Demo, probe: Probe, mark: str) -> None:
    # RFC 5321 sections 4.5.2 and 4.5.3.1.6
    body = b".\r\n..\r\n.hidden\r\n" + b"x" * 998 + b"\r\nend.\r\n.\r\n"
    probe.envelope([ALICE])
    assert probe.message(mail(mark, body=body)).code == 250
    assert demo.wait_for_message(ALICE, mark.encode()).endswith(b"\r\n\r\n" + body)


def test_eight_bit_text_arrives_as_it_was(demo: Demo, probe: Probe, mark: str) -> None:
    # RFC 6152 section 3
    body = "Gr\u00fc\u00dfe, \u4f60\u597d\r\n".encode()
    probe.envelope([ALICE], more=" BODY=8BITMIME")
    assert probe.message(mail(mark, body=body)).code == 250
    assert demo.wait_for_message(ALICE, mark.encode()).endswith(body)


def test_an_empty_message_gets_one_answer(probe: Probe) -> None:
    probe.envelope([ALICE])
    assert probe.message(b"").code in (250, 550, 554)
    assert probe.ask("NOOP").code == 250


def test_a_message_without_a_header(demo: Demo, probe: Probe, mark: str) -> None:
    # RFC 5321 section 3.3: the header is the receiver's business only so far
    probe.envelope([ALICE])
    assert probe.message(b"\r\n" + mark.encode() + b"\r\n").code == 250
    assert demo.wait_for_message(ALICE, mark.encode())


@pytest.mark.parametrize(
    "end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\r\n\0.\r\n"], ids=repr
)
def test_only_crlf_dot_crlf_ends_a_message(demo: Demo, probe: Probe, end: bytes, mark: str) -> None:
    # RFC 5321 section 4.1.1.4
    probe.envelope([ALICE])
    assert probe.ask("DATA").code == 354
    smuggled = b"MAIL FROM:<evil@outside.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n" + mail(
        mark + "-evil"
    )
    probe.send(mail(mark) + end + smuggled + b"\r\n.\r\n")
    assert probe.reply().code in (250, 550, 554)
    assert probe.ask("NOOP").code == 250
    assert not any(mark.encode() in message for message in demo.messages(BOB))


@pytest.mark.parametrize(("verb", "protocol"), [("HELO", "SMTP"), ("EHLO", "ESMTP")])
def test_trace_fields(demo: Demo, bare: Probe, mark: str, verb: str, protocol: str) -> None:
    # RFC 5321 section 4.4, RFC 3848
    bare.greeting()
    bare.hello(verb)
    bare.envelope([ALICE], sender="probe+x@outside.test")
    answer = bare.message(mail(mark))
    found = demo.wait_for_message(ALICE, mark.encode()).decode()
    assert found.startswith("Return-Path: <probe+x@outside.test>\r\n")
    unfolded = found.replace("\r\n\t", " ").replace("\r\n ", " ")
    received = next(line for line in unfolded.split("\r\n") if line.lower().startswith("received:"))
    assert re.match(
        r"Received: from probe\.outside\.test \(.*\[(127\.0\.0\.1|IPv6:::1)\].*\)"
        rf".* by \S+ .*with {protocol}\b.* id \S+"
        r".*; (Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4}( \(.*\))?$",
        received,
    ), received
    assert received.split(" id ")[1].split()[0].rstrip(";") in answer.text


def test_the_null_sender_stays_null(demo: Demo, probe: Probe, mark: str) -> None:
    # RFC 5321 section 4.5.5
    probe.envelope([ALICE], sender="")
    assert probe.message(mail(mark)).code == 250
    assert demo.wait_for_message(ALICE, mark.encode()).startswith(b"Return-Path: <>\r\n")


def test_nothing_is_mended_in_mail_from_outside(demo: Demo, probe: Probe, mark: str) -> None:
    # RFC 5321 section 6.4
    octets = b"From: a@outside.test\r\nBcc: x@outside.test\r\nSubject: " + mark.encode() + b"\r\n\r\nx\r\n"
    probe.envelope([ALICE])
    assert probe.message(octets).code == 250
    assert demo.wait_for_message(ALICE, mark.encode()).endswith(octets)


def test_a_recipient_named_twice_gets_one_copy(demo: Demo, probe: Probe, mark: str) -> None:
    probe.envelope([ALICE, "Alice@EXAMPLE.test"])
    assert probe.message(mail(mark)).code == 250
    demo.wait_for_message(ALICE, mark.encode())
    assert sum(mark.encode() in message for message in demo.messages(ALICE)) == 1


def test_a_loop_ends(probe: Probe, mark: str) -> None:
    # RFC 5321 section 6.3
    hops = b"Received: from a.test by b.test; Sun, 22 Nov 2026 10:00:00 +0000\r\n" * 120
    probe.envelope([ALICE])
    answer = probe.message(hops + mail(mark))
    assert (answer.code, answer.status) == (554, "5.4.6")


def test_many_messages_in_one_session_have_ids_of_their_own(probe: Probe, mark: str) -> None:
    ids = set()
    for n in range(3):
        probe.envelope([ALICE])
        ids.add(probe.message(mail(f"{mark}-{n}")).text)
    assert len(ids) == 3


def test_a_client_that_goes_away_in_data_leaves_nothing(demo: Demo, probe: Probe, mark: str) -> None:
    # RFC 5321 section 4.1.1.4
    probe.envelope([ALICE])
    assert probe.ask("DATA").code == 354
    probe.send(mail(mark))
    probe.close()
    with Probe((demo.host, demo.port("mx"))) as other:
        other.open().envelope([ALICE])
        assert other.message(mail(f"{mark}-after")).code == 250
    demo.wait_for_message(ALICE, f"{mark}-after".encode())
    assert not any(f"Subject: {mark}\r".encode() in message for message in demo.messages(ALICE))
