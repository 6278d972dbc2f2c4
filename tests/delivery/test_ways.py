"""How connections are made: what a route leaves open the section says."""

from typing import Any

import pytest

from mailstack.delivery.options import QueueOptions, Route
from mailstack.delivery.ways import Way, route_of, way_of


def way(domain: str = "x.test", *routes: Route, **options: Any) -> Way:
    made = QueueOptions(route=routes, **options)
    return way_of(route_of(domain, made), made)


LOGIN = {"login": "me", "password": "secret"}


@pytest.mark.parametrize(
    ("route", "options", "tls"),
    [
        ({}, {}, "opportunistic"),
        ({}, {"tls": "require"}, "require"),
        ({"tls": "none"}, {"tls": "require"}, "none"),
        ({"host": "h", **LOGIN}, {}, "verify"),
        ({"host": "h", "tls": "require", **LOGIN}, {}, "require"),
        ({"host": "h", "port": 465}, {}, "require"),
        ({"host": "h", "implicit_tls": True}, {"tls": "none"}, "require"),
        ({"host": "h", "port": 465}, {"tls": "verify"}, "verify"),
        ({"host": "h", "port": 465, **LOGIN}, {}, "verify"),
    ],
    ids=str,
)
def test_a_password_is_shown_to_a_verified_host_unless_a_route_says_otherwise(
    route: dict[str, Any], options: dict[str, Any], tls: str
) -> None:
    assert way("x.test", Route(domain="x.test", **route), **options).tls == tls


def test_port_465_is_tls_from_the_first_octet() -> None:
    # RFC 8314 section 7.3
    assert way("x.test", Route(domain="x.test", host="h", port=465)).is_implicit
    assert way("x.test", Route(domain="x.test", host="h", port=587, implicit_tls=True)).is_implicit
    assert not way("x.test", Route(domain="x.test", host="h", port=587)).is_implicit
    assert not way("x.test", Route(domain="x.test", port=465)).is_implicit  # of MX hosts queue.port holds


def test_the_relay_host_is_a_route_for_whatever_has_none() -> None:
    options = {"relay_host": "r.test", "relay_port": 587, "relay_login": "me", "relay_password": "x"}
    found = way("y.test", Route(domain="x.test", host="h"), **options)
    assert (found.login, found.tls, found.is_set) == ("me", "verify", True)
    assert way("x.test", Route(domain="x.test", host="h"), **options).login == ""
    assert way("y.test", relay_tls="require", **options).tls == "require"


def test_our_address_is_that_of_the_route_or_of_the_section() -> None:
    route = Route(domain="x.test", source_ipv4="192.0.2.8", helo="out8.us.test")
    found = way("x.test", route, source_ipv4="192.0.2.7", source_ipv6="2001:db8::7")
    assert (found.source("198.51.100.1"), found.source("2001:db8::99")) == ("192.0.2.8", "2001:db8::7")
    assert found.helo == "out8.us.test"
    assert not found.is_set
    assert way("y.test", route, source_ipv4="192.0.2.7").source("198.51.100.1") == "192.0.2.7"


def test_the_password_is_in_no_text_of_a_way() -> None:
    assert "secret" not in repr(way("x.test", Route(domain="x.test", host="h", **LOGIN)))  # type: ignore[arg-type]
