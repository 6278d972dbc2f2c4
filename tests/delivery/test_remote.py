"""Which hosts take the mail of a domain."""

import itertools
from collections.abc import Mapping
from typing import Any

import pytest

from mailstack.delivery.options import QueueOptions, Route
from mailstack.delivery.remote import Hosts, NoHost, Self, find_hosts, next_hop
from mailstack.model.dns import Answer, Lookup, NeedLookup, Question

Zone = Mapping[str, Any]
OWN = "192.0.2.99"
US = "mail.us.test"


def answer(zone: Zone, question: Question) -> Answer:
    """A zone is {"name": {"MX": [...]}}; a string in place of a list is a status."""
    if question.name not in zone:
        return Answer("nxdomain")
    records = zone[question.name].get(question.kind, "nodata")
    secure = bool(zone[question.name].get("signed"))
    return (
        Answer(records, secure=secure)
        if isinstance(records, str)
        else Answer("ok", tuple(records), secure=secure)
    )


def find(domain: str, zone: Zone, **options: Any) -> list[str] | str:
    """Names and addresses, or the reply."""
    found = find_all(domain, zone, **options)
    if isinstance(found, NoHost):
        return str(found.reply)
    return [f"{host}:{host.port}" for host in found.hosts]


def find_names(domain: str, zone: Zone) -> list[str]:
    return [str(host).rpartition(":")[0] for host in find(domain, zone)]


def find_all(domain: str, zone: Zone, **options: Any) -> Hosts | NoHost:
    known: dict[Question, Answer] = {}
    chances = itertools.cycle([0.9, 0.1, 0.5])
    me = Self({US}, lambda ip: ip == OWN, lambda: next(chances))
    for _ in range(10):
        lookup = Lookup(known)
        try:
            found = find_hosts(domain, lookup, QueueOptions(**options), me)
        except NeedLookup:
            known.update({question: answer(zone, question) for question in lookup.wanted})
            continue
        return found
    raise AssertionError("asks for ever")


MX = {
    "x.test": {"MX": [(20, "b.x.test"), (10, "a.x.test")]},
    "a.x.test": {"A": ["192.0.2.1"], "AAAA": ["2001:db8::1"]},
    "b.x.test": {"A": ["192.0.2.2"]},
}


def test_mx_hosts_are_tried_best_first_ipv6_and_ipv4_in_turn() -> None:
    assert find("x.test", MX) == [
        "a.x.test[2001:db8::1]:25",
        "a.x.test[192.0.2.1]:25",
        "b.x.test[192.0.2.2]:25",
    ]


def test_hosts_of_equal_preference_are_shuffled() -> None:
    # RFC 5321 section 5.1
    zone = {
        "x.test": {"MX": [(10, "a.test"), (10, "b.test"), (10, "c.test")]},
        **{f"{n}.test": {"A": [f"192.0.2.{i}"]} for i, n in enumerate("abc", 1)},
    }
    found = find("x.test", zone)
    assert isinstance(found, list)
    assert [h[0] for h in found] == ["b", "c", "a"]


def test_a_domain_without_mx_is_its_own_host() -> None:
    assert find("x.test", {"x.test": {"A": ["192.0.2.1"]}}) == ["x.test[192.0.2.1]:25"]


def test_a_domain_with_mx_never_uses_its_own_address() -> None:
    # RFC 5321 section 5.1: MX present, none usable
    zone = {"x.test": {"MX": [(10, "gone.test")], "A": ["192.0.2.1"]}}
    assert str(find("x.test", zone)).startswith("550 5.4.4")


@pytest.mark.parametrize(
    ("zone", "reply"),
    [
        ({}, "550 5.1.2 "),
        ({"x.test": {"MX": "temperror"}}, "451 4.4.3 "),
        ({"x.test": {"MX": "nodata", "A": "temperror"}}, "451 4.4.3 "),
        ({"x.test": {}}, "550 5.4.4 "),
        ({"x.test": {"MX": [(0, "")], "A": ["192.0.2.1"]}}, "556 5.1.10 "),
        ({"x.test": {"MX": [(10, "m.test")]}, "m.test": {"A": "temperror"}}, "451 4.4.3 "),
    ],
    ids=["nxdomain", "mx temperror", "a temperror", "nothing", "null mx", "host temperror"],
)
def test_what_dns_says_decides_between_later_and_never(zone: Zone, reply: str) -> None:
    # D3, D12
    assert str(find("x.test", zone)).startswith(reply)


def test_one_host_without_answer_does_not_hide_the_others() -> None:
    zone = {**MX, "a.x.test": {"A": "temperror", "AAAA": "temperror"}}
    assert find("x.test", zone) == ["b.x.test[192.0.2.2]:25"]


def test_a_null_mx_beside_others_is_ignored() -> None:
    zone = {"x.test": {"MX": [(0, ""), (10, "b.x.test")]}, "b.x.test": {"A": ["192.0.2.2"]}}
    assert find("x.test", zone) == ["b.x.test[192.0.2.2]:25"]


# -- loops


def test_hosts_as_far_away_as_we_are_are_left_out() -> None:
    # Q11
    zone = {
        "x.test": {"MX": [(5, "a.test"), (10, US), (10, "c.test"), (20, "d.test")]},
        "a.test": {"A": ["192.0.2.1"]},
        "c.test": {"A": ["192.0.2.3"]},
        "d.test": {"A": ["192.0.2.4"]},
    }
    assert find("x.test", zone) == ["a.test[192.0.2.1]:25"]


def test_mail_that_leads_back_to_us_is_a_loop() -> None:
    zone = {"x.test": {"MX": [(10, US)]}, US: {"A": [OWN]}}
    assert str(find("x.test", zone)).startswith("554 5.4.6 ")


@pytest.mark.parametrize("name", ["other.test", "x.test"])
def test_our_own_address_under_another_name_is_a_loop_too(name: str) -> None:
    zone = {"x.test": {"MX": [(10, name)]}, name: {"A": [OWN], "MX": [(10, name)]}}
    assert str(find("x.test", zone)).startswith("554 5.4.6 ")


def test_better_hosts_before_our_own_address_are_kept() -> None:
    zone = {
        "x.test": {"MX": [(5, "a.test"), (10, "us2.test"), (10, "c.test"), (20, "d.test")]},
        "a.test": {"A": ["192.0.2.1"]},
        "us2.test": {"A": [OWN]},
        "c.test": {"A": ["192.0.2.3"]},
        "d.test": {"A": ["192.0.2.4"]},
    }
    assert find("x.test", zone) == ["a.test[192.0.2.1]:25"]


@pytest.mark.parametrize(
    "ip",
    ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "0.0.0.0", "0.1.2.3", "::", "224.0.0.1", "fe80::1"],
)
def test_addresses_that_are_nobodys_are_skipped(ip: str) -> None:
    # D13
    kind = "AAAA" if ":" in ip else "A"
    zone = {
        "x.test": {"MX": [(10, "m.test"), (20, "n.test")]},
        "m.test": {kind: [ip]},
        "n.test": {"A": ["192.0.2.1"]},
    }
    assert find("x.test", zone) == ["n.test[192.0.2.1]:25"]
    assert str(find("m.test", zone)).startswith("550 5.4.4 ")


@pytest.mark.parametrize(
    "ip",
    [
        *("10.0.0.1", "172.31.0.1", "192.168.1.1", "100.64.0.1", "fd00::1", "fec0::1", "64:ff9b::a00:1"),
        *("2002:a00:1::", "2002:7f00:1::", "64:ff9b::7f00:1", "::ffff:192.168.0.1"),
    ],
)
def test_private_networks_are_reached_only_when_the_operator_says_so(ip: str) -> None:
    # D13: whoever can name an MX host must not choose a server of our own network
    zone = {"x.test": {"MX": [(10, "m.test")]}, "m.test": {"AAAA" if ":" in ip else "A": [ip]}}
    assert str(find("x.test", zone)).startswith("550 5.4.4 ")
    assert ip in str(find("x.test", zone))
    is_loopback = "127" in ip or "7f00" in ip
    found = find("x.test", zone, allow_private=True, allow_loopback=True)
    assert found == [f"m.test[{ip}]:25"]
    assert (find("x.test", zone, allow_private=True) == found) is not is_loopback


def test_mail_may_leave_by_one_version_of_ip_only() -> None:
    assert find("x.test", MX, ip_version="ipv4") == ["a.x.test[192.0.2.1]:25", "b.x.test[192.0.2.2]:25"]
    assert find("x.test", MX, ip_version="ipv6") == ["a.x.test[2001:db8::1]:25"]
    route = Route(domain="x.test", ip_version="both")
    assert find("x.test", MX, ip_version="ipv6", route=(route,)) == find("x.test", MX)


def test_a_route_without_host_leaves_the_way_to_dns() -> None:
    route = Route(domain="x.test", tls="verify", source_ipv4="192.0.2.200")
    found = find_all("x.test", MX, route=(route,))
    assert isinstance(found, Hosts)
    assert [str(host) for host in found.hosts] == find_names("x.test", MX)
    assert (found.way.tls, found.way.source("192.0.2.1"), found.is_secure) == (
        "verify",
        "192.0.2.200",
        False,
    )
    assert next_hop("x.test", QueueOptions(route=(route,))) == "x.test"


def test_loopback_may_be_allowed_for_tests() -> None:
    zone = {"x.test": {"MX": [(10, "m.test")]}, "m.test": {"A": ["127.0.0.1"]}}
    assert find("x.test", zone, allow_loopback=True, port=2525) == ["m.test[127.0.0.1]:2525"]


def test_an_mx_record_that_names_an_address_is_no_host() -> None:
    # D13
    assert str(find("x.test", {"x.test": {"MX": [(10, "192.0.2.1")]}})).startswith("550 5.4.4 ")


# -- bounds


def test_a_thousand_mx_hosts_are_five_addresses() -> None:
    # D14
    zone = {
        "x.test": {"MX": [(n, f"m{n}.test") for n in range(1000)]},
        **{f"m{n}.test": {"A": [f"192.0.2.{n}" for n in range(1, 50)]} for n in range(1000)},
    }
    found = find("x.test", zone)
    assert len(found) == 5
    assert {str(h).partition("[")[0] for h in found} == {"m0.test"}


def test_five_ipv6_addresses_leave_room_for_an_ipv4_one() -> None:
    # Q12: IPv6 may be unroutable
    zone = {
        "x.test": {"MX": [(10, "a.test"), (20, "b.test")]},
        "a.test": {"AAAA": [f"2001:db8::{n}" for n in range(1, 9)]},
        "b.test": {"A": ["192.0.2.1"]},
    }
    found = find("x.test", zone)
    assert len(found) == 5
    assert found[-1] == "b.test[192.0.2.1]:25"


# -- routes


ROUTES = (Route(domain="Y.test", host="127.0.0.1", port=2525), Route(domain="*", host="gate.test"))


def test_a_route_wins_over_mx_and_may_be_on_loopback() -> None:
    assert find("y.test", {}, route=ROUTES) == ["127.0.0.1[127.0.0.1]:2525"]


def test_the_star_takes_every_other_domain_and_its_host_is_looked_up() -> None:
    zone = {**MX, "gate.test": {"A": [OWN], "AAAA": ["::1"]}}
    assert find("x.test", zone, route=ROUTES) == ["gate.test[::1]:25", f"gate.test[{OWN}]:25"]


def test_the_relay_host_takes_what_has_no_route() -> None:
    zone = {"relay.test": {"A": ["192.0.2.7"]}}
    options = {"relay_host": "relay.test", "relay_port": 587, "route": ROUTES[:1]}
    assert find("x.test", zone, **options) == ["relay.test[192.0.2.7]:587"]
    assert find("y.test", zone, **options) == ["127.0.0.1[127.0.0.1]:2525"]


@pytest.mark.parametrize("zone", [{}, {"gate.test": {"A": "temperror"}}])
def test_a_route_that_is_not_found_is_our_trouble_and_never_bounces(zone: Zone) -> None:
    assert str(find("x.test", zone, route=ROUTES)).startswith("451 4.4.3 ")


@pytest.mark.parametrize("domain", ["[192.0.2.5]", "[IPv6:2001:db8::5]"])
def test_a_literal_is_its_own_host(domain: str) -> None:
    found = find(domain, {})
    assert isinstance(found, list)
    assert len(found) == 1


@pytest.mark.parametrize("domain", ["[127.0.0.1]", f"[{OWN}]", "[nonsense]", "["])
def test_a_literal_that_is_us_or_nobody_is_refused(domain: str) -> None:
    assert str(find(domain, {})).startswith("550 5.4.4 ")


def test_connections_are_counted_by_where_they_lead() -> None:
    assert next_hop("y.test", QueueOptions(route=ROUTES)) == "127.0.0.1:2525"
    assert next_hop("x.test", QueueOptions(route=ROUTES[:1])) == "x.test"
    assert next_hop("x.test", QueueOptions(relay_host="r.test")) == "r.test:25"


# -- who can be trusted, and what is spoken


@pytest.mark.parametrize(
    ("zone", "options", "is_secure"),
    [
        ({**MX, "x.test": {**MX["x.test"], "signed": True}}, {}, True),
        (MX, {}, False),
        ({"x.test": {"A": ["192.0.2.1"], "signed": True}}, {}, True),
        ({"x.test": {"A": ["192.0.2.1"]}}, {}, False),
        ({}, {"route": (Route(domain="x.test", host="192.0.2.7"),)}, True),
        ({}, {"relay_host": "192.0.2.7"}, True),
    ],
    ids=["signed MX", "unsigned MX", "signed, no MX", "unsigned, no MX", "route", "relay"],
)
def test_names_are_safe_by_dnssec_or_by_the_operators_word(
    zone: Zone, options: dict[str, Any], is_secure: bool
) -> None:
    # RFC 8689 section 4.2.1
    found = find_all("x.test", zone, **options)
    assert isinstance(found, Hosts)
    assert found.is_secure is is_secure


@pytest.mark.parametrize(
    ("host", "protocol", "is_here", "shown"),
    [
        ("127.0.0.1", "lmtp", True, "127.0.0.1[127.0.0.1]"),
        ("::1", "lmtp", True, "::1[::1]"),
        ("192.0.2.7", "lmtp", False, "192.0.2.7[192.0.2.7]"),
        ("127.0.0.1", "smtp", False, "127.0.0.1[127.0.0.1]"),
        ("unix:/run/lists/lmtp.sock", "lmtp", True, "unix:/run/lists/lmtp.sock"),
    ],
)
def test_a_route_may_lead_to_a_mail_store_on_this_machine(
    host: str, protocol: Any, is_here: bool, shown: str
) -> None:
    found = find_all("x.test", {}, route=(Route(domain="x.test", host=host, port=24, protocol=protocol),))
    assert isinstance(found, Hosts)
    (one,) = found.hosts
    assert (one.protocol, one.is_here, str(one)) == (protocol, is_here, shown)


@pytest.mark.parametrize(
    ("own", "protocol", "wanted"),
    [("", "lmtp", "opportunistic"), ("require", "lmtp", "require"), ("", "smtp", "verify")],
)
def test_the_sections_tls_is_for_what_leaves_this_machine(own: Any, protocol: Any, wanted: str) -> None:
    route = Route(domain="x.test", host="127.0.0.1", port=24, protocol=protocol, tls=own)
    found = find_all("x.test", {}, route=(route,), tls="verify")
    assert isinstance(found, Hosts)
    assert found.way.tls == wanted
