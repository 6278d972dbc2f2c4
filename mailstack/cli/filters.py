"""`mailstack filters`: the spam and advertising filters of an address."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mailstack.cli import arguments, usage
from mailstack.cli.context import Context, fail, show, talk
from mailstack.cli.directory_access import account, reader, writer
from mailstack.model.directory import Account, FilterSettings
from mailstack.model.errors import PermanentFailure
from mailstack.model.roles import JUNK

if TYPE_CHECKING:
    from mailstack.mailbox.store import Account as StoredAccount

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
    levels are separated by /; one that is not there is made.  A new or empty one for spam becomes
    what programs take for it (\\Junk), and is emptied after the same time (user set --spam-days).
    """
    context = Context.load()
    if any(value is not None for value in (spam, ads, spam_folder, promotions_folder, social_folder)):
        spam_folder, promotions_folder, social_folder = map(
            _folder, (spam_folder, promotions_folder, social_folder)
        )
        with reader(context) as known:
            owner = account(known, address)
        wanted = {
            "spam folder": spam_folder,
            "promotions folder": promotions_folder,
            "social folder": social_folder,
        }
        _check_uses(context, owner, {what: folder for what, folder in wanted.items() if folder})
        with writer(context) as directory:
            settings = directory.settings.set_filters(
                address,
                spam=None if spam is None else spam == "on",
                ads=None if ads is None else ads == "on",
                spam_folder=spam_folder,
                promotions_folder=promotions_folder,
                social_folder=social_folder,
            )
        if spam_folder:
            _make_spam(context, owner, settings.spam_folder)
        named = ((promotions_folder, settings.promotions_folder), (social_folder, settings.social_folder))
        _make_folders(context, owner, {name for given, name in named if given})
    else:
        with reader(context) as known:
            settings = account(known, address).filters
    show(settings)


def _folder(name: str | None) -> str | None:
    return None if name is None else arguments.folder(name)


def _check_uses(context: Context, owner: Account, wanted: dict[str, str]) -> None:
    """Refuses folders that have another use, whatever their name.

    Raises:
        PermanentFailure: one has.
    """
    with usage.store(context) as store:
        if not wanted or not store.exists(owner.address):
            return
        uses = {entry.name: entry.special_use for entry in store.of(owner).folders() if entry.exists}
    for what, folder in wanted.items():
        if uses.get(folder, "") not in (("", JUNK) if what == "spam folder" else ("",)):
            raise PermanentFailure(f"the {what} cannot be {folder!r}: that folder has another purpose")


def _make_folders(context: Context, owner: Account, names: set[str]) -> None:
    """Makes those that are not there: what is to be filed into a folder that is missing goes to INBOX."""
    if not names:
        return
    with usage.store(context) as store:
        mailbox = store.of(owner)
        missing = names - {entry.name for entry in mailbox.folders() if entry.exists}
        for name in sorted(missing):
            _create(mailbox, name)
        if missing:
            usage.tell_all(context, store, owner.address)


def _make_spam(context: Context, owner: Account, name: str) -> None:
    """Makes a folder the one for spam: what programs file to, and what is emptied after some days."""
    with usage.store(context) as store:
        mailbox = store.of(owner)
        entry = next((one for one in mailbox.folders() if one.exists and one.name == name), None)
        if entry is not None and entry.special_use == JUNK:
            return
        held = mailbox.status(name).messages if entry is not None else 0
        if held and name != FilterSettings().spam_folder:
            talk(
                f"warning: {name} holds {held} messages already: it is not made what programs take for spam,"
                " and nothing in it goes by itself; choose a new or an empty folder for that"
            )
            return
        if entry is None:
            _create(mailbox, name)
        mailbox.annotate(name, {"/private/specialuse": JUNK.encode("ascii")})
        usage.tell_all(context, store, owner.address)


def _create(mailbox: StoredAccount, name: str) -> None:
    from mailstack.model.mailbox import MailboxError

    try:
        mailbox.create(name)
    except MailboxError as error:
        fail(
            os.EX_DATAERR, f"the folder {name} cannot be made: {error.text}; until it is, INBOX stands for it"
        )
