"""The queue's database removed under running daemons, or damaged while they rest (F23)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit import debian
from tests.kit.accounting import Recorder
from tests.kit.counting import CAROL, GONE, settle
from tests.kit.demo import OFFSETS, Demo
from tests.kit.ports import free_base
from tests.kit.process import eventually, mailstack
from tests.kit.shapes import REPLIES, Loop, loop


def databases(sent: Loop) -> list[Path]:
    return sorted((sent.folder / "state" / "queue").glob("queue.db*"))


def send(sent: Loop, demo: Demo, name: str) -> None:
    recorder = Recorder(demo.host, demo.port("mx"))
    for number in range(3):
        assert recorder.send(f"{name}-{number}", [GONE] if number else [CAROL, GONE]).accept_id
    sent.sent += recorder.sent


@pytest.mark.slow
def test_a_database_removed_under_the_daemons_loses_nothing(tmp_path: Path) -> None:
    with loop(tmp_path / "demo") as sent:
        with sent.life() as demo:
            sent.sink.replies["rcpt"] = "451 4.7.1 later"
            send(sent, demo, "before")
            for path in databases(sent):
                path.unlink()
            send(sent, demo, "into-nowhere")
        sent.sink.replies.update(REPLIES)
        with sent.life() as demo:
            settle(demo)
            sent.check(demo)
            assert "its rows were lost" in demo.log()


def test_a_damaged_database_is_refused_in_words_and_made_anew_from_the_files(tmp_path: Path) -> None:
    with loop(tmp_path / "demo") as sent:
        with sent.life() as demo:
            sent.sink.replies["rcpt"] = "451 4.7.1 later"
            send(sent, demo, "before")
            config = demo.config
        damaged = databases(sent)[0]
        octets = bytearray(damaged.read_bytes())
        for page in range(4_096, len(octets), 4_096):
            octets[page : page + 4] = b"AAAA"
        damaged.write_bytes(octets)
        start = mailstack("demo", "--dir", sent.folder, "--port-base", str(free_base(OFFSETS)))
        for command in (start, mailstack("--config", config, "queue", "verify")):
            refused = debian.run(command)
            assert refused.returncode != 0
            assert "is damaged" in refused.stdout
            assert "run 'mailstack queue verify --repair'" in refused.stdout
            assert "Traceback" not in refused.stdout
        mended = debian.run(mailstack("--config", config, "queue", "verify", "--repair"))
        assert mended.returncode == 0, mended.stdout
        assert mended.stdout.count("its rows were lost") == 3
        for path in (sent.folder / "state" / "queue" / "quarantine").glob("queue.db*"):
            path.unlink()
        sent.sink.replies.update(REPLIES)
        with sent.life() as demo:
            eventually(lambda: len(sent.sink.messages) == 3, explain=demo.log)
            sent.check(demo)
