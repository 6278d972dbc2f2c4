"""`mailstack migrate`."""

from __future__ import annotations

import contextlib
import os
import pwd
from pathlib import Path

from mailstack.cli.context import Context, drop_root, show, talk

#: Whom the units run as.
SERVICE_USER = "mailstack"


def command() -> None:
    """Makes the instance, or brings its databases to this version's schema.

    Creates the state directory with its folders, the master key (secrets/master.key: keep
    it in the backup, it opens the DKIM keys) and the databases, one process at a time.
    Daemons never do this; the units run it before they start.  Running it again does
    nothing.

    Run as root, a state directory that does not exist yet is given to the user "mailstack"
    if there is one.
    """
    context = Context.load(needs_instance=False)
    if os.geteuid() == 0:
        _give_away(context.paths.state)
        drop_root(context.paths.state)
    from mailstack.app.instance import prepare

    done = prepare(context.config)
    text = "\n".join(done) or "nothing to do"
    show({"state_dir": str(context.paths.state), "done": done}, text)
    if os.geteuid() == 0:
        talk(
            f"{context.paths.state} belongs to root, and no daemon runs as root: make the user"
            f" {SERVICE_USER!r} (systemd-sysusers) and give it the folder (chown -R {SERVICE_USER}:)"
        )


def _give_away(state: Path) -> None:
    """Makes a missing state directory for the service user."""
    if state.exists():
        return
    with contextlib.suppress(KeyError):
        entry = pwd.getpwnam(SERVICE_USER)
        state.mkdir(mode=0o700, parents=True)
        os.chown(state, entry.pw_uid, entry.pw_gid)
