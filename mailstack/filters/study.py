"""What the filter tells about stored mail, so that its reader can teach it.

Whoever keeps lessons never looks into a message: a filter worker reads it, as it reads
all mail, and makes corrections of what was learned.

Above the fields the sender wrote stand those our delivery wrote, down to the second
Received; only there our own Authentication-Results and verdict are believed, if it was
delivered at all: of what a mail program uploaded they prove nothing (app/feedback.py).

Imports: filters.  No I/O.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterator, Sequence

from mailstack.filters.authentication import dmarc
from mailstack.filters.authentication.results import without_comments
from mailstack.filters.document import read
from mailstack.filters.facts import Tools
from mailstack.filters.fields import Field, Header
from mailstack.filters.lists import is_author_authenticated
from mailstack.filters.spam import learned
from mailstack.filters.spam.features import VERSION, tokens
from mailstack.filters.spam.model import to_logit
from mailstack.filters.spam.score import score
from mailstack.filters.teaching import FULL
from mailstack.mime.addresses import specs
from mailstack.model.address import Address, AddressError
from mailstack.model.dns import Lookup
from mailstack.model.lessons import Digest, Lesson, Place
from mailstack.model.verdict import (
    Authentication,
    DkimResult,
    DmarcResult,
    FilterAnswer,
    FilterRequest,
    MessageVerdict,
    SpfResult,
)

#: Octets of a body that tell a message from others.
ID_OCTETS = 262_144
#: What weak evidence may add to the logit of a message like it, or take away, for its weight: 5 log-odds
#: for a program's work, 2.5 for mail to traps.
MOST_FOR_WEIGHT = 25.0
#: Corrections begin with the version of their features.
VERSION_OCTETS = 2
#: Recipients of one message that are told.
MAX_RECIPIENTS = 100
#: No logit is surer: `probability` of it is 1 already.
_SURE = 0.999999

_ID_OCTETS = 16
_VERDICT = re.compile(rb"class=(ham|spam|promotions|social); score=[\d.]+; action=(\w+)")
_RESULT = re.compile(rb"\s*(spf|dkim|dmarc)\s*=\s*(\w+)(.*)", re.DOTALL)
_PROPERTY = re.compile(rb"\b(header\.d|header\.from|smtp\.mailfrom|smtp\.helo)=(\S+)")
_MESSAGE_ID = re.compile(rb"<[^<>\s]{1,900}>")
_TO = (b"to", b"cc", b"bcc")


class Study:
    """The evaluation of a request that wants no verdict; as `pipeline.Evaluation`, but asks nothing."""

    def __init__(self, request: FilterRequest, message: bytes, tools: Tools) -> None:
        self._request, self._message, self._tools = request, message, tools

    def step(self, lookup: Lookup) -> FilterAnswer:
        """The answer."""
        del lookup
        if self._request.wants == "corrections":
            made = learned.learn(examples(self._request.lessons), self._tools.model)
            return FilterAnswer(MessageVerdict(), corrections=dump_corrections(made))
        return FilterAnswer(MessageVerdict(), digest=digest(self._message, self._tools))


def digest(message: bytes, tools: Tools) -> Digest:
    """What one stored message could teach."""
    header = Header(message)
    author = dmarc.find_author(header)
    document = read(message, header)
    ours = list(_ours(header))
    found = _authentication(ours, tools.names)
    spam = score(document, found, author, tools.model, knowledge=tools.knowledge)
    return Digest(
        _identity(message, header),
        pack(tokens(document).indexes if spam.indexes is None else spam.indexes),
        round(to_logit(min(max(spam.probability, 1 - _SURE), _SURE)), 4),
        author=_key(author.address),
        is_authenticated=author.count == 1
        and is_author_authenticated(author.address.rpartition("@")[2], found),
        filed=_filed(ours),
        recipients=tuple(_recipients(header)),
        message_id=_message_id(header).decode("utf-8", "replace"),
        features=VERSION,
    )


def examples(lessons: Sequence[Lesson]) -> list[learned.Example]:
    """Lessons as the learner takes them; those of other features are left out."""
    return [
        learned.Example(unpack(one.indexes), one.label, one.weight, _known(one))
        for one in lessons
        if one.features == VERSION
    ]


def _known(lesson: Lesson) -> float:
    """The logit it is learned from.

    T45: however many weak ones say the same, traps and programs, the learner is soon where it wants to be.
    """
    if lesson.weight >= FULL:
        return lesson.logit
    enough = learned.SURE_LOGIT - MOST_FOR_WEIGHT * lesson.weight
    return max(lesson.logit, enough) if lesson.label == "spam" else min(lesson.logit, -enough)


def dump_corrections(made: learned.Learned) -> bytes:
    """Octets to keep: the version of the features, and what was learned of them."""
    return VERSION.to_bytes(VERSION_OCTETS, "big") + learned.dump(made)


def load_corrections(octets: bytes) -> learned.Learned:
    """What `dump_corrections` made; nothing when it was made of other features.

    Raises:
        BadModel: it was not, or it is damaged.
    """
    if octets[:VERSION_OCTETS] != VERSION.to_bytes(VERSION_OCTETS, "big"):
        return learned.Learned()
    return learned.load(octets[VERSION_OCTETS:])


def pack(found: Sequence[int]) -> bytes:
    """Features as octets."""
    return struct.pack(f"<{len(found)}I", *found)


def unpack(octets: bytes) -> tuple[int, ...]:
    """What `pack` made."""
    count = len(octets) // 4
    return struct.unpack(f"<{count}I", octets[: 4 * count])


def _ours(header: Header) -> Iterator[Field]:
    received = 0
    for field in header.fields:
        received += field.name == b"received"
        if received > 1:
            return
        yield field


def _filed(ours: Sequence[Field]) -> Place:
    for field in ours:
        if field.name == b"x-mailstack-verdict":
            said = _VERDICT.match(field.text)
            if said is None:
                return ""
            klass = said[1].decode()
            if said[2] == b"junk":
                return "spam"
            # Spam its owner does not want filed lies in the inbox.
            return "ham" if klass == "spam" else klass  # type: ignore[return-value]
    return ""


def _authentication(ours: Sequence[Field], names: frozenset[str]) -> Authentication:
    """What our own field says; nothing when there is none."""
    for field in ours:
        if field.name != b"authentication-results":
            continue
        bare = without_comments(field.text) or b""
        name, _, results = bare.partition(b";")
        if name.strip().lower().decode("ascii", "replace") in names:
            return _results(results)
    return Authentication()


def _results(text: bytes) -> Authentication:
    spf, policy, signatures = SpfResult(), DmarcResult(), list[DkimResult]()
    for one in text.split(b";"):
        found = _RESULT.match(one)
        if found is None:
            continue
        method, result = found[1], found[2].decode("ascii", "replace")
        values = {key: value.decode("ascii", "replace").lower() for key, value in _PROPERTY.findall(found[3])}
        if method == b"dmarc":
            policy = DmarcResult(result, values.get(b"header.from", ""))
        elif method == b"dkim":
            signatures.append(DkimResult(result, values.get(b"header.d", "")))
        elif b"smtp.mailfrom" in values:
            spf = SpfResult(result, values[b"smtp.mailfrom"].rpartition("@")[2])
    return Authentication(spf=spf, dkim=tuple(signatures), dmarc=policy)


def _identity(message: bytes, header: Header) -> bytes:
    """Mail programs that upload a copy keep these octets, if nothing else."""
    body = bytes(message[header.body_at : header.body_at + ID_OCTETS]).strip()
    named = _message_id(header) or b"\n".join((header.first(b"date"), header.first(b"from")))
    return hashlib.blake2b(named + b"\0" + body, digest_size=_ID_OCTETS).digest()


def _message_id(header: Header) -> bytes:
    found = _MESSAGE_ID.search(header.first(b"message-id"))
    return b"" if found is None else found[0]


def _recipients(header: Header) -> Iterator[str]:
    keys: dict[str, None] = {}
    for name in _TO:
        for text in specs(header.first(name)):
            key = _key(text)
            if key and len(keys) < MAX_RECIPIENTS:
                keys[key] = None
    return iter(keys)


def _key(text: str) -> str:
    try:
        return Address.parse(text).key if text else ""
    except AddressError:
        return ""
