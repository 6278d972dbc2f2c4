"""Wake-ups: they arrive, they never wait, and the dead are forgotten."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstack.net.bus import GATHER_S, MAX_DATAGRAM_OCTETS, Bus, Message
from tests.kit.loops import until
from tests.kit.process import Process, eventually, python


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def sender(run_dir: Path) -> Iterator[Bus]:
    bus = Bus(run_dir, "smtp")
    yield bus
    bus.close()


async def received(got: list[Message], count: int) -> list[Message]:
    await until(lambda: len(got) >= count)
    return got


async def test_what_is_published_arrives(run_dir: Path, sender: Bus) -> None:
    got: list[Message] = []
    receiver = Bus(run_dir, "imap")
    receiver.listen(asyncio.get_running_loop(), got.append)
    sender.publish("imap", {"event": "mailbox", "account": "alice@example.test", "folder": "Entwürfe"})
    assert await received(got, 1) == [
        {"event": "mailbox", "account": "alice@example.test", "folder": "Entwürfe"}
    ]
    receiver.close()
    assert not list((run_dir / "bus").iterdir())


async def test_only_the_role_that_is_meant_hears_it(run_dir: Path, sender: Bus) -> None:
    imap: list[Message] = []
    queue: list[Message] = []
    listeners = [Bus(run_dir, "imap"), Bus(run_dir, "queue")]
    for bus, got in zip(listeners, (imap, queue), strict=True):
        bus.listen(asyncio.get_running_loop(), got.append)
    sender.publish("queue", {"event": "queued"})
    assert await received(queue, 1) == [{"event": "queued"}]
    assert imap == []
    for bus in listeners:
        bus.close()


async def test_more_than_the_kernel_holds_arrives_all_the_same(run_dir: Path, sender: Bus) -> None:
    # net.unix.max_dgram_qlen is often 10; nothing reads while we publish.
    got: list[Message] = []
    receiver = Bus(run_dir, "imap")
    receiver.listen(asyncio.get_running_loop(), got.append)
    begun = time.monotonic()
    for number in range(2000):
        sender.publish("imap", {"event": "mailbox", "number": number})
    assert time.monotonic() - begun < 5, "publishing must not wait for the receiver"
    await received(got, 2000)
    assert sorted(int(message["number"]) for message in got) == list(range(2000))
    receiver.close()


async def test_equal_messages_are_kept_once_for_a_busy_receiver(run_dir: Path, sender: Bus) -> None:
    got: list[Message] = []
    receiver = Bus(run_dir, "imap")
    receiver.listen(asyncio.get_running_loop(), got.append)
    for _ in range(5000):
        sender.publish("imap", {"event": "mailbox"})
    await received(got, 1)
    await asyncio.sleep(0.1)
    assert len(got) <= 3
    receiver.close()


async def test_what_follows_at_once_leaves_together(run_dir: Path, sender: Bus) -> None:
    folder = run_dir / "bus"
    folder.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(str(folder / "imap-1.sock"))
        daemon.setblocking(False)
        for number in (1, 2, 3, 3):
            sender.publish("imap", {"number": number})
        assert daemon.recv(100) == b'{"number":1}'
        loop = asyncio.get_running_loop()
        together = await asyncio.wait_for(loop.sock_recv(daemon, 100), 60)
        assert together == b'{"number":2}\n{"number":3}'


async def test_what_waits_leaves_at_the_end(run_dir: Path) -> None:
    folder = run_dir / "bus"
    folder.mkdir()
    sender = Bus(run_dir, "smtp")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(str(folder / "imap-1.sock"))
        daemon.setblocking(False)
        for number in (4, 5):
            sender.publish("imap", {"number": number})
        sender.close()
        assert [daemon.recv(100) for _ in range(2)] == [b'{"number":4}', b'{"number":5}']


async def test_who_comes_later_is_found_at_once(run_dir: Path, sender: Bus) -> None:
    for number in range(5):
        sender.publish("imap", {"number": number})
        await asyncio.sleep(2 * GATHER_S)
        got: list[Message] = []
        receiver = Bus(run_dir, "imap")
        receiver.listen(asyncio.get_running_loop(), got.append)
        sender.publish("imap", {"event": "mailbox"})
        assert await received(got, 1) == [{"event": "mailbox"}]
        receiver.close()


async def test_threads_may_publish(run_dir: Path, sender: Bus) -> None:
    got: list[Message] = []
    receiver = Bus(run_dir, "imap")
    receiver.listen(asyncio.get_running_loop(), got.append)

    def publish(thread: int) -> None:
        for number in range(100):
            sender.publish("imap", {"thread": thread, "number": number})

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    await received(got, 400)
    assert len({(message["thread"], message["number"]) for message in got}) == 400
    receiver.close()


def test_nobody_there_is_no_error(run_dir: Path, sender: Bus) -> None:
    sender.publish("imap", {"event": "mailbox"})


def test_the_socket_of_a_dead_process_is_removed(run_dir: Path, sender: Bus) -> None:
    folder = run_dir / "bus"
    folder.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(folder / "imap-1.sock"))
    (folder / "imap-2.sock").write_text("not a socket")
    sender.publish("imap", {"event": "mailbox"})
    assert [path.name for path in folder.iterdir() if path.is_socket()] == []


async def test_what_is_no_message_is_ignored(
    run_dir: Path, sender: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    got: list[Message] = []
    receiver = Bus(run_dir, "imap")
    receiver.listen(asyncio.get_running_loop(), got.append)
    path = next((run_dir / "bus").iterdir())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        for junk in (b"", b"\xff", b"[]", b'{"a":[]}', b"{" * 8000):
            stranger.sendto(junk, str(path))
    sender.publish("imap", {"event": "mailbox"})
    assert await received(got, 1) == [{"event": "mailbox"}]
    assert caplog.text.count("is not a message") == 5
    receiver.close()


def test_a_message_too_long_for_a_datagram_is_not_sent(sender: Bus, caplog: pytest.LogCaptureFixture) -> None:
    sender.publish("imap", {"folder": "x" * MAX_DATAGRAM_OCTETS})
    assert "is not sent" in caplog.text


def test_a_receiver_that_hangs_delays_nobody(run_dir: Path, sender: Bus) -> None:
    folder = run_dir / "bus"
    folder.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hanging:
        hanging.bind(str(folder / "imap-1.sock"))
        begun = time.monotonic()
        for number in range(1000):
            sender.publish("imap", {"number": number})
        assert time.monotonic() - begun < 5


def test_a_command_line_process_can_publish_and_leave(run_dir: Path) -> None:
    folder = run_dir / "bus"
    folder.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(str(folder / "imap-1.sock"))
        daemon.settimeout(60)
        program = (
            "import sys, pathlib; from mailstack.net.bus import Bus\n"
            "bus = Bus(pathlib.Path(sys.argv[1]), 'cli'); bus.publish('imap', {'event': 'x'}); bus.close()"
        )
        process = Process(python("-c", program, run_dir))
        assert daemon.recv(100) == b'{"event":"x"}'
        assert process.wait() == 0, process.output
    eventually(lambda: not process.running)
