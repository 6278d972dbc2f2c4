"""What a virus scanner said about a message, and what is done about it.

The scan runs in the filter's parent beside the pipeline, which has no network; the pipeline
asks for its result as it asks for DNS records.

Source: product page, section 2.7 and the table below it.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from mailstack.model.dns import Answer, Lookup, Question
from mailstack.model.verdict import MessageVerdict, Reason, VirusScan

#: What is done about a virus; "": nobody scans.
Policy: TypeAlias = Literal["", "refuse", "spam", "mark"]
#: The question that stands for the scan.  No DNS name has spaces.
QUESTION = Question("virus scan", "SCAN")

TOO_LATE = VirusScan("unscanned", why="no answer in time")


def to_answer(scan: VirusScan) -> Answer:
    """A result as the answer to `QUESTION`."""
    return Answer("ok", (scan.result, scan.name, scan.why))


def ask(lookup: Lookup) -> VirusScan:
    """The result of the scan.

    Raises:
        NeedLookup: it is not known yet.
    """
    answer = lookup(*QUESTION)
    if answer.status != "ok":
        return TOO_LATE
    result, name, why = answer.records
    return VirusScan(result, str(name), str(why))  # type: ignore[arg-type]


def apply(verdict: MessageVerdict, scan: VirusScan, policy: Policy) -> MessageVerdict:
    """The verdict with the result, and with what the policy makes of a virus."""
    if scan.result != "found":
        return msgspec.structs.replace(verdict, virus=scan)
    scan = msgspec.structs.replace(scan, is_unwelcome=policy != "mark")
    reasons = (*verdict.reasons, Reason("virus", 0.0, f"a virus scanner found {scan.name}"))
    verdict = msgspec.structs.replace(verdict, virus=scan, reasons=reasons)
    if policy == "refuse":
        return msgspec.structs.replace(
            verdict,
            action="reject",
            reply_code=550,
            reply_status="7.1",
            reply_text=f"The message holds a virus: {scan.name}",
        )
    if policy == "spam" and verdict.action == "accept":
        return msgspec.structs.replace(verdict, action="junk")
    return verdict
