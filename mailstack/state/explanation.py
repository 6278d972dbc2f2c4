"""What an explanation of a refusal consists of; the explanations are in `explanations.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Explanation:
    """One rule.

    Attributes:
        rule: what is not taken, and why there is such a rule.
        keys: configuration keys that change it, such as "smtp.hops"; () when nothing does.
        advice: what the operator, or whoever sent it, can do.
    """

    rule: str
    keys: tuple[str, ...]
    advice: str


#: Advice that many have in common.
PROTOCOL: Final = "The client's software is wrong; there is nothing to change here."
LATER: Final = "Nothing: a mail server tries again by itself."
