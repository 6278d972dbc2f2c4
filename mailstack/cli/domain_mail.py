"""`mailstack domain mail`: what a domain wants of the mail that comes to its addresses."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from mailstack.cli.context import show
from mailstack.cli.directory_access import known_domain, reader, writer
from mailstack.model.directory import MailPolicy

Switch = Literal["on", "off"]
_KINDS = (
    "program, macros, encrypted, suspicious-archive, archive, disk-image, html, svg, onenote, office, pdf"
)


def mail(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The domain, such as example.org.")],
    mark_outside: Annotated[
        Switch | None,
        typer.Option(
            help="Mark mail from outside: the field X-Mailstack-Outside and the keyword Outside when stored."
        ),
    ] = None,
    outside_prefix: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Put this before the subject of marked mail, on copies stored here only; '' for nothing.",
        ),
    ] = None,
    inside: Annotated[
        str | None,
        typer.Option(
            metavar="DOMAINS",
            help="Other domains of your organisation, with commas: their mail is not from outside, once it"
            " is proven to be theirs; '' for none.",
        ),
    ] = None,
    refuse: Annotated[
        str | None,
        typer.Option(
            metavar="KINDS",
            help=f"Refuse mail with such attachments: {_KINDS}, or .iso and the like; '' for none.",
        ),
    ] = None,
    spam: Annotated[
        str | None,
        typer.Option(metavar="KINDS", help="File mail with such attachments as spam; '' for none."),
    ] = None,
) -> None:
    """Shows what a domain wants of mail to its addresses, or changes what is named.

    Counts for the next message.  Outside is whatever was neither sent by an address of the
    domain (or one it calls --inside) nor is proven to come from it.  Attachments are judged
    by what they are, not by their names alone; in archives too.  Mail of users of this server
    is not looked into.
    """
    changes = {"outside_prefix": outside_prefix, "inside": inside, "refused": refuse, "junked": spam}
    if mark_outside is None and all(value is None for value in changes.values()):
        with reader() as directory:
            name = known_domain(directory, name).name
            policy = directory.mail_policy(name)
    else:
        with writer() as directory:
            policy = directory.mail_policies.set(
                name, marks_outside=None if mark_outside is None else mark_outside == "on", **changes
            )
    show(_row(name, policy))


def _row(name: str, policy: MailPolicy) -> dict[str, object]:
    return {
        "domain": name,
        "mark_outside": policy.marks_outside,
        "outside_prefix": policy.outside_prefix,
        "inside": sorted(policy.inside),
        "refuse": sorted(policy.attachments.refused),
        "spam": sorted(policy.attachments.junked),
        "blocked": len(policy.blocked),
        "allowed": len(policy.allowed),
    }
