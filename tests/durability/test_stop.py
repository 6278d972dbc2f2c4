"""A stop under load loses nothing (F37)."""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path

from tests.kit.accounting import Recorder, check, marked
from tests.kit.counting import ALICE, HOMES, MIX, count, settle
from tests.kit.demo import running_demo
from tests.kit.process import eventually


def test_sigterm_under_load_finishes_what_is_under_way_and_loses_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with running_demo(folder) as demo:
        recorder = Recorder(demo.host, demo.port("mx"))
        threads = recorder.start(4, MIX)
        eventually(lambda: len(recorder.acknowledged) > 10)
        slow = socket.create_connection((demo.host, demo.port("mx")), 20)
        lines = slow.makefile("rb")
        lines.readline()
        for line in ("HELO client.example", "MAIL FROM:<x@client.example>", f"RCPT TO:<{ALICE}>", "DATA"):
            slow.sendall(f"{line}\r\n".encode())
            answer = lines.readline()
        assert answer.startswith(b"354")
        octets = marked("in-flight").replace(b"\r\n.", b"\r\n..")
        slow.sendall(octets[:500])
        demo.process.signal(signal.SIGTERM)
        eventually(lambda: _refuses(demo.host, demo.port("mx")))
        slow.sendall(octets[500:] + b".\r\n")
        in_flight = lines.readline()
        eventually(lambda: not demo.process.running)
        lines.close()
        slow.close()
        recorder.stop.set()
        for thread in threads:
            thread.join(60)
        assert demo.process.wait() == 0, demo.process.output
    assert in_flight.startswith(b"250"), in_flight
    (folder / "demo.json").unlink(missing_ok=True)
    with running_demo(folder) as demo:
        settle(demo)
        demo.wait_for_message(ALICE, b"X-Test-Mark: in-flight ")
        found = count(demo)
        found.places.pop(("in-flight", ALICE), None)
        check(recorder.sent, found, HOMES)


def _refuses(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), 5) as probe:
            probe.settimeout(0.5)  # nobody takes it from the queue of the socket any more
            return not probe.recv(3).startswith(b"220")
    except OSError:
        return True
    finally:
        time.sleep(0.02)
