"""A real SMTP server for tests, on loopback, that answers what the test says and keeps what it gets.

    with SmtpSink(replies={"rcpt": {"bad@x.test": "550 5.1.1 no"}, "end": ["451 later", "250 ok"]}) as sink:
        ... deliver to 127.0.0.1:sink.port ...
        sink.messages[0].recipients

A script is one reply for always, a list (one after the other, then the default), a dict by
address (for "rcpt" and "mail"), or a function of the argument.  Instead of a reply: CLOSE,
HANG (silence until the sink stops), RESET (the line is cut), SLOW (the usual reply octet by
octet), or octets sent as they are.  With `logins` nobody sends without AUTH.
"""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from mailstack.model.secret import Proof
from mailstack.sasl.steps import Challenge
from tests.kit.scram_server import scram_server

CLOSE, HANG, RESET, SLOW = "CLOSE", "HANG", "RESET", "SLOW"
Say = str | bytes
Script = Say | list[Say] | Mapping[str, Any] | Callable[[str], Say]

DEFAULTS = {
    "greeting": "220 sink.test ESMTP",
    "helo": "250 sink.test",
    "starttls": "220 go ahead",
    "auth": "235 2.7.0 welcome",
    "mail": "250 2.1.0 ok",
    "rcpt": "250 2.1.5 ok",
    "data": "354 go ahead",
    "end": "250 2.0.0 queued",
    "rset": "250 2.0.0 ok",
    "noop": "250 2.0.0 ok",
    "quit": "221 2.0.0 bye",
}
EXTENSIONS = ("PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "SIZE 52428800")


@dataclass(frozen=True)
class Received:
    """A message the sink took, or refused after the dot (`reply` tells).

    Attributes:
        data: dots undone, with CRLF line ends.
        parameters: of MAIL, and of RCPT by address.
        connection: number of the connection, from 1.
        login: who had logged in.
        peer: the client's address.
    """

    sender: str
    recipients: tuple[str, ...]
    data: bytes
    helo: str
    tls: str
    parameters: dict[str, str]
    reply: str
    connection: int
    at: float
    login: str = ""
    peer: str = ""

    @property
    def is_accepted(self) -> bool:
        return self.reply.startswith("2") or self.reply == SLOW


@dataclass
class SmtpSink:
    """The server; starts with the `with` block, or with `start`."""

    replies: dict[str, Script] = field(default_factory=dict)
    extensions: tuple[str, ...] = EXTENSIONS
    tls: tuple[str, str] | None = None
    tls_context: ssl.SSLContext | None = None
    secured_extensions: tuple[str, ...] | None = None
    unix: str = ""
    lmtp: bool = False
    host: str = "127.0.0.1"
    port: int = 0
    greeting_delay_s: float = 0.0
    end_delay_s: float = 0.0
    slow_s: float = 0.002
    implicit_tls: bool = False
    logins: Mapping[str, str] = field(default_factory=dict)
    #: The first messages are cut after so many octets.
    cuts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.all: list[Received] = []
        self.commands: list[str] = []
        self.connections = 0
        self.open_now = 0
        self.most_open = 0
        self.reads: list[bytes] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        if self.tls is not None and self.tls_context is None:
            self.tls_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls_context.load_cert_chain(*self.tls)
        if self.unix:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(self.unix)
            self._listener.listen(128)
            return
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._listener = socket.socket(family)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((self.host, self.port))
        self._listener.listen(128)
        self.port = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def messages(self) -> list[Received]:
        """Those that were answered with 2xx, or whose sender was left without an answer."""
        with self._lock:
            return [m for m in self.all if m.is_accepted or not m.reply[:1].isdigit()]

    def start(self) -> Self:
        thread = threading.Thread(target=self._accept, daemon=True)
        thread.start()
        self._threads.append(thread)
        return self

    def stop(self) -> None:
        """Cuts every connection."""
        self._stop.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            left = list(self._sockets)
        for connection in left:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def wait_for(self, count: int, timeout_s: float = 60.0) -> list[Received]:
        """Returns once so many messages were taken."""
        until = time.monotonic() + timeout_s
        while len(self.messages) < count:
            assert time.monotonic() < until, f"{len(self.messages)} of {count} messages within {timeout_s} s"
            time.sleep(0.005)
        return self.messages

    # -- inside -------------------------------------------------------------------------

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self.open_now += 1
                self.most_open = max(self.most_open, self.open_now)
                self._sockets.add(connection)
                number = self.connections
            thread = threading.Thread(target=self._serve, args=(connection, number), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _serve(self, connection: socket.socket, number: int) -> None:
        talk = _Talk(self, connection, number)
        try:
            if not self._stop.is_set():
                talk.run()
        except (OSError, _Over):
            pass
        finally:
            with self._lock:
                self._sockets -= {connection, talk.connection}
                self.open_now -= 1
            with contextlib.suppress(OSError):
                talk.connection.close()

    def choose(self, step: str, argument: str, *, is_secured: bool = False) -> Say:
        """What to say now."""
        with self._lock:
            script: Any = self.replies.get(step)
            if isinstance(script, Mapping):
                script = script.get(argument)
            if isinstance(script, list):
                script = script.pop(0) if script else None
            if callable(script):
                script = script(argument)
            if script is None:
                script = self._default(step, is_secured=is_secured)
            return script  # type: ignore[no-any-return]

    def _default(self, step: str, *, is_secured: bool) -> str:
        if step != "ehlo":
            return DEFAULTS[step]
        offered = self.extensions
        if is_secured and self.secured_extensions is not None:
            offered = self.secured_extensions
        lines = ["sink.test", *offered]
        return "\r\n".join([*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}"])


class _Over(Exception):
    pass


class _Talk:
    """One connection."""

    def __init__(self, sink: SmtpSink, connection: socket.socket, number: int) -> None:
        self.sink = sink
        self.connection = connection
        self.number = number
        name = connection.getpeername()
        self.peer = str(name[0]) if name and not isinstance(name, str) else ""
        self.held = b""
        self.helo = ""
        self.tls = ""
        self.login = ""
        self.reset()

    def reset(self) -> None:
        self.sender: str | None = None
        self.recipients: list[str] = []
        self.parameters: dict[str, str] = {}

    def say(self, step: str, argument: str = "") -> str:
        """Answers; gives the reply's text, or does what the script wants instead."""
        said = self.sink.choose(step, argument, is_secured=bool(self.tls))
        if said in (CLOSE, HANG, RESET):
            self.leave(str(said))
        if said == SLOW:
            return self.trickle(step)
        self.connection.sendall(said if isinstance(said, bytes) else said.encode() + b"\r\n")
        text = said.decode("latin-1") if isinstance(said, bytes) else said
        if text.startswith("421"):
            raise _Over
        return text

    def trickle(self, step: str) -> str:
        """The usual reply, octet by octet."""
        text = self.sink._default(step, is_secured=bool(self.tls))
        for octet in f"{text}\r\n".encode():
            self.connection.sendall(bytes([octet]))
            self.sink._stop.wait(self.sink.slow_s)
        return text

    def leave(self, how: str) -> None:
        if how == HANG:
            self.sink._stop.wait()
        elif how == RESET:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise _Over

    def read(self) -> bytes:
        data = self.connection.recv(65_536)
        if not data:
            raise _Over
        self.sink.reads.append(data)
        self.held += data
        return data

    def line(self) -> str:
        while b"\r\n" not in self.held:
            self.read()
        line, self.held = self.held.split(b"\r\n", 1)
        return line.decode("utf-8", "replace")

    def run(self) -> None:
        if self.sink.implicit_tls:
            self.secure()
        self.sink._stop.wait(self.sink.greeting_delay_s) if self.sink.greeting_delay_s else None
        if not self.say("greeting").startswith("220"):
            self.line()
            raise _Over
        while True:
            line = self.line()
            with self.sink._lock:
                self.sink.commands.append(line)
            verb, _, rest = line.partition(" ")
            handler = getattr(self, f"do_{verb.lower()}", None)
            if handler is None:
                self.connection.sendall(b"500 5.5.2 what?\r\n")
            else:
                handler(rest)

    def do_ehlo(self, rest: str) -> None:
        self.helo = rest
        self.reset()
        self.say("ehlo", rest)

    def do_lhlo(self, rest: str) -> None:
        self.do_ehlo(rest)

    def do_helo(self, rest: str) -> None:
        self.helo = rest
        self.reset()
        self.say("helo", rest)

    def do_starttls(self, rest: str) -> None:
        if self.say("starttls").startswith("220"):
            self.secure()

    def secure(self) -> None:
        context = self.sink.tls_context
        if context is None:
            raise _Over
        try:
            secured = context.wrap_socket(self.connection, server_side=True, do_handshake_on_connect=False)
            with self.sink._lock:
                self.sink._sockets.discard(self.connection)
                self.sink._sockets.add(secured)
            self.connection = secured
            if self.sink._stop.is_set():  # it may have cut the connection before this one took its place
                raise _Over
            secured.do_handshake()
        except OSError:
            raise _Over from None
        self.tls = secured.version() or ""
        self.held = b""
        self.reset()

    def do_auth(self, rest: str) -> None:
        if not self.sink.logins:
            self.say("auth", rest)
            return
        mechanism, _, first = rest.partition(" ")
        exchange = {"PLAIN": self.plain, "LOGIN": self.login_}.get(mechanism, self.scram)
        name = exchange(first)
        if name:
            self.login = f"{name} by {mechanism}"
            self.say("auth", rest)
        else:
            self.connection.sendall(b"535 5.7.8 wrong name or password\r\n")

    def ask(self, challenge: str) -> str:
        self.connection.sendall(f"334 {challenge}\r\n".encode())
        return self.line()

    def plain(self, first: str) -> str:
        _, name, password = base64.b64decode(first or self.ask("")).decode().split("\0")
        return name if self.sink.logins.get(name) == password else ""

    def login_(self, first: str) -> str:
        name, password = (
            base64.b64decode(self.ask(text)).decode() for text in ("VXNlcm5hbWU6", "UGFzc3dvcmQ6")
        )
        return name if self.sink.logins.get(name) == password else ""

    def scram(self, first: str) -> str:
        far = scram_server(plus=False, end_point=b"", accounts=self.sink.logins)
        line = first
        while isinstance(step := far.respond(line.encode()), Challenge):
            line = self.ask(step.line.decode())
        assert isinstance(step.password, Proof)
        return step.login if step.password.stored_key else ""

    def do_mail(self, rest: str) -> None:
        address, parameters = _path(rest)
        if self.sink.logins and not self.login:
            self.connection.sendall(b"530 5.7.0 log in first\r\n")
            return
        if self.sender is not None:
            self.connection.sendall(b"503 5.5.1 nested MAIL\r\n")
            return
        if self.say("mail", address).startswith("250"):
            self.sender = address
            self.parameters["mail"] = parameters

    def do_rcpt(self, rest: str) -> None:
        address, parameters = _path(rest)
        if self.sender is None:
            self.connection.sendall(b"503 5.5.1 MAIL first\r\n")
        elif self.say("rcpt", address).startswith("25"):
            self.recipients.append(address)
            self.parameters[address] = parameters

    def do_data(self, rest: str) -> None:
        if not self.recipients:
            self.connection.sendall(b"503 5.5.1 nobody to send to\r\n")
            return
        if not self.say("data").startswith("354"):
            return
        with self.sink._lock:
            cut = self.sink.cuts.pop(0) if self.sink.cuts else None
        while cut is not None and len(self.held) < cut:
            more = self.connection.recv(cut - len(self.held))
            self.held += more
            if not more:
                break
        if cut is not None:
            raise _Over
        while not (self.held.startswith(b".\r\n") or b"\r\n.\r\n" in self.held):
            self.read()
        if self.held.startswith(b".\r\n"):
            data, self.held = b"", self.held[3:]
        else:
            data, self.held = self.held.split(b"\r\n.\r\n", 1)
            data = (b"\r\n" + data).replace(b"\r\n..", b"\r\n.")[2:] + b"\r\n"
        self.finish(data)

    def do_bdat(self, rest: str) -> None:
        """One chunk, which is the last."""
        size = int(rest.partition(" ")[0])
        while len(self.held) < size:
            self.read()
        data, self.held = self.held[:size], self.held[size:]
        if not self.recipients:
            self.connection.sendall(b"503 5.5.1 nobody to send to\r\n")
            return
        self.finish(data)

    def finish(self, data: bytes) -> None:
        """Answers the end of a message; as LMTP once for each recipient."""
        self.sink._stop.wait(self.sink.end_delay_s) if self.sink.end_delay_s else None
        if self.sink.lmtp:
            answers = {r: str(self.sink.choose("end", r)) for r in self.recipients}
            self.recipients = [r for r in self.recipients if answers[r].startswith("2")]
            self.keep(data, "250 kept for some" if self.recipients else "550 for nobody")
            self.connection.sendall("".join(f"{said}\r\n" for said in answers.values()).encode())
            self.reset()
            return
        said = self.sink.choose("end", "")
        self.keep(data, said if isinstance(said, str) else said.decode("latin-1"))
        if said in (CLOSE, HANG, RESET):
            self.leave(str(said))
        if said == SLOW:
            self.trickle("end")
        else:
            self.connection.sendall(said if isinstance(said, bytes) else said.encode() + b"\r\n")
        self.reset()
        if str(said).startswith("421"):
            raise _Over

    def keep(self, data: bytes, reply: str) -> None:
        with self.sink._lock:
            self.sink.all.append(
                Received(
                    self.sender or "",
                    tuple(self.recipients),
                    data,
                    self.helo,
                    self.tls,
                    dict(self.parameters),
                    reply,
                    self.number,
                    time.monotonic(),
                    self.login,
                    self.peer,
                )
            )

    def do_rset(self, rest: str) -> None:
        self.reset()
        self.say("rset")

    def do_noop(self, rest: str) -> None:
        self.say("noop")

    def do_quit(self, rest: str) -> None:
        self.say("quit")
        raise _Over


def _path(text: str) -> tuple[str, str]:
    """Address and parameters of `FROM:<a@b> X=Y`."""
    path, _, parameters = text.partition(":")[2].partition(">")
    return path.lstrip("<"), parameters.strip()
