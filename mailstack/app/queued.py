"""The queue daemon: outbound mail, retries, reports, deliveries that failed locally at first.

Signs only what mailstack itself composes; never listens on the network.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from mailstack.app.beside import go_on
from mailstack.app.containment import Containing, keep_watch
from mailstack.app.forward_watch import ForwardWatch
from mailstack.app.letters import languages
from mailstack.app.notices import QuotaNotices
from mailstack.app.outbound_tls import watching
from mailstack.app.owner_lists import keep_telling
from mailstack.app.queue_engine import Engine
from mailstack.app.queue_home import Home
from mailstack.app.queue_settle import Settler
from mailstack.app.reports import keep_reporting
from mailstack.app.spam_digest import SpamDigest
from mailstack.app.tidy import tidy
from mailstack.app.upkeep import upkeep
from mailstack.delivery.lease import Lease
from mailstack.delivery.options import QueueOptions
from mailstack.delivery.queue import Queue
from mailstack.directory import Directory
from mailstack.mailbox import MailStore
from mailstack.net.resolver import Resolver
from mailstack.net.smtp_delivery import SmtpDelivery
from mailstack.net.smtp_opening import Watch
from mailstack.state.senders import LongSenders

if TYPE_CHECKING:
    from mailstack.app.daemon import Context

#: Commits of that many attempts share their disk syncs.
THREADS = 32


async def serve(context: Context) -> None:
    """Works until the context says stop.

    Raises:
        TemporaryFailure: databases or folders cannot be used; says what to do.
    """
    config, paths = context.config, context.paths
    options = share_of(config.queue, context.workers)
    with ThreadPoolExecutor(THREADS, "queue") as threads:
        queue = Queue(paths, now=context.now, random_bytes=context.random_bytes, options=options)
        directory = Directory(paths, options=config.auth)
        store = MailStore(
            paths.mail,
            now=context.now,
            random_bytes=context.random_bytes,
            options=config.mailbox,
            trouble=lambda error: context.fatal(error.why) if error.fatal else None,
            notices=QuotaNotices(
                config.hostname, context.bus, language_of=languages(directory, config.server.language)
            ),
        )
        lease = Lease(paths, random_bytes=context.random_bytes)
        resolver = Resolver(config.dns)
        await resolver.start()
        try:
            home = Home(
                config=config,
                directory=directory,
                store=store,
                maillog=context.maillog,
                bus=context.bus,
                long_senders=LongSenders(paths.state_db, valid_days=config.srs.valid_days),
                now=context.now,
            )
            async with watching(context, resolver, home, queue) as tls:
                await _work(context, queue, home, lease=lease, resolver=resolver, threads=threads, tls=tls)
        finally:
            await resolver.close()
            store.close()
            directory.close()
            queue.close()
            lease.close()


def share_of(options: QueueOptions, processes: int) -> QueueOptions:
    """What one of several processes may do, so that all together keep to the limits."""
    most = max(1, options.max_concurrency // processes)
    return replace(
        options,
        max_deliveries=max(most, options.max_deliveries // processes),
        max_concurrency=most,
        start_concurrency=min(most, max(1, options.start_concurrency // processes)),
    )


async def _work(
    context: Context,
    queue: Queue,
    home: Home,
    *,
    lease: Lease,
    resolver: Resolver,
    threads: ThreadPoolExecutor,
    tls: Watch,
) -> None:
    smtp = SmtpDelivery(
        queue.options,
        helo=context.config.hostname,
        dns=resolver,
        chance=lambda: int.from_bytes(context.random_bytes(4), "big") / 2**32,
        watch=tls,
    )
    watch, spam = ForwardWatch(queue, home), SpamDigest(queue, home)
    containing = Containing(
        context.config,
        home.directory,
        queue,
        maillog=context.maillog,
        bus=context.bus,
        long_senders=home.long_senders,
        now=context.now,
    )
    engine = Engine(
        queue,
        context.paths,
        lease=lease,
        smtp=smtp,
        deliver_local=home.deliver,
        settler=Settler(
            queue, home, lease_owner=lease.owner, bounced=containing.bounced, settled=watch.settled
        ),
        maillog=context.maillog,
        threads=threads,
        fatal=context.fatal,
        is_keeper=context.worker == 0,
    )
    tasks: list[asyncio.Task[None]] = []
    if context.worker == 0:
        # Before anything recovered is sent.
        await asyncio.to_thread(containing.catch_up)
    await engine.prepare()
    if context.worker == 0:
        tasks = _beside(context, queue, home, containing, resolver=resolver, watch=watch, spam=spam)
    context.bus.listen(asyncio.get_running_loop(), lambda message: engine.wake())
    context.ready()
    try:
        await engine.run(context.stop)
    finally:
        for task in tasks:
            task.cancel()
        await engine.close()
        await smtp.close()
        containing.close()
        watch.close()
        spam.close()


def _beside(
    context: Context,
    queue: Queue,
    home: Home,
    containing: Containing,
    *,
    resolver: Resolver,
    watch: ForwardWatch,
    spam: SpamDigest,
) -> list[asyncio.Task[None]]:
    """What one process does beside delivering."""
    works = {
        "the look at stopped accounts": partial(keep_watch, containing),
        "reporting": partial(keep_reporting, context, home, queue, resolver),
        "tidying": partial(tidy, context),
        "telling what was not sent on": partial(
            keep_telling, context, watch.tell_lists, what="what was not sent on"
        ),
        "telling what is in Spam": partial(keep_telling, context, spam.tell, what="spam"),
        "upkeep": partial(upkeep, context, home.directory, home.store),
    }
    return [asyncio.create_task(go_on(what, work)) for what, work in works.items()]
