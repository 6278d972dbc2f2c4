"""`mailstack train show|forget|rebuild|domain`; with a running filter: tests/e2e/test_feedback.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mailstack.app.lessons import LessonBook, domain_folder, home_of
from mailstack.model.address import Address
from mailstack.model.lessons import Lesson
from tests.kit.instance import Instance

ALICE = "alice@example.test"


@pytest.fixture
def books(instance: Instance) -> dict[str, LessonBook]:
    """Lessons of an address, and of its domain."""
    with instance.writer() as writer:
        writer.accounts.add(ALICE, password="correct horse battery")
    paths = instance.config.paths
    made = {
        ALICE: LessonBook(home_of(paths.mail, Address.parse(ALICE))),
        "example.test": LessonBook(domain_folder(paths, "example.test")),
    }
    lessons = [
        Lesson(
            b"1",
            "spam",
            "ham",
            1.0,
            "place",
            1.8e9,
            b"\0" * 8,
            0.0,
            "m",
            "a@far.test",
            "block",
            message_id="<1@far.test>",
        ),
        Lesson(b"2", "ham", "ham", 0.2, "sample", 1.8e9, b"", 0.0),
        Lesson(b"3", "promotions", "ham", 0.2, "mark", 1.9e9, b"", 0.0),
    ]
    for book in made.values():
        with book.alone():
            book.write(lessons, b"")
    return made


@pytest.mark.parametrize("whose", [ALICE, "example.test", "EXAMPLE.test"])
def test_show(instance: Instance, books: dict[str, LessonBook], whose: str) -> None:
    shown = instance.cli("--json", "train", "show", whose).json
    assert shown["counted"] == {"promotions": 1, "spam": 1} and shown["samples"] == 1
    assert [one["label"] for one in shown["lessons"]] == ["promotions", "spam"]
    assert shown["lessons"][1] == {
        "at": "2027-01-15T08:00:00Z",
        "label": "spam",
        "instead_of": "ham",
        "evidence": "place",
        "weak": False,
        "author": "a@far.test",
        "message_id": "<1@far.test>",
        "listed": "block",
        "features": 2,
    }
    text = instance.cli("train", "show", whose).out
    assert "a@far.test  <1@far.test>" in text
    assert "2 lessons (1 promotions, 1 spam); a little beside: 1 wanted message of the INBOX" in text


@pytest.mark.parametrize("whose", [ALICE, "example.test"])
def test_forget(instance: Instance, books: dict[str, LessonBook], whose: str) -> None:
    assert instance.cli("--json", "train", "forget", whose).json == {"of": whose, "forgotten": 2}
    assert books[whose].read() == []
    assert [len(book.read()) for book in books.values()].count(0) == 1
    assert instance.cli("--json", "train", "forget", whose).json["forgotten"] == 0
    assert instance.cli("train", "forget", whose).out == f"{whose} was taught nothing\n"
    assert instance.cli("train", "show", whose).out == "0 lessons\n"


def test_whom_there_is_not(instance: Instance) -> None:
    for whose in ("nobody@example.test", "else.test"):
        for command in ("show", "forget"):
            assert instance.cli("train", command, whose).code == os.EX_NOUSER


def test_the_filter_must_run(instance: Instance, books: dict[str, LessonBook], tmp_path: Path) -> None:
    mails = tmp_path / "mails"
    mails.mkdir()
    (mails / "one.eml").write_bytes(b"Subject: x\n\nHello\n")
    for command in (("domain", "example.test", "--spam", str(mails)),):
        result = instance.cli("train", *command)
        assert result.code == os.EX_UNAVAILABLE and "start mailstack" in result.err
    assert len(books["example.test"].read()) == 3


def test_mistakes(instance: Instance, tmp_path: Path) -> None:
    assert instance.cli("train", "domain", "example.test").code == os.EX_USAGE
    missing = str(tmp_path / "nowhere")
    assert instance.cli("train", "domain", "example.test", "--ham", missing).code == os.EX_NOINPUT
    empty = tmp_path / "empty"
    empty.mkdir()
    result = instance.cli("train", "domain", "example.test", "--ham", str(empty))
    assert result.code == os.EX_USAGE and f"there is no message in {empty}" in result.err
