"""Operator's scripts for what IMAP clients do, in the imap daemon (RFC 6785)."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mailstack.app import stored_events
from mailstack.app.event_scripts import compiled
from mailstack.filters.sieve_options import ImapScript, SieveOptions
from mailstack.model.errors import TemporaryFailure
from tests.app.test_imapd import daemon
from tests.kit.imap_service import RawClient

_REQUIRE = (
    b'require ["imapsieve", "environment", "fileinto", "copy", "imap4flags", "variables", "envelope"];\r\n'
)
_MAIL = b"From: a@example.net\r\nSubject: one\r\n\r\nHello\r\n"


@contextlib.asynccontextmanager
async def _session(
    folder: Path, source: bytes, *, waiting: int = 100, sharing: bool = True, **entry: object
) -> AsyncIterator[RawClient]:
    """A client that has INBOX, Work and Done; the script runs for Work, or what `entry` says."""
    script = folder / "event.sieve"
    script.write_bytes(_REQUIRE + source)
    one = ImapScript(**{"script": str(script), "mailbox": "Work", **entry})  # type: ignore[arg-type]
    options = SieveOptions(imap=(one,), imap_waiting=waiting)
    async with daemon(folder, sieve=options, sharing=sharing) as running:
        client = await running.log_in()
        for name in (b"Work", b"Done"):
            assert (await client.command(b"CREATE " + name))[-1].startswith(b"t OK")
        yield client
        await client.close()


async def _ok(client: RawClient, text: bytes) -> list[bytes]:
    lines = await client.command(text)
    assert lines[-1].startswith(b"t OK"), lines
    return lines


async def _append(client: RawClient, folder: bytes, flags: bytes = b"()", mail: bytes = _MAIL) -> None:
    await _ok(client, b"APPEND %b %b {%d+}\r\n%b" % (folder, flags, len(mail), mail))


async def _flags(client: RawClient, folder: bytes) -> list[bytes]:
    """The flags of all messages there, as they are now."""
    await _ok(client, b"EXAMINE " + folder)
    lines = await _ok(client, b"FETCH 1:* (FLAGS)") if await _count(client, folder) else []
    return [
        b" ".join(sorted(set(found[1].split()) - {b"\\Recent"}))
        for line in lines
        if (found := re.search(rb"FLAGS \((.*?)\)", line))
    ]


async def _count(client: RawClient, folder: bytes) -> int:
    lines = await _ok(client, b"STATUS %b (MESSAGES)" % folder)
    return int(lines[0].rpartition(b"MESSAGES ")[2].rstrip(b")"))


async def _until(client: RawClient, folder: bytes, wanted: list[bytes]) -> None:
    found: list[bytes] = []
    try:
        async with asyncio.timeout(60):
            while (found := await _flags(client, folder)) != wanted:
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"{folder!r}: {found}, not {wanted}") from None


@pytest.mark.parametrize("sharing", [True, False])
async def test_a_script_runs_after_append_copy_and_move(tmp_path: Path, sharing: bool) -> None:
    source = b'if environment :matches "imap.cause" "*" { addflag "${1}"; }'
    source += b'if environment :is "imap.mailbox" "Work" { addflag "here"; }'
    source += b'if environment :is "imap.user" "alice@example.test" { addflag "alice"; }'
    async with _session(tmp_path, source, sharing=sharing) as client:
        await _append(client, b"Work")
        await _until(client, b"Work", [b"APPEND alice here"])
        await _append(client, b"INBOX")
        await _ok(client, b"SELECT INBOX")
        await _ok(client, b"COPY 1 Work")
        await _ok(client, b"MOVE 1 Work")
        await _until(client, b"Work", [b"APPEND alice here", b"COPY alice here", b"COPY alice here"])
        assert await _flags(client, b"INBOX") == []


async def test_changed_flags_are_told_and_files_a_copy(tmp_path: Path) -> None:
    source = b'if environment :matches "imap.changedflags" "*" { fileinto :copy :flags "${1}" "Done"; }'
    async with _session(tmp_path, source, causes=("flag",)) as client:
        await _append(client, b"Work", b"(\\Flagged)")
        await _ok(client, b"SELECT Work")
        await _ok(client, b"STORE 1 FLAGS (\\Flagged \\Answered)")
        await _until(client, b"Done", [b"\\Answered"])
        await _until(client, b"Work", [b"\\Answered \\Flagged"])
        await _ok(client, b"SELECT Work")
        await _ok(client, b"STORE 1 +FLAGS (\\Flagged)")  # it has it: nothing happens
        await _ok(client, b"STORE 1 -FLAGS (\\Flagged)")
        await _until(client, b"Done", [b"\\Answered", b"\\Flagged"])
        await _ok(client, b"SELECT Work")
        await _ok(client, b"FETCH 1 BODY[]")
        await _until(client, b"Done", [b"\\Answered", b"\\Flagged", b"\\Seen"])


async def test_without_a_keep_the_message_is_marked_deleted(tmp_path: Path) -> None:
    source = b'if header :is "subject" "one" { fileinto "Done"; } else { discard; }'
    async with _session(tmp_path, source) as client:
        await _append(client, b"Work")
        await _append(client, b"Work", mail=b"Subject: two\r\n\r\n")
        await _until(client, b"Work", [b"\\Deleted", b"\\Deleted"])
        await _until(client, b"Done", [b""])


async def test_a_folder_that_took_the_name_of_another_is_not_taken_for_it(tmp_path: Path) -> None:
    async with _session(tmp_path, b"discard;", causes=("flag",)) as client:
        await _append(client, b"Work")
        await _ok(client, b"SELECT Work")
        await _ok(client, b"RENAME Work Old")
        await _ok(client, b"CREATE Work")
        await _append(client, b"Work")
        await _ok(client, b"STORE 1 +FLAGS (\\Flagged)")  # of the one in Old, which is selected
        await _append(client, b"Work")
        await _ok(client, b"SELECT Work")
        await _ok(client, b"STORE 2 +FLAGS (\\Flagged)")  # whatever waits comes before this
        await _until(client, b"Work", [b"", b"\\Deleted \\Flagged"])
        assert await _flags(client, b"Old") == [b"\\Flagged"]


async def test_what_a_script_does_is_no_event(tmp_path: Path) -> None:
    """Flags set because of flags, and copies into a folder with the same script, end there."""
    source = b'addflag "ran"; fileinto :copy "Work"; fileinto :copy "Done";'
    async with _session(tmp_path, source, mailbox="*") as client:
        await _append(client, b"Work")
        await _until(client, b"Work", [b"ran", b"ran"])
        await _append(client, b"Done", mail=b"Subject: last\r\n\r\n")  # whatever waits comes before this
        await _until(client, b"Done", [b"ran", b"ran", b"ran"])
        await _until(client, b"Work", [b"ran", b"ran", b"ran"])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (b'addflag "x"; fileinto "Done"; fileinto "Nowhere";', "Nowhere"),
        (b'addflag "x"; fileinto "Done"; if envelope "from" "x" { discard; }', "no envelope"),
        (b"".join(b'fileinto :copy :flags "x" "D%d";' % number for number in range(33)), "actions"),
    ],
)
async def test_a_failing_script_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, wrong: bytes, words: str
) -> None:
    source = b'if header :is "subject" "one" { %b } else { addflag "fine"; }' % wrong
    async with _session(tmp_path, source) as client:
        await _append(client, b"Work")
        await _append(client, b"Work", mail=b"Subject: two\r\n\r\n")
        await _until(client, b"Work", [b"", b"fine"])
        assert await _flags(client, b"Done") == []
    said = [record.message for record in caplog.records if "sieve.imap" in record.message]
    assert (
        len(said) == 1 and words in said[0] and "event.sieve: alice@example.test: Work: 1 messages" in said[0]
    )


async def test_what_the_disk_does_not_let_end_leaves_no_copy(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise TemporaryFailure("changing flags: the disk is full", status="3.1")

    monkeypatch.setattr(stored_events, "carry_out", full)
    async with _session(tmp_path, b'fileinto "Done";') as client:
        await _append(client, b"Work")
        async with asyncio.timeout(60):
            while "the disk is full" not in caplog.text:
                await asyncio.sleep(0.02)
        assert (await _flags(client, b"Work"), await _flags(client, b"Done")) == ([b""], [])


async def test_more_than_may_wait_stay_as_they_are(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with _session(tmp_path, b'addflag "ran";', waiting=1, causes=("copy",)) as client:
        for _ in range(3):
            await _append(client, b"INBOX")
        await _ok(client, b"SELECT INBOX")
        await _ok(client, b"COPY 1:3 Work")
        await _until(client, b"Work", [b"ran", b"", b""])
    assert any("2 messages stay as they are" in record.message for record in caplog.records)


async def test_others_and_other_folders_see_nothing_of_it(tmp_path: Path) -> None:
    async with _session(tmp_path, b"discard;", mailbox="Work*", causes=("append",)) as client:
        assert b"IMAPSIEVE" not in b" ".join(await _ok(client, b"CAPABILITY"))
        await _append(client, b"INBOX")
        await _ok(client, b"SELECT INBOX")
        await _ok(client, b"COPY 1 Work")
        await _append(client, b"Work", mail=b"Subject: last\r\n\r\n")
        await _until(client, b"Work", [b"", b"\\Deleted"])
        await _until(client, b"INBOX", [b""])


async def test_a_script_that_does_not_compile_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with _session(tmp_path, b"nonsense;") as client:
        await _append(client, b"Work")
        assert await _count(client, b"Work") == 1
    assert any("event.sieve:2:1:" in record.message for record in caplog.records)


@pytest.mark.parametrize(
    "source",
    [
        b'redirect "x@example.net";',
        b'require "enotify";',
        b'require "vacation";',
        b'require "reject";',
        b'require "editheader";',
        b'require "include";',
        b'require "duplicate";',
    ],
)
def test_what_leaves_or_edits_does_not_compile(tmp_path: Path, source: bytes) -> None:
    file = tmp_path / "x.sieve"
    file.write_bytes(source)
    scripts, wrong = compiled([ImapScript(script=str(file)), ImapScript(script=f"{tmp_path}/none")])
    assert scripts == [] and len(wrong) == 2
    assert wrong[0].startswith(f"{file}:1:") and "none: cannot be read" in wrong[1]
