"""curl, mbsync and mutt against a server on loopback; skipped where they are not installed."""

from __future__ import annotations

import asyncio
import os
import pty
import select
import subprocess
import time
from pathlib import Path

import pytest

from mailstack.model.mailbox import Flags
from tests.kit.bare_session import PASSWORD, USER, message
from tests.kit.imap_service import ImapService, running
from tests.kit.memory_mailbox import MemoryMailbox


async def _run(*command: str | Path, **environment: str) -> str:
    def run() -> str:
        done = subprocess.run(
            [str(word) for word in command],
            capture_output=True,
            timeout=30,
            check=False,
            env={**os.environ, **environment},
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    return await asyncio.to_thread(run)


@pytest.mark.debian("curl")
async def test_curl_lists_uploads_searches_and_reads(tmp_path: Path) -> None:
    letter = tmp_path / "letter"
    letter.write_bytes(message(subject="via curl"))
    async with running(tmp_path) as service:
        base = f"imaps://localhost:{service.tls_port}"
        common = ["curl", "-sS", "--cacert", service.ca_file, "-u", f"{USER}:{PASSWORD}"]
        assert '"/" "Spam"' in await _run(*common, base + "/")
        await _run(*common, "-T", letter, base + "/INBOX")
        assert "Subject: via curl" in await _run(*common, base + "/INBOX;UID=1")
        assert "* SEARCH 1" in await _run(*common, base + "/INBOX?SUBJECT%20curl")
        starttls = ["curl", "-sS", "--ssl-reqd", "--cacert", service.ca_file, "-u", f"{USER}:{PASSWORD}"]
        answer = await _run(
            *starttls, f"imap://localhost:{service.port}/INBOX", "-X", "STATUS INBOX (MESSAGES)"
        )
        assert "(MESSAGES 1)" in answer


@pytest.mark.debian("mbsync")
async def test_mbsync_synchronises_both_ways(tmp_path: Path) -> None:
    store = MemoryMailbox()
    store.add("INBOX", message(subject="there"), Flags.FLAGGED)
    near = tmp_path / "near"
    for name in ("cur", "new", "tmp"):
        (near / "Local" / name).mkdir(parents=True)
    (near / "Local" / "cur" / "1.1.here:2,S").write_bytes(message(subject="here").replace(b"\r\n", b"\n"))
    async with running(tmp_path, store=store) as service:
        settings = tmp_path / "mbsyncrc"
        settings.write_text(
            f'IMAPAccount a\nHost localhost\nPort {service.tls_port}\nUser {USER}\nPass "{PASSWORD}"\n'
            f"SSLType IMAPS\nCertificateFile {service.ca_file}\n\nIMAPStore far\nAccount a\n\n"
            f"MaildirStore near\nPath {near}/\nInbox {near}/INBOX\nSubFolders Verbatim\n\n"
            "Channel c\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nSyncState *\n"
        )
        await _run("mbsync", "-c", settings, "-a")
        found = [path.name for path in (near / "INBOX").glob("*/*U=1*")]
        assert len(found) == 1 and "F" in found[0].rpartition(",")[2]
        assert b"here" in store.data("Local", 1)
        row = store.rows(store.status("Local").id)[0]
        assert row.flags == Flags.SEEN


@pytest.mark.debian("mutt")
async def test_mutt_flags_and_files_a_message(tmp_path: Path) -> None:
    store = MemoryMailbox()
    store.add("INBOX", message(subject="one"))
    store.add("INBOX", message(subject="two"))
    async with running(tmp_path, store=store) as service:
        settings = tmp_path / "muttrc"
        settings.write_text(
            f'set imap_user="{USER}"\nset imap_pass="{PASSWORD}"\n'
            f'set certificate_file="{service.ca_file}"\nset ssl_verify_host=no\n'
            "set confirmappend=no\nset confirmcreate=no\nset resolve=no\n"
            'set delete=yes\nset quit=yes\nset wait_key=no\nset header_cache=""\nset move=no\n'
        )
        keys = "<first-entry><flag-message><save-message>=Archive<enter><last-entry><display-message>"
        await asyncio.to_thread(_on_terminal, settings, service, keys + "<exit><quit>")
    archived = store.rows(store.status("Archive").id)
    assert [row.flags & Flags.FLAGGED for row in archived] == [Flags.FLAGGED]
    assert [row.uid for row in store.rows(store.status("INBOX").id)] == [2]


def _on_terminal(settings: Path, service: ImapService, keys: str) -> None:
    """Runs mutt on a terminal of its own; the keys are pushed."""
    folder = f"imaps://localhost:{service.tls_port}/"
    command = [
        "mutt",
        "-n",
        "-F",
        str(settings),
        "-e",
        f"set folder={folder}",
        "-e",
        f'push "{keys}"',
        "-f",
        folder + "INBOX",
    ]
    terminal, side = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "HOME": str(settings.parent)}
    with subprocess.Popen(command, stdin=side, stdout=side, stderr=side, env=environment) as process:
        os.close(side)
        deadline = time.monotonic() + 20
        shown = b""
        while process.poll() is None:
            assert time.monotonic() < deadline or process.kill(), shown[-2_000:]
            if select.select([terminal], [], [], 0.1)[0]:
                try:
                    shown += os.read(terminal, 65_536)
                except OSError:
                    break
        os.close(terminal)
