"""Works off what mail programs did: lessons, corrections, lists of senders, correspondents.

One process does it, beside serving mail programs.  It never looks into a message: a filter
worker reads it and makes the corrections; here they are kept, in the account's home, where
the filter finds them.  While there is no filter, everything waits.

    app/feedback_notes.py ──► state.db ──► this ──► filter: digest, corrections
                                            └──► home: lessons, learned

Source: product page, section 2, "Feedback".
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import msgspec

from mailstack.app.config import Config
from mailstack.app.feedback_keep import keep, trap_lesson
from mailstack.app.feedback_renew import renewed
from mailstack.app.feedback_samples import sampled
from mailstack.app.filter_study import Away, Reader
from mailstack.app.lessons import LessonBook, domain_folder, home_of, sweep
from mailstack.app.listing import Lists
from mailstack.directory import Directory
from mailstack.filters.teaching import (
    FULL,
    Deed,
    List,
    Opinion,
    list_for,
    opinion_of,
    think,
)
from mailstack.mailbox import MailStore
from mailstack.model.directory import Account
from mailstack.model.errors import TemporaryFailure
from mailstack.model.lessons import Digest, Lesson
from mailstack.model.mailbox import AccountStore, MailboxError
from mailstack.net.session_hub import AtWork, account_key
from mailstack.state.feedback import Feedback, Note
from mailstack.state.maillog import MailLog
from mailstack.state.sending import Sending

#: Between two looks for notes.
EVERY_S = 1.0
#: After something went wrong, or while there is no filter.
PAUSE_S = 5.0
#: An account that teaches all the time is learned from once in so many times what that costs.
REST = 10.0
#: An account that cannot be learned from is left alone for so long; the others do not wait for it.
TROUBLE_S = 60.0
#: Between two looks for what is to be forgotten.
FORGET_S = 3_600.0
#: Reports of phishing from one account the operator hears of in a day: its owner marks what he likes.
REPORTS_A_DAY = 20
_DAY_S = 86_400.0

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class House:
    """What it works with.

    Attributes:
        executor: threads for what blocks.
        operator: is told of phishing that was reported: what it is about, subject, lines.
        at_work: keeps the event loop from waiting for a mailbox that is learned from.
    """

    config: Config
    store: MailStore
    directory: Directory
    executor: Executor
    maillog: MailLog
    now: Callable[[], float]
    operator: Callable[[str, str, Sequence[str]], None]
    at_work: AtWork


@dataclass(slots=True)
class _Change:
    """What became of one message.

    Attributes:
        old, new: its lesson before, and the id of that after; None, b"": there is none.
        wanted: the list its author belongs into now.
        listed: the list its author was put in.
    """

    note: Note
    before: Opinion | None
    after: Opinion | None
    message_id: str = ""
    author: str = ""
    old: Lesson | None = None
    new: bytes = b""
    wanted: List = ""
    listed: str = ""


@dataclass(slots=True)
class _Book:
    """One account's lessons while they are worked on, oldest first, by id of the message."""

    lessons: dict[bytes, Lesson]
    changes: list[_Change] = field(default_factory=list)

    def of(self, email_id: str) -> Lesson | None:
        """The lesson of a message by its EMAILID."""
        return next((one for one in self.lessons.values() if one.message == email_id), None)


class Teacher:
    """Learns; one of an instance."""

    def __init__(self, house: House, reader: Reader) -> None:
        self._h, self._reader = house, reader
        self._options = house.config.feedback
        paths = house.config.paths
        self._table = Feedback(paths.state_db)
        self._sending = Sending(paths.state_db)
        self._lists = Lists(house.config, house.directory, self._sending)
        self._not_before: dict[int, float] = {}
        #: Ids of folders by account and name: a look at the folder is dear, and lasts for one round.
        self._folders: dict[tuple[int, str], int] = {}
        self._sent: dict[int, tuple[float, int]] = {}
        #: Messages reported as phishing, and since when, by account.
        self._reported: dict[int, tuple[float, set[str]]] = {}
        self._forgot_at = -FORGET_S
        self._renew_at = 0.0

    async def run(self) -> None:
        """Goes on until it is cancelled."""
        is_away = False
        while True:
            try:
                await self.once()
                pause_s, is_away = EVERY_S, False
            except Away as away:
                if not is_away:
                    _log.info("what mail programs teach waits: %s", away)
                pause_s, is_away = PAUSE_S, True
            except (TemporaryFailure, MailboxError) as failure:
                _log.error("what mail programs teach waits: %s", failure)
                pause_s = PAUSE_S
            except Exception:  # the one place of this task: mail is served whatever is learned
                _log.exception("learning from mail programs: a mistake in mailstack itself")
                pause_s = PAUSE_S
            await asyncio.sleep(pause_s)

    async def once(self) -> None:
        """One round over everything that waits.

        Raises:
            Away: there is no filter; what is not done waits.
            TemporaryFailure: the disk is in trouble; what is not done waits.
        """
        now = time.monotonic()
        if now >= self._forgot_at + FORGET_S:
            self._forgot_at = now
            await self._do(self._forget)
        if now >= self._renew_at:
            self._renew_at = float("inf") if await self._renew() else now + FORGET_S
        for account_id in await self._do(self._table.accounts):
            if self._not_before.get(account_id, 0.0) > now:
                continue
            began, rest_s = time.monotonic(), 0.0
            try:
                await self._account(account_id)
            except (TemporaryFailure, MailboxError) as failure:
                _log.error("what account %d teaches waits: %s", account_id, failure)
                rest_s = TROUBLE_S
            ended = time.monotonic()
            self._not_before[account_id] = ended + max(rest_s, REST * (ended - began))
        self._not_before = {key: at for key, at in self._not_before.items() if at > now}

    def _forget(self) -> None:
        """What waited too long, and what domains were taught that are gone."""
        before = self._h.now() - self._options.waiting_days * _DAY_S
        if gone := self._table.forget(before=before):
            _log.warning("%d things mail programs did waited too long to be learned", gone)
        for name in sweep(self._h.config.paths, lambda name: self._h.directory.domain(name) is not None):
            _log.info("what %s was taught is gone, as the domain is", name)

    def close(self) -> None:
        """Releases the databases."""
        self._table.close()
        self._sending.close()

    async def _do(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._h.executor, work)

    async def _account(self, account_id: int) -> None:
        notes = await self._do(lambda: self._table.waiting(account_id, most=self._options.waiting))
        account = await self._do(lambda: self._h.directory.account_by_id(account_id))
        if not notes:
            return
        self._folders.clear()
        if account is not None:
            with self._h.at_work.on(account_key(account)):
                await self._teach(account, notes)
        await self._do(lambda: self._table.done(account_id, notes[-1].number))

    async def _teach(self, account: Account, notes: Sequence[Note]) -> None:
        for note in notes:
            if note.what == "sent":
                await self._learn_sent(account, note)
            elif note.what == "phishing":
                await self._report(account, note)
        traps = [note for note in notes if note.what == "trap"]
        deeds = [note for note in notes if note.what not in ("sent", "trap")]
        if traps:
            await self._learn_traps(account, traps)
        if deeds:
            await self._learn(account, deeds)

    async def _renew(self) -> bool:
        """After an update: lessons of other features are read again.  False: not all could be."""
        books = await self._do(self._books)
        known = await self._reader.digest(b"") if books else None
        is_done = True
        for whose, files in books:
            if known is None or files.features() == known.features:
                continue
            try:
                await self._renew_book(whose, files, known.features)
            except (TemporaryFailure, MailboxError) as failure:
                is_done = False
                name = whose if isinstance(whose, str) else whose.address
                _log.error("%s: the lessons are not read again yet: %s", name, failure)
        return is_done

    async def _renew_book(self, whose: Account | str, files: LessonBook, features: int) -> None:
        if isinstance(whose, Account):
            await self._renew_account(whose, files, features)
            return
        async with self._alone(files):
            await self._write(files, await self._renewed(files, None, features))
        _log.warning("%s: 'mailstack train domain' has to be run again", whose)

    def _books(self) -> list[tuple[Account | str, LessonBook]]:
        """Accounts and names of domains that taught anything."""
        paths, directory = self._h.config.paths, self._h.directory
        found: list[tuple[Account | str, LessonBook]] = [
            (account, LessonBook(home_of(paths.mail, account.address))) for account in directory.accounts()
        ]
        names = (domain.name for domain in directory.domains())
        found += [(name, LessonBook(domain_folder(paths, name))) for name in names]
        return [(whose, files) for whose, files in found if files.features()]

    async def _renew_account(self, account: Account, files: LessonBook, features: int) -> None:
        with self._h.at_work.on(account_key(account)):
            async with self._alone(files):
                lessons = await self._renewed(files, self._h.store.of(account), features)
                taken = await sampled(account, lessons, self._h.store, self._reader, self._do, self._options)
                await self._write(files, taken)
        _log.info("%s: %d lessons were read again", account.address, len(lessons))

    async def _renewed(self, files: LessonBook, mailbox: AccountStore | None, features: int) -> list[Lesson]:
        lessons = await self._do(files.read)
        return await renewed(lessons, mailbox, self._reader, self._do, features=features)

    # -- one account ----------------------------------------------------------------------

    @asynccontextmanager
    async def _alone(self, book: LessonBook) -> AsyncIterator[None]:
        """Nobody else changes the lessons meanwhile."""
        lock = book.alone()
        await self._do(lock.__enter__)
        try:
            yield
        finally:
            await self._do(lambda: lock.__exit__(None, None, None))

    async def _learn(self, account: Account, notes: Sequence[Note]) -> None:
        files = LessonBook(home_of(self._h.config.paths.mail, account.address))
        async with self._alone(files):
            lessons = await self._do(files.read)
            book = _Book({one.id: one for one in lessons})
            for group in _by_message(notes).values():
                await self._message(account, book, group)
            if not book.changes:
                return
            taken = await sampled(
                account, list(book.lessons.values()), self._h.store, self._reader, self._do, self._options
            )
            settle = partial(self._settle_lists, account, book)
            await keep(files, taken, self._reader, self._do, self._options, settle=settle)
        for change in book.changes:
            self._say(account, change)

    async def _write(self, files: LessonBook, lessons: Sequence[Lesson]) -> None:
        await keep(files, lessons, self._reader, self._do, self._options)

    async def _message(self, account: Account, book: _Book, notes: Sequence[Note]) -> None:
        """What follows from what was done with one message."""
        last, lesson, digest = notes[-1], book.of(notes[-1].message), None
        before = opinion_of(lesson)
        if before is None:
            if self._is_full(book, last.at) and all(note.what != "uploaded" for note in notes):
                return  # nothing known could be taken back
            digest = await self._digest(account, last)
            if digest is None:
                return
            lesson = book.lessons.get(digest.id)
            before = opinion_of(lesson)
        deeds = [Deed(note.what, note.source, note.target) for note in notes]  # type: ignore[arg-type]
        after = think(before, deeds, filed=digest.filed if digest is not None else "")
        if after == before:
            return
        if before is None and self._is_full(book, last.at):
            _log.info("%s teaches more than feedback.lessons_per_day", account.address)
            return
        if list_for(after) and digest is None:
            digest = await self._digest(account, last)
        known = digest if digest is not None else lesson
        change = _Change(last, before, after)
        if known is not None:
            change.message_id, change.author = known.message_id, known.author
        book.changes.append(change)
        _apply(book, change, lesson, digest)

    def _is_full(self, book: _Book, at: float) -> bool:
        """T45: nobody teaches more than so much a day."""
        today = sum(one.evidence != "sample" and one.at > at - _DAY_S for one in book.lessons.values())
        return today >= self._options.lessons_per_day

    def _settle_lists(self, account: Account, book: _Book, kept: Sequence[Lesson]) -> list[Lesson]:
        """Puts authors where they belong; gives the lessons that remember it.

        The filter has been asked everything by now: what waits for it has changed no list, or the
        next try would find its own entries there and take them for the owner's.
        """
        lessons = {one.id: one for one in kept}
        for change in book.changes:
            old, new = change.old, lessons.get(change.new)
            if old is not None and old.listed and old.listed != change.wanted:
                others = [one for one in lessons.values() if one is not new]
                heir = self._lists.take_back(account, old, others)
                if heir is not None:
                    lessons[heir.id] = heir
            if new is None:
                continue
            if old is not None and old.listed and old.listed == change.wanted:
                new = _listed(new, old)
            elif change.wanted and not new.listed:
                new = self._lists.put(account, new, change.wanted)
            change.listed = new.listed
            lessons[new.id] = new
        return list(lessons.values())

    async def _digest(self, account: Account, note: Note) -> Digest | None:
        """What the filter says about the message; None: it is gone, or nothing can be said."""
        mailbox, key = self._h.store.of(account), (account.id, note.folder)
        try:
            if key not in self._folders:
                self._folders[key] = (await self._do(lambda: mailbox.status(note.folder))).id
        except MailboxError:
            return None
        folder_id = self._folders[key]
        found = await self._reader.stored(mailbox, folder_id, note.uid, message=note.message, do=self._do)
        if found is None or await self._do(lambda: mailbox.was_delivered(folder_id, note.uid)):
            return found
        # Whoever made what was uploaded wrote our header fields into it as he liked.
        return msgspec.structs.replace(found, is_authenticated=False)

    def _say(self, account: Account, change: _Change) -> None:
        after = change.after
        self._h.maillog.write(
            "learned" if after is not None else "unlearned",
            received_by=[str(account.address)],
            message_id=change.message_id,
            account=str(account.address),
            author=change.author,
            label=after.label if after is not None else "",
            instead_of=change.before.label if change.before is not None else "",
            evidence=after.evidence if after is not None else "",
            weak="yes" if after is not None and after.weight < FULL else "",
            listed=change.listed,
            mailbox=change.note.folder,
        )

    # -- the others -----------------------------------------------------------------------

    async def _learn_traps(self, account: Account, notes: Sequence[Note]) -> None:
        """Mail for a spam trap trains the trap's domain, with little weight each."""
        domain = account.address.domain
        files = LessonBook(domain_folder(self._h.config.paths, domain))
        async with self._alone(files):
            lessons = {one.id: one for one in await self._do(files.read)}
            for note in notes:
                digest = await self._digest(account, note)
                if digest is not None and digest.id not in lessons:
                    lessons[digest.id] = trap_lesson(digest, at=note.at)
            await self._write(files, list(lessons.values()))
        self._h.maillog.write("learned_domain", domain=domain, label="spam", messages=len(notes))

    async def _learn_sent(self, account: Account, note: Note) -> None:
        """Whom the owner has written to, with another server perhaps."""
        since, learned = self._sent.get(account.id, (note.at, 0))
        if note.at >= since + _DAY_S:
            since, learned = note.at, 0
        room = self._options.sent_per_day - learned
        if room <= 0:
            return
        digest = await self._digest(account, note)
        if digest is None:
            return
        wanted = await self._do(lambda: self._strangers(account, digest.recipients)[:room])
        self._sent[account.id] = since, learned + len(wanted)
        if wanted:
            await self._do(lambda: self._sending.learn(account.id, wanted, self._h.now()))

    def _strangers(self, account: Account, keys: Iterable[str]) -> list[str]:
        return [key for key in keys if not self._sending.knows(account.id, key)]

    async def _report(self, account: Account, note: Note) -> None:
        """Phishing that was reported: the operator hears who sent it to whom, and nothing of its text."""
        since, reported = self._reported.get(account.id, (note.at, set[str]()))
        if note.at >= since + _DAY_S:
            since, reported = note.at, set()
        if note.message in reported or len(reported) >= REPORTS_A_DAY:
            return
        self._reported[account.id] = since, reported | {note.message}
        digest = await self._digest(account, note)
        if digest is None:
            return
        self._h.maillog.write(
            "phishing",
            received_by=[str(account.address)],
            message_id=digest.message_id,
            account=str(account.address),
            author=digest.author,
            authenticated="yes" if digest.is_authenticated else "no",
        )
        lines = [
            f"{account.address} has reported a message as phishing.",
            f"It says it is from {digest.author or 'nobody'}, which is"
            f"{'' if digest.is_authenticated else ' not'} authenticated; its Message-ID is"
            f" {digest.message_id or 'missing'}.",
            "'mailstack log explain' with the Message-ID shows who sent it and who else got it.",
        ]
        await self._do(
            lambda: self._h.operator(f"phishing {digest.author}", "A message was reported as phishing", lines)
        )


def _apply(book: _Book, change: _Change, lesson: Lesson | None, digest: Digest | None) -> None:
    """Keeps the new opinion."""
    old = lesson if lesson is not None and lesson.evidence != "sample" else None
    if lesson is not None:
        del book.lessons[lesson.id]
    after, known = change.after, digest if digest is not None else old
    change.old = old
    change.wanted = list_for(after) if digest is not None and digest.is_authenticated else ""
    if change.note.what == "uploaded":  # it changes no list: nor does it take back what another did
        change.wanted = old.listed if old is not None else ""
    if after is None or known is None:
        return
    change.new = known.id
    book.lessons[known.id] = Lesson(
        known.id,
        after.label,
        after.origin,
        after.weight,
        after.evidence,
        change.note.at,
        known.indexes,
        known.logit,
        change.note.message,
        known.author,
        message_id=known.message_id,
        features=known.features,
    )


def _listed(new: Lesson, old: Lesson) -> Lesson:
    return msgspec.structs.replace(new, listed=old.listed, before=old.before)


def _by_message(notes: Sequence[Note]) -> Mapping[str, list[Note]]:
    found: dict[str, list[Note]] = {}
    for note in notes:
        found.setdefault(note.message, []).append(note)
    return found
