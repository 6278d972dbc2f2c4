"""ALERT: a mailbox that is nearly full is said once, when a folder is opened."""

from __future__ import annotations

import pytest

from mailstack.model.quota import QuotaState
from tests.kit.bare_session import BareSession
from tests.kit.memory_mailbox import MemoryMailbox


class _Filled(MemoryMailbox):
    """As full as a test wants it."""

    state = QuotaState(0, None, 0, None)

    def quota(self) -> QuotaState:
        return self.state


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (QuotaState(96, 100, 1, None), b"* OK [ALERT] Your mailbox is 96 % full\r\n"),
        (QuotaState(1, 100, 95, 100), b"* OK [ALERT] Your mailbox is 95 % full\r\n"),
        (QuotaState(100, 100, 1, None), b"* OK [ALERT] Your mailbox is full: no more mail is delivered\r\n"),
        (QuotaState(94, 100, 1, None), b""),
        (QuotaState(94, None, 1, None), b""),
    ],
)
def test_a_mailbox_that_is_nearly_full_is_said_once(state: QuotaState, said: bytes) -> None:
    store = _Filled()
    store.state = state
    session = BareSession(store).log_in()
    out = session.command(b"SELECT INBOX")
    assert out.count(b"[ALERT]") == bool(said) and said in out
    assert b"ALERT" not in session.command(b"EXAMINE Sent")
