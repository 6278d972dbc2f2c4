"""What we announce, before and after login.

LITERAL- to strangers, LITERAL+ to users, never both (RFC 7888 section 5).

Standards: RFC 3501 section 6.1.1, and those named beside each word.
Imports: session (types).  No I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.imap import quirks
from mailstack.sasl import exchange

if TYPE_CHECKING:
    from mailstack.imap.session import Session

_ALWAYS = (
    "IMAP4rev1",
    "IMAP4rev2",  # RFC 9051
    "SASL-IR",  # RFC 4959
    "ENABLE",  # RFC 5161
    "CONDSTORE",  # RFC 7162
    "QRESYNC",  # RFC 7162
    "UTF8=ACCEPT",  # RFC 6855
    "UIDONLY",  # RFC 9586
    "PARTIAL",  # RFC 9394
    "ID",  # RFC 2971
    "IDLE",  # RFC 2177
    "NAMESPACE",  # RFC 2342
    "CHILDREN",  # RFC 3348
    "UIDPLUS",  # RFC 4315
    "MOVE",  # RFC 6851
    "UNSELECT",  # RFC 3691
    "SPECIAL-USE",  # RFC 6154
    "CREATE-SPECIAL-USE",
    "LIST-EXTENDED",  # RFC 5258
    "LIST-STATUS",  # RFC 5819
    "METADATA",  # RFC 5464
    "LIST-METADATA",  # RFC 9590
    "QUOTA",  # RFC 9208
    "QUOTA=RES-STORAGE",
    "QUOTA=RES-MESSAGE",
    "MULTIAPPEND",  # RFC 3502
    "BINARY",  # RFC 3516
    "CATENATE",  # RFC 4469
    "REPLACE",  # RFC 8508
    "PREVIEW",  # RFC 8970
    "SAVEDATE",  # RFC 8514
    "OBJECTID",  # RFC 8474
    "STATUS=SIZE",  # RFC 8438
    "ESEARCH",  # RFC 4731
    "I18NLEVEL=1",  # RFC 5255
    "SORT",  # RFC 5256
    "SORT=DISPLAY",  # RFC 5957
    "ESORT",  # RFC 5267
    "CONTEXT=SEARCH",
    "CONTEXT=SORT",
    "MULTISEARCH",  # RFC 7377
    "THREAD=ORDEREDSUBJECT",  # RFC 5256
    "THREAD=REFERENCES",
    "SEARCHRES",  # RFC 5182
    "WITHIN",  # RFC 5032
    "INPROGRESS",  # RFC 9585
    "NOTIFY",  # RFC 5465
)


def capabilities(session: Session) -> str:
    """The words behind CAPABILITY."""
    hidden = quirks.hidden(session.client_id)
    words = [word for word in _ALWAYS if word not in hidden] if hidden else list(_ALWAYS)
    words.append(f"APPENDLIMIT={session.options.append_octets}")  # RFC 7889
    if session.options.sharing:
        words.extend(("ACL", "RIGHTS=kxte", "LIST-MYRIGHTS"))  # RFC 4314, RFC 8440
    if session.account is not None:
        words.append("LITERAL+")
        if session.options.compress and not session.compressed:
            words.append("COMPRESS=DEFLATE")  # RFC 4978
        if session.options.unauthenticate:
            words.append("UNAUTHENTICATE")  # RFC 8437
        return " ".join(words)
    words.append("LITERAL-")
    if session.can_start_tls:
        words.append("STARTTLS")
    if session.tls or session.plaintext_login:
        words.extend(f"AUTH={name}" for name in exchange.mechanisms(session.offer()))
    else:
        words.append("LOGINDISABLED")
    return " ".join(words)
