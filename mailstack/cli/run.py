"""`mailstack run smtp|filter|queue|imap`: what the units call."""

from __future__ import annotations

import os

from mailstack.cli import context


def command(daemon: str) -> int:
    """Runs one daemon until SIGTERM: smtp, filter, queue or imap.

    It takes the sockets it was started with (LISTEN_FDS) or binds those of the
    configuration, and starts its workers again when they die.  SIGHUP makes it read the
    configuration again; a broken one is reported and the old one stays.
    """
    from mailstack.app import daemon as daemons
    from mailstack.app.config import load_config

    if daemon not in daemons.ROLES:
        context.fail(os.EX_USAGE, f"there is no daemon {daemon!r}; there are {', '.join(daemons.ROLES)}")
    loaded = context.Context.load(drop=False, needs_instance=False)
    return daemons.run(daemon, loaded.config, reload=lambda: load_config(context.options.config))
