"""What the smtp daemon is started with, in the test's own process."""

from __future__ import annotations

import asyncio
import io
import os
import socket
from collections.abc import Mapping

from mailstack.app.config import Config
from mailstack.app.daemon import Context
from mailstack.net.bus import Bus
from mailstack.state.maillog import MailLog


def smtp_context(config: Config, sockets: Mapping[str, list[socket.socket]]) -> tuple[Context, io.StringIO]:
    """A context over the folders of `config`, and the lines of its mail log."""
    log = io.StringIO()
    context = Context(
        config=config,
        paths=config.paths,
        role="smtp",
        worker=0,
        workers=1,
        sockets=dict(sockets),
        now=lambda: 1_763_776_800.0,
        random_bytes=os.urandom,
        stop=asyncio.Event(),
        maillog=MailLog(None, daemon="smtp", now=lambda: 0.0, stream=log, stamped=False),
        bus=Bus(config.paths.run, "smtp"),
    )
    return context, log
