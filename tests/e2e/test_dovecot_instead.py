"""Debian's Dovecot serves a copy of our mailboxes with the configuration in conf/dovecot/."""

from __future__ import annotations

import contextlib
import imaplib
import os
import pwd
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstack.mailbox.store import Account, MailStore
from mailstack.mime import utf7
from mailstack.model.address import Address
from mailstack.model.mailbox import Flags, NewMessage
from tests.kit import certificates, debian
from tests.kit.instance import Instance, new_instance
from tests.kit.ports import free_port
from tests.kit.process import ROOT, eventually

pytestmark = [pytest.mark.debian, pytest.mark.root]

ALICE, TILDE = "alice@example.test", "o~neil@example.test"
PASSWORD = "correct-word-17"
OWNER = "nobody"
#: Folders whose names are the same for Dovecot.
FOLDERS = ("INBOX", "Sent", "Work/2026/Aufträge", "日本語", "a & b")


def message(word: str) -> bytes:
    return f"From: a@b.test\r\nSubject: {word}\r\n\r\nThe text of {word}.\r\n".encode()


def fill(account: Account) -> dict[str, list[tuple[bytes, Flags]]]:
    """Mail with every flag; gives what is where."""
    held: dict[str, list[tuple[bytes, Flags]]] = {}
    for folder in FOLDERS:
        if folder not in ("INBOX", "Sent"):
            account.create(folder)
        for number, flags in enumerate((Flags.NONE, Flags.SEEN, Flags.FLAGGED | Flags.ANSWERED, Flags.DRAFT)):
            octets = message(f"{len(held)}-{number}")
            account.append(folder, [NewMessage(octets, flags=flags, keywords=("$Work",) * (number == 1))])
            held.setdefault(folder, []).append((octets, flags))
    account.deliver("INBOX", NewMessage(message("new")), base_name="1.new")
    held["INBOX"].append((message("new"), Flags.NONE))
    account.create("with.dot")
    account.append("with.dot", [NewMessage(message("dot"))])
    account.core.worker.flush()
    return held


@contextlib.contextmanager
def serving(instance: Instance, folder: Path) -> Iterator[int]:
    """Dovecot on a copy of the instance; gives its port."""
    program = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("dovecot is not installed; 'make test' as root installs it")
    if os.geteuid() != 0:
        pytest.skip("needs root: Dovecot changes users")
    state = instance.config.paths.state
    shutil.copytree(instance.config.paths.mail, folder / "mail")
    (folder / "users").write_text(
        instance.cli("user", "passwd-file").out.replace(str(state / "mail"), str(folder / "mail"))
    )
    # As conf/dovecot/mailstack.conf says.
    shutil.chown(folder / "users", "root", "dovecot")
    (folder / "users").chmod(0o640)
    owner = pwd.getpwnam(OWNER)
    for path, folders, files in os.walk(folder / "mail"):
        for name in (".", *folders, *files):
            os.chown(os.path.join(path, name), owner.pw_uid, owner.pw_gid, follow_symlinks=False)
    for parent in (folder, *folder.parents):
        os.chmod(parent, parent.stat().st_mode | 0o011)
    certificates.write(folder)
    port = free_port()
    config = (ROOT / "conf" / "dovecot" / "mailstack.conf").read_text()
    for ours, here in (
        ("/etc/ssl/certs/mail.pem", f"{folder}/server.pem"),
        ("/etc/ssl/private/mail.key", f"{folder}/server.key"),
        ("/etc/dovecot/mailstack-users", f"{folder}/users"),
        ("mail_uid = mailstack", f"mail_uid = {owner.pw_uid}"),
        ("mail_gid = mailstack", f"mail_gid = {owner.pw_gid}"),
    ):
        assert ours in config
        config = config.replace(ours, here)
    config += (
        f"\nbase_dir = {folder}/run\nstate_dir = {folder}/run\nlog_path = {folder}/log\nlisten = 127.0.0.1\n"
        f"service imap-login {{\n  inet_listener imap {{\n    port = 0\n  }}\n"
        f"  inet_listener imaps {{\n    port = {port}\n    ssl = yes\n  }}\n}}\n"
    )
    (folder / "dovecot.conf").write_text(config)
    process = subprocess.Popen([program, "-F", "-c", str(folder / "dovecot.conf")])
    try:
        eventually(lambda: _answers(port) or process.poll() is not None)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        _client(port).shutdown()
        return True
    return False


def _client(port: int) -> imaplib.IMAP4_SSL:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return imaplib.IMAP4_SSL("127.0.0.1", port, ssl_context=context, timeout=20)


def wire(name: str) -> str:
    return '"' + utf7.encode(name).decode("ascii") + '"'


def read(client: imaplib.IMAP4, folder: str) -> list[tuple[bytes, Flags]]:
    assert client.select(wire(folder), readonly=True)[0] == "OK"
    _, found = client.fetch("1:*", "(FLAGS BODY.PEEK[])")
    out = []
    for head, octets in (part for part in found if isinstance(part, tuple)):
        names = {name.decode() for name in imaplib.ParseFlags(head)}
        bits = {"\\Seen": 1, "\\Answered": 2, "\\Flagged": 4, "\\Deleted": 8, "\\Draft": 16}
        out.append((octets, Flags(sum(bit for name, bit in bits.items() if name in names))))
    return sorted(out)


def test_dovecot_serves_the_same_mail(tmp_path: Path) -> None:
    debian.need("maildirmake.dovecot")
    instance = new_instance(tmp_path / "instance")
    for address in (ALICE, TILDE):
        made = instance.cli("user", "add", address, "--password-stdin", stdin=f"{PASSWORD}\n".encode())
        assert made.code == 0, made.err
    store = MailStore(instance.config.paths.mail, now=time.time, random_bytes=os.urandom)
    held = fill(store.account(Address.parse(ALICE)))
    store.account(Address.parse(TILDE)).append("INBOX", [NewMessage(message("tilde"))])
    store.close()
    with serving(instance, tmp_path / "dovecot") as port:
        log = tmp_path / "dovecot" / "log"
        client = _client(port)
        client.login(ALICE, PASSWORD)
        for folder in FOLDERS:
            assert read(client, folder) == sorted(held[folder]), (folder, log.read_text())
        _, lines = client.list('""', '"*"')
        listed = b"\n".join(line for line in lines if isinstance(line, bytes))
        for folder, role in (("Sent", b"\\Sent"), ("Spam", b"\\Junk"), ("Trash", b"\\Trash")):
            [line] = [line for line in lines if line.endswith(folder.encode())]
            assert role in line, listed
        # A name with a dot has another spelling there, and the same mail.
        assert b"with~26AC4-dot" in listed, listed
        assert read(client, "with~26AC4-dot") == [(message("dot"), Flags.NONE)]
        # What a client does there is seen here.
        client.select("INBOX")
        client.store("1", "+FLAGS", "\\Deleted")
        client.append("Sent", "\\Seen", None, message("from dovecot"))
        client.create("Neu")
        client.logout()
        other = _client(port)
        other.login(TILDE, PASSWORD)
        assert len(read(other, "INBOX")) == 1
        other.logout()
    mail = tmp_path / "dovecot" / "mail"
    back = MailStore(mail, now=time.time, random_bytes=os.urandom)
    account = back.account(Address.parse(ALICE))
    rows = account.rows(account.status("INBOX").id)
    assert sum(Flags.DELETED in row.flags for row in rows) == 1
    assert [row.keywords for row in rows if row.flags & ~Flags.DELETED == Flags.SEEN] == [("$Work",)]
    assert account.status("Sent").messages == 5
    names = {entry.name for entry in account.folders() if entry.exists}
    assert {*FOLDERS, "with.dot", "Neu"} <= names
    assert not [name for name in names if "dovecot" in name]
    back.close()
