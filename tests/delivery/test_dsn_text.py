"""What reports say to people, in their language, and that programs read back what was reported."""

from __future__ import annotations

import email
import email.policy
import quopri
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.delivery import dsn, texts
from mailstack.delivery.dsn import Original, Reported, Site
from mailstack.delivery.entry import QueueMessage
from mailstack.model import unitext
from mailstack.model.language import LANGUAGES, Language
from mailstack.model.reply import Reply
from tests.kit.queues import MESSAGE

NOW = 1_767_225_600.0
FULL = Reply(552, "2.2", "mailbox full")


def original(octets: bytes = MESSAGE, **facts: Any) -> Original:
    values: dict[str, Any] = {
        "id": "3xQ7", "kind": "submission", "sender": "a@example.org", "owner": "a@example.org",
        "octets": octets, "size_octets": len(octets), "arrived_at": NOW - 86_400, **facts,
    }  # fmt: skip
    return Original(**values)


def report(about: Original, site: Site, *told: Reported) -> QueueMessage:
    told = told or (Reported("b@example.net", "failed", FULL, host="mx.example.net[192.0.2.1]", at=NOW),)
    found = dsn.report(about, told, site, now=NOW, report_id="rep1")
    assert found is not None and found.data is not None
    return found


def read(message: QueueMessage) -> tuple[str, str, str]:
    """Subject, text, and the language the text says it is in."""
    assert message.data is not None
    parsed = email.message_from_bytes(message.data, policy=email.policy.default)
    part = next(parsed.iter_parts())  # type: ignore[attr-defined]
    return str(parsed["Subject"]), part.get_content().replace("\r\n", "\n"), part["Content-Language"]


def site(chosen: Language | None = None, language: Language = "en", *, here: bool = True) -> Site:
    return Site(
        "mail.example.test",
        lambda address: (address, "local" if here else "remote"),
        chosen=lambda address: chosen,
        language=language,
    )


@pytest.mark.parametrize(
    ("language", "subject", "means"),
    [
        ("en", "Not delivered: your message to b@example.net", "The recipient's mailbox is full."),
        ("de", "Nicht zugestellt: Ihre Nachricht an b@example.net", "Das Postfach des Empfängers ist voll."),
        ("fr", "Non remis\u00a0: votre message à b@example.net", "La boîte du destinataire est pleine."),
        ("it", "Non consegnato: il tuo messaggio a b@example.net", "La casella del destinatario è piena."),
        ("es", "No entregado: su mensaje a b@example.net", "El buzón del destinatario está lleno."),
    ],
)
def test_the_owner_of_an_address_here_reads_their_language(
    language: Language, subject: str, means: str
) -> None:
    found = read(report(original(), site(language)))
    assert (found[0], found[2]) == (subject, language)
    assert means in " ".join(found[1].split())
    assert "552 5.2.2 mailbox full" in found[1]  # the far server's own words stay as they are
    assert max(len(line) for line in found[1].split("\n")) <= 78


@pytest.mark.parametrize(
    ("fields", "here", "chosen", "language"),
    [
        (b"", True, None, "it"),
        (b"Content-Language: de-AT\r\n", True, None, "de"),
        (b"Content-Language: de\r\n", True, "fr", "fr"),
        (b"Accept-Language: es, en\r\nContent-Language: de\r\n", False, None, "es"),
        (b"Content-Language: pt\r\n", False, None, "it"),
        (b"Content-Language: de\r\n", False, "fr", "de"),  # an address elsewhere has chosen nothing here
        (b"Content-Language: \xff\x00, ,;;\r\n", False, None, "it"),
    ],
)
def test_the_language_is_the_chosen_one_else_the_mail_programs_else_the_servers(
    fields: bytes, here: bool, chosen: Language | None, language: Language
) -> None:
    about = original(fields + MESSAGE)
    assert read(report(about, site(chosen, "it", here=here)))[2] == language


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("action", ["failed", "delayed", "relayed", "delivered", "expanded"])
def test_every_kind_of_report_is_made_in_every_language(language: Language, action: Any) -> None:
    told = Reported(
        "b@example.net", action, Reply(451, "7.1", "greylisted"),
        notify=frozenset({"SUCCESS", "FAILURE", "DELAY"}), host="mx.example.net", at=NOW, until=NOW + 86_400,
    )  # fmt: skip
    subject, text, _ = read(report(original(), site(language), told))
    opening = " ".join(texts.text(language, f"report.opening.{action}").split(".")[0][:30].split())
    assert opening in " ".join(text.split())
    assert "b@example.net" in subject
    assert ("2026-01-02 00:00 UTC" in text) == (action == "delayed")


def test_days_of_trying_are_said_before_the_last_answer_is_explained() -> None:
    # Q10
    late = Reported("b@example.net", "failed", Reply(451, "4.1", "No answer"), host="mx.example.net", at=NOW)
    text = " ".join(read(report(original(), site("en"), late))[1].split())
    assert "It was tried again and again from 2025-12-31 00:00 UTC to 2026-01-01 00:00 UTC" in text
    assert "tried again" not in read(report(original(), site("en")))[1]


# -- read back


LINE = st.text(max_size=300)
LOCAL = st.from_regex(r"[a-z0-9.+_=äß漢-]{1,20}", fullmatch=True).filter(lambda s: ".." not in s.strip("."))
RECIPIENT = st.builds(
    lambda local, code, status, text, host, at: Reported(
        f"x{local}@example.net", "failed", Reply(code, status, text), host=host, at=at
    ),
    LOCAL,
    st.sampled_from([421, 450, 451, 550, 554, 599]),
    st.sampled_from(["", "1.1", "7.26", "999.999", "junk", "1.1\r\nX: y"]),
    LINE,
    st.sampled_from(["", "mx.example.net[192.0.2.1]", "evil\r\nAction: delivered[::1]"]),
    st.none() | st.floats(0, 4e9),
)


@given(
    st.lists(RECIPIENT, min_size=1, max_size=4),
    st.sampled_from(LANGUAGES),
    st.binary(max_size=200) | st.just(MESSAGE),
    st.booleans(),
    st.text(max_size=120),
)
def test_whatever_was_said_a_program_reads_back_who_and_why(
    told: list[Reported], language: Language, octets: bytes, smtputf8: bool, envid: str
) -> None:
    # RFC 3464 section 2: a block about the message and one per recipient, in their order.
    about = original(octets, smtputf8=smtputf8, envid=envid)
    message = report(about, site(language), *told)
    assert message.data is not None
    assert b"\n" not in message.data.replace(b"\r\n", b"") or b"\n" in octets
    parsed = email.message_from_bytes(message.data)
    assert parsed.get_content_type() == "multipart/report"
    assert parsed.get_param("report-type") == "delivery-status"
    parts = parsed.get_payload()
    assert isinstance(parts, list) and len(parts) == 3
    boundary = parsed.get_boundary()
    assert boundary is not None
    blocks = delivery_status(message.data, boundary)
    assert len(blocks) == len(told) + 1
    assert blocks[0]["Reporting-MTA"] == "dns; mail.example.test"
    for block, one in zip(blocks[1:], told, strict=True):
        assert len(block.get_all("Action", [])) == 1 and block["Action"] == "failed"
        kind, _, address = block["Final-Recipient"].partition("; ")
        plain = address if kind == "rfc822" else unitext.decode(address)
        assert plain == one.address
        assert block["Status"][0] == ("4" if one.reply.code < 500 else "5")
        diagnostic = "smtp" if one.host else "X-mailstack"
        assert block["Diagnostic-Code"].startswith(f"{diagnostic}; {one.reply.code}")
        assert block["X"] is None


def delivery_status(message: bytes, boundary: str) -> list[email.message.Message]:
    """The blocks of the second part, in either of its two types.

    Python knows no global-delivery-status, and takes its fields for a message.
    """
    head, _, text = message.split(f"--{boundary}\r\n".encode())[2].partition(b"\r\n\r\n")
    if b"message/global-delivery-status" in head:
        assert b"quoted-printable" in head
        text = quopri.decodestring(text)
    blocks = text.decode("utf-8").replace("\r\n", "\n").strip("\n").split("\n\n")
    return [email.message_from_string(block + "\n") for block in blocks]
