"""curl, fetchmail, getmail, mpop and poplib against a running instance."""

from __future__ import annotations

import os
import poplib
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit import debian
from tests.kit.demo import PASSWORD, Demo, new_account
from tests.kit.process import eventually

#: One begins with dots, one has bare line feeds and no end, as other programs leave them.
LETTERS = {
    "one": b"From: a@outside.test\r\nSubject: one\r\n\r\n.\r\n..two dots\r\nend\r\n",
    "two": b"From: a@outside.test\nSubject: two\n\nno end",
    "three": b"From: a@outside.test\r\nSubject: three\r\n\r\n" + b"line\r\n" * 20_000,
}


@pytest.fixture
def account(demo: Demo, request: pytest.FixtureRequest) -> str:
    """A fresh account with three messages."""
    address = new_account(demo, request)
    left(demo, address)  # makes the Maildir
    for number, (subject, letter) in enumerate(LETTERS.items()):
        drop(demo, address, f"179000000{number}.{subject}", letter)
    return address


def drop(demo: Demo, address: str, name: str, letter: bytes) -> None:
    """Another program delivers into the Maildir."""
    folder = demo.maildir(address)
    (folder / "tmp" / name).write_bytes(letter)
    (folder / "tmp" / name).rename(folder / "new" / name)


def log_in(client: poplib.POP3, address: str) -> None:
    client.user(address)
    client.pass_(PASSWORD)


def left(demo: Demo, address: str) -> int:
    client = poplib.POP3_SSL("localhost", demo.port("pop3s"), context=demo.tls())
    log_in(client, address)
    try:
        return client.stat()[0]
    finally:
        client.quit()


def restart_imap(demo: Demo) -> None:
    """The daemon ends and the supervisor starts it again."""
    before = demo.pids("imap")
    os.kill(before[0], signal.SIGTERM)
    eventually(lambda: before[0] not in demo.pids("imap") and len(demo.pids("imap")) == len(before))


@pytest.mark.parametrize("security", ["TLS", "STLS", "clear"])
def test_poplib_reads_exact_sizes_and_deletes(demo: Demo, account: str, security: str) -> None:
    # POP10; clear text is allowed in the demo, on loopback.
    if security == "TLS":
        client: poplib.POP3 = poplib.POP3_SSL("localhost", demo.port("pop3s"), context=demo.tls())
    else:
        client = poplib.POP3("localhost", demo.port("pop3"))
    if security == "STLS":
        client.stls(demo.tls())
    log_in(client, account)
    assert client.stat()[0] == 3
    sizes = [int(line.split()[1]) for line in client.list()[1]]
    bodies = [b"".join(line + b"\r\n" for line in client.retr(number)[1]) for number in (1, 2, 3)]
    assert [len(body) for body in bodies] == sizes and sum(sizes) == client.stat()[1]
    wanted = [letter.replace(b"\r\n", b"\n").rstrip(b"\n") + b"\n" for letter in LETTERS.values()]
    assert sorted(body.replace(b"\r\n", b"\n") for body in bodies) == sorted(wanted)
    client.dele(2)
    client.quit()
    assert left(demo, account) == 2


@pytest.mark.debian("curl")
@pytest.mark.parametrize("options", [("pop3s", ()), ("pop3", ("--ssl-reqd",)), ("pop3", ())])
def test_curl_lists_fetches_and_asks_for_ids(
    demo: Demo, account: str, options: tuple[str, tuple[str, ...]]
) -> None:
    scheme, more = options
    curl = debian.need("curl")
    base = f"{scheme}://localhost:{demo.port(scheme)}/"
    common = [curl, "-sS", "--cacert", demo.state["ca_file"], "-u", f"{account}:{PASSWORD}", *more]

    def run(*words: str) -> str:
        done = debian.run([*common, *words])
        assert done.returncode == 0, done.stdout
        return done.stdout

    assert len(run(base).split()) == 6
    assert "..two dots" in run(base + "1") and "Subject: one" in run(base + "1")
    assert len(run(base, "-X", "UIDL").splitlines()) == 3
    assert "Subject: two" in run(base, "-X", "TOP 2 0")
    assert run(base + "1", "-X", "DELE", "-l") == ""
    assert left(demo, account) == 2


def _fetchmail(demo: Demo, account: str, folder: Path, keep: bool) -> Callable[[], list[str]]:
    fetchmail = debian.need("fetchmail")
    box = folder / "box"
    box.touch()
    rc = folder / "fetchmailrc"
    rc.write_text(
        f"""
poll localhost service {demo.port("pop3s")} protocol POP3 {"uidl" if keep else ""}
  user "{account}" password "{PASSWORD}"
  ssl sslcertck sslcertfile "{demo.state["ca_file"]}"
  {"keep" if keep else "nokeep"} mda "/usr/bin/tee -a {box}"
"""
    )
    rc.chmod(0o600)

    def fetch() -> list[str]:
        before = box.stat().st_size
        done = debian.run(
            [fetchmail, "--fetchmailrc", rc, "--idfile", folder / "ids", "--pidfile", folder / "pid"],
            environ={**os.environ, "HOME": str(folder), "FETCHMAILHOME": str(folder), "LC_ALL": "C"},
        )
        assert done.returncode in (0, 1), done.stdout  # 1: there was nothing
        new = box.read_bytes()[before:].decode()
        return sorted(line[9:] for line in new.splitlines() if line.startswith("Subject: "))

    return fetch


def _getmail(demo: Demo, account: str, folder: Path, keep: bool) -> Callable[[], list[str]]:
    getmail = debian.need("getmail")
    rc = folder / "getmailrc"
    rc.write_text(
        f"""
[retriever]
type = SimplePOP3SSLRetriever
server = localhost
port = {demo.port("pop3s")}
username = {account}
password = {PASSWORD}
ca_certs = {demo.state["ca_file"]}
[destination]
type = MDA_external
path = /usr/bin/tee
arguments = ("-a", "{folder / "mbox"}")
allow_root_commands = true
[options]
read_all = false
delete = {"false" if keep else "true"}
"""
    )
    (folder / "mbox").touch()

    def fetch() -> list[str]:
        before = (folder / "mbox").stat().st_size
        done = debian.run(
            [getmail, "--getmaildir", folder, "--rcfile", rc], environ={**os.environ, "HOME": str(folder)}
        )
        assert done.returncode == 0, done.stdout
        new = (folder / "mbox").read_bytes()[before:].decode()
        return sorted(line[9:] for line in new.splitlines() if line.startswith("Subject: "))

    return fetch


def _mpop(demo: Demo, account: str, folder: Path, keep: bool) -> Callable[[], list[str]]:
    mpop = debian.need("mpop")
    rc = folder / "mpoprc"
    for part in ("new", "cur", "tmp"):
        (folder / "inbox" / part).mkdir(parents=True)
    rc.write_text(
        f"""
account default
host localhost
port {demo.port("pop3s")}
tls on
tls_starttls off
tls_trust_file {demo.state["ca_file"]}
user {account}
password "{PASSWORD}"
keep {"on" if keep else "off"}
uidls_file {folder / "uidls"}
delivery maildir {folder / "inbox"}
"""
    )
    rc.chmod(0o600)

    def fetch() -> list[str]:
        before = set((folder / "inbox" / "new").iterdir())
        done = debian.run([mpop, "--file", rc], environ={**os.environ, "HOME": str(folder)})
        assert done.returncode == 0, done.stdout
        new = set((folder / "inbox" / "new").iterdir()) - before
        lines = [line for path in new for line in path.read_text().splitlines()]
        return sorted(line[9:] for line in lines if line.startswith("Subject: "))

    return fetch


PROGRAMS = pytest.mark.parametrize(
    "program", [_fetchmail, _getmail, _mpop], ids=lambda each: each.__name__[1:]
)


@PROGRAMS
@pytest.mark.debian("fetchmail", "getmail", "mpop")
def test_a_program_that_keeps_mail_on_the_server_fetches_nothing_twice(
    demo: Demo, account: str, tmp_path: Path, program: Callable[..., Callable[[], list[str]]]
) -> None:
    # POP4
    fetch = program(demo, account, tmp_path, True)
    assert fetch() == ["one", "three", "two"]
    assert fetch() == []
    restart_imap(demo)
    assert fetch() == []
    (demo.maildir(account).parent / "cache.db").unlink(missing_ok=True)
    demo.cli("mailbox", "rebuild", account)
    assert fetch() == []
    drop(demo, account, "1790000009.four", LETTERS["one"].replace(b"one", b"four"))
    assert fetch() == ["four"]
    assert left(demo, account) == 4


@PROGRAMS
@pytest.mark.debian("fetchmail", "getmail", "mpop")
def test_a_program_that_takes_mail_away_leaves_none(
    demo: Demo, account: str, tmp_path: Path, program: Callable[..., Callable[[], list[str]]]
) -> None:
    fetch = program(demo, account, tmp_path, False)
    assert fetch() == ["one", "three", "two"]
    assert left(demo, account) == 0


def expiry(demo: Demo, address: str) -> list[str]:
    client = poplib.POP3_SSL("localhost", demo.port("pop3s"), context=demo.tls())
    log_in(client, address)
    try:
        return client.capa()["EXPIRE"]
    finally:
        client.quit()


def test_an_account_may_have_its_fetched_mail_deleted(demo: Demo, account: str) -> None:
    demo.cli("user", "set", account, "--pop3-delete-after-days", "30")
    assert demo.json("user", "show", account)["pop3_delete_after_days"] == 30
    eventually(lambda: expiry(demo, account) == ["30"])  # a change counts within a second
    demo.cli("user", "set", account, "--pop3-delete-after-days", "never")
    assert demo.json("user", "show", account)["pop3_delete_after_days"] is None
