"""What a sender wants to hear (RFC 3461), and what of it goes with a message that is passed on.

    one place     a single address behind an alias: all wishes go along (section 5.2.7.2)
    own mailbox   a copy stays with whom the sender wrote to: that copy is reported
    several       "expanded" is reported; the wish for success ends there (section 5.2.7.3)

Outside targets of redirections are private (section 5.2.7.4): the wish for success is kept
here and answered by us, once the next host has taken the message.

Imports: nothing.  No I/O.
"""

from __future__ import annotations

from typing import Final

NEVER: Final = frozenset({"NEVER"})


def passed_on(notify: frozenset[str]) -> frozenset[str]:
    """NOTIFY without the wish for success; what is left of SUCCESS alone is NEVER.

    Source: RFC 3461 section 5.2.7.3 (c).
    """
    if "SUCCESS" not in notify:
        return notify
    return notify - {"SUCCESS"} or NEVER


def with_success(notify: frozenset[str]) -> frozenset[str]:
    """NOTIFY of a copy that answers for somebody else's wish for success as well.

    Two recipients may lead to one address, which gets one copy.
    """
    if "SUCCESS" in notify:
        return notify
    # RFC 3461 section 4.1: none at all leaves failures and delays to the server.
    return ((notify or frozenset({"FAILURE", "DELAY"})) - NEVER) | {"SUCCESS"}
