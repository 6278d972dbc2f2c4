"""How a command ends other than well.  These never leave the package.

Standards: RFC 3501 section 7.1, RFC 5530.
Imports: model.  No I/O.
"""

from __future__ import annotations

from mailstack.model.asking import HangUp

__all__ = ["Bad", "HangUp", "No"]


class Bad(Exception):
    """The command is not IMAP, or not allowed now: tagged BAD, counted.

    Attributes:
        code: response code with its arguments; "" for none.
    """

    def __init__(self, text: str, *, code: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.code = code


class No(Exception):
    """The command is understood and refused: tagged NO.

    Attributes:
        code: RFC 5530 response code with its arguments; "" for none.
    """

    def __init__(self, text: str, *, code: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.code = code
