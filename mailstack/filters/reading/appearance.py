"""How text looks at a place of an HTML tree: the state that goes down from element to element.

Most elements say nothing about it and share their parent's state, so that a walk pays only for
what is styled.

No I/O.
"""

from __future__ import annotations

from mailstack.filters.reading import styles
from mailstack.filters.reading.styles import NOTHING, Colour, Look, Sheet

Attributes = dict[str, str | None]
Key = tuple[str, str | None, str | None, str | None, str | None, bool, str | None]

#: Different styles of one message that are kept ready.
_MAX_STYLES = 2_000
_MAX_SIZE = 1_000.0
_LINK_BLUE: Colour = (0, 0, 238)
#: Attributes that may change the looks of an element.
STYLED = frozenset({"style", "class", "id", "bgcolor", "background", "hidden", "color", "text", "dir"})
_SAYING = frozenset({"style", "bgcolor", "background", "hidden", "color", "text", "dir"})


class State:
    """What text looks like at a place.

    Attributes:
        hidden: how text here is hidden; "" when it is seen.
        how: how all that is inside is hidden, whatever it says itself.
        size: of letters, in pixels.
        is_reversed: letters run backwards.
        known: the states inside, by style; equal elements side by side share one.
    """

    __slots__ = ("background", "colour", "hidden", "how", "is_reversed", "known", "size", "visible")

    def __init__(self) -> None:
        """A page as it begins: black on white."""
        self.how = ""
        self.size = 16.0
        self.colour = styles.BLACK
        self.background = styles.WHITE
        self.visible = True
        self.is_reversed = False
        self.known: dict[Key, State] = {}
        self.hidden = ""

    def inner(self) -> State:
        """The same, to be changed."""
        state = State()
        state.how, state.size, state.visible = self.how, self.size, self.visible
        state.colour, state.background = self.colour, self.background
        state.is_reversed = self.is_reversed
        return state

    def apply(self, look: Look) -> None:
        """Takes on what a style says."""
        self.how = self.how or look.hides
        self.visible = look.visible if look.visible is not None else self.visible
        if look.size is not None:
            self.size = look.size
        elif look.scale is not None:
            self.size = min(self.size * look.scale, _MAX_SIZE)
        self.is_reversed = self.is_reversed or look.is_reversed
        self.colour = look.colour or self.colour
        self.background = look.background or self.background

    def settle(self) -> None:
        """Says whether text here is seen, now that the state is complete."""
        if self.how:
            self.hidden = self.how
        elif not self.visible:
            self.hidden = "visibility"
        elif self.size <= styles.MAX_UNREADABLE_PX:
            self.hidden = "font-size"
        else:
            self.hidden = "colour" if styles.looks_the_same(self.colour, self.background) else ""


class Appearance:
    """The styles of one message.

    Attributes:
        sheet: its style sheets, as far as they were met.
    """

    def __init__(self) -> None:
        self.sheet = Sheet()
        self._looks: dict[str, Look] = {}

    def look(self, attributes: Attributes) -> Look:
        """What the `style` attribute says."""
        style = attributes.get("style")
        if not style:
            return NOTHING
        look = self._looks.get(style)
        if look is None:
            look = styles.read_style(style)
            if len(self._looks) < _MAX_STYLES:
                self._looks[style] = look
        return look

    def inside(self, tag: str, attributes: Attributes, state: State) -> State:
        """The state inside an element."""
        if (self.sheet or self.sheet.paints) and ("class" in attributes or "id" in attributes):
            return self._changed(tag, attributes, state)
        get = attributes.get
        key = (
            tag,
            get("style"),
            get("bgcolor"),
            get("color"),
            get("background"),
            "hidden" in attributes,
            get("dir"),
        )
        known = state.known.get(key)
        if known is None:
            known = state.known[key] = self._changed(tag, attributes, state)
        return known

    def _changed(self, tag: str, attributes: Attributes, state: State) -> State:
        looks = self.sheet.find(tag, attributes) if self.sheet else []
        if not looks and not self.sheet.paints and _SAYING.isdisjoint(attributes):
            return state  # a class nobody knows
        inner = state.inner()
        if self.sheet.paints and ("class" in attributes or "id" in attributes):
            inner.background = styles.UNKNOWN
        _present(tag, attributes, inner)
        for said in (*looks, self.look(attributes)):
            inner.apply(said)
        inner.settle()
        return inner


def _present(tag: str, attributes: Attributes, state: State) -> None:
    """The attributes of old that styles replaced."""
    if tag == "bdo":
        state.is_reversed = (attributes.get("dir") or "").strip().lower() == "rtl"
    if tag == "a":
        state.colour = _LINK_BLUE
    if "hidden" in attributes and tag != "input":
        state.how = state.how or "attribute"
    if attributes.get("bgcolor"):
        state.background = styles.colour(attributes["bgcolor"] or "") or state.background
    if attributes.get("background"):
        state.background = styles.UNKNOWN
    named = attributes.get("color") if tag == "font" else attributes.get("text") if tag == "body" else None
    if named:
        state.colour = styles.colour(named) or state.colour
