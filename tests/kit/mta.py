"""Debian's Postfix and Exim on a loopback port: other people's mail servers.

    with running_mta("exim", {"example.test": 20025}) as peer:
        peer.port                    # takes mail for peer.test, and passes on what is for example.test
        peer.wait_for(b"Subject: x")

Mail for peer.test lies in one Maildir; no@peer.test does not exist, later@peer.test is put off.
Exim lets USER log in with PASSWORD over TLS, and also listens where TLS comes first (`tls_port`).
Nothing of the machine's own mail server is read or started.  Needs root: both change users.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import pytest

from tests.kit import certificates, debian
from tests.kit.ports import free_base, is_free
from tests.kit.process import Process, started, wait_for_port

Kind = Literal["postfix", "exim"]
DOMAIN = "peer.test"
OWNER = "nobody"
USER, PASSWORD = "us@example.test", "a pencil"

_MAIN_CF = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.peer.test
mydestination =
local_transport = error:none
alias_maps =
alias_database =
virtual_mailbox_domains = peer.test
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = regexp:{folder}/etc/boxes
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
virtual_mailbox_limit = 0
mailbox_size_limit = 0
message_size_limit = 60000000
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_recipient_restrictions = check_recipient_access regexp:{folder}/etc/later permit_mynetworks reject
transport_maps = regexp:{folder}/etc/transport
virtual_alias_maps = regexp:{folder}/etc/aliases
smtpd_tls_cert_file = {folder}/server.pem
smtpd_tls_key_file = {folder}/server.key
smtpd_tls_security_level = may
smtp_tls_security_level = may
lmtp_tls_security_level = none
smtputf8_enable = yes
maillog_file = /dev/stdout
minimal_backoff_time = 1s
queue_run_delay = 1s
"""
_MASTER_CF = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 1 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
lmtp unix - - n - - lmtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
_EXIM = """\
primary_hostname = mx.peer.test
spool_directory = {folder}/spool
log_file_path = {folder}/log/%slog
pid_file_path = {folder}/spool/pid
keep_environment =
exim_path = {folder}/exim4
exim_user = {owner}
exim_group = {group}
never_users =
deliver_drop_privilege = true
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port} : {tls_port}
tls_on_connect_ports = {tls_port}
auth_advertise_hosts = ${{if def:tls_in_cipher{{*}}}}
message_size_limit = 60M
smtp_accept_max = 100
smtp_accept_queue_per_connection = 0
acl_smtp_rcpt = check_rcpt
smtputf8_advertise_hosts = *
dsn_advertise_hosts = *
chunking_advertise_hosts = *
tls_advertise_hosts = *
tls_certificate = {folder}/server.pem
tls_privatekey = {folder}/server.key
host_lookup =
rfc1413_query_timeout = 0s
begin acl
check_rcpt:
  deny local_parts = no
       domains = peer.test
       message = 550 5.1.1 there is no such mailbox
  defer local_parts = later
        domains = peer.test
        message = 450 4.2.1 that mailbox is busy
  accept
begin routers
{aliases}here:
  driver = accept
  domains = peer.test
  transport = maildir
{routers}
begin transports
maildir:
  driver = appendfile
  directory = {folder}/mail
  maildir_format
  create_directory
  envelope_to_add
  return_path_add
  quota = 0
{transports}
begin retry
* * F,2h,1s
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{user}}}}}{{eq{{$auth3}}{{{password}}}}}}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = <| Username: | Password:
  server_condition = ${{if and{{{{eq{{$auth1}}{{{user}}}}}{{eq{{$auth2}}{{{password}}}}}}}}}
  server_set_id = $auth1
"""
_ALIAS = """\
alias_{n}:
  driver = redirect
  domains = {domain}
  local_parts = {local}
  data = {target}
"""
_ROUTER = """\
to_{n}:
  driver = manualroute
  domains = {domain}
  local_parts = {local}
  route_list = * 127.0.0.1
  self = send
  transport = by_{n}
"""
_TRANSPORT = """\
by_{n}:
  driver = smtp
  protocol = {protocol}
  port = {port}
  allow_localhost
"""


@dataclass(frozen=True)
class Mta:
    """A running mail server.

    Attributes:
        port: where it takes mail from everybody.
        tls_port: the same with TLS from the first octet; Exim only.
    """

    kind: Kind
    folder: Path
    port: int
    process: Process
    tls_port: int

    @property
    def mail(self) -> list[bytes]:
        """Messages for peer.test."""
        found = [path for new in self.folder.glob("mail/**/new") for path in new.iterdir()]
        return [path.read_bytes() for path in sorted(found, key=lambda path: path.stat().st_mtime_ns)]

    @property
    def log(self) -> str:
        """What it said so far."""
        files = sorted((self.folder / "log").glob("*"))
        lines = "".join(file.read_text(errors="replace") for file in files).split("\n")
        return self.process.output + "\n".join(line for line in lines if "queue run" not in line)

    def wait_for(self, text: bytes, *, within: bytes = b"", timeout_s: float = 30.0) -> bytes:
        """The first message for peer.test that holds `text`, and `within`; with CRLF line ends."""
        until = time.monotonic() + timeout_s
        while True:
            for message in self.mail:
                if text in message and within in message:
                    return message.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
            assert time.monotonic() < until, f"no message with {text!r}; log:\n{self.log[-4000:]}"
            time.sleep(0.05)


def _folder() -> Path:
    """A folder that other users can walk into, whatever pytest's own is like."""
    folder = Path(tempfile.mkdtemp(prefix="mta"))
    folder.chmod(0o755)
    return folder


def _text(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o644)  # whatever the umask is


def _make(folder: Path, *names: str, owner: str) -> None:
    user = pwd.getpwnam(owner)
    for name in names:
        (folder / name).mkdir()
        (folder / name).chmod(0o755)
        os.chown(folder / name, user.pw_uid, user.pw_gid)


@dataclass(frozen=True)
class _Plan:
    """Ports, and where mail goes."""

    folder: Path
    port: int
    tls_port: int
    hops: Mapping[str, int | str]
    aliases: Mapping[str, str]


def _postfix(plan: _Plan) -> list[str | Path]:
    folder = plan.folder
    program = shutil.which("postfix", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("postfix is not installed; 'make test' as root installs it")
    _make(folder, "etc", "queue", owner="root")
    _make(folder, "data", owner="postfix")
    _make(folder, "mail", owner=OWNER)
    user = pwd.getpwnam(OWNER)
    etc = folder / "etc"
    _text(etc / "main.cf", _MAIN_CF.format(folder=folder, uid=user.pw_uid, gid=user.pw_gid))
    _text(etc / "master.cf", _MASTER_CF.format(port=plan.port))
    _text(etc / "boxes", "if !/^no@/\n/@peer\\.test$/ box/\nendif\n")
    _text(etc / "later", "/^later@/ 450 4.2.1 that mailbox is busy\n")
    _text(
        etc / "transport", "".join(f"/{_pattern(to)}/ {_transport(hop)}\n" for to, hop in plan.hops.items())
    )
    _text(etc / "aliases", "".join(f"/^{re.escape(a)}$/ {to}\n" for a, to in plan.aliases.items()))
    return [program, "-c", etc, "start-fg"]


def _pattern(to: str) -> str:
    """Who is meant: a domain, or an address."""
    escaped = re.escape(to)
    return f"^{escaped}$" if "@" in to else f"@{escaped}$"


def _transport(hop: int | str) -> str:
    protocol, port = _hop(hop)
    return f"{protocol}:[127.0.0.1]:{port}" if protocol == "smtp" else f"lmtp:inet:127.0.0.1:{port}"


def _hop(hop: int | str) -> tuple[str, int]:
    protocol, _, port = str(hop).rpartition(":")
    return protocol or "smtp", int(port)


def _exim(plan: _Plan) -> list[str | Path]:
    folder = plan.folder
    program = debian.need_unpacked("exim4", "usr/sbin/exim4")
    if subprocess.run([debian.need("unshare"), "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let root have a mount namespace")
    user = pwd.getpwnam(OWNER)
    _make(folder, "spool", "log", "mail", owner=OWNER)
    routers, transports = "", ""
    for n, (to, hop) in enumerate(plan.hops.items()):
        protocol, number = _hop(hop)
        local, _, domain = to.rpartition("@")
        routers += _ROUTER.format(n=n, domain=domain, local=local or "*")
        transports += _TRANSPORT.format(n=n, protocol=protocol, port=number)
    aliases = ""
    for n, (alias, target) in enumerate(plan.aliases.items()):
        local, _, domain = alias.rpartition("@")
        aliases += _ALIAS.format(n=n, domain=domain, local=local, target=target)
    values = {"folder": folder, "owner": OWNER, "group": "nogroup", "user": USER, "password": PASSWORD}
    ports = {"port": plan.port, "tls_port": plan.tls_port}
    parts = {"routers": routers, "transports": transports, "aliases": aliases}
    _text(folder / "exim.conf", _EXIM.format(**values, **ports, **parts))
    # The program wants a user its package would make: it sees one in a namespace of its own.
    for name, line in (
        ("passwd", f"Debian-exim:x:{user.pw_uid}:{user.pw_gid}::/nonexistent:/usr/sbin/nologin\n"),
        ("group", f"Debian-exim:x:{user.pw_gid}:\n"),
    ):
        _text(folder / name, Path(f"/etc/{name}").read_text() + line)
    # A program below /root could not be started again by that user.
    copy = folder / "exim4"
    shutil.copy(program, copy)
    copy.chmod(0o755)
    command = (
        f"mount --bind {folder}/passwd /etc/passwd && mount --bind {folder}/group /etc/group"
        f" && exec {copy} -C {folder}/exim.conf -bdf -q1s"
    )
    return ["unshare", "-m", "sh", "-c", command]


@contextlib.contextmanager
def running_mta(
    kind: Kind, hops: Mapping[str, int | str], aliases: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Mta]:
    """A mail server; skips the test when it cannot be had.

    Args:
        hops: domain or address -> port on this machine, or "lmtp:PORT", that takes its mail.
        aliases: address there -> address anywhere that gets its mail.
    """
    if os.geteuid() != 0:
        pytest.skip("needs root: mail servers change users")
    folder, port = _folder(), free_base((0, 1))
    plan = _Plan(folder, port, port + 1, hops, aliases)
    try:
        certificate, key = certificates.write(folder, name="mx.peer.test")
        for path in (certificate, key):
            Path(path).chmod(0o644)
        command = (_postfix if kind == "postfix" else _exim)(plan)
        with started(command) as process:
            with contextlib.suppress(AssertionError):
                wait_for_port(port)
            assert not is_free(port), process.output
            yield Mta(kind, folder, port, process, plan.tls_port)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
