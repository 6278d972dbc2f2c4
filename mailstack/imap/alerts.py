"""What a person must be shown: a mailbox that is nearly full.

Once per session, when a folder is opened: clients show every ALERT in a window of its own.

Standards: RFC 9051 section 7.1 (ALERT).
Imports: requests, response.  No I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap.requests import Steps, quick
from mailstack.imap.response import status_line

if TYPE_CHECKING:
    from mailstack.imap.session import Session

#: How full a mailbox is when its owner is told.
PERCENT = 95


def alert_quota(session: Session) -> Steps[None]:
    """Says that the mailbox is nearly full, if it is and was not said before."""
    if session.alerted:
        return
    state = yield from quick(lambda store: store.quota())
    if state.percent < PERCENT:
        return
    session.alerted = True
    what = "full: no more mail is delivered" if state.is_full else f"{state.percent} % full"
    session.write(status_line(b"*", "OK", f"Your mailbox is {what}", code="ALERT"))
