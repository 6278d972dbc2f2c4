"""Section [queue]."""

import pytest

from mailstack.delivery.options import QueueOptions, Route
from mailstack.model.errors import ConfigError


def test_the_defaults_are_those_of_the_limits() -> None:
    options = QueueOptions()
    assert (options.first_wait_s, options.max_wait_s, options.jitter_percent) == (300, 4000, 10)
    assert (options.give_up_after_s, options.bounce_give_up_after_s) == (5 * 86_400, 2 * 86_400)
    assert (options.start_concurrency, options.max_concurrency, options.max_deliveries) == (2, 10, 100)
    assert (options.connect_timeout_s, options.command_timeout_s, options.data_timeout_s) == (30, 300, 120)
    assert (options.block_timeout_s, options.end_timeout_s, options.quit_timeout_s) == (180, 600, 10)
    assert (options.messages_per_session, options.max_addresses, options.max_sessions) == (20, 5, 2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"first_wait_s": 0},
        {"first_wait_s": 10, "max_wait_s": 5},
        {"give_up_after_s": 1},
        {"jitter_percent": 51},
        {"jitter_percent": -1},
        {"start_concurrency": 0},
        {"start_concurrency": 11},
        {"max_concurrency": 101},
        {"max_recipients": 0},
        {"max_addresses": 0},
        {"lease_s": 0},
        {"max_messages": -1},
        {"port": 0},
        {"relay_port": 65536},
        {"relay_login": "me"},
        {"relay_login": "me", "relay_password": "x", "relay_tls": "none"},
        {"source_ipv4": "::1"},
        {"public_ips": ("here",)},
        {"relay_host": "smtp.provider.example:587"},
        {"relay_host": "[smtp.provider.example]"},
        {"relay_host": "https://smtp.provider.example"},
        {"route": (Route(domain="a.test", tls="verify"), Route(domain="A.test", host="h"))},
    ],
    ids=str,
)
def test_what_cannot_work_is_refused_by_its_key(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as error:
        QueueOptions(**wrong)  # type: ignore[arg-type]
    assert error.value.key.startswith("queue.")


@pytest.mark.parametrize(
    "wrong",
    [
        {"domain": "no domain", "host": "h"},
        {"domain": "a.test", "host": "a b"},
        {"domain": "a.test", "host": "unix:x"},
        {"domain": "a.test", "host": "mail.a.test:26"},
        {"domain": "*.a.test", "host": "h"},
        {"domain": "a.test", "host": "h", "port": 0},
        {"domain": "a.test", "host": "h", "login": "me"},
        {"domain": "a.test", "host": "h", "login": "me", "password": "a\0b"},
        {"domain": "a.test", "host": "h", "login": "me", "password": "x", "tls": "opportunistic"},
        {"domain": "a.test", "login": "me", "password": "x"},
        {"domain": "a.test", "implicit_tls": True},
        {"domain": "a.test", "protocol": "lmtp"},
        {"domain": "a.test", "host": "h", "implicit_tls": True, "tls": "none"},
        {"domain": "a.test", "source_ipv4": "2001:db8::1"},
        {"domain": "a.test", "source_ipv6": "192.0.2.1"},
        {"domain": "a.test", "source_ipv6": "everywhere"},
        {"domain": "a.test", "helo": "no name"},
    ],
    ids=str,
)
def test_a_route_that_leads_nowhere_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Route(**wrong)  # type: ignore[arg-type]


def test_addresses_and_sockets_are_hosts() -> None:
    for host in ("192.0.2.1", "2001:db8::1", "mx.a.test", "unix:/run/lists/lmtp.sock"):
        assert Route(domain="a.test", host=host).host == host


def test_who_writes_a_port_into_a_host_is_told_where_it_goes() -> None:
    with pytest.raises(ConfigError, match=r"the port goes into queue\.relay_port"):
        QueueOptions(relay_host="smtp.provider.example:587")
    with pytest.raises(ConfigError, match=r"the port goes into queue\.route\.port"):
        Route(domain="a.test", host="[192.0.2.1]:26")
