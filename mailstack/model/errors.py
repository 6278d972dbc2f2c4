"""The four errors that cross packages; no others do.

`ValueError` and `AssertionError` are mistakes of ours and end the session.
"""

from __future__ import annotations

from mailstack.model.reply import Reply


class PeerError(Exception):
    """The peer broke its protocol.  Never used for our own failures.

    Attributes:
        reply: what to tell the peer.
        source: the rule it broke, e.g. "RFC 5321 section 4.5.3.1.3".
        hang_up: True when the stream can no longer be trusted, so the
            connection closes after the reply.
    """

    def __init__(self, reply: Reply, *, source: str, hang_up: bool = False) -> None:
        super().__init__(f"{reply} ({source})")
        self.reply = reply
        self.source = source
        self.hang_up = hang_up


class ConfigError(Exception):
    """The operator's configuration cannot be used.

    Attributes:
        key: dotted path of the key, e.g. "queue.retry.first_wait_s".
        message: what is wrong and what would be right.
    """

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"{key}: {message}" if key else message)
        self.key = key
        self.message = message


class TemporaryFailure(Exception):
    """The world is broken for now: disk full, database locked, peer away.

    Attributes:
        why: one sentence for people and logs.
        status: enhanced status without class digit, e.g. "3.1" for a full disk.
        fatal: True after EIO from fsync: the process must stop accepting and exit
            (promise P8), because the kernel may have dropped the page.
    """

    def __init__(self, why: str, *, status: str = "3.0", fatal: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.status = status
        self.fatal = fatal


class PermanentFailure(Exception):
    """It will never work as asked: no such mailbox, message refused for good.

    Attributes:
        why: one sentence for people and logs.
        status: enhanced status without class digit, e.g. "1.1".
    """

    def __init__(self, why: str, *, status: str = "0.0") -> None:
        super().__init__(why)
        self.why = why
        self.status = status
