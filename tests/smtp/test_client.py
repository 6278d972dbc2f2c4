"""The sending side's dialog, with every refusal at every step (Q1 to Q9)."""

from collections.abc import Callable
from typing import Any

import pytest

from mailstack.model.reply import Reply
from mailstack.smtp.client import MAX_EARLY_OCTETS
from mailstack.smtp.client_events import (
    Done,
    OutgoingRecipient,
    Ready,
    SendBody,
    StartTls,
    Transaction,
)
from tests.kit.client_dialog import EHLO, Dialog, broken, replies

PLAIN = "250 mx.test"


def to(*addresses: str, **facts: Any) -> Transaction:
    values: dict[str, Any] = {"sender": "a@x.org", "size_octets": 100, **facts}
    return Transaction(recipients=tuple(OutgoingRecipient(a) for a in addresses), **values)


# -- opening


def test_we_wait_for_the_greeting_and_then_say_ehlo() -> None:
    dialog = Dialog()
    assert dialog.said() == []
    assert dialog.hear("220 mx.test") == []
    assert dialog.said() == ["EHLO us.test"]
    assert dialog.hear(EHLO) == [Ready()]
    assert dialog.session.extensions["SIZE"] == "1000"


@pytest.mark.parametrize(
    "greeting", ["421 4.7.0 busy", "450 later", "554 5.7.1 go away", "521 no mail", "250 huh"]
)
def test_a_greeting_that_is_no_220_concerns_the_host(greeting: str) -> None:
    # Q1, Q2
    dialog = Dialog()
    answer = broken(dialog.hear(greeting))
    assert answer.stage == "greeting"
    assert answer.reply.code >= 400
    assert dialog.session.closed


def test_a_refused_ehlo_falls_back_to_helo() -> None:
    # Q9
    dialog = Dialog()
    dialog.hear("220 mx.test")
    dialog.said()
    assert dialog.hear("502 what?") == []
    assert dialog.said() == ["HELO us.test"]
    assert dialog.hear("250 mx.test") == [Ready()]
    assert dialog.session.extensions == {}


@pytest.mark.parametrize(
    "answers", [["450 later"], ["502 no", "502 no"], ["502 no", "421 no"], ["502 no", "450 no"]]
)
def test_a_host_that_takes_no_hello_is_broken(answers: list[str]) -> None:
    dialog = Dialog()
    dialog.hear("220 mx.test")
    assert broken(dialog.hear(*answers)).stage == "ehlo"


# -- TLS


def test_tls_is_started_when_offered_and_everything_before_it_is_forgotten() -> None:
    # RFC 3207 section 4.2
    dialog = Dialog()
    dialog.hear("220 mx.test", "250-mx.test\r\n250-STARTTLS\r\n250 SIZE 5")
    assert dialog.said()[-1] == "STARTTLS"
    assert dialog.hear("220 go") == [StartTls()]
    dialog.session.tls_done()
    assert dialog.said() == ["EHLO us.test"]
    assert dialog.hear(EHLO.replace("SIZE 1000", "SIZE 2000")) == [Ready()]
    assert dialog.session.is_tls
    assert dialog.session.extensions["SIZE"] == "2000"


@pytest.mark.parametrize("wire", [b"220 go\r\n250 injected\r\n", b"220 go\r\n2", b"220 go\r\n\x16\x03"])
def test_octets_between_220_and_the_handshake_break_the_session(wire: bytes) -> None:
    # L15, T4
    dialog = Dialog()
    dialog.hear("220 mx.test", "250-mx.test\r\n250 STARTTLS")
    dialog.session.receive(wire)
    assert broken(dialog.events()).reply.status == "7.0"
    assert dialog.session.closed


def test_octets_that_come_while_the_handshake_is_due_break_the_session() -> None:
    dialog = Dialog()
    dialog.hear("220 mx.test", "250-mx.test\r\n250 STARTTLS", "220 go")
    assert broken(dialog.hear("250 injected")).reply.code == 451


@pytest.mark.parametrize("answer", ["454 4.7.0 not now", "501 no"])
def test_a_refused_starttls_goes_on_in_clear_or_not_at_all(answer: str) -> None:
    # Q1, Q2
    dialog = Dialog()
    assert dialog.hear("220 mx.test", "250-mx.test\r\n250 STARTTLS", answer) == [Ready()]
    strict = Dialog(tls="require")
    assert broken(strict.hear("220 mx.test", "250-mx.test\r\n250 STARTTLS", answer)).reply.status == "7.4"


def test_tls_that_is_required_and_not_offered_defers() -> None:
    assert broken(Dialog(tls="require").hear("220 mx.test", PLAIN)).reply == Reply(
        451, "7.4", "The server does not offer TLS, and we do not send without"
    )


def test_without_tls_none_is_started() -> None:
    dialog = Dialog(tls="none")
    assert dialog.hear("220 mx.test", "250-mx.test\r\n250 STARTTLS") == [Ready()]


# -- login at a relay


# -- a message


def test_with_pipelining_everything_up_to_data_leaves_at_once() -> None:
    # RFC 2920
    dialog = Dialog().ready()
    assert dialog.send(to("b@y.org", "c@y.org")) == [
        "MAIL FROM:<a@x.org> SIZE=100",
        "RCPT TO:<b@y.org>",
        "RCPT TO:<c@y.org>",
        "DATA",
    ]
    assert dialog.hear("250 ok", "250 ok", "250 ok", "354 go") == [SendBody()]
    assert dialog.session.wait == "body"
    dialog.session.body_done()
    assert dialog.session.wait == "end"
    assert replies(dialog.hear("250 2.0.0 queued")) == [Reply(250, "0.0", "queued")] * 2
    assert dialog.session.is_ready


def test_without_pipelining_every_command_waits_for_its_answer() -> None:
    dialog = Dialog().ready(PLAIN)
    assert dialog.send(to("b@y.org", "c@y.org")) == ["MAIL FROM:<a@x.org>"]
    dialog.hear("250 ok")
    assert dialog.said() == ["RCPT TO:<b@y.org>"]
    dialog.hear("250 ok")
    assert dialog.said() == ["RCPT TO:<c@y.org>"]
    dialog.hear("251 forwarding")
    assert dialog.said() == ["DATA"]
    assert dialog.session.wait == "data"
    assert dialog.hear("354 go") == [SendBody()]


@pytest.mark.parametrize("ehlo", [EHLO, PLAIN], ids=["pipelining", "plain"])
def test_each_recipient_is_judged_by_its_own_reply(ehlo: str) -> None:
    # Q3
    dialog = Dialog().ready(ehlo)
    dialog.send(to("good@y.org", "later@y.org", "never@y.org"))
    events = dialog.hear("250 ok", "250 ok", "450 4.2.1 later", "550 5.1.1 never", "354 go")
    assert events == [SendBody()]
    dialog.session.body_done()
    assert replies(dialog.hear("250 ok")) == [
        Reply(250, "", "ok"),
        Reply(450, "2.1", "later"),
        Reply(550, "1.1", "never"),
    ]


@pytest.mark.parametrize("ehlo", [EHLO, PLAIN], ids=["pipelining", "plain"])
@pytest.mark.parametrize("code", [450, 550])
def test_a_refused_sender_is_the_answer_for_everybody(ehlo: str, code: int) -> None:
    dialog = Dialog().ready(ehlo)
    dialog.send(to("b@y.org", "c@y.org"))
    events = dialog.hear(f"{code} no", *(["503 no", "503 no", "503 no"] if ehlo == EHLO else []))
    assert replies(events) == [Reply(code, "", "no")] * 2
    assert dialog.session.is_ready
    assert dialog.said() == []


@pytest.mark.parametrize("ehlo", [EHLO, PLAIN], ids=["pipelining", "plain"])
def test_when_nobody_is_accepted_the_transaction_is_reset(ehlo: str) -> None:
    dialog = Dialog().ready(ehlo)
    dialog.send(to("b@y.org"))
    events = dialog.hear("250 ok", "550 no", *(["503 no recipients"] if ehlo == EHLO else []))
    assert replies(events) == [Reply(550, "", "no")]
    assert dialog.said()[-1] == "RSET"
    assert dialog.hear("250 ok") == [Ready()]


def test_a_server_that_wants_data_for_nobody_gets_an_empty_message() -> None:
    # RFC 2920 section 3.1
    dialog = Dialog().ready()
    dialog.send(to("b@y.org"))
    assert dialog.hear("250 ok", "550 no", "354 go") == []
    assert dialog.said() == ["."]
    assert replies(dialog.hear("554 nobody")) == [Reply(550, "", "no")]
    assert dialog.session.is_ready


@pytest.mark.parametrize("code", [451, 554])
def test_a_refused_data_leaves_refused_recipients_their_own_answer(code: int) -> None:
    dialog = Dialog().ready()
    dialog.send(to("b@y.org", "c@y.org"))
    events = dialog.hear("250 ok", "250 ok", "550 no", f"{code} no data")
    assert replies(events) == [Reply(code, "", "no data"), Reply(550, "", "no")]
    assert dialog.said()[-1] == "RSET"


@pytest.mark.parametrize("answer", ["451 4.3.0 later", "552 5.3.4 too big", "250 2.0.0 ok"])
def test_the_answer_after_the_dot_is_for_all_that_were_accepted(answer: str) -> None:
    dialog = Dialog().ready()
    dialog.send(to("b@y.org"))
    dialog.hear("250 ok", "250 ok", "354 go")
    dialog.session.body_done()
    (reply,) = replies(dialog.hear(answer))
    assert str(reply) == answer


def test_several_messages_go_over_one_connection() -> None:
    dialog = Dialog().ready()
    for _ in range(3):
        dialog.send(to("b@y.org"))
        dialog.hear("250 ok", "250 ok", "354 go")
        dialog.session.body_done()
        assert replies(dialog.hear("250 ok")) == [Reply(250, "", "ok")]
    dialog.session.quit()
    assert dialog.said() == ["QUIT"]
    assert dialog.session.wait == "quit"
    assert dialog.hear("221 bye") == []
    assert dialog.session.closed


@pytest.mark.parametrize(("step", "accepted"), [(0, 0), (1, 1), (2, 2), (3, 3)])
def test_a_421_ends_the_connection_at_any_step(step: int, accepted: int) -> None:
    # RFC 5321 section 3.8
    dialog = Dialog().ready()
    dialog.send(to("b@y.org"))
    events = dialog.hear(*["250 ok", "250 ok", "354 go"][:step])
    if step == 3:
        dialog.session.body_done()
    events = dialog.hear("421 4.7.0 slow down")
    assert replies(events) == [Reply(421, "7.0", "slow down")]
    assert broken(events).reply.code == 421
    assert dialog.session.closed
    (done,) = [event for event in events if isinstance(event, Done)]
    assert not done.answers[0].is_possible_duplicate


def test_an_idle_connection_that_says_421_is_over() -> None:
    dialog = Dialog().ready()
    assert broken(dialog.hear("421 4.4.2 idle too long")).reply.code == 421


def test_an_answer_nobody_asked_for_ends_the_connection() -> None:
    dialog = Dialog().ready()
    assert broken(dialog.hear("250 surprise")).reply.status == "5.0"


@pytest.mark.parametrize("code", [299, 354, 235])
def test_a_success_that_makes_no_sense_is_a_temporary_failure(code: int) -> None:
    dialog = Dialog().ready()
    dialog.send(to("b@y.org"))
    events = dialog.hear(f"{code} strange", "503 x", "503 x")
    assert replies(events)[0].code == 451


# -- connections that break


@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_lost_connection_defers_what_has_no_answer(step: int) -> None:
    dialog = Dialog().ready()
    dialog.send(to("b@y.org", "c@y.org"))
    dialog.hear(*["250 ok", "250 ok", "550 no"][: step + 1])
    dialog.session.receive(b"")
    events = dialog.events()
    assert [r.code for r in replies(events)] == ([451, 550] if step == 2 else [451, 451])
    assert broken(events).is_ours


def test_a_connection_lost_after_the_dot_may_have_delivered() -> None:
    # Q4, P4
    dialog = Dialog().ready()
    dialog.send(to("b@y.org"))
    dialog.hear("250 ok", "250 ok", "354 go")
    dialog.session.body_done()
    dialog.session.receive(b"")
    (done,) = [event for event in dialog.events() if isinstance(event, Done)]
    assert done.answers[0].is_possible_duplicate
    assert done.answers[0].reply.code == 451


def test_silence_after_the_dot_may_have_delivered_too() -> None:
    # Q5
    dialog = Dialog().ready()
    dialog.send(to("b@y.org"))
    dialog.hear("250 ok", "250 ok", "354 go")
    dialog.session.body_done()
    dialog.session.fail("No answer after 600 s")
    (done,) = [event for event in dialog.events() if isinstance(event, Done)]
    assert done.answers[0].is_possible_duplicate


def test_a_connection_lost_within_the_body_delivered_nothing() -> None:
    dialog = Dialog().ready()
    dialog.send(to("b@y.org"))
    dialog.hear("250 ok", "250 ok", "354 go")
    dialog.session.receive(b"")
    (done,) = [event for event in dialog.events() if isinstance(event, Done)]
    assert not done.answers[0].is_possible_duplicate
    assert done.answers[0].reply.code == 451


@pytest.mark.parametrize(("line", "code"), [("552 5.3.4 too big", 552), ("451 full", 451), ("250 ok", 451)])
def test_a_refusal_within_the_body_counts_when_the_server_hangs_up(line: str, code: int) -> None:
    dialog = Dialog().ready()
    dialog.send(to("b@y.org"))
    dialog.hear("250 ok", "250 ok", "354 go", line)
    dialog.session.receive(b"")
    assert [r.code for r in replies(dialog.events())] == [code]


def test_a_server_that_talks_within_the_body_has_a_limit() -> None:
    dialog = Dialog().ready()
    dialog.send(to("b@y.org"))
    dialog.hear("250 ok", "250 ok", "354 go")
    for _ in range(3):
        dialog.session.receive(b"x" * MAX_EARLY_OCTETS)
    assert broken(dialog.events()).reply.status == "5.0"


def test_a_success_before_quit_is_answered_stays_one() -> None:
    # Q6
    dialog = Dialog().ready()
    dialog.send(to("b@y.org"))
    dialog.hear("250 ok", "250 ok", "354 go")
    dialog.session.body_done()
    assert replies(dialog.hear("250 ok")) == [Reply(250, "", "ok")]
    dialog.session.quit()
    dialog.session.receive(b"")
    assert dialog.events() == []
    assert dialog.session.closed


@pytest.mark.parametrize(
    "wire", [b"x" * 100_000, b"250-x\r\n" * 1000, b"999 x\r\n", b"2 50\r\n", b"\xff\xfe\r\n"]
)
@pytest.mark.parametrize("step", range(4))
def test_nonsense_at_any_step_is_a_temporary_failure(step: int, wire: bytes) -> None:
    # Q7
    dialog = Dialog().ready()
    dialog.send(to("b@y.org"))
    dialog.hear(*["250 ok", "250 ok", "354 go"][:step])
    if step == 3:
        dialog.session.body_done()
    dialog.session.receive(wire)
    events = dialog.events()
    assert replies(events)[0].code == 451
    assert replies(events)[0].status == "5.0"
    assert dialog.session.closed


# -- what the server can take


def test_a_message_above_the_size_is_not_even_begun() -> None:
    # RFC 1870 section 6.1
    dialog = Dialog().ready()
    assert dialog.send(to("b@y.org", size_octets=1001)) == []
    assert replies(dialog.events())[0].status == "3.4"
    assert dialog.session.is_ready
    assert dialog.send(to("b@y.org", size_octets=1000)) != []


@pytest.mark.parametrize("size", ["SIZE", "SIZE 0", "SIZE x", "SIZE -1", "SIZE ²"])
def test_a_size_without_a_number_is_no_limit(size: str) -> None:
    dialog = Dialog().ready(f"250-mx.test\r\n250 {size}")
    assert dialog.send(to("b@y.org", size_octets=10**9)) == ["MAIL FROM:<a@x.org> SIZE=1000000000"]


def test_8_bit_mail_is_declared_or_refused_or_sent_on_request() -> None:
    # RFC 6152 section 3, Q9
    assert (
        Dialog().ready().send(to("b@y.org", has_8bit=True))[0] == "MAIL FROM:<a@x.org> SIZE=100 BODY=8BITMIME"
    )
    dialog = Dialog().ready(PLAIN)
    assert dialog.send(to("b@y.org", has_8bit=True)) == []
    assert replies(dialog.events())[0].code == 554
    assert dialog.send(to("b@y.org", has_8bit=True, send_8bit=True)) == ["MAIL FROM:<a@x.org>"]


def test_utf8_is_asked_for_only_where_it_is_needed() -> None:
    # RFC 6531 section 3.4
    dialog = Dialog().ready()
    assert "SMTPUTF8" not in dialog.send(to("b@y.org"))[0]
    for transaction in (to("ü@y.org"), to("b@y.org", sender="ä@x.org"), to("b@y.org", needs_utf8=True)):
        assert Dialog().ready().send(transaction)[0].endswith(" SMTPUTF8")


@pytest.mark.parametrize(
    ("transaction", "status"),
    [
        (to("b@y.org", needs_utf8=True), "6.9"),
        (to("b@y.org", sender="ä@x.org"), "6.7"),
        (to("ü@y.org"), "6.7"),
    ],
)
def test_utf8_that_is_not_taken_fails_with_its_status(transaction: Transaction, status: str) -> None:
    # RFC 6531 section 3.5
    dialog = Dialog().ready(PLAIN)
    assert dialog.send(transaction) == []
    assert replies(dialog.events())[0].status == status


def test_a_recipient_that_cannot_be_sent_does_not_stop_the_others() -> None:
    dialog = Dialog().ready("250-mx.test\r\n250 PIPELINING")
    assert dialog.send(to("ü@y.org", "b@y.org")) == ["MAIL FROM:<a@x.org>", "RCPT TO:<b@y.org>", "DATA"]
    dialog.hear("250 ok", "250 ok", "354 go")
    dialog.session.body_done()
    assert [r.code for r in replies(dialog.hear("250 ok"))] == [553, 250]


@pytest.mark.parametrize(
    "address", ["b@y.org>\r\nRCPT TO:<c@y.org", "b", "", "b@y.org> NOTIFY=NEVER", "b@y\n.org"]
)
def test_no_address_becomes_a_command(address: str) -> None:
    dialog = Dialog().ready()
    assert dialog.send(to(address)) == []
    assert replies(dialog.events())[0].status == "1.3"
    assert Dialog().ready().send(to("b@y.org", sender=address or "x")) == []


def test_the_last_door_lets_no_line_end_through() -> None:
    with pytest.raises(ValueError, match="one line"):
        Dialog().session.say("MAIL FROM:<a@b>\r\nDATA")


# -- DSN


def test_wishes_for_reports_are_passed_on_where_they_are_understood() -> None:
    # RFC 3461 section 5.2.1
    recipient = OutgoingRecipient("b@y.org", frozenset({"SUCCESS", "FAILURE"}), "rfc822;b+c=d@y.org")
    transaction = Transaction("a@x.org", (recipient,), 10, ret="HDRS", envid="id 1")
    said = Dialog().ready().send(transaction)
    assert said[0] == "MAIL FROM:<a@x.org> SIZE=10 RET=HDRS ENVID=id+201"
    assert said[1] == "RCPT TO:<b@y.org> NOTIFY=FAILURE,SUCCESS ORCPT=rfc822;b+2Bc+3Dd@y.org"


def test_wishes_for_reports_are_kept_where_they_are_not() -> None:
    # RFC 3461 section 5.2.2
    recipient = OutgoingRecipient("b@y.org", frozenset({"SUCCESS"}), "rfc822;b@y.org")
    dialog = Dialog().ready("250-mx.test\r\n250 PIPELINING")
    assert dialog.send(Transaction("a@x.org", (recipient,), 10, ret="FULL", envid="e")) == [
        "MAIL FROM:<a@x.org>",
        "RCPT TO:<b@y.org>",
        "DATA",
    ]
    dialog.hear("250 ok", "250 ok", "354 go")
    dialog.session.body_done()
    (done,) = dialog.hear("250 ok")
    assert isinstance(done, Done)
    assert not done.relays_reports


@pytest.mark.parametrize(
    ("ehlo", "said"),
    [
        (EHLO, "ORCPT=utf-8;\u00fc\\x{2B}x@y.org"),
        ("250-mx.test\r\n250-PIPELINING\r\n250 DSN", "ORCPT=utf-8;\\x{FC}\\x{2B}x@y.org"),
    ],
    ids=["smtputf8", "without"],
)
@pytest.mark.parametrize("kept", ["utf-8;\u00fc+x@y.org", "utf-8;\\x{FC}\\x{2B}x@y.org"])
def test_an_original_recipient_in_utf8_is_escaped_where_it_must_be(kept: str, ehlo: str, said: str) -> None:
    # RFC 6533 section 3
    recipient = OutgoingRecipient("b@y.org", orcpt=kept)
    assert (
        Dialog().ready(ehlo).send(Transaction("a@x.org", (recipient,), 10))[1] == f"RCPT TO:<b@y.org> {said}"
    )


# -- BDAT

CHUNKING = f"{EHLO.replace('250 SMTPUTF8', '250-SMTPUTF8')}\r\n250-CHUNKING\r\n250 BINARYMIME"


@pytest.mark.parametrize("pipelining", [True, False])
def test_a_binary_message_leaves_as_one_chunk(pipelining: bool) -> None:
    # RFC 3030 section 2
    dialog = Dialog().ready(CHUNKING if pipelining else CHUNKING.replace("250-PIPELINING\r\n", ""))
    said = dialog.send(to("b@y.org", "c@y.org", is_binary=True, has_8bit=True))
    for line in ("250 ok", "250 ok", "550 5.1.1 no"):
        assert not any(isinstance(event, SendBody) for event in dialog.events())
        dialog.session.receive(line.encode() + b"\r\n")
        said += dialog.said()
    assert said == [
        "MAIL FROM:<a@x.org> SIZE=100 BODY=BINARYMIME",
        "RCPT TO:<b@y.org>",
        "RCPT TO:<c@y.org>",
        "BDAT 100 LAST",
    ]
    assert dialog.events() == [SendBody(is_raw=True)]
    dialog.session.body_done()
    assert [r.code for r in replies(dialog.hear("250 ok"))] == [250, 550]
    assert dialog.session.is_ready


def test_a_chunk_for_nobody_is_not_sent() -> None:
    dialog = Dialog().ready(CHUNKING)
    dialog.send(to("b@y.org", is_binary=True))
    assert [r.code for r in replies(dialog.hear("250 ok", "550 no"))] == [550]
    assert dialog.said() == ["RSET"]


@pytest.mark.parametrize(
    "ehlo", [EHLO, CHUNKING.replace("CHUNKING", "X"), CHUNKING.replace("BINARYMIME", "X")]
)
def test_binary_mail_is_not_sent_to_whoever_cannot_take_it(ehlo: str) -> None:
    dialog = Dialog().ready(ehlo)
    assert dialog.send(to("b@y.org", is_binary=True)) == []
    assert str(replies(dialog.events())[0]).startswith("554 5.6.3 ")


# -- REQUIRETLS

SECURED = f"{PLAIN.replace(' ', '-', 1)}\r\n250 REQUIRETLS"


def secured(ehlo: str = SECURED, *, is_verified: bool = True) -> Dialog:
    dialog = Dialog()
    assert dialog.hear("220 x", "250-mx.test\r\n250 STARTTLS", "220 go") == [StartTls()]
    dialog.session.tls_done(is_verified=is_verified)
    assert dialog.hear(ehlo) == [Ready()]
    dialog.said()
    return dialog


def test_a_message_for_tls_only_says_so_to_the_next_server() -> None:
    # RFC 8689 section 4.2.1
    assert secured().send(to("b@y.org", requiretls=True)) == ["MAIL FROM:<a@x.org> REQUIRETLS"]


def test_a_message_for_tls_only_is_not_sent_to_a_server_that_does_not_promise_it() -> None:
    dialog = secured(PLAIN)
    assert dialog.send(to("b@y.org", requiretls=True)) == []
    assert str(replies(dialog.events())[0]).startswith("550 5.7.30 ")


def test_a_report_about_it_is_not_lost_for_that() -> None:
    # RFC 8689 section 5
    assert secured(PLAIN).send(to("b@y.org", sender="", requiretls=True)) == ["MAIL FROM:<>"]
    assert secured().send(to("b@y.org", sender="", requiretls=True)) == ["MAIL FROM:<> REQUIRETLS"]
    unverified = secured(is_verified=False)
    assert unverified.send(to("b@y.org", sender="", requiretls=True)) == ["MAIL FROM:<>"]


# -- LMTP


def lmtp(ehlo: str = EHLO) -> Dialog:
    dialog = Dialog(protocol="lmtp")
    assert dialog.hear("220 lists.test LMTP") == []
    assert dialog.said() == ["LHLO us.test"]
    assert dialog.hear(ehlo) == [Ready()]
    return dialog


def test_lmtp_answers_for_each_recipient_by_itself() -> None:
    # RFC 2033 section 4.2
    dialog = lmtp()
    dialog.send(to("b@y.org", "no@y.org", "c@y.org"))
    assert dialog.hear("250 ok", "250 ok", "550 5.1.1 no", "250 ok", "354 go") == [SendBody()]
    dialog.session.body_done()
    assert dialog.hear("250 2.1.5 b has it") == []
    (done,) = dialog.hear("452 4.2.2 c is full")
    assert isinstance(done, Done)
    assert [(a.reply.code, a.stage) for a in done.answers] == [(250, "end"), (550, "rcpt"), (452, "end")]
    assert done.is_final
    assert not done.relays_reports
    assert dialog.session.is_ready


def test_lmtp_that_stops_answering_leaves_the_others_in_doubt() -> None:
    dialog = lmtp()
    dialog.send(to("b@y.org", "c@y.org"))
    dialog.hear("250 ok", "250 ok", "250 ok", "354 go")
    dialog.session.body_done()
    dialog.hear("250 ok")
    dialog.session.receive(b"")
    (done,) = [event for event in dialog.events() if isinstance(event, Done)]
    assert [(a.reply.code, a.is_possible_duplicate) for a in done.answers] == [(250, False), (451, True)]


def test_lmtp_has_no_helo_and_no_message_for_nobody() -> None:
    dialog = Dialog(protocol="lmtp")
    dialog.hear("220 x")
    assert broken(dialog.hear("500 what")).reply.code == 500
    other = lmtp()
    other.send(to("b@y.org"))
    assert [r.code for r in replies(other.hear("250 ok", "550 no", "354 go"))] == [550]
    assert other.session.closed


# -- chunking


SCRIPTS: list[Callable[[], bytes]] = [
    lambda: b"220 x\r\n250-x\r\n250 PIPELINING\r\n",
    lambda: b"220 x\r\n502 x\r\n250 x\r\n",
    lambda: b"554 x\r\n",
]


@pytest.mark.parametrize("script", range(len(SCRIPTS)))
def test_octet_by_octet_is_the_same(script: int) -> None:
    wire = SCRIPTS[script]()
    whole, single = Dialog(), Dialog()
    whole.session.receive(wire)
    for place in range(len(wire)):
        single.session.receive(wire[place : place + 1])
    assert whole.events() == single.events()
    assert whole.said() == single.said()
