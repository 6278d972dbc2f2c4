"""Random operations, ours and other programs', against a model of a mailbox in a dictionary."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from mailstack.mailbox import recover
from mailstack.mailbox.options import MailboxOptions
from mailstack.mailbox.store import Account, MailStore
from mailstack.model.address import Address
from mailstack.model.mailbox import Flags, NewMessage
from mailstack.model.ranges import numbers
from tests.kit.clock import Clock

FOLDERS = ("INBOX", "Archive", "a/b")
ALICE = Address.parse("alice@example.test")
FLAG_SETS = st.integers(0, 31).map(Flags)
KEYWORDS = st.lists(st.sampled_from(["work", "$Forwarded", "Later"]), unique=True, max_size=2)
LETTERS = {"D": Flags.DRAFT, "F": Flags.FLAGGED, "R": Flags.ANSWERED, "S": Flags.SEEN, "T": Flags.DELETED}


@dataclass(frozen=True)
class Message:
    data: bytes
    flags: Flags
    keywords: frozenset[str]


class Mailbox(RuleBasedStateMachine):
    """One account; `model` is what every folder should hold, by UID."""

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp(prefix="mailstack-model-"))
        self.clock = Clock()
        self.number = 0
        self.model: dict[str, dict[int, Message]] = {name: {} for name in FOLDERS}
        self.highest_uid = dict.fromkeys(FOLDERS, 0)
        self.modseq = dict.fromkeys(FOLDERS, 0)
        self.vanished: dict[str, set[int]] = {name: set() for name in FOLDERS}
        self.open()

    def open(self) -> None:
        options = MailboxOptions(flag_names_delay_s=1000)
        self.store = MailStore(
            self.place, now=self.clock, random_bytes=os.urandom, options=options, boot="one boot"
        )
        self.account: Account = self.store.account(ALICE)

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.place)

    @property
    def maildir(self) -> Path:
        return self.place / "example.test" / "alice" / "Maildir"

    def directory(self, name: str) -> Path:
        return self.maildir if name == "INBOX" else self.maildir / ("." + name.replace("/", "."))

    def fresh(self) -> bytes:
        self.number += 1
        return b"Subject: message %d\r\n\r\nbody\r\n" % self.number

    def pick(self, name: str, data: st.DataObject) -> list[int]:
        there = sorted(self.model[name])
        return sorted(data.draw(st.sets(st.sampled_from(there), max_size=4))) if there else []

    def files(self, name: str) -> dict[bytes, list[Path]]:
        found: dict[bytes, list[Path]] = {}
        for path in [*(self.directory(name) / "new").iterdir(), *(self.directory(name) / "cur").iterdir()]:
            found.setdefault(path.read_bytes(), []).append(path)
        return found

    def added(self, name: str, uids: tuple[int, ...], messages: list[Message]) -> None:
        assert len(uids) == len(messages)
        for uid, message in zip(uids, messages, strict=True):
            assert uid > self.highest_uid[name], "a UID is not greater than all before it"
            self.highest_uid[name] = uid
            self.model[name][uid] = message

    def gone(self, name: str, uids: list[int]) -> None:
        for uid in uids:
            del self.model[name][uid]
            self.vanished[name].add(uid)

    @initialize()
    def make_folder(self) -> None:
        self.account.create("a/b")

    # -- ours ---------------------------------------------------------------------------

    @rule(name=st.sampled_from(FOLDERS), count=st.integers(1, 3), flags=FLAG_SETS, keywords=KEYWORDS)
    def append(self, name: str, count: int, flags: Flags, keywords: list[str]) -> None:
        messages = [Message(self.fresh(), flags, frozenset(keywords)) for _ in range(count)]
        new = [NewMessage(each.data, flags=flags, keywords=tuple(keywords)) for each in messages]
        self.added(name, self.account.append(name, new).uids, messages)

    @rule(name=st.sampled_from(FOLDERS), flags=FLAG_SETS, keywords=KEYWORDS, twice=st.booleans())
    def deliver(self, name: str, flags: Flags, keywords: list[str], twice: bool) -> None:
        message = Message(self.fresh(), flags, frozenset(keywords))
        new = NewMessage(message.data, flags=flags, keywords=tuple(keywords))
        base = f"1.d{self.number}_1_1.mx"
        delivery = self.account.deliver(name, new, base_name=base)
        self.added(name, (delivery.uid,), [message])
        if twice:
            assert self.account.deliver(name, new, base_name=base) == replace(delivery, again=True)

    @rule(
        name=st.sampled_from(FOLDERS),
        operation=st.sampled_from("+-="),
        flags=FLAG_SETS,
        keywords=KEYWORDS,
        data=st.data(),
    )
    def store_flags(
        self, name: str, operation: str, flags: Flags, keywords: list[str], data: st.DataObject
    ) -> None:
        uids = self.pick(name, data)
        wanted = {}
        words = frozenset(keywords)
        for uid in uids:
            old = self.model[name][uid]
            if operation == "+":
                new = replace(old, flags=old.flags | flags, keywords=old.keywords | words)
            elif operation == "-":
                new = replace(old, flags=old.flags & ~flags, keywords=old.keywords - words)
            else:
                new = replace(old, flags=flags, keywords=words)
            if new != old:
                wanted[uid] = new
        folder_id = self.account.status(name).id
        changed = self.account.change_flags(folder_id, uids, operation, flags=flags, keywords=keywords).rows  # type: ignore[arg-type]
        assert {row.uid for row in changed} >= set(wanted)  # order of keywords may differ
        self.model[name].update(wanted)

    @rule(name=st.sampled_from(FOLDERS), data=st.data())
    def expunge(self, name: str, data: st.DataObject) -> None:
        uids = self.pick(name, data)
        assert self.account.expunge(self.account.status(name).id, [*uids, 10**6]) == uids
        self.gone(name, uids)

    @rule(name=st.sampled_from(FOLDERS), into=st.sampled_from(FOLDERS), move=st.booleans(), data=st.data())
    def copy_or_move(self, name: str, into: str, move: bool, data: st.DataObject) -> None:
        uids = self.pick(name, data)
        method = self.account.move if move else self.account.copy
        copied = method(self.account.status(name).id, uids, into)
        assert list(copied.source_uids) == uids
        self.added(into, copied.target_uids, [self.model[name][uid] for uid in uids])
        if move:
            self.gone(name, uids)

    @rule(name=st.sampled_from(FOLDERS))
    def look_at_recent(self, name: str) -> None:
        self.account.claim_recent(self.account.status(name).id)

    # -- the world ------------------------------------------------------------------------

    @rule(
        name=st.sampled_from(FOLDERS),
        sub=st.sampled_from(["new", "cur"]),
        letters=st.sets(st.sampled_from("DFRST"), max_size=3),
    )
    def file_added_by_hand(self, name: str, sub: str, letters: set[str]) -> None:
        data = self.fresh()
        suffix = f":2,{''.join(sorted(letters))}" if sub == "cur" else ""
        (self.directory(name) / sub / f"{self.number}.hand{suffix}").write_bytes(data)
        flags = Flags.NONE
        for letter in letters if sub == "cur" else ():
            flags |= LETTERS[letter]
        rows = self.account.rows(self.account.status(name).id)
        self.added(name, (rows[-1].uid,), [Message(data, flags, frozenset())])

    @rule(name=st.sampled_from(FOLDERS), data=st.data())
    def file_removed_by_hand(self, name: str, data: st.DataObject) -> None:
        self.store.flush()
        here = self.files(name)
        alone = [uid for uid, message in self.model[name].items() if len(here[message.data]) == 1]
        if alone:
            uid = data.draw(st.sampled_from(sorted(alone)))
            here[self.model[name][uid].data][0].unlink()
            self.gone(name, [uid])

    @rule(name=st.sampled_from(FOLDERS), letters=st.sets(st.sampled_from("DFRST")), data=st.data())
    def file_flagged_by_hand(self, name: str, letters: set[str], data: st.DataObject) -> None:
        self.store.flush()
        here = self.files(name)
        alone = [uid for uid, message in self.model[name].items() if len(here[message.data]) == 1]
        if not alone:
            return
        uid = data.draw(st.sampled_from(sorted(alone)))
        message = self.model[name][uid]
        path = here[message.data][0]
        forwarded = "P" if "$Forwarded" in message.keywords else ""
        base = path.name.partition(":")[0]
        path.rename(self.directory(name) / "cur" / f"{base}:2,{''.join(sorted({*letters, *forwarded}))}")
        flags = Flags.NONE
        for letter in letters:
            flags |= LETTERS[letter]
        self.model[name][uid] = replace(message, flags=flags)

    @rule()
    def flush(self) -> None:
        self.store.flush()

    @rule(clean=st.booleans())
    def reopen(self, clean: bool) -> None:
        if clean:
            self.store.close()
        else:
            # As after kill -9: nothing is flushed.
            self.store._worker._due.clear()
            self.store._worker._texts.clear()
            self.store._worker.close()
            self.account.core.close()
        self.open()

    @rule()
    def cache_deleted(self) -> None:
        for path in self.account.core.home.glob("cache.db*"):
            path.unlink()

    @rule(repair=st.booleans())
    def verified(self, repair: bool) -> None:
        findings = recover.verify(self.store, ALICE, repair=repair)
        assert not [
            finding for finding in findings if "damaged" in finding.what or "counters" in finding.what
        ]

    # -- what must hold -----------------------------------------------------------------------

    @invariant()
    def everything_is_as_the_model_says(self) -> None:
        for name in FOLDERS:
            if name == "a/b" and not self.directory(name).exists():
                continue
            status = self.account.status(name)
            rows = self.account.rows(status.id)
            model = self.model[name]
            assert [row.uid for row in rows] == sorted(model)
            assert {row.uid: (row.flags, frozenset(row.keywords)) for row in rows} == {
                uid: (message.flags, message.keywords) for uid, message in model.items()
            }
            assert status.messages == len(model)
            assert status.unseen == sum(1 for message in model.values() if not message.flags & Flags.SEEN)
            assert status.deleted == sum(1 for message in model.values() if message.flags & Flags.DELETED)
            assert status.size_octets == sum(len(message.data) for message in model.values())
            assert status.uid_next > self.highest_uid[name]
            assert status.highest_modseq >= self.modseq[name]
            self.modseq[name] = status.highest_modseq
            assert self.vanished[name] <= numbers(self.account.expunged(status.id, since_modseq=0))
            texts = self.account.texts(status.id, list(model))
            for uid, message in model.items():
                opened = self.account.open(status.id, uid)
                assert opened.read() == message.data
                opened.close()
                assert message.data[9:-10].rstrip() in texts[uid].envelope


def test_a_mailbox_is_always_what_was_done_to_it() -> None:
    examples = int(os.environ.get("MAILSTACK_FUZZ_EXAMPLES", "12"))
    run_state_machine_as_test(
        Mailbox,
        settings=settings(
            derandomize=True,
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
