"""Fuzz targets of what SMTP and the filter read from outside: octets in, an invariant or an assertion.

Each takes any octets.  pytest gives them seeds, kept regressions and mutations of both
(tests/fuzz/test_fuzz_seeds.py); coverage-guided runs are for `make fuzz-guided`.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path

from mailstack.mime.header import Headers, find_end
from mailstack.mime.lines import normalise
from mailstack.mime.refold import put_right
from mailstack.mime.scanner import scan
from mailstack.mime.sevenbit import make_plan, write_body
from mailstack.mime.text import content
from mailstack.model.address import Address, AddressError
from mailstack.model.errors import PeerError
from mailstack.model.reply import Reply
from mailstack.smtp import command as commands
from mailstack.smtp import proxy as proxies
from mailstack.smtp.chunks import ChunkReader
from mailstack.smtp.data import DotReader
from mailstack.smtp.fixups import Wishes, fix
from tests.kit import dot_reference
from tests.kit.bare_smtp import BareSmtp
from tests.kit.fuzz_client import client, reply
from tests.kit.fuzz_reading import archive, attachment, charset, html, letters

FUZZ = Path(__file__).resolve().parents[1] / "fuzz"

_REPLY = re.compile(rb"[2-5][0-5]\d[ -][\x20-\x7e\x80-\xff]*\Z")
_DIALECTS = (
    commands.Dialect(),
    commands.Dialect(bare_paths=True, smtputf8=True, dsn=True, binarymime=True, requiretls=True),
)
_MAX_OCTETS, _MAX_LINE = 600, 120


def _is_reply(reply: Reply) -> None:
    assert 400 <= reply.code < 600
    for line in reply.to_bytes().split(b"\r\n")[:-1]:
        assert _REPLY.match(line), line
        assert len(line) <= 510


def _same_again(address: Address) -> None:
    """What an address is written as is read as the same address."""
    if address.domain:
        assert Address.parse(str(address)) == address
    assert not any(_is_unseen(character) for character in str(address))


def _is_unseen(character: str) -> bool:
    """Controls, marks that turn the text round, halves of a character; some format characters are seen."""
    kind = unicodedata.category(character)
    is_sign = unicodedata.name(character, "").startswith(("ARABIC ", "SYRIAC ", "KAITHI ", "EGYPTIAN "))
    return kind in ("Cc", "Cs", "Zl", "Zp") or (kind == "Cf" and not is_sign)


def command(octets: bytes) -> None:
    """A command line: parsed, or refused with a reply that can be sent."""
    try:
        said = commands.parse(octets)
    except PeerError as error:
        _is_reply(error.reply)
        said = commands.Command("", octets)
    for dialect in _DIALECTS:
        _mail(said.argument, dialect)
        _rcpt(said.argument, dialect)
    try:
        assert 0 <= commands.parse_bdat(said.argument).octets < 10**10
    except PeerError as error:
        _is_reply(error.reply)


def _mail(argument: bytes, dialect: commands.Dialect) -> None:
    try:
        mail = commands.parse_mail(argument, dialect)
    except PeerError as error:
        _is_reply(error.reply)
        return
    # The usual form is read by a shorter way, which a blank keeps away; both must agree.
    assert commands.parse_mail(argument.replace(b":<", b": <", 1), dialect) == mail
    assert mail.size_octets >= 0
    assert mail.envid.isprintable()
    if mail.reverse_path is not None:
        _same_again(mail.reverse_path)
        assert mail.smtputf8 or mail.reverse_path.local.isascii()


def _rcpt(argument: bytes, dialect: commands.Dialect) -> None:
    for has_utf8 in (False, True):
        try:
            rcpt = commands.parse_rcpt(argument, dialect, has_utf8=has_utf8)
        except PeerError as error:
            _is_reply(error.reply)
            continue
        assert commands.parse_rcpt(argument.replace(b":<", b": <", 1), dialect, has_utf8=has_utf8) == rcpt
        assert rcpt.orcpt.isprintable()
        _same_again(rcpt.address)


def address(octets: bytes) -> None:
    """An address: what it is written as is read as the same."""
    try:
        found = Address.parse(octets.decode("utf-8", "surrogateescape"))
    except AddressError as error:
        assert str(error)
        return
    _same_again(found)
    assert found.domain == found.domain.lower() or found.domain.startswith("[")


def data(octets: bytes) -> None:
    """DATA: whole, octet by octet and by a plain reading, always the same message."""
    whole = _read_data([octets])
    expected = dot_reference.read(octets)
    assert (expected is None) == (whole[2] is None)
    if expected is None:
        return
    assert _read_data(_cut(octets, 1)) == whole
    assert _read_data(_cut(octets, 1 + octets[0] % 13)) == whole
    message, is_suspect, rest = expected
    assert whole[2] == rest
    is_long = len(message) > _MAX_OCTETS or max(map(len, message.split(b"\r\n"))) > _MAX_LINE
    assert whole[1] == (not is_suspect and not is_long)
    assert not whole[1] or whole[0] == message


def _read_data(blocks: Iterable[bytes]) -> tuple[bytes, bool, bytes | None]:
    reader = DotReader(max_octets=_MAX_OCTETS, max_line_octets=_MAX_LINE)
    taken, rest = b"", None
    for block in blocks:
        if rest is not None:
            rest += block
            continue
        rest = reader.feed(block)
        taken += reader.take()
    is_good = rest is not None and reader.fault() is None
    return taken if is_good else b"", is_good, rest


def chunks(octets: bytes) -> None:
    """BDAT: how a message is cut changes nothing; text has one kind of line end, a binary body stays."""
    for is_binary in (False, True):
        whole = _read_chunks([octets], is_binary=is_binary)
        assert _read_chunks(_cut(octets, 1), is_binary=is_binary) == whole
        assert _read_chunks(_cut(octets, 1 + len(octets) % 7), is_binary=is_binary) == whole
        taken, is_good = whole
        if not is_good:
            continue
        if is_binary:
            _, empty, body = taken.partition(b"\r\n\r\n")
            assert not empty or octets.endswith(body)
        else:
            bare = taken.replace(b"\r\n", b"")
            assert b"\r" not in bare
            assert b"\n" not in bare
            assert not taken or taken.endswith(b"\r\n")


def _read_chunks(blocks: Iterable[bytes], *, is_binary: bool) -> tuple[bytes, bool]:
    reader = ChunkReader(max_octets=_MAX_OCTETS, max_line_octets=_MAX_LINE, is_binary=is_binary)
    taken = b""
    for block in blocks:
        reader.feed(block)
        taken += reader.take()
    reader.end()
    taken += reader.take()
    is_good = reader.fault() is None
    return taken if is_good else b"", is_good


def proxy(octets: bytes) -> None:
    """The PROXY header: an IP address or nothing, and never an octet of what follows is read."""
    held, at = b"", 0
    try:
        while (found := proxies.parse(held)) is None:
            size = proxies.wanted(held)
            assert size >= 1
            if at >= len(octets):
                return
            held, at = held + octets[at : at + size], at + size
            assert len(held) <= proxies.MAX_OCTETS
    except proxies.ProxyError as error:
        assert error.why.isprintable()
        return
    assert len(held) == min(at, len(octets))
    assert 0 <= found.port < 65_536
    if found.ip:
        assert str(ipaddress.ip_address(found.ip)) == found.ip
    # What comes behind a header is no business of it.
    assert held.startswith((b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n"))


def session(octets: bytes) -> None:
    """A whole session: replies that can be sent, and none for a line that was cut elsewhere."""
    for name in ("mx", "submissions", "lmtp"):
        lines = octets.split(b"\r\n")
        whole = _talk(name, [line + b"\r\n" for line in lines])
        assert _talk(name, (part for line in lines for part in _cut(line + b"\r\n", 3))) == whole


def _talk(name: str, blocks: Iterable[bytes]) -> tuple[list[bytes], int]:
    bare = BareSmtp(name, smtputf8=True, dsn=True, memory_octets=10_000)
    for block in blocks:
        bare.send(block)
    for line in bare._lines:
        assert _REPLY.match(line), line
        assert len(line) <= 510
    return bare._lines, len(bare.acceptor.taken)


def _cut(octets: bytes, size: int) -> list[bytes]:
    return [octets[at : at + size] for at in range(0, len(octets), size)]


def submission(octets: bytes) -> None:
    """The fix-ups of a submission: what its parts say stays, and doing it twice changes nothing more."""
    octets = normalise(octets)  # as the data reader gives it
    wishes = Wishes(0.0, "id", "x.test")
    out = b"".join(fix(octets, wishes))
    headers = Headers.parse(out)
    assert headers.count("message-id") >= 1
    assert not headers.count("bcc")
    assert b"".join(fix(out, wishes)) == out
    plan = make_plan(octets)
    block = put_right(octets[: find_end(octets)[0]], fields=plan.fields)
    assert _said(block + b"".join(write_body(octets, plan))) == _said(octets)


def _said(message: bytes) -> list[bytes]:
    """The content of each part, decoded; without the line ends at its end."""
    found, work = [], [scan(message)]
    while work:
        part = work.pop()
        work.extend(part.children)
        if not part.children:
            found.append(content(message, part).rstrip(b"\r\n"))
    return found


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (
        *(command, address, data, chunks, proxy, session, submission, reply, client),
        *(html, charset, archive, attachment, letters),
    )
}


def seeds(target: str) -> list[Path]:
    """What to begin with, and each input that once failed."""
    return sorted((FUZZ / "seeds" / target).glob("*")) + sorted((FUZZ / "regressions" / target).glob("*"))
