"""`mailstack verify`: the whole instance looked through."""

from __future__ import annotations

import os
import time
from typing import Annotated

import typer

from mailstack.cli.context import Context, show


def command(
    repair: Annotated[bool, typer.Option("--repair", help="Put right what can be put right.")] = False,
) -> int:
    """Compares directory, queue and every mailbox with what lies on the disk.

    Exits 0 when all is well or was put right, 65 when something is left.
    """
    from mailstack.app.verify import verify

    context = Context.load()
    findings = verify(context.config, repair=repair, now=time.time, random_bytes=os.urandom)
    lines = [f"{f.where}: {f.what}{' (repaired)' if f.repaired else ''}" for f in findings]
    show(findings, "\n".join(lines) or "Everything is in order.")
    return os.EX_OK if all(f.repaired for f in findings) else os.EX_DATAERR
