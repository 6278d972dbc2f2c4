"""What the classifier looked at, in words for people.

    more like spam: subject "prize", text "click here", link bit.ly; less like spam: header signed

What stands in quotation marks was written in the message; the rest is how it is made
(`features.py` names the views).
"""

from __future__ import annotations

from collections.abc import Iterable

_QUOTED = {"s": "subject", "f": "author's name"}
_BEGINNINGS = {
    "b:first-": "first lines",
    "b:last-": "last lines",
    "b:C:": "capitals",
}
_PLACES = {
    "h:sc:": "letters of the subject",
    "h:fc:": "letters of the author's name",
    "b:u:": "link to",
    "b:p:": "path of a link",
    "b:": "body",
    "h:": "header",
}
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
    kind, colon, word = token.partition(":")
    if not colon:
        return f'text "{token}"'
    if kind in _QUOTED:
        return f'{_QUOTED[kind]} "{word}"'
    token = " ".join(token.translate(_MARKS).split())
    for beginning, name in _BEGINNINGS.items():
        if token.startswith(beginning):
            return f'{name} "{token[len(beginning) :]}"'
    for beginning, name in _PLACES.items():
        if token.startswith(beginning):
            return f"{name} {token[len(beginning) :].strip()}"
    return f'text "{token}"'
