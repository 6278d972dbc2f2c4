"""What people teach the filter by moving and marking mail: the values that are kept and sent.

They cross the filter socket and lie in files, so they are Structs.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Label: TypeAlias = Literal["ham", "spam", "promotions", "social"]
#: The class a folder stands for; "" for those that say nothing (Trash, Sent, Drafts, others' folders).
Place: TypeAlias = Literal["", "ham", "spam", "promotions", "social"]
#: What taught it: a folder the message was put into, a keyword, or nothing: wanted mail that lies in the
#: mailbox, taken along so that what all mail has in common is no sign of spam.
Evidence: TypeAlias = Literal["place", "mark", "sample"]


class Lesson(msgspec.Struct, frozen=True, array_like=True):
    """One message somebody has judged.

    Attributes:
        id: of the message, whatever copy of it (`Digest.id`).
        label: what they say it is.
        origin: the class it had before anybody said anything; "" when that is not known.
        weight: 1 for what a person surely did, less for weak evidence.
        at: Unix seconds.
        indexes: its features, as `pack` makes them.
        logit: of spam, without anything learned.
        message: its EMAILID; "" when it came from elsewhere.
        author: address key of its author; "" for none.
        listed: the list its author was put in because of it; "" for none.
        before: the list the author stood in before that; "" for none.
        message_id: with its brackets; "" for none.
        features: the version of the features its indexes stand for.
    """

    id: bytes
    label: Label
    origin: Place
    weight: float
    evidence: Evidence
    at: float
    indexes: bytes
    logit: float
    message: str = ""
    author: str = ""
    listed: Literal["", "block", "allow"] = ""
    before: Literal["", "block", "allow"] = ""
    message_id: str = ""
    features: int = 0


class Digest(msgspec.Struct, frozen=True):
    """What the filter tells about a stored message.

    Attributes:
        id: the same for every copy of it, also one a mail program has uploaded again.
        author: address key of the only author; "" for none.
        is_authenticated: our own Authentication-Results prove that.
        filed: the class the filter filed it as when it came; "" when it never saw it.
        recipients: address keys in To, Cc and Bcc.
        message_id: with its brackets; "" for none.
        features: as in `Lesson`.
    """

    id: bytes
    indexes: bytes
    logit: float
    author: str = ""
    is_authenticated: bool = False
    filed: Place = ""
    recipients: tuple[str, ...] = ()
    message_id: str = ""
    features: int = 0
