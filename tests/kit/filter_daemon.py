"""A filter server with real workers on a socket of its own, in this process.

async with running(tmp_path, dns, workers=1) as daemon:
    answer = await daemon.ask(ip="203.0.113.1")
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from mailstack.app.filter_aside import AsideFolder
from mailstack.app.filter_steps import Setup
from mailstack.app.filterd import FilterServer
from mailstack.filters.options import FilterOptions
from mailstack.model.verdict import FilterAnswer, FilterRecipient, FilterRequest
from mailstack.net.clamd import Clamd
from mailstack.net.clamd_options import ClamdOptions
from mailstack.net.dns_options import DnsOptions
from mailstack.net.filter_client import FilterClient
from mailstack.net.resolver import Resolver
from tests.kit.dns_server import DnsServer
from tests.kit.instance import Instance
from tests.kit.loops import until

ZONE: dict[str, dict[str, Any]] = {
    "example.net": {"TXT": ["v=spf1 ip4:192.0.2.1 -all"], "A": ["192.0.2.1"]},
    "_dmarc.example.net": {"TXT": ["v=DMARC1; p=reject"]},
    "slow.test": {"TXT": "TIMEOUT"},
}
MESSAGE = b"From: Alice <alice@example.net>\r\nSubject: lunch\r\n\r\nAre you free for lunch?\r\n"


def request(**changes: object) -> FilterRequest:
    fields: dict[str, object] = {
        "accept_id": "id",
        "ip": "192.0.2.1",
        "helo": "h.test",
        "sender": "alice@example.net",
        "recipients": (FilterRecipient(1, 1, "bob@home.test", "bob@home.test"),),
        "received_at": 1_800_000_000.0,
        "message": MESSAGE,
    }
    return FilterRequest(**(fields | changes))  # type: ignore[arg-type]


class Daemon:
    """A filter server on a socket of its own."""

    def __init__(
        self,
        folder: Path,
        options: FilterOptions,
        dns: str,
        instance: Instance | None = None,
        clamd: ClamdOptions | None = None,
        dns_try_s: float = 3.0,
    ) -> None:
        self.path = folder / "filter.sock"
        self.resolver = Resolver(DnsOptions(servers=(dns,), try_s=dns_try_s))
        self.reported: list[list[int]] = []
        setup = Setup(options, "mx.home.test")
        if instance is not None:
            paths = instance.config.paths
            setup = msgspec.structs.replace(
                setup, directory=str(paths.directory_db), state=str(paths.state_db), mail=str(paths.mail)
            )
        if clamd is not None:
            setup = msgspec.structs.replace(setup, on_virus=clamd.on_virus)
        self.aside = AsideFolder(folder / "aside", messages=10, octets=10_000_000)
        (folder / "aside").mkdir()
        self.server = FilterServer(
            setup,
            self.resolver,
            report=self.reported.append,
            aside=self.aside,
            clamd=Clamd(clamd) if clamd is not None else None,
        )
        self.client = FilterClient(self.path, budget_s=options.budget_s)

    async def start(self) -> None:
        await self.resolver.start()
        await self.server.pool.start()
        loop = asyncio.get_running_loop()
        self.listener = await loop.create_unix_server(self.server.connection, self.path)
        await until(lambda: self.idle_workers() == self.server._setup.options.workers)

    async def stop(self) -> None:
        self.listener.close()
        await self.client.close()
        await self.server.stop()
        await self.resolver.close()

    def idle_workers(self) -> int:
        return sum(1 for w in self.server.pool.workers if not w.job and not w.is_retired)

    def worker_pids(self) -> list[int]:
        return [w.pid for w in self.server.pool.workers]

    async def ask(self, **changes: object) -> FilterAnswer:
        return await self.client.ask(request(**changes))


@contextlib.asynccontextmanager
async def running(
    folder: Path,
    dns: DnsServer,
    instance: Instance | None = None,
    clamd: ClamdOptions | None = None,
    dns_try_s: float = 3.0,
    **options: object,
) -> AsyncIterator[Daemon]:
    daemon = Daemon(folder, FilterOptions(**options), dns.address, instance, clamd, dns_try_s)  # type: ignore[arg-type]
    await daemon.start()
    try:
        yield daemon
    finally:
        await daemon.stop()
