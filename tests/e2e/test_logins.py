"""Logins of every protocol against running daemons with the limits of a real service.

The addresses of the loopback network stand for networks: the gate bans each by itself.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.kit.demo import PASSWORD, Demo, calm, new_account, running_demo
from tests.kit.process import eventually

HOME = "127.0.0.1"
_NETWORKS = itertools.count(2)
WRONG = "535 5.7.8 User name or password is wrong (the user name is the full address)"


def quick(text: str) -> str:
    """Errors beyond the fifth of a session are answered late, but not by a second each."""
    return calm(text, "error_delay_s = 0.1\n")


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("limited"), "--limits", change=quick) as running:
        yield running


@pytest.fixture
def account(limited: Demo, request: pytest.FixtureRequest) -> str:
    return new_account(limited, request)


def network() -> str:
    """An address that no other test of this file uses."""
    return f"127.0.1.{next(_NETWORKS)}"


class Line:
    """A connection to one of the ports, line by line."""

    def __init__(self, demo: Demo, name: str, *, source: str = HOME) -> None:
        self._name = name
        sock = socket.create_connection((HOME, demo.port(name)), 120, source_address=(source, 0))
        self._context = demo.tls()
        if name in ("submissions", "imaps", "pop3s"):
            sock = self._context.wrap_socket(sock, server_hostname="localhost")
        self._take(sock)
        self.greeting = self.reply()

    def _take(self, sock: socket.socket) -> None:
        self._sock = sock
        self._file = sock.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._sock.close()

    def line(self) -> str:
        """The next line; "" at the end."""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            return self._file.readline().decode("latin-1").rstrip("\r\n")
        return ""

    def reply(self) -> str:
        """The last line of an SMTP reply, or of an IMAP command with the tag `t`, or the next line."""
        while True:
            line = self.line()
            if not line or (line[3:4] != "-" and line[:2] != "* ") or line[:5] in ("* OK ", "* BYE"):
                return line

    def send(self, text: str) -> None:
        self._sock.sendall(text.encode("utf-8"))

    def ask(self, text: str) -> str:
        self.send(text + "\r\n")
        return self.reply()

    def start_tls(self) -> None:
        assert self.ask("STARTTLS")[:3] == "220"
        self._take(self._context.wrap_socket(self._sock, server_hostname="localhost"))


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def plain(login: str, password: str, acting_for: str = "") -> str:
    return b64(f"{acting_for}\0{login}\0{password}")


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@contextlib.contextmanager
def submission(demo: Demo, *, source: str = HOME, hello: bool = True) -> Iterator[Line]:
    with Line(demo, "submissions", source=source) as line:
        if hello:
            assert line.ask("EHLO client.example")[:3] == "250"
        yield line


def log_in(demo: Demo, protocol: str, login: str, password: str, *, source: str = HOME) -> str:
    """OK, or what was said."""
    match protocol:
        case "smtp":
            with submission(demo, source=source, hello=False) as line:
                if line.greeting[:3] != "220":
                    return line.greeting
                line.ask("EHLO client.example")
                said = line.ask(f"AUTH PLAIN {plain(login, password)}")
                return "OK" if said[:3] == "235" else said
        case "imap":
            with Line(demo, "imaps", source=source) as line:
                if line.greeting[:4] != "* OK":
                    return line.greeting
                octets = len(login.encode()), len(password.encode())
                said = line.ask(f"t LOGIN {{{octets[0]}+}}\r\n{login} {{{octets[1]}+}}\r\n{password}")
                return "OK" if said[:4] == "t OK" else said
        case _:
            with Line(demo, "pop3s", source=source) as line:
                if line.greeting[:3] != "+OK":
                    return line.greeting
                said = line.ask(f"USER {login}")
                said = line.ask(f"PASS {password}")
                return "OK" if said[:3] == "+OK" else said


ALL = ("smtp", "imap", "pop3")


def test_login_is_offered_under_tls_on_the_submission_ports_alone(limited: Demo) -> None:
    # A1
    with Line(limited, "mx") as line:
        line.send("EHLO client.example\r\n")
        offered = []
        while (said := line.line())[3:4] == "-":
            offered.append(said)
        assert not any("AUTH" in one for one in [*offered, said])
        assert line.ask(f"AUTH PLAIN {plain('a', 'b')}")[:9] == "503 5.5.1"
    with Line(limited, "submission") as line:
        line.send("EHLO client.example\r\n")
        offered = []
        while (said := line.line())[3:4] == "-":
            offered.append(said)
        assert not any("AUTH" in one for one in [*offered, said])
        assert line.ask(f"AUTH PLAIN {plain('a', 'b')}")[:9] == "530 5.7.0"
        assert line.ask("AUTH LOGIN")[:9] == "530 5.7.0"
        line.start_tls()
        line.send("EHLO client.example\r\n")
        offered = []
        while (said := line.line())[3:4] == "-":
            offered.append(said[4:])
        words = next(one for one in [*offered, said[4:]] if one.startswith("AUTH ")).split()
        assert {"PLAIN", "LOGIN"} <= set(words)
        # What some old printers look for.
        assert any(one.startswith("AUTH=LOGIN") for one in [*offered, said[4:]])


@pytest.mark.parametrize(
    "argument",
    [
        "not base64!", "YWJj*", "YWI", b64("no nul"), b64("a\0b"), b64("a\0b\0c\0d"), b64("\0\0secret"),
        b64("\0name\0"), plain("a", "b") + "=", plain("a", "b") + " x", "=",
    ],
)  # fmt: skip
def test_broken_plain_is_a_syntax_error_and_leaves_a_clean_state(
    limited: Demo, account: str, argument: str
) -> None:
    # A2
    with submission(limited) as line:
        assert line.ask(f"AUTH PLAIN {argument}")[:9] == "501 5.5.2"
        assert line.ask("NOOP")[:3] == "250"
        assert line.ask(f"AUTH PLAIN {plain(account, PASSWORD)}")[:9] == "235 2.7.0"


def test_a_megabyte_of_login_ends_the_connection(limited: Demo) -> None:
    # A2
    with submission(limited) as line:
        with contextlib.suppress(OSError):
            line.send("AUTH PLAIN " + "A" * 1_000_000 + "\r\nNOOP\r\n")
        assert line.reply()[:9] in ("501 5.5.2", "500 5.5.2", "")
        rest = [line.line() for _ in range(3)]
        assert not any(one.startswith("250") for one in rest) and rest[-1] == ""


def test_login_may_be_cancelled_and_begins_again(limited: Demo, account: str) -> None:
    # A3
    with submission(limited) as line:
        assert line.ask("AUTH LOGIN") == "334 VXNlcm5hbWU6"
        assert line.ask("*")[:9] == "501 5.5.2"
        assert line.ask("AUTH LOGIN " + b64(account)) == "334 UGFzc3dvcmQ6"
        assert line.ask("*")[:9] == "501 5.5.2"
        assert line.ask("AUTH LOGIN") == "334 VXNlcm5hbWU6"
        assert line.ask("MAIL FROM:<x>")[:9] == "501 5.5.2", "a response, not a command"
        for _ in range(10):
            assert line.ask("AUTH LOGIN")[:3] in ("334", "421")
            if line.ask("*")[:3] != "501":
                break
    with submission(limited) as line:
        assert line.ask("auth login") == "334 VXNlcm5hbWU6"
        assert line.ask(b64(account)) == "334 UGFzc3dvcmQ6"
        assert line.ask(b64(PASSWORD))[:9] == "235 2.7.0"


def test_who_is_logged_in_or_sends_does_not_log_in(limited: Demo, account: str) -> None:
    # A4
    with submission(limited) as line:
        assert line.ask(f"AUTH PLAIN {plain(account, PASSWORD)}")[:3] == "235"
        assert line.ask(f"AUTH PLAIN {plain(account, PASSWORD)}")[:9] == "503 5.5.1"
        assert line.ask(f"MAIL FROM:<{account}>")[:3] == "250"
        assert line.ask("AUTH LOGIN")[:9] == "503 5.5.1"
        assert line.ask("RSET")[:3] == "250"


def test_nobody_acts_for_another_user(limited: Demo, account: str) -> None:
    # A5
    with submission(limited) as line:
        assert line.ask(f"AUTH PLAIN {plain(account, PASSWORD, 'alice@example.test')}") == WRONG
        assert line.ask(f"AUTH PLAIN {plain(account, PASSWORD, account)}")[:3] == "235"


def test_who_would_act_for_another_is_counted_in_imap_and_pop3_too(limited: Demo, account: str) -> None:
    # A5
    line = plain(account, PASSWORD, "alice@example.test")
    with Line(limited, "imaps") as imap, Line(limited, "pop3s") as pop3:
        assert imap.ask(f"t AUTHENTICATE PLAIN {line}").startswith("t NO [AUTHENTICATIONFAILED]")
        assert pop3.ask(f"AUTH PLAIN {line}").startswith("-ERR [AUTH]")
    shown = limited.cli("log", "show", account)
    eventually(
        lambda: limited.cli("log", "show", account).count("may not act for") == 2, explain=lambda: shown
    )


@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2", "CRAM-MD5", "NTLM", "GSSAPI", "EXTERNAL"])
def test_what_is_not_offered_is_not_known(limited: Demo, mechanism: str) -> None:
    # A18
    with submission(limited) as line:
        assert line.ask(f"AUTH {mechanism} {b64('user=x')}")[:9] == "504 5.5.4"


@pytest.mark.parametrize(
    "password",
    ["$HOME `id` $(id) !x", "a\"b\\c'd%n{}", "  spaces at both ends  ", "Ünï pässwörd ½ 漢字", "x" * 1_024],
    ids=["shell", "quotes", "spaces", "unicode", "long"],
)
@pytest.mark.parametrize("protocol", ALL)
def test_any_character_is_good_in_a_password(
    limited: Demo, account: str, protocol: str, password: str
) -> None:
    # A13
    password = "0123456789abcdef" * 64 if password.startswith("xxx") else password
    limited.cli("user", "passwd", account, "--password-stdin", stdin=password + "\n")
    if protocol == "pop3" and len(password) > 200:
        pytest.skip("RFC 2449 section 4: a POP3 command has 255 octets")
    assert log_in(limited, protocol, account, password) == "OK"
    if protocol == "smtp":
        with submission(limited) as line:
            assert line.ask(f"AUTH LOGIN {b64(account)}")[:3] == "334"
            assert line.ask(b64(password))[:3] == "235"


def test_an_app_password_is_good_for_its_protocols(limited: Demo, account: str) -> None:
    # A14
    made = {
        scope: limited.json("apppw", "add", account, "--name", scope, "--scope", scope)["password"]
        for scope in ALL
    }
    for scope, password in made.items():
        said = {protocol: log_in(limited, protocol, account, password) for protocol in ALL}
        assert said.pop(scope) == "OK"
        assert "OK" not in said.values()
        assert said.get("smtp", WRONG) == WRONG
        assert said.get("imap", "[AUTHENTICATIONFAILED]").find("[AUTHENTICATIONFAILED]") >= 0
        assert said.get("pop3", "[AUTH]").find("[AUTH]") >= 0

    def uses() -> list[str]:
        return [one["last_used_for"] for one in limited.json("apppw", "list", account)]

    eventually(lambda: uses() == list(ALL), explain=lambda: str(uses()))
    limited.cli("apppw", "revoke", account, "imap")
    assert "[AUTHENTICATIONFAILED]" in log_in(limited, "imap", account, made["imap"])


def test_names_that_mean_something_elsewhere_are_wrong_users(limited: Demo) -> None:
    # A6
    names = (
        "nobody@example.test",
        "a\r\nb",
        "%n",
        "' OR 1=1",
        "*)(uid=*",
        "x" * 8_000,
        "alice@EXAMPLE.test\0"[:-1],
    )
    for name in names:
        with submission(limited, source=network()) as line:
            assert line.ask(f"AUTH PLAIN {plain(name, 'wrong')}") == WRONG, name
    for text in limited.log().splitlines():
        assert text.isprintable()


def test_guessing_over_all_protocols_shuts_a_network_out_of_all_of_them(limited: Demo, account: str) -> None:
    # A7
    guesser, neighbour = network(), network()
    for n in range(10):
        said = log_in(limited, ALL[n % 3], f"guess{n}@example.test", "wrong", source=guesser)
        assert "until" not in said, (n, said)
    words = "Logins from your network are not taken until"
    for protocol in ALL:
        said = log_in(limited, protocol, account, PASSWORD, source=guesser)
        assert words in said
        assert said.startswith(
            {"smtp": "421 4.7.0 ", "imap": "* BYE [UNAVAILABLE] ", "pop3": "-ERR "}[protocol]
        )
        assert log_in(limited, protocol, account, PASSWORD, source=neighbour) == "OK"
    with Line(limited, "submission", source=guesser) as line:
        assert line.greeting.startswith("421 4.7.0")
        assert line.line() == ""
    # Its mail server may send mail to us all the same.
    with Line(limited, "mx", source=guesser) as line:
        assert line.greeting.startswith("220")
    ban = next(one for one in limited.json("ban", "list") if one["network"] == f"{guesser}/32")
    assert ban["by"] == "wrong passwords" and "for 10 logins" in ban["why"]
    eventually(lambda: "at=connect check=banned code=421 status=4.7.0" in limited.log(), explain=limited.log)
    limited.cli("ban", "clear", guesser)
    assert [log_in(limited, protocol, account, PASSWORD, source=guesser) for protocol in ALL] == ["OK"] * 3


def test_a_stale_phone_is_no_attack(limited: Demo, account: str) -> None:
    # A8
    phone = network()
    for _ in range(60):
        assert "[AUTHENTICATIONFAILED]" in log_in(limited, "imap", account, "the old password", source=phone)
    assert log_in(limited, "imap", account, PASSWORD, source=phone) == "OK"


def test_wrong_passwords_wait(limited: Demo, account: str) -> None:
    guesser = network()
    for n in range(3):
        log_in(limited, "imap", account, f"guess {n}", source=guesser)
    with Line(limited, "imaps", source=guesser) as line:
        line.send(f"t LOGIN {quoted(account)} {quoted('guess 4')}\r\n")
        line._sock.settimeout(1.0)
        with pytest.raises(TimeoutError):
            line._sock.recv(1)
        # The right one does not wait for it, from there or elsewhere.
        assert log_in(limited, "imap", account, PASSWORD, source=guesser) == "OK"
        assert log_in(limited, "smtp", account, PASSWORD) == "OK"


def test_an_account_guessed_at_from_everywhere_is_slow_for_strangers(limited: Demo, account: str) -> None:
    # A9
    assert log_in(limited, "imap", account, PASSWORD) == "OK"
    sources = [network() for _ in range(34)]

    def guess(n: int) -> str:
        return log_in(limited, ALL[n % 3], account, f"guess {n}", source=sources[n // 3])

    with ThreadPoolExecutor(8) as threads:
        assert "OK" not in list(threads.map(guess, range(102)))

    def is_answered_at_once(source: str) -> bool:
        with Line(limited, "imaps", source=source) as line:
            line.send(f"t LOGIN {quoted(account)} {quoted('wrong')}\r\n")
            line._sock.settimeout(3.0)
            with contextlib.suppress(TimeoutError):
                return bool(line._sock.recv(1))
            return False

    assert not is_answered_at_once(network())
    assert log_in(limited, "smtp", account, PASSWORD) == "OK"
    eventually(lambda: "is guessed at" in limited.cli("log", "show", account), explain=limited.log)


@pytest.mark.parametrize("change", ["password", "suspended", "removed", "revoked"])
def test_open_sessions_end_with_what_they_were_made_with(limited: Demo, account: str, change: str) -> None:
    # A15, A16
    secret = PASSWORD
    if change == "revoked":
        secret = limited.json("apppw", "add", account, "--name", "phone")["password"]
    with (
        submission(limited) as idle,
        submission(limited) as busy,
        Line(limited, "imaps") as imap,
        Line(limited, "pop3s") as pop3,
    ):
        for line in (idle, busy):
            assert line.ask(f"AUTH PLAIN {plain(account, secret)}")[:3] == "235"
        assert busy.ask(f"MAIL FROM:<{account}>")[:3] == "250"
        assert imap.ask(f"t LOGIN {quoted(account)} {quoted(secret)}")[:4] == "t OK"
        assert pop3.ask(f"USER {account}")[:3] == "+OK"
        assert pop3.ask(f"PASS {secret}")[:3] == "+OK"
        match change:
            case "password":
                limited.cli("user", "passwd", account, "--password", "a new pass word 9")
            case "suspended":
                limited.cli("user", "set", account, "--disable")
            case "removed":
                limited.cli("user", "remove", account)
            case "revoked":
                limited.cli("apppw", "revoke", account, "phone")
        said: list[str] = []

        def is_refused() -> bool:  # what was looked up a hundredth of a second ago still counts
            said.append(busy.ask("RCPT TO:<alice@example.test>"))
            return not said[-1].startswith("250")

        eventually(is_refused)
        assert said[-1][:10] in ("530 5.7.13", "421 4.7.0 "), said
        assert idle.reply().startswith("421 4.7.0 The account was suspended or its password changed")
        assert idle.line() == ""
        assert imap.reply().startswith("* BYE This account was suspended, or its password changed")
        assert pop3.line().startswith("-ERR")
        assert pop3.line() == ""


def test_the_log_says_who_what_and_why(limited: Demo, account: str) -> None:
    limited.cli("apppw", "add", account, "--name", "scanner", "--scope", "smtp")
    app = limited.json("apppw", "add", account, "--name", "laptop", "--scope", "imap")["password"]
    log_in(limited, "imap", account, app)
    log_in(limited, "smtp", account, app)
    log_in(limited, "pop3", account, "wrong")

    def said() -> str:
        return limited.cli("log", "show", account) + limited.cli("log", "explain", account, check=False)

    wanted = [
        "with the app password laptop",
        "'laptop' is not for smtp",
        "the password does not match",
        "rule           An app password is good for the protocols it was made for.",
        "configuration  smtp.login_delays_s",
        "'mailstack apppw list' shows them",
    ]
    eventually(lambda: all(text in said() for text in wanted), explain=said)


async def test_two_hundred_logins_at_once(limited: Demo) -> None:
    # A10: each gets an answer (within ten seconds on a machine of its own), others are served
    # meanwhile, memory is bounded.
    def peak_kib() -> int:
        lines = [
            line
            for pid in limited.pids("smtp") + limited.pids("imap")
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if line.startswith("VmHWM")
        ]
        return sum(int(line.split()[1]) for line in lines)

    def guess(n: int) -> str:
        source = f"127.0.{2 + n // 10}.{n % 10 + 1}"
        with submission(limited, source=source) as line:
            began = time.monotonic()
            said = line.ask(f"AUTH PLAIN {plain(f'user{n}@example.test', 'wrong')}")
            return said if time.monotonic() - began < 90 else f"late: {said}"

    before = peak_kib()
    with ThreadPoolExecutor(200) as threads:
        loop = asyncio.get_running_loop()
        tasks = [loop.run_in_executor(threads, guess, n) for n in range(200)]
        for _ in range(5):
            with Line(limited, "mx") as line:
                assert line.ask("EHLO client.example")[:3] == "250"
        answers = await asyncio.gather(*tasks)
    assert {answer[:9] for answer in answers} <= {"535 5.7.8", "454 4.7.0"}
    assert answers.count(WRONG) >= 64
    assert peak_kib() - before < 200 * 1024
