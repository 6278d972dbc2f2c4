"""`mailstack list`: senders an address, or a whole domain, blocks or allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mailstack.cli.context import Context, group, show, talk
from mailstack.cli.directory_access import account, known_domain, reader, writer

if TYPE_CHECKING:
    from mailstack.directory import Directory

app = group("Senders an address, or a whole domain, blocks or allows.")

WhoseArgument = Annotated[
    str, typer.Argument(metavar="WHOSE", help="Whose list: an address; with --domain a domain.")
]
PatternArgument = Annotated[
    str,
    typer.Argument(
        metavar="PATTERN",
        help="A sender's address, or a whole domain with what is below it (example.org, *@example.org).",
    ),
]
DomainOption = Annotated[
    bool, typer.Option("--domain", help="WHOSE is a domain: the list counts for all its addresses.")
]


@app.command()
def block(whose: WhoseArgument, pattern: PatternArgument, domain: DomainOption = False) -> None:
    """Files the mail of a sender into the spam folder, whatever it is.

    Of several entries the most particular one counts: an address before its domain, a
    sub-domain before what is above it.  An address's own lists go before those of its domain.
    """
    _add(whose, pattern, "block", is_domain=domain)


@app.command()
def allow(whose: WhoseArgument, pattern: PatternArgument, domain: DomainOption = False) -> None:
    """Lets a sender past the spam filter, when it is proven to be that sender.

    The message must be authenticated for the sender's domain (DMARC, or aligned SPF or
    DKIM); otherwise anybody could use the name.  Your own addresses need no entry.
    """
    _add(whose, pattern, "allow", is_domain=domain)


@app.command("show")
def show_lists(whose: WhoseArgument, domain: DomainOption = False) -> None:
    """Shows both lists of an address, or of a domain."""
    with reader() as directory:
        if domain:
            name = known_domain(directory, whose).name
            policy = directory.mail_policy(name)
            owner, found = {"domain": name}, (policy.blocked, policy.allowed)
        else:
            one = account(directory, whose)
            lists = directory.sender_lists(one.id)
            owner, found = {"address": str(one.address)}, (lists.blocked, lists.allowed)
    block, allow = sorted(found[0]), sorted(found[1])
    lines = [f"block  {pattern}" for pattern in block] + [f"allow  {pattern}" for pattern in allow]
    show({**owner, "block": block, "allow": allow}, "\n".join(lines))
    if not lines:
        talk(f"{whose} neither blocks nor allows anybody")


@app.command()
def remove(whose: WhoseArgument, pattern: PatternArgument, domain: DomainOption = False) -> None:
    """Takes a sender from the list it is in."""
    with writer() as directory:
        if domain:
            stored = directory.mail_policies.unlist_sender(whose, pattern)
        else:
            stored = directory.settings.unlist_sender(whose, pattern)
    show({"domain" if domain else "address": whose, "removed": stored}, f"removed {stored}")


@app.command()
def check(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Who gets the mail.")],
    sender: Annotated[str, typer.Argument(metavar="SENDER", help="The author's address.")],
) -> None:
    """Shows what an address thinks of a sender: which list decides, and how well it knows them.

    Whom it has written to, and whose wanted mail came on several days, is no stranger, when
    the message is proven to be theirs.
    """
    from mailstack.directory.names import any_address
    from mailstack.filters import lists
    from mailstack.state import sender_history
    from mailstack.state.memory import Seen

    context = Context.load()
    author = any_address(sender).key
    with reader(context) as directory:
        found = account(directory, address)
        own, policy = directory.sender_lists(found.id), directory.mail_policy(found.address.domain)
    decides = lists.decide(author, author, (own.blocked, own.allowed), (policy.blocked, policy.allowed))
    seen = Seen(context.paths.state_db)
    try:
        knows = seen.is_correspondent(found.id, author)
        here, days = seen.heard(found.id, sender_history.name(author))
    finally:
        seen.close()
    show(
        {
            "address": str(found.address),
            "sender": author,
            "list": decides.kind or None,
            "because": decides.why if decides.kind else None,
            "written_to": knows,
            "wanted_days": days,
            "wanted_days_here": here,
        }
    )


def _add(whose: str, pattern: str, kind: str, *, is_domain: bool) -> None:
    with writer() as directory:
        if is_domain:
            listed = directory.mail_policies.list_sender(whose, pattern, kind=kind)
        else:
            listed = directory.settings.list_sender(whose, pattern, kind=kind)
    with reader() as known:
        warning = _warning(known, whose, listed.pattern, kind)
    moved = f" (no longer in the {listed.moved_from} list)" if listed.moved_from else ""
    show(
        {
            "domain" if is_domain else "address": whose,
            "list": kind,
            "pattern": listed.pattern,
            "moved_from": listed.moved_from or None,
            "warning": warning or None,
        },
        f"{kind}: {listed.pattern}{moved}",
    )
    if warning:
        talk(f"warning: {warning}")


def _warning(directory: Directory, whose: str, pattern: str, kind: str) -> str:
    """What is wrong with an entry about oneself; "" when it is about somebody else."""
    own_domain = whose.rpartition("@")[2].lower()
    if pattern.rpartition("@")[2] != own_domain and not own_domain.endswith(f".{pattern}"):
        return ""
    if "@" in pattern and "@" in whose:
        owner = account(directory, whose)
        if pattern not in {text.lower() for text in directory.addresses_of(owner.id)}:
            return ""
    if kind == "block":
        return (
            f"{pattern} covers your own address: mail from outside that comes in your name is filed as spam"
        )
    return (
        f"{pattern} covers your own address: forgers like to write as you to yourself; it counts only for"
        " mail that is proven to be yours, which is let in anyway"
    )
