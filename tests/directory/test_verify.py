"""What `mailstack verify` says about the directory."""

from __future__ import annotations

import sqlite3

import pytest

from mailstack.directory import DirectoryWriter
from mailstack.directory.verify import verify
from tests.kit.instance import PASSWORD, Instance


@pytest.fixture(autouse=True)
def alice(writer: DirectoryWriter) -> None:
    writer.accounts.add("alice@example.test", password=PASSWORD)
    writer.aliases.add("sales@example.test", ["alice@example.test"])


def test_healthy_directory_has_nothing_to_say(instance: Instance, writer: DirectoryWriter) -> None:
    writer.accounts.remove("alice@example.test")
    writer.aliases.remove("sales@example.test")
    writer.accounts.add("sales@example.test")
    assert verify(instance.config.paths) == []


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        (
            "DELETE FROM address WHERE account_id IS NOT NULL",
            "the account alice@example.test (id 1) has no row",
        ),
        ("DELETE FROM address WHERE alias_id IS NOT NULL", "the alias sales@example.test (id 1) has no row"),
        ("UPDATE credential SET hash = 'plain'", "the password hash of alice@example.test is malformed"),
        ("UPDATE dkim_key SET sealed = x'00'", "is damaged"),
        ("UPDATE srs_secret SET master_id = 'other'", "restore the old file"),
        ("UPDATE account SET domain_id = 99", "points nowhere"),
    ],
)
def test_every_loose_end_is_named(instance: Instance, sql: str, words: str) -> None:
    connection = sqlite3.connect(instance.config.paths.directory_db)
    with connection:
        connection.execute(sql)
    connection.close()
    assert any(words in text for text in verify(instance.config.paths))


def test_lost_master_key_is_named_once(instance: Instance) -> None:
    instance.config.paths.master_key.unlink()
    [text] = verify(instance.config.paths)
    assert "cannot be read" in text
