"""One client from greeting to close: state and the command loop.

Standards: RFC 5804.  Limits 1, 5 and 6.
Imports: model, framing, commands.  No I/O.
"""

from __future__ import annotations

from collections.abc import Callable

from mailstack.managesieve.capability import capabilities
from mailstack.managesieve.commands.entry import Args, Entry, State
from mailstack.managesieve.commands.table import COMMANDS
from mailstack.managesieve.errors import Bad, HangUp, Refused
from mailstack.managesieve.framing import LITERAL_OCTETS, Atom, Framer, Token
from mailstack.managesieve.options import ManageSieveOptions
from mailstack.managesieve.response import status
from mailstack.model.asking import Read, Steps, ask
from mailstack.model.directory import Account
from mailstack.model.errors import PermanentFailure, TemporaryFailure
from mailstack.model.scripts import ScriptRefused, Terms
from mailstack.model.steps import SteppedSession
from mailstack.sasl.setup import Setup

#: Octets taken from the client at a time; few, so that a long batch is worked on in turns.
READ_OCTETS = 16_384


class PeerGone(Exception):
    """The client closed or was cut off: nobody is left to answer."""


class Session(SteppedSession):
    """State of one connection; commands read and change it.

    Attributes:
        terms: what scripts of an account may use; of None: of nobody in particular.
        failures: logins that went wrong.
        leaving: close when the output is sent.
    """

    def __init__(self, setup: Setup[ManageSieveOptions], terms: Callable[[Account | None], Terms]) -> None:
        super().__init__()
        self.options = setup.options
        self.clock = setup.clock
        self.tls = setup.tls
        self.can_start_tls = setup.can_start_tls and not setup.tls
        self.offer = setup.offer
        self.terms = terms
        self.framer = Framer()
        self.account: Account | None = None
        self.failures = 0
        self.leaving = False
        self._plaintext_login = setup.plaintext_login
        self._bad = 0
        self._first = True
        self._since = self.clock()

    # -- for commands -----------------------------------------------------------------

    @property
    def state(self) -> State:
        """RFC 5804 section 2."""
        return State.STRANGER if self.account is None else State.USER

    @property
    def takes_passwords(self) -> bool:
        """False where a password would go in clear."""
        return self.tls or self._plaintext_login

    def read_string(self) -> Steps[bytes]:
        """The client's turn in an exchange: a line that is one string."""
        tokens = yield from self._read_line()
        if len(tokens) != 1 or not isinstance(tokens[0], bytes):
            raise Bad("Want one string")
        return tokens[0]

    def logged_in(self, account: Account) -> None:
        """From here on the limits are those of a user."""
        self.account = account
        self.framer.is_trusted = True
        self.framer.literal_octets = self.terms(account).max_octets + LITERAL_OCTETS
        self._restart()

    def logged_out(self) -> None:
        """The connection is a stranger's again."""
        self.account = None
        self.framer.is_trusted = False
        self.framer.literal_octets = LITERAL_OCTETS
        self._restart()

    def restart_encrypted(self) -> None:
        """The handshake is done."""
        self.tls = True
        self.can_start_tls = False

    def _restart(self) -> None:
        self._bad = 0
        self._since = self.clock()

    # -- the loop ---------------------------------------------------------------------

    def _run(self) -> Steps[None]:
        try:
            self.write(capabilities(self) + status("OK", "mailstack is ready"))
            while not self.leaving:
                yield from self._next()
                yield from self.flush_full()
        except HangUp as end:
            self.write(status("BYE", end.text, end.code))
        except PeerGone:
            pass

    def _next(self) -> Steps[None]:
        """One command and its answer."""
        try:
            tokens = yield from self._read_line()
            if not tokens:
                return  # an empty line: some clients end a literal with one more
            entry, args = self._find(tokens)
            self._first = False
            self.write((yield from entry.run(self, args)))
        except Bad as bad:
            self._count_bad()
            self.write(status("NO", bad.text, bad.code))
        except Refused as refused:
            self.write(status("NO", refused.text, refused.code))
        except ScriptRefused as refused:
            self.write(status("NO", _sentence(refused.why), refused.code))
        except PermanentFailure as failure:
            self.write(status("NO", _sentence(failure.why)))
        except TemporaryFailure:
            # The reason in detail is for the operator's log; it may name files.
            self.write(status("NO", "Scripts cannot be used right now; try again later", "TRYLATER"))
        self._first = False

    def _find(self, tokens: list[Token]) -> tuple[Entry, Args]:
        name = tokens[0]
        entry = COMMANDS.get(name.word) if isinstance(name, Atom) else None
        if entry is None:
            if self._first:
                raise HangUp("This is a ManageSieve server")  # T63: a browser, most likely
            raise Bad("There is no such command")
        if self.state not in entry.states:
            raise Bad("Log in first" if self.account is None else "Already logged in")
        return entry, entry.check(tokens[1:])

    def _count_bad(self) -> None:
        self._bad += 1
        options = self.options
        most = options.max_bad_before_login if self.account is None else options.max_bad_after_login
        if self._bad >= most:
            raise HangUp("Too many invalid commands")

    def _read_line(self) -> Steps[list[Token]]:
        try:
            while (tokens := self.framer.next()) is None:
                yield from self._read_more()
        except Bad:
            if self._first:
                raise HangUp("This is a ManageSieve server") from None
            raise
        return tokens

    def _read_more(self) -> Steps[None]:
        wait = self.options.login_time_s if self.account is None else self.options.idle_time_s
        data = yield from ask(Read(self._since + wait, READ_OCTETS))
        if data is None:
            raise HangUp("Nothing came for too long")
        if not data:
            raise PeerGone
        if self.account is not None:
            self._since = self.clock()
        self.framer.feed(data)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
