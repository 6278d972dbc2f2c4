"""What mail programs teach, worked off without daemons: undone, waiting, damaged, full."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from itertools import count
from pathlib import Path

import msgspec
import pytest

from mailstack.app import lessons as lesson_files
from mailstack.app import taught as taught_files
from mailstack.app.feedback import House, Teacher
from mailstack.app.feedback_notes import FeedbackNotes
from mailstack.app.feedback_options import FeedbackOptions
from mailstack.app.feedback_renew import _places
from mailstack.app.filter_steps import Setup
from mailstack.app.filter_study import Away, Reader
from mailstack.app.filter_worker import make_tools
from mailstack.app.lessons import LEARNED, LESSONS, LessonBook, domain_folder, home_of
from mailstack.app.taught import Taught
from mailstack.filters.facts import Tools
from mailstack.filters.options import FilterOptions
from mailstack.filters.spam import learned
from mailstack.filters.study import VERSION, Study, dump_corrections, unpack
from mailstack.mailbox import MailStore
from mailstack.model.address import Address
from mailstack.model.dns import Lookup
from mailstack.model.errors import ConfigError, TemporaryFailure
from mailstack.model.lessons import Lesson
from mailstack.model.mailbox import AccountStore, Flags, MessageFile, MessageRow, NewMessage
from mailstack.model.verdict import FilterAnswer, FilterRequest, MessageVerdict
from mailstack.net.session_hub import AtWork
from mailstack.state.feedback import Feedback, Note
from mailstack.state.maillog import MailLog
from tests.kit.instance import new_instance

ALICE = "alice@example.test"
_OLD = 1_000_000


@pytest.fixture(scope="module")
def tools() -> Tools:
    return make_tools(Setup(FilterOptions(), "mx.example.test"))


class DirectReader(Reader):
    """A filter in this process.  `away`, `why`: what it answers instead."""

    def __init__(self, tools: Tools) -> None:
        self._now, self._octets = time.time, 1_000_000
        self._tools = tools
        self.asked: list[str] = []
        self.why = ""

    async def _ask(self, request: FilterRequest) -> FilterAnswer:
        self.asked.append(request.wants)
        if self.why == "filter down":
            raise Away(self.why)
        if self.why:
            return FilterAnswer(MessageVerdict(unfiltered=self.why))
        return Study(request, request.message or b"", self._tools).step(Lookup({}))


class World:
    """One account, and everything that learns from it."""

    def __init__(self, folder: Path, tools: Tools, **options: object) -> None:
        self.instance = new_instance(folder)
        with self.instance.writer() as writer:
            self.account = writer.accounts.add(ALICE, password="correct horse battery")
        self.config = msgspec.structs.replace(
            self.instance.config,
            feedback=FeedbackOptions(**options),  # type: ignore[arg-type]
        )
        self.paths = self.config.paths
        self.directory = self.instance.reader()
        self.store = MailStore(self.paths.mail, now=time.time, random_bytes=os.urandom)
        self.threads = ThreadPoolExecutor(2)
        self._numbers = count(1)
        self.log = StringIO()
        self.told: list[str] = []
        self.at_work = AtWork()
        self.reader = DirectReader(tools)
        house = House(
            self.config,
            self.store,
            self.directory,
            self.threads,
            MailLog(None, daemon="imap", now=time.time, stream=self.log),
            time.time,
            lambda about, subject, lines: self.told.extend(lines),
            self.at_work,
        )
        self.teacher = Teacher(house, self.reader)
        self.table = Feedback(self.paths.state_db)
        notes = FeedbackNotes(
            self.table, self.config.feedback, now=time.time, current=lambda account: account
        )
        #: As a session sees it.
        self.box: AccountStore = notes.around(self.store.of(self.account), self.account)
        self.book = LessonBook(home_of(self.paths.mail, Address.parse(ALICE)))

    def close(self) -> None:
        self.teacher.close()
        self.table.close()
        self.store.close()
        self.directory.close()
        self.threads.shutdown()

    def put(self, number: int, folder: str = "INBOX", *, seen: bool = True, new: bool = False) -> int:
        """A message as our delivery would have stored it; gives its UID."""
        message = NewMessage(
            letter(number),
            flags=Flags.SEEN if seen else Flags.NONE,
            internal_at=int(time.time()) if new else _OLD,
        )
        name = f"1.{next(self._numbers)}_1_1.mx"
        return self.store.of(self.account).deliver(folder, message, base_name=name).uid

    def move(self, uids: Sequence[int], source: str, target: str) -> Sequence[int]:
        return self.box.move(self.box.status(source).id, list(uids), target).target_uids

    def mark(self, uid: int, folder: str, operation: str, *words: str) -> None:
        self.box.change_flags(
            self.box.status(folder).id,
            [uid],
            operation,
            flags=Flags.NONE,
            keywords=words,  # type: ignore[arg-type]
        )

    def learn(self) -> list[str]:
        """Works everything off; gives what is thought."""
        self.teacher._not_before.clear()
        asyncio.run(self.teacher.once())
        return self.thought

    @property
    def thought(self) -> list[str]:
        judged = [one for one in self.book.read() if one.evidence != "sample"]
        return sorted(f"{one.label}{' weak' if one.weight < 1 else ''}" for one in judged)

    @property
    def listed(self) -> tuple[set[str], set[str]]:
        found = self.directory.sender_lists(self.account.id)
        return set(found.blocked), set(found.allowed)


def letter(number: int, sender: str = "crew@lamps.test") -> bytes:
    domain = sender.partition("@")[2]
    return (
        f"Return-Path: <{sender}>\r\nReceived: by mx.example.test; Sun, 22 Nov 2026 10:00:00 +0000\r\n"
        f"Authentication-Results: mx.example.test;\r\n\tdmarc=pass header.from={domain}\r\n"
        "X-Mailstack-Verdict: class=ham; score=0.013; action=accept\r\n"
        f"From: Crew <{sender}>\r\nTo: {ALICE}\r\nSubject: Gutters {number}\r\n"
        f"Message-ID: <{number}@{domain}>\r\n"
        f"\r\nThe gutter {number} of your roof wants cleaning, says the crew.\r\n"
    ).encode()


@pytest.fixture
def world(tmp_path: Path, tools: Tools) -> Iterator[World]:
    made = World(tmp_path / "instance", tools)
    yield made
    made.close()


def test_a_slip_of_the_hand_leaves_no_trace(world: World) -> None:
    kept, slipped = world.put(1), world.put(2)
    for number in range(10, 20):
        world.put(number)
    world.move([kept], "INBOX", "Spam")
    assert world.learn() == ["spam"]
    before = {name: (world.book._folder / name).read_bytes() for name in (LESSONS, LEARNED)}
    there = world.move([slipped], "INBOX", "Spam")
    assert world.learn() == ["spam", "spam"]
    world.move(there, "Spam", "INBOX")
    assert world.learn() == ["spam"]
    assert {name: (world.book._folder / name).read_bytes() for name in (LESSONS, LEARNED)} == before
    # And when it is done so quickly that nobody has learned anything yet.
    there = world.move([max(_uids(world, "INBOX"))], "INBOX", "Spam")
    world.move(there, "Spam", "INBOX")
    world.learn()
    assert {name: (world.book._folder / name).read_bytes() for name in (LESSONS, LEARNED)} == before
    world.move(_uids(world, "Spam"), "Spam", "INBOX")
    assert world.learn() == [] and world.listed == (set(), set())
    assert not (world.book._folder / LESSONS).exists() and not (world.book._folder / LEARNED).exists()


def _uids(world: World, folder: str) -> list[int]:
    return list(world.box.columns(world.box.status(folder).id).uids)


def test_a_sender_stays_listed_while_other_mail_of_theirs_says_so(world: World) -> None:
    uids = [world.put(number) for number in (1, 2)]
    there = world.move(uids, "INBOX", "Spam")
    world.learn()
    assert world.listed == ({"crew@lamps.test"}, set())
    world.move(there[:1], "Spam", "INBOX")
    world.learn()
    assert world.listed == ({"crew@lamps.test"}, set())
    world.move(there[1:], "Spam", "INBOX")
    world.learn()
    assert world.listed == (set(), set())


def test_what_the_owner_listed_since_is_left_alone(world: World) -> None:
    there = world.move([world.put(1)], "INBOX", "Spam")
    world.learn()
    with world.instance.writer() as writer:
        writer.settings.list_sender(ALICE, "crew@lamps.test", kind="allow")
    world.move(there, "Spam", "INBOX")
    assert world.learn() == [] and world.listed == (set(), {"crew@lamps.test"})


def test_full_lists_do_not_keep_it_from_learning(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailstack.directory.settings.MAX_LISTED_SENDERS", 0)
    world.move([world.put(1)], "INBOX", "Spam")
    assert world.learn() == ["spam"] and world.listed == (set(), set())


def test_a_program_that_moves_at_once_teaches_little(world: World) -> None:
    world.move([world.put(1, seen=False, new=True)], "INBOX", "Spam")
    assert world.learn() == ["spam weak"] and world.listed == (set(), set())
    world.move([world.put(2, seen=True, new=True)], "INBOX", "Spam")
    world.move([world.put(3, seen=False, new=False)], "INBOX", "Spam")
    assert world.learn() == ["spam", "spam", "spam weak"]


def test_who_moves_many_at_once_is_no_program(world: World) -> None:
    world.move([world.put(number, seen=False, new=True) for number in range(5)], "INBOX", "Spam")
    assert world.learn() == ["spam"] * 5


def test_no_event_loop_waits_for_a_mailbox_that_is_learned_from(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = type(world.store.of(world.account)).open
    found: list[bool] = []

    def look(store: AccountStore, folder_id: int, uid: int) -> MessageFile:
        found.append(world.at_work.is_on(ALICE))
        return opened(store, folder_id, uid)  # type: ignore[arg-type]

    world.move([world.put(1)], "INBOX", "Spam")
    monkeypatch.setattr(type(world.store.of(world.account)), "open", look)
    world.learn()
    assert found and all(found)
    assert not world.at_work.is_on(ALICE)


def test_while_there_is_no_filter_everything_waits(world: World) -> None:
    there = world.move([world.put(1)], "INBOX", "Spam")
    world.reader.why = "filter down"
    with pytest.raises(Away):
        world.learn()
    assert world.table.accounts() == [world.account.id]
    world.move(there, "Spam", "Archive")  # meanwhile
    world.move(_uids(world, "Archive"), "Archive", "Spam")
    world.reader.why = ""
    assert world.learn() == ["spam"] and world.table.accounts() == []


@pytest.mark.parametrize("answers", [1, 2])  # then comes the second message, the corrections
def test_a_filter_that_goes_away_in_the_middle_leaves_no_author_listed(
    world: World, monkeypatch: pytest.MonkeyPatch, answers: int
) -> None:
    there = world.move([world.put(number) for number in (1, 2)], "INBOX", "Spam")
    ask = world.reader._ask

    async def for_a_while(request: FilterRequest) -> FilterAnswer:
        if len(world.reader.asked) >= answers:
            raise Away("filter busy")
        return await ask(request)

    monkeypatch.setattr(world.reader, "_ask", for_a_while)
    world.reader.asked.clear()
    with pytest.raises(Away):
        world.learn()
    monkeypatch.undo()
    assert world.listed == (set(), set())
    assert world.learn() == ["spam", "spam"] and world.listed == ({"crew@lamps.test"}, set())
    world.move(there, "Spam", "INBOX")
    assert world.learn() == [] and world.listed == (set(), set())


@pytest.mark.parametrize("why", ["timeout", "filter gone", "out of memory"])
def test_a_message_the_filter_dies_of_teaches_nothing_and_holds_nobody_up(world: World, why: str) -> None:
    world.move([world.put(1)], "INBOX", "Spam")
    world.reader.why = why
    assert world.learn() == [] and world.table.accounts() == []


def test_what_is_gone_teaches_nothing(world: World) -> None:
    there = world.move([world.put(1)], "INBOX", "Spam")
    world.store.of(world.account).expunge(world.box.status("Spam").id, there)
    assert world.learn() == [] and world.table.accounts() == []


def test_marked_as_spam_and_thrown_away_at_once(world: World) -> None:
    there = world.move([world.put(1)], "INBOX", "Spam")
    world.move(there, "Spam", "Trash")
    assert world.learn() == ["spam"]


def test_large_uploads_come_as_files(world: World, tmp_path: Path) -> None:
    filed = letter(1).replace(
        b"class=ham; score=0.013; action=accept", b"class=spam; score=0.99; action=junk"
    )
    for number, octets in enumerate((letter(1), filed)):
        path = world.paths.mail / f"spooled-{number}"
        path.write_bytes(octets)
        world.box.append("INBOX", [NewMessage(None, path=str(path))])
    assert world.learn() == ["ham weak"] and world.listed == (set(), set())


def test_header_fields_of_what_was_uploaded_prove_nothing(world: World) -> None:  # T45
    for number, folder in enumerate(("INBOX", "Spam", "INBOX")):
        octets = letter(number).replace(b"X-Mailstack-Verdict: class=ham; ", b"X-Nothing: ")
        world.box.append(folder, [NewMessage(octets, flags=Flags.SEEN)])
    assert world.learn() == ["spam weak"] and world.listed == (set(), set())
    first, last = _uids(world, "INBOX")
    world.move([first], "INBOX", "Spam")
    world.move(_uids(world, "Spam")[:1], "Spam", "INBOX")
    world.mark(last, "INBOX", "+", "$Phishing")
    assert world.learn() == ["ham", "spam", "spam"] and world.listed == (set(), set())
    # What was delivered is believed, copied and back again.
    uid = world.put(9)
    for source, target in (("INBOX", "Archive"), ("Archive", "INBOX"), ("INBOX", "Spam")):
        world.box.copy(world.box.status(source).id, [uid], target)
        uid = _uids(world, target)[-1]
    world.learn()
    assert world.listed == ({"crew@lamps.test"}, set())


def test_an_upload_takes_nothing_off_a_list(world: World) -> None:
    world.move([world.put(1)], "INBOX", "Spam")
    assert world.learn() == ["spam"] and world.listed == ({"crew@lamps.test"}, set())
    filed = letter(1).replace(b"class=ham; score=0.013; action=accept", b"class=spam; score=1; action=junk")
    world.box.append("INBOX", [NewMessage(filed)])
    assert world.learn() == [] and world.listed == ({"crew@lamps.test"}, set())


def test_what_programs_set_on_everything_costs_no_note(world: World) -> None:
    uid = world.put(1)
    world.mark(uid, "INBOX", "+", "NonJunk")
    assert world.table.accounts() == []
    world.mark(uid, "INBOX", "-", "NonJunk")
    world.mark(uid, "INBOX", "+", "Junk")
    assert world.learn() == ["spam weak"]
    world.mark(uid, "INBOX", "+", "NonJunk")
    assert world.learn() == []


def test_ordinary_moves_cost_no_note(world: World) -> None:
    there = world.move([world.put(1)], "INBOX", "Archive")
    world.move(there, "Archive", "Trash")
    world.mark(_uids(world, "Trash")[0], "Trash", "+", "$label1")
    assert world.table.accounts() == []


def test_a_database_that_does_not_answer_is_waited_for_once(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[None] = []

    def locked(*_: object, **__: object) -> None:
        asked.append(None)
        raise TemporaryFailure("noting what teaches the filter: the database is locked")

    monkeypatch.setattr(world.table, "note", locked)
    for number in range(5):
        assert world.move([world.put(number)], "INBOX", "Spam")
    assert len(asked) == 1
    assert caplog.text.count("what a mail program did is not learned") == 5


def test_a_folder_that_cannot_be_looked_at_breaks_no_command(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: object) -> None:
        raise TemporaryFailure("reading the mailbox: the database is locked")

    uid = world.put(1)
    world.box.status("INBOX")
    monkeypatch.setattr(type(world.store.of(world.account)), "annotations", locked)
    world.mark(uid, "INBOX", "+", "$Junk")
    assert world.move([uid], "INBOX", "Spam")
    assert world.learn() == []


def test_at_most_so_many_a_day(tmp_path: Path, tools: Tools) -> None:  # T45
    world = World(tmp_path / "instance", tools, lessons_per_day=2)
    there = world.move([world.put(number) for number in range(4)], "INBOX", "Spam")
    assert world.learn() == ["spam", "spam"]
    world.move(there, "Spam", "INBOX")
    assert world.learn() == [] and world.listed == (set(), set())
    world.close()


def test_the_oldest_go_first(tmp_path: Path, tools: Tools) -> None:  # T45
    world = World(tmp_path / "instance", tools, lessons=3, weak_lessons=0, samples=0)
    for number in range(5):
        world.move([world.put(number)], "INBOX", "Spam")
        world.learn()
    assert [one.message_id for one in world.book.read()] == [f"<{n}@lamps.test>" for n in (2, 3, 4)]
    world.close()


def test_many_notes_are_few(tmp_path: Path, tools: Tools) -> None:
    world = World(tmp_path / "instance", tools, waiting=5)
    world.move([world.put(number) for number in range(9)], "INBOX", "Spam")
    assert len(world.table.waiting(world.account.id, most=100)) == 5
    assert len(world.learn()) == 5
    world.close()


def test_read_mail_of_the_inbox_is_taken_along(world: World) -> None:
    for number in range(10, 20):
        world.put(number)
    world.put(30, seen=False)
    world.move([world.put(1)], "INBOX", "Spam")
    world.learn()
    samples = [one for one in world.book.read() if one.evidence == "sample"]
    assert [(one.label, one.weight) for one in samples] == [("ham", 0.2)] * 2
    # A sample somebody marks is a lesson, and no sample any more.
    world.move(_uids(world, "INBOX")[:10], "INBOX", "Spam")
    assert world.learn() == ["spam"] * 11


def test_damaged_lessons_and_corrections_stop_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.move([world.put(1)], "INBOX", "Spam")
    world.learn()
    taught = Taught(world.paths.mail, world.paths.model)
    assert taught.account(Address.parse(ALICE))
    (world.book._folder / LEARNED).write_bytes(dump_corrections(learned.Learned())[:2] + b"junk")  # M20
    assert not taught.account(Address.parse(ALICE)) and "judged without it" in caplog.text
    (world.book._folder / LESSONS).write_bytes(b"junk")
    assert world.book.read() == [] and "train rebuild" in caplog.text
    world.move([world.put(2)], "INBOX", "Spam")
    assert world.learn() == ["spam"] and taught.account(Address.parse(ALICE))


def test_corrections_are_read_again_only_when_they_changed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.move([world.put(1)], "INBOX", "Spam")
    world.learn()
    taught, address = Taught(world.paths.mail, None), Address.parse(ALICE)
    first = taught.account(address)
    assert taught.account(address) is first
    monkeypatch.setattr(taught_files, "MAX_KEPT_OCTETS", 1)  # one is kept all the same
    world.move([world.put(2)], "INBOX", "Spam")
    world.learn()
    assert taught.account(address) is not first
    assert not taught.account(Address.parse("bob@example.test")) and not taught.domain("example.test")


def test_two_do_not_change_lessons_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson_files, "LOCK_WAIT_S", 0.0)
    with world.book.alone(), pytest.raises(TemporaryFailure, match="being changed"), world.book.alone():
        pass


def test_an_account_that_is_gone_teaches_nothing(world: World) -> None:
    world.move([world.put(1)], "INBOX", "Spam")
    with world.instance.writer() as writer:
        writer.accounts.remove(ALICE)
    world.learn()
    assert world.table.accounts() == [] and world.thought == []


def test_what_waited_too_long_is_forgotten(world: World) -> None:
    world.table.note([Note(world.account.id, 1.0, "placed", "x", "Spam", 1, "ham", "spam")], most=10)
    world.learn()
    assert world.table.accounts() == [] and world.thought == []


def test_sent_mail_teaches_correspondents_up_to_a_limit(tmp_path: Path, tools: Tools) -> None:
    world = World(tmp_path / "instance", tools, sent_per_day=3)
    to = ", ".join(f"c{n}@far.test" for n in range(5))
    message = f"From: {ALICE}\r\nTo: {to}\r\n\r\nHi\r\n".encode()
    world.box.append("Sent", [NewMessage(message)])
    world.box.append("Drafts", [NewMessage(message.replace(b"c4", b"d4"))])
    world.learn()
    knows = [world.teacher._sending.knows(world.account.id, f"c{n}@far.test") for n in range(5)]
    assert knows == [True, True, True, False, False]
    assert not world.teacher._sending.knows(world.account.id, "d4@far.test")
    world.close()


def test_phishing_is_told_without_its_text(world: World) -> None:
    world.mark(world.put(1), "INBOX", "+", "$Phishing")
    assert world.learn() == ["spam"]
    assert "crew@lamps.test" in " ".join(world.told) and "gutter" not in " ".join(world.told).lower()
    assert "phishing" in world.log.getvalue()


def test_nobody_floods_the_operator_with_phishing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailstack.app.feedback.REPORTS_A_DAY", 3)
    for number in range(6):
        uid = world.put(number)
        for _ in range(2):
            world.mark(uid, "INBOX", "+", "$Phishing")
            world.mark(uid, "INBOX", "-", "$Phishing")
    world.learn()
    world.mark(world.put(9), "INBOX", "+", "$Phishing")
    world.learn()
    assert world.log.getvalue().count(" imap phishing ") == 3
    assert sum("has reported" in line for line in world.told) == 3


def test_an_account_in_trouble_holds_up_nobody(world: World, caplog: pytest.LogCaptureFixture) -> None:
    # Its lessons cannot be read, and it comes first in every round.
    with world.instance.writer() as writer:
        broken = writer.accounts.add("broken@example.test")
    folder = home_of(world.paths.mail, broken.address)
    (folder / LESSONS).mkdir(parents=True)
    note = Note(broken.id, time.time(), "placed", "x", "Spam", 1, "ham", "spam")
    world.table.note([note], most=10)
    world.move([world.put(1)], "INBOX", "Spam")
    assert world.learn() == ["spam"]
    assert world.table.accounts() == [broken.id] and "waits" in caplog.text
    caplog.clear()
    asyncio.run(world.teacher.once())
    assert caplog.text == "", "it is left alone for a while"


def test_lessons_that_cannot_be_read_again_hold_up_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with world.instance.writer() as writer:
        broken = writer.accounts.add("aa@example.test")
    folder = home_of(world.paths.mail, broken.address)
    (folder / LESSONS).mkdir(parents=True)
    (folder / LEARNED).write_bytes(b"\0\1")
    world.move([world.put(1)], "INBOX", "Spam")
    assert world.learn() == ["spam"]
    assert "aa@example.test: the lessons are not read again yet" in caplog.text


def test_trap_mail_trains_the_domain_once_and_weakly(world: World) -> None:
    uid = world.put(1, "Spam")
    for _ in range(2):
        world.table.note([Note(world.account.id, time.time(), "trap", "", "Spam", uid)], most=10)
        world.learn()
    found = LessonBook(domain_folder(world.paths, "example.test")).read()
    assert [(one.label, one.weight) for one in found] == [("spam", 0.1)]
    taught = Taught(world.paths.mail, world.paths.model)
    assert taught.domain("EXAMPLE.test").spam(unpack(found[0].indexes)) > 0
    assert world.thought == []


def test_what_a_domain_was_taught_goes_with_it(world: World) -> None:
    lesson = Lesson(b"1", "spam", "", 1.0, "place", 0.0, b"", 0.0)
    books = [LessonBook(domain_folder(world.paths, name)) for name in ("example.test", "gone.test")]
    for book in books:
        with book.alone():
            book.write([lesson], b"")
    world.learn()
    assert [len(book.read()) for book in books] == [1, 0]
    assert not domain_folder(world.paths, "gone.test").exists()


def test_after_an_update_messages_are_read_again(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    there = world.move([world.put(number) for number in (1, 2)], "INBOX", "Spam")
    world.learn()
    domain = LessonBook(domain_folder(world.paths, "example.test"))
    with domain.alone():
        domain.write(world.book.read(), (world.book._folder / LEARNED).read_bytes())
    before = world.book.read()
    monkeypatch.setattr("mailstack.filters.study.VERSION", VERSION + 1)
    taught = Taught(world.paths.mail, world.paths.model)
    assert not taught.account(Address.parse(ALICE)) and not taught.domain("example.test")
    world.store.of(world.account).expunge(world.box.status("Spam").id, there[:1])
    world.teacher._renew_at = 0.0
    world.learn()
    after = world.book.read()
    assert [(one.id, one.features) for one in after] == [(before[1].id, VERSION + 1)]
    assert taught.account(Address.parse(ALICE))
    assert domain.read() == [] and "has to be run again" in caplog.text


def test_large_folders_are_looked_through_in_parts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailstack.app.feedback_renew._BATCH", 2)
    there = world.move([world.put(number) for number in range(5)], "INBOX", "Spam")
    mailbox = world.store.of(world.account)
    spam = mailbox.status("Spam").id
    ids = {row.email_id: (spam, uid) for uid, row in mailbox.details(spam, there).items()}
    asked: list[int] = []
    details = mailbox.details

    def counted(folder_id: int, uids: Sequence[int]) -> dict[int, MessageRow]:
        asked.append(len(uids))
        return details(folder_id, uids)

    monkeypatch.setattr(mailbox, "details", counted)
    assert _places(mailbox, {*ids, "gone"}) == ids and asked == [2, 2, 1]
    asked.clear()
    newest = {email_id: place for email_id, place in ids.items() if place[1] == there[-1]}
    assert _places(mailbox, set(newest)) == newest and asked == [2]


def test_a_mistake_of_ours_ends_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> None:
        caplog.clear()
        raise ValueError("x")

    async def run() -> None:
        world.teacher.once = broken  # type: ignore[method-assign]
        task = asyncio.create_task(world.teacher.run())
        while "mistake in mailstack itself" not in caplog.text:
            await asyncio.sleep(0)
        task.cancel()

    asyncio.run(run())


@pytest.mark.parametrize(
    "wrong",
    [
        {"lessons": 0},
        {"lessons": 2_001},
        {"weak_lessons": -1},
        {"automatic_s": -1},
        {"waiting": 0},
        {"features": 999},
        {"features": 200_001},
        {"message_octets": 4_194_305},
    ],
)
def test_options_out_of_range(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        FeedbackOptions(**wrong)  # type: ignore[arg-type]


def test_corrections_of_no_lessons_leave_no_file(world: World) -> None:
    lesson = Lesson(b"1", "spam", "ham", 1.0, "place", 0.0, b"", 0.0)
    with world.book.alone():
        world.book.write([lesson], dump_corrections(learned.Learned()))
        assert world.book.read() == [lesson]
        world.book.write([], b"")
    assert world.book.read() == []
