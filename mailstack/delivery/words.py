"""What a far server's refusal means, and what its reader can do: plain words for reports.

Source: RFC 3463 (enhanced status codes), RFC 7505 (null MX), RFC 7372 (authentication).
Imports: model.  No I/O.
"""

from __future__ import annotations

from typing import NamedTuple

from mailstack.model.reply import Reply


class Words(NamedTuple):
    """`means`: what happened; `todo`: what the sender can do.  Whole sentences."""

    means: str
    todo: str


_CHECK = "Check the address for typing errors, or ask the recipient in another way."
_ASK = "Ask the recipient in another way; they can ask those who run their mail server."
_LATER = "Send the message again later, or ask the recipient in another way."
_OURS = "Those who run this mail server can help: write to the postmaster named below."

#: Enhanced status without its class digit, in full or the subject alone -> words.
_BY_STATUS: dict[str, Words] = {
    "1.1": Words("There is no such address at that domain.", _CHECK),
    "1.2": Words("There is no such mail domain.", _CHECK),
    "1.3": Words("The address is not written as an address can be.", _CHECK),
    "1.6": Words("The recipient has moved, and nothing is passed on.", _ASK),
    "1.7": Words("The other server does not accept your address as a sender.", _OURS),
    "1.8": Words("The other server does not accept the domain of your address as a sender's.", _OURS),
    "1.10": Words("That domain says that it receives no mail at all.", _CHECK),
    "2.1": Words("The mailbox is there but does not accept mail now.", _ASK),
    "2.2": Words(
        "The recipient's mailbox is full.", "Ask them in another way to make room, then send it again."
    ),
    "2.3": Words(
        "The message is larger than the recipient may receive.", "Send it in smaller parts, or as a link."
    ),
    "3.1": Words("The other server has no room left.", _LATER),
    "3.2": Words("The other server takes no mail at the moment.", _LATER),
    "3.4": Words(
        "The message is larger than the other server takes.", "Send it in smaller parts, or as a link."
    ),
    "4.1": Words("The other server did not answer.", _LATER),
    "4.2": Words("The connection to the other server broke.", _LATER),
    "4.3": Words("The Internet's name service gave no usable answer for that domain.", _LATER),
    "4.4": Words("That domain names no mail server that can be reached.", _CHECK),
    "4.6": Words("The message goes round in a circle and never arrives.", _ASK),
    "4.7": Words("The message could not be delivered in the time it has.", _LATER),
    "5.3": Words("The message has more recipients than the other server takes.", _LATER),
    "6.1": Words("The other server cannot handle this kind of message.", _ASK),
    "6.3": Words(
        "The message holds characters that the other server cannot handle.",
        "Send it with plain characters, or as an attachment.",
    ),
    "6.7": Words(
        "The other server cannot handle addresses with letters beyond a to z.",
        "Ask the recipient for an address with plain letters.",
    ),
    "6.9": Words(
        "The other server cannot handle a header with letters beyond a to z.",
        "Write subject and names with plain letters, or ask the recipient in another way.",
    ),
    "7.0": Words("The other server does not want this message.", _ASK),
    "7.1": Words(
        "The other server does not accept this message from this sender, or for this recipient.", _ASK
    ),
    "7.2": Words("You may not write to that mailing list.", "Ask the list's owner to let you."),
    "7.5": Words("No safe connection to the other server could be made.", _OURS),
    "7.10": Words(
        "You want the message to travel only over a safe connection, and there is none to the other server.",
        "Ask the recipient in another way, or send it without that wish.",
    ),
    "7.30": Words(
        "You want the message to travel only over a safe connection, and the other server does not promise"
        " that.",
        "Ask the recipient in another way, or send it without that wish.",
    ),
    "7.20": Words("The message carries no valid signature that the other server wants.", _OURS),
    "7.23": Words("The other server found that this server may not send for your domain.", _OURS),
    "7.25": Words("The other server wants this server's address to have a name.", _OURS),
    "7.26": Words("The other server could not verify that the message comes from you.", _OURS),
    "7.27": Words("Your own domain says that it receives no mail, so the other server refuses it.", _OURS),
    "7.28": Words("The other server received too much mail of this kind.", _LATER),
    "7.29": Words("The other server does not trust those that passed the message on.", _OURS),
    "1": Words("The other server does not accept that address.", _CHECK),
    "2": Words("The recipient's mailbox cannot take the message.", _ASK),
    "3": Words("The other server cannot take the message.", _LATER),
    "4": Words("The message could not be brought to the other server.", _LATER),
    "5": Words("The other server and this one did not understand each other.", _OURS),
    "6": Words("The other server cannot handle this kind of message.", _ASK),
    "7": Words("The other server refuses the message for reasons of security or policy.", _ASK),
}
#: Servers that send no enhanced status.
_BY_CODE: dict[int, Words] = {
    421: _BY_STATUS["3.2"],
    450: Words("The mailbox could not be used, over and over again.", _LATER),
    452: _BY_STATUS["3.1"],
    550: _BY_STATUS["1"],
    551: _BY_STATUS["1.6"],
    552: _BY_STATUS["2.2"],
    553: _BY_STATUS["1.3"],
    556: _BY_STATUS["1.10"],
}
_REFUSED = Words("The other server refused the message.", _ASK)
_POSTPONED = Words("The other server kept putting the message off.", _LATER)


def explain(reply: Reply) -> Words:
    """Plain words for a refusal."""
    subject = reply.status.partition(".")[0]
    for words in (_BY_STATUS.get(reply.status), _BY_STATUS.get(subject), _BY_CODE.get(reply.code)):
        if words is not None:
            return words
    return _POSTPONED if reply.is_temporary else _REFUSED
