"""An SMTP reply: code, enhanced status, text.

Standards: RFC 5321 section 4.2, RFC 2034, RFC 3463.
"""

from __future__ import annotations

from dataclasses import dataclass, field

#: RFC 5321 section 4.5.3.1.5: a reply line is at most 512 octets with code and CRLF.
MAX_TEXT_OCTETS = 480


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply; several lines when `text` holds newlines.

    Attributes:
        code: 200 to 599.
        status: enhanced status without its class digit, such as "1.7"; "" for the
            greeting, EHLO and 3xx, which carry none.
        text: for people; lines split by "\\n"; nothing about our insides.
        check: the log's word for the rule that refuses (state/explanations.py); never sent.
    """

    code: int
    status: str
    text: str
    check: str = field(default="", compare=False)

    def __str__(self) -> str:
        return " / ".join(self._lines())

    @property
    def is_ok(self) -> bool:
        """True for 2xx and 3xx."""
        return self.code < 400

    @property
    def is_temporary(self) -> bool:
        """True for 4xx: the client should try again later."""
        return 400 <= self.code < 500

    @property
    def enhanced(self) -> str:
        """The enhanced status with its class digit, such as "5.1.7"; "" where there is none."""
        # RFC 2034 section 4: the class digit must agree with the reply code.
        # It is derived here, so no caller can make the two disagree.
        return f"{self.code // 100}.{self.status}" if self.status else ""

    def _lines(self) -> list[str]:
        status = f"{self.enhanced} " if self.status else ""
        lines = self.text.split("\n") or [""]
        last = len(lines) - 1
        return [f"{self.code}{' ' if n == last else '-'}{status}{line}" for n, line in enumerate(lines)]

    def to_bytes(self) -> bytes:
        """The reply as sent; control characters become "?", long lines are cut.

        Source: RFC 5321 section 4.2.
        """
        out = []
        for line in self._lines():
            clean = line
            if not line.isprintable():
                clean = "".join(c if c >= " " and c != "\x7f" else "?" for c in line)
            out.append(clean.encode("utf-8", "replace")[: MAX_TEXT_OCTETS + 12] + b"\r\n")
        return b"".join(out)
