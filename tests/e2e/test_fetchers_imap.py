"""offlineimap, fetchmail and getmail over IMAP against a running instance."""

from __future__ import annotations

import imaplib
import os
from pathlib import Path

import pytest

from tests.e2e.test_clients_imap import deliver
from tests.kit import debian
from tests.kit.demo import PASSWORD, Demo


def _environ(folder: Path) -> dict[str, str]:
    return {**os.environ, "HOME": str(folder)}


def _imap(demo: Demo, account: str) -> imaplib.IMAP4_SSL:
    client = imaplib.IMAP4_SSL("localhost", demo.port("imaps"), ssl_context=demo.tls())
    client.login(account, PASSWORD)
    return client


@pytest.mark.debian("offlineimap")
def test_offlineimap_keeps_both_sides_equal(demo: Demo, account: str, tmp_path: Path) -> None:
    local = tmp_path / "mail"
    rc = tmp_path / "offlineimaprc"
    rc.write_text(
        f"""
[general]
accounts = all
metadata = {tmp_path}/meta
[Account all]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = {local}
[Repository far]
type = IMAP
remotehost = localhost
remoteport = {demo.port("imaps")}
remoteuser = {account}
remotepass = {PASSWORD.replace("%", "%%")}
ssl = yes
sslcacertfile = {demo.state["ca_file"]}
"""
    )

    def sync() -> None:
        done = debian.run(
            ["offlineimap", "-c", rc, "-o", "-1", "-u", "basic"], environ=_environ(tmp_path), timeout_s=120
        )
        assert done.returncode == 0, done.stdout

    for number in range(5):
        deliver(demo, f"off-{number}", account)
    sync()
    names = sorted([*(local / "INBOX" / "new").iterdir(), *(local / "INBOX" / "cur").iterdir()])
    assert len(names) == 5
    assert (local / "Sent").is_dir()
    # Here: one is read, one is gone, one is new.  There: one is flagged.
    seen, gone = (next(p for p in names if mark in p.read_bytes()) for mark in (b"off-1", b"off-2"))
    seen.rename(local / "INBOX" / "cur" / (seen.name.partition(":")[0] + ":2,S"))
    gone.unlink()
    (local / "INBOX" / "new" / "1790000000_0.1.here,U=0").write_bytes(
        b"From: a@outside.test\nSubject: from-here\nMessage-ID: <off@here>\n\nHello\n"
    )
    with _imap(demo, account) as client:
        client.select("INBOX")
        client.store("5", "+FLAGS", "(\\Flagged)")
    sync()
    with _imap(demo, account) as client:
        client.select("INBOX")
        assert client.search(None, "SUBJECT", "off-2") == ("OK", [b""])
        assert client.search(None, "SUBJECT", "from-here")[1] != [b""]
        assert len(client.search(None, "SEEN", "SUBJECT", "off-1")[1][0].split()) == 1
        assert len(client.search(None, "ALL")[1][0].split()) == 5
    local_names = [p.name for p in (local / "INBOX").glob("*/*")]  # unread ones stay in new/
    assert len([name for name in local_names if "F" in name.partition(":2,")[2]]) == 1


@pytest.mark.debian("fetchmail")
def test_fetchmail_takes_new_mail_once_and_leaves_it(demo: Demo, account: str, tmp_path: Path) -> None:
    rc = tmp_path / "fetchmailrc"
    rc.write_text(
        f"""
poll localhost protocol IMAP service {demo.port("imaps")}
  username "{account}" password "{PASSWORD}"
  ssl sslcertfile "{demo.state["ca_file"]}" sslcertck keep
  mda "cat >> {tmp_path}/got"
"""
    )
    rc.chmod(0o600)
    command = ["fetchmail", "-f", rc, "--pidfile", tmp_path / "pid", "--idfile", tmp_path / "ids"]
    deliver(demo, "fetch-1", account)
    deliver(demo, "fetch-2", account)
    done = debian.run(command, environ=_environ(tmp_path))
    assert done.returncode == 0, done.stdout
    got = (tmp_path / "got").read_text()
    assert got.count("Subject: fetch-1") == got.count("Subject: fetch-2") == 1
    assert debian.run(command, environ=_environ(tmp_path)).returncode == 1  # nothing new
    deliver(demo, "fetch-3", account)
    assert debian.run(command, environ=_environ(tmp_path)).returncode == 0
    got = (tmp_path / "got").read_text()
    assert [got.count(f"Subject: fetch-{number}") for number in (1, 2, 3)] == [1, 1, 1]
    with _imap(demo, account) as client:
        assert client.select("INBOX") == ("OK", [b"3"])


@pytest.mark.debian("getmail")
def test_getmail_takes_and_removes(demo: Demo, account: str, tmp_path: Path) -> None:
    (tmp_path / "box").mkdir()
    (tmp_path / "rc").write_text(
        f"""
[retriever]
type = SimpleIMAPSSLRetriever
server = localhost
port = {demo.port("imaps")}
username = {account}
password = {PASSWORD}
mailboxes = ("INBOX",)
ca_certs = {demo.state["ca_file"]}
[destination]
type = MDA_external
path = /bin/sh
arguments = ("-c", "cat > $(mktemp {tmp_path}/box/XXXXXX)")
allow_root_commands = true
[options]
delete = true
read_all = true
"""
    )
    deliver(demo, "get-1", account)
    deliver(demo, "get-2", account)
    done = debian.run(
        ["getmail", "--getmaildir", tmp_path, "--rcfile", tmp_path / "rc"], environ=_environ(tmp_path)
    )
    assert done.returncode == 0, done.stdout
    got = [path.read_bytes() for path in (tmp_path / "box").iterdir()]
    assert sorted(b"get-1" in data for data in got) == [False, True]
    with _imap(demo, account) as client:
        assert client.select("INBOX") == ("OK", [b"0"])
