"""A filter worker in this process: what an address or a domain wants counts for the next message."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import pytest

from mailstack.app.filter_steps import Record, Setup, Step
from mailstack.app.filter_worker import MAX_REMEMBERED_OCTETS, Worker, make_tools
from mailstack.filters.options import FilterOptions
from mailstack.filters.spam.score import GTUBE
from mailstack.model.verdict import (
    AccountVerdict,
    FileInto,
    FilterAnswer,
    FilterRecipient,
    FilterRequest,
    Keep,
)
from mailstack.state.maillog import MailLog
from mailstack.state.sending import Sending
from tests.kit.instance import Instance, new_instance

ALICE = "alice@example.test"
LETTER = b"From: Ann <ann@far.test>\r\nSubject: lunch\r\n\r\nAre you free for lunch?\r\n"
SPAM = LETTER + GTUBE.encode() + b"\r\n"
OFFER = (
    b"From: Shop <news@far.test>\r\nSubject: Newsletter: 50% off everything, this weekend only\r\n"
    b"List-Unsubscribe: <https://far.test/u>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    b"Precedence: bulk\r\n\r\nBig sale! Save now. Click here to unsubscribe: https://far.test/u\r\n"
)


@dataclass
class Kit:
    instance: Instance
    worker: Worker
    account_id: int

    def file(self, message: bytes, sender: str = "ann@far.test") -> AccountVerdict:
        """The verdict about her copy; nobody answers questions about DNS."""
        to = (FilterRecipient(1, self.account_id, ALICE, ALICE),)
        request = FilterRequest("id", "192.0.2.1", "h.test", sender, to, time.time(), message)
        done = self.worker.run(Step(1, msgspec.msgpack.encode(request), last=True))
        assert done is not None and not done.problem, done
        return msgspec.msgpack.decode(done.answer, type=FilterAnswer).accounts[0]

    def folders(self, message: bytes) -> list[str]:
        return [
            action.mailbox for action in self.file(message).actions if isinstance(action, Keep | FileInto)
        ]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Instance:
    instance = new_instance(tmp_path_factory.mktemp("facts"))
    instance.cli("user", "add", ALICE)
    return instance


@pytest.fixture
def kit(made: Instance) -> Iterator[Kit]:
    paths = made.config.paths
    setup = Setup(
        FilterOptions(),
        "mx.example.test",
        str(paths.directory_db),
        state=str(paths.state_db),
        mail=str(paths.mail),
        mail_log=str(paths.maillog_db),
    )
    with contextlib.closing(made.reader()) as directory:
        found = directory.find_account(ALICE)
    assert found is not None
    yield Kit(made, Worker(setup, make_tools(setup)), found.id)


def test_switches_and_folders_count_at_once(kit: Kit) -> None:
    # product page, section 2.8
    assert (kit.folders(SPAM), kit.folders(OFFER), kit.folders(LETTER)) == (
        ["Spam"],
        ["Promotions"],
        ["INBOX"],
    )
    kit.instance.cli("filters", ALICE, "--spam-folder", "Verdacht", "--promotions-folder", "Ads/Offers")
    assert (kit.folders(SPAM), kit.folders(OFFER)) == (["Verdacht"], ["Ads/Offers"])
    kit.instance.cli("filters", ALICE, "--spam", "off", "--ads", "off")
    assert (kit.folders(SPAM), kit.folders(OFFER)) == (["INBOX"], ["INBOX"])
    assert (kit.file(SPAM).klass, kit.file(OFFER).klass) == ("spam", "promotions")
    kit.instance.cli("filters", ALICE, "--spam", "on", "--ads", "on", "--spam-folder", "Spam")
    kit.instance.cli("filters", ALICE, "--promotions-folder", "Promotions")
    assert (kit.folders(SPAM), kit.folders(OFFER)) == (["Spam"], ["Promotions"])


def test_lists_count_at_once(kit: Kit) -> None:
    for words in ([ALICE], ["--domain", "example.test"]):
        kit.instance.cli("list", "block", *words, "far.test")
        assert kit.folders(LETTER) == ["Spam"]
        kit.instance.cli("list", "remove", *words, "far.test")
        assert kit.folders(LETTER) == ["INBOX"]


def test_wishes_of_a_domain_count_at_once(kit: Kit) -> None:
    kit.instance.cli("domain", "mail", "example.test", "--mark-outside", "on", "--outside-prefix", "[EXT]")
    (kept,) = kit.file(LETTER).actions
    assert isinstance(kept, Keep) and kept.flags == ("Outside",) and kept.edited is not None
    assert b"Subject: [EXT] lunch\r\n" in kept.edited.head
    kit.instance.cli("domain", "mail", "example.test", "--mark-outside", "off")
    assert kit.file(LETTER).actions == (Keep("INBOX", implicit=True),)


def test_people_written_to_and_answers_stay_in_the_inbox(kit: Kit) -> None:
    # T46; product page, section 2.4
    offer = OFFER.replace(b"far.test", b"other.test")  # the other tests do not know them
    answer = b"In-Reply-To: <sent@example.test>\r\n" + offer
    assert kit.folders(answer) == ["Promotions"]
    paths = kit.instance.config.paths
    log = MailLog(paths.maillog_db, daemon="smtp", now=time.time, stream=io.StringIO())
    log.accepted(
        "A", peer="", sender=ALICE, recipients=["x@far.test"], size_octets=1, login=ALICE,
        message_id="<sent@example.test>", tls="",
    )  # fmt: skip
    log.close()
    assert (kit.folders(answer), kit.folders(offer)) == (["INBOX"], ["Promotions"])
    sending = Sending(paths.state_db)
    sending.learn(kit.account_id, ["news@other.test"], now=time.time())
    sending.close()
    assert kit.folders(offer) == ["INBOX"]


@pytest.mark.parametrize(
    ("octets", "asks_again"), [(MAX_REMEMBERED_OCTETS, False), (MAX_REMEMBERED_OCTETS + 1, True)]
)
def test_short_answers_are_remembered_for_other_messages(kit: Kit, octets: int, asks_again: bool) -> None:
    question = ("long.test", "TXT")

    def wanted(job: int, records: tuple[Record, ...] = ()) -> bool:
        request = FilterRequest("id", "192.0.2.1", "h.test", "a@long.test", (), time.time(), LETTER)
        done = kit.worker.run(Step(job, msgspec.msgpack.encode(request), records))
        assert done is not None and not done.problem, done
        return question in done.wanted

    assert wanted(1)
    assert not wanted(2, (Record(*question, "ok", (b"n" * octets,), 60.0),))
    assert wanted(3) is asks_again
