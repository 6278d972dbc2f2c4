"""A printer of long ago: SMTP spoken line by line through `openssl s_client -tls1`."""

from __future__ import annotations

import base64
import contextlib
import subprocess
from collections.abc import Iterator
from typing import IO

from tests.kit.debian import need

WAIT_S = 60


class OldPrinter:
    """One connection.  `heard`: every line of the server, in order."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in: IO[bytes] = process.stdin
        self._out: IO[bytes] = process.stdout
        self.heard: list[str] = []

    def reply(self) -> str:
        """The last line of the next reply; "" at the end."""
        while True:
            line = self._out.readline().decode().rstrip("\r\n")
            if line:
                self.heard.append(line)
            if not line or line[3:4] != "-":
                return line

    def say(self, line: str) -> str:
        """A command, with CRLF; gives its reply."""
        self.send(line.encode() + b"\r\n")
        return self.reply()

    def send(self, octets: bytes) -> None:
        """As they are."""
        with contextlib.suppress(BrokenPipeError):
            self._in.write(octets)
            self._in.flush()

    def log_in(self, user: str, password: str) -> str:
        """AUTH LOGIN, prompt by prompt."""
        for line in ("AUTH LOGIN", _b64(user)):
            answer = self.say(line)
            if not answer.startswith("334"):
                return answer
        return self.say(_b64(password))

    def scan(self, *, sender: str, to: str, message: bytes) -> str:
        """A whole mail; the last reply, or the first that is no good."""
        for line in (f"MAIL FROM: {sender}", f"RCPT TO: {to}", "DATA"):
            answer = self.say(line)
            if answer[:1] not in "23":
                return answer
        self.send(message + b"\r\n.\r\n")
        return self.reply()


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@contextlib.contextmanager
def old_printer(
    port: int, *, bind: str = "", tls: str = "-tls1", starttls: bool = False, ciphers: str = "ALL"
) -> Iterator[OldPrinter]:
    """Connects to 127.0.0.1; the greeting is not read yet (with STARTTLS, s_client reads it).

    Args:
        bind: the address it comes from.
        tls: "-tls1", "-tls1_1" or "-tls1_2".
    """
    command = [need("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", "-quiet", "-ign_eof", tls]
    command += ["-cipher", f"{ciphers}:@SECLEVEL=0", "-noservername"]
    command += ["-bind", f"{bind}:0"] if bind else []
    command += ["-starttls", "smtp"] if starttls else []
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
    )
    try:
        yield OldPrinter(process)
    finally:
        process.kill()
        process.communicate(timeout=WAIT_S)
