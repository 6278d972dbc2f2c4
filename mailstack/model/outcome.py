"""What became of one recipient: matched to the end by whoever acts on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from mailstack.model.reply import Reply


@dataclass(frozen=True, slots=True)
class Delivered:
    """End state: stored or accepted by the next host.

    Attributes:
        where: folder for local mail, `host[ip]` for remote.
        detail: the far server's answer or the local file's base name.
    """

    where: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not now; `reply` says why (4xx)."""

    reply: Reply
    where: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """End state: refused for good; `reply` says why (5xx)."""

    reply: Reply
    where: str = ""


Outcome: TypeAlias = Delivered | Deferred | Failed
