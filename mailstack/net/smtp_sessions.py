"""Which session each kind of port has."""

from __future__ import annotations

from collections.abc import Callable

from mailstack.model.envelope import Client
from mailstack.net.acceptor import Acceptor
from mailstack.sasl.exchange import Offer
from mailstack.smtp.lmtp import LmtpSession
from mailstack.smtp.session import Session
from mailstack.smtp.setting import Setting
from mailstack.smtp.submission import SubmissionSession


def make_session(
    setting: Setting, client: Client, acceptor: Acceptor, *, offer: Callable[[], Offer]
) -> Session:
    """The session of one connection.  `offer`: what it may log in with now."""
    if client.listener == "lmtp":
        return LmtpSession(setting, client, offer=offer)
    if not setting.is_submission:
        return Session(setting, client, offer=offer)
    session = SubmissionSession(setting, client, offer=offer)
    session.device = acceptor.device_at(client.ip)
    return session
