"""What the reading of a message finds: links, how the HTML is built, attachments.

Imports: nothing of ours.  No I/O.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

#: Where a link stands: in HTML text, in plain text, behind a picture, as the target of a form or
#: of a button, as what the page goes on to by itself, as a frame, or in an attachment.
Place = Literal["html", "text", "picture", "form", "refresh", "frame", "attachment"]

#: What an attachment is, by its content where that says it, else by its name and declared type.
Kind = Literal[
    "program",  # a mail program or a double click runs it: .exe, .js, .lnk, .msi, .jar …
    "html",
    "svg",
    "pdf",
    "office",
    "onenote",
    "disk-image",  # .iso, .img, .vhd: hides where it came from
    "archive",
    "calendar",
    "contact",
    "message",
    "certificate",  # signatures and keys of S/MIME and PGP
    "image",
    "sound",
    "video",
    "text",
    "other",
]


@dataclass(slots=True)
class Link:
    """One way out of the message.

    Attributes:
        url: as a browser would take it: control characters and blanks around it removed,
            backslashes made slashes, relative ones joined to `<base>`; at most 2048 characters.
        host: lower case, in A-label form (`xn--…`) where it was not ASCII, without port, user and
            final dot; "" for mailto:, tel:, data:, javascript: and the like.
        shown: the text a person clicks on, blanks collapsed, disguises undone, at most 200
            characters; of a picture what stands in its `alt`.
        shown_host: the host that text names, as `host`; "" when it names none.
        place: where it stands.
    """

    url: str
    host: str = ""
    shown: str = ""
    shown_host: str = ""
    place: Place = "html"

    @property
    def scheme(self) -> str:
        """Lower case, without the colon; "" for `//host/path`."""
        return self.url.partition(":")[0].lower() if not self.url.startswith("//") else ""


@dataclass(slots=True)
class Html:
    """The HTML parts together.

    Attributes:
        characters: of source.
        elements: how many there are of each, by lower-case name.
        images: pictures of any size; `tiny_images` of them are tracking pixels, `linked_images`
            stand inside a link.
        image_hosts: hosts that pictures are fetched from, in order, without repeats.
        links: to the web; `mismatched_links` of them show another host than they lead to.
        forms, password_fields: forms, and fields for passwords.
        scripts, frames: elements of that kind.
        refreshes: pages that go on to another by themselves.
        bases: `<base>` elements that turn relative links elsewhere.
        script_links, data_links: links that are programs (javascript:, vbscript:) or carry
            their page with them (data:).
        hidden: pieces of text that no reader sees.
        hidden_characters: of text no reader sees; in `Document.hidden_text` as far as kept.
        hidden_how: the ways it is hidden, without repeats: "display", "visibility", "opacity",
            "font-size", "colour", "off-screen", "clipped", "attribute"; "preview" for a little text
            before any that is seen, which newsletters write for lists of messages.
        reversed_texts: pieces of text whose letters a style turns round; read as they are seen.
        smuggling: signs that a script puts a file together, without repeats: "blob", "atob",
            "unescape", "eval", "long-string", "saves-file", "char-codes", "writes-page", "goes-on".
        monstrous: parts too wild for a tree (nested or adorned beyond reason); read crudely, so
            that hidden text in them is not told apart.
    """

    characters: int = 0
    elements: dict[str, int] = field(default_factory=dict)
    images: int = 0
    tiny_images: int = 0
    linked_images: int = 0
    image_hosts: list[str] = field(default_factory=list)
    links: int = 0
    mismatched_links: int = 0
    forms: int = 0
    password_fields: int = 0
    scripts: int = 0
    frames: int = 0
    refreshes: int = 0
    bases: int = 0
    script_links: int = 0
    data_links: int = 0
    hidden: int = 0
    hidden_characters: int = 0
    hidden_how: list[str] = field(default_factory=list)
    reversed_texts: int = 0
    smuggling: list[str] = field(default_factory=list)
    monstrous: int = 0


@dataclass(slots=True)
class Attachment:
    """One part that is not the text of the message, pictures in the text included.

    Attributes:
        name: its file name as a person would see it, without controls, path and direction
            marks; at most 200 characters; "" without.
        extension: of the name, lower case, without the dot.
        declared: the content type it claims.
        kind: what it is.
        octets: its size, still encoded.
        is_inline: it asks to be shown in the text, the text refers to it (cid:), or it is another
            form of the text (a calendar, AMP).
        tricks: what is odd about it, without repeats:
            of names "double-extension", "reversed-name" (direction marks), "blanks-in-name",
            "path-in-name"; "type-lies" (content is a program, name or type says something
            harmless); of archives "encrypted", "nested" (deeper than is looked), "escapes"
            (members named ../ or /), "links-out" (symbolic links), "bomb", "many-members",
            "broken", "overlapping", "holds-program", "holds-disk-image"; of documents "macros",
            "script", "form", "remote-template", "launches", "embedded-file", "encrypted"; of HTML and
            SVG "form", "password", "script", "smuggling", "refresh", "monstrous" (not read).
        members: names in an archive, at most 1000, nested ones too, as `outer/inner`.
        text: seen text of HTML, SVG and calendar attachments, at most 64 KiB.
    """

    name: str = ""
    extension: str = ""
    declared: str = ""
    kind: Kind = "other"
    octets: int = 0
    is_inline: bool = False
    tricks: list[str] = field(default_factory=list)
    members: list[str] = field(default_factory=list)
    text: str = ""

    @property
    def is_suspicious_archive(self) -> bool:
        """An archive that works against whoever opens or scans it (fault M11)."""
        return not _ARCHIVE_TRICKS.isdisjoint(self.tricks)


_ARCHIVE_TRICKS = frozenset({"nested", "escapes", "links-out", "bomb", "many-members", "overlapping"})
