"""Reports as messages: compressed, named and labelled as those who read them by machine expect.

Standards: RFC 9990 section 3.1 (DMARC), RFC 8460 section 5 (TLSRPT), RFC 8689 section 3
(TLS-Required: No: a report about broken TLS must not fail because of it), RFC 3834 section 5.
"""

from __future__ import annotations

import base64
import gzip
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from mailstack.delivery.report_documents import Period, Reporter
from mailstack.mime import generate
from mailstack.mime.date import format_header

ReportKind: TypeAlias = Literal["dmarc", "tls"]
KINDS: tuple[ReportKind, ...] = ("dmarc", "tls")
#: Media type of a compressed TLS report.
TLS_TYPE = "application/tlsrpt+gzip"
_WIDTH = 76

_INTRODUCTIONS: dict[ReportKind, str] = {
    "dmarc": "This is a DMARC aggregate report (RFC 9990): what {reporter} saw in one day of mail that"
    " names {domain} as its author's domain.",
    "tls": "This is a TLS report (RFC 8460): how TLS went when {reporter} delivered mail to {domain} in"
    " one day.",
}
_REASON = "It is meant for programs; the DNS of that domain asks for it, and taking that record out ends it."


@dataclass(frozen=True, slots=True)
class Report:
    """A report that is ready to be sent.

    Attributes:
        domain: whom it is about.
        packed: the document, compressed.
        file: the name its readers expect.
    """

    kind: ReportKind
    domain: str
    period: Period
    reporter: Reporter
    report_id: str
    packed: bytes
    file: str


def pack(
    kind: ReportKind, domain: str, document: bytes, *, period: Period, reporter: Reporter, report_id: str
) -> Report:
    """Compresses a document; the same one always gives the same octets."""
    extension = "xml.gz" if kind == "dmarc" else "json.gz"
    unique = report_id.partition("@")[0]
    file = f"{reporter.domain}!{domain}!{period.begin}!{period.end}!{unique}.{extension}"
    return Report(kind, domain, period, reporter, report_id, gzip.compress(document, mtime=0), file)


def message(report: Report, to: Sequence[str], *, sender: str, at: float) -> bytes:
    """The whole message.

    Args:
        to: addresses.
        sender: the address it is from.
        at: Unix seconds.
    """
    boundary = f"=_{report.report_id.partition('@')[0]}"
    reporter = report.reporter
    head = [
        generate.address_list("From", [(reporter.organization, sender)]),
        generate.address_list("To", [("", one) for one in to]),
        generate.structured(
            "Subject",
            f"Report Domain: {report.domain} Submitter: {reporter.domain} Report-ID: <{report.report_id}>",
        ),
        generate.structured("Date", format_header(at)),
        generate.structured("Message-ID", f"<{report.report_id}>"),
        generate.structured("Auto-Submitted", "auto-generated"),
        generate.structured("MIME-Version", "1.0"),
        *_labels(report),
        generate.structured("Content-Type", f'{_container(report.kind)}; boundary="{boundary}"'),
    ]
    said = _INTRODUCTIONS[report.kind].format(reporter=reporter.domain, domain=report.domain)
    lines = textwrap.wrap(f"{said}  {_REASON}", _WIDTH, break_long_words=False, break_on_hyphens=False)
    parts = [
        b"Content-Type: text/plain; charset=us-ascii\r\n\r\n" + "\r\n".join(lines).encode("ascii"),
        _attachment(report),
    ]
    mark = f"--{boundary}".encode()
    body = b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts)
    return b"".join(head) + b"\r\n" + body + mark + b"--\r\n"


def _container(kind: ReportKind) -> str:
    return "multipart/mixed" if kind == "dmarc" else 'multipart/report; report-type="tlsrpt"'


def _labels(report: Report) -> list[bytes]:
    if report.kind == "dmarc":
        return []
    return [
        generate.structured("TLS-Report-Domain", report.domain),
        generate.structured("TLS-Report-Submitter", report.reporter.domain),
        generate.structured("TLS-Required", "No"),
    ]


def _attachment(report: Report) -> bytes:
    kind = "application/gzip" if report.kind == "dmarc" else TLS_TYPE
    head = [
        generate.structured("Content-Type", f"{kind}; {generate.parameter('name', report.file)}"),
        generate.structured("Content-Transfer-Encoding", "base64"),
        generate.structured(
            "Content-Disposition", f"attachment; {generate.parameter('filename', report.file)}"
        ),
    ]
    octets = base64.encodebytes(report.packed).replace(b"\n", b"\r\n")
    return b"".join(head) + b"\r\n" + octets
