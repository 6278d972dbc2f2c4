"""DNS block lists: what counts as a listing, and what never does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.filters.block_lists import BlockList, check, questions
from mailstack.model.dns import Answer, Lookup, Question
from mailstack.model.errors import ConfigError
from mailstack.model.verdict import Reason
from tests.kit.lookups import resolve, resolve_counted

IP = "192.0.2.99"
NAME = "99.2.0.192.bl.example"
SIX = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.example"
PLAIN = BlockList(zone="bl.example")


def look(records: Any, *lists: BlockList, ip: str = IP, most: float = 6.0) -> tuple[Reason, ...]:
    table = {NAME: {"A": records}} if records is not None else {}
    return resolve(lambda lookup: check(ip, lists or (PLAIN,), lookup, max_weight=most), table)


def test_a_listing_adds_the_weight_of_its_list() -> None:
    (reason,) = look(["127.0.0.2"])
    assert (reason.name, reason.weight) == ("listed_bl.example", 2.0)
    assert reason.why == "bl.example lists 192.0.2.99 (127.0.0.2)"


@pytest.mark.parametrize("records", [None, [], "TIMEOUT", "SERVFAIL"], ids=str)
def test_no_listing_and_no_answer_say_nothing(records: object) -> None:
    # P13: a list that is down weakens the filter and nothing else
    assert look(records) == ()


@pytest.mark.parametrize(
    "records",
    [
        ["127.255.255.252"],
        ["127.255.255.254"],
        ["127.255.255.255"],
        ["127.0.0.1"],
        ["203.0.113.80"],
        ["127.0.0.2", "127.255.255.254"],
    ],
    ids=str,
)
def test_an_error_is_no_listing(records: list[str]) -> None:
    (reason,) = look(records)
    assert (reason.name, reason.weight) == ("list_error", 0.0)
    assert "an error, no listing" in reason.why


def test_each_answer_may_mean_something_else() -> None:
    zen = BlockList(
        zone="bl.example", answers={"127.0.0.2": 3.0, "127.0.0.4-127.0.0.7": 2.5, "127.0.0.10/31": 1.0}
    )
    assert [r.weight for r in look(["127.0.0.2"], zen)] == [3.0]
    assert [r.weight for r in look(["127.0.0.6"], zen)] == [2.5]
    assert [r.weight for r in look(["127.0.0.11", "127.0.0.5"], zen)] == [2.5]
    assert look(["127.0.0.9"], zen) == ()


def test_an_allow_list_takes_weight_off() -> None:
    good = BlockList(zone="bl.example", name="dnswl", weight=1.5, allows=True)
    (reason,) = look(["127.0.10.3"], good)
    assert (reason.name, reason.weight) == ("good_dnswl", -1.5)


def test_all_lists_together_weigh_no_more_than_is_configured() -> None:
    lists = [BlockList(zone=f"l{n}.example", weight=3.0) for n in range(10)]
    table: dict[str, dict[str, Any]] = {f"99.2.0.192.l{n}.example": {"A": ["127.0.0.2"]} for n in range(10)}
    found, asked = resolve_counted(lambda lookup: check(IP, lists, lookup, max_weight=6.0), table)
    assert len(found) == len(asked) == 10
    assert sum(reason.weight for reason in found) == pytest.approx(6.0, abs=0.01)


def test_ipv6_is_asked_in_nibbles_where_a_list_knows_it() -> None:
    # RFC 5782 section 2.4
    only_4 = BlockList(zone="four.example", ipv6=False)
    assert questions("2001:db8::1", [PLAIN, only_4]) == [(PLAIN, SIX)]
    assert [name for _, name in questions(IP, [PLAIN, only_4])] == [NAME, "99.2.0.192.four.example"]


@pytest.mark.parametrize("ip", ["", "127.0.0.1", "10.0.0.1", "fe80::1", "not an address"])
def test_inside_addresses_are_not_asked_for(ip: str) -> None:
    assert questions(ip, [PLAIN]) == []


def test_a_key_in_the_zone_stays_secret() -> None:
    keyed = BlockList(zone="sEcReT.bl.example", name="zen")
    table: dict[str, dict[str, Any]] = {"99.2.0.192.secret.bl.example": {"A": ["127.0.0.2"]}}
    (reason,) = resolve(lambda lookup: check(IP, [keyed], lookup, max_weight=6), table)
    assert "secret" not in f"{reason.name}{reason.why}".lower()


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ({"zone": "not a zone"}, "zone"),
        ({"weight": 21.0}, "weight"),
        ({"weight": -1.0}, "weight"),
        ({"answers": {"127.0.0.x": 1.0}}, "answers"),
        ({"answers": {"127.0.0.2": 100.0}}, "answers"),
    ],
    ids=str,
)
def test_what_cannot_work_is_refused(more: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as error:
        BlockList(**({"zone": "bl.example"} | more))
    assert error.value.key == f"filter.block_list.{key}"


@given(st.lists(st.one_of(st.text(), st.binary(), st.integers(), st.none(), st.ip_addresses().map(str))))
def test_whatever_a_server_answers_the_weight_stays_in_bounds(records: list[object]) -> None:
    known = {Question(NAME, "A"): Answer("ok", tuple(records))}
    found = check(IP, [PLAIN], Lookup(known), max_weight=1.0)
    assert abs(sum(reason.weight for reason in found)) <= 1.0
