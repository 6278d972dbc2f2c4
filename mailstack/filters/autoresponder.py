"""The autoresponder of an address: data, made into the last script of its copy.

It answers through the engine's `vacation` action and is bound by the same rules as an
answer of the owner's own script; what it knows beyond them stands here.

    silence    not now, or not to this sender
    source     what it says, as Sieve

Standards: RFC 5230, RFC 3834.  Source: product page, section 4.
Imports: model.  No I/O.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, time, tzinfo

from mailstack.filters import lists
from mailstack.model.autoresponse import Autoresponse

#: Name of the step, and what the memory of its answers goes by: other words are no other answer.
NAME = "autoresponder"
_MINUTE_S = 60
_DAYS = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")


def silence(response: Autoresponse, *, now: float, zone: tzinfo, senders: Iterable[str] = ()) -> str:
    """Why this message is not answered; "" when it is.

    Args:
        now: when the message came; Unix seconds.
        zone: where the owner lives.
        senders: who wrote it, by envelope and header; lower case, "" for unknown.
    """
    if response.starts and now < first_second(response.starts, zone):
        return f"it does not answer before {response.starts.replace('T', ' ')}"
    if response.ends and now >= end_second(response.ends, zone):
        return f"it answered until {response.ends.replace('T', ' ')}"
    day = datetime.fromtimestamp(now, zone).weekday()
    if not response.weekdays >> day & 1:
        return f"it does not answer on {_DAYS[day]}"
    pattern = next(filter(None, (lists.find(sender, response.excluded) for sender in senders)), "")
    return f"it never answers {pattern}" if pattern else ""


def first_second(text: str, zone: tzinfo) -> float:
    """When a local day or minute begins, in Unix seconds; of an hour that comes twice, the first."""
    return min(_both(text, time.min, zone))


def end_second(text: str, zone: tzinfo) -> float:
    """When a local day or minute is over, in Unix seconds; of an hour that comes twice, the second."""
    return max(_both(text, time(23, 59), zone)) + _MINUTE_S


def _both(text: str, hour: time, zone: tzinfo) -> tuple[float, float]:
    """A local time as Unix seconds, by the clock before and after a change of it."""
    local = datetime.fromisoformat(text)
    if "T" not in text:
        local = datetime.combine(local, hour)
    return (
        local.replace(tzinfo=zone, fold=0).timestamp(),
        local.replace(tzinfo=zone, fold=1).timestamp(),
    )


def source(response: Autoresponse) -> bytes:
    """The answer as a script; how often and to whom is the engine's and the operator's matter."""
    words = [f"vacation :handle {_quoted(NAME)}"]
    if response.subject:
        words.append(f":subject {_quoted(response.subject)}")
    if response.sender:
        words.append(f":from {_quoted(response.sender)}")
    # Nothing else is required: a "${" in the text is what it looks like.
    text = f'require "vacation";\n{" ".join(words)} {_quoted(response.text)};\n'
    return text.replace("\n", "\r\n").encode("utf-8", "replace")


def _quoted(text: str) -> str:
    """RFC 5228 section 2.4.2."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
