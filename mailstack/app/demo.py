"""The throw-away instance: `make demo`.

Everything lies in one folder; a second start finds accounts, passwords and mail again:

    mailstack.toml   the configuration, edited or not, kept while the options stay the same
    demo.json        what a test wants to know; there while the demo is ready
    passwords.json   made up at the first start
    tls/ state/      certificates; mail, queue, databases
    outside/         what went to the rest of the world
    mailstack.log    what the daemons say
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from mailstack.app import certificates, logs, privileges
from mailstack.app.certificates import CertificateFiles
from mailstack.app.config import Config, load_config
from mailstack.app.demo_accounts import DOMAIN, OUTSIDE, populate
from mailstack.app.document import toml_value
from mailstack.app.instance import prepare
from mailstack.app.supervisor import Helper, Pids, bind_all, supervise
from mailstack.app.workers import hold_lock
from mailstack.disk.durable import make_folder, replace_text
from mailstack.model.errors import ConfigError, TemporaryFailure
from mailstack.net.dns_options import parse_server

HOSTNAME = "mx.example.test"
HOST = "127.0.0.1"
#: Added to the port base; the last is the sink's and not announced.
OFFSETS = {
    "mx": 25,
    "submission": 587,
    "submissions": 465,
    "lmtp": 24,
    "imap": 143,
    "imaps": 993,
    "pop3": 110,
    "pop3s": 995,
    # Stands for 4190.
    "sieve": 190,
}
OUTSIDE_OFFSET = 26
#: Daemons have this long; the supervisor then has until 5 s after SIGTERM.
STOP_GRACE_S = 3.0
#: sun_path holds 108 octets; the longest of our names is "bus/filter-4194304.sock".
LONGEST_RUN_DIR = 80
MAX_LOG_OCTETS = 20_000_000

#: What `--limits` keeps: connection counts, rates, delays and bans.  Sizes, recipients and the
#: counters of errors and junk commands are never off.
NO_LIMITS: dict[str, dict[str, object]] = {
    "smtp": {
        "mx_sessions": "off",
        "mx_sessions_per_ip": "off",
        "mx_sessions_per_network": "off",
        "mx_sessions_per_wide_network": "off",
        "mx_connections_per_minute": "off",
        "submission_sessions": "off",
        "submission_sessions_per_ip": "off",
        "submission_sessions_per_account": "off",
        "mx_messages_per_session": "off",
        "login_delays_s": [0],
        "stress_percent": "off",
        "stress_lag_s": 3600,
    },
    "bans": {"enabled": False},
    "containment": {"enabled": False},
    "mx": {"guesses": "off", "srs_bounces_per_hour": "off"},
    "queue": {"forward_reports_per_hour": "off"},
    "sending": {
        f"{plan}_{what}_per_{window}": "off"
        for plan in ("normal", "free", "device", "list")
        for what in ("messages", "recipients", "new_recipients")
        for window in ("hour", "day")
    },
    "lmtp": {"sessions": "off"},
    "imap": {
        "max_per_account_and_address": 100_000,
        "max_per_account": 100_000,
        "max_before_login": 100_000,
        "max_connections": 100_000,
    },
    "pop3": {
        "max_per_account": 100_000,
        "max_before_login": 100_000,
        "max_connections": 100_000,
    },
    "managesieve": {
        "max_per_account": 100_000,
        "max_before_login": 100_000,
        "max_connections": 100_000,
        "checks_per_minute": 1_000_000,
        "check_s_per_hour": 3_600.0,
    },
}


#: Begins the configuration of every demo.
_MADE_BY = "# made by 'mailstack demo'"


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says.

    Attributes:
        folder: absolute.
        dns: resolver, HOST:PORT; "" for the system's.
        outside: where mail for the rest of the world goes; "" for our own sink.
        limits: keep connection counts, rates, delays.
    """

    folder: Path
    port_base: int = 20_000
    dns: str = ""
    outside: str = ""
    limits: bool = False

    def port(self, name: str) -> int:
        """The port of a listener."""
        return self.port_base + OFFSETS[name]

    @property
    def config_file(self) -> Path:
        """The instance's configuration."""
        return self.folder / "mailstack.toml"

    @property
    def state_file(self) -> Path:
        """demo.json."""
        return self.folder / "demo.json"


def run(options: Options, *, say: Callable[[str], None], talk: Callable[[str], None]) -> int:
    """Makes or reuses the instance and runs it until Ctrl-C or SIGTERM.

    Args:
        say: prints a line for the person who tries it.
        talk: prints a line on stderr.

    Raises:
        ConfigError: ports taken, or a changed configuration that is wrong.
        TemporaryFailure: the disk, or the demo runs already in this folder.
    """
    os.umask(0o077)
    check(options)
    _own(options.folder, talk)
    logs.set_up("demo")
    privileges.limit_resources()
    hold_lock(options.folder / "demo.lock", wait_s=0.5)
    options.state_file.unlink(missing_ok=True)
    files = CertificateFiles(options.folder / "tls")
    make_folder(files.folder)
    certificates.ensure(files, _server_names(), now=time.time())
    config = configure(options, talk)
    sockets = bind_all(config)
    prepare(config)
    passwords = populate(options.folder / "passwords.json", config)
    demo = _Ready(options, config, passwords, files, say)
    try:
        return supervise(
            config,
            options.config_file,
            sockets,
            changed=demo.changed,
            helpers=list(_sink(options)),
            log_file=_log_file(options),
        )
    finally:
        options.state_file.unlink(missing_ok=True)


def _own(folder: Path, talk: Callable[[str], None]) -> None:
    """Makes the folder; root goes on as its owner, or as root where it is root's own."""
    make_folder(folder)
    os.environ[privileges.ALLOW_ROOT] = "1"
    privileges.drop(folder)
    if os.geteuid() == 0:
        talk("mailstack: this demo runs as root, because its folder is root's; a service never does")


def check(options: Options) -> None:
    """Refuses what can never work.

    Raises:
        ConfigError: a port that does not exist, a folder that is no demo's; names the option.
    """
    highest = options.port_base + max(OFFSETS.values())
    if options.port_base < 1_024 or highest > 65_535:
        raise ConfigError("--port-base", f"want 1024 to {65_535 - max(OFFSETS.values())}")
    host, _, port = options.outside.rpartition(":")
    if options.outside and not (host and port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise ConfigError("--outside", f"{options.outside!r} is not HOST:PORT")
    if options.dns:
        parse_server(options.dns, "--dns")
    file = options.config_file
    if file.exists() and not file.read_bytes().startswith(_MADE_BY.encode()):
        raise ConfigError("--dir", f"'mailstack demo' did not make {file}: take another folder")


def _log_file(options: Options) -> Path:
    path = options.folder / "mailstack.log"
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_size > MAX_LOG_OCTETS:
            path.replace(path.with_suffix(".log.old"))
    return path


def _sink(options: Options) -> Iterable[Helper]:
    if not options.outside:
        yield Helper(
            "outside",
            (
                sys.executable,
                "-m",
                "mailstack.app.sink",
                f"{HOST}:{options.port_base + OUTSIDE_OFFSET}",
                str(options.folder / "outside"),
            ),
        )


# -- configuration ----------------------------------------------------------------------


def _server_names() -> list[str]:
    return ["localhost", HOSTNAME, DOMAIN, f"mail.{DOMAIN}", f"imap.{DOMAIN}", f"smtp.{DOMAIN}", HOST, "::1"]


def configure(options: Options, talk: Callable[[str], None]) -> Config:
    """Writes the configuration unless the one that is there was made from the same options."""
    file = options.config_file
    text = _as_toml(_settings(options, CertificateFiles(options.folder / "tls")))
    mark = _mark(text)
    old = file.read_text() if file.exists() else ""
    if not old.startswith(mark):
        if old and not old.startswith(_mark(old.partition("\n\n")[2])):
            replace_text(file.with_suffix(".toml.old"), old)
            talk(f"mailstack: {file} was changed by hand; it is now {file.name}.old")
        replace_text(file, f"{mark}\n\n{text}")
    return load_config(file)


def _mark(text: str) -> str:
    return f"{_MADE_BY} {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _settings(options: Options, files: CertificateFiles) -> dict[str, dict[str, object]]:
    run_dir = options.folder / "state" / "run"
    hosts = [HOST, "[::1]"] if _has_ipv6() else [HOST]
    host, _, port = options.outside.rpartition(":")
    found: dict[str, dict[str, object]] = {
        "server": {
            "hostname": HOSTNAME,
            "state_dir": str(options.folder / "state"),
            "run_dir": "" if len(str(run_dir)) <= LONGEST_RUN_DIR else _short_run_dir(options.folder),
            "stop_grace_s": STOP_GRACE_S,
        },
        "listen": {name: [f"{one}:{options.port(name)}" for one in hosts] for name in OFFSETS},
        "tls": {
            "certificate_file": str(files.certificate("rsa")),
            "key_file": str(files.key("rsa")),
            "ecdsa_certificate_file": str(files.certificate("ecdsa")),
            "ecdsa_key_file": str(files.key("ecdsa")),
        },
        "queue": {
            "relay_host": host.strip("[]") or HOST,
            "relay_port": int(port) if port else options.port_base + OUTSIDE_OFFSET,
            "allow_loopback": True,
        },
        "auth": {"scram": True},
        "imap": {"allow_plaintext_loopback": True},
        "pop3": {"allow_plaintext_loopback": True},
        "managesieve": {"allow_plaintext_loopback": True},
    }
    if options.dns:
        found["dns"] = {"servers": [options.dns]}
    if options.limits:
        found["bans"] = {"private_networks": True}  # to be tried from this machine
    else:
        for section, values in NO_LIMITS.items():
            found[section] = found.get(section, {}) | values
    return found


def _as_toml(settings: dict[str, dict[str, object]]) -> str:
    lines: list[str] = []
    for section, values in settings.items():
        lines += [f"[{section}]", *(f"{key} = {toml_value(value)}" for key, value in values.items()), ""]
    return "\n".join(lines)


def _short_run_dir(folder: Path) -> str:
    """Unix sockets have short names; a deep folder gets its sockets elsewhere."""
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    short = Path(tempfile.gettempdir()) / f"mailstack-{os.getuid()}-{name}"
    short.mkdir(mode=0o700, exist_ok=True)
    state = short.lstat()
    if state.st_uid != os.getuid() or state.st_mode & 0o077 or not short.is_dir():
        raise TemporaryFailure(f"{short} belongs to somebody else; take a folder with a shorter name")
    return str(short)


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


# -- what it tells ----------------------------------------------------------------------


class _Ready:
    """Writes demo.json when everything runs, and again whenever a process changes."""

    def __init__(
        self,
        options: Options,
        config: Config,
        passwords: dict[str, str],
        files: CertificateFiles,
        say: Callable[[str], None],
    ) -> None:
        self._options = options
        self._config = config
        self._passwords = passwords
        self._files = files
        self._say = say
        self._said = False

    def changed(self, pids: Pids) -> None:
        """The processes of every daemon, main process first."""
        state = {
            "host": HOST,
            "ports": {name: self._options.port(name) for name in OFFSETS},
            "domain": DOMAIN,
            "users": self._passwords,
            "ca_file": str(self._files.authority),
            "config": str(self._options.config_file),
            "maildir_pattern": str(self._config.paths.mail / "{domain}" / "{local}" / "Maildir"),
            "pids": pids,
        }
        replace_text(self._options.state_file, json.dumps(state, indent=2) + "\n")
        if not self._said:
            self._said = True
            for line in self._lines():
                self._say(line)

    def _lines(self) -> list[str]:
        folder, port = self._options.folder, self._options.port
        alice = f"alice@{DOMAIN}"
        secret = self._passwords[alice]
        script = Path(sys.executable).parent / "mailstack"
        command = str(script) if script.exists() else f"{sys.executable} -m mailstack.cli.main"
        mailstack = f"{command} --config {self._options.config_file}"
        everyone = f"everyone@{DOMAIN}"
        tls = f"swaks --server localhost:{port('submissions')}"
        smtp = f"swaks --server localhost:{port('mx')} --from {OUTSIDE} --to"
        submit = f"--auth-user {alice} --auth-password {secret} --from {alice} --to"
        imap = f"curl -s --cacert {self._files.authority} -u {alice}:{secret}"
        users = "  ".join(f"{address} {password}" for address, password in self._passwords.items())
        return [
            f"mailstack runs {DOMAIN} in {folder} until Ctrl-C; log: mailstack.log, for programs: demo.json",
            f"Passwords: {users}",
            f"Mail from outside:    {smtp} {alice}",
            f"Redirected with SRS:  {smtp} gone@{DOMAIN}; sleep 1; tail -n +1 {folder / 'outside'}/*",
            f"Send, STARTTLS:       swaks --server localhost:{port('submission')} --tls {submit} {OUTSIDE}",
            f"Send, TLS:            {tls} --tlsc {submit} {everyone}",
            f"Over IMAP and POP3:   {imap} imaps://localhost:{port('imaps')}/ pop3s://localhost:{port('pop3s')}/",
            f"Read the newest:      {imap} 'imaps://localhost:{port('imaps')}/INBOX;MAILINDEX=*'",
            f"What happened:        {mailstack} log show {alice}",
            f"Another user:         {mailstack} user add dave@{DOMAIN}",
        ]
