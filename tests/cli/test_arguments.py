"""Addresses, domains and times: every command reads them alike and says the same when they are none."""

from __future__ import annotations

import pytest

from mailstack.cli import arguments
from tests.kit.instance import PASSWORD, Instance, new_instance

NOW = 1_790_000_000.0
NONE = "cannot be an address: there is no @ in it; write it like ann@example.org"
#: One of each way in which commands read an address; {} stands for it.
COMMANDS = [
    "user show {}",
    "log show {}",
    "mailbox list {}",
    "mailbox verify {}",
    "mailbox rebuild {}",
    "mailbox restore {}",
    "mailbox merge {} Sent Other",
    "srs forward {}",
    "srs reverse {}",
    "queue test {}",
    "queue test x@far.test --from {}",
    "queue list --owner {}",
    "queue retry --owner {}",
    "queue hold --sender {}",
    "scan message --from {}",
    "scan message --to {}",
    "sieve run script message --from {}",
    "sieve run script message --to {}",
    "sieve explain alice@example.test message --from {}",
    "vacation reset alice@example.test {}",
    "alias add x@example.test {}",
    "forward set alice@example.test {}",
]


@pytest.fixture(scope="module")
def alice(tmp_path_factory: pytest.TempPathFactory) -> Instance:
    made = new_instance(tmp_path_factory.mktemp("arguments"))
    assert made.cli("user", "add", "alice@example.test", "--password", PASSWORD).code == 0
    (made.folder / "mails").mkdir()
    (made.folder / "mails/1").write_bytes(b"Subject: hello\r\n\r\nhello\r\n")
    (made.folder / "script").write_text("keep;")
    (made.folder / "message").write_bytes(b"From: a@far.test\r\n\r\nhello\r\n")
    return made


def run(alice: Instance, command: str, typed: str) -> tuple[int, str]:
    files = {name: str(alice.folder / name) for name in ("script", "message", "mails")}
    done = alice.cli(*(typed if word == "{}" else files.get(word, word) for word in command.split()))
    assert not done.out
    return done.code, done.err


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_no_address_is_refused_alike_by_every_command(alice: Instance, command: str) -> None:
    assert run(alice, command, "alice") == (65, f"mailstack: 'alice' {NONE}\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_typed_reaches_the_terminal_without_its_control_characters(
    alice: Instance, command: str
) -> None:
    code, said = run(alice, command, "\x1b]0;you\x07@example.test")
    assert code == 65 and "cannot be an address" in said
    assert said.rstrip("\n").isprintable()


@pytest.mark.parametrize("command", COMMANDS)
def test_octets_that_are_no_text_are_no_address(alice: Instance, command: str) -> None:
    code, said = run(alice, command, "\udce4@example.test")
    assert code == 65 and r"'\udce4@example.test' cannot be an address" in said


def test_octets_that_are_no_text_are_named_wherever_they_stand(alice: Instance) -> None:
    code, said = run(alice, "log explain {}", "\udce4")
    assert (code, said) == (64, "mailstack: '\\udce4' is not UTF-8\n")


@pytest.mark.parametrize(
    "command",
    [
        "domain show {}",
        "domain dns {}",
        "domain mail {}",
        "user list {}",
        "alias list {}",
        "device list {}",
        "vacation list {}",
        "vacation template list {}",
        "rule template list {}",
        "list show --domain {}",
        "train show {}",
        "train domain {} --ham mails",
    ],
)
def test_domains_are_found_in_any_spelling_and_others_named(alice: Instance, command: str) -> None:
    assert run(alice, command, "Far.test") == (
        67,
        "mailstack: far.test is not a domain of this server; see 'mailstack domain list'\n",
    )
    if not command.startswith("train domain"):  # which wants the daemons
        words = command.replace("{}", "EXAMPLE.Test.").split()
        assert alice.cli(*words).code == 0
    if command != "train show {}":  # which takes both
        code, said = run(alice, command, "alice@example.test")
        assert code == 65 and "'alice@example.test' cannot be a domain: it is an address" in said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", NOW - 90),
        ("2h", NOW - 7200),
        ("3d", NOW - 259_200),
        ("2026-09-21T14:13:20", NOW),
        ("2026-09-21T16:13:20+02:00", NOW),
    ],
)
def test_times_people_write(text: str, expected: float) -> None:
    assert arguments.moment("--since", text, NOW) == expected


@pytest.mark.parametrize("command", ["log show alice@example.test", "mailbox restore alice@example.test"])
def test_what_is_no_time_is_refused_alike(alice: Instance, command: str) -> None:
    code, said = run(alice, command + " --since {}", "yesterday")
    assert code == 64
    assert said == (
        "mailstack: --since: 'yesterday' is no time; write it like 30m, 2h or 3d (ago),"
        " 2026-11-22 or 2026-11-22T13:00\n"
    )


@pytest.mark.parametrize(
    "command", ["queue list --limit {}", "queue summary --limit {}", "report list --days {}"]
)
def test_numbers_beyond_all_sense_are_refused(alice: Instance, command: str) -> None:
    code, said = run(alice, command, "9" * 23)
    assert code == 64 and "is not in the range" in said


@pytest.mark.parametrize(
    "command",
    [
        "mailbox list {}",
        "mailbox verify {}",
        "mailbox rebuild {}",
        "mailbox merge {} Sent Other",
        "sieve apply {} INBOX",
        "train rebuild {}",
        "user learn {}",
    ],
)
def test_an_address_without_a_mailbox_yet_is_told_from_one_that_is_none(
    alice: Instance, command: str
) -> None:
    assert run(alice, command, "alice@example.test") == (
        65,
        "mailstack: alice@example.test has no mailbox yet: its first message or login makes it\n",
    )
    code, said = run(alice, command, "nobody@example.test")
    assert code == 67 and said.startswith("mailstack: there is no ")
