"""HTML as a person sees it: what is seen, what is hidden, where it leads, how it is built.

One walk over the tree of lexbor, without recursion.  A state goes down the tree: how large and
in which colour letters are, and on which ground; most elements share their parent's.

Trap: lexbor needs quadratic time for depth and for the attributes of one element (100,000
take 20 s), so a source that could hold too many of either is read without a tree and counted
as monstrous.  The test looks at octets only, so nothing in the source can talk it round.

Limits, section 3: 1 MiB of HTML, 1000 URLs.  No I/O.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from selectolax.lexbor import LexborHTMLParser, LexborNode

from mailstack.filters.folding import undisguise
from mailstack.filters.reading import links, smuggling
from mailstack.filters.reading.appearance import STYLED, Appearance, State
from mailstack.filters.reading.facts import Html, Link, Place
from mailstack.mime.html import to_text

#: Octets of source in all, and characters of what is kept beside the seen text.
MAX_SOURCE = 1_048_576
MAX_HIDDEN = 65_536
MAX_ALT = 16_384
#: Characters hidden before any that are seen: what lists of messages show beside the subject.
MAX_PREVIEW = 300
_MAX_TITLE = 500
#: Elements of trees, and places where attributes may begin: at most 0.1 s for elements that are
#: all nested, 0.7 s for attributes that are all of one element.
MAX_ELEMENTS = 5_000
MAX_ATTRIBUTES = 20_000
#: A source no longer than this cannot take long.
_SHORT = 2_048
_MAX_HOSTS = 100
_MAX_BASE = 500
_MAX_ALTS = 200
#: Different names of elements that are counted.
_MAX_NAMES = 200

_INLINE = frozenset({
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "blink", "cite", "code", "data", "del", "dfn",
    "em", "font", "i", "ins", "kbd", "label", "mark", "nobr", "o", "q", "s", "samp", "small", "span",
    "strike", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr",
})  # fmt: skip
#: Nobody reads what is in these; scripts and styles are looked at for themselves.
_UNREAD = frozenset({
    "script", "style", "head", "title", "noscript", "template", "noembed", "noframes", "xmp",
})  # fmt: skip
_BLANKS = re.compile(r"[ \t\r\n\f\u00a0\u2000-\u200a\u202f\u3000]+")
_PADDING = re.compile(
    r"[\s\u00ad\u034f\u061c\u115f\u1160\u180e\u200b-\u200f\u2007\u2060-\u2064\u2800\u3164\ufeff]*\Z"
)
_REFRESH = re.compile(r"[\d.\s]*[;,]?\s*(?:url\s*=)?\s*['\"]?([^'\"]{1,2048})", re.IGNORECASE)
_SCRIPT_URL = ("javascript:", "vbscript:", "livescript:")


@dataclass(slots=True)
class Page:
    """What HTML says.

    Attributes:
        text: seen, one line per block, blanks collapsed.
        hidden: not seen; the first 64 Ki characters.
        alt: what stands in for pictures, one to a line.
        cids: content ids the pictures refer to.
    """

    text: str = ""
    hidden: str = ""
    alt: str = ""
    title: str = ""
    links: list[Link] = field(default_factory=list)
    mail_addresses: list[str] = field(default_factory=list)
    cids: set[str] = field(default_factory=set)


def read_html(source: str, html: Html, effort: Effort, *, room: int) -> Page:
    """Reads a source and adds to the counts; never raises.

    Args:
        effort: of the whole message.
        room: characters of seen text that are kept.
    """
    html.characters += len(source)
    page = Page()
    try:
        tree = LexborHTMLParser(source) if effort.take(source) else None
    except Exception:  # named adapter: selectolax documents nothing about what it may raise
        tree = None
    if tree is None or tree.root is None:
        html.monstrous += bool(source.strip())
        _read_crudely(source, html, page, room, effort)
    else:
        _Walk(html, page, effort, room).run(tree.root)
    return page


class Effort:
    """What reading HTML may still cost for one message, all of it together; see the trap above.

    Attributes:
        links: that may still be taken.
    """

    def __init__(self) -> None:
        self.links = links.MAX_URLS
        self._elements = MAX_ELEMENTS**2
        self._attributes = MAX_ATTRIBUTES**2
        self._short = MAX_SOURCE

    def take(self, source: str) -> bool:
        """Pays for a tree of the source; False: there is not enough left."""
        if len(source) <= _SHORT:
            self._short -= len(source)
            return self._short >= 0
        # Attributes stand behind blanks, slashes or the quote that ends a value.
        attributes = len(source.split()) + source.count("/")
        attributes += source.count('"') // 2 + source.count("'") // 2
        elements = source.count("<")
        if elements**2 > self._elements or attributes**2 > self._attributes:
            return False
        self._elements -= elements**2
        self._attributes -= attributes**2
        return True


def _read_crudely(source: str, html: Html, page: Page, room: int, effort: Effort) -> None:
    """Without a tree: text, addresses, and the elements that matter."""
    page.text = to_text(source, enough=room)[:room]
    page.links = [links.make(url) for url in links.find_urls(source)[: effort.links]]
    effort.links -= len(page.links)
    html.links += len(page.links)
    lowered = source.lower()
    for name in ("a", "img", "form", "script", "iframe", "input"):
        count = lowered.count("<" + name)
        if count:
            html.elements[name] = html.elements.get(name, 0) + count
    html.images += lowered.count("<img")
    html.forms += lowered.count("<form")
    html.scripts += lowered.count("<script")
    html.frames += lowered.count("<iframe")
    html.password_fields += len(_PASSWORD.findall(lowered))
    if "<script" in lowered:
        smuggling.find(source, html.smuggling)


_PASSWORD = re.compile(r"type\s{0,8}=\s{0,8}[\"']?password")


class _Walk:
    """One walk over one tree."""

    def __init__(self, html: Html, page: Page, effort: Effort, room: int) -> None:
        self._html = html
        self._effort = effort
        self._page = page
        self._room = self._whole = room
        self._unseen = 0
        self._hidden_room = MAX_HIDDEN
        self._seen: list[str] = []
        self._hidden: list[str] = []
        self._alts: list[str] = []
        self._styles = Appearance()
        self._base = ""
        self._link: Link | None = None
        self._label: list[str] = []
        self._has_picture = False
        self._form: Link | None = None

    def run(self, root: LexborNode) -> None:
        """From the root to the last leaf; a stack instead of recursion."""
        node: LexborNode | None = root
        state = State()
        tags: list[str] = []
        seen = self._seen
        open_: list[tuple[LexborNode, str, State]] = []
        while node is not None:
            tag = node.tag or "-"
            if tag == "-text":
                self._text(node.text_content or "", state)
            elif tag[0] != "-":
                tags.append(tag)
                if tag not in _INLINE:
                    seen.append("\n")
                inner = self._enter(node, tag, state)
                child = node.first_child if inner is not None else None
                if child is not None and inner is not None:
                    open_.append((node, tag, state))
                    node, state = child, inner
                    continue
                if tag in _ENDED:
                    self._leave(tag)
            following = node.next
            while following is None and open_:
                node, tag, state = open_.pop()
                if tag in _ENDED:
                    self._leave(tag)
                if tag not in _INLINE:
                    seen.append("\n")
                following = node.next
            node = following
        self._close(tags)

    # -- elements ---------------------------------------------------------------------

    def _enter(self, node: LexborNode, tag: str, state: State) -> State | None:
        """The state inside an element; None: nobody looks into it."""
        if tag in _UNREAD:
            self._unread(node, tag)
            return state if tag == "head" else None
        attributes = node.attributes
        if (attributes and not STYLED.isdisjoint(attributes)) or tag in self._styles.sheet.tags:
            state = self._styles.inside(tag, attributes, state)
        handler = _HANDLERS.get(tag)
        if handler is not None:
            handler(self, attributes, state)
        return state

    def _leave(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        else:
            self._end_link()

    def _unread(self, node: LexborNode, tag: str) -> None:
        html = self._html
        if tag == "style":
            self._styles.sheet.add(node.text() or "")
        elif tag == "title" and not self._page.title:
            self._page.title = " ".join((node.text() or "")[: _MAX_TITLE * 4].split())[:_MAX_TITLE]
        elif tag == "script":
            html.scripts += 1
            smuggling.find(node.text() or "", html.smuggling)

    # -- text -------------------------------------------------------------------------

    def _text(self, text: str, state: State) -> None:
        if text.isspace():
            self._seen.append(" ")
            return
        how = state.hidden
        if state.is_reversed:
            text = text[::-1]
            self._html.reversed_texts += 1
        if how:
            self._conceal(text, how)
        elif self._room > 0:
            text = text[: self._room].replace("\n", " ")
            self._room -= len(text)
            self._seen.append(text)
        if self._link is not None and len(self._label) < links.MAX_SHOWN:
            self._label.append(text[: links.MAX_SHOWN])

    def _conceal(self, text: str, how: str) -> None:
        if _PADDING.match(text) is not None:
            return  # what newsletters fill their preview with
        html = self._html
        html.hidden += 1
        self._unseen += len(text)
        if self._room == self._whole and self._unseen <= MAX_PREVIEW:
            how = "preview"
        if how not in html.hidden_how:
            html.hidden_how.append(how)
        html.hidden_characters += len(text)
        if self._hidden_room > 0:
            text = _BLANKS.sub(" ", text)[: self._hidden_room]
            self._hidden_room -= len(text)
            self._hidden.append(text)

    def _close(self, tags: list[str]) -> None:
        self._end_link()
        page, elements = self._page, self._html.elements
        for tag, count in Counter(tags).items():
            if tag in elements or len(elements) < _MAX_NAMES:
                elements[tag] = elements.get(tag, 0) + count
        lines = [" ".join(line.split()) for line in "".join(self._seen).split("\n")]
        page.text = "\n".join(line for line in lines if line)
        page.hidden = "\n".join(self._hidden)
        page.alt = "\n".join(self._alts)[:MAX_ALT]

    # -- ways out ---------------------------------------------------------------------

    def _add(self, url: str | None, place: Place, state: State) -> Link | None:
        """A link, if it is one."""
        if not url or self._effort.links <= 0:
            return None
        url = links.clean(url)
        lowered = url[:16].lower()
        if self._base and not lowered.startswith(("http:", "https:", "//", "mailto:", "data:", "#", "cid:")):
            url = links.join(self._base, url)
        if not url or url.startswith("#"):
            return None
        if lowered.startswith(_SCRIPT_URL):
            self._html.script_links += 1
        elif lowered.startswith("data:"):
            self._html.data_links += 1
        elif lowered.startswith("mailto:"):
            address = url[7:].partition("?")[0].lower()[:320]
            if address and address not in self._page.mail_addresses[-_MAX_HOSTS:]:
                self._page.mail_addresses.append(address)
        link = links.make(url, place=place)
        self._page.links.append(link)
        self._effort.links -= 1
        return link

    def _begin_link(self, attributes: dict[str, str | None], state: State) -> None:
        self._end_link()
        self._link = self._add(attributes.get("href") or attributes.get("xlink:href"), "html", state)
        if self._link is not None and self._link.host:
            self._html.links += 1

    def _end_link(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            shown = _BLANKS.sub(" ", "".join(self._label)[: links.MAX_SHOWN * 2]).strip()[: links.MAX_SHOWN]
            link.shown = undisguise(shown)
            link.shown_host = links.shown_host(link.shown)
            if self._has_picture:
                link.place = "picture"
            if links.lies(link):
                self._html.mismatched_links += 1
        self._label = []
        self._has_picture = False

    def _area(self, attributes: dict[str, str | None], state: State) -> None:
        link = self._add(attributes.get("href"), "picture", state)
        if link is not None and link.host:
            self._html.links += 1

    def _picture(self, attributes: dict[str, str | None], state: State) -> None:
        html = self._html
        html.images += 1
        source = links.clean((attributes.get("src") or "")[: links.MAX_URL_CHARACTERS])
        scheme = source[:8].lower()
        if scheme.startswith("cid:"):
            if len(self._page.cids) < _MAX_HOSTS:
                self._page.cids.add(source[4:].strip("<>"))
        elif scheme.startswith(("http", "//")):
            host = links.host_of(source)
            if host and len(html.image_hosts) < _MAX_HOSTS and host not in html.image_hosts:
                html.image_hosts.append(host)
        if self._styles.look(attributes).is_dot or (
            attributes.get("width") in _TINY and attributes.get("height") in _TINY
        ):
            html.tiny_images += 1
        alt = attributes.get("alt") or attributes.get("title")
        if alt and len(self._alts) < _MAX_ALTS:
            self._alts.append(_BLANKS.sub(" ", alt[: links.MAX_SHOWN]).strip())
        if self._link is not None:
            html.linked_images += 1
            self._has_picture = self._has_picture or not "".join(self._label).strip()
            if alt and len(self._label) < links.MAX_SHOWN:
                self._label.append(f" {alt[: links.MAX_SHOWN]} ")

    def _form_begins(self, attributes: dict[str, str | None], state: State) -> None:
        self._html.forms += 1
        self._form = self._add(attributes.get("action"), "form", state)

    def _input(self, attributes: dict[str, str | None], state: State) -> None:
        kind = (attributes.get("type") or "text").strip().lower()
        if kind == "password":
            self._html.password_fields += 1
        if kind in ("submit", "image", "button"):
            self._add(attributes.get("formaction"), "form", state)
            if self._form is not None and not self._form.shown:
                self._form.shown = (attributes.get("value") or attributes.get("alt") or "")[: links.MAX_SHOWN]
        elif kind != "hidden":
            hint = attributes.get("placeholder") or (attributes.get("value") if kind == "text" else None)
            if hint and self._room > 0:
                self._text(f" {hint[: links.MAX_SHOWN]} ", state)

    def _button(self, attributes: dict[str, str | None], state: State) -> None:
        if attributes.get("formaction"):
            self._end_link()
            self._link = self._add(attributes["formaction"], "form", state)

    def _meta(self, attributes: dict[str, str | None], state: State) -> None:
        if (attributes.get("http-equiv") or "").strip().lower() != "refresh":
            return
        found = _REFRESH.match((attributes.get("content") or "")[: links.MAX_URL_CHARACTERS * 2])
        if found is not None and self._add(found[1], "refresh", state) is not None:
            self._html.refreshes += 1

    def _set_base(self, attributes: dict[str, str | None], state: State) -> None:
        href = links.clean((attributes.get("href") or "")[:_MAX_BASE])
        if href and not self._base:
            self._base = href
            self._html.bases += 1

    def _frame(self, attributes: dict[str, str | None], state: State) -> None:
        self._html.frames += 1
        self._add(attributes.get("src"), "frame", state)

    def _object(self, attributes: dict[str, str | None], state: State) -> None:
        self._add(attributes.get("data") or attributes.get("src"), "frame", state)

    def _body(self, attributes: dict[str, str | None], state: State) -> None:
        code = attributes.get("onload")
        if code:
            smuggling.find(code, self._html.smuggling)


_ENDED = frozenset({"a", "button", "form"})
_TINY = frozenset({"0", "1", "0px", "1px"})
_HANDLERS = {
    "a": _Walk._begin_link,
    "area": _Walk._area,
    "img": _Walk._picture,
    "image": _Walk._picture,
    "form": _Walk._form_begins,
    "input": _Walk._input,
    "button": _Walk._button,
    "meta": _Walk._meta,
    "base": _Walk._set_base,
    "iframe": _Walk._frame,
    "frame": _Walk._frame,
    "object": _Walk._object,
    "embed": _Walk._object,
    "body": _Walk._body,
}
