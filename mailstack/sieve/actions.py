"""What a script decided, as plain data.

An embedder may add actions of its own: anything with the attributes of `Action`.

Standards: RFC 5228 sections 2.10 and 4, RFC 3894, RFC 5429, RFC 5230, RFC 5435.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from mailstack.sieve.message import Snapshot

INBOX = "INBOX"
#: Fields of actions that `sieve run --json` does not print.
INTERNAL: Mapping[str, bool] = MappingProxyType({"internal": True})


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do with the message.

    Attributes:
        name: as in `sieve run --json`.
        cancels_implicit_keep: RFC 5228 section 2.10.2.
        conflicts_with: names of actions that must not stand beside it.
    """

    name: ClassVar[str] = "action"
    conflicts_with: ClassVar[frozenset[str]] = frozenset()

    @property
    def cancels_implicit_keep(self) -> bool:
        """True when this action makes the implicit keep go away (RFC 5228 section 2.10.2)."""
        return False

    def merge(self, other: Action) -> Action | None:
        """This and a later action as one when they do the same, else None."""
        return self if self == other else None


_DELIVERS = frozenset({"keep", "fileinto", "redirect"})


@dataclass(frozen=True, slots=True)
class Keep(Action):
    """Into the default mailbox (RFC 5228 section 4.3).

    Attributes:
        flags: IMAP flags to set; None: none.
        moment: the message as it was then; None: as it is at the end.
    """

    flags: tuple[str, ...] | None = None
    moment: Snapshot | None = field(default=None, metadata=INTERNAL, compare=False)
    name: ClassVar[str] = "keep"

    @property
    def cancels_implicit_keep(self) -> bool:
        return True

    def merge(self, other: Action) -> Action | None:
        if isinstance(other, Keep) or (isinstance(other, FileInto) and other.mailbox == INBOX):
            return replace(self, flags=_later(self.flags, other.flags))
        return None


@dataclass(frozen=True, slots=True)
class FileInto(Action):
    """Into a named mailbox (RFC 5228 section 4.1).

    Attributes:
        mailbox: in UTF-8 as the script has it; the inbox is "INBOX" in upper case.
        copy: does not cancel the implicit keep (RFC 3894).
        create: make the mailbox when it is missing (RFC 5490).
        special_use: attribute of the mailbox that is wanted rather (RFC 8579); "" for none.
        moment: as for Keep.
    """

    mailbox: str
    flags: tuple[str, ...] | None = None
    copy: bool = False
    create: bool = False
    special_use: str = ""
    moment: Snapshot | None = field(default=None, metadata=INTERNAL, compare=False)
    name: ClassVar[str] = "fileinto"

    @property
    def cancels_implicit_keep(self) -> bool:
        return not self.copy

    def merge(self, other: Action) -> Action | None:
        if isinstance(other, FileInto) and (self.mailbox, self.special_use) == (
            other.mailbox,
            other.special_use,
        ):
            return replace(
                self,
                flags=_later(self.flags, other.flags),
                copy=self.copy and other.copy,
                create=self.create or other.create,
            )
        if isinstance(other, Keep) and self.mailbox == INBOX:
            return Keep(_later(self.flags, other.flags))
        return None


@dataclass(frozen=True, slots=True)
class Redirect(Action):
    """On to another address (RFC 5228 section 4.2).

    Attributes:
        address: normalised addr-spec.
        copy: does not cancel the implicit keep (RFC 3894).
        notify, ret: DSN wishes (RFC 6009); None for none.
        envelope_from: sender to use; None: that of the message.
        redirected_from: whose script this is, for loop control; None: the recipient.
        moment: as for Keep.
    """

    address: str
    copy: bool = False
    notify: str | None = None
    ret: str | None = None
    envelope_from: str | None = None
    redirected_from: str | None = None
    moment: Snapshot | None = field(default=None, metadata=INTERNAL, compare=False)
    name: ClassVar[str] = "redirect"

    @property
    def cancels_implicit_keep(self) -> bool:
        return not self.copy

    def merge(self, other: Action) -> Action | None:
        if isinstance(other, Redirect) and other.address == self.address:
            return replace(
                self,
                copy=self.copy and other.copy,
                notify=self.notify or other.notify,
                ret=self.ret or other.ret,
            )
        return None


@dataclass(frozen=True, slots=True)
class Discard(Action):
    """Gone without a word; compatible with everything (RFC 5228 section 4.4)."""

    name: ClassVar[str] = "discard"

    @property
    def cancels_implicit_keep(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Reject(Action):
    """Refused with the owner's words (RFC 5429 section 2)."""

    text: str
    ereject: bool = False
    name: ClassVar[str] = "reject"
    conflicts_with: ClassVar[frozenset[str]] = _DELIVERS | {"reject", "vacation"}

    @property
    def cancels_implicit_keep(self) -> bool:
        return True

    def merge(self, other: Action) -> Action | None:
        # RFC 5429 section 2.4: more than one is forbidden, even of the same text.
        return None


@dataclass(frozen=True, slots=True)
class VacationPolicy:
    """What settings say about automatic answers.

    Attributes:
        owner: whose script it is; "": the recipient.
        default_subject: where the message has none; "": our words.
        subject_template: with "%$" for the message's subject; "": our words.
        max_subject_characters: longer ones end in an ellipsis.
        period_s: seconds until the same sender is answered again.
        checks_recipient: one of the owner's addresses must be in To or Cc.
        uses_original_recipient: the address first written to is the owner's too.
        sends_from_recipient: the envelope sender is the recipient instead of null.
        ignores_envelope_sender: To is taken from the message's fields.
    """

    owner: str = ""
    default_subject: str = ""
    subject_template: str = ""
    max_subject_characters: int = 256
    period_s: int = 604_800
    checks_recipient: bool = True
    uses_original_recipient: bool = False
    sends_from_recipient: bool = False
    ignores_envelope_sender: bool = False


@dataclass(frozen=True, slots=True)
class Vacation(Action):
    """An automatic answer (RFC 5230).

    Attributes:
        written: its words as the script has them, before variables: the same answer whatever
            they hold (RFC 5230 section 4.2).
        fcc: where a copy goes (RFC 8580).
        policy: what settings say.
    """

    reason: str
    subject: str | None = None
    from_: str | None = None
    addresses: tuple[str, ...] = ()
    mime: bool = False
    handle: str | None = None
    days: int | None = None
    seconds: int | None = None
    written: str = field(default="", metadata=INTERNAL)
    fcc: FileInto | None = field(default=None, metadata=INTERNAL)
    policy: VacationPolicy = field(default_factory=VacationPolicy, metadata=INTERNAL)
    name: ClassVar[str] = "vacation"
    conflicts_with: ClassVar[frozenset[str]] = frozenset({"reject", "vacation"})

    def merge(self, other: Action) -> Action | None:
        # RFC 5230 section 4.7: executed at most once.
        return None


@dataclass(frozen=True, slots=True)
class Notify(Action):
    """Tell somebody about it (RFC 5435).

    Attributes:
        envelope_from: sender to use; None: `from_`, or that of automatic messages.
        owner: whose script it is; None: the recipient.
        fcc: where a copy goes (RFC 8580).
    """

    method: str
    from_: str | None = None
    importance: str | None = None
    message: str | None = None
    options: tuple[str, ...] = ()
    envelope_from: str | None = field(default=None, metadata=INTERNAL)
    owner: str | None = field(default=None, metadata=INTERNAL)
    fcc: FileInto | None = field(default=None, metadata=INTERNAL)
    name: ClassVar[str] = "notify"


def _later(first: tuple[str, ...] | None, second: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """RFC 5232 section 5: of several lists of flags the last one wins."""
    return first if second is None else second
