"""Spool files of large messages, and the room on the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mailstack.model.envelope import Body
from mailstack.model.errors import TemporaryFailure
from mailstack.model.reply import Reply
from mailstack.net.smtp_body import ORPHAN_S, Incoming, SpoolFile, has_room, sweep
from mailstack.smtp.data import DotReader
from mailstack.smtp.options import SmtpOptions


async def receive(folder: Path, message: bytes, *, memory: int = 1000) -> tuple[Body | Reply, Incoming]:
    options = SmtpOptions(memory_octets=memory)
    reader = DotReader(max_octets=100_000, max_line_octets=options.line_octets)
    incoming = Incoming(SpoolFile(str(folder), "id1", None), options, reader, one_from=True)
    wire = message + b".\r\n"
    for at in range(0, len(wire), 300):
        incoming.feed(wire[at : at + 300])
        await incoming.spill()
    return incoming.judge_held() or await incoming.judge(), incoming


@pytest.mark.parametrize(("size", "is_spooled"), [(1000, False), (1001, True), (50_001, True)])
async def test_what_is_larger_than_memory_lies_in_a_file(tmp_path: Path, size: int, is_spooled: bool) -> None:
    message = b"a: b\r\n\r\n" + b"x" * (size - 10) + b"\r\n"
    body, incoming = await receive(tmp_path, message)
    assert isinstance(body, Body)
    assert body.size_octets == size
    assert os.listdir(tmp_path) == (["id1"] if is_spooled else [])
    assert (Path(body.path).read_bytes() if is_spooled else body.data) == message
    incoming.remove()
    assert os.listdir(tmp_path) == []


async def test_a_refused_message_leaves_no_file(tmp_path: Path) -> None:
    judged, incoming = await receive(tmp_path, b"From: a\r\nFrom: b\r\n\r\n" + b"x" * 5000 + b"\r\n")
    assert isinstance(judged, Reply)
    assert judged.code == 550
    incoming.remove()
    judged, _ = await receive(tmp_path, (b"x" * 998 + b"\r\n") * 101)
    assert isinstance(judged, Reply)
    assert judged.code == 552
    assert os.listdir(tmp_path) == []


async def test_a_disk_that_fails_is_a_temporary_refusal(tmp_path: Path) -> None:
    judged, _ = await receive(tmp_path / "missing", b"a: b\r\n\r\n" + b"x" * 5000 + b"\r\n")
    assert isinstance(judged, Reply)
    assert judged.code == 452


async def test_a_file_of_that_name_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "id1").write_bytes(b"somebody's")
    spool = SpoolFile(str(tmp_path), "id1", None)
    with pytest.raises(TemporaryFailure):
        await spool.write(b"x")
    spool.remove()
    assert (tmp_path / "id1").read_bytes() == b"somebody's"


def test_only_old_files_are_swept(tmp_path: Path) -> None:
    for name, age in (("old", ORPHAN_S + 10), ("young", ORPHAN_S - 10)):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (1_000_000 - age, 1_000_000 - age))
    (tmp_path / "folder").mkdir()
    assert sweep(tmp_path, now=1_000_000) == 1
    assert sorted(os.listdir(tmp_path)) == ["folder", "young"]
    assert sweep(tmp_path / "missing", now=0.0) == 0


def test_room_is_octets_share_and_inodes(tmp_path: Path) -> None:
    assert has_room(tmp_path, needed_octets=1, percent=0, inodes=0)
    assert not has_room(tmp_path, needed_octets=1 << 60, percent=0, inodes=0)
    assert not has_room(tmp_path, needed_octets=1, percent=100, inodes=0)
    files = os.statvfs(tmp_path).f_files
    assert has_room(tmp_path, needed_octets=1, percent=0, inodes=1 << 60) == (files == 0)
    assert has_room(tmp_path / "missing", needed_octets=1 << 60, percent=0, inodes=0)
