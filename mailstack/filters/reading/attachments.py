"""The parts of a message that are not its text: what they are, and what they do.

Every part is told by its name and its first octets; only those kinds that harm are looked into,
and all of them together only as far as the budget goes.

Limits, section 3: archives, 1 MiB of HTML.  No I/O.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote

from mailstack.filters.reading import archives, documents, kinds, links
from mailstack.filters.reading.charsets import decode
from mailstack.filters.reading.facts import Attachment, Html, Kind, Link
from mailstack.filters.reading.html import Effort, read_html
from mailstack.mime.scanner import Part
from mailstack.mime.text import content, is_attachment, parts

#: Attachments that are told of; later ones are not looked at.
MAX_ATTACHMENTS = 100
#: Octets of attachments that are decoded in all; of all attached pages, and of one.
MAX_DECODED = 64 * 1024 * 1024
MAX_PAGES = 1024 * 1024
MAX_PAGE = 262_144
MAX_TEXT = 65_536
#: Endings of archives that are known by their first octets.
_KNOWN = frozenset({"zip", "7z", "rar", "gz", "tgz", "bz2", "tbz2", "xz", "txz"})
_BODIES = ("text/plain", "text/html")


def shown_parts(structure: Part) -> Iterator[Part]:
    """The parts that are the text of the message: what mail programs show by themselves."""
    return (part for part in parts(structure) if _is_shown(part))


def _is_shown(part: Part) -> bool:
    return part.content_type in _BODIES and not part.opaque and not is_attachment(part)


def find_attachments(
    message: bytes, structure: Part, effort: Effort, *, cids: set[str], room: int
) -> tuple[list[Attachment], list[Link]]:
    """The attachments in order, and the links in them.

    Args:
        effort: what is left of it after the text.
        cids: content ids that the text refers to.
        room: links that are wanted at most.
    """
    reader: _Reader | None = None
    others: set[int] = set()
    for part in parts(structure):
        if part.is_multipart:
            if part.subtype.lower() == b"alternative":
                others.update(map(id, part.children))
            continue
        if _is_shown(part):
            continue
        if reader is None:
            reader = _Reader(message, effort, cids, room)
        if not reader.read(part, is_other=id(part) in others):
            break
    return (reader.found, reader.links) if reader is not None else ([], [])


class _Reader:
    """One message's attachments; counts what they cost."""

    def __init__(self, message: bytes, effort: Effort, cids: set[str], room: int) -> None:
        self._message = message
        self._effort = effort
        self._cids = {unquote(cid) for cid in cids}
        self._room = room
        self._left = MAX_DECODED
        self._pages_left = MAX_PAGES
        self._out = archives.MAX_OUT
        self._slow = archives.MAX_SLOW_OUT
        self._inner = archives.MAX_INNER_ARCHIVES
        self._relations = archives.Listing(out=archives.MAX_RELATIONS)
        self._documents = documents.Room()
        self.found: list[Attachment] = []
        self.links: list[Link] = []

    def read(self, part: Part, *, is_other: bool) -> bool:
        """Reads one; False when there were enough.

        Args:
            is_other: another form of the text, beside it.
        """
        if len(self.found) >= MAX_ATTACHMENTS:
            return False
        attachment = Attachment(declared=part.content_type, octets=part.size)
        attachment.name = kinds.read_name(part.filename, attachment.tricks)
        attachment.extension = kinds.extension_of(attachment.name)
        attachment.is_inline = self._is_inline(part) or (is_other and not is_attachment(part))
        self.found.append(attachment)
        if part.is_message:
            attachment.kind = "message"
            return True
        head = content(self._message, part, kinds.HEAD_OCTETS)
        seen, form = kinds.by_head(head)
        named = kinds.by_extension(attachment.extension) or kinds.by_type(attachment.declared)
        attachment.kind = _decide(seen, form, named, attachment.extension)
        if kinds.lies(seen, form, named):
            attachment.tricks.append("type-lies")
        self._look_into(part, attachment, form)
        return True

    def _is_inline(self, part: Part) -> bool:
        cid = part.fields.get(b"content-id", b"").strip(b" <>").decode("utf-8", "replace")
        if cid and cid in self._cids:
            return True
        value = part.fields.get(b"content-disposition", b"")
        return value[:6].lower() == b"inline"

    def _content(self, part: Part, limit: int) -> bytes:
        data = content(self._message, part, min(limit, self._left))
        self._left -= len(data)
        return data

    def _look_into(self, part: Part, attachment: Attachment, form: str) -> None:
        if self._left <= 0:
            return
        match attachment.kind:
            case "html" | "svg":
                self._page(part, attachment)
            case "pdf":
                data = self._content(part, documents.MAX_OCTETS)
                self._add(documents.read_pdf(data, attachment.tricks, self._documents))
            case "calendar":
                text = decode(self._content(part, MAX_TEXT), part.parameter("charset") or "")
                attachment.text = text[:MAX_TEXT]
                self._add(links.find_urls(text.replace("\r\n ", "").replace("\n ", "")))
            case "archive" | "office" | "program" if form in (
                "zip",
                "gzip",
                "bzip2",
                "xz",
                "tar",
                "7z",
                "rar",
            ):
                self._archive(part, attachment, form)
            case "archive" if form in ("", "ole") and attachment.extension in _KNOWN:
                attachment.tricks.append("broken")
            case "office" if form == "ole":
                documents.read_ole(self._content(part, documents.MAX_OCTETS), attachment.tricks)
            case "office" if form == "rtf":
                documents.read_rtf(self._content(part, documents.MAX_OCTETS), attachment.tricks)
            case _:
                return

    def _page(self, part: Part, attachment: Attachment) -> None:
        if self._pages_left <= 0:
            attachment.tricks.append("monstrous")
            return
        octets = self._content(part, min(MAX_PAGE, self._pages_left))
        self._pages_left -= len(octets)
        source = decode(octets, part.parameter("charset") or "", is_html=True)
        html = Html()
        page = read_html(source, html, self._effort, room=MAX_TEXT)
        attachment.text = page.text or page.alt
        tricks = attachment.tricks
        facts = {
            "form": html.forms,
            "password": html.password_fields,
            "script": html.scripts + html.script_links,
            "refresh": html.refreshes,
            "monstrous": html.monstrous,
        }
        tricks += [name for name, count in facts.items() if count]
        if len(html.smuggling) > 1:
            tricks.append("smuggling")
        for link in page.links[: self._room - len(self.links)]:
            link.place = "attachment"
            self.links.append(link)

    def _archive(self, part: Part, attachment: Attachment, form: str) -> None:
        data = self._content(part, self._left)
        listing = archives.Listing(out=self._out, slow=self._slow, inner=self._inner)
        archives.look(data, form, listing, name=attachment.name)
        self._out, self._slow, self._inner = listing.out, listing.slow, listing.inner
        attachment.members = listing.members
        if form == "zip" and documents.read_members(listing.members, attachment.tricks):
            if attachment.kind == "archive":
                attachment.kind = "office"
            if attachment.kind == "office":
                for source in archives.relations(data, self._relations):
                    self._add(documents.read_relations(source, attachment.tricks))
                listing.tricks = [t for t in listing.tricks if not t.startswith("holds-")]
        if attachment.kind != "program":
            attachment.tricks += [trick for trick in listing.tricks if trick not in attachment.tricks]

    def _add(self, urls: list[str]) -> None:
        for url in urls[: self._room - len(self.links)]:
            link = links.make(links.clean(url), place="attachment")
            if link.url:
                self.links.append(link)


def _decide(seen: Kind | None, form: str, named: Kind | None, extension: str) -> Kind:
    """What it is: programs by whatever says so, else by its content, else by its name."""
    if "program" in (seen, named) and form != "script":
        return "program"
    if seen == "archive" and named in ("office", "certificate"):
        return named
    if seen in ("html", "svg") and named in ("text", "office", "message", "calendar"):
        return "html" if extension not in ("txt", "eml", "log", "xml", "json") else named
    return seen or named or "other"
