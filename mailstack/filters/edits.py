"""What a script shows and changes of a message: our own fields stand on top of what it sees.

A script sees the message as it will be stored.  What it changed is told without those
fields, because whoever stores the copy writes them anew, above everything (T45).
"""

from __future__ import annotations

from dataclasses import dataclass

from mailstack import sieve
from mailstack.model.verdict import Edited
from mailstack.sieve.message import Snapshot


@dataclass(frozen=True, slots=True)
class View:
    """A message as scripts see it.

    Attributes:
        octets: `own`, then the message without what speaks in our name.
        own: our fields; b"" on large messages, which are shown as they came.
        size: octets of the message that came.
    """

    octets: bytes
    own: bytes
    size: int


def edited(view: View, message: sieve.Message, moment: Snapshot | None) -> Edited | None:
    """The message as it was then; None when it had not been changed.

    Args:
        moment: None: as it is now.
    """
    then = message.snapshot() if moment is None else moment
    if not then.fields and not then.splices:
        return None
    head = b"".join(field.raw for field in then.fields)
    whole = message.to_bytes(then)
    ours = [field.raw for field in sieve.Message.from_bytes(view.own).fields]
    kept = []
    for field in then.fields:
        if field.raw in ours:
            ours.remove(field.raw)
        else:
            kept.append(field.raw)
    rest = whole[len(head) :]
    if then.splices or not view.octets.endswith(rest) or len(rest) > view.size:
        return Edited(b"".join(kept), rest)
    return Edited(b"".join(kept), None, view.size - len(rest))
