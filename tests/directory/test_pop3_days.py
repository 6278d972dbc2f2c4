"""When what POP3 fetched is deleted, per account."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailstack.directory import names
from mailstack.model.errors import PermanentFailure
from tests.kit.instance import new_instance

ALICE = "alice@example.test"


def test_an_account_keeps_its_days_until_told_otherwise(tmp_path: Path) -> None:
    instance = new_instance(tmp_path)
    with instance.writer() as writer:
        assert writer.accounts.add(ALICE, password="correct horse battery").pop3_delete_after_days is None
        assert writer.accounts.set_pop3_days(ALICE, 30).pop3_delete_after_days == 30
        assert writer.accounts.set(ALICE, name="Alice").pop3_delete_after_days == 30
        assert writer.accounts.set_pop3_days(ALICE, None).pop3_delete_after_days is None
        for days in (0, -1, 36_501):
            with pytest.raises(PermanentFailure, match="want 1 to 36500 days"):
                writer.accounts.set_pop3_days(ALICE, days)
        with pytest.raises(PermanentFailure):
            writer.accounts.set_pop3_days("nobody@example.test", 1)


def test_days_are_a_number_or_never() -> None:
    assert (names.days("30"), names.days(" 7 "), names.days("never"), names.days("Never")) == (
        30,
        7,
        None,
        None,
    )
    for text in ("", "-1", "1.5", "ten", "１", "9999999"):
        with pytest.raises(PermanentFailure, match="not a number of days"):
            names.days(text)
