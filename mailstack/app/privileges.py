"""What a daemon may do to the machine: not root, enough descriptors, no core files."""

from __future__ import annotations

import contextlib
import logging
import os
import pwd
import resource
import sys
from pathlib import Path

from mailstack.model.errors import ConfigError

#: LimitNOFILE of the units; 500 sessions per process need a quarter of it.
WANTED_FILES = 16_384
ENOUGH_FILES = 1_024
#: Whom the units run as.
SERVICE_USER = "mailstack"
#: Set by `mailstack demo`: a throw-away instance of root's may run as root.
ALLOW_ROOT = "MAILSTACK_ALLOW_ROOT"

_log = logging.getLogger(__name__)


def limit_resources() -> None:
    """Raises the descriptor limit as far as it goes, and lets no key end in a core file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_FILES if hard == resource.RLIM_INFINITY else min(WANTED_FILES, hard)
    # The units set both and forbid the call: then there is nothing to do.
    with contextlib.suppress(OSError, ValueError):
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files < ENOUGH_FILES:
        _log.warning("only %d file descriptors: at most %d sessions (LimitNOFILE)", files, files // 4)


def make_state(state_dir: Path) -> None:
    """Makes a missing state directory; root gives it to the service user, if there is one.

    Raises:
        OSError: it cannot be made.
    """
    if state_dir.exists():
        return
    state_dir.mkdir(mode=0o700, parents=True)
    if os.geteuid() == 0:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(SERVICE_USER)
            os.chown(state_dir, entry.pw_uid, entry.pw_gid)


def owner_of(state_dir: Path) -> tuple[int, int] | None:
    """Whom root makes sockets for: user and group; None when we are not root, or nobody is known."""
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(OSError):
        state = state_dir.stat()
        return state.st_uid, state.st_gid
    with contextlib.suppress(KeyError):
        entry = pwd.getpwnam(SERVICE_USER)
        return entry.pw_uid, entry.pw_gid
    return None


def drop(state_dir: Path) -> None:
    """Run by root, becomes the owner of the state directory, for good.

    Raises:
        ConfigError: the directory is missing, or belongs to root itself, or the new user may
            not read this Python.
    """
    if os.geteuid() != 0:
        return
    try:
        owner = state_dir.stat()
    except OSError as error:
        why = f"{state_dir}: {error.strerror}; 'mailstack migrate' makes it"
        raise ConfigError("server.state_dir", why) from error
    if owner.st_uid == 0:
        if os.environ.get(ALLOW_ROOT) == "1":
            return
        raise ConfigError(
            "server.state_dir",
            f"{state_dir} belongs to root, and mailstack does not run as root: "
            f"give it to a user of its own (chown -R mailstack {state_dir})",
        )
    try:
        os.initgroups(pwd.getpwuid(owner.st_uid).pw_name, owner.st_gid)
    except KeyError:
        os.setgroups([owner.st_gid])
    os.setresgid(owner.st_gid, owner.st_gid, owner.st_gid)
    os.setresuid(owner.st_uid, owner.st_uid, owner.st_uid)
    if why := why_no_python():
        raise ConfigError("python", why)


def why_no_python() -> str:
    """For who is not root any more, why nothing more can be imported or started; "" when it can."""
    for path, wanted in ((sys.executable, os.X_OK), (os.__file__, os.R_OK)):
        if not os.access(path, wanted):
            return (
                f"user number {os.getuid()} may not use {path}; install mailstack, and the Python it was"
                " made with, where everybody may read, not below /root or /home"
            )
    return ""
