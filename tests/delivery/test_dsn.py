"""Reports: for people, for programs, and never one too many."""

import email
import email.message
import email.policy
import quopri
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.delivery import dsn
from mailstack.delivery.dsn import Original, Reported, Site
from mailstack.delivery.entry import QueueMessage
from mailstack.model.reply import Reply
from tests.kit.queues import MESSAGE

NOW = 1_767_225_600.0
NO = Reply(550, "1.1", "<b@example.net>: no such user")
SITE = Site("mail.example.test", lambda address: (address, "remote"))


def original(octets: bytes = MESSAGE, **facts: Any) -> Original:
    values: dict[str, Any] = {
        "id": "3xQ7",
        "kind": "submission",
        "sender": "a@example.org",
        "owner": "a@example.org",
        "octets": octets,
        "size_octets": len(octets),
        "arrived_at": NOW - 60,
        **facts,
    }
    return Original(**values)


def reported(address: str = "b@example.net", **facts: Any) -> Reported:
    return Reported(
        **{"address": address, "action": "failed", "reply": NO, "host": "mx1.example.net[192.0.2.1]", **facts}
    )


def report(*told: Reported, about: Original | None = None, site: Site = SITE) -> QueueMessage:
    found = dsn.report(about or original(), told or (reported(),), site, now=NOW, report_id="rep1")
    assert found is not None
    return found


def octets(message: QueueMessage) -> bytes:
    assert message.data is not None
    return message.data


def parts(message: QueueMessage) -> tuple[email.message.Message, list[email.message.Message]]:
    parsed = email.message_from_bytes(octets(message))
    assert parsed.get_content_type() == "multipart/report"
    found = parsed.get_payload()
    assert isinstance(found, list)
    return parsed, found


def text(message: QueueMessage) -> str:
    payload = parts(message)[1][0].get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode("utf-8").replace("\r\n", "\n")


def fields(message: QueueMessage) -> list[dict[str, str]]:
    blocks = parts(message)[1][1].get_payload()
    return [dict(block.items()) for block in blocks]  # type: ignore[union-attr]


# -- none at all


@pytest.mark.parametrize(
    ("about", "told"),
    [
        (original(sender=""), reported()),  # RFC 5321 section 4.5.5
        (original(kind="dsn"), reported()),
        (original(), reported(notify=frozenset({"NEVER"}))),
        (original(), reported(notify=frozenset({"SUCCESS", "DELAY"}))),
        (original(), reported(action="delayed", notify=frozenset({"FAILURE"}))),
        (original(), reported(action="relayed")),
        (original(), reported(action="delivered", notify=frozenset({"FAILURE"}))),
    ],
)
def test_nobody_is_told_who_must_or_would_not_be(about: Original, told: Reported) -> None:
    # Q17, Q18
    assert dsn.report(about, [told], SITE, now=NOW, report_id="rep1") is None


def test_a_return_path_that_leads_nowhere_gets_no_report() -> None:
    site = Site("mail.example.test", lambda address: ("", "remote"))
    assert dsn.report(original(), [reported()], site, now=NOW, report_id="r") is None


@pytest.mark.parametrize(
    ("action", "notify", "wanted"),
    [
        ("failed", "", True),
        ("failed", "FAILURE", True),
        ("failed", "SUCCESS", False),
        ("delayed", "", True),
        ("delayed", "DELAY FAILURE", True),
        ("delayed", "FAILURE", False),
        ("relayed", "", False),
        ("relayed", "SUCCESS", True),
        ("delivered", "SUCCESS", True),
        ("failed", "NEVER", False),
    ],
)
def test_notify_is_honoured(action: Any, notify: str, wanted: bool) -> None:
    # RFC 3461 sections 5.2.2 to 5.2.6
    assert dsn.is_wanted(action, frozenset(notify.split())) is wanted


def test_the_report_leaves_out_those_whose_sender_did_not_ask() -> None:
    # RFC 3461 section 5.2.8
    message = report(reported("b@x.net"), reported("c@x.net", notify=frozenset({"NEVER"})))
    assert b"c@x.net" not in octets(message)


# -- the envelope


def test_the_envelope_can_cause_no_further_report() -> None:
    # RFC 3461 section 6.1
    message = report()
    assert (message.sender, message.kind) == ("", "dsn")
    (recipient,) = message.recipients
    assert (recipient.address, recipient.notify) == ("a@example.org", frozenset({"NEVER"}))


def test_a_report_for_a_mailbox_here_is_delivered_here() -> None:
    site = Site("mail.example.test", lambda address: (address, "local"))
    message = report(site=site)
    assert message.recipients[0].kind == "local"
    assert message.owner == "a@example.org"


def test_a_report_to_an_srs_address_goes_to_the_sender_behind_it() -> None:
    site = Site("mail.example.test", lambda address: ("sender@far.test", "remote"))
    about = original(kind="forward", sender="SRS0=t=d=far.test=sender@ours.test", owner="gone@ours.test")
    message = report(about=about, site=site)
    assert message.recipients[0].address == "sender@far.test"
    assert parts(message)[0]["To"] == "<sender@far.test>"


# -- for people


def test_the_far_servers_sentence_comes_with_its_meaning_and_an_advice() -> None:
    words = text(report())
    assert "b@example.net" in words
    assert "The mail server mx1.example.net[192.0.2.1] answered:" in words
    assert "550 5.1.1 <b@example.net>: no such user" in words
    assert "That means: There is no such address at that domain." in words
    assert "What you can do: Check the address" in words
    assert 'with the subject "hello"' in " ".join(words.split())
    assert all(len(line) <= 78 for line in words.split("\n"))


def test_a_delay_says_until_when_and_that_there_is_nothing_to_do() -> None:
    late = reported(action="delayed", reply=Reply(451, "4.1", "No answer"), until=NOW + 86_400)
    words = text(report(late))
    assert "nothing for you to do" in " ".join(words.split())
    assert "Still trying until 2026-01-02 00:00 UTC." in words
    assert parts(report(late))[0]["Subject"].startswith("Delayed, still trying")


def test_what_we_say_ourselves_is_not_put_into_another_servers_mouth() -> None:
    assert "This server says:" in text(report(reported(host="")))
    broken = report(reported(reply=Reply(451, "4.2", "The connection broke"), is_ours=True))
    assert "This server says of the mail server mx1.example.net[192.0.2.1]:" in text(broken)
    # RFC 3464 section 2.3.6: "smtp" is for what an SMTP server said
    assert fields(broken)[1]["Diagnostic-Code"] == "X-mailstack; 451 4.4.2 The connection broke"
    assert fields(broken)[1]["Remote-MTA"] == "dns; mx1.example.net"


def test_the_header_names_the_right_people_and_the_message() -> None:
    header = parts(report())[0]
    assert header["From"] == "Mail Delivery System <postmaster@example.org>"
    assert header["To"] == "<a@example.org>"
    assert header["Auto-Submitted"] == "auto-replied"
    assert header["In-Reply-To"] == header["References"] == "<1@example.org>"
    assert header["Message-ID"] == "<rep1@example.org>"
    assert header["Subject"] == "Not delivered: your message to b@example.net"


def test_several_recipients_are_one_report() -> None:
    message = report(reported("b@x.net"), reported("c@x.net"))
    assert parts(message)[0]["Subject"] == "Not delivered: your message to b@x.net and 1 more"
    assert [f["Final-Recipient"] for f in fields(message)[1:]] == ["rfc822; b@x.net", "rfc822; c@x.net"]


def test_the_target_of_a_redirection_stays_private() -> None:
    # RFC 3461 section 5.2.7.4; RFC 3464 section 2.3.2: the address as it was when we took the message
    about = original(kind="forward", sender="s@far.test", owner="gone@ours.test")
    told = reported("Secret@outside.test", reply=Reply(550, "1.1", "<secret@outside.test> unknown"))
    data = octets(report(told, about=about)).lower()
    assert b"secret" not in data
    assert b"<gone@ours.test> unknown" in data


# -- for programs


def test_the_machine_readable_part_has_every_required_field() -> None:
    told = reported(orcpt="rfc822;B@Example.NET", at=NOW - 5)
    message, recipient = fields(report(told, about=original(envid="env-1")))
    assert message == {
        "Original-Envelope-Id": "env-1",
        "Reporting-MTA": "dns; mail.example.test",
        "Arrival-Date": "Wed, 31 Dec 2025 23:59:00 +0000",
    }
    assert recipient == {
        "Original-Recipient": "rfc822;B@Example.NET",
        "Final-Recipient": "rfc822; b@example.net",
        "Action": "failed",
        "Status": "5.1.1",
        "Remote-MTA": "dns; mx1.example.net",
        "Diagnostic-Code": "smtp; 550 5.1.1 <b@example.net>: no such user",
        "Last-Attempt-Date": "Wed, 31 Dec 2025 23:59:55 +0000",
    }


def test_a_delay_has_will_retry_until_and_a_failure_has_not() -> None:
    # RFC 3464 section 2.3.9
    late = reported(action="delayed", reply=Reply(451, "4.1", "x"), until=NOW)
    assert "Will-Retry-Until" in fields(report(late))[1]
    assert "Will-Retry-Until" not in fields(report(reported(until=NOW)))[1]


def test_a_failure_after_days_of_temporary_refusals_keeps_its_4() -> None:
    # RFC 3464 section 2.3.3, note on action and status
    found = fields(report(reported(reply=Reply(451, "7.1", "greylisted"))))[1]
    assert (found["Action"], found["Status"]) == ("failed", "4.7.1")


@pytest.mark.parametrize(("status", "shown"), [("", "5.0.0"), ("nonsense", "5.0.0"), ("1.1", "5.1.1")])
def test_a_status_is_always_there_and_always_one(status: str, shown: str) -> None:
    assert fields(report(reported(reply=Reply(550, status, "x"))))[1]["Status"] == shown


def test_a_success_is_relayed_with_a_2() -> None:
    told = reported(action="relayed", notify=frozenset({"SUCCESS"}), reply=Reply(250, "0.0", "ok"))
    found = fields(report(told))[1]
    assert (found["Action"], found["Status"]) == ("relayed", "2.0.0")
    assert found["Diagnostic-Code"] == "smtp; ok"  # RFC 3461 section 6.3 (i)


def test_letters_beyond_ascii_take_the_form_of_rfc_6533() -> None:
    assert dsn.typed_address("täst@x.org") == r"utf-8; t\x{E4}st@x.org"
    message = report(reported("täst@x.org"), about=original(sender="ä@x.org"))
    assert message.smtputf8
    status = octets(message).partition(b"message/delivery-status")[2].partition(b"--=_")[0]
    assert status.isascii()
    assert "täst@x.org" in text(message)


# -- the message


def test_a_small_message_comes_back_whole_and_unchanged() -> None:
    returned = parts(report())[1][2]
    assert returned.get_content_type() == "message/rfc822"
    assert MESSAGE in octets(report())


@pytest.mark.parametrize(
    ("about", "told"),
    [
        (original(ret="HDRS"), reported()),
        (original(size_octets=50_001), reported()),
        (original(), reported(action="delayed", reply=Reply(451, "", "x"))),
    ],
    ids=["RET=HDRS", "large", "no failure"],
)
def test_of_others_only_the_header_comes_back(about: Original, told: Reported) -> None:
    # Q18; RFC 3461 section 6.2
    message = report(told, about=about)
    returned = parts(message)[1][2]
    assert returned.get_content_type() == "text/rfc822-headers"
    assert b"Hello." not in octets(message)
    assert b"Subject: hello" in octets(message)


def test_a_full_return_that_was_asked_for_still_has_its_limit() -> None:
    big = MESSAGE + b"x" * 50_000
    assert b"xxxxxxxx" not in octets(report(about=original(big, ret="FULL")))


def test_octets_above_127_are_declared() -> None:
    message = report(about=original(b"Subject: x\r\n\r\nb\xe4r\r\n"))
    assert message.body == "8BITMIME"
    assert parts(message)[1][2]["Content-Transfer-Encoding"] == "8bit"
    assert report().body == "7BIT"


def test_a_header_above_127_is_encoded_so_that_every_server_takes_the_report() -> None:
    # RFC 6522 section 4
    header = b"Subject: gr\xfc\xdfe = hello " + b"x" * 100 + b"\r\nTo: a@b\r\n"
    message = report(about=original(header + b"\r\nb\xe4r\r\n", ret="HDRS"))
    assert message.body == "7BIT"
    returned = parts(message)[1][2]
    assert returned["Content-Transfer-Encoding"] == "quoted-printable"
    assert returned.get_payload(decode=True) == header


def test_a_header_in_utf_8_is_returned_as_global() -> None:
    # RFC 6533 section 4
    about = original("Subject: ä\r\n\r\nx\r\n".encode(), smtputf8=True)
    assert parts(report(about=about))[1][2].get_content_type() == "message/global"
    about = original("Subject: ä\r\n\r\nx\r\n".encode(), smtputf8=True, ret="HDRS")
    assert parts(report(about=about))[1][2].get_content_type() == "message/global-headers"


UTF8 = original("Subject: ä\r\n\r\nx\r\n".encode(), smtputf8=True, envid="e1")


def test_what_internationalized_mail_is_told_is_utf_8_and_fits_through_every_server() -> None:
    # RFC 6533 sections 4.1 and 4.5
    told = reported("ü@example.net", orcpt=r"utf-8;\x{E4}@example.net", reply=Reply(550, "1.1", "größer"))
    message = report(told, about=UTF8)
    machine = parts(message)[1][1]
    assert machine.get_content_type() == "message/global-delivery-status"
    assert machine["Content-Transfer-Encoding"] == "quoted-printable"
    # Python knows no global-delivery-status, and takes its fields for a message.
    said = octets(message).split(b"--=_rep1")[2]
    text = quopri.decodestring(said).decode().replace("\r\n", "\n")
    assert "\nOriginal-Recipient: utf-8;ä@example.net\n" in text
    assert "\nFinal-Recipient: utf-8; ü@example.net\n" in text
    assert "\nDiagnostic-Code: smtp; 550 5.1.1 größer\n" in text
    assert octets(message).isascii()
    assert (message.body, message.smtputf8) == ("7BIT", False)


def test_a_report_to_an_internationalized_address_is_internationalized_itself() -> None:
    about = original("Subject: ä\r\n\r\nx\r\n".encode(), smtputf8=True, sender="ä@example.org")
    message = report(reported("ü@example.net"), about=about)
    assert (message.body, message.smtputf8) == ("8BITMIME", True)
    assert "Final-Recipient: utf-8; ü@example.net\r\n".encode() in octets(message)
    assert octets(message).count(b"Content-Transfer-Encoding: 8bit\r\n") == 2


def test_other_mail_is_reported_as_ever_whatever_a_server_says() -> None:
    found = report(reported(reply=Reply(550, "1.1", "größer"), orcpt=r"utf-8;\x{E4}@example.net"))
    assert parts(found)[1][1].get_content_type() == "message/delivery-status"
    assert fields(found)[1]["Diagnostic-Code"] == "smtp; 550 5.1.1 gr??er"
    assert fields(found)[1]["Original-Recipient"] == r"utf-8;\x{E4}@example.net"


def test_a_message_for_tls_only_comes_back_for_tls_only_and_without_its_text() -> None:
    # RFC 8689 section 5
    message = report(about=original(requiretls=True, ret="FULL"))
    assert message.requiretls
    assert b"Hello." not in octets(message)
    assert not report().requiretls


def test_binary_octets_are_not_returned() -> None:
    assert b"Hello." not in octets(report(about=original(is_binary=True, ret="FULL")))


def test_the_sender_is_shown_the_address_they_wrote_to() -> None:
    # RFC 3461 section 5.2.7.4
    told = reported(
        "secret@far.test", shown="group@example.org", reply=Reply(550, "1.1", "no secret@far.test")
    )
    message = report(told, about=original(kind="forward", owner="member@example.org"))
    assert fields(message)[1]["Final-Recipient"] == "rfc822; group@example.org"
    assert b"secret" not in octets(message)
    good = reported(
        "secret@far.test", shown="group@example.org", action="relayed", notify=frozenset({"SUCCESS"})
    )
    assert "Remote-MTA" not in fields(report(good, about=original(kind="forward")))[1]


@pytest.mark.parametrize(
    ("actions", "subject"),
    [
        (["delivered"], "Delivered:"),
        (["expanded"], "Passed on:"),
        (["relayed", "delivered"], "Passed on:"),
        (["expanded", "failed"], "Not delivered:"),
    ],
)
def test_the_subject_promises_no_more_than_is_known(actions: list[dsn.Action], subject: str) -> None:
    wish = frozenset({"SUCCESS", "FAILURE"})
    message = report(*(reported(action=action, notify=wish) for action in actions))
    assert parts(message)[0]["Subject"].startswith(subject)


def test_the_report_is_signed_for_the_domain_it_comes_from() -> None:
    seen = []

    def sign(message: bytes, domain: str) -> bytes:
        seen.append((message[:5], domain))
        return b"DKIM-Signature: x\r\n"

    message = report(site=Site("mail.example.test", lambda a: (a, "remote"), sign))
    assert octets(message).startswith(b"DKIM-Signature: x\r\nFrom:")
    assert seen == [(b"From:", "example.org")]


def test_mail_from_outside_is_reported_by_the_host() -> None:
    assert parts(report(about=original(owner="")))[0]["From"].endswith("<postmaster@mail.example.test>")


# -- hostile words


HOSTILE = st.text(max_size=80) | st.sampled_from(
    [
        "x\r\nBcc: e@evil.test",
        "x\n\nbody",
        "=?utf-8?q?x=0D=0ABcc:_e@x?=",
        "--=_rep1--",
        "\x00\x1b[31m",
        "a" * 5000,
    ]
)


@given(HOSTILE, HOSTILE, HOSTILE, st.booleans())
def test_no_word_from_outside_becomes_a_field_or_a_part(
    reply: str, host: str, subject: str, smtputf8: bool
) -> None:
    # T44
    data = (
        b"Subject: "
        + subject.encode("utf-8", "replace").replace(b"\n", b"").replace(b"\r", b"")
        + b"\r\n\r\nx\r\n"
    )
    told = reported(reply=Reply(550, "1.1", reply), host=host, orcpt=f"utf-8;{host}")
    message = report(told, about=original(data, envid=host, smtputf8=smtputf8))
    parsed = email.message_from_bytes(octets(message))
    assert set(parsed.keys()) == {
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "MIME-Version",
        "Content-Type",
    }
    boundary = parsed.get_boundary()
    assert boundary is not None
    status = octets(message).split(b"\r\n--" + boundary.encode())[2]
    if b"global-delivery-status" in status:
        top, status = status.split(b"\r\n\r\n", 1)
        assert top.endswith(b"Content-Transfer-Encoding: quoted-printable")
        status = quopri.decodestring(status)
    names = {line.partition(b":")[0] for line in status.split(b"\r\n") if line and not line.startswith(b" ")}
    assert names <= {
        b"Content-Type",
        b"Original-Envelope-Id",
        b"Reporting-MTA",
        b"Arrival-Date",
        b"Original-Recipient",
        b"Final-Recipient",
        b"Action",
        b"Status",
        b"Remote-MTA",
        b"Diagnostic-Code",
    }
    assert b"\r" not in octets(message).replace(b"\r\n", b"")
