"""Reports as their readers see them: the RFC's schema, and a message that a program takes apart."""

from __future__ import annotations

import email
import email.policy
import gzip
import json
import xml.etree.ElementTree as ET
from email.message import EmailMessage

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.delivery import report_mail
from mailstack.delivery.report_documents import NAMESPACE, Period, Reporter, dmarc_xml, tls_json
from mailstack.delivery.report_mail import Report
from mailstack.model.verdict import PublishedPolicy
from mailstack.state.dmarc_facts import DmarcFact, DomainFacts, Signature
from mailstack.state.tls_facts import PolicyFacts, TlsFailures, TlsPolicy
from tests.kit import dmarc_schema
from tests.kit.fuzzing import FUZZ

PERIOD = Period.of("2026-11-21")
US = Reporter("example.test", "Example & Söhne", "postmaster@example.test", "mailstack 1")
ID = "0123456789abcdef@example.test"
POLICY = PublishedPolicy(
    "far.test",
    "quarantine",
    "mailto:dmarc@far.test",
    "far.test",
    sp="none",
    adkim="s",
    fo="1",
    is_testing=True,
)
PASSED = DmarcFact(
    "2001:db8::7",
    "pass",
    "pass",
    "fail",
    "news.far.test",
    "bounces.far.test",
    signatures=(Signature("far.test", "s1", "pass"), Signature("list.test", "x", "fail", "body <changed>")),
    spf_domain="bounces.far.test",
    spf_result="softfail",
)
FORGED = DmarcFact(
    "203.0.113.9", "none", "fail", "fail", "far.test", override="policy_test_mode", comment="t=y"
)
FACTS = DomainFacts(POLICY, ((PASSED, 12), (FORGED, 3)))
NS = {"r": NAMESPACE}


def texts(root: ET.Element, path: str) -> list[str]:
    return [element.text or "" for element in root.findall("/".join(f"r:{p}" for p in path.split("/")), NS)]


def test_a_dmarc_report_is_as_the_schema_wants_it_and_says_what_was_counted() -> None:
    root = dmarc_schema.check(dmarc_xml(FACTS, PERIOD, US, ID))
    assert texts(root, "report_metadata/org_name") == ["Example & Söhne"]
    assert texts(root, "report_metadata/date_range/begin") == ["1795219200"]
    assert texts(root, "report_metadata/date_range/end") == ["1795305599"]
    assert texts(root, "policy_published/sp") == ["none"]
    assert texts(root, "policy_published/np") == ["none"]  # an absent np is sp
    assert texts(root, "policy_published/testing") == ["y"]
    assert texts(root, "record/row/source_ip") == ["2001:db8::7", "203.0.113.9"]
    assert texts(root, "record/row/count") == ["12", "3"]
    assert texts(root, "record/row/policy_evaluated/disposition") == ["pass", "none"]
    assert texts(root, "record/row/policy_evaluated/reason/type") == ["policy_test_mode"]
    assert texts(root, "record/auth_results/dkim/human_result") == ["body <changed>"]
    assert texts(root, "record/auth_results/spf/result") == ["softfail"]


@FUZZ
@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=10))
def test_no_text_of_a_stranger_breaks_the_document(comment: str, selector: str, result: str) -> None:
    fact = msgspec.structs.replace(
        PASSED,
        comment=comment,
        override="other",
        header_from=selector,
        signatures=(Signature("far.test", selector, result, comment),),
        spf_result=result,
    )
    dmarc_schema.check(dmarc_xml(DomainFacts(POLICY, ((fact, 1),)), PERIOD, US, ID))


def tls_facts() -> tuple[PolicyFacts, ...]:
    sts = TlsPolicy("far.test", "sts", ("version: STSv1", "mode: enforce"), ("*.mx.far.test",))
    failed = TlsFailures("certificate-expired", "a.mx.far.test", "192.0.2.1", "192.0.2.25", "it ended", 4)
    return (PolicyFacts(sts, 10, (failed,)), PolicyFacts(TlsPolicy("far.test"), 3, ()))


def test_a_tls_report_has_the_fields_of_the_rfc() -> None:
    # RFC 8460 section 4.4
    document = json.loads(tls_json(tls_facts(), PERIOD, US, ID))
    assert document["date-range"] == {
        "start-datetime": "2026-11-21T00:00:00Z",
        "end-datetime": "2026-11-21T23:59:59Z",
    }
    assert {key: document[key] for key in ("organization-name", "contact-info", "report-id")} == {
        "organization-name": "Example & Söhne",
        "contact-info": "postmaster@example.test",
        "report-id": ID,
    }
    first, second = document["policies"]
    assert first["policy"] == {
        "policy-type": "sts",
        "policy-domain": "far.test",
        "policy-string": ["version: STSv1", "mode: enforce"],
        "mx-host": ["*.mx.far.test"],
    }
    assert first["summary"] == {"total-successful-session-count": 10, "total-failure-session-count": 4}
    assert first["failure-details"] == [
        {
            "result-type": "certificate-expired",
            "sending-mta-ip": "192.0.2.1",
            "receiving-mx-hostname": "a.mx.far.test",
            "receiving-ip": "192.0.2.25",
            "failure-reason-code": "it ended",
            "failed-session-count": 4,
        }
    ]
    assert second["policy"] == {"policy-type": "no-policy-found", "policy-domain": "far.test"}
    assert "failure-details" not in second


def parsed(report: Report) -> EmailMessage:
    octets = report_mail.message(report, ["dmarc@far.test"], sender="postmaster@example.test", at=PERIOD.end)
    assert max(len(line) for line in octets.split(b"\r\n")) <= 998
    assert b"\n" not in octets.replace(b"\r\n", b"")
    found = email.message_from_bytes(octets, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    assert found["Auto-Submitted"] == "auto-generated"
    assert found["Message-ID"] == f"<{ID}>"
    return found


def test_a_dmarc_report_travels_as_the_rfc_says() -> None:
    # RFC 9990 section 3.1
    document = dmarc_xml(FACTS, PERIOD, US, ID)
    report = report_mail.pack("dmarc", "far.test", document, period=PERIOD, reporter=US, report_id=ID)
    message = parsed(report)
    assert message["Subject"] == f"Report Domain: far.test Submitter: example.test Report-ID: <{ID}>"
    [attachment] = list(message.iter_attachments())
    assert attachment.get_content_type() == "application/gzip"
    assert attachment.get_filename() == "example.test!far.test!1795219200!1795305599!0123456789abcdef.xml.gz"
    assert gzip.decompress(attachment.get_content()) == document
    body = message.get_body()
    assert body is not None
    assert "asks for it" in body.get_content()
    again = report_mail.pack("dmarc", "far.test", document, period=PERIOD, reporter=US, report_id=ID)
    assert again == report


def test_a_tls_report_travels_as_the_rfc_says_and_needs_no_tls() -> None:
    # RFC 8460 section 5.3; RFC 8689 section 3
    document = tls_json(tls_facts(), PERIOD, US, ID)
    report = report_mail.pack("tls", "far.test", document, period=PERIOD, reporter=US, report_id=ID)
    message = parsed(report)
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "tlsrpt"
    assert (message["TLS-Report-Domain"], message["TLS-Report-Submitter"]) == ("far.test", "example.test")
    assert message["TLS-Required"] == "No"
    text, attachment = message.iter_parts()
    assert text.get_content_type() == "text/plain"
    assert attachment.get_content_type() == "application/tlsrpt+gzip"
    assert attachment.get_filename().endswith("!0123456789abcdef.json.gz")
    assert gzip.decompress(attachment.get_content()) == document


@pytest.mark.parametrize("day", ["2026-02-30", "yesterday", ""])
def test_a_day_that_is_none_is_refused(day: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Period.of(day)
