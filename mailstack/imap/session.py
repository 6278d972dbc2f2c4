"""One client from greeting to close: state, the command loop, what the client is told.

The session is a generator of requests (see `requests` and `model.steps`).

States and order of responses: RFC 3501 sections 3, 5.2, 5.5 and 7.  Limits 6 and 7.
Imports: model, framing, parser, view, commands.  No I/O.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import TypeAlias

from mailstack.imap import framing, telling
from mailstack.imap.capability import capabilities
from mailstack.imap.commands.entry import Entry, State
from mailstack.imap.commands.table import COMMANDS, NUMBERED
from mailstack.imap.contexts import Contexts
from mailstack.imap.errors import Bad, HangUp, No
from mailstack.imap.framing import BodyData, BodyStart, Command, Framer, GoAhead, Refused
from mailstack.imap.grammar import SAVED, MessageSet
from mailstack.imap.lingering import between_commands
from mailstack.imap.names import decode_name, decode_utf8_name, wire_name
from mailstack.imap.notifying import Notify
from mailstack.imap.options import ImapOptions
from mailstack.imap.parser import Cursor, Head
from mailstack.imap.progress import Progress
from mailstack.imap.requests import Announce, Changed, Discard, Flush, Read, Steps, ask
from mailstack.imap.response import quote_utf8, status_line
from mailstack.imap.upload import MEMORY_OCTETS, Upload
from mailstack.imap.view import Learned, View
from mailstack.model.directory import Account
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import MailboxError
from mailstack.model.steps import SteppedSession
from mailstack.sasl.setup import Setup

#: Octets taken from the client at a time, in commands and in messages.
COMMAND_OCTETS = 16_384
BODY_OCTETS = 262_144
#: Silence in the middle of a command.
COMMAND_TIME_S = 300.0


#: With these enabled, names are UTF-8 and quoted strings may hold it.
_UTF8 = frozenset(("UTF8=ACCEPT", "IMAP4REV2"))

#: Called by `sync` with what the client has just been told of the selected folder, and
#: (with only `gone` set) right before it is told that messages are gone.
Watcher: TypeAlias = "Callable[[Session, Learned], Steps[None]]"


class PeerGone(Exception):
    """The client closed or was cut off: nobody is left to answer."""


class Session(SteppedSession):
    """State of one connection; commands read and change it."""

    # Thousands of these wait in IDLE: no dictionaries.
    __slots__ = (
        "_bad",
        "_first",
        "_progress",
        "_since",
        "_uses_numbers",
        "account",
        "alerted",
        "can_start_tls",
        "client_id",
        "clock",
        "compressed",
        "contexts",
        "enabled",
        "failures",
        "framer",
        "host",
        "in_response",
        "leaving",
        "notify",
        "now",
        "offer",
        "options",
        "plaintext_login",
        "saved_uids",
        "tag",
        "tls",
        "uploads",
        "view",
        "watchers",
    )

    def __init__(self, setup: Setup[ImapOptions]) -> None:
        super().__init__()
        self.options = setup.options
        self.host = setup.host
        self.clock = setup.clock
        self.now = setup.now
        self.tls = setup.tls
        self.can_start_tls = setup.can_start_tls and not setup.tls
        self.plaintext_login = setup.plaintext_login
        self.offer = setup.offer
        self.framer = Framer(framing.before_login())
        self.account: Account | None = None
        self.view: View | None = None
        self.uploads: list[Upload] = []
        self.client_id: dict[str, str] = {}
        self.tag = b"*"
        self.failures = 0
        self.leaving = False
        self.in_response = False
        #: What the client has enabled: CONDSTORE, QRESYNC, UTF8=ACCEPT, IMAP4REV2, UIDONLY.
        self.enabled: set[str] = set()
        #: What `$` stands for (RFC 9051 section 6.4.4.1): UIDs, ascending.
        self.saved_uids = array("I")
        self.watchers: list[Watcher] = []
        self.contexts = Contexts()
        self.notify: Notify | None = None
        self.compressed = False
        self.alerted = False
        self._progress = Progress(setup.clock)
        self._bad = 0
        self._first = True
        self._uses_numbers = False
        self._since = self.clock()

    # -- for commands -----------------------------------------------------------------

    @property
    def state(self) -> State:
        """RFC 3501 section 3."""
        if self.account is None:
            return State.STRANGER
        return State.USER if self.view is None else State.SELECTED

    @property
    def is_rev2(self) -> bool:
        """The client speaks IMAP4rev2 (RFC 9051)."""
        return "IMAP4REV2" in self.enabled

    @property
    def has_utf8(self) -> bool:
        """The client takes and sends UTF-8 in quoted strings, and names in it (RFC 6855)."""
        return not self.enabled.isdisjoint(_UTF8)

    def mailbox_name(self, name: str) -> bytes:
        """A mailbox name as this client wants to read it: a string."""
        return quote_utf8(name) if self.has_utf8 else wire_name(name)

    def read_name(self, cursor: Cursor) -> str:
        """A mailbox name as this client writes it.

        Raises:
            Bad: no string.
            No: CANNOT, no name.
        """
        wire = cursor.astring()
        return decode_utf8_name(wire) if self.has_utf8 else decode_name(wire)

    def places(self, wanted: MessageSet, *, uid: bool) -> list[int]:
        """Positions in the view of the messages of a set, ascending, each once.

        Raises:
            Bad: a number that no message has, or UIDREQUIRED: the client has said that it
                will use no numbers (RFC 9586 section 3).
        """
        self._check_numbers(wanted, uid=uid)
        return self.selected.positions(wanted, uid=uid, saved=self.saved_uids)

    def spans(self, wanted: MessageSet, *, uid: bool) -> list[tuple[int, int]]:
        """As `places`, as ranges (first, behind the last) in any order, without what `$` stands for."""
        self._check_numbers(wanted, uid=uid)
        return self.selected.spans(wanted, uid=uid)

    def _check_numbers(self, wanted: MessageSet, *, uid: bool) -> None:
        if not uid and wanted != SAVED:
            if "UIDONLY" in self.enabled:
                raise Bad("Message numbers cannot be used: UIDONLY is enabled", code="UIDREQUIRED")
            self._uses_numbers = True

    @property
    def selected(self) -> View:
        """The selected folder; commands that use it run in no other state."""
        assert self.view is not None
        return self.view

    def deselect(self) -> None:
        """No folder is selected any more."""
        self.view = None
        self.saved_uids = array("I")

    def progress(self, done: int, total: int) -> Steps[None]:
        """Between two slices of a long command: others get their turn, the client is told.

        Args:
            done: units of work done.
            total: units of work in all; 0: not known.
        """
        if line := self._progress.line(done, total):
            self.write(line)
        yield from ask(Flush())

    def read_line(self) -> Steps[bytes]:
        """The next line outside a command (SASL)."""
        while (line := self.framer.line()) is None:
            yield from self.read_more()
        return line

    def read_more(self) -> Steps[None]:
        """Waits for octets."""
        most = BODY_OCTETS if self.framer.in_body else COMMAND_OCTETS
        data = yield from ask(Read(self._deadline(), most))
        self.feed(data)

    def feed(self, data: bytes | None) -> None:
        """Takes what `Read` gave."""
        if data is None:
            raise HangUp("Too long without a command" if self.account else "Log in faster, please")
        if not data:
            raise PeerGone
        if self.account is not None:
            self._since = self.clock()
        self.framer.feed(data)

    @property
    def idle_until(self) -> float:
        """When silence ends the session; on `clock`."""
        wait = self.options.login_time_s if self.account is None else self.options.idle_time_s
        return self._since + wait

    def logged_in(self, account: Account) -> None:
        """From here on the limits are those of a user."""
        self.account = account
        self.framer.limits = framing.after_login(self.options.append_octets)
        self._bad = 0
        self._since = self.clock()

    def logged_out(self) -> None:
        """A stranger again: nothing of the user is left (RFC 8437 section 4)."""
        self.deselect()
        self.account = None
        self.enabled.clear()
        self.watchers.clear()
        self.notify = None
        self.alerted = False
        self.compressed = False
        self.framer.limits = framing.before_login()
        self._since = self.clock()

    def restart_encrypted(self) -> None:
        """The handshake is done: nothing said before counts (RFC 3501 section 6.2.1)."""
        self.tls = True
        self.can_start_tls = False
        self.client_id = {}

    def changed(self, folder: str) -> Steps[None]:
        """Other sessions of this account should look at the folder."""
        yield from ask(Announce(folder))

    def changed_folders(self) -> Steps[frozenset[str]]:
        """What others changed since the last call: folder names; "" for the list of folders."""
        return (yield from ask(Changed()))

    def capability_code(self) -> str:
        """`CAPABILITY ...` for a response code."""
        return "CAPABILITY " + capabilities(self)

    def sync(self, *, expunge: bool) -> Steps[None]:
        """Tells what other sessions and deliveries changed; see `telling`.

        Args:
            expunge: False while messages may not be told as gone.
        """
        return telling.sync(self, expunge=expunge)

    # -- the loop ---------------------------------------------------------------------

    def _run(self) -> Steps[None]:
        try:
            self.write(status_line(b"*", "OK", f"{self.host} ready", code=self.capability_code()))
            while not self.leaving:
                frame = yield from self._next_frame()
                if isinstance(frame, Command):
                    yield from self._execute(frame)
                else:
                    self._refuse(frame)
                yield from self._forget_uploads()
                yield from self.flush_full()
        except HangUp as end:
            if not self.in_response:
                self.write(status_line(b"*", "BYE", end.text, code=end.code))
        except PeerGone:
            pass
        yield from self._forget_uploads()

    def _deadline(self) -> float:
        if self.account is not None and self.framer.in_command:
            return self.clock() + min(COMMAND_TIME_S, self.options.idle_time_s)
        return self.idle_until

    def _next_frame(self) -> Steps[Command | Refused]:
        while True:
            match self.framer.next():
                case (Command() | Refused()) as frame:
                    return frame
                case None:
                    if self.notify is not None and not self.framer.held and not self.framer.in_command:
                        yield from between_commands(self)
                    yield from self.read_more()
                case GoAhead():
                    self.write(b"+ OK\r\n")
                case BodyStart(_, go_ahead, literal8):
                    self.uploads.append(Upload(literal8=literal8))
                    if go_ahead:
                        self.write(b"+ OK\r\n")
                case BodyData(data):
                    yield from self._take_body(data)

    def _take_body(self, data: bytes) -> Steps[None]:
        upload = self.uploads[-1]
        upload.add(data)
        if sum(upload.held for upload in self.uploads) > MEMORY_OCTETS:
            yield from upload.spill()

    def _forget_uploads(self) -> Steps[None]:
        if not self.uploads:
            return
        spools = tuple(upload.spool for upload in self.uploads if upload.spool is not None)
        self.uploads = []
        if spools:
            yield from ask(Discard(spools))

    def _execute(self, command: Command) -> Steps[None]:
        head = Head(command.wire)
        self.tag = head.tag
        self._uses_numbers = False
        self._progress.begin(head.tag)
        try:
            entry = self._find(head, command)
            done = yield from entry.run(self, Cursor(command.wire, head.at, utf8=self.has_utf8))
            if entry.relists:
                yield from self.changed("")
            end: HangUp | None = None
            if entry.syncs:
                # RFC 7162 section 3.2.10.2: nothing vanishes during a UID SEARCH with numbers in it.
                held = self._uses_numbers and head.name.startswith(b"UID ")
                end = yield from self._sync_after(expunge=entry.expunge and not held)
            if done is not None:
                self._finish(head.tag, "OK", done.text, done.code)
            if end is not None:
                raise end
            self._bad = 0 if self.account is not None else self._bad
        except Bad as bad:
            self.write(status_line(head.tag, "BAD", bad.text, code=bad.code))
            self._count_bad()
        except No as no:
            self._finish(head.tag, "NO", no.text, no.code)
            if self.failures >= self.options.max_login_failures:
                raise HangUp("Too many failed logins") from None
        except MailboxError as error:
            self._finish(head.tag, "NO", error.text, error.code)
            if error.code == "NONEXISTENT":
                yield from telling.check_selected(self)
        except TemporaryFailure as failure:
            code = "CORRUPTION" if "damaged" in failure.why else "UNAVAILABLE"
            self._finish(head.tag, "NO", _WORDS.get(failure.status, _TROUBLE), code)
        self._first = False

    def _finish(self, tag: bytes, kind: str, text: str, code: str) -> None:
        """The tagged answer; what a client that counts in MODSEQs must know goes with it."""
        settled = telling.modseq_code(self)
        if settled and code:
            self.write(status_line(b"*", "OK", "Up to date so far", code=settled))
        self.write(status_line(tag, kind, text, code=code or settled))

    def _sync_after(self, *, expunge: bool) -> Steps[HangUp | None]:
        """Gives why the session is over, when it is.

        The command itself is done, and without its OK the client would do it again.
        """
        try:
            yield from self.sync(expunge=expunge)
        except (MailboxError, TemporaryFailure):
            pass  # what could not be looked up now is told after the next command
        except HangUp as end:
            return end
        return None

    def _find(self, head: Head, command: Command) -> Entry:
        entry = COMMANDS.get(head.name)
        if self._first and entry is None and (head.tag != b"*" or not _is_text(command.wire)):
            raise HangUp("This is an IMAP server")
        if entry is None:
            raise Bad("There is no such command" if head.name else "Want a tag, a space and a command")
        if self.state not in entry.states:
            # Most often a SELECT that failed, and a client that goes on without looking.
            is_missing = self.state is State.USER and State.SELECTED in entry.states
            raise Bad("Select a mailbox first" if is_missing else _WRONG_STATE[self.state], code="CLIENTBUG")
        if head.name in NUMBERED and "UIDONLY" in self.enabled:
            raise Bad("Message numbers cannot be used: UIDONLY is enabled", code="UIDREQUIRED")
        return entry

    def _refuse(self, frame: Refused) -> None:
        if frame.too_big:
            self.write(status_line(frame.tag, "NO", frame.text, code="TOOBIG"))
        else:
            self.write(status_line(frame.tag, "BAD", frame.text))
            self._count_bad()
        self._first = False

    def _count_bad(self) -> None:
        self._bad += 1
        options = self.options
        most = options.max_bad_before_login if self.account is None else options.max_bad_after_login
        if self._bad >= most:
            raise HangUp("Too many invalid commands")


_WRONG_STATE = {
    State.STRANGER: "Log in first",
    State.USER: "Not allowed now: already logged in",
    State.SELECTED: "Not allowed now: already logged in",
}


# The reason in detail is for the operator's log; it may name files.
_TROUBLE = "The mailbox cannot be used right now; try again later"
_WORDS = {"3.1": "The server's disk is full; try again later"}


def _is_text(line: bytes) -> bool:
    return all(32 <= octet < 127 for octet in line[:64])
