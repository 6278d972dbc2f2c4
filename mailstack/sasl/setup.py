"""What a session is told at its start, whatever the protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from mailstack.sasl.exchange import PASSWORDS, Offer

OptionsT = TypeVar("OptionsT")


@dataclass(frozen=True, slots=True)
class Setup(Generic[OptionsT]):
    """The connection and what it may do.

    Attributes:
        options: the protocol's section of the configuration.
        host: our name, in the greeting.
        clock: monotonic seconds.
        now: Unix seconds.
        tls: the connection is encrypted.
        can_start_tls: STARTTLS or STLS is offered.
        plaintext_login: passwords are taken without TLS (loopback, for trying out).
        offer: what this connection may log in with now.
    """

    options: OptionsT
    host: str
    clock: Callable[[], float]
    now: Callable[[], float]
    tls: bool = False
    can_start_tls: bool = False
    plaintext_login: bool = False
    offer: Callable[[], Offer] = lambda: PASSWORDS
