"""The end of DATA by LMTP: every recipient is answered for itself (RFC 2033)."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import msgspec
import pytest

from mailstack.app.transaction import Transaction
from mailstack.delivery.decide import Store
from mailstack.delivery.local import Job, load_retry, store
from mailstack.model.address import Address
from mailstack.model.envelope import Body, Client, Envelope, Recipient
from mailstack.model.errors import TemporaryFailure
from mailstack.model.verdict import (
    AccountAction,
    AccountVerdict,
    Authentication,
    FileInto,
    FilterAnswer,
    FilterRequest,
    Keep,
    MessageVerdict,
    Redirect,
    RejectMail,
    SpfResult,
)
from mailstack.state.forward_targets import ForwardTargets
from tests.app.test_accept import OCTETS, SENDER, Kit
from tests.kit.instance import Instance, new_instance

CLIENT = Client("198.51.100.1", 2_500, "list.example.test", listener="lmtp")


VERIFIED = MessageVerdict(authentication=Authentication(spf=SpfResult("pass", "elsewhere.test")))


class Filter:
    """Keeps everything; rejects for `no@`, and calls the message what it is told to."""

    def __init__(self) -> None:
        self.requests: list[FilterRequest] = []
        self.verdict = VERIFIED
        self.rules: dict[str, tuple[AccountAction, ...]] = {}

    async def ask(self, request: FilterRequest) -> FilterAnswer:
        self.requests.append(request)
        accounts = tuple(
            AccountVerdict(
                r.number,
                "ham",
                0.0,
                (RejectMail("Not wanted"),)
                if r.address == "no@example.test"
                else self.rules.get(r.address, (Keep(),)),
            )
            for r in request.recipients
        )
        return FilterAnswer(self.verdict, accounts)

    async def close(self) -> None:
        pass


class EachKit(Kit):
    """As Kit, with a filter that answers."""

    filter: Filter

    async def each(self, *to: str) -> list[str]:
        envelope = Envelope(
            accept_id=self.service.new_id(),
            client=CLIENT,
            reverse_path=SENDER,
            recipients=tuple(Recipient(Address.parse(text), n) for n, text in enumerate(to, 1)),
            received_at=self.clock(),
        )
        replies = await self.service.accept_each(envelope, Body(OCTETS, size_octets=len(OCTETS)))
        return [f"{reply.code} {reply.code // 100}.{reply.status}" for reply in replies]

    def count(self, address: str, folder: str = "INBOX") -> int:
        return self.store.account(Address.parse(address)).status(folder).messages

    def queued(self) -> list[tuple[str, str]]:
        return [
            (str(row[0]), str(row[1]))
            for row in self.service._services.queue.read("SELECT address, kind FROM recipient")
        ]


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[EachKit]:
    instance = new_instance(tmp_path)
    with instance.writer() as writer:
        writer.accounts.add("full@example.test", quota_octets=2_500)
        writer.accounts.add("near@example.test", quota_octets=100)
        for name in ("bob", "carol", "copy", "no"):
            writer.accounts.add(f"{name}@example.test")
        for alias, targets in {
            "b": ["bob@example.test"],
            "group": ["bob@example.test", "full@example.test", "no@example.test"],
            "out": ["friend@outside.test"],
            "never": ["no@example.test"],
        }.items():
            writer.aliases.add(f"{alias}@example.test", targets, posters="all")
    kit = EachKit(instance)
    kit.filter = Filter()
    kit.service._services = dataclasses.replace(kit.service._services, filter=kit.filter)  # type: ignore[arg-type]
    full = kit.store.account(Address.parse("full@example.test"))
    from mailstack.model.mailbox import NewMessage

    full.append("INBOX", [NewMessage(OCTETS)] * 3)
    yield kit
    kit.store.close()
    await kit.service.close()


async def test_each_recipient_has_its_own_answer(kit: EachKit) -> None:
    said = await kit.each("bob@example.test", "full@example.test", "no@example.test", "carol@example.test")
    assert said == ["250 2.0.0", "452 4.2.2", "550 5.7.1", "250 2.0.0"]
    assert [kit.count(f"{name}@example.test") for name in ("bob", "full", "no", "carol")] == [1, 3, 0, 1]
    # The client tries again, and tells the sender; we do neither.
    assert kit.queued() == []


async def test_the_log_says_who_got_it_and_who_did_not(kit: EachKit) -> None:
    await kit.each("bob@example.test", "full@example.test", "no@example.test")
    log = kit.log()
    assert "recipients=1" in next(line for line in log if " accepted " in line)
    refused = [line for line in log if " refused " in line]
    assert ["to=full@example.test" in refused[1], "to=no@example.test" in refused[0]] == [True, True]


async def test_two_names_of_one_mailbox_are_two_answers_and_one_copy(kit: EachKit) -> None:
    assert await kit.each("bob@example.test", "b@example.test") == ["250 2.0.0"] * 2
    assert kit.count("bob@example.test") == 1
    assert await kit.each("no@example.test", "never@example.test") == ["550 5.7.1"] * 2


async def test_a_group_is_taken_when_one_member_takes_it(kit: EachKit) -> None:
    # bob has it; the full one is retried by us, since the client has been told that all is well.
    assert await kit.each("group@example.test") == ["250 2.0.0"]
    assert kit.count("bob@example.test") == 1
    assert ("full@example.test", "local") in kit.queued()


async def test_a_member_that_is_named_by_itself_too_is_not_told_twice_to_try_again(kit: EachKit) -> None:
    # The group's copy of the full member is retried here; the client must not send another one.
    for to in (("group@example.test", "full@example.test"), ("full@example.test", "group@example.test")):
        assert await kit.each(*to) == ["250 2.0.0"] * 2
    assert kit.queued().count(("full@example.test", "local")) == 2


async def test_nobody_stores_it_and_everybody_is_told(kit: EachKit) -> None:
    assert await kit.each("full@example.test", "no@example.test") == ["452 4.2.2", "550 5.7.1"]
    assert await kit.each("full@example.test") == ["452 4.2.2"]
    assert kit.queued() == []
    assert not [line for line in kit.log() if " accepted " in line]


async def test_mail_for_outside_is_queued_before_it_is_answered(kit: EachKit) -> None:
    assert await kit.each("out@example.test", "no@example.test") == ["250 2.0.0", "550 5.7.1"]
    assert [address for address, _ in kit.queued()] == ["friend@outside.test"]


async def test_content_is_never_refused(kit: EachKit) -> None:
    # The client would have to bounce it to somebody who never sent it.
    kit.filter.verdict = MessageVerdict(
        "spam", 0.99, "reject", reply_code=550, reply_status="7.1", reply_text="No"
    )
    assert await kit.each("bob@example.test") == ["250 2.0.0"]
    assert kit.count("bob@example.test") == 1


async def test_a_rule_that_refuses_keeps_it_when_the_sender_may_be_forged(kit: EachKit) -> None:
    # T9: the client's report would go to somebody who never wrote.
    kit.filter.verdict = MessageVerdict()
    assert await kit.each("no@example.test", "never@example.test", "bob@example.test") == ["250 2.0.0"] * 3
    assert (kit.count("no@example.test"), kit.count("bob@example.test")) == (1, 1)
    assert kit.queued() == []


async def test_the_clients_address_is_not_what_spf_is_asked_about(kit: EachKit) -> None:
    await kit.each("bob@example.test")
    assert kit.filter.requests[0].ip == ""


@pytest.mark.parametrize("step", [1, -1])
async def test_whose_rule_sends_it_where_another_does_too_takes_it(kit: EachKit, step: int) -> None:
    # One copy leaves for both; a 550 would have the client report a message that arrived.
    kit.filter.rules["bob@example.test"] = (Redirect("friend@outside.test"),)
    assert await kit.each(*("out@example.test", "bob@example.test")[::step]) == ["250 2.0.0"] * 2
    assert kit.queued() == [("friend@outside.test", "remote")]


async def test_who_refuses_sends_nothing_on_where_another_sends_it(kit: EachKit, tmp_path: Path) -> None:
    with Instance(tmp_path).writer() as writer:
        writer.settings.set_redirection("no@example.test", ["friend@outside.test"])
    said = await kit.each("no@example.test", "never@example.test", "out@example.test")
    assert said == ["550 5.7.1", "550 5.7.1", "250 2.0.0"]
    assert kit.queued() == [("friend@outside.test", "remote")]


async def test_what_is_stored_in_part_is_not_brought_again_by_the_client(kit: EachKit) -> None:
    # The first copy fills the mailbox; "come again" would store that copy a second time.
    kit.filter.rules["near@example.test"] = (FileInto("Orders", create=True), Keep())
    assert await kit.each("near@example.test", "full@example.test") == ["250 2.0.0", "452 4.2.2"]
    assert [kit.count("near@example.test", folder) for folder in ("Orders", "INBOX")] == [1, 0]
    assert kit.queued() == [("near@example.test", "local")]
    # Nor by us: who deletes that copy, to make room for the other, does not find it there again.
    near = kit.store.account(Address.parse("near@example.test"))
    near.expunge(near.status("Orders").id, [1])
    rows = kit.service._services.queue.read(
        "SELECT accept_id, detail FROM message m JOIN recipient r ON r.message = m.id"
    )
    ((accept_id, detail),) = rows
    retry = load_retry(str(detail), received_at=0)
    body = Body(OCTETS, size_octets=len(OCTETS))
    job = Job(str(accept_id), retry.number, retry.received_at, "mx", body, b"")
    store(near, job, retry.actions, first=retry.first)
    assert [kit.count("near@example.test", folder) for folder in ("Orders", "INBOX")] == [0, 1]


async def test_trouble_is_told_to_everybody(kit: EachKit, monkeypatch: pytest.MonkeyPatch) -> None:
    # P7
    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kit.service._recipients, "facts", broken)
    assert await kit.each("bob@example.test", "carol@example.test") == ["451 4.3.0"] * 2
    assert kit.queued() == []


@pytest.mark.parametrize("others", [(), ("carol@example.test",)])
async def test_a_rule_that_redirects_to_somebody_here_takes_it(kit: EachKit, others: tuple[str, ...]) -> None:
    kit.filter.rules["bob@example.test"] = (Redirect("copy@example.test"),)
    assert await kit.each("bob@example.test", *others) == ["250 2.0.0"] * (1 + len(others))
    assert [kit.count(f"{name}@example.test") for name in ("bob", "copy")] == [0, 1]


async def test_a_rules_copy_that_cannot_be_stored_is_retried_here(kit: EachKit) -> None:
    # The client was told that all is well: nobody else has the copy.
    kit.filter.rules["bob@example.test"] = (Redirect("full@example.test"), Keep())
    assert await kit.each("bob@example.test") == ["250 2.0.0"]
    assert kit.count("bob@example.test") == 1
    assert kit.queued() == [("full@example.test", "local")]


async def test_a_rules_only_copy_that_cannot_be_stored_is_retried_by_the_client(kit: EachKit) -> None:
    kit.filter.rules["bob@example.test"] = (Redirect("full@example.test"),)
    assert await kit.each("bob@example.test", "carol@example.test") == ["452 4.2.2", "250 2.0.0"]
    assert kit.queued() == []


@pytest.mark.parametrize("to", ["friend@outside.test", "copy@example.test"])
async def test_what_a_rule_has_sent_on_is_not_sent_on_again_by_the_clients_next_try(
    kit: EachKit, to: str
) -> None:
    kit.filter.rules["full@example.test"] = (Redirect(to), Keep())
    assert await kit.each("full@example.test") == ["250 2.0.0"]
    assert ("full@example.test", "local") in kit.queued()


async def test_rules_send_on_so_much_a_day_and_the_rest_stays(kit: EachKit) -> None:
    options = msgspec.structs.replace(kit.service._config.sieve, redirects_per_day=2)
    kit.service._services.scripts._options = options
    kit.filter.rules["bob@example.test"] = (Redirect("friend@outside.test"),)
    for _ in range(4):
        assert await kit.each("bob@example.test") == ["250 2.0.0"]
    assert kit.queued().count(("friend@outside.test", "remote")) == 2
    assert kit.count("bob@example.test") == 2


async def test_a_queue_that_is_full_of_what_an_address_sends_on_takes_no_more_of_it(kit: EachKit) -> None:
    queue = kit.service._services.queue
    queue.options = msgspec.structs.replace(queue.options, max_messages=1, max_messages_per_account=1)
    assert await kit.each("out@example.test") == ["250 2.0.0"]
    said = await kit.each("carol@example.test", "out@example.test", "no@example.test", "bob@example.test")
    assert said == ["250 2.0.0", "452 4.3.1", "550 5.7.1", "250 2.0.0"]
    assert [kit.count(f"{name}@example.test") for name in ("bob", "carol")] == [1, 1]
    assert len(kit.queued()) == 1
    assert await kit.each("out@example.test") == ["452 4.3.1"]
    log = kit.log()
    assert [line for line in log if "queue_full" in line and "to=out@example.test" in line]
    assert not [line for line in log if "queue_full" in line and "to=bob@" in line]


async def test_who_shares_a_mailbox_with_one_the_queue_is_full_for_gets_one_copy(
    kit: EachKit, tmp_path: Path
) -> None:
    kit.filter.rules["copy@example.test"] = (Redirect("friend@outside.test"), Keep())
    queue = kit.service._services.queue
    options = queue.options
    queue.options = msgspec.structs.replace(options, max_messages=0, max_messages_per_account=0)
    with Instance(tmp_path).writer() as writer:
        writer.aliases.add("both@example.test", ["copy@example.test", "bob@example.test"], posters="all")
    # Nobody may get now what the client brings them again with the copy that is sent on.
    to = ("both@example.test", "b@example.test", "carol@example.test")
    assert await kit.each(*to) == ["452 4.3.1", "452 4.3.1", "250 2.0.0"]
    assert [kit.count(f"{name}@example.test") for name in ("copy", "bob", "carol")] == [0, 0, 1]
    queue.options = options
    assert await kit.each(*to[:2]) == ["250 2.0.0"] * 2
    assert [kit.count(f"{name}@example.test") for name in ("copy", "bob", "carol")] == [1, 1, 1]
    assert kit.queued().count(("friend@outside.test", "remote")) == 1


async def test_a_directory_that_fails_later_on_does_not_bring_stored_mail_twice(
    kit: EachKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise TemporaryFailure("the directory is gone")

    stored = Transaction._store_all

    async def then_broken(self: Transaction, stores: Sequence[Store]) -> None:
        await stored(self, stores)
        monkeypatch.setattr(kit.service._directory, "find", broken)

    monkeypatch.setattr(Transaction, "_store_all", then_broken)
    assert await kit.each("bob@example.test", "full@example.test") == ["250 2.0.0", "452 4.2.2"]


async def test_a_paused_target_is_put_off_for_an_alias_and_kept_for_a_mailbox(
    kit: EachKit, tmp_path: Path
) -> None:
    instance = Instance(tmp_path)
    with instance.writer() as writer:
        writer.settings.set_redirection("carol@example.test", ["friend@outside.test"])
    table = ForwardTargets(instance.config.paths.state_db)
    for owner in ("out@example.test", "carol@example.test"):
        table.pause(Address.parse(owner), Address.parse("friend@outside.test"), why="", now=0.0)
    table.close()
    said = await kit.each("out@example.test", "carol@example.test", "bob@example.test")
    assert said == ["450 4.2.1", "250 2.0.0", "250 2.0.0"]
    assert kit.count("carol@example.test") == 1
    assert kit.queued() == []
