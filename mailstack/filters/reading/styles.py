"""What a style says about whether text is seen: how large, which colours, where, at all.

No CSS engine: the declarations that hide text in mail, of `style` attributes and of the plain
rules of a style sheet (a class, an id, an element).  What may apply only to some screens
(`@media`) is left out.  Each style is read once, and everything is cut at a bound.

Standards: CSS 2.2; what mail programs make of it.  No I/O.
"""

from __future__ import annotations

import re
from typing import NamedTuple

#: Characters of one style, of one style sheet, its rules; declarations in a style.
MAX_STYLE = 4_096
MAX_SHEET = 65_536
MAX_RULES = 500
MAX_DECLARATIONS = 64
#: Letters up to this size, in pixels, are not read by anybody.
MAX_UNREADABLE_PX = 2.0
#: Colours whose red, green and blue differ no more than this look the same.
MAX_SAME_COLOUR = 16
_MAX_OPACITY = 0.1
_OFF_SCREEN_PX = -400.0
_MAX_CLIPPED_PX = 1.0

Colour = tuple[int, int, int]
#: A background nobody can tell: a picture, a gradient, a style sheet's.
UNKNOWN: Colour = (-1, -1, -1)
TRANSPARENT: Colour = (-2, -2, -2)
WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)

_NAMES: dict[str, Colour] = {
    "white": WHITE, "black": BLACK, "transparent": TRANSPARENT, "red": (255, 0, 0), "green": (0, 128, 0),
    "blue": (0, 0, 255), "yellow": (255, 255, 0), "gray": (128, 128, 128), "grey": (128, 128, 128),
    "silver": (192, 192, 192), "navy": (0, 0, 128), "maroon": (128, 0, 0), "orange": (255, 165, 0),
    "whitesmoke": (245, 245, 245), "snow": (255, 250, 250), "ivory": (255, 255, 240),
    "ghostwhite": (248, 248, 255), "lightgray": (211, 211, 211), "lightgrey": (211, 211, 211),
    "gainsboro": (220, 220, 220), "azure": (240, 255, 255), "mintcream": (245, 255, 250),
    "floralwhite": (255, 250, 240), "seashell": (255, 245, 238), "linen": (250, 240, 230),
}  # fmt: skip
_SIZES = {"xx-small": 9.0, "x-small": 10.0, "small": 13.0, "medium": 16.0, "large": 18.0, "x-large": 24.0}
_PX = {
    "px": 1.0,
    "pt": 1.333,
    "pc": 16.0,
    "in": 96.0,
    "cm": 37.8,
    "mm": 3.78,
    "": 1.0,
    "vw": 10.0,
    "vh": 10.0,
}

_NUMBER = re.compile(r"\s*([-+]?(?:\d{1,9}(?:\.\d{0,9})?|\.\d{1,9}))\s*([a-z%]{0,4})")
_HEX = re.compile(r"#([0-9a-f]{3,8})\b")
_RGB = re.compile(
    r"rgba?\(\s*(\d{1,3})\s*[, ]\s*(\d{1,3})\s*[, ]\s*(\d{1,3})\s*(?:[,/]\s*(\d?\.?\d{1,9})\s*)?\)"
)
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_ESCAPE = re.compile(r"\\([0-9a-fA-F]{1,6})\s?|\\")
_SPLIT = re.compile(r"[{}]")
_SELECTOR = re.compile(r"[a-z][a-z0-9]{0,15}|(?:[a-z][a-z0-9]{0,15})?[.#][\w-]{1,64}")
_TELLING = re.compile(
    r"none|hidden|size\s*:\s*0?[.012]|opacity|indent|clip|bidi|background|:\s*-\d{3}|color", re.I
)


class Look(NamedTuple):
    """What one style says; None or "": nothing.

    Attributes:
        hides: how it hides all that is inside, whatever is said there.
        visible: of `visibility`; what is inside may say otherwise.
        size: of letters, in pixels; `scale` of the size outside.
        is_dot: a picture of it is no larger than a dot.
        is_reversed: its letters run backwards, whatever they are.
    """

    hides: str = ""
    visible: bool | None = None
    size: float | None = None
    scale: float | None = None
    colour: Colour | None = None
    background: Colour | None = None
    is_dot: bool = False
    is_reversed: bool = False


NOTHING = Look()


def read_style(style: str) -> Look:
    """What a `style` attribute says."""
    style = style[:MAX_STYLE].lower()
    if "/*" in style:
        style = _COMMENT.sub("", style)
    if "\\" in style:
        style = _ESCAPE.sub(_unescaped, style)
    said: dict[str, str] = {}
    for declaration in style.split(";")[:MAX_DECLARATIONS]:
        name, _, value = declaration.partition(":")
        name = name.strip()
        if name in _TOLD:
            said[name] = value.replace("!important", "").strip()
    return _look(said) if said else NOTHING


def _unescaped(found: re.Match[str]) -> str:
    number = int(found[1], 16) if found[1] else 0
    return chr(number).lower() if 32 < number < 0x2000 else ""


_TOLD = frozenset({
    "display", "visibility", "opacity", "font-size", "font", "color", "background", "background-color",
    "background-image", "position", "left", "top", "right", "bottom", "text-indent", "margin-left",
    "margin-top", "overflow", "overflow-x", "overflow-y", "height", "max-height", "width", "max-width",
    "clip", "clip-path", "transform", "unicode-bidi", "direction",
})  # fmt: skip


def _look(said: dict[str, str]) -> Look:
    size = scale = None
    for name in ("font", "font-size"):
        if name in said:
            found = _font_size(said[name], is_short=name == "font")
            if found is not None:
                size, scale = found
    visibility = said.get("visibility")
    background = None
    for name in ("background", "background-color", "background-image"):
        if name in said:
            background = _background(said[name]) or background
    return Look(
        _hides(said),
        None if visibility is None else visibility not in ("hidden", "collapse"),
        size,
        scale,
        colour(said["color"]) if "color" in said else None,
        background,
        _is_small(said.get("width", "")) and _is_small(said.get("height", "")),
        said.get("unicode-bidi", "").endswith("override") and said.get("direction") == "rtl",
    )


def _hides(said: dict[str, str]) -> str:
    if said.get("display") == "none":
        return "display"
    opacity = pixels(said["opacity"]) if "opacity" in said else None
    if opacity is not None and opacity <= _MAX_OPACITY and "%" not in said["opacity"]:
        return "opacity"
    if _is_off_screen(said):
        return "off-screen"
    return "clipped" if _is_clipped(said) else ""


def _is_off_screen(said: dict[str, str]) -> bool:
    names = ["text-indent", "margin-left", "margin-top"]
    if said.get("position") in ("absolute", "fixed", "relative"):
        names += ["left", "top", "right", "bottom"]
    return any((pixels(said[name]) or 0.0) <= _OFF_SCREEN_PX for name in names if name in said)


def _is_clipped(said: dict[str, str]) -> bool:
    if any(said.get(name) in ("hidden", "clip") for name in ("overflow", "overflow-x", "overflow-y")):
        return any(_is_small(said.get(n, "")) for n in ("height", "max-height", "width", "max-width"))
    if (
        said.get("transform", "")
        .replace(" ", "")
        .startswith(("scale(0)", "scale(0,", "scalex(0)", "scaley(0)"))
    ):
        return True
    clip = said.get("clip", "")
    if clip.startswith("rect(") and not clip.strip("rectpx()0 ,1"):
        return True
    return said.get("clip-path", "").replace(" ", "").startswith(("inset(50%", "inset(100%", "circle(0"))


def _is_small(value: str) -> bool:
    found = pixels(value) if value else None
    return found is not None and found <= _MAX_CLIPPED_PX and "%" not in value


def pixels(value: str) -> float | None:
    """A length in pixels, about; a bare number as it is; None: none that can be told."""
    found = _NUMBER.match(value)
    if found is None:
        return None
    unit = found[2]
    return float(found[1]) * _PX.get(unit, 16.0)


def _font_size(value: str, *, is_short: bool) -> tuple[float | None, float | None] | None:
    """(pixels, None) or (None, scale)."""
    for word in value.split(None, 8)[:8] if is_short else [value]:
        found = _NUMBER.match(word)
        if found is None:
            if word in _SIZES:
                return _SIZES[word], None
            continue
        number, unit = float(found[1]), found[2]
        if is_short and not unit and number >= 100:
            continue  # a weight
        if unit in ("em", "rem", "ex", "%"):
            return None, number / 100 if unit == "%" else number
        return number * _PX.get(unit, 1.0), None
    return None


def colour(value: str) -> Colour | None:
    """A colour; None: none that can be told."""
    value = value.strip().lower()[:64]
    if value in _NAMES:
        return _NAMES[value]
    found = _HEX.match(value if value.startswith("#") else f"#{value}")
    if found is not None:
        digits = found[1]
        if len(digits) in (4, 8) and digits[-len(digits) // 4 :].strip("0") == "":
            return TRANSPARENT
        if len(digits) in (3, 4):
            return int(digits[0] * 2, 16), int(digits[1] * 2, 16), int(digits[2] * 2, 16)
        if len(digits) in (6, 8):
            return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:6], 16)
        return None
    found = _RGB.match(value)
    if found is None:
        return None
    if found[4] is not None and float(found[4]) <= _MAX_OPACITY:
        return TRANSPARENT
    return min(int(found[1]), 255), min(int(found[2]), 255), min(int(found[3]), 255)


def _background(value: str) -> Colour | None:
    if "url(" in value or "gradient" in value:
        return UNKNOWN
    if value in ("none", "inherit", "initial", ""):
        return None
    found = colour(value)
    if found is None:
        words = value.split(None, 4)[:4]
        found = next((c for c in map(colour, words) if c is not None), UNKNOWN)
    return None if found == TRANSPARENT else found


def looks_the_same(one: Colour, other: Colour) -> bool:
    """Text of one colour cannot be read on the other."""
    if one == TRANSPARENT:
        return True
    if other[0] < 0 or one[0] < 0:
        return False
    return all(abs(a - b) <= MAX_SAME_COLOUR for a, b in zip(one, other, strict=True))


class Sheet:
    """The plain rules of a message's style sheets.

    Attributes:
        paints: it sets backgrounds, so that one nobody set in place may still be any.
        tags: elements that have a rule for all of their kind.
    """

    def __init__(self) -> None:
        self._rules: dict[str, Look] = {}
        self._left = MAX_RULES
        self.paints = False
        self.tags: set[str] = set()

    def add(self, source: str) -> None:
        """Reads a style sheet; rules for some media only are left out."""
        source = source[:MAX_SHEET]
        self.paints = self.paints or "background" in source
        if _TELLING.search(source) is None:
            return
        if "/*" in source:
            source = _COMMENT.sub("", source)
        selector, depth, at = "", 0, 0
        for brace in _SPLIT.finditer(source):
            piece = source[at : brace.start()]
            at = brace.end()
            if brace[0] == "{":
                depth += 1
                # Behind "@import ...;" and the comments that hid style sheets from old browsers.
                selector = piece.rpartition(";")[2].replace("<!--", "") if depth == 1 else ""
            else:
                if depth == 1 and "@" not in selector and _TELLING.search(piece) is not None:
                    self._rule(selector, piece)
                depth = max(depth - 1, 0)
            if self._left <= 0:
                return

    def _rule(self, selectors: str, style: str) -> None:
        look = read_style(style)
        if look is NOTHING:
            return
        for selector in selectors.lower().split(",")[:20]:
            selector = selector.strip()
            if _SELECTOR.fullmatch(selector) is not None:
                self._left -= 1
                self._rules[selector] = look
                if selector.isalnum():
                    self.tags.add(selector)

    def __bool__(self) -> bool:
        return bool(self._rules)

    def find(self, tag: str, attributes: dict[str, str | None]) -> list[Look]:
        """What the rules say of an element, the weakest first."""
        rules = self._rules
        found = [rules[tag]] if tag in rules else []
        if "class" not in attributes and "id" not in attributes:
            return found
        names = (attributes.get("class") or "").lower().split(None, 8)[:8]
        for name in [*(f".{n}" for n in names), f"#{(attributes.get('id') or '').lower()[:64]}"]:
            for key in (name, tag + name):
                if key in rules:
                    found.append(rules[key])
        return found
