"""What mailstack itself writes to somebody with a mailbox here, in the language they read.

The texts lie in `delivery/texts/LANGUAGE.toml`, below `[letter.NAME]`: a subject, and a text
of paragraphs with an empty line between them.  A paragraph that begins with a space keeps
its lines; the others are wrapped.  Values come from outside and are cleaned here (T44).

Standards: RFC 5322, RFC 3834 section 5 (Auto-Submitted).
"""

from __future__ import annotations

import base64
import textwrap
from collections.abc import Callable, Mapping

from mailstack.delivery import texts
from mailstack.mime import generate
from mailstack.mime.date import format_header
from mailstack.model.address import Address, AddressError
from mailstack.model.directory import Account, DirectoryReader
from mailstack.model.language import Language

_WIDTH = 76
#: Of a value that stands on a line of its own.
_MAX_LINE = 400


def languages(directory: DirectoryReader, default: Language) -> Callable[[str], Language]:
    """Says which language the reader of an address here wants: its own, else its domain's, else `default`.

    What it gives raises TemporaryFailure when the directory cannot be read.
    """
    return lambda address: chosen(address, directory) or default


def chosen(address: str, directory: DirectoryReader) -> Language | None:
    """The language an address here has chosen, else its domain; None: neither has.

    Raises:
        TemporaryFailure: the directory cannot be read.
    """
    try:
        parsed = Address.parse(address)
    except AddressError:
        return None
    found = directory.find(parsed)
    if isinstance(found, Account) and found.language:
        return found.language
    domain = directory.domain(parsed.domain)
    return (domain.language or None) if domain is not None else None


def write(
    name: str,
    language: Language,
    /,
    *,
    to: str,
    message_id: str,
    at: float,
    from_domain: str = "",
    **values: str,
) -> bytes:
    """The letter `[letter.NAME]` as a whole message; see `letter`.

    Args:
        values: what stands in its places; may have lines where the text gives it a paragraph
            that begins with a space.  A paragraph that stays empty is left out.

    Raises:
        KeyError: there is no such letter, or a value is missing; a mistake of ours.
    """
    subject = texts.say(language, f"letter.{name}.subject", **values)
    paragraphs = texts.text(language, f"letter.{name}.text").split("\n\n")
    filled = [_paragraph(paragraph, values) for paragraph in paragraphs]
    text = "\r\n\r\n".join(paragraph for paragraph in filled if paragraph) + "\r\n"
    return letter(to, generate.clean(subject), text, message_id=message_id, at=at, from_domain=from_domain)


def _paragraph(template: str, values: Mapping[str, str]) -> str:
    """Its lines, with CRLF between them; "" for one that says nothing."""
    if not template.startswith(" "):
        said = generate.clean(template.format_map(values).replace("\n", " "))
        return "\r\n".join(textwrap.wrap(said, _WIDTH, break_long_words=False, break_on_hyphens=False))
    indent = template[: len(template) - len(template.lstrip())]
    lines = textwrap.dedent(template).format_map(values).split("\n")
    return "\r\n".join(f"{indent}{generate.clean(line)[:_MAX_LINE]}" for line in lines if line.strip())


def letter(to: str, subject: str, text: str, *, message_id: str, at: float, from_domain: str = "") -> bytes:
    """A message from the system of the address's own domain, of a text that is finished.

    Args:
        text: lines end in CRLF; base64 unless it is ASCII.
        message_id: without angle brackets.
        at: Unix seconds.
        from_domain: the domain here that writes; "": that of `to`.
    """
    plain = text.isascii()
    domain = from_domain or to.rpartition("@")[2]
    head = [
        generate.address_list("From", [("Mail Delivery System", f"postmaster@{domain}")]),
        generate.address_list("To", [("", to)]),
        generate.header("Subject", subject),
        generate.structured("Date", format_header(at)),
        generate.structured("Message-ID", f"<{message_id}>"),
        generate.structured("Auto-Submitted", "auto-generated"),
        generate.structured("MIME-Version", "1.0"),
        generate.structured("Content-Type", f"text/plain; charset={'us-ascii' if plain else 'utf-8'}"),
    ]
    if plain:
        return b"".join(head) + b"\r\n" + text.encode("ascii")
    head.append(generate.structured("Content-Transfer-Encoding", "base64"))
    octets = base64.encodebytes(text.encode("utf-8", "replace")).replace(b"\n", b"\r\n")
    return b"".join(head) + b"\r\n" + octets
