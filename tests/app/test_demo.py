"""The throw-away instance: what it makes, what it says, how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import stat
import subprocess
import time
from pathlib import Path

import pytest

from mailstack.app import certificates, demo_accounts
from mailstack.app import demo as app
from mailstack.app.certificates import CertificateFiles
from mailstack.app.config import load_config, parse
from mailstack.app.instance import prepare
from mailstack.directory.reader import Directory
from mailstack.directory.writer import DirectoryWriter
from mailstack.model.address import Address
from mailstack.model.directory import Account, Alias
from mailstack.model.errors import ConfigError
from tests.kit.clock import START
from tests.kit.demo import OFFSETS, Demo, edit_configuration, running_demo
from tests.kit.ports import free_base
from tests.kit.process import ROOT, alive, descendants, eventually, mailstack, started


def configured(tmp_path: Path, **options: object) -> object:
    """The configuration the demo would write, read back."""
    chosen = app.Options(tmp_path, **options)  # type: ignore[arg-type]
    settings = app._settings(chosen, CertificateFiles(tmp_path / "tls"))
    return parse(app._as_toml(settings).encode())[0]


# -- without daemons --------------------------------------------------------------------


def test_every_limit_that_is_switched_off_exists() -> None:
    settings = {section: dict(values) for section, values in app.NO_LIMITS.items()}
    parse(app._as_toml(settings).encode())


def test_sizes_recipients_and_error_counters_stay(tmp_path: Path) -> None:
    from mailstack.app.config import Config

    config, normal = configured(tmp_path), Config()
    assert isinstance(config, Config)
    for key in ("message_octets", "normal_recipients", "free_recipients", "mx_recipients", "errors"):
        assert getattr(config.smtp, key) == getattr(normal.smtp, key)
    assert config.smtp.junk_commands == normal.smtp.junk_commands
    assert config.smtp.mx_sessions_per_ip == "off"
    assert config.smtp.login_delays_s == (0,)
    assert not config.bans.enabled


def test_with_limits_the_numbers_are_those_of_a_real_service(tmp_path: Path) -> None:
    from mailstack.app.config import Config

    config = configured(tmp_path, limits=True)
    assert isinstance(config, Config)
    assert config.smtp == Config().smtp
    assert config.bans.enabled and config.bans.private_networks
    assert config.imap.max_per_account == Config().imap.max_per_account
    assert config.imap.allow_plaintext_loopback


def test_resolver_and_outside_server_can_be_named(tmp_path: Path) -> None:
    from mailstack.app.config import Config

    config = configured(tmp_path, dns="127.0.0.1:5353", outside="[::1]:2525")
    assert isinstance(config, Config)
    assert config.dns.servers == ("127.0.0.1:5353",)
    assert (config.queue.relay_host, config.queue.relay_port) == ("::1", 2525)
    assert not list(app._sink(app.Options(tmp_path, outside="[::1]:2525")))


@pytest.mark.parametrize("outside", ["nowhere", ":25", "host:", "host:0", "host:99999", "host:x"])
def test_an_outside_server_that_is_none_is_refused(tmp_path: Path, outside: str) -> None:
    with pytest.raises(ConfigError):
        app.check(app.Options(tmp_path, outside=outside))


@pytest.mark.parametrize("base", [0, 1023, 64_543, 70_000, -1])
def test_ports_that_do_not_exist_are_refused(tmp_path: Path, base: int) -> None:
    with pytest.raises(ConfigError, match="port-base"):
        app.check(app.Options(tmp_path, port_base=base))


@pytest.mark.parametrize("dns", ["nowhere", "localhost:53", "127.0.0.1:x", "127.0.0.1:0"])
def test_a_resolver_that_is_none_is_refused(tmp_path: Path, dns: str) -> None:
    with pytest.raises(ConfigError, match="--dns"):
        app.check(app.Options(tmp_path, dns=dns))


def test_the_configuration_of_a_real_instance_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "mailstack.toml"
    file.write_text('[server]\nhostname = "mx.example.org"\n')
    with pytest.raises(ConfigError, match=f"did not make {file}"):
        app.check(app.Options(tmp_path))
    file.write_text("")
    with pytest.raises(ConfigError, match="take another folder"):
        app.check(app.Options(tmp_path))
    file.unlink()
    app.configure(app.Options(tmp_path), pytest.fail)
    app.check(app.Options(tmp_path))


def test_a_deep_folder_gets_its_sockets_elsewhere(tmp_path: Path) -> None:
    from mailstack.app.config import Config

    config = configured(tmp_path / ("x" * 100))
    assert isinstance(config, Config)
    run = config.paths.run
    assert len(str(run)) <= app.LONGEST_RUN_DIR
    assert stat.S_IMODE(run.stat().st_mode) == 0o700
    run.rmdir()


def handshake(folder: Path, context: ssl.SSLContext, kind: str, name: str) -> ssl.SSLObject:
    """A TLS handshake in memory with the server certificate of that kind."""
    files = CertificateFiles(folder)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(files.certificate(kind), files.key(kind))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    client = context.wrap_bio(to_client, to_server, server_hostname=name)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return client


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "mx.example.test"])
def test_clients_that_trust_the_authority_accept_the_server(tmp_path: Path, kind: str, name: str) -> None:
    files = CertificateFiles(tmp_path)
    assert certificates.ensure(files, app._server_names(), now=time.time())
    context = ssl.create_default_context(cafile=files.authority)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    assert handshake(tmp_path, context, kind, name).version() == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(tmp_path, context, kind, "elsewhere.test")


def test_certificates_are_made_once_and_again_before_they_end(tmp_path: Path) -> None:
    files = CertificateFiles(tmp_path)
    names = ["localhost", "127.0.0.1"]
    assert certificates.ensure(files, names, now=START)
    assert not certificates.ensure(files, names, now=START + 700 * 86_400)
    assert certificates.ensure(files, names, now=START + 800 * 86_400)
    assert certificates.ensure(files, ["localhost"], now=START + 800 * 86_400)
    files.certificate("rsa").write_text("rubbish")
    assert certificates.ensure(files, ["localhost"], now=START + 800 * 86_400)


def test_a_first_start_that_was_cut_off_is_taken_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mailstack.toml"
    file.write_text(f'[server]\nhostname = "mx.example.test"\nstate_dir = "{tmp_path / "state"}"\n')
    config = load_config(file)
    prepare(config)
    passwords_file = tmp_path / "passwords.json"
    with monkeypatch.context() as patch:
        patch.setattr(demo_accounts, "ALIASES", {"sales": ("nobody-of-that-name",)})
        with pytest.raises(Exception, match="nobody-of-that-name"):
            demo_accounts.populate(passwords_file, config)
    assert not passwords_file.exists()
    passwords = demo_accounts.populate(passwords_file, config)
    assert demo_accounts.populate(passwords_file, config) == passwords
    check_accounts(Directory(config.paths), passwords)


def test_accounts_of_an_older_folder_get_what_scram_needs_unless_their_password_is_another(
    tmp_path: Path,
) -> None:
    file = tmp_path / "mailstack.toml"
    text = f'[server]\nhostname = "mx.example.test"\nstate_dir = "{tmp_path / "state"}"\n'
    file.write_text(text)
    before = load_config(file)
    prepare(before)
    passwords_file = tmp_path / "passwords.json"
    passwords = demo_accounts.populate(passwords_file, before)
    with DirectoryWriter(before.paths, options=before.auth) as writer:
        writer.accounts.set_password("bob@example.test", "a password of his own")
        writer.accounts.remove("carol@example.test")
    file.write_text(f"{text}[auth]\nscram = true\n")
    now = load_config(file)
    assert demo_accounts.populate(passwords_file, now) == passwords
    directory = Directory(now.paths, options=now.auth)
    able = {address for address in passwords if directory.verifier(address).keys}
    assert able == set(passwords) - {"bob@example.test", "carol@example.test"}
    assert directory.authenticate("bob@example.test", "a password of his own") is not None
    directory.close()


def check_accounts(directory: Directory, passwords: dict[str, str]) -> None:
    """Everybody cli.md names is there."""
    for address, password in passwords.items():
        account = directory.authenticate(address, password)
        assert account is not None, address
    found = {
        local: directory.find(Address(local, "example.test"))
        for local in ("alice", "bob", "carol", "printer", "gone", "sales", "everyone", "postmaster", "abuse")
    }
    carol, printer, gone, sales, everyone = (
        found[local] for local in ("carol", "printer", "gone", "sales", "everyone")
    )
    assert isinstance(carol, Account) and carol.plan == "free"
    assert isinstance(printer, Account) and printer.kind == "device"
    assert isinstance(gone, Account) and gone.redirection is not None
    assert gone.redirection.targets == ("friend@outside.test",) and not gone.redirection.keep
    assert isinstance(sales, Alias) and sales.targets == ("alice@example.test",)
    assert isinstance(everyone, Alias)
    assert everyone.targets == ("alice@example.test", "bob@example.test")
    assert everyone.posters == "all"
    assert isinstance(found["postmaster"], Alias) and isinstance(found["abuse"], Alias)
    catch_all = directory.catch_all("example.test")
    assert catch_all is not None and str(catch_all.address) == "catchall@example.test"
    directory.close()


# -- with daemons -----------------------------------------------------------------------


def test_the_file_for_programs_says_all_there_is_to_know(demo: Demo) -> None:
    state = demo.state
    assert set(state) == {"host", "ports", "domain", "users", "ca_file", "config", "maildir_pattern", "pids"}
    assert set(state["ports"]) == {
        "mx",
        "submission",
        "submissions",
        "lmtp",
        "imap",
        "imaps",
        "pop3",
        "pop3s",
        "sieve",
    }
    assert set(state["pids"]) == {"smtp", "filter", "queue", "imap"}
    for port in state["ports"].values():
        socket.create_connection((state["host"], port), timeout=5).close()
    for daemon, pids in state["pids"].items():
        assert all(alive(pid) for pid in pids)
        assert all(f"run {daemon}".encode() in _command(pid) for pid in pids[:1])
    check_accounts(Directory(load_config(Path(state["config"])).paths), state["users"])


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")


def said(demo: Demo) -> list[str]:
    """Its lines for people; they come just after demo.json."""
    eventually(lambda: "Another user:" in demo.process.output)
    # The log beside them tells what befell its daemons in other tests.
    log = re.compile(r"mailstack: |\d{4}-\d\d-\d\dT\S+Z demo\[")
    return [line for line in demo.process.output.splitlines() if not log.match(line)]


def test_ten_lines_say_what_to_try(demo: Demo) -> None:
    lines = said(demo)
    assert len(lines) == 10
    for address, password in demo.users.items():
        assert f"{address} {password}" in lines[1]


@pytest.mark.debian("swaks", "curl")
def test_what_the_lines_say_works(demo: Demo) -> None:
    lines = said(demo)
    commands = dict(line.split(":", 1) for line in lines[2:])
    shown = {}
    for name, command in commands.items():
        if name == "Redirected with SRS":
            send, _, look = command.split("; ")
            run(send)
            demo.wait_for_outside(b"SRS0=")
            command = look
        if name == "Read the newest":
            demo.wait_for_message("alice@example.test", b"Subject: test")
        shown[name] = run(command)
    assert "250 2.0.0 Ok id=" in shown["Mail from outside"]
    assert "SRS0=" in shown["Redirected with SRS"]
    assert "250 2.0.0 Ok id=" in shown["Send, STARTTLS"] and "250 2.0.0 Ok id=" in shown["Send, TLS"]
    assert "Spam" in shown["Over IMAP and POP3"] and "\n1 " in shown["Over IMAP and POP3"].replace("\r", "")
    assert "Subject: test" in shown["Read the newest"]
    assert "alice@example.test" in shown["What happened"]
    assert "dave@example.test" in shown["Another user"]


def run(command: str) -> str:
    """What a shell command prints; fails when it does."""
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=180, check=False, cwd=ROOT
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def test_nobody_else_can_read_what_the_demo_keeps(demo: Demo) -> None:
    for path in (demo.folder, demo.folder / "passwords.json", demo.folder / "demo.json", demo.config):
        assert not path.stat().st_mode & 0o077, path


@pytest.mark.parametrize("daemon", ["smtp", "filter", "queue", "imap"])
@pytest.mark.parametrize("which", [0, -1], ids=["main process", "worker"])
def test_a_killed_process_is_replaced_and_the_file_rewritten(demo: Demo, daemon: str, which: int) -> None:
    before = demo.pids(daemon)
    os.kill(before[which], signal.SIGKILL)
    eventually(lambda: before[which] not in demo.pids(daemon))
    eventually(lambda: len(demo.pids(daemon)) == len(before))
    assert all(alive(pid) for pid in demo.pids(daemon))


def test_a_second_start_keeps_accounts_passwords_mail_and_edits(tmp_path: Path) -> None:
    base = free_base(OFFSETS)
    with running_demo(tmp_path / "demo", port_base=base) as first:
        users = first.users
        first.cli("user", "add", "dave@example.test", "--password", "a long passphrase of dave")
        kept = first.maildir("alice@example.test") / "cur" / "kept"
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text("Subject: kept\n\n")
        family = [process.pid for process in descendants(first.process.pid)]
        begun = time.monotonic()
        assert first.process.stop() == 0
        assert time.monotonic() - begun < 60  # 5 s on a quiet machine
        assert not any(alive(pid) for pid in family)
        assert not (tmp_path / "demo" / "demo.json").exists()
    file = tmp_path / "demo" / "mailstack.toml"
    file.write_text(file.read_text().replace("[smtp]", "[smtp]\nerrors = 7"))
    begun = time.monotonic()
    with running_demo(tmp_path / "demo", port_base=base) as second:
        assert time.monotonic() - begun < 90  # 10 s on a quiet machine
        assert second.users == users
        assert "dave@example.test" in second.cli("user", "list")
        assert kept.exists()
        assert load_config(second.config).smtp.errors == 7


def test_nothing_is_left_when_the_demo_is_killed(tmp_path: Path) -> None:
    base = free_base(OFFSETS)
    with running_demo(tmp_path / "demo", port_base=base) as first:
        family = [process.pid for process in descendants(first.process.pid)]
        first.process.signal(signal.SIGKILL)
        eventually(lambda: not any(alive(pid) for pid in family))
    with running_demo(tmp_path / "demo", port_base=base) as second:
        assert second.users


def test_other_options_make_another_configuration_and_keep_the_old_one_aside(tmp_path: Path) -> None:
    edit_configuration(tmp_path / "demo", free_base(OFFSETS), (), lambda text: f"{text}# mine\n")
    with running_demo(tmp_path / "demo", "--limits") as second:
        assert "# mine" not in second.config.read_text()
        assert "is now mailstack.toml.old" in second.process.output
    assert (tmp_path / "demo" / "mailstack.toml.old").read_text().endswith("# mine\n")


def test_the_demo_runs_once_per_folder(demo: Demo) -> None:
    command = mailstack("demo", "--dir", demo.folder, "--port-base", str(free_base(OFFSETS)))
    with started(command) as second:
        assert second.wait() == os.EX_TEMPFAIL
        assert "it runs already" in second.output
    assert demo.process.running
    assert json.loads((demo.folder / "demo.json").read_text())


def test_ports_that_are_taken_are_named(tmp_path: Path) -> None:
    base = free_base(OFFSETS)
    taken = socket.create_server(("127.0.0.1", base + 143))
    with taken, started(mailstack("demo", "--dir", tmp_path / "demo", "--port-base", str(base))) as second:
        assert second.wait() == os.EX_CONFIG
        assert f"port {base + 143}: Address already in use" in second.output
