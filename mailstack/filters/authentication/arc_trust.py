"""Whether a listed sealer says that the author stood behind a message before it was changed.

Believed is the newest set, and what is below it as far as all sealers down to there are
listed: the first of them that tells of a DMARC pass of the author's domain vouches for it.
None is listed by default (T26).

Standards: RFC 8617 sections 4.1.1 and 7.2.1; RFC 8601 section 2.2.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mailstack.filters.authentication.arc_chain import Chain
from mailstack.filters.authentication.results import without_comments

#: Only where a word begins, as else a long one would be read again from each of its letters.
_WORDS = re.compile(rb"(?<![a-z0-9.-])([a-z0-9.-]++)\s*=\s*([^\s;]+)", re.IGNORECASE)
#: May hold what the sender of a message chose: nothing in there is a result.
_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"')
#: Results of one field that are looked at.
_MAX_RESULTS = 64


def find_vouching(chain: Chain, author_domain: str, listed: Sequence[str]) -> str:
    """The listed sealer that vouches for the author's domain; "" for none.

    Args:
        listed: domains; their sub-domains are meant too.
    """
    if chain.result != "pass":
        return ""
    for one, sealer in zip(reversed(chain.sets), reversed(chain.sealers), strict=True):
        if not any(sealer == domain or sealer.endswith(f".{domain}") for domain in listed):
            return ""
        if tells_of_pass(one.results.text, author_domain):
            return sealer
    return ""


def tells_of_pass(value: bytes, author_domain: str) -> bool:
    """True when an ARC-Authentication-Results field says `dmarc=pass` for this domain."""
    bare = without_comments(value)
    if bare is None:
        return False
    results = _QUOTED.sub(b"?", bare).split(b";", _MAX_RESULTS)[2:]  # after i= and the name of who says it
    told = [words for words in map(_WORDS.findall, results) if words and words[0][0].lower() == b"dmarc"]
    if not told or told[0][0][1].lower() != b"pass":
        return False
    named = [said for name, said in told[0][1:] if name.lower() == b"header.from"]
    return [said.decode("utf-8", "replace").lower().rstrip(".") for said in named] == [author_domain]
