"""The configuration file: read, checked as a whole, explained."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailstack.app.config import (
    ENVIRONMENT,
    MAX_FILE_OCTETS,
    Config,
    ConfigProblems,
    known_keys,
    load,
    load_config,
    parse,
    settings,
)
from mailstack.app.options import parse_endpoint


def problems(text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(ConfigProblems) as caught:
        parse(text.encode())
    return [(problem.line, problem.key, problem.message) for problem in caught.value.problems]


def test_empty_file_means_defaults() -> None:
    config, lines = parse(b"")
    assert config == Config()
    assert lines == {}


def test_values_are_taken_and_their_lines_known() -> None:
    text = (
        '# mine\n[server]\nhostname = "MX.example.org"\nworkers = 2\n\n[dns]\nservers = ["127.0.0.1:5353"]\n'
    )
    config, lines = parse(text.encode())
    assert config.hostname == "mx.example.org"
    assert config.server.workers == 2
    assert config.dns.servers == ("127.0.0.1:5353",)
    assert (lines["server.hostname"], lines["server.workers"], lines["dns.servers"]) == (3, 4, 7)


def test_dotted_keys_and_inline_tables_work_too() -> None:
    text = 'server.workers = 3\ndns = { servers = ["192.0.2.1"] }\n'
    config, lines = parse(text.encode())
    assert config.server.workers == 3
    assert config.dns.servers == ("192.0.2.1",)
    assert lines["server.workers"] == 1


def test_every_mistake_is_named_at_once_with_its_line() -> None:
    text = """\
[server]
hostnam = "x"
state_dir = "relative"
workers = "two"

[foo]
a = 1

[listen]
mx = ["192.0.2.1:99999"]
"""
    assert problems(text) == [
        (2, "server.hostnam", "no such key; the nearest is server.hostname"),
        (3, "server.state_dir", "'relative' is not an absolute path"),
        (4, "server.workers", 'want whole number, not "two"'),
        (6, "foo", "no such section; the nearest is forwarding"),
        (10, "listen.mx", "'192.0.2.1:99999' is not host:port"),
    ]


def test_two_bad_values_of_one_section_are_both_named() -> None:
    found = problems("[auth]\nhash_passes = 99\nrestore_days = 99999\n")
    assert [(line, key) for line, key, _ in found] == [(2, "auth.hash_passes"), (3, "auth.restore_days")]


def test_key_in_the_wrong_section_is_sent_to_the_right_one() -> None:
    found = problems("[smtp]\nrestore_days = 3\n")
    assert found == [(2, "smtp.restore_days", "no such key; did you mean auth.restore_days?")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[server]\nworkers = -1\n", "want a number from 0"),
        ("[server]\nstop_grace_s = nan\n", "want a number from 0"),
        ("[server]\nstop_grace_s = inf\n", "want a number from 0"),
        ("[server]\nworkers = 99999999999999999999\n", "want a number from 0"),
        ("[smtp]\nlogin_delays_s = [0, -1]\n", "want a number from 0"),
        ("[server]\nworkers = 1.5\n", "want whole number, not 1.5"),
        ("[server]\nworkers = true\n", "want whole number, not true"),
        ("[server]\nhostname = 1979-05-27\n", 'want text, not "1979-05-27"'),
        ('[smtp]\nmx_sessions = "of"\n', 'want whole number or "off", not "of"'),
        ('[listen]\nimap = "0.0.0.0:143"\n', "want list of texts"),
        ("server = 3\n", "is a section: write [server]"),
        ('[[queue.route]]\nhost = "x"\n', "table 1: missing required key domain"),
        ('[[tls.names]]\ncertificate = "x"\n', "table 1: contains unknown key certificate"),
        (
            '[[queue.route]]\ndomain = "a.test"\nhost = "x"\n[[queue.route]]\nport = "25"\n',
            'table 2: port: want whole number, not "25"',
        ),
        ("[queue]\nroute = [3]\n", "want list of tables, not [3]"),
        (
            '[queue.route]\npassword = "s3cret"\n',
            "want list of tables: write its name in two pairs of brackets",
        ),
        ("[server]\nhostname = 'mail'\n", "not a full host name"),
        ("[server]\nhostname = 'a b.example'\n", "not a host name"),
        ("[server]\npostmaster = 'nobody'\n", "there is no @"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(text: str, words: str) -> None:
    [(line, _, message)] = problems(text)
    assert words in message
    assert line >= 1


@pytest.mark.parametrize(
    ("data", "words", "line"),
    [
        (b"[server\n", "not TOML", 1),
        (b"a = 1\n\n b = = 2\n", "not TOML", 3),
        (b"a = 1\na = 2\n", "not TOML", 2),
        (b"[server]\nhostname = '\xff'\n", "not UTF-8", 2),
        (b"#" * (MAX_FILE_OCTETS + 1), "larger than", 0),
        (b"a = " + b"[" * 5000, "not TOML", None),
    ],
    ids=["header", "value", "twice", "utf-8", "size", "depth"],
)
def test_what_is_no_toml_is_said_with_the_line(data: bytes, words: str, line: int | None) -> None:
    with pytest.raises(ConfigProblems) as caught:
        parse(data)
    [problem] = caught.value.problems
    assert words in problem.message
    if line is not None:
        assert problem.line == line


def test_error_text_names_file_line_key_and_remedy() -> None:
    with pytest.raises(ConfigProblems) as caught:
        parse(b"[server]\nhostnam = 1\nworker = 1\n", Path("/etc/x.toml"))
    assert str(caught.value) == (
        "/etc/x.toml:2: server.hostnam: no such key; the nearest is server.hostname\n"
        "/etc/x.toml:3: server.worker: no such key; the nearest is server.workers"
    )


def test_named_file_must_exist_and_default_may_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailstack.app.config.DEFAULT_FILE", tmp_path / "none.toml")
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    assert load() == load(None)
    assert load().file is None
    for trigger in ("argument", "environment"):
        with pytest.raises(ConfigProblems, match="does not exist"):
            if trigger == "argument":
                load(tmp_path / "other.toml")
            else:
                monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "other.toml"))
                load()


def test_argument_wins_over_environment_wins_over_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, name in enumerate(("default", "environment", "argument"), 1):
        (tmp_path / name).write_text(f"server.workers = {number}\n")
    monkeypatch.setattr("mailstack.app.config.DEFAULT_FILE", tmp_path / "default")
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    assert load_config().server.workers == 1
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "environment"))
    assert load_config().server.workers == 2
    assert load_config(tmp_path / "argument").server.workers == 3


def test_directory_instead_of_a_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigProblems, match="cannot be read"):
        load(tmp_path)


def test_every_key_has_a_default_and_a_unit_or_no_number() -> None:
    assert len(known_keys()) == len(set(known_keys())) > 50
    assert dict(settings(Config()))["server.state_dir"] == "/var/lib/mailstack"


def test_paths_follow_state_and_run_directory() -> None:
    config, _ = parse(b"server.state_dir = '/srv/m'\n")
    assert config.paths.queue_db == Path("/srv/m/queue/queue.db")
    assert config.paths.filter_socket == Path("/srv/m/run/filter.sock")
    config, _ = parse(b"server.state_dir = '/srv/m'\nserver.run_dir = '/run/m'\n")
    assert config.paths.filter_socket == Path("/run/m/filter.sock")
    assert all(
        folder.is_relative_to("/srv/m") or folder.is_relative_to("/run/m") for folder in config.paths.folders
    )


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("127.0.0.1:25", ("127.0.0.1", 25)),
        ("[::1]:25", ("::1", 25)),
        ("*:25", ("::", 25)),
        (":25", ("::", 25)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_listening_endpoints(text: str, endpoint: tuple[str, int]) -> None:
    assert parse_endpoint(text) == endpoint


@pytest.mark.parametrize(
    "text", ["", "25", "::1:25", "host.example:25", "127.0.0.1:65536", "127.0.0.1:-1", "[::1]25", "1:٣"]
)
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not|stands in"):
        parse_endpoint(text)
