"""Prepared answers of accounts."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import pytest

from mailstack.directory import Directory, DirectoryWriter, autoresponder
from mailstack.directory.autoresponder import MAX_RESPONSES, StoredResponse, Wishes
from mailstack.directory.autoresponse_words import MAX_EXCLUDED, MAX_TEXT_OCTETS, local_time, weekdays
from mailstack.directory.names import any_address
from mailstack.model.directory import Account
from mailstack.model.errors import PermanentFailure

ALICE = "alice@example.test"


@pytest.fixture(autouse=True)
def alice(writer: DirectoryWriter) -> None:
    writer.accounts.add(ALICE, name='Alice "A" Example')


def _account(reader: Directory) -> Account:
    found = reader.find(any_address(ALICE))
    assert isinstance(found, Account)
    return found


def _set(
    writer: DirectoryWriter,
    reader: Directory,
    name: str = "away",
    text: str | None = "I am away.",
    **wishes: object,
) -> StoredResponse:
    wanted = Wishes(text=text, **wishes)  # type: ignore[arg-type]
    return writer.autoresponders.set(ALICE, name, wanted, owns=reader.may_send_as)


def test_activating_one_deactivates_the_other(writer: DirectoryWriter, reader: Directory) -> None:
    _set(writer, reader, "away", "I am away.")
    _set(writer, reader, "ill", "I am ill.")
    assert autoresponder.active(reader, _account(reader)) is None
    writer.autoresponders.activate(ALICE, "away")
    writer.autoresponders.activate(ALICE, "ill")
    found = autoresponder.active(reader, _account(reader))
    assert found is not None
    assert found.text == "I am ill."
    assert [one.is_active for one in autoresponder.stored(reader, _account(reader).id)] == [False, True]
    assert writer.autoresponders.deactivate(ALICE) == "ill"
    assert writer.autoresponders.deactivate(ALICE) == ""
    assert autoresponder.active(reader, _account(reader)) is None


def test_the_database_itself_has_only_one_active(writer: DirectoryWriter, reader: Directory) -> None:
    _set(writer, reader, "a")
    _set(writer, reader, "b")
    with pytest.raises(Exception) as caught, writer.transaction() as cursor:
        cursor.execute("UPDATE autoresponse SET active = 1")
    assert isinstance(caught.value.__cause__ or caught.value, sqlite3.IntegrityError)


def test_what_is_not_named_stays(writer: DirectoryWriter, reader: Directory) -> None:
    first = _set(
        writer,
        reader,
        starts="2026-12-24 09:00",
        ends="2027-01-03",
        weekdays="mon-fri",
        exclude=("x@y.test",),
    )
    writer.autoresponders.activate(ALICE, "away")
    changed = _set(writer, reader, text=None, subject="Away", exclude=("*@shop.test",))
    assert changed.is_active
    assert changed.response == replace(
        first.response, subject="Away", excluded=frozenset({"x@y.test", "shop.test"})
    )
    assert (changed.response.starts, changed.response.ends) == ("2026-12-24T09:00", "2027-01-03")
    again = _set(writer, reader, text=None, starts="none", weekdays="all", include=("X@Y.test",))
    assert (again.response.starts, again.response.weekdays) == ("", 127)
    assert again.response.excluded == {"shop.test"}


def test_removing_the_active_one_ends_the_answers(writer: DirectoryWriter, reader: Directory) -> None:
    _set(writer, reader)
    writer.autoresponders.activate(ALICE, "away")
    assert writer.autoresponders.remove(ALICE, "away")
    assert autoresponder.active(reader, _account(reader)) is None
    with pytest.raises(PermanentFailure, match="no autoresponder 'away'; it has none yet"):
        writer.autoresponders.remove(ALICE, "away")


def test_another_from_must_be_the_owners(writer: DirectoryWriter, reader: Directory) -> None:
    with pytest.raises(PermanentFailure, match="may not write as boss@"):
        _set(writer, reader, sender="boss@example.test")
    writer.accounts.grant(ALICE, "boss@example.test")
    _set(writer, reader, sender="boss@example.test")
    writer.autoresponders.activate(ALICE, "away")
    found = autoresponder.active(reader, _account(reader))
    assert found is not None
    assert found.sender == '"Alice \\"A\\" Example" <boss@example.test>'


@pytest.mark.parametrize("kind", ["device", "noreply", "spamtrap"])
def test_what_takes_no_mail_answers_none(writer: DirectoryWriter, reader: Directory, kind: str) -> None:
    writer.accounts.set(ALICE, kind=kind)
    with pytest.raises(PermanentFailure, match="has no autoresponder"):
        _set(writer, reader)


def test_so_many_and_not_one_more(writer: DirectoryWriter, reader: Directory) -> None:
    for number in range(MAX_RESPONSES):
        _set(writer, reader, f"n{number}")
    with pytest.raises(PermanentFailure, match="more do not work"):
        _set(writer, reader, "one more")
    _set(writer, reader, "n0", "changed")


def test_so_long_and_not_one_more(writer: DirectoryWriter, reader: Directory) -> None:
    _set(writer, reader, text="é" * (MAX_TEXT_OCTETS // 2))
    with pytest.raises(PermanentFailure, match=f"at most {MAX_TEXT_OCTETS}"):
        _set(writer, reader, text="é" * (MAX_TEXT_OCTETS // 2) + "x")
    many = tuple(f"a{number}@x.test" for number in range(MAX_EXCLUDED))
    _set(writer, reader, exclude=many)
    with pytest.raises(PermanentFailure, match="too many to exclude"):
        _set(writer, reader, exclude=("one@more.test",))


@pytest.mark.parametrize(
    ("wishes", "why"),
    [
        ({"text": " \n"}, "empty"),
        ({"text": "a\0b"}, "may not stand in the text"),
        ({"text": "a\udcffb"}, "may not stand in the text"),
        ({"subject": "a\r\nBcc: x@y.test"}, "may not stand in a subject"),  # V8
        ({"subject": "x" * 201}, "at most 200"),
        ({"starts": "tomorrow"}, "is not a time"),
        ({"ends": "2026-02-30"}, "is not a time"),
        ({"ends": "2026-02-03T25:00"}, "is not a time"),
        ({"starts": "2026-02-03T10:00", "ends": "2026-02-03T09:59"}, "before it starts"),
        ({"starts": "2026-02-04", "ends": "2026-02-03"}, "before it starts"),
        ({"weekdays": "someday"}, "not days of the week"),
        ({"weekdays": ","}, "at least one day"),
        ({"exclude": ("*",)}, "no wildcards"),
        ({"sender": "nobody"}, "cannot be an address"),
    ],
)
def test_what_is_wrong_is_said_and_changes_nothing(
    writer: DirectoryWriter, reader: Directory, wishes: dict[str, object], why: str
) -> None:
    with pytest.raises(PermanentFailure, match=why):
        _set(writer, reader, **{"text": "fine", **wishes})  # type: ignore[arg-type]
    assert autoresponder.stored(reader, _account(reader).id) == ()


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a\nb", "x" * 600])
def test_a_name_is_like_that_of_a_script(writer: DirectoryWriter, reader: Directory, name: str) -> None:
    with pytest.raises(PermanentFailure, match="autoresponder's name"):
        _set(writer, reader, name)


def test_a_new_one_needs_a_text(writer: DirectoryWriter, reader: Directory) -> None:
    with pytest.raises(PermanentFailure, match="give it a text"):
        _set(writer, reader, text=None, subject="Away")


def test_lines_end_alike_wherever_the_text_comes_from(writer: DirectoryWriter, reader: Directory) -> None:
    assert _set(writer, reader, text="\ufeffone\r\ntwo\rthree\n\n").response.text == "one\ntwo\nthree"


@pytest.mark.parametrize(
    ("text", "bits"),
    [("all", 127), ("mon-fri", 31), ("Sat,Sunday", 96), ("sat-mon", 97), ("wed", 4), ("mon tue", 3)],
)
def test_days_of_the_week(text: str, bits: int) -> None:
    assert weekdays(text) == bits


def test_times_are_read_as_people_write_them() -> None:
    assert local_time("2026-12-24 09:00") == local_time("2026-12-24T09:00:00") == "2026-12-24T09:00"
    assert local_time(" 2026-12-24 ") == "2026-12-24"
    assert local_time("none") == ""


def test_a_removed_account_comes_back_with_its_answers(writer: DirectoryWriter, reader: Directory) -> None:
    _set(writer, reader)
    writer.accounts.remove(ALICE)
    writer.accounts.restore(ALICE)
    assert len(autoresponder.stored(reader, _account(reader).id)) == 1
