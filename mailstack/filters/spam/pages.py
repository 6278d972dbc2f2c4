"""Bodies of written messages as text and as HTML of several makes.

The markup knows links `[text](url)`, pictures `![alt](url)` and linked pictures
`[![alt](picture)](url)`; paragraphs are separated by empty lines.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass

_URL = r"(?:https?:|mailto:|tel:|cid:|data:)?[^\s()]*(?:\([^\s()]*\)[^\s()]*)*"
_MARKUP = re.compile(
    rf"\[!\[(?P<linked_alt>[^\]]*)\]\((?P<linked_picture>{_URL})\)\]\((?P<around>{_URL})\)"
    rf"|!\[(?P<alt>[^\]]*)\]\((?P<picture>{_URL})\)"
    rf"|\[(?P<text>[^\]]*)\]\((?P<url>{_URL})\)"
)
_FONTS = (
    "Arial, Helvetica, sans-serif", "'Segoe UI', Tahoma, sans-serif", "Calibri, sans-serif",
    "-apple-system, 'Helvetica Neue', Roboto, sans-serif", "Georgia, serif", "Verdana, sans-serif",
)  # fmt: skip
_COLOURS = ("#0067b8", "#1a73e8", "#111111", "#ff6600", "#00875a", "#c8102e")
_WIDTHS = (600, 640, 560, 580, 680, 520)
#: The shortest paragraph at the end that is set as a footer, and how many are.
_FOOTERS = 2


@dataclass(frozen=True, slots=True)
class Style:
    """Choices of a page: numbers below six.

    Attributes:
        hidden: a line for the list of messages that the page itself does not show.
    """

    font: int = 0
    colour: int = 0
    width: int = 0
    make: int = 0
    hidden: bool = False


def as_text(body: str, make: int = 0) -> str:
    """As text/plain; `make` (0 to 2) says how links are written."""

    def written(found: re.Match[str]) -> str:
        if found["linked_picture"] is not None:
            return f"{found['linked_alt']} {found['around']}".strip()
        if found["picture"] is not None:
            return f"[{found['alt']}]" if found["alt"] and make else found["alt"]
        text, url = found["text"], found["url"].removeprefix("mailto:").removeprefix("tel:")
        if not text or text == url:
            return url
        return (f"{text}: {url}", f"{text} <{url}>", f"{text}\n{url}")[make]

    return _MARKUP.sub(written, body)


def _inline(text: str, link: Callable[[str, str], str]) -> str:
    """Escaped HTML of one paragraph."""
    pieces, at = [], 0
    for found in _MARKUP.finditer(text):
        pieces.append(_escape(text[at : found.start()]))
        at = found.end()
        if found["linked_picture"] is not None:
            picture = _picture(found["linked_picture"], found["linked_alt"])
            pieces.append(f'<a href="{html.escape(found["around"])}">{picture}</a>')
        elif found["picture"] is not None:
            pieces.append(_picture(found["picture"], found["alt"]))
        else:
            pieces.append(link(html.escape(found["url"]), _escape(found["text"] or found["url"])))
    return "".join([*pieces, _escape(text[at:])])


def _escape(text: str) -> str:
    return html.escape(text, quote=False).replace("\n", "<br>\n")


def _picture(source: str, alt: str, *, width: str = "") -> str:
    size = f' width="{width}"' if width else ""
    return f'<img src="{html.escape(source)}" alt="{html.escape(alt)}"{size} style="border:0">'


def _paragraphs(body: str) -> list[str]:
    return [piece.strip("\n") for piece in re.split(r"\n\s*\n", body) if piece.strip()]


def as_page(body: str, style: Style) -> str:
    """As a mail program writes HTML: paragraphs and links."""
    tag = ("p", "div", "p")[style.make % 3]
    attributes = ("", f' style="font-family:{_FONTS[style.font]};font-size:14px"', ' class="MsoNormal"')
    attribute = attributes[style.make % 3]
    lines = [
        f"<{tag}{attribute}>{_inline(text, _anchor)}</{tag}>" + ("<br>" if tag == "div" else "")
        for text in _paragraphs(body)
    ]
    heads = (
        "<html><head></head><body>",
        '<html><head><meta http-equiv="Content-Type" content="text/html; charset=utf-8"></head>'
        '<body dir="auto">',
        '<div dir="ltr">',
    )
    head = heads[style.width % 3]
    tail = "</div>" if head.startswith("<div") else "</body></html>"
    return "\n".join([head, *lines, tail])


def _anchor(url: str, text: str) -> str:
    return f'<a href="{url}">{text}</a>'


def as_card(body: str, subject: str, style: Style) -> str:
    """As a designed message: a box with a heading, a button and small print."""
    colour, width = _COLOURS[style.colour], _WIDTHS[style.width]

    def button(url: str, text: str) -> str:
        return (
            f'<a href="{url}" style="background:{colour};color:#ffffff;padding:12px 24px;border-radius:4px;'
            f'text-decoration:none;display:inline-block">{text}</a>'
        )

    rows = []
    paragraphs = _paragraphs(body)
    for number, text in enumerate(paragraphs):
        alone = _MARKUP.fullmatch(text.strip())
        is_small = 0 < number >= len(paragraphs) - _FOOTERS and alone is None
        css = "font-size:11px;color:#777777" if is_small else "font-size:15px;color:#333333;line-height:22px"
        linked = button if alone is not None else _anchor
        rows.append(f'<tr><td style="padding:10px 24px;{css}">{_inline(text, linked)}</td></tr>')
    hidden = paragraphs[0][:90] if style.hidden and paragraphs else ""
    preview = (
        f'<div style="display:none;max-height:0;overflow:hidden">{_escape(_MARKUP.sub("", hidden))}</div>'
        if hidden
        else ""
    )
    heading = f"<h1>{_escape(subject)}</h1>" if style.make == 0 else ""
    return (
        '<!DOCTYPE html>\n<html><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{_escape(subject)}</title>'
        f"<style>body{{margin:0}} a{{color:{colour}}}</style></head>\n"
        f'<body style="background:#f4f4f4;font-family:{_FONTS[style.font]}">{preview}\n'
        f'<table role="presentation" width="100%"><tr><td align="center">\n'
        f'<table role="presentation" width="{width}" style="background:#ffffff">\n'
        f"{heading}" + "\n".join(rows) + "\n</table></td></tr></table></body></html>"
    )


def as_picture(body: str, subject: str, style: Style) -> str:
    """As one linked picture with what little text there is below it."""
    source = url = alt = ""
    for found in _MARKUP.finditer(body):
        source = source or found["linked_picture"] or found["picture"] or ""
        alt = alt or found["linked_alt"] or found["alt"] or ""
        url = url or found["around"] or found["url"] or ""
    site = re.match(r"https?://[^/]+", url)
    source = source or f"{site[0] if site else 'https://example.com'}/mail/{style.make}{style.font}.png"
    rest = _MARKUP.sub(lambda found: found["text"] or "", body).strip()
    picture = _picture(source, alt or (subject if style.make % 2 else ""), width=str(_WIDTHS[style.width]))
    linked = f'<a href="{html.escape(url)}">{picture}</a>' if url else picture
    below = f'<p style="font-size:11px;color:#999999">{_escape(rest)}</p>' if rest else ""
    return f"<html><body><center>{linked}{below}</center></body></html>"
