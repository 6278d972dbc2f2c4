"""What follows from DNS answers is believed as long as these say what they said."""

from __future__ import annotations

from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.filters import client
from mailstack.filters.authentication import dmarc, spf
from mailstack.filters.authentication.sender import Memory, Sender
from mailstack.filters.client import Client
from mailstack.filters.fields import Header
from mailstack.filters.remembered import MAX_ANSWERS, MAX_RECORD_OCTETS, MAX_RESULTS, Remembered
from mailstack.model.dns import Answer, Lookup, NeedLookup, Question
from mailstack.model.verdict import DkimResult, DmarcResult, FilterRequest, SpfResult
from mailstack.net.resolver import GivenUp

NOW = 1_800_000_000.0
IP = "192.0.2.7"
Zone: TypeAlias = dict[Question, Answer]
Message: TypeAlias = tuple[str, str, str, str]


class Counted:
    """A check that asks for some names."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.runs = 0

    def __call__(self, lookup: Lookup) -> tuple[object, ...]:
        self.runs += 1
        lookup.prefetch("never-read.test", "A")
        return tuple(lookup(name, "TXT").records for name in self.names)


def known(**texts: bytes) -> dict[Question, Answer]:
    return {Question(name, "TXT"): Answer("ok", (text,), ttl_s=60) for name, text in texts.items()}


def test_it_runs_once_as_long_as_the_answers_stay() -> None:
    memory: Remembered[object] = Remembered()
    check = Counted("a", "b")
    for ttl_s in (60, 59):  # asked again, it said the same
        answers = {
            q: Answer(one.status, one.records, ttl_s=ttl_s) for q, one in known(a=b"1", b=b"2").items()
        }
        assert memory.get("key", check, Lookup(answers)) == ((b"1",), (b"2",))
    assert check.runs == 1
    assert memory.get("other", check, Lookup(known(a=b"1", b=b"2"))) == ((b"1",), (b"2",))
    assert check.runs == 2


@pytest.mark.parametrize(
    "now",
    [Answer("ok", (b"3",)), Answer("nodata"), Answer("temperror"), Answer("ok", (b"2",), secure=True)],
)
def test_another_answer_is_another_result(now: Answer) -> None:
    memory: Remembered[object] = Remembered()
    check = Counted("a", "b")
    memory.get("key", check, Lookup(known(a=b"1", b=b"2")))
    changed = known(a=b"1") | {Question("b", "TXT"): now}
    assert memory.get("key", check, Lookup(changed)) == ((b"1",), now.records)
    assert check.runs == 2


def test_an_answer_that_is_not_known_any_more_is_asked_for() -> None:
    memory: Remembered[object] = Remembered()
    check = Counted("a", "b")
    memory.get("key", check, Lookup(known(a=b"1", b=b"2")))
    lookup = Lookup(known(a=b"1"))
    with pytest.raises(NeedLookup):
        memory.get("key", check, lookup)
    assert Question("b", "TXT") in lookup.wanted
    # Who waits no longer is told what comes of it, and nobody after him.
    assert memory.get("key", check, Lookup(GivenUp(known(a=b"1")))) == ((b"1",), ())
    with pytest.raises(NeedLookup):
        memory.get("key", check, Lookup(known(a=b"1")))


def test_the_memory_has_an_end() -> None:
    memory: Remembered[object] = Remembered()
    check = Counted("a")
    for number in range(MAX_RESULTS + 1):
        memory.get(number, check, Lookup(known(a=b"1")))
    runs = check.runs
    memory.get(1, check, Lookup(known(a=b"1")))
    assert check.runs == runs
    memory.get(0, check, Lookup(known(a=b"1")))
    assert check.runs == runs + 1


def test_large_answers_and_many_are_not_kept() -> None:
    memory: Remembered[object] = Remembered()
    many = Counted(*(str(number) for number in range(MAX_ANSWERS + 1)))
    for check, answers in (
        (Counted("a"), known(a=b"x" * (MAX_RECORD_OCTETS + 1))),
        (Counted("a"), {Question("a", "TXT"): Answer("ok", (b"x",) * 100)}),
        (many, known(**dict.fromkeys(many.names, b"x"))),
    ):
        for _ in range(2):
            memory.get("key", check, Lookup(answers))
        assert check.runs == 2


def check_spf(memory: Remembered[SpfResult], sender: str, record: bytes) -> str:
    lookup = Lookup({Question("example.test", "TXT"): Answer("ok", (record,))} | HOSTS)
    return spf.check(IP, sender, "mx.example.test", now=NOW, lookup=lookup, memory=memory).result


HOSTS = {
    Question("alice.example.test", "A"): Answer("ok", ("127.0.0.2",)),
    Question("bob.example.test", "A"): Answer("nxdomain"),
}


def test_spf_of_a_domain_is_that_of_all_its_addresses_unless_the_record_looks_at_them() -> None:
    memory: Remembered[SpfResult] = Remembered()
    for sender in ("alice@example.test", "bob@example.test"):
        assert check_spf(memory, sender, b"v=spf1 ip4:192.0.2.0/24 -all") == "pass"
    record = b"v=spf1 exists:%{l}.%{d} -all"
    assert check_spf(memory, "alice@example.test", record) == "pass"
    assert check_spf(memory, "bob@example.test", record) == "fail"
    assert check_spf(memory, "alice@example.test", b"v=spf1 -all") == "fail"


def test_a_policy_is_met_by_what_this_message_proves() -> None:
    memory: Remembered[DmarcResult] = Remembered()
    author = dmarc.Author(("example.test",), 1, address="alice@example.test")
    record = Answer("ok", (b"v=DMARC1; p=reject",))
    lookup = Lookup(
        {Question("_dmarc.example.test", "TXT"): record, Question("_dmarc.test", "TXT"): Answer("nodata")}
    )

    def check(spf_: SpfResult, *dkim: DkimResult) -> str:
        return dmarc.check(author, spf_, dkim, lookup, memory=memory).result

    for _ in range(2):
        assert check(SpfResult("pass", "example.test")) == "pass"
        assert check(SpfResult("pass", "far.test")) == "fail"
        assert check(SpfResult("temperror", "example.test")) == "temperror"
        assert check(SpfResult("fail", "example.test"), DkimResult("pass", "example.test")) == "pass"
        assert check(SpfResult("fail", "example.test"), DkimResult("pass", "far.test")) == "fail"
        assert check(SpfResult("fail", "example.test"), DkimResult("fail", "example.test")) == "fail"


DOMAINS = ("a.test", "b.a.test", "c.test")
RECORDS = (
    b"v=spf1 ip4:192.0.2.0/24 -all", b"v=spf1 include:c.test ~all", b"v=spf1 a mx -all",
    b"v=spf1 redirect=a.test", b"v=spf1 exists:%{l}.c.test -all", b"v=spf1 nonsense", b"v=DMARC1; p=reject",
    b"v=DMARC1; p=none; psd=y",
    b"v=DMARC1; p=quarantine; aspf=s; np=reject", b"hello",
)  # fmt: skip
ANSWERS = st.one_of(
    st.lists(st.sampled_from(RECORDS), min_size=1, max_size=2).map(lambda found: Answer("ok", tuple(found))),
    st.sampled_from([Answer("nodata"), Answer("nxdomain"), Answer("temperror")]),
)
ADDRESSES = st.sampled_from([Answer("ok", (IP,)), Answer("ok", ("198.51.100.1",)), Answer("nxdomain")])
ZONES = st.fixed_dictionaries(
    {Question(name, "TXT"): ANSWERS for name in (*DOMAINS, *(f"_dmarc.{one}" for one in DOMAINS))}
    | {Question(name, "A"): ADDRESSES for name in DOMAINS}
)
MESSAGES = st.tuples(
    st.sampled_from(["alice", "bob"]),
    st.sampled_from(DOMAINS),
    st.sampled_from(DOMAINS),
    st.sampled_from(DOMAINS),
)


@given(st.lists(st.tuples(ZONES, st.lists(MESSAGES, max_size=4)), max_size=3))
def test_what_is_remembered_is_what_a_fresh_check_would_say(rounds: list[tuple[Zone, list[Message]]]) -> None:
    memory, clients = Memory(), Remembered[Client]()
    for zone, messages in rounds:
        for local, domain, helo, author in messages:
            request = FilterRequest("id", IP, helo, f"{local}@{domain}", (), NOW)
            letter = f"From: x@{author}\r\n\r\nhello\r\n".encode()
            header = Header(letter)
            said = [
                Sender(request, letter, header, author=dmarc.find_author(header), memory=one).check(
                    Lookup(GivenUp(zone))
                )
                for one in (memory, None)
            ]
            assert said[0] == said[1]
            names = frozenset({"mx.home.test"})
            assert client.check(
                IP, helo, ours=names, lookup=Lookup(GivenUp(zone)), memory=clients
            ) == client.check(IP, helo, ours=names, lookup=Lookup(GivenUp(zone)))
