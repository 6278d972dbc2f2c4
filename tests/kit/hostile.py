"""Messages nobody should send, by the fault they are an instance of (M1 to M22).

`MESSAGES` are about structure and header; `CONTENTS` are made when asked for, as some are
as large as a message may be.
"""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import lzma
import struct
import zipfile
from collections.abc import Callable

MIB = 1_048_576


def nested(depth: int) -> bytes:
    opened = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(depth)
    )
    return opened + b"\r\nend\r\n"


def parts(count: int) -> bytes:
    return b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n\r\np\r\n" * count + b"--x--\r\n"


def field(value: bytes, name: bytes = b"Subject") -> bytes:
    return name + b": " + value + b"\r\n\r\nbody\r\n"


MESSAGES = {
    "M1 multiparts 64": nested(64),
    "M1 multiparts 65": nested(65),
    "M1 multiparts 20000": nested(20_000),
    "M2 messages in messages": b"Content-Type: message/rfc822\r\n\r\n" * 1_000 + b"Subject: x\r\n\r\n",
    "M2 boundaries that are prefixes": (
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n"
        b"Content-Type: multipart/mixed; boundary=ab\r\n\r\n--ab\r\n\r\nx\r\n--ab--\r\n--a--\r\n"
    ),
    "M3 1000 parts": parts(1_000),
    "M3 1001 parts": parts(1_001),
    "M3 200000 parts": parts(200_000),
    "M4 no boundary": b"Content-Type: multipart/mixed\r\n\r\n--\r\n\r\nx\r\n",
    "M4 empty boundary": b'Content-Type: multipart/mixed; boundary=""\r\n\r\n--\r\n\r\nx\r\n',
    "M4 long boundary": b"Content-Type: multipart/mixed; boundary=" + b"b" * 5_000 + b"\r\n\r\n",
    "M4 boundary with CRLF": b'Content-Type: multipart/mixed; boundary="a\r\n b"\r\n\r\n--a\r\n b\r\n',
    "M5 a megabyte of subject": field(b"s" * 1_000_000),
    "M5 folded a thousand times": field(b"\r\n ".join([b"s" * 1_000] * 1_000)),
    "M5 encoded words": field(b" ".join([b"=?utf-8?q?=C3=A9?="] * 5_000)),
    "M6 parentheses": field(b"(" * 2_000, b"From"),
    "M6 addresses": field(b",".join([b"a@b.test"] * 20_000), b"To"),
    "M6 header lines": b"X: y\r\n" * 500_000 + b"\r\n",
    "M6 quotes": field(b'"' * 50_000, b"From"),
    "M6 brackets": field(b"<" * 50_000 + b"a@b" + b">" * 50_000, b"Cc"),
    "M7 parameters": field(b"a/b" + b"".join(b"; name*%d*=x''%%" % n for n in range(5_000)), b"Content-Type"),
    "M8 padding": b"Content-Transfer-Encoding: base64\r\n\r\n" + b"=" * 3_000_000,
    "M8 quoted-printable": b"Content-Transfer-Encoding: quoted-printable\r\n\r\n=ZZ=\r\n=",
    "M9 charset": field(b"text/plain; charset=base64\r\nSubject: =?base64?q?x?= \xff\xfe", b"Content-Type"),
    "M10 uuencode": b"Subject: x\r\n\r\nbegin 644 x\r\n#86)C\r\n`\r\nend\r\n",
    "M15 one line": b"Subject: x\r\n\r\n" + b"word " * 2_000_000,
    "M16 file name": field(
        b'attachment; filename="../\\\\a\\"b\x01\xe2\x80\xae' + b"n" * 5_000 + b'"', b"Content-Disposition"
    ),
    "M17 date": field(b"31 Feb 99999" + b" (x)" * 40, b"Date"),
    "M18 twice": b"Subject: a\r\nSubject: b\r\nTo : c@d\r\nno colon\r\n" + b"N" * 1_000 + b": x\r\n\r\n",
    "M21 odd line ends": field(b"a\x0bb\x0cc\x1cd\xc2\x85e\xe2\x80\xa8f\x00g"),
    "forged answer": field(b'x) UID 99)\r\n * 1 EXPUNGE\r\n "\\', b"In-Reply-To"),
    "literal in a name": field(b'"{5}" <a@b.test>', b"From"),
    "nothing": b"",
    "only line ends": b"\r\n\r\n\r\n",
    "NUL": b"\0" * 1_000,
    "message/global": b"Content-Type: message/global\r\n\r\nSubject: \xc3\xa9\r\n\r\nx\r\n",
    "multipart of nothing": b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x--\r\n",
    "digest": b"Content-Type: multipart/digest; boundary=x\r\n\r\n--x\r\n\r\nSubject: i\r\n\r\n--x--\r\n",
}


def html(body: bytes, charset: bytes = b"utf-8") -> bytes:
    return b"Subject: x\r\nContent-Type: text/html; charset=" + charset + b"\r\n\r\n" + body


def attached(name: bytes, content: bytes, kind: bytes = b"application/octet-stream") -> bytes:
    return (
        b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n"
        b"--x\r\n\r\nsee the file\r\n--x\r\nContent-Type: " + kind + b"\r\n"
        b'Content-Disposition: attachment; filename="' + name + b'"\r\n'
        b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(content) + b"--x--\r\n"
    )


def zip_of(*entries: tuple[str, bytes]) -> bytes:
    """An archive of named contents."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return held.getvalue()


def zipped(names: list[str], content: bytes = b"x", depth: int = 1) -> bytes:
    for _ in range(depth):
        content, names = zip_of(*((name, content) for name in names)), ["inner.zip"]
    return content


def many_entries(count: int) -> bytes:
    """A zip whose directory lists so many files that are all the same one (quoted overlap)."""
    local = b"PK\x03\x04" + struct.pack("<HHHHHIIIHH", 20, 0, 0, 0, 0, 0, 1, 1, 1, 0) + b"ax"
    entry = b"PK\x01\x02" + struct.pack("<HHHHHHIIIHHHHHII", 20, 20, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0)
    central = (entry + b"a") * count
    end = b"PK\x05\x06" + struct.pack(
        "<HHHHIIH", 0, 0, min(count, 65_535), min(count, 65_535), len(central), len(local), 0
    )
    return local + central + end


CONTENTS: dict[str, Callable[[], bytes]] = {
    "M1 100000 deep": lambda: nested(100_000),
    "M4 trailing spaces": lambda: b'Content-Type: multipart/mixed; boundary="a  "\r\n\r\n--a  \r\n\r\nx\r\n',
    "M6 header of 512 KiB": lambda: b"Subject: x\r\n" * 40_000 + b"\r\n",
    "M8 padding of 24 MiB": lambda: b"Content-Transfer-Encoding: base64\r\n\r\n" + b"=" * (24 * MIB),
    "M9 utf-7": lambda: html(b"+" * 500_000, b"utf-7"),
    "M9 utf-16 without BOM": lambda: html(b"\x00<\xff\xd8" * 200_000, b"utf-16"),
    "M9 invalid octets": lambda: html(b"\xff\xfe\xc3(" * 200_000),
    "M10 yEnc, TNEF, PGP": lambda: attached(b"winmail.dat", b"\x78\x9f\x3e\x22" + b"\xff" * 100_000),
    "M11 bomb": lambda: attached(b"42.zip", zipped(["0.bin"], b"\0" * (60 * MIB))),
    "M11 a million entries": lambda: attached(b"many.zip", many_entries(300_000)),
    "M11 nested ten times": lambda: attached(b"deep.zip", zipped(["a.exe"], depth=10)),
    "M11 names": lambda: attached(b"n.zip", zipped(["../../etc/passwd", "/abs", "a\0b", "\u202egpj.exe"])),
    "M12 gzip": lambda: attached(b"b.gz", gzip.compress(b"\0" * (60 * MIB))),
    "M12 bzip2": lambda: attached(b"b.bz2", bz2.compress(b"\0" * (60 * MIB))),
    "M12 xz": lambda: attached(b"b.xz", lzma.compress(b"\0" * (60 * MIB))),
    "M12 PDF of a million objects": lambda: attached(
        b"a.pdf", b"%PDF-1.7\n" + b"1 0 obj<</URI(http://a.test)>>endobj\n" * 250_000, b"application/pdf"
    ),
    "M13 10 MB of HTML": lambda: html(b"<p>text <b>bold</b> <a href=http://a.test/>x</a>\n" * 200_000),
    "M13 a million divs": lambda: html(b"<div>" * 1_000_000),
    "M13 a million attributes": lambda: html(b"<p " + b"a=b " * 1_000_000 + b">x"),
    "M13 NUL and svg": lambda: html(b"<svg><style>\0</p><!--<svg>" * 100_000),
    "M13 styles": lambda: html(b"<style>" + b".a{color:#fff}" * 70_000 + b"</style><p class=a>x"),
    "M13 tables": lambda: html(b"<table><tr><td style=display:none>" * 60_000),
    "M14 URLs": lambda: html(b" ".join(b"http://h%d.test/" % n for n in range(10_240))),
    "M14 a URL of 1 MB": lambda: html(b"<a href=http://a.test/" + b"x" * MIB + b">b</a>"),
    "M14 bidi and punycode": lambda: html(b"<a href=http://xn--pypal-4ve.test/\xe2\x80\xae>b</a>" * 20_000),
    "M15 one line of 24 MB": lambda: b"Subject: x\r\n\r\n" + b"word" * (6 * MIB),
    "M15 words without end": lambda: b"Subject: x\r\n\r\n" + b" ".join(b"w%d" % n for n in range(2_000_000)),
    "M16 names": lambda: attached(b"../a\\b\xe2\x80\xaegpj.exe" + b"n" * 5_000, b"MZ" + b"x" * 1_000),
    "25 MB": lambda: attached(b"film.mp4", bytes(range(256)) * (18 * MIB // 256)),
    "25 MB of HTML attachment": lambda: attached(b"a.html", b"<a href=http://a.test/>x</a>" * 650_000),
}
