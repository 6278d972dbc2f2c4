"""What owners are told of their targets: paused, taken up again."""

from __future__ import annotations

from mailstack.app.owner_mail import OwnerMail
from mailstack.delivery import texts
from mailstack.delivery.entry import QueueMessage
from mailstack.model.address import Address
from mailstack.model.directory import Account
from mailstack.state.forward_options import ForwardOptions

#: There is no such address: RFC 3463 section 3.2 (X.1.Z), a mailbox that was closed.
_UNKNOWN = ("1.1", "1.2", "1.3", "1.6", "1.10", "2.1")
#: It is about one message alone: its size, its kind, what its sender asked of TLS.
_ABOUT_THE_MESSAGE = ("2.3", "3.4", "7.10", "7.30")


def is_unknown(status: str) -> bool:
    """True for a status, without its class, that says there is no such address."""
    return status in _UNKNOWN


def is_about_the_message(status: str) -> bool:
    """True for a status, without its class, that says nothing of the target."""
    return status in _ABOUT_THE_MESSAGE or status.startswith("6.")


def paused(
    letters: OwnerMail, owner: Address, target: Address, *, answer: str, options: ForwardOptions
) -> list[QueueMessage]:
    """Nothing is sent on to the target for now.

    Raises:
        TemporaryFailure: the directory cannot be read.
    """
    has_mailbox = isinstance(letters.directory.find(owner), Account)
    meanwhile = f"letter.forward_meanwhile.{'mailbox' if has_mailbox else 'alias'}"
    return letters.letters(
        owner,
        "forward_paused",
        address=str(owner),
        target=str(target),
        answer=answer,
        hours=f"{options.probe_s / 3600:.3g}",
        meanwhile=texts.say(letters.language(owner), meanwhile, address=str(owner)),
    )


def resumed(letters: OwnerMail, owner: Address, target: Address) -> list[QueueMessage]:
    """The target takes mail again.

    Raises:
        TemporaryFailure: the directory cannot be read.
    """
    return letters.letters(owner, "forward_resumed", address=str(owner), target=str(target))
