"""The read side: who may send as whom, and that changes are seen at once."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mailstack.directory import Directory, DirectoryWriter
from mailstack.directory.reader import MAX_CACHED
from mailstack.model.address import Address
from mailstack.model.directory import Account, DirectoryReader
from mailstack.model.errors import TemporaryFailure
from tests.kit.instance import Instance


def address(text: str) -> Address:
    return Address.parse(text)


@pytest.fixture
def alice(writer: DirectoryWriter) -> Account:
    return writer.accounts.add("alice@example.test")


def test_it_is_what_routing_asks_for(reader: Directory) -> None:
    asked: DirectoryReader = reader
    assert asked.find(address("nobody@example.test")) is None


def test_a_daemon_may_look_for_changes_less_often(writer: DirectoryWriter, instance: Instance) -> None:
    now = [100.0]
    reader = Directory(instance.config.paths, clock=lambda: now[0], trusted_s=0.5)
    assert reader.find(address("alice@example.test")) is None
    writer.accounts.add("alice@example.test")
    now[0] += 0.4
    assert reader.find(address("alice@example.test")) is None
    assert [domain.name for domain in reader.domains()] == ["example.test"], "what is not known is looked up"
    now[0] += 0.2
    assert reader.find(address("alice@example.test")) is not None
    reader.close()


def test_account_sends_as_itself_its_aliases_and_their_plus_forms(
    writer: DirectoryWriter, reader: Directory, alice: Account
) -> None:
    writer.aliases.add("sales@example.test", ["alice@example.test"])
    writer.aliases.add("vertrieb@example.test", ["sales@example.test"])
    writer.domains.add_alias("example.net", "example.test")
    for text in (
        "alice@example.test",
        "ALICE@example.test",
        "alice+x@example.test",
        "sales@example.test",
        "sales+x@example.test",
        "vertrieb@example.test",
        "alice@example.net",
        "sales+y@example.net",
    ):
        assert reader.may_send_as(alice, address(text)), text


def test_account_does_not_send_as_others(writer: DirectoryWriter, reader: Directory, alice: Account) -> None:
    writer.accounts.add("bob@example.test")
    writer.aliases.add("everyone@example.test", ["alice@example.test", "bob@example.test"])
    writer.aliases.add("bobs@example.test", ["bob@example.test"])
    for text in (
        "bob@example.test",
        "bobs@example.test",
        "everyone@example.test",
        "nobody@example.test",
        "alice@elsewhere.test",
        "+alice@example.test",
        "alice@sub.example.test",
        "postmaster@example.test",
    ):
        assert not reader.may_send_as(alice, address(text)), text


def test_account_sends_as_what_was_granted(
    writer: DirectoryWriter, reader: Directory, alice: Account
) -> None:
    writer.accounts.grant("alice@example.test", "news@partner.example")
    writer.accounts.grant("alice@example.test", "@brand.example")
    assert reader.may_send_as(alice, address("News@partner.example"))
    assert reader.may_send_as(alice, address("anybody@brand.example"))
    assert not reader.may_send_as(alice, address("other@partner.example"))
    assert not reader.may_send_as(alice, address("x@sub.brand.example"))


def test_addresses_of_an_account_are_its_own_first_and_no_groups(
    writer: DirectoryWriter, reader: Directory, alice: Account
) -> None:
    writer.accounts.add("bob@example.test")
    writer.aliases.add("a1@example.test", ["alice@example.test"])
    writer.aliases.add("a2@example.test", ["a1@example.test"])
    writer.aliases.add("group@example.test", ["alice@example.test", "bob@example.test"])
    assert reader.addresses_of(alice.id) == ["alice@example.test", "a1@example.test", "a2@example.test"]
    assert reader.addresses_of(99) == []


def test_change_by_another_process_is_seen_with_the_next_question(
    instance: Instance, reader: Directory
) -> None:
    # "Whatever the CLI changes takes effect in the running daemons within a second."
    new = address("new@example.test")
    assert reader.find(new) is None
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mailstack",
            "--config",
            str(instance.file),
            "user",
            "add",
            "new@example.test",
        ],
        capture_output=True,
        cwd=Path(__file__).parents[2],
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    assert isinstance(reader.find(new), Account)


def test_readers_in_other_threads_see_every_change(instance: Instance, writer: DirectoryWriter) -> None:
    reader = instance.reader()
    stop = threading.Event()
    failed: list[Exception] = []

    def look() -> None:
        while not stop.is_set():
            try:
                for account in reader.accounts("example.test"):
                    assert reader.find(account.address) == account
            except Exception as error:
                failed.append(error)
                return

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for n in range(20):
        made = writer.accounts.add(f"user{n}@example.test")
        writer.aliases.add(f"alias{n}@example.test", [str(made.address)])
        assert reader.find(made.address) == made
        assert reader.addresses_of(made.id) == [f"user{n}@example.test", f"alias{n}@example.test"]
    stop.set()
    for thread in threads:
        thread.join()
    reader.close()
    assert not failed


def test_two_writing_processes_wait_for_each_other(instance: Instance) -> None:
    commands = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "mailstack",
                "--config",
                str(instance.file),
                "user",
                "add",
                f"u{n}@example.test",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        for n in range(4)
    ]
    for command in commands:
        _, error = command.communicate(timeout=60)
        assert command.returncode == 0, error
    reader = instance.reader()
    assert len(reader.accounts()) == 4
    reader.close()


def test_a_cached_question_takes_microseconds(reader: Directory, alice: Account) -> None:
    name = alice.address
    reader.find(name)
    start = time.process_time()
    for _ in range(10_000):
        reader.find(name)
    assert (time.process_time() - start) / 10_000 < 0.000_5  # 5 us on a quiet machine


def test_cache_of_unknown_addresses_is_bounded(reader: Directory) -> None:
    for n in range(MAX_CACHED + 100):
        reader.find(Address(f"guess{n}", "example.test"))
    assert len(reader._cache) <= MAX_CACHED


def test_reading_does_not_hold_back_checkpoints(instance: Instance, writer: DirectoryWriter) -> None:
    reader = instance.reader()
    reader.find(address("alice@example.test"))
    reader.domain("example.test")
    writer.accounts.add("alice@example.test")
    reader.find(address("alice@example.test"))
    busy, _, _ = writer._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert busy == 0
    reader.close()


def test_missing_database_is_a_failure_in_words(tmp_path: Path) -> None:
    with pytest.raises(TemporaryFailure, match=r"directory\.db"):
        Directory(tmp_path / "directory.db")


@pytest.mark.parametrize(("version", "words"), [(99, "install the newer"), (0, "mailstack migrate")])
def test_schema_of_another_version_is_refused(instance: Instance, version: int, words: str) -> None:
    connection = sqlite3.connect(instance.config.paths.directory_db)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    for open_it in (instance.reader, instance.writer):
        with pytest.raises(TemporaryFailure, match=words):
            open_it()


def test_read_side_cannot_write(reader: Directory) -> None:
    with pytest.raises(sqlite3.OperationalError):
        reader._connection.execute("DELETE FROM domain")
