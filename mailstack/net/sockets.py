"""Listening sockets from configured endpoints."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Sequence
from pathlib import Path

from mailstack.model.errors import ConfigError

#: Connections the kernel holds for us; the system's own limit (net.core.somaxconn) still applies.
BACKLOG = 1_024


def listen_tcp(key: str, endpoints: Sequence[tuple[str, int]]) -> list[socket.socket]:
    """Binds every endpoint; "::" takes IPv4 too, unless 0.0.0.0 stands beside it.

    Args:
        key: the configuration key, for the error.
        endpoints: address (or "localhost") and port.

    Raises:
        ConfigError: an address is in use, not ours, or a port not allowed.
    """
    found: list[socket.socket] = []
    try:
        for host, port in endpoints:
            separate = ("0.0.0.0", port) in endpoints
            found.append(_listen_one(key, host, port, dual=host == "::" and not separate))
    except BaseException:
        for one in found:
            one.close()
        raise
    return found


def _listen_one(key: str, host: str, port: int, *, dual: bool) -> socket.socket:
    address = "127.0.0.1" if host == "localhost" else host
    try:
        return _bind(address, port, dual=dual)
    except OSError as error:
        if dual and error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            # A machine without IPv6.
            return _listen_one(key, "0.0.0.0", port, dual=False)
        raise ConfigError(key, f"{host} port {port}: {error.strerror or error}") from error


def _bind(address: str, port: int, *, dual: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dual else 1)
        made.bind((address, port))
        made.listen(BACKLOG)
        made.setblocking(False)
    except BaseException:
        made.close()
        raise
    return made


def listen_unix(
    path: Path, *, mode: int = 0o600, key: str = "server.run_dir", owner: tuple[int, int] | None = None
) -> socket.socket:
    """Binds a Unix stream socket; one of that name that nobody listens on is replaced.

    Args:
        key: the configuration key, for the error.
        owner: user and group it is given to; None: ours.

    Raises:
        ConfigError: it is in use, is no socket, the path is too long or the folder cannot
            be written.
    """
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        _make_way(path)
        made.bind(str(path))
        os.chmod(path, mode)
        if owner is not None:
            os.chown(path, *owner)
        made.listen(BACKLOG)
        made.setblocking(False)
    except OSError as error:
        made.close()
        raise ConfigError(key, f"{path}: {error.strerror or error}") from error
    return made


def _make_way(path: Path) -> None:
    """Removes what a killed process left behind; raises OSError when it is something else."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, "is there already and is no socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
            probe.setblocking(False)
            found = probe.connect_ex(str(path))
        if found in (0, errno.EAGAIN):
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        path.unlink()
