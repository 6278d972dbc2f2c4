"""`mailstack filters`: the spam and advertising filters of an address."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from mailstack.cli.context import show
from mailstack.cli.directory_access import account, reader, writer

Switch = Literal["on", "off"]


def command(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Whose filters.")],
    spam: Annotated[Switch | None, typer.Option(help="File spam into the spam folder.")] = None,
    ads: Annotated[
        Switch | None,
        typer.Option(help="File newsletters and offers, and social networks, into folders of their own."),
    ] = None,
    spam_folder: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Where spam goes (default: Spam).")
    ] = None,
    promotions_folder: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Where offers go (default: Promotions).")
    ] = None,
    social_folder: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Where social networks go (default: SocialNetworks)."),
    ] = None,
) -> None:
    """Shows the filters of an address, or changes those that are named.

    Counts for the next message.  A filter that is off leaves mail in INBOX, with the score
    still in its header.  ads_offered says that the mailbox came from elsewhere and nobody has
    said yet whether advertising is to be filed; --ads on or off does.

    A folder may be any but INBOX, Sent, Drafts, Archive and Trash, by whatever name they go;
    levels are separated by /.
    """
    if any(value is not None for value in (spam, ads, spam_folder, promotions_folder, social_folder)):
        with writer() as directory:
            settings = directory.settings.set_filters(
                address,
                spam=None if spam is None else spam == "on",
                ads=None if ads is None else ads == "on",
                spam_folder=spam_folder,
                promotions_folder=promotions_folder,
                social_folder=social_folder,
            )
    else:
        with reader() as directory:
            settings = account(directory, address).filters
    show(settings)
