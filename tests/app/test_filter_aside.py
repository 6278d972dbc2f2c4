"""Copies of what killed a filter worker: bounded, known again, seen by the operator."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mailstack.app.filter_aside import AsideFolder, open_folder
from mailstack.app.filter_killers import (
    END_OCTETS,
    MAX_SHAPES,
    MIN_BODY_OCTETS,
    REMEMBER_S,
    Killers,
    shape_of,
)
from mailstack.disk import durable
from mailstack.model.errors import TemporaryFailure
from mailstack.model.verdict import FilterRecipient, FilterRequest

MESSAGE = b"From: a@example.net\r\nSubject: x\r\n\r\n" + b"body " * 100


def request(accept_id: str = "one", message: bytes | None = MESSAGE, path: str = "") -> FilterRequest:
    recipients = (FilterRecipient(1, 1, "bob@home.test", "bob@home.test"),)
    size = len(message) if message is not None else Path(path).stat().st_size if path else 0
    return FilterRequest(
        accept_id, "192.0.2.1", "h.test", "a@example.net", recipients, 0.0, message, path, size
    )


@pytest.fixture
def folder(tmp_path: Path) -> AsideFolder:
    made = open_folder(tmp_path / "aside", messages=3, octets=2_000)
    assert made is not None
    return made


def test_a_copy_and_what_happened(folder: AsideFolder, tmp_path: Path) -> None:
    assert folder.keep(request(), "filter crashed", shape="s", at=7.0) == "one"
    (entry,) = folder.entries()
    assert entry.recipients == ("bob@home.test",)
    assert (entry.why, entry.at, entry.deaths, entry.size_octets) == ("filter crashed", 7.0, 1, len(MESSAGE))
    assert folder.message("one") == MESSAGE
    assert (folder.path_of("one").stat().st_mode & 0o777) == 0o600
    folder.remove("one")
    assert folder.entries() == [] and list((tmp_path / "aside").iterdir()) == []


def test_its_like_is_counted_not_kept_again(folder: AsideFolder) -> None:
    folder.keep(request("one"), "filter crashed", shape="s", at=1.0)
    assert folder.keep(request("two"), "timeout", shape="s", at=2.0) == "one"
    (entry,) = folder.entries()
    assert (entry.deaths, entry.at, entry.last_at, entry.why) == (2, 1.0, 2.0, "timeout")


def test_the_oldest_goes_when_it_is_full(folder: AsideFolder) -> None:
    for number in range(4):
        folder.keep(request(f"m{number}"), "x", shape=str(number), at=float(number))
    assert [entry.id for entry in folder.entries()] == ["m1", "m2", "m3"]
    folder.keep(request("large", b"x" * 1_900), "x", shape="l", at=9.0)
    assert [entry.id for entry in folder.entries()] == ["large"]
    assert folder.keep(request("larger", b"x" * 2_001), "x", shape="m", at=9.0) == ""
    assert [entry.id for entry in folder.entries()] == ["large"]


def test_nothing_is_kept_where_nothing_may_be(tmp_path: Path) -> None:
    assert AsideFolder(tmp_path, messages=0, octets=1_000).keep(request(), "x", shape="s", at=0) == ""
    assert list(tmp_path.iterdir()) == []


def test_large_messages_come_from_their_file(folder: AsideFolder, tmp_path: Path) -> None:
    spooled = tmp_path / "spooled"
    spooled.write_bytes(MESSAGE)
    one = request(message=None, path=str(spooled))
    assert folder.keep(one, "x", shape=shape_of(one), at=0.0) == "one"
    spooled.unlink()
    assert folder.message("one") == MESSAGE
    assert folder.keep(request("gone", None, ""), "x", shape="g", at=0.0) == ""


def test_a_copy_from_another_file_system_is_nobody_elses(
    folder: AsideFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def another(*_: object) -> None:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(os, "link", another)
    spooled = tmp_path / "spooled"
    spooled.write_bytes(MESSAGE)
    before = os.umask(0o022)
    try:
        folder.keep(request(message=None, path=str(spooled)), "x", shape="s", at=0.0)
    finally:
        os.umask(before)
    assert folder.message("one") == MESSAGE
    assert (folder.path_of("one").stat().st_mode & 0o777) == 0o600


def test_what_cannot_be_written_down_is_not_kept(
    folder: AsideFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(durable, "replace_text", full)
    with pytest.raises(TemporaryFailure):
        folder.keep(request(), "x", shape="s", at=0.0)
    assert list((tmp_path / "aside").iterdir()) == []


@pytest.mark.parametrize("name", ["../../etc/x", "", "a/b", "x" * 100])
def test_an_odd_id_is_no_path(folder: AsideFolder, name: str, tmp_path: Path) -> None:
    kept = folder.keep(request(name), "x", shape="0123456789abcdef0", at=0.0)
    assert kept == "message-0123456789abcdef"
    assert {path.parent for path in tmp_path.rglob("*.eml")} == {tmp_path / "aside"}
    assert folder.find("../aside/message-0123456789abcdef") is None


def test_damaged_facts_are_left_out(folder: AsideFolder, tmp_path: Path) -> None:
    (tmp_path / "aside" / "bad.json").write_text("{")
    folder.keep(request(), "x", shape="s", at=0.0)
    assert [entry.id for entry in folder.entries()] == ["one"]


def test_the_shape_is_the_body(tmp_path: Path) -> None:
    shape = shape_of(request())
    assert shape == shape_of(request(message=b"Received: other\r\n" + MESSAGE))
    assert shape != shape_of(request(message=MESSAGE + b"!"))
    spooled = tmp_path / "spooled"
    spooled.write_bytes(b"X: y\r\n" + MESSAGE)
    assert shape_of(request(message=None, path=str(spooled))) == shape
    spooled.unlink()
    assert shape_of(FilterRequest("", "", "", "", (), 0.0, path=str(spooled))) == ""


def test_the_shape_of_a_large_body_is_its_ends_and_its_size(tmp_path: Path) -> None:
    def shape(at: int = 0, *, octets: int = 5 * END_OCTETS, head: bytes = b"A: 1") -> str:
        body = bytearray(b"x" * octets)
        body[at] = ord("y")
        return shape_of(request(message=head + b"\r\n\r\n" + body))

    middle = shape(2 * END_OCTETS)
    assert middle == shape(3 * END_OCTETS) == shape(3 * END_OCTETS, head=b"A: 1\r\nB: 2")
    assert len({middle, shape(9), shape(-9), shape(2 * END_OCTETS, octets=5 * END_OCTETS + 1)}) == 4
    spooled = tmp_path / "spooled"
    spooled.write_bytes(b"A: 1\r\n\r\n" + b"y" + b"x" * (5 * END_OCTETS - 1))
    assert shape_of(request(message=None, path=str(spooled))) == shape()


def test_a_short_body_is_no_shape_of_its_own() -> None:
    body = b"\r\n\r\n" + b"x" * (MIN_BODY_OCTETS - 4)
    assert shape_of(request(message=b"A: 1" + body)) != shape_of(request(message=b"A: 2" + body))
    assert shape_of(request(message=b"A: 1" + body + b"x")) == shape_of(
        request(message=b"A: 2" + body + b"x")
    )


def test_killers_are_counted_and_forgotten() -> None:
    now = [0.0]
    killers = Killers(lambda: now[0])
    assert not killers and killers.deaths("s") == 0
    assert [killers.add("s"), killers.add("s")] == [1, 2]
    killers.forget("s")
    assert killers.deaths("s") == 0
    killers.add("s")
    now[0] = REMEMBER_S + 1
    assert killers.deaths("s") == 0 and killers.add("s") == 1
    for number in range(MAX_SHAPES + 5):
        killers.add(str(number))
    assert killers.deaths("4") == 0 and killers.deaths("5") == 1
