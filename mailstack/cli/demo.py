"""`mailstack demo`: a throw-away instance to try."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from mailstack.cli import context


def command(
    folder: Annotated[
        str, typer.Option("--dir", metavar="DIR", help="Folder of the instance; made when it is missing.")
    ],
    port_base: Annotated[int, typer.Option(help="Added to each well-known port: 25 becomes 20025.")] = 20_000,
    dns: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Resolver to ask instead of the system's.")
    ] = "",
    outside: Annotated[
        str,
        typer.Option(
            metavar="HOST:PORT", help="Where mail for other domains goes; DIR/outside/ if not given."
        ),
    ] = "",
    limits: Annotated[
        bool, typer.Option("--limits", help="Keep connection counts, rates and delays.")
    ] = False,
) -> int:
    """Makes (or reuses) a mail service for example.test in DIR and runs it until Ctrl-C.

    It listens on the loopback addresses only: MX, submission, IMAP, each on its well-known
    port plus --port-base.  When it is ready, DIR/demo.json tells programs what they need,
    and ten lines tell people what to try.  A second start keeps accounts, passwords, mail.
    """
    from mailstack.app import demo

    if not folder:
        context.fail(os.EX_USAGE, "--dir wants a folder")
    options = demo.Options(Path(folder).absolute(), port_base, dns, outside, limits)
    return demo.run(options, say=lambda line: print(line, flush=True), talk=context.talk)  # noqa: T201
