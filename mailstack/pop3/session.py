"""One client from greeting to close: state, the command loop, the list of messages.

The list is as it was at the login; several sessions may be open at once.  Nothing is
removed but by QUIT: whoever is cut off has deleted nothing.

Standards: RFC 1939, RFC 2449.  Limits 1 and 6.
Imports: model, lines, commands.  No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from mailstack.model.asking import Announce, Flush, Read, Steps, ask, slow
from mailstack.model.directory import Account
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import MailboxError
from mailstack.model.maildrop import Maildrop
from mailstack.model.steps import SteppedSession
from mailstack.pop3.commands.entry import Entry, State
from mailstack.pop3.commands.table import COMMANDS
from mailstack.pop3.errors import Bad, HangUp, Refused
from mailstack.pop3.lines import COMMAND_OCTETS, LineReader
from mailstack.pop3.options import Pop3Options
from mailstack.pop3.response import err, ok
from mailstack.sasl.setup import Setup

#: Octets taken from the client at a time.
READ_OCTETS = 16_384
_NUMBER = re.compile(rb"[0-9]{1,10}\Z")


class PeerGone(Exception):
    """The client closed or was cut off: nobody is left to answer."""


class Session(SteppedSession):
    """State of one connection; commands read and change it.

    Attributes:
        user: what USER said, until PASS.
        deleted: for each message, whether it is marked.
        count, octets: of the messages that are not.
        sent: the message RETR sent last, until the client goes on.
    """

    def __init__(self, setup: Setup[Pop3Options]) -> None:
        super().__init__()
        self.options = setup.options
        self.host = setup.host
        self.clock = setup.clock
        self.tls = setup.tls
        self.can_start_tls = setup.can_start_tls and not setup.tls
        self.lines = LineReader()
        self.account: Account | None = None
        self.user: str | None = None
        self.utf8 = False
        self.drop = Maildrop()
        self.deleted = bytearray()
        self.count = self.octets = 0
        self.sent: int | None = None
        self.failures = 0
        self.leaving = False
        self._plaintext_login = setup.plaintext_login
        self.offer = setup.offer
        self._bad = 0
        self._since = self.clock()

    # -- for commands -----------------------------------------------------------------

    @property
    def state(self) -> State:
        """RFC 1939 section 3."""
        return State.AUTHORIZATION if self.account is None else State.TRANSACTION

    @property
    def takes_passwords(self) -> bool:
        """False where a password would go in clear."""
        return self.tls or self._plaintext_login

    def flush(self) -> Steps[None]:
        """Hands the output over, and lets others have their turn."""
        yield from ask(Flush())

    def read_line(self, most: int = COMMAND_OCTETS) -> Steps[bytes]:
        """The next line; raises Bad when it is longer than `most`, with its CRLF."""
        while (line := self.lines.next(most)) is None:
            yield from self._read_more()
        return line

    def logged_in(self, account: Account) -> None:
        """From here on the limits are those of a user."""
        self.account = account
        self._bad = 0
        self._since = self.clock()

    def opened(self, drop: Maildrop) -> None:
        """Takes the list this session shows."""
        self.drop = drop
        self.deleted = bytearray(len(drop))
        self.undelete()

    def restart_encrypted(self) -> None:
        """The handshake is done: nothing said before counts (RFC 2595 section 4)."""
        self.tls = True
        self.can_start_tls = False
        self.user = None

    def announce(self, folders: Iterable[str]) -> Steps[None]:
        """Other sessions of this account should look at these folders."""
        for folder in folders:
            yield from ask(Announce(folder))

    # -- the list ---------------------------------------------------------------------

    def position(self, argument: bytes) -> int:
        """The position of the message with this number; raises Refused."""
        number = int(argument) if _NUMBER.match(argument) else 0
        if not 1 <= number <= len(self.drop):
            raise Refused("There is no such message")
        if self.deleted[number - 1]:
            raise Refused("That message is deleted")
        return number - 1

    def delete(self, at: int) -> None:
        """Marks a message."""
        self.deleted[at] = 1
        self.count -= 1
        self.octets -= self.drop.sizes[at]

    def undelete(self) -> None:
        """Takes all marks back."""
        self.deleted[:] = bytes(len(self.deleted))
        self.count = len(self.drop)
        self.octets = sum(self.drop.sizes)

    def marked(self) -> list[int]:
        """Positions of the marked messages."""
        return [at for at, mark in enumerate(self.deleted) if mark]

    # -- the loop ---------------------------------------------------------------------

    def _run(self) -> Steps[None]:
        try:
            self.write(ok(f"{self.host} ready"))
            while not self.leaving:
                yield from self._next()
                yield from self.flush_full()
        except HangUp as end:
            if end.text:
                self.write(err(end.text, end.code))
        except PeerGone:
            pass

    def _next(self) -> Steps[None]:
        """One command and its answer."""
        try:
            line = yield from self.read_line()
            yield from self._note_sent()
            entry, argument = self._find(line)
            text = yield from entry.run(self, argument)
            if text is not None:
                self.write(ok(text))
            self._bad = 0 if self.account is not None else self._bad
        except Bad as bad:
            self._count_bad()
            self.write(err(bad.text, bad.code))
        except Refused as refused:
            self.write(err(refused.text, refused.code))
            if self.failures >= self.options.max_login_failures:
                raise HangUp("") from None
        except MailboxError as error:
            if error.code in ("EXPUNGEISSUED", "NONEXISTENT"):
                self.write(err("The message was removed by another program"))
            else:
                self.write(err("The message cannot be read", "SYS/PERM"))
        except TemporaryFailure:
            # The reason in detail is for the operator's log; it may name files.
            self.write(err("The mailbox cannot be used right now; try again later", "SYS/TEMP"))

    def _find(self, line: bytes) -> tuple[Entry, bytes]:
        name, _, argument = line.partition(b" ")
        entry = COMMANDS.get(name.upper())
        if entry is None:
            raise Bad("There is no such command")
        if self.state not in entry.states:
            raise Bad("Log in first" if self.account is None else "Already logged in")
        if name.upper() != b"PASS":
            argument = argument.strip(b" ")
        if argument and not entry.takes_argument:
            raise Refused("This command has no argument")
        return entry, argument

    def _count_bad(self) -> None:
        self._bad += 1
        if self._bad >= self.options.max_bad:
            raise HangUp("Too many invalid commands")

    def _note_sent(self) -> Steps[None]:
        """The client goes on, so it has the message RETR sent; remembered where that matters."""
        at, self.sent = self.sent, None
        if at is None or self.account is None or self.account.pop3_delete_after_days is None:
            return
        folder_id, uid = self.drop.folders[self.drop.folder[at]], self.drop.uids[at]
        try:
            yield from slow(lambda store: store.note_fetched(folder_id, [uid]))
        except TemporaryFailure:
            # It only stays longer than it should; the shell has logged why.
            pass

    def _read_more(self) -> Steps[None]:
        wait = self.options.login_time_s if self.account is None else self.options.idle_time_s
        data = yield from ask(Read(self._since + wait, READ_OCTETS))
        if data is None:
            raise HangUp("")  # RFC 1939 section 3: closed without a response
        if not data:
            raise PeerGone
        if self.account is not None:
            self._since = self.clock()
        self.lines.feed(data)
