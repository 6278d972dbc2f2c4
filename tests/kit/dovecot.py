"""Debian's Dovecot on a loopback port, over Maildirs of its own: a peer to compare with.

with running_dovecot(tmp_path / "peer", {"alice@example.test": "secret"}) as peer:
    peer.port, peer.maildir("alice@example.test"), peer.disown()

Nothing of the machine's own Dovecot is read or started.  Needs root: Dovecot changes users.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kit import certificates
from tests.kit.ports import free_port

#: Who owns the peer's mail; a user every Debian has and that may read nothing of ours.
OWNER = "nobody"
START_S = 20.0

_CONFIG = """\
base_dir = {run}
state_dir = {run}
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{folder}/server.pem
ssl_key = <{folder}/server.key
disable_plaintext_auth = no
auth_mechanisms = plain login
first_valid_uid = 1
mail_location = maildir:~/Maildir
mail_fsync = always
maildir_stat_dirs = yes
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {folder}/users
}}
userdb {{
  driver = passwd-file
  args = {folder}/users
}}
namespace inbox {{
  inbox = yes
  separator = /
}}
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
  process_min_avail = 2
}}
service anvil {{
  client_limit = 3000
}}
mail_max_userip_connections = 1000
{extra}
"""


@dataclass(frozen=True)
class Peer:
    """A running Dovecot.

    Attributes:
        port, tls_port: IMAP without and with TLS.
    """

    folder: Path
    port: int
    tls_port: int
    pid: int

    def maildir(self, address: str) -> Path:
        """Where the mail of an address lies; made by whoever puts mail there first."""
        return self.folder / "homes" / address / "Maildir"

    def disown(self) -> None:
        """Gives all mail to the peer; call it after putting files there."""
        user = pwd.getpwnam(OWNER)
        for path, folders, files in os.walk(self.folder / "homes"):
            for name in (".", *folders, *files):
                os.chown(os.path.join(path, name), user.pw_uid, user.pw_gid, follow_symlinks=False)


@contextlib.contextmanager
def running_dovecot(folder: Path, users: Mapping[str, str], *, extra: str = "") -> Iterator[Peer]:
    """A peer for these addresses and passwords; skips the test when it cannot be had.

    Args:
        extra: more lines of its configuration.
    """
    program = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("dovecot is not installed; 'make test' as root installs it")
    if os.geteuid() != 0:
        pytest.skip("needs root: Dovecot changes users")
    peer = _prepare(folder, users, extra)
    process = subprocess.Popen(
        [program, "-F", "-c", str(folder / "dovecot.conf")],
        stdout=subprocess.DEVNULL,
        stderr=(folder / "stderr").open("w"),
    )
    try:
        _wait(process, peer)
        yield Peer(folder, peer.port, peer.tls_port, process.pid)
    finally:
        process.terminate()
        process.wait(timeout=20)


def _prepare(folder: Path, users: Mapping[str, str], extra: str) -> Peer:
    folder.mkdir(parents=True, exist_ok=True)
    # The mail's owner must be able to walk down to it.
    for parent in (folder, *folder.parents):
        if parent.stat().st_mode & 0o001 == 0:
            os.chmod(parent, parent.stat().st_mode | 0o011)
    user = pwd.getpwnam(OWNER)
    lines = []
    for address, password in users.items():
        home = folder / "homes" / address
        home.mkdir(parents=True, exist_ok=True)
        lines.append(f"{address}:{{PLAIN}}{password}:{user.pw_uid}:{user.pw_gid}::{home}::\n")
    (folder / "users").write_text("".join(lines))
    (folder / "users").chmod(0o644)  # whatever the umask is
    certificates.write(folder)
    peer = Peer(folder, free_port(), free_port(), 0)
    (folder / "dovecot.conf").write_text(
        _CONFIG.format(folder=folder, run=folder / "run", port=peer.port, tls_port=peer.tls_port, extra=extra)
    )
    peer.disown()
    return peer


def _logs_in(peer: Peer) -> bool:
    """True when the whole of it works: its login processes answer before passwords are looked up."""
    name, _, rest = (peer.folder / "users").read_text().partition(":")
    password = rest.removeprefix("{PLAIN}").partition(":")[0]
    with socket.create_connection(("127.0.0.1", peer.port), 5) as probe:
        probe.sendall(f'a LOGIN "{name}" "{password}"\r\n'.encode())
        said = b""
        while b"\na " not in said and (data := probe.recv(4096)):
            said += data
    return b"\na OK" in said


def _wait(process: subprocess.Popen[bytes], peer: Peer) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError):
            if _logs_in(peer):
                return
        time.sleep(0.05)
    said = (peer.folder / "stderr").read_text() + (
        (peer.folder / "log").read_text() if (peer.folder / "log").exists() else ""
    )
    raise AssertionError(f"dovecot did not start: {said[-2000:]}")
