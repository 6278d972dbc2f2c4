"""What systemd tells a service, and what a service tells systemd.

Sockets come as file descriptors from 3 on (LISTEN_FDS, LISTEN_FDNAMES, LISTEN_PID); the
state goes back as a datagram to NOTIFY_SOCKET.  `mailstack up` speaks both sides in the
same way, so a daemon does not know who started it.

Standards: sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, MutableMapping, Sequence

from mailstack.model.errors import ConfigError

FIRST_FD = 3
#: More than this many sockets is a mistake, not a configuration.
MAX_FDS = 256
_LISTEN = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


def notify(*lines: str, environ: Mapping[str, str] | None = None) -> bool:
    """Sends `READY=1`, `STATUS=...`, `WATCHDOG=1` to the service manager, if there is one.

    Returns:
        False when nobody asked to be told or nobody listens.
    """
    address = (os.environ if environ is None else environ).get("NOTIFY_SOCKET", "")
    if not address:
        return False
    # A leading @ stands for the zero octet of an abstract socket.
    target = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        try:
            sender.sendto("\n".join(lines).encode(), target)
        except OSError:
            return False
    return True


def parse_state(datagram: bytes) -> dict[str, str]:
    """The fields of one notification; lines that are none are left out."""
    fields = (line.partition("=") for line in datagram.decode("utf-8", "replace").split("\n"))
    return {key: value for key, equals, value in fields if equals}


def inherited_sockets(
    environ: MutableMapping[str, str] | None = None, *, pid: int | None = None
) -> dict[str, list[socket.socket]]:
    """Takes over the sockets we were started with, by name.

    The variables are removed, so that no child takes the sockets for its own.

    Args:
        environ: the environment; os.environ by default.
        pid: this process; os.getpid() by default.

    Returns:
        Name to listening sockets, not blocking; empty when there are none for us.

    Raises:
        ConfigError: the variables contradict each other or a descriptor is no socket.
    """
    environ = os.environ if environ is None else environ
    owner, count, names = (environ.pop(key, "") for key in _LISTEN)
    if not owner or owner != str(os.getpid() if pid is None else pid):
        return {}
    if not count.isascii() or not count.isdecimal() or int(count[:4]) > MAX_FDS:
        raise ConfigError("LISTEN_FDS", f"{count!r} is not a number of sockets")
    labels = names.split(":") if names else ["unknown"] * int(count)
    if len(labels) != int(count):
        raise ConfigError("LISTEN_FDNAMES", f"{len(labels)} names for {count} sockets")
    found: dict[str, list[socket.socket]] = {}
    for number, label in enumerate(labels, FIRST_FD):
        found.setdefault(label, []).append(_take(number, label))
    return found


def _take(number: int, label: str) -> socket.socket:
    try:
        taken = socket.socket(fileno=number)
        os.set_inheritable(number, False)
    except OSError as error:
        raise ConfigError("LISTEN_FDS", f"descriptor {number} ({label}): {error.strerror}") from error
    taken.setblocking(False)
    return taken


def listen_environment(sockets: Mapping[str, Sequence[socket.socket]]) -> tuple[dict[str, str], list[int]]:
    """The other side of `inherited_sockets`: what to give a child.

    Returns:
        The variables without LISTEN_PID, which only the child knows, and the descriptors
        in the order in which they must stand from 3 on.
    """
    pairs = [(name, one.fileno()) for name, many in sockets.items() for one in many]
    variables = {"LISTEN_FDS": str(len(pairs)), "LISTEN_FDNAMES": ":".join(name for name, _ in pairs)}
    return variables, [number for _, number in pairs]


def watchdog_s(environ: Mapping[str, str] | None = None, *, pid: int | None = None) -> float | None:
    """Seconds within which systemd wants a `WATCHDOG=1`; None when it does not watch us."""
    environ = os.environ if environ is None else environ
    wanted, owner = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if owner and owner != str(os.getpid() if pid is None else pid):
        return None
    if not wanted.isascii() or not wanted.isdecimal() or int(wanted[:18]) == 0:
        return None
    return int(wanted[:18]) / 1_000_000


def under_journal(descriptor: int = 2, environ: Mapping[str, str] | None = None) -> bool:
    """True when what is written to this descriptor goes to the journal."""
    wanted = (os.environ if environ is None else environ).get("JOURNAL_STREAM", "")
    if not wanted:
        return False
    try:
        state = os.fstat(descriptor)
    except OSError:
        return False
    return wanted == f"{state.st_dev}:{state.st_ino}"
