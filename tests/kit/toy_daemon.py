"""A daemon with nothing but the life of one: `python -m tests.kit.toy_daemon CONFIG ROLE`.

One word per line and connection: pid, parent, slow (answers after a second), hang (the
loop stands still), raise, return, config, fatal, forever (ignores the stop).  "begins WORD" is
printed once one that takes its time is under way.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from mailstack.app import daemon, workers
from mailstack.app.config import load_config
from mailstack.app.daemon import Context
from mailstack.model.errors import ConfigError, TemporaryFailure

SLOW_S = 1.0


async def serve(context: Context) -> None:
    """Answers until told to stop, and finishes what it began."""
    if os.environ.get("TOY_FAILS") == "config":
        raise ConfigError("toy.key", "never right")
    ends = asyncio.Event()
    busy: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        busy.add(task)
        word = (await reader.readline()).decode().strip()
        writer.write(f"{await say(word)}\n".encode())
        await writer.drain()
        writer.close()
        busy.discard(task)

    async def say(word: str) -> object:
        if word in ("slow", "forever", "hang"):
            print(f"begins {word}", file=sys.stderr, flush=True)
        if word == "slow":
            await asyncio.sleep(SLOW_S)
        elif word == "forever":
            await asyncio.sleep(600)
        elif word == "hang":
            time.sleep(600)
        elif word == "return":
            ends.set()
        elif word == "raise":
            broken.set()
        elif word == "fatal":
            await asyncio.to_thread(context.fatal, "fsync said EIO")
        elif word == "parent":
            return os.getppid()
        elif word == "uid":
            return os.getuid()
        elif word == "config":
            return context.config.smtp.errors
        elif word == "stray":
            asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        return os.getpid()

    broken = asyncio.Event()
    listening = context.sockets["mx"] if "mx" in context.sockets else context.sockets["imap"]
    servers = [await asyncio.start_server(answer, sock=one) for one in listening]
    context.report_children([1000 + context.worker])
    context.ready()
    waits = [asyncio.ensure_future(event.wait()) for event in (context.stop, ends, broken)]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for server in servers:
        server.close()
    if broken.is_set():
        raise ZeroDivisionError("the toy is broken")
    while busy:
        await asyncio.wait(set(busy))


def main() -> None:
    """Runs it as `mailstack run` would."""
    file, role = Path(sys.argv[1]), sys.argv[2]
    workers.LOCK_WAIT_S = float(os.environ.get("TOY_LOCK_WAIT_S", workers.LOCK_WAIT_S))
    if "TOY_SILENT_S" in os.environ:
        workers.SILENT_S = float(os.environ["TOY_SILENT_S"])
        workers.KILL_GRACE_S = 1.0
    daemon.PING_S = min(daemon.PING_S, workers.SILENT_S / 4)
    try:
        status = daemon.run(role, load_config(file), serve=serve, reload=lambda: load_config(file))
    except ConfigError as error:
        print(error, file=sys.stderr)
        status = os.EX_CONFIG
    except TemporaryFailure as error:
        print(error.why, file=sys.stderr)
        status = os.EX_TEMPFAIL
    sys.exit(status)


if __name__ == "__main__":
    main()
