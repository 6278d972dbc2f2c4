"""What goes with a redirection beside its row: letters to its owner and its targets, what is known of them.

Blocking; for the command line.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mailstack.app.owner_mail import OwnerMail
from mailstack.delivery import texts
from mailstack.delivery.queue import Queue
from mailstack.directory import Directory
from mailstack.model.address import Address
from mailstack.model.directory import Account, Alias, Redirection
from mailstack.state.forward_targets import ForwardTargets
from mailstack.state.maillog_reader import MailLogReader
from mailstack.state.senders import LongSenders

if TYPE_CHECKING:
    from mailstack.app.config import Config

State = Literal["open", "pending", "paused"]


@dataclass(frozen=True, slots=True)
class TargetView:
    """One target of an address.

    Attributes:
        state: "pending": it was asked whether it wants the mail, and has not answered.
        refusals: in a row; `answer`: the last one's words, or why it was paused.
        since, next_test: Unix seconds; of a paused one.
    """

    target: str
    state: State = "open"
    refusals: int = 0
    answer: str = ""
    since: float | None = None
    next_test: float | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """What the log of the last 20 days says of an address's forwards: all, and those warned about."""

    forwarded: int
    warned: int


def outside(directory: Directory, targets: Iterable[str]) -> list[Address]:
    """Those that are not in a domain of ours."""
    found = [Address.parse(text) for text in targets]
    return [target for target in found if directory.domain(target.domain) is None]


def first_circle(directory: Directory, owner: Account) -> Address | None:
    """The address here through which a redirection leads back to its owner."""
    seen: set[str] = set()
    level = [owner.address]
    while level:
        following = []
        for address in level:
            for text in _targets(directory.find(address)):
                target = Address.parse(text)
                if target.key == owner.address.key:
                    return address
                if target.key not in seen and directory.domain(target.domain) is not None:
                    seen.add(target.key)
                    following.append(target)
        level = following
    return None


def _targets(found: object) -> tuple[str, ...]:
    forward = found.redirection if isinstance(found, Account) else found
    return forward.targets if isinstance(forward, Redirection | Alias) else ()


def view(config: Config, found: Account | Alias) -> list[TargetView]:
    """The targets of an address; last those that only its rules use, or used, and that refused.

    Raises:
        TemporaryFailure: state.db cannot be read.
    """
    forward = found.redirection if isinstance(found, Account) else found
    table = ForwardTargets(config.paths.state_db)
    try:
        known = {one.target: one for one in table.of(found.address)}
    finally:
        table.close()
    texts_ = () if forward is None else forward.targets
    pending = frozenset() if forward is None else forward.pending
    keys = {Address.parse(text).key: text for text in texts_}
    keys |= {key: key for key, one in known.items() if key not in keys and one.failures + bool(one.paused_at)}
    views = []
    for key, text in keys.items():
        one = known.get(key)
        if key in pending:
            views.append(TargetView(text, "pending"))
        elif one is None:
            views.append(TargetView(text))
        else:
            state: State = "open" if one.paused_at is None else "paused"
            views.append(TargetView(text, state, one.failures, one.why, one.paused_at, one.probe_at))
    return views


def record(config: Config, owner: Address) -> Record:
    """See `Record`; nothing where there is no log yet."""
    if not config.paths.maillog_db.exists():
        return Record(0, 0)
    reader = MailLogReader(config.paths.maillog_db)
    try:
        found = [event for event in reader.of_address(owner.key) if event.name == "forwarded"]
    finally:
        reader.close()
    return Record(len(found), sum(bool(event.fields.get("warning")) for event in found))


class Announcer:
    """Writes the letters of a redirection into the queue."""

    def __init__(self, config: Config, directory: Directory, queue: Queue) -> None:
        self._queue = queue
        self._days = config.forwarding.confirm_days
        senders = LongSenders(config.paths.state_db)
        self._letters = OwnerMail(config, directory, senders, queue.new_id, time.time)

    def changed(self, account: Account) -> None:
        """Tells the owner where mail goes from now on.

        Raises:
            TemporaryFailure: directory or queue.
        """
        forward = account.redirection
        assert forward is not None
        word = f"letter.forward_keep.{'yes' if forward.keep else 'no'}"
        self._queue.enqueue(
            self._letters.letters(
                account.address,
                "forward_set",
                address=str(account.address),
                targets="\n".join(forward.targets),
                keep=texts.say(self._letters.language(account.address), word),
            )
        )

    def ask(self, account: Account, words: Mapping[str, str]) -> None:
        """Asks targets whether they want the mail, each with its word.

        Raises:
            TemporaryFailure: directory or queue.
        """
        for target, word in words.items():
            spaced = " ".join(word[n : n + 6] for n in range(0, len(word), 6))
            self._queue.enqueue(
                self._letters.letter(
                    account.address,
                    target,
                    "forward_confirm",
                    address=str(account.address),
                    word=spaced,
                    days=str(self._days),
                )
            )


@contextmanager
def announcer(config: Config, directory: Directory) -> Iterator[Announcer]:
    """Opens the queue for letters.

    Raises:
        TemporaryFailure: it cannot be opened.
    """
    queue = Queue(config.paths, now=time.time, random_bytes=os.urandom, options=config.queue)
    try:
        yield Announcer(config, directory, queue)
    finally:
        queue.close()
