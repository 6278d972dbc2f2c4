"""Several clients, a restart, other programs at the files, a lost cache: everybody ends at the truth.

The sessions are the real ones on a real mailbox; each client believes only what it was
told (`tests.kit.imap_mirror`).
"""

from __future__ import annotations

import re
import shutil
import tempfile
from hashlib import sha256
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from mailstack.mailbox import MailStore
from mailstack.mailbox.options import MailboxOptions
from tests.kit.bare_session import ACCOUNT, BareSession, message
from tests.kit.fuzzing import FUZZ
from tests.kit.imap_mirror import Mirror, expand

CLIENTS = 3
_client = st.integers(0, CLIENTS - 1)
_flag = st.sampled_from([b"\\Seen", b"\\Deleted", b"\\Flagged", b"\\Answered", b"$Junk", b"Work"])
_operation = st.sampled_from([b"FLAGS", b"+FLAGS", b"-FLAGS.SILENT", b"+FLAGS.SILENT", b"-FLAGS"])
_place = st.integers(0, 30)


class Client:
    """A session with its mirror."""

    def __init__(self, store: MailStore, *, qresync: bool) -> None:
        self.mirror = Mirror(qresync=qresync)
        self.connect(store)

    def connect(self, store: MailStore) -> None:
        """A new connection that resumes where the last one ended."""
        self.session = BareSession(store.account(ACCOUNT.address)).log_in()
        mirror = self.mirror
        known = [uid for uid in mirror.uids if uid]
        select = b"SELECT INBOX"
        if mirror.qresync:
            self.session.command(b"ENABLE QRESYNC")
            if mirror.highest_modseq:
                select += b" (QRESYNC (%d %d%b))" % (
                    mirror.uid_validity,
                    mirror.highest_modseq,
                    b" " + b",".join(b"%d" % uid for uid in known) if known else b"",
                )
                mirror.uids = known
        mirror.selecting()
        self.run(select)
        mirror.selected()

    def leave(self) -> None:
        """Logs out; who wants to resume knows every UID by then."""
        if not self.mirror.qresync:
            self.mirror = Mirror()
            self.session.command(b"LOGOUT")
            return
        self.run(b"UID FETCH 1:* (FLAGS)")
        self.run(b"LOGOUT")

    def run(self, *commands: bytes) -> bytes:
        """Pipelined commands; everything said is heard."""
        self.mirror.sending(*commands)
        if any(b".SILENT" in command for command in commands):
            self.mirror.flags.clear()  # what it changed itself it is not told
        wire = b"".join(b"t%d %b\r\n" % (at, command) for at, command in enumerate(commands))
        said = self.session.ask(wire)
        for line in said.split(b"\r\n"):
            if line.startswith(b"* "):
                self.mirror.hear(line)
            if (found := re.search(rb"\[HIGHESTMODSEQ (\d+)\]", line)) is not None:
                self.mirror.highest_modseq = int(found[1])
        for at in range(len(commands)):
            assert re.search(rb"^t%d (OK|NO) " % at, said, re.MULTILINE), (commands, said)
        return said


class ManyClients(RuleBasedStateMachine):
    """INBOX in three clients' eyes; one speaks QRESYNC, one CONDSTORE, one neither."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mailstack-many-"))
        self.drawn = 0
        self.store = self.open_store()
        account = self.store.account(ACCOUNT.address)
        inbox = account.status("INBOX")
        self.maildir = self.folder / "mail" / "example.test" / "alice" / "Maildir"
        self.born: dict[tuple[int, int], bytes] = {}
        self.serial = 0
        assert inbox.messages == 0
        self.clients = [Client(self.store, qresync=number == 0) for number in range(CLIENTS)]
        self.clients[1].run(b"ENABLE CONDSTORE")

    def random_bytes(self, count: int) -> bytes:
        self.drawn += 1
        return sha256(b"%d" % self.drawn).digest()[:count]

    def open_store(self) -> MailStore:
        return MailStore(
            self.folder / "mail",
            now=lambda: 1_767_225_600.0,
            random_bytes=self.random_bytes,
            options=MailboxOptions(flag_names_delay_s=0.0),
        )

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.everybody_knows_the_truth()
            self.store.close()
            shutil.rmtree(self.folder)

    # -- what clients do ----------------------------------------------------------------

    @rule(client=_client, count=st.integers(1, 3))
    def append(self, client: int, count: int) -> None:
        for _ in range(count):
            self.serial += 1
            data = message(subject=f"number {self.serial}")
            self.clients[client].run(b"APPEND INBOX (\\Flagged) {%d+}\r\n%b" % (len(data), data))

    @rule(client=_client, place=_place, flag=_flag, operation=_operation)
    def store_by_number(self, client: int, place: int, flag: bytes, operation: bytes) -> None:
        one = self.clients[client]
        if one.mirror.uids:
            one.run(b"STORE %d %b (%b)" % (place % len(one.mirror.uids) + 1, operation, flag))

    @rule(client=_client, place=_place, flag=_flag, operation=_operation)
    def store_by_uid(self, client: int, place: int, flag: bytes, operation: bytes) -> None:
        self.clients[client].run(b"UID STORE %d:%d %b (%b)" % (place + 1, place + 3, operation, flag))

    @rule(client=_client)
    def expunge(self, client: int) -> None:
        self.clients[client].run(b"EXPUNGE")

    @rule(client=_client, place=_place)
    def uid_expunge(self, client: int, place: int) -> None:
        self.clients[client].run(b"UID EXPUNGE %d:%d" % (place + 1, place + 2))

    @rule(client=_client, place=_place, folder=st.sampled_from([b"INBOX", b"Archive"]))
    def copy(self, client: int, place: int, folder: bytes) -> None:
        self.clients[client].run(b"UID COPY %d:%d %b" % (place + 1, place + 2, folder))

    @rule(client=_client, place=_place)
    def move(self, client: int, place: int) -> None:
        self.clients[client].run(b"UID MOVE %d Archive" % (place + 1))

    @rule(client=_client)
    def look(self, client: int) -> None:
        self.clients[client].run(b"NOOP")

    @rule(client=_client)
    def fetch_numbers(self, client: int) -> None:
        one = self.clients[client]
        if one.mirror.uids:
            one.run(b"FETCH 1:* (UID FLAGS)")

    @rule(client=_client, flag=_flag)
    def pipelined(self, client: int, flag: bytes) -> None:
        one = self.clients[client]
        if one.mirror.uids:
            one.run(b"STORE 1 +FLAGS (%b)" % flag, b"FETCH 1 (UID FLAGS)", b"SEARCH ALL")

    @rule(client=_client)
    def idle(self, client: int) -> None:
        one = self.clients[client]
        one.mirror.sending(b"IDLE")
        said = one.session.ask(b"i IDLE\r\n") + one.session.ask(b"DONE\r\n")
        for line in said.split(b"\r\n"):
            if line.startswith(b"* "):
                one.mirror.hear(line)

    @rule(client=_client)
    def reconnect(self, client: int) -> None:
        one = self.clients[client]
        one.leave()
        one.connect(self.store)

    # -- what else happens ------------------------------------------------------------------

    def files(self) -> list[Path]:
        self.store.flush()  # names, and files of the expunged, follow in the background
        return sorted([*(self.maildir / "cur").iterdir(), *(self.maildir / "new").iterdir()])

    @rule()
    def another_program_delivers(self) -> None:
        self.serial += 1
        (self.maildir / "new" / f"17672256{self.serial:02d}.other.host").write_bytes(
            message(subject=f"number {self.serial}")
        )

    @rule(place=_place, letters=st.sampled_from(["", "S", "FS", "T", "RS"]))
    def another_program_renames(self, place: int, letters: str) -> None:
        if not (files := self.files()):
            return
        path = files[place % len(files)]
        path.rename(self.maildir / "cur" / (path.name.partition(":")[0] + ":2," + letters))

    @rule(place=_place)
    def another_program_removes(self, place: int) -> None:
        if files := self.files():
            files[place % len(files)].unlink()

    @rule()
    def the_cache_is_lost(self) -> None:
        for path in self.maildir.parent.glob("cache.db*"):
            path.unlink(missing_ok=True)

    @rule()
    def the_server_starts_again(self) -> None:
        for one in self.clients:
            one.leave()
        self.store.close()
        self.store = self.open_store()
        for one in self.clients:
            one.connect(self.store)

    # -- the truth ----------------------------------------------------------------------------

    @rule()
    def everybody_knows_the_truth(self) -> None:
        fresh = Client(self.store, qresync=False)
        fresh.run(b"NOOP")
        if fresh.mirror.uids:
            fresh.run(b"FETCH 1:* (UID FLAGS)")
        truth = fresh.mirror
        assert len(self.files()) == len(truth.uids)
        for one in self.clients:
            one.run(b"NOOP")
            mirror = one.mirror
            assert len(mirror.uids) == len(truth.uids), (mirror.uids, truth.uids)
            for known, uid in zip(mirror.uids, truth.uids, strict=True):
                assert known in (0, uid)
                if known in mirror.flags:
                    assert mirror.flags[known] == truth.flags[uid]
            if mirror.uids:
                one.run(b"FETCH 1:* (UID FLAGS)")
            assert mirror.uids == truth.uids
            assert {uid: mirror.flags[uid] for uid in mirror.uids} == {u: truth.flags[u] for u in truth.uids}
        self.messages_keep_their_uids(fresh)
        fresh.run(b"LOGOUT")

    def messages_keep_their_uids(self, fresh: Client) -> None:
        """The same UID is the same message for ever."""
        if not fresh.mirror.uids:
            return
        said = fresh.session.command(b"FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        for found in re.finditer(rb"UID (\d+) BODY\[[^]]*\] \{\d+\}\r\n(Subject: [^\r]*)", said):
            key = fresh.mirror.uid_validity, int(found[1])
            assert self.born.setdefault(key, found[2]) == found[2]


ManyClients.TestCase.settings = settings(
    max_examples=max(FUZZ.max_examples // 16, 1),
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    # A failure in forty steps can be read; making it shorter takes minutes.
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
test_everybody_ends_at_the_truth = ManyClients.TestCase


def test_expand() -> None:
    assert expand(b"1:3,7") == [1, 2, 3, 7]
