"""`mailstack up`."""

from __future__ import annotations

from mailstack.cli import context


def command() -> int:
    """Runs all daemons under one supervisor until Ctrl-C or SIGTERM.

    Makes the instance or upgrades it first, as 'mailstack migrate' does.  A daemon that
    dies is started again within a second; connections wait for it meanwhile.  SIGHUP makes
    the daemons read the configuration again.  Run as root, it binds the ports and then
    becomes the owner of the state directory.
    """
    loaded = context.Context.load(drop=False, needs_instance=False)
    from mailstack.app import supervisor

    return supervisor.up(loaded.config, context.options.config)
