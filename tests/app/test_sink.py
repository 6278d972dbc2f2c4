"""The demo's rest of the world."""

import asyncio
import json
import signal
import socket
import sys
from pathlib import Path

from mailstack.delivery.options import QueueOptions
from mailstack.delivery.remote import Host
from mailstack.delivery.spool import Content
from mailstack.net.smtp_client import connect
from mailstack.smtp.client_events import OutgoingRecipient, Transaction
from tests.kit.ports import free_port
from tests.kit.process import started, wait_for_port

MESSAGE = b"Subject: out\r\n\r\n.dots\r\n..\r\nb\xe4r\r\n"


async def send(port: int, sender: str = "a@example.test") -> str:
    connection = await connect(Host("sink", "127.0.0.1", port), helo="us.test", options=QueueOptions())
    recipients = (OutgoingRecipient("friend@outside.test"), OutgoingRecipient("ü@outside.test"))
    transaction = Transaction(sender, recipients, len(MESSAGE), has_8bit=True, ret="HDRS")
    done = await connection.deliver(transaction, Content(MESSAGE, Path("unused"), len(MESSAGE)))
    await connection.quit()
    return str(done.answers[0].reply)


def test_every_message_is_kept_with_its_envelope(tmp_path: Path) -> None:
    folder, port = tmp_path / "outside", free_port()
    command = [sys.executable, "-m", "mailstack.app.sink", f"127.0.0.1:{port}", str(folder)]
    with started(command) as process:
        wait_for_port(port)
        assert asyncio.run(send(port)).startswith("250 2.0.0 kept as 1.eml")
        asyncio.run(send(port, sender=""))
        with socket.create_connection(("127.0.0.1", port)):  # one that stays open must not hold up the end
            process.signal(signal.SIGTERM)
            assert process.wait(5) == 0
    assert (folder / "1.eml").read_bytes() == MESSAGE
    envelope = json.loads((folder / "1.json").read_text())
    assert (envelope["sender"], envelope["recipients"]) == (
        "a@example.test",
        ["friend@outside.test", "ü@outside.test"],
    )
    assert "RET=HDRS" in envelope["mail_parameters"]
    assert json.loads((folder / "2.json").read_text())["sender"] == ""
    assert sorted(path.name for path in folder.iterdir()) == ["1.eml", "1.json", "2.eml", "2.json"]


def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    (tmp_path / "7.eml").touch()
    port = free_port()
    with started([sys.executable, "-m", "mailstack.app.sink", f"127.0.0.1:{port}", str(tmp_path)]):
        wait_for_port(port)
        assert "8.eml" in asyncio.run(send(port))


def test_it_says_how_it_is_called() -> None:
    with started([sys.executable, "-m", "mailstack.app.sink"]) as process:
        assert process.wait() == 64
        assert "HOST:PORT" in process.output
