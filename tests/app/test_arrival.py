"""Mail from outside: relays looked through, circles, forged bounces, traps, greylisting, guesses.

The real acceptor with real mailboxes, queue and databases; the filter says what a test wants.
"""

from __future__ import annotations

import asyncio
import io
import os
import re
import types
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from msgspec.structs import replace as replace_struct

from mailstack.app.accept import AcceptService
from mailstack.app.arrival import UNFILTERED_AN_HOUR
from mailstack.app.reputation import MANY_COPIES
from mailstack.disk.sqlite import open_database
from mailstack.filters import explain
from mailstack.mailbox.store import MailStore
from mailstack.model.address import Address
from mailstack.model.directory import Account
from mailstack.model.envelope import Body, Client, Envelope, Recipient
from mailstack.model.reply import Reply
from mailstack.model.verdict import (
    AccountAction,
    AccountVerdict,
    Authentication,
    Class,
    DkimResult,
    DmarcResult,
    FileInto,
    FilterAnswer,
    FilterRequest,
    Keep,
    MessageVerdict,
    PublishedPolicy,
    Reason,
    RejectMail,
)
from mailstack.srs import rewrite
from mailstack.state.dmarc_facts import DmarcFacts
from mailstack.state.maillog import MailLog
from mailstack.state.memory import Seen
from mailstack.state.sender_history import name as name_of
from mailstack.state.tls_facts import day_of
from tests.kit.clock import Clock
from tests.kit.instance import Instance, new_instance
from tests.kit.process import eventually

LETTER = b"From: x@far.test\r\nTo: you@example.test\r\nMessage-ID: <1@far.test>\r\n\r\nHello.\r\n"
RECEIVED = (
    b"Received: from sender.far.test (sender.far.test [203.0.113.9])\r\n\tby backup.example.test;"
    b" Mon, 1 Jan 2029 00:00:00 +0000\r\n"
)
REJECTED = MessageVerdict(action="reject", reply_code=550, reply_status="7.1", reply_text="DMARC says no")
PASSED = MessageVerdict(authentication=Authentication(dmarc=DmarcResult("pass", "far.test")))
RELAY, STRANGER = "192.0.2.25", "198.51.100.7"
OPTIONS = '[mx]\ntrusted_relays = ["192.0.2.25"]\n'


@dataclass
class ScriptedFilter:
    verdict: MessageVerdict = field(default_factory=MessageVerdict)
    actions: dict[str, tuple[AccountAction, ...]] = field(default_factory=dict)
    asked: list[FilterRequest] = field(default_factory=list)
    author: str = ""
    klass: dict[str, Class] = field(default_factory=dict)
    reasons: dict[str, tuple[Reason, ...]] = field(default_factory=dict)

    async def ask(self, request: FilterRequest) -> FilterAnswer:
        self.asked.append(request)
        is_junk = self.verdict.action in ("junk", "reject")
        usual: tuple[AccountAction, ...] = (
            FileInto("Spam", create=True) if is_junk else Keep(implicit=True),
        )
        return FilterAnswer(
            self.verdict,
            tuple(
                AccountVerdict(
                    r.number,
                    self.klass.get(r.address.partition("@")[0], "ham"),
                    0.0,
                    self.actions.get(r.address.partition("@")[0], usual),
                    self.reasons.get(r.address.partition("@")[0], ()),
                )
                for r in request.recipients
            ),
            author=self.author,
        )

    async def close(self) -> None:
        pass

    @property
    def hints(self) -> list[str]:
        return [hint.name for hint in self.asked[-1].hints]


class World:
    """One worker; `beside()` makes another over the same instance."""

    def __init__(self, instance: Instance, clock: Clock) -> None:
        self.instance = instance
        self.clock = clock
        self.lines = io.StringIO()
        self.filter = ScriptedFilter()
        config = instance.config
        self.maillog = MailLog(config.paths.maillog_db, daemon="smtp", now=clock, stream=self.lines)
        context = types.SimpleNamespace(
            config=config,
            paths=config.paths,
            now=clock,
            random_bytes=os.urandom,
            bus=types.SimpleNamespace(publish=lambda role, event: None),
            maillog=self.maillog,
            fatal=lambda why: None,
            workers=1,
        )
        self.service = AcceptService(context)  # type: ignore[arg-type]
        services = replace(self.service._services, filter=self.filter)  # type: ignore[arg-type]
        self.service._services = services
        self.store = MailStore(config.paths.mail, now=clock, random_bytes=os.urandom)

    async def close(self) -> None:
        self.maillog.close()
        self.store.close()
        await self.service.close()

    def logs(self, text: str) -> None:
        eventually(lambda: text in self.lines.getvalue(), explain=self.lines.getvalue)

    async def look(self) -> None:
        await self.service._reputation.look()

    async def rcpt(self, to: str, ip: str = STRANGER, sender: str = "x@far.test") -> str:
        client = Client(ip, 2500, "mx.far.test")
        who = Address.parse(sender) if sender else None
        reply = await self.service.check_recipient(client, None, who, Address.parse(to))
        return short(reply)

    async def send(
        self,
        *to: str,
        letter: bytes = LETTER,
        ip: str = STRANGER,
        sender: str = "x@far.test",
        listener: str = "mx",
    ) -> str:
        envelope = Envelope(
            accept_id=self.service.new_id(),
            client=Client(ip, 2500, "mx.far.test", listener=listener),
            reverse_path=Address.parse(sender) if sender else None,
            recipients=tuple(Recipient(Address.parse(text), n) for n, text in enumerate(to, 1)),
            received_at=self.clock(),
        )
        body = Body(letter, size_octets=len(letter))
        if listener == "lmtp":
            return " ".join(short(reply) for reply in await self.service.accept_each(envelope, body))
        return short(await self.service.accept(envelope, body, None))

    def account_id(self, address: str) -> int:
        found = self.service._services.directory.find(Address.parse(address))
        assert isinstance(found, Account)
        return found.id

    def held(self, address: str, folder: str = "INBOX") -> list[bytes]:
        account = self.store.account(Address.parse(address))
        if folder != "INBOX" and not (account.core.maildir / f".{folder}").is_dir():
            return []
        where = account.core.maildir if folder == "INBOX" else account.core.maildir / f".{folder}"
        files = [*(where / "new").glob("*"), *(where / "cur").glob("*")]
        return [file.read_bytes() for file in sorted(files)]

    def queued(self) -> list[tuple[str, bytes]]:
        """Recipient and octets of what waits to leave."""
        queue = self.service._services.queue
        rows = queue.read("SELECT message, address FROM recipient ORDER BY message")
        folder = self.instance.config.paths.queue_messages
        return [(str(address), next(folder.rglob(f"{number}*")).read_bytes()) for number, address in rows]


def short(reply: Reply) -> str:
    return f"{reply.code} {reply.code // 100}.{reply.status}"


Maker = Callable[..., World]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Maker]:
    instance = new_instance(tmp_path)
    with instance.writer() as writer:
        for name in ("alice", "bob", "boss"):
            writer.accounts.add(f"{name}@example.test")
        writer.accounts.add("trap@example.test", kind="spamtrap")
    instance.cli("alias", "add", "postmaster@example.test", "boss@example.test")
    instance.cli("alias", "add", "abuse@example.test", "boss@example.test")
    instance.cli("alias", "add", "out@example.test", "friend@elsewhere.test")
    instance.cli("user", "add", "gone@example.test")
    instance.cli(
        "forward",
        "set",
        "--no-notice",
        "--no-check",
        "gone@example.test",
        "friend@elsewhere.test",
        "--no-keep",
    )
    clock = Clock()
    worlds: list[World] = []

    def make_one(options: str = OPTIONS) -> World:
        if not worlds:
            with instance.file.open("a") as file:
                file.write(options)
        worlds.append(World(instance, clock))
        return worlds[-1]

    yield make_one
    for world in worlds:
        await world.close()


# -- trusted relays -----------------------------------------------------------------------


async def test_a_trusted_relay_is_looked_through_and_nothing_is_refused(make: Maker) -> None:
    # product page, section 2.1
    world = make()
    world.filter.verdict = REJECTED
    assert await world.send("alice@example.test", ip=STRANGER) == "550 5.7.1"
    assert await world.send("alice@example.test", ip=RELAY, letter=RECEIVED + LETTER) == "250 2.0.0"
    assert (world.filter.asked[-1].ip, world.filter.asked[-1].helo) == ("203.0.113.9", "sender.far.test")
    assert len(world.held("alice@example.test", "Spam")) == 1
    world.logs(f"looked_through id={world.filter.asked[-1].accept_id} relay=192.0.2.25")
    assert b"from mx.far.test ([192.0.2.25])" in world.held("alice@example.test", "Spam")[0]


async def test_a_relay_that_does_not_say_who_it_was_leaves_nobody_to_judge(make: Maker) -> None:
    world = make()
    assert await world.send("alice@example.test", ip=RELAY) == "250 2.0.0"
    assert (world.filter.asked[-1].ip, world.filter.asked[-1].helo) == ("", "")


async def test_a_received_field_of_a_stranger_is_not_believed(make: Maker) -> None:
    world = make()
    assert await world.send("alice@example.test", letter=RECEIVED + LETTER) == "250 2.0.0"
    assert world.filter.asked[-1].ip == STRANGER


async def test_what_a_rule_refuses_is_kept_when_a_relay_brought_it(make: Maker) -> None:
    # A relay would have to bounce it, to a sender that may be forged (P11).
    world = make()
    world.filter.actions["alice"] = (RejectMail("no"),)
    assert await world.send("alice@example.test", letter=RECEIVED + LETTER) == "550 5.7.1"
    assert await world.send("alice@example.test", ip=RELAY, letter=RECEIVED + LETTER) == "250 2.0.0"
    (kept,) = world.held("alice@example.test")
    assert b"X-Mailstack-Note: could not be rejected" in kept
    assert world.queued() == []


async def test_an_attachment_nobody_can_be_told_is_refused_lies_in_spam(make: Maker) -> None:
    # product page, section 2: "One message, several recipients"; the sender is not proven
    world = make()
    world.filter.actions["alice"] = (RejectMail("run.exe falls under 'program'"),)
    world.filter.reasons["alice"] = (Reason(explain.JUNK, 0.0),)
    assert await world.send("alice@example.test") == "550 5.7.1"
    assert await world.send("alice@example.test", "bob@example.test") == "250 2.0.0"
    assert (len(world.held("alice@example.test")), len(world.held("bob@example.test"))) == (0, 1)
    (kept,) = world.held("alice@example.test", "Spam")
    assert b"X-Mailstack-Note: could not be rejected" in kept


async def test_behind_lmtp_the_received_field_says_who_it_was(make: Maker) -> None:
    world = make()
    world.filter.verdict = REJECTED
    said = await world.send("alice@example.test", ip="", listener="lmtp", letter=RECEIVED + LETTER)
    assert said == "250 2.0.0"
    assert world.filter.asked[-1].ip == "203.0.113.9"


async def test_a_relay_is_never_guessing(make: Maker) -> None:
    world = make(OPTIONS + "guesses = 3\n")
    for n in range(10):
        assert await world.rcpt(f"nobody{n}@example.test", ip=RELAY) == "550 5.1.1"
    await world.look()
    assert await world.rcpt("alice@example.test", ip=RELAY) == "250 2.1.5"


# -- circles --------------------------------------------------------------------------------


async def test_a_stored_message_that_comes_again_to_the_same_mailbox_is_a_loop(make: Maker) -> None:
    # S41
    world = make()
    assert await world.send("alice@example.test") == "250 2.0.0"
    (stored,) = world.held("alice@example.test")
    assert len(re.findall(rb"(?m)^X-Mailstack-Loop: [a-z2-7]{24}\r$", stored)) == 1
    assert await world.send("alice@example.test", letter=stored) == "554 5.4.6"
    world.logs("check=loop")
    assert await world.send("bob@example.test", letter=stored) == "250 2.0.0"
    assert len(world.held("alice@example.test")) == 1


async def test_a_plain_or_forged_delivered_to_is_no_loop(make: Maker) -> None:
    # S41: a legitimate resend
    world = make()
    for line in (b"Delivered-To: alice@example.test", b"X-Mailstack-Loop: " + b"a" * 24):
        assert await world.send("alice@example.test", letter=line + b"\r\n" + LETTER) == "250 2.0.0"


@pytest.mark.parametrize("address", ["gone@example.test", "out@example.test"])
async def test_what_is_sent_on_is_known_when_it_comes_back(make: Maker, address: str) -> None:
    # S41: redirection and alias
    world = make()
    assert await world.send(address) == "250 2.0.0"
    ((to, left),) = world.queued()
    assert to == "friend@elsewhere.test"
    assert b"X-Mailstack-Loop: " in left
    head = left[: left.index(b"Hello.")]
    assert await world.send(address, letter=head + b"Hello.\r\n") == "554 5.4.6"
    assert len(world.queued()) == 1


async def test_beside_others_a_circle_ends_in_the_mailbox(make: Maker) -> None:
    world = make()
    assert await world.send("gone@example.test") == "250 2.0.0"
    ((_, left),) = world.queued()
    letter = left[: left.index(b"Hello.")] + b"Hello.\r\n"
    assert await world.send("gone@example.test", "bob@example.test", letter=letter) == "250 2.0.0"
    assert len(world.held("bob@example.test")) == 1
    (kept,) = world.held("gone@example.test")
    assert b"could not be rejected" in kept
    assert len(world.queued()) == 1


# -- bounces --------------------------------------------------------------------------------

BOUNCE = (
    b"From: MAILER-DAEMON@far.test\r\nMessage-ID: <b@far.test>\r\n\r\nfailed:\r\n"
    b"Message-ID: <%s@example.test>\r\n\r\nhi\r\n"
)


async def test_a_bounce_of_a_message_nobody_here_sent_is_recognised(make: Maker) -> None:
    # product page, section 2.4
    world = make()
    world.maillog.accepted(
        "id1", peer="192.0.2.1", sender="alice@example.test", recipients=["y@far.test"], size_octets=1,
        login="alice@example.test", message_id="<ours@example.test>",
    )  # fmt: skip
    world.maillog.accepted(
        "id2", peer="192.0.2.1", sender="x@far.test", recipients=["alice@example.test"], size_octets=1,
        message_id="<theirs@example.test>",
    )  # fmt: skip
    world.maillog.close()
    for name, hints in ((b"ours", []), (b"forged", ["backscatter"]), (b"theirs", ["backscatter"])):
        assert await world.send("alice@example.test", sender="", letter=BOUNCE % name) == "250 2.0.0"
        assert world.filter.hints == hints
    assert await world.send("alice@example.test", sender="x@far.test", letter=BOUNCE % b"forged")
    assert world.filter.hints == []


async def test_a_bounce_that_names_only_a_recipient_is_compared_with_what_was_delivered(make: Maker) -> None:
    world = make()
    world.maillog.delivered(
        "q1", to="y@far.test", host="mx.far.test", answer="250 ok", tries=1, owner="alice@example.test"
    )
    world.maillog.close()
    for name, hints in (("y", []), ("z", ["backscatter"])):
        letter = (
            f"X-Failed-Recipients: {name}@far.test\r\nFrom: postmaster@far.test\r\n\r\nsorry\r\n".encode()
        )
        assert await world.send("alice@example.test", sender="", letter=letter) == "250 2.0.0"
        assert world.filter.hints == hints


async def test_a_relay_that_renames_messages_makes_no_bounce_a_forged_one(make: Maker) -> None:
    world = make()
    world.maillog.delivered(
        "q1", to="y@far.test", host="relay.test", answer="250 ok", tries=1, owner="alice@example.test"
    )
    world.maillog.close()
    for name, hints in ((b"y", []), (b"z", ["backscatter"])):
        letter = b"X-Failed-Recipients: " + name + b"@far.test\r\n" + BOUNCE % b"renamed"
        assert await world.send("alice@example.test", sender="", letter=letter) == "250 2.0.0"
        assert world.filter.hints == hints


async def test_a_bounce_to_several_recipients_is_taken_and_scored(make: Maker) -> None:
    # S23
    world = make()
    assert await world.send("alice@example.test", "bob@example.test", sender="") == "250 2.0.0"
    assert world.filter.hints == ["bounce_recipients"]
    assert await world.send("alice@example.test", sender="") == "250 2.0.0"
    assert world.filter.hints == []


async def test_one_rewritten_sender_takes_so_many_bounces_an_hour(make: Maker) -> None:
    # S32
    world = make("[mx]\nsrs_bounces_per_hour = 5\n")
    secrets = world.service._directory.srs_secrets()
    address = rewrite.forward(
        Address.parse("x@far.test"), domain="example.test", secrets=secrets, now=world.clock()
    )
    said = [await world.rcpt(str(address), sender="") for _ in range(7)]
    assert said == ["250 2.1.5"] * 5 + ["450 4.7.1"] * 2
    other = str(address).replace("SRS0=", "srs0+")
    assert await world.rcpt(other, sender="") == "450 4.7.1"
    world.clock.advance(3600)
    assert await world.rcpt(str(address), sender="") == "250 2.1.5"


# -- postmaster ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["postmaster", "Abuse"])
async def test_postmaster_and_abuse_are_reached_by_whom_content_rules_refuse(make: Maker, name: str) -> None:
    # S26
    world = make()
    world.filter.verdict = REJECTED
    assert await world.send(f"{name}@example.test") == "250 2.0.0"
    assert await world.send(f"{name}@example.test", "alice@example.test") == "550 5.7.1"


# -- traps -----------------------------------------------------------------------------------


async def test_hits_of_traps_raise_the_score_of_their_network_in_every_worker(make: Maker) -> None:
    # product page, section 1
    world = make()
    other = make()
    for n in range(3):
        assert await world.send("alice@example.test", ip="198.51.100.99") == "250 2.0.0"
        assert world.filter.hints == []
        assert await world.send("trap@example.test", ip=f"198.51.100.{n}") == "250 2.0.0"
        await world.look()
        world.clock.advance(1)
    await other.look()
    assert await other.send("alice@example.test", ip="198.51.100.99") == "250 2.0.0"
    assert other.filter.hints == ["trap_network"]
    assert await other.send("alice@example.test", ip="198.51.101.99") == "250 2.0.0"
    assert other.filter.hints == []
    world.clock.advance(259_201)
    await other.look()
    assert await other.send("alice@example.test", ip="198.51.100.99") == "250 2.0.0"
    assert other.filter.hints == []
    world.logs("trap id=")


async def test_the_operator_hears_of_a_network_that_hits_traps_once_a_day(make: Maker) -> None:
    world = make()
    for _ in range(6):
        assert await world.send("trap@example.test", ip="198.51.100.9") == "250 2.0.0"
        await world.look()
        world.clock.advance(1)
    await asyncio.to_thread(world.service._disk.shutdown)
    ((to, notice),) = world.queued()
    assert to == "boss@example.test"
    assert b"Subject: Spam traps hit from 198.51.100.0/24\r\n" in notice
    assert b"3 times" in notice


SIGNED = (
    b"DKIM-Signature: v=1; a=rsa-sha256; d=Bank.test; s=x; h=from;\r\n\tbh=AbC d\r\n E=; b=xyz\r\n"
    b"From: news@bank.test\r\nSubject: x\r\n\r\nx\r\n"
)


def by_signature(spf: bool = False) -> MessageVerdict:
    signed = DkimResult("pass", "bank.test", "x", body="AbCdE=")
    policy = DmarcResult("pass", "bank.test", is_dkim_aligned=True, is_spf_aligned=spf)
    return MessageVerdict(authentication=Authentication(dkim=(signed,), dmarc=policy))


async def test_a_signed_message_that_comes_again_and_again_is_told_to_the_filter(make: Maker) -> None:
    # T24: counted per signing domain and body, in all workers together
    world = make("[mx]\nreplay_copies = 20\n")
    other = make("[mx]\nreplay_copies = 20\n")
    for one in (world, other):
        one.filter.verdict = by_signature()
        for n in range(MANY_COPIES + 1):
            assert await one.send("alice@example.test", letter=SIGNED, ip=f"198.51.{n}.9") == "250 2.0.0"
            assert one.filter.hints == []
        await one.look()
    await world.look()
    await world.send("alice@example.test", letter=SIGNED)
    (hint,) = world.filter.asked[-1].hints
    assert (hint.name, hint.weight) == ("dkim_replay", 2.0)
    assert hint.why == "a message that bank.test signed came 22 times, and not from there"
    for other_one in (SIGNED.replace(b"AbC", b"Abc"), SIGNED.replace(b"d=Bank", b"d=Benk"), LETTER):
        await world.send("alice@example.test", letter=other_one)
        assert world.filter.hints == []
    world.clock.advance(2 * 3_600)
    await world.look()
    await world.send("alice@example.test", letter=SIGNED)
    assert world.filter.hints == []


async def test_what_comes_from_its_author_is_no_replay(make: Maker) -> None:
    # T24: a newsletter to everybody here, sent by whoever signed it
    world = make("[mx]\nreplay_copies = 5\n")
    world.filter.verdict = by_signature(spf=True)
    for _ in range(2 * MANY_COPIES):
        await world.send("alice@example.test", letter=SIGNED)
    await world.look()
    await world.send("alice@example.test", letter=SIGNED)
    assert world.filter.hints == []


async def test_the_operator_hears_of_a_message_that_killed_the_filter(make: Maker) -> None:
    # M19: delivered, marked, and an alarm; once a day
    world = make()
    world.filter.verdict = MessageVerdict(unfiltered="filter crashed", aside="the-id")
    for _ in range(2):
        assert await world.send("alice@example.test") == "250 2.0.0"
    await asyncio.to_thread(world.service._disk.shutdown)
    ((to, notice),) = world.queued()
    assert to == "boss@example.test"
    assert b"mailstack filter aside show the-id" in notice
    assert b"X-Mailstack-Verdict: unfiltered; why=filter crashed\r\n" in world.held("alice@example.test")[0]
    world.logs("aside=the-id")


async def test_mail_without_a_verdict_is_an_alarm_when_it_is_much(make: Maker) -> None:
    # M19: the end of a daemon costs a few messages; a filter that is gone costs all
    world = make()
    world.filter.verdict = MessageVerdict(unfiltered="filter down")
    for _ in range(UNFILTERED_AN_HOUR):
        assert await world.send("alice@example.test") == "250 2.0.0"
    assert world.queued() == []
    for _ in range(2):
        assert await world.send("alice@example.test") == "250 2.0.0"
    await asyncio.to_thread(world.service._disk.shutdown)
    ((_, notice),) = world.queued()
    assert b"Subject: Mail is delivered without the filter\r\n" in notice


async def test_mail_to_a_trap_lies_in_its_spam_folder_whatever_it_is(make: Maker) -> None:
    # There it goes after 30 days, and never fills the mailbox.
    world = make()
    world.instance.cli(
        "forward",
        "set",
        "--no-notice",
        "--no-check",
        "trap@example.test",
        "friend@elsewhere.test",
        "--no-keep",
    )
    assert await world.send("trap@example.test", "alice@example.test") == "250 2.0.0"
    assert len(world.held("trap@example.test", "Spam")) == 1
    assert len(world.held("alice@example.test")) == 1
    assert world.queued() == []


async def test_authors_of_wanted_mail_are_known_to_those_who_want_it(make: Maker) -> None:
    world = make()
    world.filter.verdict, world.filter.author = PASSED, "ann@far.test"
    world.filter.klass = {"bob": "spam"}
    assert await world.send("alice@example.test", "bob@example.test") == "250 2.0.0"
    world.filter.klass["alice"], world.filter.author = "spam", "eve@far.test"
    assert await world.send("alice@example.test", "bob@example.test") == "250 2.0.0"
    del world.filter.klass["alice"]
    world.filter.verdict, world.filter.author = MessageVerdict(), "forged@far.test"
    assert await world.send("alice@example.test") == "250 2.0.0"
    await world.look()
    seen = Seen(world.instance.config.paths.state_db)
    ids = {name: world.account_id(f"{name}@example.test") for name in ("alice", "bob")}
    assert seen.heard(ids["alice"], name_of("ann@far.test")) == (1, 1)
    assert seen.heard(ids["bob"], name_of("ann@far.test")) == (1, 0)
    assert seen.heard(ids["alice"], name_of("forged@far.test")) == (0, 0)
    assert seen.heard(ids["alice"], name_of("eve@far.test")) == (0, 0), "nobody wants it"
    seen.close()


async def test_wanted_mail_protects_its_network(make: Maker) -> None:
    world = make()
    world.filter.verdict = PASSED
    assert await world.send("alice@example.test", ip="198.51.100.1") == "250 2.0.0"
    world.filter.verdict = MessageVerdict()
    for _ in range(5):
        await world.send("trap@example.test", ip="198.51.100.2")
        world.clock.advance(1)
    await world.look()
    await world.send("alice@example.test", ip="198.51.100.3")
    assert world.filter.hints == []
    world.clock.advance(30 * 86_400)
    for _ in range(5):
        await world.send("trap@example.test", ip="198.51.100.2")
        world.clock.advance(1)
    await world.look()
    await world.send("alice@example.test", ip="198.51.100.3")
    assert world.filter.hints == ["trap_network"]


async def test_what_was_seen_while_the_database_was_locked_is_noted_afterwards(make: Maker) -> None:
    world, other = make(), make()
    lock = open_database(world.instance.config.paths.state_db)
    lock.execute("BEGIN IMMEDIATE")
    world.filter.verdict = PASSED
    assert await world.send("alice@example.test", ip="198.51.100.1") == "250 2.0.0"
    world.filter.verdict = MessageVerdict()
    for n in range(3):
        assert await world.send("trap@example.test", ip=f"203.0.113.{n}") == "250 2.0.0"
        world.clock.advance(1)
    await world.look()
    lock.close()
    await world.look()
    await other.look()
    assert other.service._reputation.trap_hits("203.0.113.9") == 3
    assert await other.service._reputation.is_wanted("198.51.100.9")
    assert not await other.service._reputation.is_wanted("203.0.113.9")


# -- greylisting ------------------------------------------------------------------------------

GREY = "[mx]\ngreylist = true\n"


async def test_greylisting_is_off_by_default(make: Maker) -> None:
    world = make()
    assert await world.send("alice@example.test") == "250 2.0.0"
    assert not world.filter.asked[-1].wants_codes


async def test_a_new_sender_comes_again_and_is_known_then(make: Maker) -> None:
    world = make(GREY)
    assert await world.send("alice@example.test", sender="list-123@far.test") == "451 4.7.1"
    assert world.held("alice@example.test") == []
    world.logs("check=greylist")
    world.clock.advance(301)
    assert (
        await world.send("alice@example.test", sender="list-124@far.test", ip="198.51.100.8") == "250 2.0.0"
    )
    assert await world.send("alice@example.test", sender="list-125@far.test") == "250 2.0.0"
    assert await world.send("bob@example.test", sender="list-125@far.test") == "451 4.7.1"
    assert await world.send("postmaster@example.test") == "250 2.0.0"


async def test_authenticated_known_senders_and_codes_never_wait(make: Maker) -> None:
    world = make(GREY)
    world.filter.verdict = PASSED
    assert await world.send("alice@example.test") == "451 4.7.1"
    coded = replace_reasons(PASSED, Reason("one_time_code", 0.0, "it holds a one-time code"))
    world.filter.verdict = coded
    assert await world.send("bob@example.test") == "250 2.0.0"
    await world.look()
    world.filter.verdict = PASSED
    assert await world.send("alice@example.test", ip="203.0.113.200") == "250 2.0.0"
    world.filter.verdict = replace_reasons(MessageVerdict(), *coded.reasons)
    assert await world.send("boss@example.test") == "451 4.7.1"


def replace_reasons(verdict: MessageVerdict, *reasons: Reason) -> MessageVerdict:
    return MessageVerdict(authentication=verdict.authentication, reasons=reasons)


# -- guesses ----------------------------------------------------------------------------------


async def test_who_guesses_is_put_off_in_every_worker_and_learns_nothing(make: Maker) -> None:
    # S44
    world = make("[mx]\nguesses = 10\n")
    other = make()
    for n in range(5):
        assert await world.rcpt(f"nobody{n}@example.test") == "550 5.1.1"
        assert await other.rcpt(f"no{n}%x@example.test") == "550 5.7.1"
    await world.look()
    await other.look()
    await world.look()
    for worker in (world, other):
        assert await worker.rcpt("alice@example.test") == "421 4.7.1"
        assert await worker.rcpt("nobody@example.test") == "421 4.7.1"
        assert await worker.rcpt("postmaster@example.test") == "250 2.1.5"
        assert await worker.rcpt("alice@example.test", ip="198.51.100.8") == "250 2.1.5"
    world.clock.advance(3601)
    assert await world.rcpt("alice@example.test") == "250 2.1.5"


async def test_who_writes_to_many_that_exist_does_not_guess(make: Maker) -> None:
    world = make("[mx]\nguesses = 10\n")
    for n in range(20):
        if n % 2:
            assert await world.rcpt("alice@example.test") == "250 2.1.5"
            await world.look()
        assert await world.rcpt(f"nobody{n}@example.test") == "550 5.1.1"
        await world.look()
    assert await world.rcpt("alice@example.test") == "250 2.1.5"


async def test_an_ipv6_network_guesses_as_one(make: Maker) -> None:
    world = make("[mx]\nguesses = 10\n")
    for n in range(10):
        await world.rcpt(f"nobody{n}@example.test", ip=f"2001:db8::{n:x}")
    await world.look()
    assert await world.rcpt("alice@example.test", ip="2001:db8::ffff") == "421 4.7.1"
    assert await world.rcpt("alice@example.test", ip="2001:db8:0:1::1") == "250 2.1.5"


async def test_a_broken_database_stops_no_mail(make: Maker) -> None:
    # P7
    world = make("[mx]\nguesses = 1\n")
    world.instance.config.paths.state_db.write_bytes(b"no database" * 1000)
    await world.rcpt("nobody@example.test")
    await world.look()
    assert await world.rcpt("alice@example.test") == "250 2.1.5"
    assert await world.send("trap@example.test") == "250 2.0.0"
    await world.look()


async def test_clients_of_lmtp_are_not_told_to_log_in(make: Maker) -> None:
    world = make()
    client = Client(STRANGER, 2500, "mx.far.test", listener="lmtp")
    reply = await world.service.check_recipient(client, None, None, Address.parse("x@far.test"))
    assert (reply.code, reply.check) == (550, "relay")
    assert reply.text.startswith("Mail for far.test is not handled here; LMTP brings mail")


# -- reports -------------------------------------------------------------------------------------


async def test_mail_of_a_domain_that_wants_reports_is_counted_by_every_worker(make: Maker) -> None:
    published = PublishedPolicy("far.test", "reject", "mailto:d@far.test", "far.test")
    failed = DmarcResult("fail", "far.test", "reject", "reject", "no signature", published)
    worlds = [make("[reports]\nflush_s = 0.05\n"), make()]
    for world in worlds:
        world.filter.verdict = replace_struct(REJECTED, authentication=Authentication(dmarc=failed))
        assert await world.send("alice@example.test") == "550 5.7.1"
        assert await world.send("postmaster@example.test") == "250 2.0.0"
        await world.service._dmarc.write()
    facts = DmarcFacts(worlds[0].instance.config.paths.state_db)
    found = facts.of(day_of(worlds[0].clock()), "far.test")
    facts.close()
    assert found is not None
    assert [(fact.source_ip, fact.disposition, fact.override, n) for fact, n in found.rows] == [
        (STRANGER, "quarantine", "local_policy", 2),
        (STRANGER, "reject", "", 2),
    ]
