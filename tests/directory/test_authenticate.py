"""Who may log in."""

from __future__ import annotations

import os
import sqlite3
import threading
import time

import pytest

from mailstack.directory import Directory, DirectoryWriter, credentials
from mailstack.directory.options import AuthOptions
from tests.kit.clock import Clock
from tests.kit.instance import PASSWORD, Instance


@pytest.fixture(autouse=True)
def alice(writer: DirectoryWriter) -> None:
    writer.accounts.add("alice@example.test", password=PASSWORD)


@pytest.mark.parametrize("login", ["alice@example.test", "Alice@EXAMPLE.test"])
def test_full_address_and_password_log_in(reader: Directory, login: str) -> None:
    found = reader.authenticate(login, PASSWORD)
    assert found is not None
    assert str(found.address) == "alice@example.test"


@pytest.mark.parametrize(
    "login",
    [
        "alice",
        "",
        "@",
        "alice@",
        "alice@example.test\0",
        "alice@example.test\r\n",
        " alice@example.test",
        "alice%n@example.test",
        "' OR 1=1 --",
        "*)(uid=*",
        "x" * 65_536,
        "alice@example.test@example.test",
        '"alice"@elsewhere.test',
        "\udcff@example.test",
        "sales@example.test",
        "alice+x@example.test",
        "alice@example.net",
    ],
    ids=lambda login: repr(login)[:30],
)
def test_anything_but_the_own_address_does_not_log_in(
    writer: DirectoryWriter, reader: Directory, login: str
) -> None:
    # A6; an alias, a plus form and a mirrored domain are no user names
    writer.aliases.add("sales@example.test", ["alice@example.test"])
    writer.domains.add_alias("example.net", "example.test")
    assert reader.authenticate(login, PASSWORD) is None


@pytest.mark.parametrize(
    "password", ["", "wrong", PASSWORD + " ", PASSWORD.upper(), "x" * 65_536, "\0", "\udcff"]
)
def test_wrong_passwords_do_not_log_in(reader: Directory, password: str) -> None:
    assert reader.authenticate("alice@example.test", password) is None


def test_unknown_user_costs_a_hash_too(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    # T81, A11: what each costs stands in test_credentials.py
    reader = instance.reader()
    spent: list[str] = []
    monkeypatch.setattr(credentials, "waste_time", lambda *_: spent.append("hash"))
    assert reader.authenticate("nobody@example.test", "wrong") is None
    assert reader.authenticate("not an address", "wrong") is None
    assert spent == ["hash", "hash"]
    reader.close()


def test_account_without_password_does_not_log_in(writer: DirectoryWriter, reader: Directory) -> None:
    writer.accounts.add("empty@example.test")
    for password in ("", "x", "None"):
        assert reader.authenticate("empty@example.test", password) is None


def test_suspended_account_does_not_log_in_even_when_it_just_did(
    writer: DirectoryWriter, reader: Directory
) -> None:
    # A15
    assert reader.authenticate("alice@example.test", PASSWORD)
    writer.accounts.set("alice@example.test", enabled=False)
    assert reader.authenticate("alice@example.test", PASSWORD) is None
    writer.accounts.set("alice@example.test", enabled=True)
    assert reader.authenticate("alice@example.test", PASSWORD)


def test_changed_password_counts_at_once_in_spite_of_the_cache(
    writer: DirectoryWriter, reader: Directory
) -> None:
    # A16
    assert reader.authenticate("alice@example.test", PASSWORD)
    writer.accounts.set_password("alice@example.test", "another-word-18")
    assert reader.authenticate("alice@example.test", PASSWORD) is None
    assert reader.authenticate("alice@example.test", "another-word-18")


def test_device_submits_and_does_not_read(writer: DirectoryWriter, reader: Directory) -> None:
    # A14 for devices: the right to submit only
    writer.accounts.add("printer@example.test", password=PASSWORD, kind="device")
    assert reader.authenticate("printer@example.test", PASSWORD, protocol="smtp")
    assert reader.authenticate("printer@example.test", PASSWORD, protocol="imap") is None


def test_spam_trap_never_logs_in(writer: DirectoryWriter, reader: Directory) -> None:
    writer.accounts.add("trap@example.test", password=PASSWORD, kind="spamtrap")
    assert reader.authenticate("trap@example.test", PASSWORD) is None


def test_repeated_logins_cost_no_hash(instance: Instance) -> None:
    clock = Clock()
    reader = instance.reader(clock=clock)
    reader.authenticate("alice@example.test", PASSWORD)
    start = time.process_time()
    for _ in range(1000):
        assert reader.authenticate("alice@example.test", PASSWORD)
    assert time.process_time() - start < 5  # the numbers to beat: at least 200 a second
    reader.close()


def test_absurd_stored_hash_is_refused(instance: Instance, reader: Directory) -> None:
    # A17
    connection = sqlite3.connect(instance.config.paths.directory_db)
    with connection:
        connection.execute(
            "UPDATE credential SET hash = '$argon2id$v=19$m=4194304,t=3,p=1$c2FsdHNhbHQ$' || ?", ("A" * 43,)
        )
    connection.close()
    assert reader.authenticate("alice@example.test", PASSWORD) is None


def test_parallel_logins_all_get_their_own_answer(reader: Directory, writer: DirectoryWriter) -> None:
    # A10: the pool around it bounds the hashes; here only that threads do not mix answers
    for n in range(4):
        writer.accounts.add(f"user{n}@example.test", password=f"pass-word-{n}-xyz")
    answers: dict[tuple[int, int], bool] = {}

    def log_in(n: int, tried: int) -> None:
        found = reader.authenticate(f"user{n}@example.test", f"pass-word-{tried}-xyz")
        answers[n, tried] = found is not None and str(found.address) == f"user{n}@example.test"

    threads = [threading.Thread(target=log_in, args=(n, tried)) for n in range(4) for tried in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {(n, tried): n == tried for n in range(4) for tried in range(4)}


def test_unknown_users_cost_what_known_ones_do_after_the_configuration_changed(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A11: old accounts keep the cost of their hash, so must those that do not exist
    changed = AuthOptions(hash_memory_kib=4_096, hash_passes=3, scram_iterations=50_000)
    reader = Directory(instance.config.paths, options=changed)
    spent: list[credentials.HashParameters] = []
    monkeypatch.setattr(credentials, "waste_time", spent.append)
    for n in range(20):
        assert reader.authenticate(f"nobody{n}@example.test", "wrong") is None
    assert set(spent) == {credentials.HashParameters(1_024, 1, 1)}
    with DirectoryWriter(instance.config.paths, options=changed) as writer:
        for n in range(10):
            writer.accounts.add(f"new{n}@example.test", password_hash=new_hash(n))
    spent.clear()
    for _ in range(2):
        for n in range(40):
            assert reader.authenticate(f"nobody{n}@example.test", "wrong") is None
    assert spent[:40] == spent[40:], "a name costs the same each time"
    assert {cost.memory_kib for cost in spent} == {1_024, 4_096}
    reader.close()


def new_hash(n: int) -> str:
    return credentials.hash_password(
        f"password {n} of mine", os.urandom, credentials.HashParameters(4_096, 3)
    )
