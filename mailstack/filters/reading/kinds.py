"""What a file is: by its first octets, by its name, by the type it claims; and odd names.

No I/O.
"""

from __future__ import annotations

import re
from typing import Final

from mailstack.filters.folding import turns_round, without_unseen
from mailstack.filters.reading.facts import Kind

#: Characters of a file name that are kept.
MAX_NAME = 200
_MAX_READ = 1_000
#: Octets of a file its kind is told by.
HEAD_OCTETS = 1_024
#: So many blanks push the real ending of a name out of sight.
_MANY_BLANKS = 5

_BY_EXTENSION: Final[dict[str, Kind]] = {}
_WORDS: Final[tuple[tuple[Kind, str], ...]] = (
    (
        "program",
        "exe scr pif com bat cmd vbs vbe vb js jse wsf wsh wsc hta lnk msi msp mst msix appx "
        "appinstaller application ps1 psm1 psc1 cpl jar jnlp dll sys ocx drv reg scf sct inf "
        "ins isp url website desktop webloc chm hlp apk xapk sh bash command run elf deb rpm "
        "pkg xll wll xlam settingcontent-ms library-ms search-ms searchconnector-ms gadget "
        "msc ade adp mde accde iqy oqy rqy slk diagcab py pyw pl rb class workflow action",
    ),
    ("html", "html htm shtml xhtml xht mht mhtml hta"),
    ("svg", "svg svgz"),
    ("pdf", "pdf"),
    (
        "office",
        "doc docx docm dot dotx dotm rtf xls xlsx xlsm xlsb xlt xltx xltm ppt pptx pptm pps "
        "ppsx ppsm pot potx odt ods odp ott pub vsd vsdx wps pages numbers key",
    ),
    ("onenote", "one onepkg onetoc2"),
    ("disk-image", "iso img vhd vhdx vmdk udf dmg bin cue nrg mdf toast"),
    (
        "archive",
        "zip zipx 7z rar r00 r01 tar gz tgz bz2 tbz tbz2 xz txz zst lz lzh lha arj ace cab z arc uue xxe",
    ),
    ("calendar", "ics ical vcs ifb"),
    ("contact", "vcf vcard"),
    ("message", "eml msg"),
    ("certificate", "p7s p7m p7c p7b cer crt pem asc sig pgp gpg"),
    ("image", "jpg jpeg jpe png gif bmp webp tif tiff heic heif ico avif"),
    ("sound", "mp3 wav ogg oga m4a aac flac wma amr opus mid midi"),
    ("video", "mp4 m4v mov avi mkv webm wmv mpg mpeg 3gp flv"),
    ("text", "txt text log csv tsv md json xml yaml yml diff patch"),
)
for _kind, _names in _WORDS:
    for _name in _names.split():
        _BY_EXTENSION.setdefault(_name, _kind)

_BY_MAGIC: Final[tuple[tuple[bytes, Kind, str], ...]] = (
    (b"MZ", "program", "pe"),
    (b"\x7fELF", "program", "elf"),
    (b"\xca\xfe\xba\xbe", "program", "class"),
    (b"\xcf\xfa\xed\xfe", "program", "macho"),
    (b"\x4c\x00\x00\x00\x01\x14\x02\x00", "program", "lnk"),
    (b"ITSF", "program", "chm"),
    (b"#!/", "program", "script"),
    (b"%PDF-", "pdf", "pdf"),
    (b"PK\x03\x04", "archive", "zip"),
    (b"PK\x05\x06", "archive", "zip"),
    (b"\x1f\x8b", "archive", "gzip"),
    (b"BZh", "archive", "bzip2"),
    (b"\xfd7zXZ\x00", "archive", "xz"),
    (b"7z\xbc\xaf\x27\x1c", "archive", "7z"),
    (b"Rar!\x1a\x07", "archive", "rar"),
    (b"MSCF", "archive", "cab"),
    (b"\x28\xb5\x2f\xfd", "archive", "zstd"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "office", "ole"),
    (b"{\\rt", "office", "rtf"),
    (b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d\xae\xb1\x53\x78\xd0\x29\x96\xd3", "onenote", "onenote"),
    (b"conectix", "disk-image", "vhd"),
    (b"vhdxfile", "disk-image", "vhdx"),
    (b"\x89PNG\r\n", "image", "png"),
    (b"\xff\xd8\xff", "image", "jpeg"),
    (b"GIF8", "image", "gif"),
    (b"BEGIN:VCALENDAR", "calendar", "ics"),
    (b"BEGIN:VCARD", "contact", "vcf"),
)
_TYPES: Final[tuple[tuple[str, Kind], ...]] = (
    ("text/html", "html"),
    ("application/xhtml", "html"),
    ("image/svg", "svg"),
    ("application/pdf", "pdf"),
    ("text/calendar", "calendar"),
    ("application/ics", "calendar"),
    ("text/vcard", "contact"),
    ("text/x-vcard", "contact"),
    ("message/rfc822", "message"),
    ("message/global", "message"),
    ("application/vnd.ms-outlook", "message"),
    ("application/pkcs7", "certificate"),
    ("application/x-pkcs7", "certificate"),
    ("application/pgp", "certificate"),
    ("application/zip", "archive"),
    ("application/x-zip", "archive"),
    ("application/gzip", "archive"),
    ("application/x-gzip", "archive"),
    ("application/x-rar", "archive"),
    ("application/vnd.rar", "archive"),
    ("application/x-7z", "archive"),
    ("application/x-tar", "archive"),
    ("application/x-bzip2", "archive"),
    ("application/x-xz", "archive"),
    ("application/vnd.ms-cab", "archive"),
    ("application/msword", "office"),
    ("application/vnd.openxmlformats", "office"),
    ("application/vnd.ms-excel", "office"),
    ("application/vnd.ms-powerpoint", "office"),
    ("application/vnd.oasis", "office"),
    ("application/rtf", "office"),
    ("application/onenote", "onenote"),
    ("application/x-iso9660", "disk-image"),
    ("application/x-msdownload", "program"),
    ("application/x-msdos-program", "program"),
    ("application/javascript", "program"),
    ("text/javascript", "program"),
    ("application/java-archive", "program"),
    ("application/x-sh", "program"),
    ("image/", "image"),
    ("audio/", "sound"),
    ("video/", "video"),
    ("text/", "text"),
)
_HTML = re.compile(
    rb"(?:\xef\xbb\xbf)?\s{0,200}(?:<!--.{0,500}?-->\s{0,50})?<(?:!doctype\s+html|html|head|script|body|meta)\b",
    re.I | re.S,
)
_SVG = re.compile(
    rb"(?:\xef\xbb\xbf)?\s{0,200}(?:<\?xml[^>]{0,200}\?>\s{0,50})?(?:<!.{0,300}?>\s{0,50})?<svg\b",
    re.I | re.S,
)
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
#: Names that end in two endings, the first of which says something harmless.
_HARMLESS = frozenset(
    {"pdf", "office", "image", "text", "sound", "video", "calendar", "archive", "certificate"}
)
_HARMFUL = frozenset({"program", "html", "disk-image", "svg", "onenote"})
#: Kinds whose content another kind of name must not hide.
_BETRAYED = frozenset({"program", "html", "svg", "disk-image", "onenote", "archive"})


def by_head(head: bytes) -> tuple[Kind | None, str]:
    """Kind and format by the first octets; (None, "") when they say nothing."""
    for magic, kind, form in _BY_MAGIC:
        if head.startswith(magic):
            if form == "pe" and len(head) < 64:
                break  # two letters prove nothing
            return kind, form
    if head[4:8] == b"ftyp":
        return ("image", "heif") if head[8:11] in (b"hei", b"mif", b"avi") else ("video", "mp4")
    if head[257:262] == b"ustar":
        return "archive", "tar"
    if b"%PDF-" in head:
        return "pdf", "pdf"
    if b"<" in head:
        if _SVG.match(head) is not None:
            return "svg", "svg"
        if _HTML.match(head) is not None:
            return "html", "html"
    return None, ""


def by_extension(extension: str) -> Kind | None:
    """Kind by the ending of a name, lower case."""
    return _BY_EXTENSION.get(extension)


def by_type(declared: str) -> Kind | None:
    """Kind by the content type."""
    return next((kind for begin, kind in _TYPES if declared.startswith(begin)), None)


def extension_of(name: str) -> str:
    """The ending of a name, lower case, as a system takes it (dots and blanks behind are dropped)."""
    _, dot, ending = name.rstrip(". \u00a0").rpartition(".")
    return ending.strip().lower()[:20] if dot else ""


def read_name(name: str, tricks: list[str]) -> str:
    """The name as a person should see it; what is odd about it is added to `tricks`."""
    if len(name) > 2 * _MAX_READ:
        name = name[:_MAX_READ] + name[-_MAX_READ:]  # the ending is what counts
    if turns_round(name):
        tricks.append("reversed-name")
    if "/" in name or "\\" in name or _UNSAFE.search(name) is not None:
        tricks.append("path-in-name")
        name = _UNSAFE.sub(" ", name)
        name = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    name = without_unseen(name).strip()
    if "     " in name or "\u00a0" * _MANY_BLANKS in name or "\u3000" in name:
        tricks.append("blanks-in-name")
    name = " ".join(name.split())
    if len(name) > MAX_NAME:
        name = name[: MAX_NAME - 24] + "\u2026" + name[-23:]
    if has_double_extension(name):
        tricks.append("double-extension")
    return name


def has_double_extension(name: str) -> bool:
    """`invoice.pdf.exe`: the ending that is seen is not the one that counts."""
    pieces = name.lower().rsplit(".", 2)
    if len(pieces) < 3:
        return False
    first, second = by_extension(pieces[1].strip()), by_extension(extension_of(name))
    return first in _HARMLESS and second in _HARMFUL


def lies(found: Kind | None, form: str, named: Kind | None) -> bool:
    """The content is something dangerous, the name says something else."""
    if found is None or named is None or found == named or found not in _BETRAYED:
        return False
    if found == "archive":
        # Office documents, packages of programs and others are zip files.
        return named in ("pdf", "image", "text", "sound", "video", "calendar")
    if found == "program" and form == "script":
        return named != "text"
    return not (found in ("html", "svg") and named in ("text", "html", "svg", "office", "message", "image"))
