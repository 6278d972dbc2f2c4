"""What the mail log knows about a device: when it was here, how old its TLS is, what went wrong.

Failed handshakes happen before a device has said who it is; they are its own when they came
from where it logged in.

Imports: model.  Blocking.
"""

from __future__ import annotations

from dataclasses import dataclass

from mailstack.model.encryption import Age, age_of
from mailstack.state.maillog_db import Event
from mailstack.state.maillog_reader import MailLogReader

#: Addresses of a device whose failed connections are looked at.
MAX_PEERS = 8
_SEEN = ("login", "accepted")
_FAILED = ("refused", "login_failed", "bounced", "tls_failed")
_AGES: tuple[Age, ...] = ("", "current", "old ciphers", "legacy")


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """A device's last days.

    Attributes:
        last_at: when it last logged in or sent; Unix seconds, 0 for never.
        last_from: its address then.
        tls: version and cipher of its oldest encryption since.
        age: how old that is.
        messages: how many were accepted.
        error: what went wrong last; None when nothing did.
        is_mended: something went well since.
    """

    last_at: float = 0.0
    last_from: str = ""
    tls: str = ""
    age: Age = ""
    messages: int = 0
    error: Event | None = None
    is_mended: bool = False


def find_record(log: MailLogReader, address: str, *, since: float) -> DeviceRecord:
    """What the log says about a device since a moment in Unix seconds."""
    events = log.of_address(address, since=since)
    seen = [event for event in events if event.name in _SEEN]
    ways = [str(event.fields.get("tls", "")) for event in seen]
    oldest = max(ways, key=lambda tls: _AGES.index(age_of(tls)), default="")
    error = _last_error(log, events, seen, since)
    last_at = seen[-1].at if seen else 0.0
    return DeviceRecord(
        last_at,
        str(seen[-1].fields.get("peer", "")) if seen else "",
        oldest,
        age_of(oldest),
        sum(1 for event in seen if event.name == "accepted"),
        error,
        error is not None and last_at > error.at,
    )


def _last_error(log: MailLogReader, events: list[Event], seen: list[Event], since: float) -> Event | None:
    failed = [event for event in events if event.name in _FAILED]
    peers = list(dict.fromkeys(str(event.fields.get("peer", "")) for event in reversed(seen)))
    for peer in peers[:MAX_PEERS]:
        # With a login they are among the events already; of others behind the same address nothing is told.
        tried = log.refusals(peer) if peer else []
        failed += [event for event in tried if event.at >= since and _is_nameless(event)]
    return max(failed, key=lambda event: event.at, default=None)


def _is_nameless(event: Event) -> bool:
    """A connection that failed before anybody logged in."""
    if event.name == "tls_failed":
        return True
    return not event.fields.get("login") and event.fields.get("at") in ("connect", "helo", "command", "mail")
