"""What becomes of messages that are in a folder already: flags, copies, moves; done and counted.

Each is one transaction of the mailbox, so a message is always in one place at least.
Flags come first, then copies, and what has been copied everywhere is moved last; whoever
is stopped between two of them does the rest by beginning again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from mailstack.delivery.local import flags_of
from mailstack.model.mailbox import FLAG_NAMES, AccountStore, FlagOperation, MailboxError, MessageRow

#: Sentences of what went wrong that are kept; all are counted.
MAX_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one message.

    Attributes:
        copies: folders that get a copy.
        target: where it is moved to; "": it stays.
        plus, minus: flags and keywords it gets and loses.
    """

    uid: int
    subject: str
    copies: tuple[str, ...] = ()
    target: str = ""
    plus: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.copies or self.target or self.plus or self.minus)


@dataclass(slots=True)
class Report:
    """What was done, or with a dry run would be.

    Attributes:
        messages: looked at.
        changes: of those of which anything becomes.
        left_out: what scripts want and is not done with stored mail, by its name.
        failed: messages with which something could not be done; of the first, why.
    """

    messages: int = 0
    changes: list[Change] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    failed: int = 0
    problems: list[str] = field(default_factory=list)

    def fail(self, uid: int, why: str) -> None:
        """Counts what could not be done."""
        self.failed += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(f"message {uid}: {why}")

    @property
    def moved(self) -> Counter[str]:
        """Messages by the folder they went to."""
        return Counter(change.target for change in self.changes if change.target)

    @property
    def copied(self) -> Counter[str]:
        """Copies by folder."""
        return Counter(place for change in self.changes for place in change.copies)

    @property
    def flagged(self) -> int:
        """Messages whose flags changed."""
        return sum(1 for change in self.changes if change.plus or change.minus)


def carry_out(
    mailbox: AccountStore, folder_id: int, changes: Sequence[Change], report: Report
) -> list[Change]:
    """Does it; what cannot be done is told to the report, and that message stays where it is.

    Returns:
        The changes that were made.

    Raises:
        TemporaryFailure: the disk is in trouble; what was done stays done.
    """
    left = {change.uid: change for change in changes}

    def each(uids: Iterable[int], action: Callable[[Sequence[int]], object]) -> None:
        for uid, why in _refused([uid for uid in uids if uid in left], action):
            del left[uid]
            report.fail(uid, why)

    operations: tuple[tuple[FlagOperation, dict[int, tuple[str, ...]]], ...] = (
        ("+", {change.uid: change.plus for change in changes if change.plus}),
        ("-", {change.uid: change.minus for change in changes if change.minus}),
    )
    for operation, wanted in operations:
        for names in set(wanted.values()):
            flags, words = flags_of(names)
            change_flags = partial(
                mailbox.change_flags, folder_id, operation=operation, flags=flags, keywords=words
            )
            each([uid for uid, one in wanted.items() if one == names], change_flags)
    for place in dict.fromkeys(place for change in changes for place in change.copies):
        copy = partial(mailbox.copy, folder_id, target=place)
        each([change.uid for change in changes if place in change.copies], copy)
    for place in dict.fromkeys(change.target for change in changes if change.target):
        move = partial(mailbox.move, folder_id, target=place)
        each([change.uid for change in changes if change.target == place], move)
    return [change for change in changes if change.uid in left]


def _refused(uids: list[int], action: Callable[[Sequence[int]], object]) -> Iterator[tuple[int, str]]:
    """Does it with all at once, else one by one; gives those it cannot be done with, and why."""
    if not uids:
        return
    try:
        action(uids)
    except MailboxError as error:
        if len(uids) == 1:
            yield uids[0], error.text
            return
        for uid in uids:
            yield from _refused([uid], action)


def words_of(row: MessageRow) -> tuple[str, ...]:
    """Flags and keywords of a message, as scripts have them."""
    return (*(name for flag, name in FLAG_NAMES if row.flags & flag), *row.keywords)


def without(these: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    """Those of the first that are not among the others, whatever their case."""
    lower = {one.lower() for one in others}
    return tuple(one for one in these if one.lower() not in lower)
