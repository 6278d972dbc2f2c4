"""Runs an account's rules and script over mail that is in one of its folders already.

What files, flags or throws away is done; what would leave (redirect, reject, answers,
notifications) is not, and fields are not edited: that mail came long ago.  Nothing is
lost: what is thrown away goes to Trash, and whatever cannot be done leaves a message where
it is.  Doing it again changes nothing more.

Standards: RFC 5228; RFC 5232 (flags: those a message has are what scripts begin with).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence

from mailstack.app.account_view import AccountView
from mailstack.app.stored_changes import Change, Report, carry_out, without, words_of
from mailstack.filters.case import Case
from mailstack.filters.edits import View
from mailstack.filters.rules import RuleResult, Rules
from mailstack.filters.scripts import Step, steps_for
from mailstack.mailbox import maildir
from mailstack.mailbox.store import Account as Mailbox
from mailstack.model.directory import Account
from mailstack.model.mailbox import DEFAULT_FOLDERS, Flags, MailboxError, MessageRow
from mailstack.model.verdict import (
    DiscardMail,
    FileInto,
    FilterRecipient,
    FilterRequest,
    Keep,
    MessageVerdict,
    Redirect,
    RejectMail,
    SendMail,
)
from mailstack.sieve import Message

#: Messages looked at before what they need is done.
SLICE = 200
MAX_SUBJECT = 200
_VERDICT = re.compile(r"class=(ham|spam|promotions|social); score=(\d\.\d+);")
_USES = dict(DEFAULT_FOLDERS)
_TRASH = "Trash"


class StoredView(AccountView):
    """What scripts may ask while they run over stored mail."""

    def seen(self, id_: str, *, since: float) -> bool:
        """Nothing: what `duplicate` remembers are these very messages."""
        return False

    def cpu_s(self, *, since: float) -> float:
        """Nothing: what new mail costs is another matter."""
        return 0.0


class Application:
    """One folder; made for one run.

    Attributes:
        owner: whose it is.
        rows: the messages it holds now; later ones are not touched.
        steps: the scripts that run.
    """

    def __init__(
        self, owner: Account, mailbox: Mailbox, view: StoredView, rules: Rules, folder: str, *, now: float
    ) -> None:
        """Looks at the folder.

        Raises:
            MailboxError: NONEXISTENT.
            TemporaryFailure: the disk or the directory is in trouble.
        """
        self.owner, self._mailbox, self._view, self._rules, self._now = owner, mailbox, view, rules, now
        status = mailbox.status(folder)
        self._folder, self._folder_id = status.name, status.id
        self._folders = {entry.name: entry.special_use for entry in mailbox.folders() if entry.exists}
        self._is_spam = self._folder in (owner.filters.spam_folder, self._place("Spam"))
        self._emails: dict[str, frozenset[str]] = {}
        # What somebody has marked for removal is theirs to remove.
        self.rows = [row for row in mailbox.rows(self._folder_id) if not row.flags & Flags.DELETED]
        self.steps: Sequence[Step] = [
            step
            for step in steps_for(view.steps(), is_spam=self._is_spam)
            if step.kind in ("rules", "script")
        ]

    def run(self, step: Callable[[], object], *, dry_run: bool = False) -> Report:
        """Runs over all messages, a slice at a time.

        Args:
            step: called after each message.
            dry_run: only says what would be done.

        Raises:
            TemporaryFailure: the disk is in trouble; what was done stays done.
        """
        report = Report()
        for begin in range(0, len(self.rows), SLICE):
            changes = []
            for row in self.rows[begin : begin + SLICE]:
                change = self._look(row, report)
                if change:
                    changes.append(change)
                report.messages += 1
                step()
            if not dry_run:
                self._make_folders(changes)
                changes = carry_out(self._mailbox, self._folder_id, changes, report)
            report.changes += changes
        return report

    def _look(self, row: MessageRow, report: Report) -> Change | None:
        """What becomes of a message; None: nothing."""
        try:
            octets = self._read(row.uid)
        except MailboxError as error:
            if error.code != "EXPUNGEISSUED":
                report.fail(row.uid, error.text)
            return None
        message = Message.from_bytes(octets)
        case = self._case(message, row)
        result = self._rules.run(self.steps, lambda: View(octets, b"", len(octets)), case)
        if result.error:
            report.fail(row.uid, result.error)
            return None
        report.left_out.update(_left_out(result))
        return self._change(row, _first(message, "subject")[:MAX_SUBJECT], result, report)

    def _read(self, uid: int) -> bytes:
        file = self._mailbox.open(self._folder_id, uid)
        try:
            return file.read()
        finally:
            file.close()

    def _case(self, message: Message, row: MessageRow) -> Case:
        """The message as its delivery wrote it down."""
        own = str(self.owner.address)
        written_to = _first(message, "x-original-to", "delivered-to") or own
        recipient = FilterRecipient(1, self.owner.id, own, written_to)
        verdict = _verdict(message)
        return Case(
            FilterRequest("", "", "", _first(message, "return-path").strip("<>"), (recipient,), self._now),
            recipient,
            verdict,
            self.owner.plan,
            "spam" if self._is_spam else verdict.klass,
            self._is_spam,
            around=self._view,
            flags=words_of(row),
        )

    def _change(self, row: MessageRow, subject: str, result: RuleResult, report: Report) -> Change:
        # Flags are those of the message itself: a copy beside it is one of it.
        stays, flags, moved = result.implicit_keep, result.flags, result.flags
        places: list[str] = []
        for one in result.actions:
            if isinstance(one, FileInto):
                place = self._place(one.mailbox)
                if place == self._folder:
                    stays, flags = True, one.flags
                elif place in self._folders or one.create:
                    places.append(place)
                    moved = one.flags
                else:
                    stays = True
                    report.fail(row.uid, f"there is no folder {place}")
            elif isinstance(one, Keep):
                stays, flags = True, one.flags
            else:
                # What would leave has left already, or was not wanted then: it stays here.
                stays |= not isinstance(one, DiscardMail)
        if not stays and not places:
            trash = self._place(_TRASH)
            stays = trash == self._folder
            places = [] if stays else [trash]
        target = "" if stays else places.pop()
        flags = flags if stays else moved
        have = words_of(row)
        return Change(
            row.uid,
            subject,
            tuple(p for p in dict.fromkeys(places) if p != target and row.email_id not in self._ids(p)),
            target,
            without(flags, have),
            without(have, flags),
        )

    def _place(self, name: str) -> str:
        """A folder by its name; a default folder that has another name here by what it is for."""
        with contextlib.suppress(MailboxError):  # whoever stores there says what is wrong with it
            name = maildir.check_name(name)
        use = _USES.get(name, "")
        if name in self._folders or not use:
            return name
        return next((found for found, one in self._folders.items() if one == use), name)

    def _ids(self, folder: str) -> frozenset[str]:
        """Of the messages a folder holds: a copy has its original's."""
        if folder not in self._folders:
            return frozenset()
        if folder not in self._emails:
            rows = self._mailbox.rows(self._mailbox.status(folder).id)
            self._emails[folder] = frozenset(row.email_id for row in rows)
        return self._emails[folder]

    def _make_folders(self, changes: Sequence[Change]) -> None:
        for name in {place for change in changes for place in (*change.copies, change.target) if place}:
            if name not in self._folders:
                try:
                    self._mailbox.create(name)
                    self._mailbox.subscribe(name, subscribed=True)
                except MailboxError:
                    continue  # there by now, or refused: storing there says so
                self._folders[name] = ""


def _verdict(message: Message) -> MessageVerdict:
    """What the filter found when the message came; a message it has not seen is nobody's guess."""
    found = _VERDICT.match(_first(message, "x-mailstack-verdict"))
    if found is None:
        return MessageVerdict(unfiltered="it was not filtered")
    match found[1]:
        case "spam" | "promotions" | "social" as klass:
            return MessageVerdict(klass=klass, score=float(found[2]))
        case _:
            return MessageVerdict(score=float(found[2]))


def _first(message: Message, *names: str) -> str:
    values = (value for name in names for value in message.header_values(name))
    return next(values, "").strip()


def _left_out(result: RuleResult) -> list[str]:
    """What is not done with stored mail."""
    names = []
    for one in result.actions:
        match one:
            case Redirect():
                names.append("redirect")
            case RejectMail():
                names.append("reject")
            case SendMail():
                names.append(one.why)
            case Keep() | FileInto() if one.edited is not None:
                names.append("edited fields")
            case _:
                pass
    if result.implicit_keep and result.edited is not None:
        names.append("edited fields")
    return names
