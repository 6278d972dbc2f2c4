"""`mailstack train show|rebuild|forget|domain`: what an account or a domain has taught the filter."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from mailstack.cli import usage
from mailstack.cli.context import Context, cell, fail, show
from mailstack.cli.directory_access import account, known_domain, reader
from mailstack.cli.message_file import message_files, to_wire
from mailstack.cli.progress import progress

if TYPE_CHECKING:
    from mailstack.app.feedback_rebuild import Rebuild
    from mailstack.app.lessons import LessonBook
    from mailstack.model.lessons import Label, Lesson

T = TypeVar("T")

WhoseArgument = Annotated[str, typer.Argument(metavar="ADDRESS", help="An address, or a domain.")]
Files = Annotated[list[Path] | None, typer.Option(help="Folder of messages; may be given several times.")]


def register(app: typer.Typer) -> None:
    """Adds the commands to `mailstack train`."""
    app.command("show")(show_lessons)
    app.command()(rebuild)
    app.command()(forget)
    app.command()(domain)


def show_lessons(whose: WhoseArgument) -> None:
    """Shows what an address or a domain was taught: which messages, as what, and how sure."""
    context = Context.load()
    lessons = _book(context, whose).read()
    rows = [_row(one) for one in reversed(lessons) if one.evidence != "sample"]
    lines = [
        f"{row['at']}  {row['label']:<10}  {'weak' if row['weak'] else '':<4}"
        f"  {row['author'] or '(no author)'}  {cell(row['message_id'] or '(no Message-ID)')}"
        for row in rows
    ]
    show(
        {"of": whose, "lessons": rows, "samples": _samples(lessons), "counted": _counted(lessons)},
        "\n".join([*lines, _sum(lessons)]),
    )


def rebuild(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Whose folders are read.")],
) -> None:
    """Forgets what an address taught, and learns anew from its folders.

    What lies elsewhere than the filter had filed it counts in full, as does what the filter
    never saw; the rest of Spam, Promotions and SocialNetworks counts little.  Lists of senders
    stay as they are.  The daemons must run: the filter reads the messages.
    """
    from mailstack.app.feedback_rebuild import with_lists

    context = Context.load()
    with reader(context) as directory:
        found = account(directory, address)
    book = _book(context, address)
    with usage.store(context) as store:
        usage.expect(store, found.address)  # before the book makes it a home
        with progress("reading", 0) as step, book.alone():
            before = book.read()

            async def work(run: Rebuild) -> list[Lesson]:
                made = await run.of_account(found, store)
                return await run.keep(book, with_lists(made, before))

            kept = _with_filter(context, work, step)
    counted = _counted(kept)
    had, has = _counted(before).total(), counted.total()
    _note(context, address, "rebuilt", has)
    show(
        {
            "address": str(found.address),
            "before": had,
            "lessons": has,
            "samples": _samples(kept),
            "counted": counted,
        },
        f"{found.address} had {had}, and has now {_sum(kept)}",
    )


def forget(whose: WhoseArgument) -> None:
    """Forgets what an address or a domain was taught; its lists of senders stay."""
    context = Context.load()
    book = _book(context, whose)
    before = book.read()
    if before:
        with book.alone():
            book.write([], b"")
    lessons = _counted(before).total()
    _note(context, whose, "forgotten", lessons)
    show(
        {"of": whose, "forgotten": lessons},
        f"forgotten: {_number(lessons, 'lesson')} of {whose}" if before else f"{whose} was taught nothing",
    )


def domain(
    name: Annotated[str, typer.Argument(metavar="DOMAIN", help="A domain of this server.")],
    spam: Files = None,
    ham: Files = None,
    promotions: Files = None,
    social: Files = None,
) -> None:
    """Trains the filter for all addresses of a domain with folders of messages.

    They are added to what the domain was taught before, by mail for spam traps too; 'mailstack
    train forget DOMAIN' begins anew.  The daemons must run: the filter reads the messages.
    """
    context = Context.load()
    given: list[tuple[Label, list[Path] | None]] = [
        ("spam", spam),
        ("ham", ham),
        ("promotions", promotions),
        ("social", social),
    ]
    files = [(label, file) for label, folders in given for file in message_files(folders or ())]
    if not files:
        empty = [str(folder) for _, folders in given for folder in folders or ()]
        fail(
            os.EX_USAGE,
            f"there is no message in {', '.join(empty)}"
            if empty
            else "name at least one folder with messages: --spam, --ham, --promotions or --social",
        )
    book = _book_of_domain(context, name)
    with progress("reading", len(files)) as step, book.alone():
        before = {one.id: one for one in book.read()}

        async def work(run: Rebuild) -> list[Lesson]:
            made = await run.of_messages(((label, _octets(file)) for label, file in files), now=time.time())
            lessons = before | {one.id: one for one in made}
            return await run.keep(book, sorted(lessons.values(), key=lambda one: (one.at, one.id)))

        kept = _with_filter(context, work, step)
    show(
        {"domain": name, "read": len(files), "lessons": len(kept), "counted": _counted(kept)},
        f"read {len(files)} files; {name} has now {_sum(kept)}",
    )


def _octets(file: Path) -> bytes:
    try:
        return to_wire(file.read_bytes())
    except OSError as error:
        fail(os.EX_NOINPUT, f"{file}: {error.strerror}")


def _book(context: Context, whose: str) -> LessonBook:
    """The lessons of an address or a domain that exists here."""
    from mailstack.app.lessons import LessonBook, home_of

    if "@" not in whose:
        return _book_of_domain(context, whose)
    with reader(context) as directory:
        return LessonBook(home_of(context.paths.mail, account(directory, whose).address))


def _book_of_domain(context: Context, name: str) -> LessonBook:
    from mailstack.app.lessons import LessonBook, domain_folder

    with reader(context) as directory:
        return LessonBook(domain_folder(context.paths, known_domain(directory, name).name))


def _with_filter(
    context: Context, work: Callable[[Rebuild], Coroutine[Any, Any, T]], step: Callable[[], object]
) -> T:
    """Runs something that asks the filter daemon."""
    from mailstack.app.feedback_rebuild import Rebuild
    from mailstack.app.filter_study import Away, Reader
    from mailstack.net.filter_client import FilterClient

    async def run() -> T:
        config = context.config
        client = FilterClient(context.paths.filter_socket, budget_s=config.filter.budget_s)
        try:
            octets = config.feedback.message_octets
            made = Rebuild(
                Reader(client, now=time.time, octets=octets), _in_thread, config.feedback, step=step
            )
            return await work(made)
        finally:
            await client.close()

    try:
        return asyncio.run(run())
    except Away as away:
        fail(os.EX_UNAVAILABLE, f"{away}: start mailstack, the filter daemon reads the messages")


async def _in_thread(work: Callable[[], T]) -> T:
    return await asyncio.to_thread(work)


def _note(context: Context, whose: str, what: str, lessons: int) -> None:
    """The mail log of an address says what became of its lessons."""
    import io

    from mailstack.state.maillog import MailLog

    log = MailLog(context.paths.maillog_db, daemon="cli", now=time.time, stream=io.StringIO())
    try:
        received = [whose] if "@" in whose else []
        log.write(f"lessons_{what}", received_by=received, account=whose, lessons=lessons)
    finally:
        log.close()


def _row(lesson: Lesson) -> dict[str, object]:
    return {
        "at": usage.stamp(lesson.at),
        "label": lesson.label,
        "instead_of": lesson.origin,
        "evidence": lesson.evidence,
        "weak": lesson.weight < 1,
        "author": lesson.author,
        "message_id": lesson.message_id,
        "listed": lesson.listed,
        "features": len(lesson.indexes) // 4,
    }


def _counted(lessons: list[Lesson]) -> Counter[str]:
    """Lessons by label; samples are none, nobody judged them."""
    counted = Counter(one.label for one in lessons if one.evidence != "sample")
    return Counter(dict(sorted(counted.items())))


def _samples(lessons: list[Lesson]) -> int:
    return sum(one.evidence == "sample" for one in lessons)


def _sum(lessons: list[Lesson]) -> str:
    """Such as: 3 lessons (1 ham, 2 spam)."""
    counted, samples = _counted(lessons), _samples(lessons)
    text = _number(counted.total(), "lesson")
    if counted:
        text += f" ({', '.join(f'{number} {label}' for label, number in counted.items())})"
    if samples:
        text += f"; a little beside: {_number(samples, 'wanted message')} of the INBOX"
    return text


def _number(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"
