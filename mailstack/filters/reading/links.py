"""Where links lead: addresses in text, and the host a browser would go to.

Browsers forgive a lot, and phishing lives on that: control characters in the address,
backslashes, a user part that looks like a host, percent signs and full-width letters in host
names.  All of that is undone before the host is told.

Standards: RFC 3986 section 3; WHATWG URL, as far as it decides about the host; RFC 3492.
Limits, section 3: 1000 URLs.  No I/O.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote, urljoin

from mailstack.filters.folding import without_unseen
from mailstack.filters.reading.facts import Link, Place

MAX_URLS = 1_000
MAX_URL_CHARACTERS = 2_048
#: Of what is shown as a link.
MAX_SHOWN = 200
_MAX_HOST = 255
_MAX_LABEL = 63

_SCHEME = re.compile(r"https?\Z", re.IGNORECASE)
_URL_REST = re.compile(r"[^\s<>\"')\]]{1,2048}")
_BARE = re.compile(r"www\.[\w-]{1,63}\.[^\s<>\"')\]]{2,2048}", re.IGNORECASE)
_WEB = re.compile(r"(?:https?:|(?=//))[/]{0,8}", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:https?:)?/{0,8}([^/?#]*)", re.IGNORECASE)
#: Behind the host: its port, and all the rest.
_BEHIND = re.compile(r"(?:https?:)?/{0,8}[^/?#]*?(?::(\d{1,5}))?([/?#].*)?\Z", re.IGNORECASE | re.DOTALL)
_NUMBER = r"(?:0x[0-9a-f]{1,8}|\d{1,11})"
_IP_HOST = re.compile(rf"(?:\[[0-9a-f:.]+\]|\d{{6,11}}|0x[0-9a-f]{{1,8}}|{_NUMBER}(?:\.{_NUMBER}){{1,3}})\Z")
#: What nearly all addresses look like.
_USUAL = re.compile(r"https?://([a-z0-9][a-z0-9.-]{0,250}[a-z0-9])(?=[/?#]|\Z)")
_CONTROLS = dict.fromkeys([*range(0x20), 0x7F])
_BLANK = " \t\r\n\f\0\u00a0"
_DOTS = str.maketrans({"\u3002": ".", "\uff0e": ".", "\uff61": "."})
_SHOWN_HOST = re.compile(
    r"(?:https?:/{1,4}|//)?(?:www\.)?((?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24})\.?(?::\d{1,5})?(?:[/?#]\S*)?\Z",
    re.IGNORECASE,
)
_SHOWN_URL = re.compile(r"(?:https?:)?//([^\s/?#]{1,255})", re.IGNORECASE)
#: What stands behind the dot of a file name more often than of a host.
_NO_DOMAINS = frozenset({
    "7z", "asp", "aspx", "avi", "bak", "bmp", "csv", "css", "dll", "doc", "docm", "docx", "eml", "exe",
    "flac", "gif", "gz", "heic", "heif", "htm", "html", "ics", "ini", "iso", "jpeg", "jpg", "js",
    "json", "jsp", "jsx", "log", "m4a", "md", "mkv", "mov", "mp3", "mp4", "msg", "odp", "ods", "odt",
    "ogg", "one", "p7s", "pdf", "php", "png", "pps", "ppt", "pptm", "pptx", "psd", "py", "rar", "rtf",
    "svg", "tar", "tgz", "tif", "tiff", "tsx", "txt", "vcf", "wav", "webm", "webp", "wma", "wmv", "xls",
    "xlsb", "xlsm", "xlsx", "xml", "yaml", "yml", "zip",
})  # fmt: skip
_SECOND_LEVEL = frozenset(
    {"co", "com", "org", "net", "gov", "edu", "ac", "or", "ne", "go", "gob", "gouv", "gv"}
)


def find_urls(text: str) -> list[str]:
    """The web addresses in plain text, those without "http://" last.

    Looking for "://" first is a hundred times faster than one pattern that ignores case.
    """
    found: list[str] = []
    last = 0
    at = text.find("://")
    while at >= 0 and len(found) < MAX_URLS:
        scheme = _SCHEME.search(text[max(last, at - 5) : at])
        rest = _URL_REST.match(text, at + 3) if scheme is not None else None
        if scheme is None or rest is None:
            at = text.find("://", at + 1)
            continue
        last = rest.end()
        found.append(f"{scheme[0]}://{rest[0]}")
        at = text.find("://", last)
    return found


def find_bare(text: str) -> list[str]:
    """Addresses that begin with "www." and nothing else; mail programs make them links too."""
    found: list[str] = []
    at = text.find("www.")
    while at >= 0 and len(found) < MAX_URLS:
        # Behind a letter, a dot, a slash or an @ it is a part of something else.
        match = (
            None if at and (text[at - 1].isalnum() or text[at - 1] in "./@-_=%") else _BARE.match(text, at)
        )
        if match is None:
            at = text.find("www.", at + 4)
            continue
        found.append("http://" + match[0].rstrip(".,;:!?"))
        at = text.find("www.", match.end())
    return found


def find_all(text: str) -> list[str]:
    """Both kinds of addresses."""
    return [*find_urls(text), *find_bare(text)]


def clean(url: str) -> str:
    """An address as a browser takes it: controls gone, backslashes turned; bounded."""
    url = url[: MAX_URL_CHARACTERS * 2].strip(_BLANK)
    if "\n" in url or "\t" in url or "\r" in url or not url.isprintable():
        url = url.translate(_CONTROLS)
    if "\\" in url[:16] and _WEB.match(url.replace("\\", "/")) is not None:
        head, mark, rest = url.partition("?")
        url = head.replace("\\", "/") + mark + rest
    return url[:MAX_URL_CHARACTERS]


def join(base: str, url: str) -> str:
    """A relative address behind its base; as it is when the two make no sense."""
    try:
        return urljoin(base, url)[:MAX_URL_CHARACTERS]
    except ValueError:
        return url


def host_of(url: str) -> str:
    """The host an address leads to, lower case, in A-labels; "" when it is none of the web."""
    found = _USUAL.match(url)
    if found is not None:
        return found[1][:_MAX_HOST]
    if _WEB.match(url) is None:
        return ""
    found = _AUTHORITY.match(url)
    authority = found[1].rpartition("@")[2] if found is not None else ""
    return to_host(authority)


def behind_host(url: str) -> tuple[str, str]:
    """The port an address of the web names, "" when it names none; and path, query and fragment."""
    found = _BEHIND.match(url)
    return (found[1] or "", found[2] or "") if found is not None else ("", "")


def to_host(authority: str) -> str:
    """A host, maybe with a port, as it is looked up."""
    host = authority[:MAX_URL_CHARACTERS]
    if "%" in host:
        host = unquote(host, errors="replace")
    if not host.isascii():
        host = unicodedata.normalize("NFKC", without_unseen(host)[:_MAX_HOST]).translate(_DOTS)
    host = host.lower().strip()
    if host.startswith("["):
        return host[: host.find("]") + 1][:_MAX_HOST]
    host = host.partition(":")[0].strip(".")[:_MAX_HOST]
    return host if host.isascii() else ".".join(map(_to_ascii, host.split(".")))


def _to_ascii(label: str) -> str:
    if label.isascii():
        return label
    try:
        return "xn--" + label[:_MAX_LABEL].encode("punycode").decode("ascii")
    except UnicodeError:
        return label.encode("ascii", "replace").decode("ascii")


def shown_host(text: str) -> str:
    """The host that the text of a link names: a whole address or domain, nothing else."""
    text = text[:MAX_SHOWN].strip(_BLANK + "<>()[]\u00ab\u00bb\u2192>.")
    found = _SHOWN_URL.match(text)
    if found is not None:
        return to_host(found[1].rpartition("@")[2])
    if "." not in text:
        return ""
    found = _SHOWN_HOST.match(text)
    if found is None or found[1].rpartition(".")[2].lower() in _NO_DOMAINS:
        return ""
    return to_host(found[1])


def site(host: str) -> str:
    """The part of a host name that belongs to one owner, as far as its form tells."""
    labels = host.rstrip(".").split(".")
    if len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL:
        return ".".join(labels[-3:])
    return ".".join(labels[-2:])


def is_ip_host(host: str) -> bool:
    """A link that names no host: an address, plain or in disguise."""
    return _IP_HOST.match(host) is not None


def make(url: str, shown: str = "", place: Place = "html") -> Link:
    """A link to a cleaned address."""
    return Link(url, host_of(url), shown, shown_host(shown) if shown else "", place)


def lies(link: Link) -> bool:
    """It shows the host of another owner than it leads to."""
    if not link.shown_host or not link.host or link.shown_host == link.host:
        return False
    return site(link.shown_host.removeprefix("www.")) != site(link.host.removeprefix("www."))
