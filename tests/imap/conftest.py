"""Mailboxes on disk, for sessions."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstack.mailbox import MailStore
from mailstack.mailbox.store import Account
from tests.kit.bare_session import ACCOUNT


@pytest.fixture
def mail(tmp_path: Path) -> Iterator[MailStore]:
    store = MailStore(tmp_path / "mail", now=time.time, random_bytes=os.urandom)
    yield store
    store.close()


@pytest.fixture
def account(mail: MailStore) -> Account:
    return mail.account(ACCOUNT.address)
