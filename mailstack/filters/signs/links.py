"""Where links lead: to whom nobody knows, to where nobody sees, to other places than they say."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import unquote

from mailstack.filters.reading.links import is_ip_host
from mailstack.filters.signs import strange
from mailstack.filters.signs.knowledge import REMEMBERED_HOSTS
from mailstack.filters.signs.look import Found, Look, Way

#: Characters of a letter in which another address to write to is looked for.
PLEA = 1_500
#: Characters of a text that says nothing but "look at this", and where such links lead.
BARE = 160
BAIT = frozenset({"site", "short", "redirect"})
#: Links that are looked at one by one.
MAX_WAYS = 30
_HACKED = re.compile(
    r"/(?:wp-(?:content|includes|admin|json|login)|\.well-known|cgi-bin|vendor/|plugins/|modules/|components/com_|"
    r"sites/(?:default|all)|xmlrpc|\.[a-z]{2,12}/)",
    re.I,
)
_ADDRESS = re.compile(r"[#=?&/][^/=&#\s]{1,64}(?:@|%40)[a-z0-9-]{1,63}\.[a-z]{2,}", re.I)
_KEYWORD = re.compile(
    r"(?:log-?in|sign-?in|verif|secur|account|update|confirm|auth|webmail|wallet|billing|unlock|support|"
    r"recover|suspend|track-?ing|redeliver|kunde|compte|cuenta|conta|acess|bloque|rastre|entrega|resgat)",
    re.I,
)
_PLAIN_ADDRESS = re.compile(r"\b[a-z0-9._+-]{1,64}@([a-z0-9-]{1,63}\.[a-z.]{2,24}[a-z])\b")
#: Paths that begin a download of what mail servers would not let through.
_DOWNLOAD = re.compile(
    r"\.(?:zip|rar|7z|iso|img|exe|msi|js|vbs|hta|lnk|cab|jar|apk|scr|bat|cmd|ps1|one)(?:[?#]|\Z)|export=download",
    re.I,
)
_MISDIRECTED = frozenset({"javascript", "vbscript", "data"})


def find(look: Look) -> Iterator[Found]:
    """The signs of links."""
    document, knowledge = look.document, look.knowledge
    ways = look.ways[:MAX_WAYS]
    seen: set[str] = set()
    for way in ways:
        for found in _way(look, way):
            if found.name not in seen:
                seen.add(found.name)
                yield found
    if ways:
        yield from _together(look, ways)
    lying = _lie(look)
    if lying:
        yield Found("link_lies", lying)
    if any(link.scheme in _MISDIRECTED for link in document.links[:MAX_WAYS]):
        yield Found("link_program")
    for address in document.mail_addresses[:5]:
        domain = address.rpartition("@")[2]
        if domain in knowledge.words_of("free_mail") and domain != look.domain:
            yield Found("mailto_free", address)
            break
    if look.is_free_mail and not document.is_reply:
        for match in _PLAIN_ADDRESS.finditer(document.text[:PLEA].lower()):
            if match[1] in knowledge.words_of("free_mail") and match[0] != look.address:
                yield Found("other_address", match[0])
                break


def _way(look: Look, way: Way) -> Iterator[Found]:
    knowledge, host = look.knowledge, way.host
    if is_ip_host(host):
        yield Found("link_ip", host)
        return
    kind = knowledge.shared_kind(host, way.path[1:])
    if kind and way.site != look.site:
        yield Found(f"link_{kind}", host)
    tail = host.rpartition(".")[2]
    if way.site != look.site:
        if tail in knowledge.words_of("odd_tld"):
            yield Found("link_odd_tld", host)
        elif tail in knowledge.words_of("doubtful_tld"):
            yield Found("link_doubtful_tld", host)
    if "xn--" in host:
        yield Found("link_punycode", host)
    if way.port and way.port not in ("80", "443"):
        yield Found("link_port", f"{host}:{way.port}")
    if "@" in way.url[: len(way.url) - len(way.path)]:
        yield Found("link_user", host)
    if host.count(".") >= 4 and not knowledge.covers("mailer", host):
        yield Found("link_deep", host)
    if strange.is_random(way.site.partition(".")[0]) or (
        kind in ("site", "storage") and strange.is_random(host.partition(".")[0])
    ):
        yield Found("link_random", host)
    yield from _path(way, kind)
    if _carries(look, way):
        # Senders of lists let their readers leave so.
        yield Found("link_own_carries_address" if way.site == look.site else "link_carries_address", host)
    if _has_keyword(host) and way.site != look.site and not knowledge.owners(host):
        yield Found("link_keyword", host)


@lru_cache(REMEMBERED_HOSTS)
def _has_keyword(host: str) -> bool:
    return _KEYWORD.search(host) is not None


def _path(way: Way, kind: str) -> Iterator[Found]:
    if kind and _DOWNLOAD.search(way.path):
        yield Found("link_download", way.url[:80])
    if _HACKED.search(way.path):
        yield Found("link_hacked", way.url[:80])


def _carries(look: Look, way: Way) -> bool:
    """It carries the reader's address, plain or coded."""
    path = way.path
    if len(path) < 6:
        return False
    plain = unquote(path).lower() if "%" in path else path.lower()
    for address in look.recipients:
        if address in plain or (len(address) > 8 and _coded(address) in path):
            return True
    return "#" in path and _ADDRESS.search(path, path.index("#")) is not None


def _coded(address: str) -> str:
    """What base64 makes of its first octets, whatever follows them."""
    octets = address.encode("utf-8", "replace")
    return base64.b64encode(octets[: len(octets) // 3 * 3]).decode("ascii")


def _together(look: Look, ways: list[Way]) -> Iterator[Found]:
    knowledge = look.knowledge
    foreign = [w for w in ways if w.site != look.site and not knowledge.covers("mailer", w.host)]
    if not foreign:
        if any(way.site == look.site for way in ways):
            yield Found("links_home", look.site)
        return
    if len(foreign) == len(ways) and not look.is_free_mail:
        yield Found("links_elsewhere", foreign[0].host)
    count = sum(1 for url in look.document.urls[:100] if url == ways[0].url)
    if len(ways) == 1:
        yield Found("links_one", ways[0].host)
        kind = knowledge.shared_kind(ways[0].host, ways[0].path[1:])
        if kind in BAIT and len(look.document.text) < BARE and not look.document.is_reply:
            yield Found("link_bare", ways[0].host)
        if count >= 3:
            yield Found("links_same", ways[0].host)


def _lie(look: Look) -> str:
    """A link that shows a host and leads to another; "" for none."""
    knowledge = look.knowledge
    for link in look.document.links[:100]:
        if not link.shown_host or not link.host:
            continue
        shown, site = knowledge.registered(link.shown_host), knowledge.registered(link.host)
        if shown == site or site == look.site or knowledge.covers("mailer", link.host):
            continue
        if not set(knowledge.owners(link.shown_host)).isdisjoint(knowledge.owners(link.host)):
            continue
        return f"{link.shown_host} leads to {link.host}"
    return ""
