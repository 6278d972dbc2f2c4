"""One account in a fresh store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstack.mailbox.options import MailboxOptions
from mailstack.mailbox.store import Account, MailStore
from mailstack.model.address import Address
from tests.kit.clock import Clock

ALICE = Address.parse("alice@example.test")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "mail"


@pytest.fixture
def store(root: Path, clock: Clock) -> Iterator[MailStore]:
    store = MailStore(
        root,
        now=clock,
        random_bytes=os.urandom,
        options=MailboxOptions(flag_names_delay_s=0.01),
        boot="first boot",
    )
    yield store
    assert store.last_trouble is None
    store.close()


@pytest.fixture
def account(store: MailStore) -> Account:
    return store.account(ALICE)


@pytest.fixture
def home(root: Path) -> Path:
    return root / "example.test" / "alice"


@pytest.fixture
def maildir(home: Path) -> Path:
    return home / "Maildir"
