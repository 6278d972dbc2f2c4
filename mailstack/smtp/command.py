"""One command line: the verb, and what stands behind MAIL and RCPT.

No rewriting: `%` and `!` are letters of a local part, a source route is taken off and
never followed (RFC 5321 appendix C allows it), a quoted local part is compared
unquoted (T7).  Nothing with a control character in it is a command.

Standards: RFC 5321 sections 4.1.1 to 4.1.3 and 4.5.3, RFC 1870 (SIZE), RFC 6152 (BODY),
RFC 3030 (BDAT, BINARYMIME), RFC 6531 (SMTPUTF8), RFC 3461 and 6533 (RET, ENVID, NOTIFY,
ORCPT), RFC 8689 (REQUIRETLS), RFC 4954 section 5 (AUTH=).
Imports: model.  No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from mailstack.model import unitext
from mailstack.model.address import Address, AddressError
from mailstack.model.errors import PeerError
from mailstack.model.reply import Reply
from mailstack.smtp import replies

#: RFC 5321 section 4.5.3.1.3, in octets, with the angle brackets.
MAX_PATH_OCTETS: Final = 256
#: RFC 3461 section 4.2 and 4.4, in octets as sent; longer is refused (T14).
MAX_ENVID_OCTETS: Final = 100
MAX_ORCPT_OCTETS: Final = 500

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
# Possessive, so that a path that never ends is not tried again and again.
_PATH = re.compile(rb' *(<(?:[^<>"]|"(?:[^"\\]|\\.)*+")*+>)(?: +(.*))?\Z')
_BARE_PATH = re.compile(rb" *([^<> ]+)(?: +(.*))?\Z")
_ROUTE = re.compile(rb"@(?:\[[^\[\]]*+\]|[^\[\]:,])*+(?:,@(?:\[[^\[\]]*+\]|[^\[\]:,])*+)*+:")
# Nine of ten senders and recipients look like this; anything else takes the long way.
_USUAL = r"<([A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9.-]{1,150})>"
_USUAL_MAIL = re.compile(
    rb"(?i:FROM):" + _USUAL.encode() + rb"(?: SIZE=([0-9]{1,10}))?(?: BODY=(7BIT|8BITMIME))?\Z"
)
_USUAL_RCPT = re.compile(rb"(?i:TO):" + _USUAL.encode() + rb"\Z")
_KEYWORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*\Z")
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*\Z")
_XTEXT_CODE = re.compile(r"\+([0-9A-F]{2})")
# RFC 6533 section 3: what may stand in an ORCPT of type utf-8, and any character by its number.
_VALUE_UTF8 = re.compile("[!-<>-~\u0080-\U0010ffff]+\\Z")
_UNITEXT = re.compile("(?:[!-*,-<>-\\[\\]-~\u0080-\U0010ffff]|\\\\x\\{[0-9A-Fa-f]{2,6}\\})+\\Z")
_SIZE = re.compile(r"[0-9]{1,40}\Z")
# Ten digits are 9 GB; nobody could be made to read more than that away.
_BDAT = re.compile(rb"0*([0-9]{1,10})(?: +(?i:(LAST)))?\Z")

_NOTIFY: Final = frozenset(("SUCCESS", "FAILURE", "DELAY"))


class Command(NamedTuple):
    """A command line.

    Attributes:
        verb: upper case; "" for an empty line.
        argument: what follows the first space, without white space around it.
    """

    verb: str
    argument: bytes


class Mail(NamedTuple):
    """MAIL FROM.

    Attributes:
        reverse_path: None for `<>`.
        size_octets: as declared; 0 when not.
        body: "7BIT", "8BITMIME" or "BINARYMIME".
        ret, envid: RFC 3461; "" when not given.
        requiretls: RFC 8689.
    """

    reverse_path: Address | None
    size_octets: int = 0
    body: str = "7BIT"
    smtputf8: bool = False
    ret: str = ""
    envid: str = ""
    requiretls: bool = False


class Rcpt(NamedTuple):
    """RCPT TO.  `notify` and `orcpt`: RFC 3461, decoded."""

    address: Address
    notify: frozenset[str] = frozenset()
    orcpt: str = ""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What may be said here.

    Attributes:
        bare_paths: addresses without angle brackets, as some devices send them.
        smtputf8, dsn, binarymime, requiretls: announced.
    """

    bare_paths: bool = False
    smtputf8: bool = False
    dsn: bool = False
    binarymime: bool = False
    requiretls: bool = False


class Chunk(NamedTuple):
    """BDAT: so many octets follow the line."""

    octets: int
    is_last: bool


def parse(line: bytes) -> Command:
    """Splits a line; it ended in CRLF, which is not part of it.

    Raises:
        PeerError: 500 5.5.2 for control characters, or for octets above 127 in a
            command that has no path.

    Source: RFC 5321 section 4.1.1.
    """
    line = line.rstrip(b" \t")
    if _CONTROL.search(line):
        raise PeerError(replies.CONTROL_CHARACTERS, source="RFC 5321 section 4.1.1")
    verb, _, argument = line.partition(b" ")
    word = verb.decode("latin-1").upper()
    if not line.isascii() and not _may_be_8bit(word, argument):
        raise PeerError(replies.NOT_ASCII, source="RFC 5321 section 2.4")
    return Command(word, argument.strip(b" "))


def _may_be_8bit(verb: str, argument: bytes) -> bool:
    """RFC 6531 section 3.1: these name addresses; those of MAIL and RCPT are looked at closer."""
    if verb in ("MAIL", "RCPT"):
        return True
    try:
        argument.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return verb in ("VRFY", "EXPN")


def parse_mail(argument: bytes, dialect: Dialect) -> Mail:
    """What follows `MAIL `.

    Raises:
        PeerError: 500, 501, 553 or 555; the transaction is not begun.
    """
    usual = _USUAL_MAIL.match(argument)
    if usual is not None:
        path, size, body = usual.groups()
        return Mail(_parse(path.decode("ascii"), "1.7"), int(size or 0), (body or b"7BIT").decode("ascii"))
    path, parameters = _split(argument, b"FROM:", dialect, replies.MAIL_SYNTAX, "1.7")
    known = _Known({"SIZE": _size, "BODY": _binary if dialect.binarymime else _body, "AUTH": _auth})
    if dialect.smtputf8:
        known.readers["SMTPUTF8"] = _smtputf8
    if dialect.requiretls:
        known.readers["REQUIRETLS"] = _requiretls
    if dialect.dsn:
        known.readers |= {"RET": _ret, "ENVID": _envid}
    values = known.read(parameters)
    address = _address(path, "1.7", has_utf8="SMTPUTF8" in values) if path != b"<>" else None
    return Mail(
        reverse_path=address,
        size_octets=int(values.get("SIZE", "0")),
        body=values.get("BODY", "7BIT"),
        smtputf8="SMTPUTF8" in values,
        ret=values.get("RET", ""),
        envid=values.get("ENVID", ""),
        requiretls="REQUIRETLS" in values,
    )


def parse_bdat(argument: bytes) -> Chunk:
    """What follows `BDAT `.

    Raises:
        PeerError: 501; how many octets follow is not known.

    Source: RFC 3030 section 2.
    """
    found = _BDAT.match(argument)
    if found is None:
        raise PeerError(replies.BDAT_SYNTAX, source="RFC 3030 section 2")
    return Chunk(int(found[1]), found[2] is not None)


def parse_rcpt(argument: bytes, dialect: Dialect, *, has_utf8: bool) -> Rcpt:
    """What follows `RCPT `.

    Args:
        has_utf8: MAIL had SMTPUTF8.

    Raises:
        PeerError: 500, 501, 553 or 555; the transaction stays open.
    """
    usual = _USUAL_RCPT.match(argument)
    if usual is not None:
        return Rcpt(_parse(usual[1].decode("ascii"), "1.3"))
    path, parameters = _split(argument, b"TO:", dialect, replies.RCPT_SYNTAX, "1.3")
    known = _Known({}, has_utf8=has_utf8)
    if dialect.dsn:
        known.readers |= {"NOTIFY": _notify, "ORCPT": _orcpt}
    values = known.read(parameters)
    if path == b"<>":
        raise _bad("1.3", "The recipient is empty", "RFC 5321 section 4.1.1.3")
    notify = values.get("NOTIFY", "")
    return Rcpt(
        _address(path, "1.3", has_utf8=has_utf8),
        frozenset(notify.split(",")) if notify else frozenset(),
        values.get("ORCPT", ""),
    )


def shown_path(argument: bytes) -> str:
    """The address behind MAIL or RCPT as it was written, however wrong, for the log."""
    path = argument.partition(b":")[2].strip()[:MAX_PATH_OCTETS]
    end = path.find(b">")
    return path[: end if end >= 0 else None].strip(b"< ").decode("utf-8", "replace")


# -- paths ---------------------------------------------------------------------------------


def _split(
    argument: bytes, keyword: bytes, dialect: Dialect, syntax: Reply, status: str
) -> tuple[bytes, str]:
    """Path with its brackets, and the text of the parameters."""
    if argument[: len(keyword)].upper() != keyword:
        raise PeerError(syntax, source="RFC 5321 section 4.1.1")
    rest = argument[len(keyword) :]
    found = _PATH.match(rest)
    path = found[1] if found else b""
    if found is None and dialect.bare_paths:
        found = _BARE_PATH.match(rest)
        path = b"<" + found[1] + b">" if found else b""
    if found is None:
        raise PeerError(syntax, source="RFC 5321 section 4.1.2")
    if len(path) > MAX_PATH_OCTETS:
        raise _bad(status, f"The path is longer than {MAX_PATH_OCTETS} octets", "RFC 5321 section 4.5.3.1.3")
    parameters = found[2] or b""
    try:
        return path, parameters.decode("utf-8")
    except UnicodeDecodeError:
        raise PeerError(replies.NOT_ASCII, source="RFC 5321 section 2.4") from None


def _address(path: bytes, status: str, *, has_utf8: bool) -> Address:
    inner = path[1:-1]
    if inner.startswith(b"@"):
        route = _ROUTE.match(inner)
        if route is None:
            raise _bad(status, "The path is not an address", "RFC 5321 section 4.1.2")
        inner = inner[route.end() :]
    try:
        text = inner.decode("utf-8")
    except UnicodeDecodeError:
        raise _bad(status, "The address is not UTF-8", "RFC 6531 section 3.3") from None
    if status == "1.3" and text.lower() == "postmaster":
        return Address(text, "")  # RFC 5321 section 4.1.1.3
    address = _parse(text, status)
    if not has_utf8 and not text.isascii():
        raise PeerError(replies.NEEDS_SMTPUTF8, source="RFC 6531 section 3.5")
    return address


def _parse(text: str, status: str) -> Address:
    try:
        return Address.parse(text)
    except AddressError as error:
        # RFC 6531 section 3.7.4.2: replies are ASCII unless the mail says SMTPUTF8.
        why = str(error).encode("ascii", "backslashreplace").decode("ascii")
        raise _bad(status, f"The address is not valid: {why}", "RFC 5321 section 4.1.2") from None


def _bad(status: str, text: str, source: str) -> PeerError:
    return PeerError(Reply(501, status, text), source=source)


# -- parameters ----------------------------------------------------------------------------


class _Known:
    """Reads `KEYWORD=value` words; each keyword at most once."""

    def __init__(self, readers: dict[str, Callable[[str | None], str]], *, has_utf8: bool = False) -> None:
        self.readers = readers
        self._has_utf8 = has_utf8

    def read(self, text: str) -> dict[str, str]:
        values: dict[str, str] = {}
        if not text:
            return values
        unknown = []
        for word in filter(None, text.split(" ")):
            keyword, equals, value = word.partition("=")
            name = keyword.upper()
            if not word.isascii():
                self._check_utf8(name)
            if not _KEYWORD.match(keyword) or (equals and not _VALUE_UTF8.match(value)):
                raise _bad_parameter(name, "is malformed")
            reader = self.readers.get(name)
            if reader is None:
                unknown.append(name)
            elif name in values:
                raise _bad_parameter(name, "is given twice")
            else:
                values[name] = reader(value if equals else None)
        if unknown:
            # RFC 5321 section 4.1.1.11
            named = ", ".join(name[:40] for name in unknown[:5])
            raise PeerError(
                Reply(555, "5.4", f"Parameter not known here: {named}", "parameter"),
                source="RFC 5321 section 4.1.1.11",
            )
        return values

    def _check_utf8(self, name: str) -> None:
        # RFC 6533 section 3: an original recipient may be written in UTF-8, nothing else.
        if name != "ORCPT":
            raise PeerError(replies.NOT_ASCII, source="RFC 5321 section 2.4")
        if not self._has_utf8:
            raise PeerError(replies.NEEDS_SMTPUTF8, source="RFC 6531 section 3.5")


def _bad_parameter(name: str, what: str) -> PeerError:
    shown = name.encode("ascii", "replace").decode("ascii")[:40]
    return PeerError(Reply(501, "5.4", f"The parameter {shown} {what}"), source="RFC 5321 section 4.1.2")


def _size(value: str | None) -> str:
    # RFC 1870 section 3; what has too many digits is too large, not malformed.
    if value is None or not _SIZE.match(value):
        raise _bad_parameter("SIZE", "wants a number")
    return value


def _body(value: str | None) -> str:
    if value is None or value.upper() not in ("7BIT", "8BITMIME"):
        raise _bad_parameter("BODY", "may be 7BIT or 8BITMIME")
    return value.upper()


def _binary(value: str | None) -> str:
    # RFC 3030 section 3
    if value is not None and value.upper() == "BINARYMIME":
        return "BINARYMIME"
    return _body(value)


def _auth(value: str | None) -> str:
    # RFC 4954 section 5: checked, then treated as AUTH=<>, because we trust no peer's word; so it
    # does no harm where no AUTH is offered either, and other servers do send it there (S24).
    if value is None or not (value == "<>" or _XTEXT.match(value)):
        raise _bad_parameter("AUTH", "wants <> or an address as xtext")
    return ""


def _smtputf8(value: str | None) -> str:
    return _no_value("SMTPUTF8", value)


def _requiretls(value: str | None) -> str:
    return _no_value("REQUIRETLS", value)


def _no_value(name: str, value: str | None) -> str:
    if value is not None:
        raise _bad_parameter(name, "takes no value")
    return ""


def _ret(value: str | None) -> str:
    if value is None or value.upper() not in ("FULL", "HDRS"):
        raise _bad_parameter("RET", "may be FULL or HDRS")
    return value.upper()


def _envid(value: str | None) -> str:
    return _xtext("ENVID", value, MAX_ENVID_OCTETS)


def _notify(value: str | None) -> str:
    # RFC 3461 section 4.1
    words = (value or "").upper().split(",")
    if words != ["NEVER"] and not (set(words) <= _NOTIFY and len(set(words)) == len(words)):
        raise _bad_parameter("NOTIFY", "may be NEVER, or a list of SUCCESS, FAILURE and DELAY")
    return ",".join(words)


def _orcpt(value: str | None) -> str:
    kind, semicolon, address = (value or "").partition(";")
    if not semicolon or not _KEYWORD.match(kind) or not address:
        raise _bad_parameter("ORCPT", "wants type;address")
    if kind.lower() == "utf-8":
        return f"{kind};{_unitext(address)}"
    if not address.isascii():
        raise _bad_parameter("ORCPT", "wants the type utf-8 for an address that is not ASCII")
    # Postfix writes an internationalised address as its octets, with the type rfc822.
    return f"{kind};{_xtext('ORCPT', address, MAX_ORCPT_OCTETS, has_utf8=True)}"


def _xtext(name: str, value: str | None, limit: int, *, has_utf8: bool = False) -> str:
    """RFC 3461 section 4; nothing that is not printable may come out (T14)."""
    if not value or len(value) > limit or not _XTEXT.match(value):
        raise _bad_parameter(name, f"wants up to {limit} octets of xtext")
    octets = _XTEXT_CODE.sub(lambda code: chr(int(code[1], 16)), value).encode("latin-1")
    try:
        text = octets.decode("utf-8" if has_utf8 else "ascii")
    except UnicodeDecodeError:
        text = "\0"
    if not text.isprintable():
        raise _bad_parameter(name, "hides a character that is not printable")
    return text


def _unitext(value: str) -> str:
    """RFC 6533 section 3: the three forms of an internationalised address, decoded."""
    if len(value.encode()) > MAX_ORCPT_OCTETS or not _UNITEXT.match(value):
        raise _bad_parameter("ORCPT", f"wants up to {MAX_ORCPT_OCTETS} octets of unitext")
    text = unitext.decode(value)
    if not text.isprintable() or "\\x{" in text:  # what cannot be shown is left as it is
        raise _bad_parameter("ORCPT", "hides a character that is not printable")
    return text
