"""What an account may send, kept in the directory."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from mailstack.model.address import Address
from mailstack.model.directory import NO_LIMIT, Account
from mailstack.model.errors import PermanentFailure
from mailstack.model.sending import PLAN_RULES
from tests.kit.instance import new_instance


def test_limits_and_the_list_grant_are_kept_each_by_itself(tmp_path: Path) -> None:
    instance = new_instance(tmp_path)
    with instance.writer() as writer, contextlib.closing(instance.reader()) as reader:

        def alice() -> Account:
            found = reader.find(Address.parse("alice@example.test"))
            assert isinstance(found, Account)
            return found

        writer.accounts.add("alice@example.test")
        assert alice().sending is PLAN_RULES
        writer.sending.limit("alice@example.test", {"messages_per_day": 5, "recipients": 250})
        assert (alice().sending.messages_per_day, alice().sending.recipients) == (5, 250)
        writer.sending.grant_list("alice@example.test", is_list=True)
        writer.sending.limit("alice@example.test", {"messages_per_day": NO_LIMIT})
        found = writer.sending.limit("alice@example.test", {"recipients": None})
        assert found == alice()
        assert found.sending.messages_per_day == NO_LIMIT
        assert found.sending.recipients is None
        assert found.sending.is_list
        assert not writer.sending.grant_list("alice@example.test", is_list=False).sending.is_list
        assert [one.sending for one in reader.accounts()] == [alice().sending]


@pytest.mark.parametrize(
    ("name", "value"),
    [("recipients", 0), ("recipients", 10_001), ("message_octets", 0), ("messages_per_day", -1), ("x", 1)],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, name: str, value: int) -> None:
    instance = new_instance(tmp_path)
    with instance.writer() as writer:
        writer.accounts.add("alice@example.test")
        with pytest.raises(PermanentFailure):
            writer.sending.limit("alice@example.test", {name: value})
        with pytest.raises(PermanentFailure, match="had no list grant"):
            writer.sending.grant_list("alice@example.test", is_list=False)
        with pytest.raises(PermanentFailure):
            writer.sending.limit("nobody@example.test", {"recipients": 5})
