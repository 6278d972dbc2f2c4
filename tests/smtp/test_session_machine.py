"""A session against a model of it: whatever is said in whatever order, both agree on each reply.

The model is written from RFC 5321, 3030, 3207 and 4954, and knows nothing of the code.
"""

from __future__ import annotations

from base64 import b64encode

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.kit.bare_smtp import BareSmtp

GOOD = b64encode(b"\0alice@example.test\0a$1 geheim").decode()
BAD = b64encode(b"\0alice@example.test\0wrong").decode()
#: No limit ends a session here: they have tests of their own.
PATIENCE = dict.fromkeys(
    ("errors", "errors_before_recipient", "junk_commands", "unknown_recipients", "login_failures"), "off"
)
TEXT = st.lists(
    st.sampled_from([b"a: b\r\n", b"\r\n", b".\r\n", b"..\r\n", b"QUIT\r\n", b"x"]), max_size=6
).map(b"".join)


class Sessions(RuleBasedStateMachine):
    """What is known of the session: hello, TLS, login, and the mail that is being sent."""

    @initialize(name=st.sampled_from(["mx", "submission", "submissions"]))
    def connect(self, name: str) -> None:
        self.peer = BareSmtp(name, mx_messages_per_session="off", **PATIENCE)  # type: ignore[arg-type]
        self.is_mx = name == "mx"
        self.has_tls = name == "submissions"
        self.has_login = self.has_hello = False
        self.taken: list[bytes] = []
        self._forget()

    def _forget(self) -> None:
        self.body = ""  # of the mail that has begun
        self.recipients: list[str] = []
        self.was_refused = self.is_failed = False
        self.chunks: list[bytes] | None = None

    def ask(self, line: str | bytes) -> str:
        return self.peer.ask(line)[:3]

    @property
    def needs_tls(self) -> bool:
        """RFC 3207 section 4: everything else is answered 530."""
        return not self.is_mx and not self.has_tls and self.has_hello

    # -- what may be said at any time -------------------------------------------------------

    @rule(verb=st.sampled_from(["EHLO", "HELO", "ehlo"]))
    def hello(self, verb: str) -> None:
        assert self.ask(f"{verb} client.example") == "250"
        self._forget()
        self.has_hello = True

    @rule(verb=st.sampled_from(["EHLO", "HELO"]))
    def hello_without_a_name(self, verb: str) -> None:
        said = self.ask(verb)
        if self.is_mx:
            assert said == "501"
        else:  # printers do not know their name
            assert said == "250"
            self._forget()
            self.has_hello = True

    @rule()
    def reset(self) -> None:
        if self.needs_tls:
            assert self.ask("RSET") == "530"
            return
        assert self.ask("RSET") == "250"
        self._forget()

    @rule(line=st.sampled_from(["NOOP", "noop x", "HELP", "EXPN x"]))
    def say_something(self, line: str) -> None:
        wanted = {"N": "250", "H": "214", "E": "502"}[line[0].upper()]
        assert self.ask(line) == wanted

    @rule(line=st.sampled_from(["FROB", "RSET x", "DATA x", "", "MAIL", "VRFY x"]))
    def say_nonsense(self, line: str) -> None:
        said = self.ask(line)
        if self.needs_tls and line not in ("FROB", ""):
            assert said == "530"
        elif line == "VRFY x":
            assert said == "252"
        elif line == "MAIL":
            assert said in ("501", "503", "530")
        else:
            assert said in ("500", "501")

    # -- TLS and login ------------------------------------------------------------------------

    @rule()
    def start_tls(self) -> None:
        said = self.ask("STARTTLS")
        if self.has_tls or self.body or not self.has_hello:
            assert said == "503"
            return
        assert said == "220"
        self.has_tls, self.has_hello = True, False
        self._forget()

    @rule(is_good=st.booleans(), in_one=st.booleans())
    def log_in(self, is_good: bool, in_one: bool) -> None:
        secret = GOOD if is_good else BAD
        said = self.ask(f"AUTH PLAIN {secret}" if in_one else "AUTH PLAIN")
        if self.needs_tls:
            assert said == "530"
        elif self.is_mx or not self.has_hello or self.has_login or self.body:
            assert said == "503"
        else:
            if not in_one:
                assert said == "334"
                said = self.ask(secret)
            assert said == ("235" if is_good else "535")
            self.has_login = is_good

    # -- a mail -------------------------------------------------------------------------------

    @rule(body=st.sampled_from(["7BIT", "8BITMIME", "BINARYMIME"]))
    def mail(self, body: str) -> None:
        said = self.ask(f"MAIL FROM:<alice@example.test> BODY={body}")
        if not self.has_hello:
            assert said == "503"
        elif not self.is_mx and not self.has_login:
            assert said == "530"
        elif self.body and not self.is_failed:
            assert said == "503"
        else:
            assert said == "250"
            self._forget()
            self.body = body

    @rule(local=st.sampled_from(["bob", "Bob", "alice", "any1", "nobody", "nobody2"]))
    def recipient(self, local: str) -> None:
        said = self.ask(f"RCPT TO:<{local}@example.test>")
        if self.needs_tls:
            assert said == "530"
        elif not self.body or self.is_failed or self.chunks is not None:
            assert said == "503"
        elif local.startswith("nobody"):
            assert said == "550"
            self.was_refused = True
        else:
            assert said == "250"
            if local.lower() not in self.recipients:
                self.recipients.append(local.lower())

    @property
    def refusal(self) -> str:
        """To a message, now; "" when it may come."""
        if not self.body or self.is_failed:
            return "503"
        if not self.recipients:
            return "554" if self.was_refused else "503"
        return ""

    @rule(text=TEXT)
    def data(self, text: bytes) -> None:
        said = self.ask("DATA")
        if self.needs_tls:
            assert said == "530"
        elif self.body == "BINARYMIME" or self.chunks is not None:
            assert said == "503"
        elif self.refusal:
            assert said == self.refusal
        else:
            assert said == "354"
            message = b"From: alice@example.test\r\n\r\n" + text
            if not message.endswith(b"\r\n"):
                message += b"\r\n"
            assert self.ask(message.replace(b"\r\n.", b"\r\n..") + b".") == "250"
            self._was_taken(message)

    @rule(text=TEXT, is_last=st.booleans())
    def chunk(self, text: bytes, is_last: bool) -> None:
        if not self.chunks:
            text = b"From: alice@example.test\r\n\r\n" + text
        refusal = self.refusal
        self.peer._lines.clear()
        self.peer.send(b"BDAT %d%s\r\n%s" % (len(text), b" LAST" if is_last else b"", text))
        said = [line[:3].decode() for line in self.peer._lines]
        assert said == [refusal or "250"]
        if refusal:
            self.is_failed = bool(self.body)
            return
        self.chunks = [*(self.chunks or []), text]
        if is_last:
            message = b"".join(self.chunks)
            is_open = self.body != "BINARYMIME" and not message.endswith(b"\r\n")
            self._was_taken(message + (b"\r\n" if is_open else b""))

    @rule(line=st.sampled_from(["BDAT", "BDAT -1", "BDAT x LAST", "BDAT 99999999999999999999"]))
    def chunk_without_a_size(self, line: str) -> None:
        assert self.ask(line) == "501"
        self.is_failed = bool(self.body)

    def _was_taken(self, message: bytes) -> None:
        self.taken.append(message)
        envelope, data, _ = self.peer.acceptor.taken[-1]
        assert data == message
        assert [r.address.local.lower() for r in envelope.recipients] == self.recipients
        assert envelope.body == self.body
        assert bool(envelope.client.login) == self.has_login
        self._forget()

    # -- always -------------------------------------------------------------------------------

    @invariant()
    def nothing_else_was_taken(self) -> None:
        if hasattr(self, "taken"):
            assert len(self.peer.acceptor.taken) == len(self.taken)
            assert (self.peer.session.account is not None) == self.has_login

    @precondition(lambda self: hasattr(self, "peer"))
    @rule()
    def speak_early(self) -> None:
        """Something behind a command that ends its group ends the session (RFC 2920 section 3.1)."""
        self.peer._lines.clear()
        self.peer.send(b"EHLO x\r\nMAIL FROM:<evil@b.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n")
        assert [line[:3] for line in self.peer._lines] == [b"554"]
        assert self.peer._closed
        self.connect("mx")


Sessions.TestCase.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestSessions = Sessions.TestCase
