"""ManageSieve against running daemons: sieve-connect, sievelib's client, openssl, one like Thunderbird's."""

from __future__ import annotations

import contextlib
import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from sievelib import managesieve

from tests.kit import debian
from tests.kit.demo import PASSWORD, Demo
from tests.kit.managesieve_client import Client
from tests.kit.process import eventually

SCRIPT = (
    'require ["fileinto", "mailbox"];\r\nif header :contains "subject" "é" {\r\n'
    '  fileinto :create "Sorted";\r\n}\r\n'
)
NAME = 'ä "quoted" name'
#: Three mistakes, one a line.
BAD = 'foo;\r\nrequire "nothing";\r\nif true { bar }\r\n'


@contextlib.contextmanager
def thunderbird(demo: Demo, account: str, password: str = PASSWORD) -> Iterator[Client]:
    with Client("localhost", demo.port("sieve"), demo.tls()) as client:
        assert client.log_in(account, password).kind == "OK"
        yield client


# -- sieve-connect --------------------------------------------------------------------------


@pytest.mark.debian("sieve-connect")
def test_sieve_connect_puts_checks_lists_activates_fetches_and_deletes(
    demo: Demo, account: str, tmp_path: Path
) -> None:
    program = debian.need("sieve-connect")
    good, bad, back = tmp_path / "good.sieve", tmp_path / "bad.sieve", tmp_path / "back.sieve"
    good.write_bytes(SCRIPT.encode())
    bad.write_bytes(BAD.encode())
    server = ("--nosrv", "--server", "localhost", "--port", str(demo.port("sieve")))
    login = ("--user", account, "--passwordfd", "0", "--tlscafile", demo.state["ca_file"])

    def run(*words: str | Path, code: int = 0) -> str:
        done = debian.run([program, *server, *login, *words], stdin=PASSWORD + "\n")
        assert done.returncode == code, done.stdout
        return done.stdout

    def files(local: Path, remote: str) -> tuple[str | Path, ...]:
        return ("--localsieve", local, "--remotesieve", remote)

    run("--upload", *files(good, "main"))
    run("--upload", *files(good, "other"))
    run("--activate", "--remotesieve", "main")
    assert run("--list").splitlines() == ['"main" ACTIVE', '"other"']
    said = run("--upload", *files(bad, "main"), code=1)
    assert "line 1, column 1: " in said and "line 2, column 1: " in said and "line 3, column 14: " in said
    assert "line 1, column 1: " in run("--checkscript", "--localsieve", bad, code=1)
    run("--checkscript", "--localsieve", good)
    run("--download", *files(back, "main"))
    assert back.read_bytes().replace(b"\r\n", b"\n") == good.read_bytes().replace(b"\r\n", b"\n")
    run("--delete", "--remotesieve", "other")
    run("--delete", "--remotesieve", "main", code=1)
    run("--deactivate")
    assert run("--list").splitlines() == ['"main"']


# -- sievelib -------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_sievelibs_client_does_all_it_can(
    demo: Demo, account: str, mechanism: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", demo.state["ca_file"])
    client = managesieve.Client("localhost", demo.port("sieve"))
    assert client.connect(account, PASSWORD, starttls=True, authmech=mechanism)
    assert client.get_implementation() == "mailstack"
    assert "fileinto" in client.get_sieve_capabilities()
    assert client.listscripts() == (None, [])
    assert client.havespace("main", 100)
    assert not client.havespace("main", 1_000_000)
    assert client.errcode == b"QUOTA/MAXSIZE"
    assert client.putscript("main", SCRIPT) and client.putscript("two words, é", "keep;")
    assert client.setactive("main")
    active, others = client.listscripts()
    assert (active, others) == ("main", ["two words, é"])
    assert client.getscript("main").replace("\r\n", "\n").strip() == SCRIPT.replace("\r\n", "\n").strip()
    assert not client.putscript("main", BAD)
    assert b"line 3, column 14: " in client.errmsg
    # A warning behind OK does not upset it.
    assert client.putscript("later", 'require "include"; include "missing";')
    assert client.checkscript(SCRIPT) and not client.checkscript(BAD)
    assert not client.deletescript("main") and client.errcode == b"ACTIVE"
    assert client.renamescript("later", "été") and client.deletescript("été")
    assert client.setactive("") and client.deletescript("main")
    assert client.listscripts() == (None, ["two words, é"])
    client.logout()


def test_sievelibs_client_is_told_of_a_wrong_password(
    demo: Demo, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", demo.state["ca_file"])
    client = managesieve.Client("localhost", demo.port("sieve"))
    assert not client.connect(account, "wrong", starttls=True, authmech="PLAIN")


# -- one like Thunderbird's -----------------------------------------------------------------


def test_a_client_that_pipelines_and_writes_literals(demo: Demo, account: str) -> None:
    with thunderbird(demo, account) as client:
        assert client.command(b"CAPABILITY").lines[-1] == [b"OWNER", account.encode()]
        client.send(b"PUTSCRIPT", NAME, SCRIPT)
        client.send(b"PUTSCRIPT", "bad", BAD)
        client.send(b"SETACTIVE", NAME)
        client.send(b"LISTSCRIPTS")
        client.send(b"GETSCRIPT", NAME)
        client.send(b"CHECKSCRIPT", SCRIPT)
        client.send(b"NOOP", "two\r\nlines")
        client.send(b"DELETESCRIPT", NAME)
        assert [client.response().kind for _ in range(3)] == ["OK", "NO", "OK"]
        listed, fetched, checked, tagged, deleted = (client.response() for _ in range(5))
        assert listed.lines == [[NAME.encode(), b"ACTIVE"]]
        assert fetched.lines == [[SCRIPT.encode()]]
        assert checked.kind == "OK" and tagged.argument == b"two\r\nlines"
        assert deleted.code == "ACTIVE"


def test_an_editor_session_from_the_first_look_to_the_mail_that_is_sorted(demo: Demo, account: str) -> None:
    with thunderbird(demo, account) as client:
        for command in ((b"LISTSCRIPTS",), (b"HAVESPACE", "main", len(SCRIPT))):
            assert client.command(*command).kind == "OK"
        wrong = client.command(b"CHECKSCRIPT", BAD)
        assert wrong.kind == "NO" and len(wrong.text.split("\r\n")) >= 3
        assert client.command(b"PUTSCRIPT", "main", SCRIPT.replace("é", "sorted mail")).kind == "OK"
        assert client.command(b"SETACTIVE", "main").kind == "OK"
        assert client.command(b"LISTSCRIPTS").lines == [[b"main", b"ACTIVE"]]
        _send(demo, account, "sorted mail")
        eventually(lambda: _is_sorted(demo, account), explain=lambda: demo.cli("log", "show", account))
        assert client.command(b"LOGOUT").kind == "OK"
    assert [one["name"] for one in demo.json("sieve", "list", account)] == ["main"]
    changes = [event["fields"]["change"] for event in demo.events(account, "script", 2)]
    assert changes == ["stored", "activated"]


def _send(demo: Demo, to: str, subject: str) -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "bob@outside.test", to, subject
    mail["Message-ID"] = f"<{abs(hash(to))}@outside.test>"
    mail.set_content("hello")
    with smtplib.SMTP(demo.host, demo.port("mx")) as smtp:
        smtp.send_message(mail)


def _is_sorted(demo: Demo, account: str) -> bool:
    events = demo.json("log", "show", account)
    return any(event["event"] == "filed" and event["fields"]["mailbox"] == "Sorted" for event in events)


def test_scopes_and_changed_passwords_count(demo: Demo, account: str) -> None:
    # A15: an open session ends within a second.
    rules = demo.json("apppw", "add", account, "--name", "rules", "--scope", "sieve")["password"]
    phone = demo.json("apppw", "add", account, "--name", "phone", "--scope", "imap")["password"]
    with thunderbird(demo, account, rules) as client:
        assert client.command(b"UNAUTHENTICATE").kind == "OK"
        assert client.log_in(account, phone).kind == "NO"
        assert client.command(b"LISTSCRIPTS").kind == "NO"
        assert client.log_in(account, rules).kind == "OK"
        demo.cli("user", "set", account, "--disable")
        assert client.response().kind == "BYE"


@pytest.mark.debian("openssl")
def test_openssl_s_client_gets_through_starttls(demo: Demo) -> None:
    openssl = debian.need("openssl")
    words = ["s_client", "-quiet", "-crlf", "-starttls", "sieve", "-verify_return_error"]
    done = debian.run(
        [openssl, *words, "-CAfile", demo.state["ca_file"], "-connect", f"localhost:{demo.port('sieve')}"],
        stdin="NOOP\nLOGOUT\n",
    )
    assert 'OK "TLS is active"' in done.stdout
    assert 'OK "Done"' in done.stdout and 'OK "Goodbye"' in done.stdout
