"""NOTIFY at the end of DATA: each recipient whose sender wants to hear of success has one answer."""

from __future__ import annotations

import email

import pytest

from mailstack.app.transaction import Transaction
from mailstack.model.address import Address
from mailstack.model.envelope import Body, Client, Envelope, Recipient
from mailstack.model.errors import TemporaryFailure
from mailstack.model.reply import Reply
from mailstack.model.verdict import (
    Authentication,
    DmarcResult,
    FileInto,
    Redirect,
    SendMail,
    SpfResult,
)
from mailstack.routing.route import Facts
from tests.kit.clock import START
from tests.kit.instance import Instance
from tests.kit.transaction_world import LETTER, SPAM, VERIFIED, World

SUCCESS = frozenset({"SUCCESS"})
ALL = frozenset({"SUCCESS", "FAILURE", "DELAY"})


@pytest.fixture
def people(world: World, instance: Instance) -> World:
    instance.cli("alias", "add", "sales@example.test", "alice@example.test")
    instance.cli(
        "alias", "add", "team@example.test", "alice@example.test", "friend@far.test", "--posters", "all"
    )
    instance.cli(
        "forward", "set", "--no-notice", "--no-check", "gone@example.test", "friend@far.test", "--no-keep"
    )
    instance.cli("domain", "add", "lists.test", "--unknown", "relay")
    instance.cli("alias", "add", "list@example.test", "list@lists.test")
    world.filter.verdict = VERIFIED
    return world


async def send(
    world: World,
    *to: str,
    notify: frozenset[str] = SUCCESS,
    sender: str | None = "x@far.test",
    last: frozenset[str] | None = None,
    **facts: object,
) -> Reply:
    """`last`: another NOTIFY of the last recipient."""
    reverse = Address.parse(sender) if sender else None
    wishes = [notify] * len(to) if last is None else [*([notify] * (len(to) - 1)), last]
    recipients = tuple(
        Recipient(Address.parse(text), n, wish)
        for n, (text, wish) in enumerate(zip(to, wishes, strict=True), 1)
    )
    envelope = Envelope(
        "0123456789abcdefg",
        Client("192.0.2.7", 5000, "client.far.test"),
        reverse,
        recipients,
        START,
        **facts,  # type: ignore[arg-type]
    )
    routing = Facts(sender=reverse, now=START, srs_secrets=world.services.directory.srs_secrets())
    body = Body(LETTER, size_octets=len(LETTER))
    return await Transaction(world.services, envelope, body, account=None, facts=routing).run()


def queued(world: World) -> list[tuple[str, str, set[str], str, str]]:
    """Kind, recipient, NOTIFY, ORCPT and the address the sender wrote to."""
    rows = world.queue.read(
        "SELECT m.kind, r.address, r.notify, r.orcpt, r.original FROM message m"
        " JOIN recipient r ON r.message = m.id WHERE m.kind <> 'dsn' ORDER BY r.number"
    )
    return [(str(k), str(a), set(str(n).split()), str(o), str(w)) for k, a, n, o, w in rows]


def told(world: World) -> list[tuple[str, str]]:
    """Final-Recipient and Action of every report."""
    found = []
    for (queue_id,) in world.queue.read("SELECT id FROM message WHERE kind = 'dsn' ORDER BY id"):
        octets = (world.services.config.paths.queue_messages / str(queue_id)).read_bytes()
        machine = email.message_from_bytes(octets).get_payload()[1]  # type: ignore[index]
        blocks = machine.get_payload()  # type: ignore[union-attr]
        found += [(b["Final-Recipient"].removeprefix("rfc822; "), b["Action"]) for b in blocks[1:]]  # type: ignore[union-attr,index]
    return found


async def test_a_stored_copy_is_reported_as_delivered(people: World) -> None:
    # RFC 3461 section 5.2.3
    assert (await send(people, "alice@example.test", "bob@example.test", envid="e 1")).code == 250
    assert told(people) == [("alice@example.test", "delivered"), ("bob@example.test", "delivered")]
    assert len(people.mail.held("alice")) == 1


@pytest.mark.parametrize(
    "notify",
    [frozenset(), frozenset({"NEVER"}), frozenset({"FAILURE", "DELAY"})],
    ids=["nothing", "never", "failure and delay"],
)
async def test_nobody_is_told_who_did_not_ask(people: World, notify: frozenset[str]) -> None:
    # Q18
    await send(people, "alice@example.test", "team@example.test", notify=notify)
    assert told(people) == []


@pytest.mark.parametrize("case", ["forged", "spam", "null"])
async def test_nobody_is_told_who_may_not_have_sent_it(people: World, case: str) -> None:
    # P11, Q17
    if case == "forged":
        people.filter.verdict = type(VERIFIED)()
    elif case == "spam":
        people.filter.verdict = type(VERIFIED)(klass="spam", authentication=VERIFIED.authentication)
        assert SPAM.klass == people.filter.verdict.klass
    await send(people, "alice@example.test", sender=None if case == "null" else "x@far.test")
    assert told(people) == []


@pytest.mark.parametrize(
    ("sender", "is_told"),
    [("x@far.test", True), ("victim@else.test", False), ("victim@far.test", False)],
    ids=["the author", "somebody elsewhere", "somebody of the author's domain"],
)
async def test_a_signature_proves_its_author_and_no_other_sender(
    people: World, sender: str, is_told: bool
) -> None:
    # T9: whoever signs his own mail would have us send reports to any address he names in MAIL FROM.
    signed = Authentication(SpfResult("fail", "far.test"), dmarc=DmarcResult("pass", "far.test"))
    people.filter.verdict = type(VERIFIED)(authentication=signed)
    await send(people, "alice@example.test", "gone@example.test", sender=sender, notify=ALL)
    assert bool(told(people)) is is_told
    verified = people.queue.read("SELECT is_sender_verified FROM message WHERE kind = 'forward'")
    assert verified == [(int(is_told),)]


async def test_an_alias_is_reported_by_its_own_name(people: World) -> None:
    # RFC 3461 section 5.2.7.2
    await send(people, "sales@example.test", "alice@example.test")
    assert told(people) == [("sales@example.test", "delivered"), ("alice@example.test", "delivered")]
    assert len(people.mail.held("alice")) == 1


async def test_a_group_is_reported_as_expanded_and_its_members_are_not(people: World) -> None:
    # RFC 3461 section 5.2.7.3 (c)
    await send(people, "team@example.test", notify=ALL)
    assert told(people) == [("team@example.test", "expanded")]
    team = "rfc822;team@example.test"
    assert queued(people) == [("forward", "friend@far.test", {"FAILURE", "DELAY"}, team, "team@example.test")]


async def test_what_is_left_of_success_alone_is_never(people: World) -> None:
    await send(people, "team@example.test")
    assert queued(people)[0][2] == {"NEVER"}


async def test_a_redirection_that_keeps_a_copy_is_delivered(people: World) -> None:
    # RFC 3461 section 5.2.7.3 (b)
    await send(people, "kept@example.test", notify=ALL)
    assert told(people) == [("kept@example.test", "delivered")]
    assert queued(people)[0][2] == {"FAILURE", "DELAY"}


async def test_a_redirection_without_a_copy_is_answered_when_it_has_left(people: World) -> None:
    # RFC 3461 section 5.2.7.4: the target is private, so the wish stays with us
    await send(people, "gone@example.test")
    assert told(people) == []
    (entry,) = queued(people)
    assert entry[1:3] == ("friend@far.test", {"SUCCESS"})
    assert entry[4] == "gone@example.test"


@pytest.mark.parametrize(
    ("first", "together"),
    [("", {"SUCCESS", "FAILURE", "DELAY"}), ("NEVER", {"SUCCESS"}), ("FAILURE", {"SUCCESS", "FAILURE"})],
)
async def test_two_ways_to_one_address_are_one_copy_with_both_wishes(
    people: World, first: str, together: set[str]
) -> None:
    await send(people, "gone@example.test", "out@example.test", notify=frozenset(first.split()), last=SUCCESS)
    assert [entry[1:3] for entry in queued(people)] == [("friend@far.test", together)]


async def test_a_rule_that_redirects_is_followed(people: World) -> None:
    people.filter.actions = {"alice": (Redirect("friend@far.test"),)}
    await send(people, "alice@example.test")
    assert told(people) == []
    assert queued(people)[0][1:3] == ("friend@far.test", {"SUCCESS"})


async def test_whose_rule_sends_it_where_an_alias_does_too_is_answered(people: World) -> None:
    # One copy leaves for both.
    people.filter.actions = {"alice": (Redirect("friend@far.test"),)}
    await send(people, "out@example.test", "alice@example.test", notify=frozenset(), last=SUCCESS)
    (found,) = [one for one in queued(people) if one[1] == "friend@far.test"]
    assert "SUCCESS" in found[2]


async def test_what_is_thrown_away_was_delivered(people: World) -> None:
    people.filter.actions = {"alice": (FileInto("Trash"),)}
    await send(people, "alice@example.test")
    assert told(people) == [("alice@example.test", "delivered")]


async def test_a_copy_that_is_retried_takes_the_wish_along(people: World) -> None:
    people.mail.failing["alice"] = TemporaryFailure("the disk is full", status="3.1")
    await send(people, "sales@example.test", "bob@example.test", notify=ALL, ret="HDRS", envid="e1")
    assert told(people) == [("bob@example.test", "delivered")]
    kind, address, notify, _, original = queued(people)[0]
    assert (kind, address, original) == ("local", "alice@example.test", "sales@example.test")
    assert notify == ALL
    ((ret, envid),) = people.queue.read("SELECT ret, envid FROM message WHERE kind = 'local'")
    assert (ret, envid) == ("HDRS", "e1")


async def test_a_queue_that_fails_for_the_report_takes_nothing_back(
    people: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def enqueue(items: object) -> list[str]:
        raise TemporaryFailure("full")

    monkeypatch.setattr(people.queue, "enqueue", enqueue)
    assert (await send(people, "alice@example.test")).code == 250
    assert len(people.mail.held("alice")) == 1


async def test_mail_for_our_own_lists_keeps_its_sender(people: World) -> None:
    await send(people, "list@example.test", notify=frozenset())
    ((sender,),) = people.queue.read("SELECT sender FROM message")
    assert sender == "x@far.test"


@pytest.mark.parametrize("step", [1, -1])
async def test_who_is_elsewhere_beside_our_lists_gets_a_sender_of_ours(
    people: World, instance: Instance, step: int
) -> None:
    # SPF of x@far.test would fail where the friend's mail is, whoever is the group's first member.
    members = ("list@lists.test", "friend@far.test", "pal@far.test")[::step]
    instance.cli("alias", "add", "both@example.test", *members, "--posters", "all")
    await send(people, "both@example.test", notify=frozenset())
    found = people.queue.read("SELECT sender, address FROM message JOIN recipient ON message = id")
    assert {str(address): str(sender)[:5] for sender, address in found} == {
        "list@lists.test": "x@far",
        "friend@far.test": "SRS0=",
        "pal@far.test": "SRS0=",
    }
    assert people.queue.read("SELECT count(*) FROM message") == [(2,)]


async def test_tls_only_goes_with_everything_that_leaves(people: World) -> None:
    # RFC 8689 sections 4.1, 5 and 6
    people.filter.actions = {"bob": (SendMail("", ("x@far.test",), b"Subject: away\r\n\r\n", "vacation"),)}
    to = ("gone@example.test", "bob@example.test", "alice@example.test")
    await send(people, *to, requiretls=True, ret="FULL")
    found = people.queue.read("SELECT kind, requiretls FROM message ORDER BY kind")
    assert found == [("dsn", 1), ("forward", 1), ("vacation", 1)]
    assert not any(
        b"Hello." in path.read_bytes() for path in people.services.config.paths.queue_messages.glob("new*")
    )
