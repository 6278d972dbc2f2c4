"""How a command ends other than well.  These never leave the package.

Standards: RFC 5804 section 1.3.
Imports: model.  No I/O.
"""

from __future__ import annotations

from mailstack.model.asking import HangUp

__all__ = ["Bad", "HangUp", "Refused"]


class Refused(Exception):
    """The command is understood and refused: NO.

    Attributes:
        code: response code without parentheses, such as QUOTA/MAXSIZE; "" for none.
    """

    def __init__(self, text: str, *, code: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.code = code


class Bad(Refused):
    """It is no command, or none that is allowed now: NO, counted."""
