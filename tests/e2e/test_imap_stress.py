"""Many clients do anything at once to one mailbox; each must be able to follow, and agree at the end.

Real daemon, several workers, real sockets.  Every client checks each response against what
it was told before (`tests.kit.imap_mirror`): numbers, order of UIDs, MODSEQs, EXPUNGE only
where it may come.  In the end all pictures are the same, and nothing is there twice.
"""

from __future__ import annotations

import asyncio
import random
import re
import ssl
from collections import Counter
from pathlib import Path

import pytest

from tests.kit.demo import PASSWORD, Demo, running_demo
from tests.kit.imap_mirror import Mirror, Wrong

_LITERAL = re.compile(rb"\{(\d+)\}\r\n\Z")
_FLAGS = (b"\\Seen", b"\\Deleted", b"\\Flagged", b"\\Answered", b"\\Draft", b"$Junk", b"Work")


class Client:
    """One connection that does things by chance."""

    def __init__(self, demo: Demo, account: str, number: int, seed: int) -> None:
        self.demo, self.account, self.number = demo, account, number
        self.chance = random.Random(seed * 1000 + number)
        self.mirror = Mirror(qresync=number % 3 == 0)
        self.tag = 0
        self.appended: list[bytes] = []
        self.answers: Counter[bytes] = Counter()

    async def connect(self) -> None:
        context = ssl.create_default_context(cafile=self.demo.state["ca_file"])
        self.reader, self.writer = await asyncio.open_connection(
            "localhost", self.demo.port("imaps"), ssl=context, limit=1 << 22
        )
        await self.reader.readline()
        await self.run(b'LOGIN "%b" "%b"' % (self.account.encode(), PASSWORD.encode()))
        mirror = self.mirror
        select = b"SELECT INBOX"
        if mirror.qresync:
            await self.run(b"ENABLE QRESYNC")
            known = [uid for uid in mirror.uids if uid]
            if mirror.highest_modseq and known:
                select += b" (QRESYNC (%d %d %b))" % (
                    mirror.uid_validity,
                    mirror.highest_modseq,
                    b",".join(b"%d" % uid for uid in known),
                )
                mirror.uids = known
        elif self.number % 3 == 1:
            select += b" (CONDSTORE)"
        mirror.selecting()
        await self.run(select)
        mirror.selected()

    async def run(self, *commands: bytes) -> list[bytes]:
        """Sends them in one write; gives the tagged lines in the order they came."""
        self.mirror.sending(*commands)
        tags = []
        wire = b""
        for command in commands:
            self.tag += 1
            tags.append(b"c%d" % self.tag)
            wire += b"%b %b\r\n" % (tags[-1], command)
        self.writer.write(wire)
        await self.writer.drain()
        done: list[bytes] = []
        while len(done) < len(tags):
            line = await self.response()
            if line.startswith(b"* BYE"):
                raise Wrong(f"{line!r} after {commands!r}")
            if line.startswith(b"* "):
                self.mirror.hear(line)
            elif not line.startswith(b"+ "):
                tag, _, rest = line.partition(b" ")
                if tag != tags[len(done)]:
                    raise Wrong(f"answers out of order: {line!r} for {tags!r}")
                if not rest.startswith((b"OK", b"NO")):
                    raise Wrong(f"{rest!r} to {commands[len(done)][:200]!r}")
                if (found := re.search(rb"\[HIGHESTMODSEQ (\d+)\]", rest)) is not None:
                    self.mirror.highest_modseq = int(found[1])
                self.answers[rest[:2]] += 1
                done.append(rest)
        return done

    async def response(self) -> bytes:
        async with asyncio.timeout(60):
            line = await self.reader.readline()
            while (found := _LITERAL.search(line)) is not None:
                line += await self.reader.readexactly(int(found[1]))
                line += await self.reader.readline()
        if not line:
            raise Wrong(f"client {self.number}: the server hung up")
        return line.removesuffix(b"\r\n")

    async def act(self) -> None:
        """One of the things a client may do."""
        chance, mirror = self.chance, self.mirror
        many = len(mirror.uids)
        flags = b" ".join(chance.sample(_FLAGS, chance.randint(1, 3)))
        sign = chance.choice((b"", b"+", b"-")) + b"FLAGS" + chance.choice((b"", b".SILENT"))
        number = chance.randint(1, many) if many else 0
        span = b"%d:%d" % (number, min(many, number + chance.randint(0, 8)))
        top = max(1, *mirror.uids, 1)
        uid = b"%d:%d" % (chance.randint(1, top), chance.randint(1, top + 2))
        what = chance.randrange(100)
        if what < 12 or not many:
            await self.append()
        elif what < 27:
            await self.run(b"STORE %b %b (%b)" % (span, sign, flags))
        elif what < 37:
            await self.run(b"UID STORE %b %b (%b)" % (uid, sign, flags))
        elif what < 52:
            await self.run(b"FETCH %b (UID FLAGS)" % span)
        elif what < 58:
            await self.run(b"FETCH %b (UID FLAGS RFC822.SIZE BODY.PEEK[])" % span)
        elif what < 62:
            await self.run(b"UID FETCH %b (FLAGS ENVELOPE BODYSTRUCTURE)" % uid)
        elif what < 68:
            await self.run(b"EXPUNGE")
        elif what < 72:
            await self.run(b"UID EXPUNGE %b" % uid)
        elif what < 76:
            await self.run(b"COPY %b INBOX" % span)
        elif what < 79:
            await self.run(b"UID MOVE %b %b" % (uid, chance.choice((b"INBOX", b"Archive"))))
        elif what < 84:
            await self.run(
                b"SEARCH " + chance.choice((b"UNSEEN", b"DELETED", b"SUBJECT stress", b"1:* OR SEEN DRAFT"))
            )
        elif what < 90:
            await self.run(
                b"STORE %d %b (%b)" % (number, sign, flags), b"FETCH %b (FLAGS UID)" % span, b"SEARCH ALL"
            )
        elif what < 94:
            await self.idle()
        elif what < 96:
            await self.reconnect()
        else:
            await self.run(b"NOOP")

    async def append(self) -> None:
        name = b"%d-%d@stress" % (self.number, self.tag)
        data = b"Message-ID: <%b>\r\nSubject: stress %d\r\n\r\n%b\r\n" % (name, self.tag, b"x" * self.tag)
        (answer,) = await self.run(b"APPEND INBOX {%d+}\r\n%b" % (len(data), data))
        assert answer.startswith(b"OK"), answer
        self.appended.append(name)

    async def idle(self) -> None:
        self.mirror.sending(b"IDLE")
        self.writer.write(b"i IDLE\r\n")
        while not (line := await self.response()).startswith(b"+"):
            self.mirror.hear(line)
        await asyncio.sleep(self.chance.random() / 20)
        self.writer.write(b"DONE\r\n")
        while not (line := await self.response()).startswith(b"i "):
            self.mirror.hear(line)
        assert line.startswith(b"i OK"), line

    async def reconnect(self) -> None:
        if self.mirror.uids and self.mirror.qresync:
            # What it resumes from must be complete: every number has its UID.
            await self.run(b"UID FETCH 1:* (FLAGS)")
        self.writer.write(b"z LOGOUT\r\n")
        while await self.reader.readline():
            pass
        self.writer.close()
        if not self.mirror.qresync:
            self.mirror = Mirror()
        await self.connect()

    async def life(self, actions: int) -> None:
        await self.connect()
        for _ in range(actions):
            await self.act()


async def _stress(demo: Demo, account: str, *, clients: int, actions: int, seed: int) -> list[Client]:
    crowd = [Client(demo, account, number, seed) for number in range(clients)]
    async with asyncio.TaskGroup() as group:
        for client in crowd:
            group.create_task(client.life(actions))
    for client in crowd:
        await client.run(b"NOOP")
        if client.mirror.uids:
            await client.run(b"UID FETCH 1:* (FLAGS)")
    first = crowd[0].mirror
    for client in crowd[1:]:
        assert client.mirror.uids == first.uids
        assert client.mirror.flags == first.flags
    await _check_identity(crowd)
    for client in crowd:
        client.writer.close()
    return crowd


async def _check_identity(crowd: list[Client]) -> None:
    """Nothing is there that nobody put there."""
    put = {name for client in crowd for name in client.appended}
    client = crowd[0]
    client.writer.write(b"h UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])\r\n")
    found = set()
    while not (line := await client.response()).startswith(b"h "):
        if (name := re.search(rb"Message-ID: <([^>]*)>", line, re.IGNORECASE)) is not None:
            found.add(name[1])
    assert line.startswith(b"h OK"), line
    assert found <= put


def test_ten_clients_on_one_mailbox_agree(demo: Demo) -> None:
    account = "stress@example.test"
    demo.cli("user", "add", account, "--password", PASSWORD)
    crowd = asyncio.run(_stress(demo, account, clients=10, actions=80, seed=3))
    answers = sum((client.answers for client in crowd), Counter())
    assert answers[b"OK"] > 700


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
def test_forty_clients_on_one_mailbox_agree(tmp_path: Path, seed: int) -> None:
    with running_demo(tmp_path / "demo") as demo:
        account = "stress@example.test"
        demo.cli("user", "add", account, "--password", PASSWORD)
        asyncio.run(_stress(demo, account, clients=40, actions=600, seed=seed))
        assert not demo.cli("mailbox", "verify", account).count("missing")
