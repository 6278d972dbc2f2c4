"""What the classifier looked at, in words for people.

    more like spam: subject "prize", text "click here", link bit.ly; less like spam: header signed

What stands in quotation marks was written in the message; the rest is how it is made
(`features.py` names the views).
"""

from __future__ import annotations

from collections.abc import Iterable

#: How a feature begins, and what is said around the rest of it.
_SAID = {
    "s:": ('subject "', '"'),
    "f:": ("author's name \"", '"'),
    "b:first-": ('first lines "', '"'),
    "b:last-": ('last lines "', '"'),
    "b:C:": ('capitals "', '"'),
    "b:u:": ("link to ", ""),
    "b:p:": ("path of a link ", ""),
    "b:": ("body ", ""),
    "h:sc:": ("letters of the subject ", ""),
    "h:fc:": ("letters of the author's name ", ""),
    "h:": ("header ", ""),
}
#: Characters of these beginnings, the longest first.
_LENGTHS = sorted({len(one) for one in _SAID}, reverse=True)
#: Of a feature as it is shown: what would end it, or begin the next one.
_MARKS = str.maketrans({'"': "'", ";": ".", ",": "."})


def spoken(shares: Iterable[tuple[float, str]]) -> str:
    """The features that weigh most, by what they speak for.

    Args:
        shares: of the logit, with the tokens.
    """
    more: list[str] = []
    less: list[str] = []
    for share, token in shares:
        (more if share > 0 else less).append(_name(token))
    parts = (("more like spam", more), ("less like spam", less))
    return "; ".join(f"{what}: {', '.join(names)}" for what, names in parts if names)


def _name(token: str) -> str:
    if token[1:2] != ":":
        return f'text "{token}"'
    for length in _LENGTHS:
        said = _SAID.get(token[:length])
        if said is not None:
            return f"{said[0]}{' '.join(token[length:].translate(_MARKS).split())}{said[1]}"
    return f'text "{token}"'
