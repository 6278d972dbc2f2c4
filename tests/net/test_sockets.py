"""Listening sockets."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from mailstack.model.errors import ConfigError
from mailstack.net.sockets import listen_tcp, listen_unix
from tests.kit.ports import free_port


def close(sockets: list[socket.socket]) -> None:
    for one in sockets:
        one.close()


def test_the_wildcard_takes_both_families() -> None:
    port = free_port()
    bound = listen_tcp("listen.mx", [("::", port)])
    assert not bound[0].getblocking()
    for host in ("127.0.0.1", "::1"):
        socket.create_connection((host, port), timeout=5).close()
    close(bound)


def test_the_wildcards_of_both_families_may_stand_side_by_side() -> None:
    port = free_port()
    bound = listen_tcp("listen.mx", [("::", port), ("0.0.0.0", port)])
    assert len(bound) == 2
    close(bound)


def test_a_port_that_is_taken_names_its_key_and_leaves_nothing_open() -> None:
    free, taken = free_port(), socket.create_server(("127.0.0.1", 0))
    with (
        taken,
        pytest.raises(ConfigError, match=r"listen\.imap: 127\.0\.0\.1 port \d+: Address already in use"),
    ):
        listen_tcp("listen.imap", [("127.0.0.1", free), taken.getsockname()])
    close(listen_tcp("listen.imap", [("127.0.0.1", free)]))


def test_a_port_is_free_again_at_once_after_its_last_connection() -> None:
    port = free_port()
    (bound,) = listen_tcp("listen.mx", [("127.0.0.1", port)])
    client = socket.create_connection(("127.0.0.1", port))
    bound.setblocking(True)
    accepted, _ = bound.accept()
    accepted.close()
    client.close()
    bound.close()
    close(listen_tcp("listen.mx", [("127.0.0.1", port)]))


def test_an_address_of_somebody_else_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1 port 25"):
        listen_tcp("listen.mx", [("192.0.2.1", 25)])


def test_an_old_unix_socket_is_replaced_and_only_ours(tmp_path: Path) -> None:
    path = tmp_path / "filter.sock"
    listen_unix(path).close()
    with listen_unix(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_a_path_too_long_for_a_socket_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"server\.run_dir"):
        listen_unix(tmp_path / ("x" * 120))
