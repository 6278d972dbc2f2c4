"""How a command ends other than well.  These never leave the package.

Standards: RFC 1939 section 3, RFC 2449 section 8, RFC 3206.
Imports: model.  No I/O.
"""

from __future__ import annotations

from mailstack.model.asking import HangUp

__all__ = ["Bad", "HangUp", "Refused"]


class Refused(Exception):
    """The command is understood and refused: -ERR.

    Attributes:
        code: extended response code without brackets, such as SYS/TEMP; "" for none.
    """

    def __init__(self, text: str, *, code: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.code = code


class Bad(Refused):
    """It is no command, or none that is allowed now: -ERR, counted."""
