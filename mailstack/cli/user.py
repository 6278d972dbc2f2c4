"""`mailstack user`: addresses that log in or receive."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from mailstack.cli import device_report, usage, user_containment, user_sending
from mailstack.cli.context import Context, fail, group, show, talk
from mailstack.cli.directory_access import (
    account,
    check_receives,
    known_domain,
    password_from_stdin,
    reader,
    writer,
)
from mailstack.directory import autoresponder, credentials, names
from mailstack.directory.reader import Directory
from mailstack.model.directory import NO_LIMIT, Account

app = group("Addresses that log in or receive.")

Kind = Literal["mailbox", "device", "noreply", "catchall", "spamtrap"]
Plan = Literal["normal", "free"]
AddressArgument = Annotated[str, typer.Argument(metavar="ADDRESS", help="Such as alice@example.org.")]
KindOption = Annotated[
    Kind | None,
    typer.Option(
        help="mailbox (default); device: a printer or scanner, only submits; noreply: sends, refuses incoming"
        " mail; catchall: also gets mail for addresses that do not exist, one per domain; spamtrap: its mail"
        " is only learned from."
    ),
]
PlanOption = Annotated[
    Plan | None, typer.Option(help="normal (default), or free: 10 recipients a message, smaller limits.")
]
QuotaOption = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE", help="Such as 500M or 10G (powers of 1024); none: no quota; default: the plan's."
    ),
]
MessagesOption = Annotated[
    str | None,
    typer.Option(
        "--quota-messages",
        metavar="N",
        help="How many messages it may hold; none: no limit; default: the plan's.",
    ),
]
SpamDaysOption = Annotated[
    str | None,
    typer.Option("--spam-days", metavar="N", help="Messages in Spam go after N days; never; default."),
]
TrashDaysOption = Annotated[
    str | None,
    typer.Option("--trash-days", metavar="N", help="Messages in Trash go after N days; never; default."),
]
Pop3DaysOption = Annotated[
    str | None,
    typer.Option(
        "--pop3-delete-after-days",
        metavar="N",
        help="Delete what a POP3 program fetched N days ago, unless it is flagged; never (default) keeps it.",
    ),
]
EnabledOption = Annotated[
    bool | None,
    typer.Option("--enable/--disable", help="--disable suspends it: no log-in, incoming mail refused."),
]
AppOnlyOption = Annotated[
    bool | None,
    typer.Option(
        "--app-passwords-only/--any-password",
        help="Log in with app passwords only ('mailstack apppw'); or with the address's own again.",
    ),
]
GrantOption = Annotated[
    list[str] | None,
    typer.Option(metavar="SENDER", help="Let it also send as this address, or as a domain (@example.org)."),
]
RevokeOption = Annotated[list[str] | None, typer.Option(metavar="SENDER", help="Take such a grant back.")]
LanguageOption = Annotated[
    str | None,
    typer.Option(
        "--language",
        metavar="TAG",
        help="In which language its owner is written to: en, fr, de, it, es; default: the domain's.",
    ),
]
ZoneOption = Annotated[
    str | None,
    typer.Option(
        "--time-zone",
        metavar="ZONE",
        help="Where its owner lives, such as Europe/Zurich, for autoresponder and rules;"
        " default: the domain's.",
    ),
]
NameOption = Annotated[str | None, typer.Option("--name", metavar="TEXT", help="The display name.")]
RecoveryOption = Annotated[
    str | None,
    typer.Option(
        "--recovery",
        metavar="ADDRESS",
        help="Another address of its owner, for notices when the mailbox is not read; none: there is none.",
    ),
]
VacationOption = Annotated[
    str,
    typer.Option(
        "--vacation",
        metavar="NAME",
        help="Give it this 'vacation template' of its domain; 'vacation on' switches it on.",
    ),
]
PasswordOption = Annotated[
    str | None,
    typer.Option(
        "--password",
        metavar="P",
        help="The password. Other users of this machine may see it while the command runs: prefer"
        " --password-stdin.",
    ),
]
StdinOption = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from the first line of stdin.")
]
_CATCH_ALL_WARNING = (
    "warning: a catch-all also gets the spam sent to guessed addresses; postmaster@, abuse@ and"
    " removed addresses never fall to it"
)


MigratedOption = Annotated[
    bool,
    typer.Option(
        "--migrated",
        help="The mailbox comes from elsewhere: the folders for offers and social networks stay off until its"
        " owner wants them (mailstack filters ADDRESS --ads on).",
    ),
]


@app.command()
def add(
    address: AddressArgument,
    password: PasswordOption = None,
    password_stdin: StdinOption = False,
    plan: PlanOption = None,
    quota: QuotaOption = None,
    kind: KindOption = None,
    name: NameOption = None,
    vacation: VacationOption = "",
    migrated: MigratedOption = False,
) -> None:
    """Makes an address.

    Without --password or --password-stdin a password of 100 random bits is made and
    printed, once.  A password has at least 10 characters, may hold any but NUL, and is not
    one of those everybody tries.

    A new address is made by a narrower rule than the one by which mail is accepted: no
    percent sign, ampersand, exclamation mark, slash, bar or plus.  A name that belonged to
    somebody before is never given to anybody else.
    """
    kind = kind or "mailbox"
    chosen, generated = _password(password, password_stdin, needed=kind != "spamtrap")
    context = Context.load()
    check_receives(context, address)
    with writer(context) as directory, directory.transaction():
        made = directory.accounts.add(
            address,
            password=chosen,
            kind=kind,
            plan=plan or "normal",
            name=name or "",
            quota_octets=None if quota is None else names.quota_octets(quota),
        )
        if vacation:
            directory.autoresponse_templates.apply(made.address.domain, vacation, [str(made.address)])
        if migrated:
            directory.settings.offer_ads(str(made.address))
    document = _row(made)
    text = f"added {made.address}"
    if generated:
        document["password"] = chosen
        text = f"{made.address}  password: {chosen}"
    show(document, text)
    if kind == "catchall":
        talk(_CATCH_ALL_WARNING)
    if kind == "device":
        talk(f"what to type into it: mailstack device sheet {made.address}")


@app.command("list")
def list_users(
    domain: Annotated[str, typer.Argument(metavar="[DOMAIN]", help="Only this domain.")] = "",
    removed: Annotated[
        bool, typer.Option("--removed", help="List the addresses that were removed instead.")
    ] = False,
) -> None:
    """Lists addresses."""
    with reader() as directory:
        if removed:
            show(
                [
                    {"address": str(gone.address), "removed": usage.stamp(gone.removed_at)}
                    for gone in directory.removed(domain and names.new_domain(domain))
                ]
            )
            return
        domain = domain and known_domain(directory, domain).name
        show([_row(found) for found in directory.accounts(domain)])


@app.command("show")
def show_user(address: AddressArgument) -> None:
    """Shows an address: its plan and what it uses, other names, redirection, filters, scripts."""
    context = Context.load()
    with reader(context) as directory:
        found = account(directory, address)
        details = _details(directory, found) | usage.of(context, found) | device_report.of(context, found)
        show(details | user_containment.of(context, found))


@app.command("set")
def set_user(
    address: AddressArgument,
    plan: PlanOption = None,
    quota: QuotaOption = None,
    quota_messages: MessagesOption = None,
    spam_days: SpamDaysOption = None,
    trash_days: TrashDaysOption = None,
    kind: KindOption = None,
    name: NameOption = None,
    language: LanguageOption = None,
    time_zone: ZoneOption = None,
    recovery: RecoveryOption = None,
    pop3_days: Pop3DaysOption = None,
    enabled: EnabledOption = None,
    app_only: AppOnlyOption = None,
    grant: GrantOption = None,
    revoke: RevokeOption = None,
) -> None:
    """Changes an address; counts within a second.  What is not named stays as it is."""
    from mailstack.directory.accounts import UNCHANGED

    with writer() as directory, directory.transaction():
        changed = directory.accounts.set(
            address,
            kind=kind,
            plan=plan,
            name=name,
            enabled=enabled,
            quota_octets=UNCHANGED if quota is None else names.quota_octets(quota),
        )
        changed = directory.accounts.set_keeping(
            address,
            quota_messages=UNCHANGED if quota_messages is None else names.quota_messages(quota_messages),
            spam_days=UNCHANGED if spam_days is None else names.expiry_days(spam_days),
            trash_days=UNCHANGED if trash_days is None else names.expiry_days(trash_days),
        )
        if language is not None:
            changed = directory.accounts.set_language(address, language)
        if time_zone is not None:
            changed = directory.accounts.set_time_zone(address, time_zone)
        if recovery is not None:
            changed = directory.accounts.set_recovery(address, "" if recovery == "none" else recovery)
        if pop3_days is not None:
            changed = directory.accounts.set_pop3_days(address, names.days(pop3_days))
        if app_only is not None:
            changed = directory.app_passwords.require(address, app_only)
        for sender in grant or []:
            directory.accounts.grant(address, sender)
        for sender in revoke or []:
            directory.accounts.revoke(address, sender)
    show(_row(changed) | _own_settings(changed))
    if kind == "catchall":
        talk(_CATCH_ALL_WARNING)


@app.command()
def passwd(
    address: AddressArgument, password: PasswordOption = None, password_stdin: StdinOption = False
) -> None:
    """Sets a new password; makes and prints one when none is given."""
    chosen, generated = _password(password, password_stdin)
    with writer() as directory:
        changed = directory.accounts.set_password(address, chosen)
    document: dict[str, object] = {"address": str(changed.address)}
    if generated:
        document["password"] = chosen
    show(document, f"{changed.address}  password: {chosen}" if generated else f"changed {changed.address}")


@app.command()
def remove(address: AddressArgument) -> None:
    """Removes an address; 'mailstack user restore' brings it back while its mail is kept.

    Mail to it is refused from now on, also where a catch-all exists, and the name is never
    given to anybody else.
    """
    context = Context.load()
    with writer(context) as directory:
        gone = directory.accounts.remove(address)
    days = context.config.auth.restore_days
    show(
        {"removed": str(gone.address), "restore_days": days}, f"removed {gone.address}; kept for {days} days"
    )
    with reader(context) as found:
        left = [str(a.address) for a in found.aliases() if str(gone.address) in a.targets]
    if left:
        talk(f"these aliases still point at it: {', '.join(left)}")


@app.command()
def restore(address: AddressArgument) -> None:
    """Brings a removed address back with its mail, password and settings."""
    from mailstack.mailbox import maildir

    context = Context.load()
    home = maildir.account_home(context.paths.mail, names.any_address(address))
    with writer(context) as directory:
        back = directory.accounts.restore(address, has_mail=maildir.is_directory(home))
    show(_row(back), f"restored {back.address}")


@app.command("passwd-file")
def passwd_file() -> None:
    """Prints a passwd-file for a Dovecot that serves these mailboxes (conf/dovecot/).

    One line per address that reads mail: its password's hash and its home.  App passwords
    are not in it; suspended addresses, and those that take nothing else, neither.
    """
    from mailstack.mailbox import maildir

    context = Context.load()
    lines = []
    with reader(context) as directory:
        for found in directory.accounts(""):
            hash_ = directory.credential(found.id)
            may = found.enabled and not found.app_passwords_only
            if may and hash_ and found.kind in ("mailbox", "catchall", "noreply"):
                home = maildir.account_home(context.paths.mail, found.address)
                lines.append({"address": found.address.key, "hash": hash_, "home": str(home)})
    show(
        lines,
        "\n".join(f"{each['address']}:{{ARGON2ID}}{each['hash']}::::{each['home']}::" for each in lines),
    )


@app.command("import")
def import_users(
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="The file; - for stdin.", allow_dash=True)],
    vacation: VacationOption = "",
    migrated: MigratedOption = False,
) -> None:
    """Makes many addresses from a CSV file: all of them, or none.

    The first line names the columns: address, password, name, plan, quota; only address
    must be there, in any order.  Everything is checked first; when anything is wrong, each
    bad line is reported with its number, nothing is made, and the exit code is 65.  An
    empty password makes one; those are printed.
    """
    from mailstack.cli import user_import

    data = user_import.read(file)
    context = Context.load()
    with writer(context) as directory:
        made, problems = user_import.run(
            directory,
            data,
            lambda address: check_receives(context, address),
            vacation=vacation,
            migrated=migrated,
        )
    if problems:
        show({"added": 0, "errors": problems}, "")
        lines = "\n".join(f"{file}:{problem.line}: {problem.message}" for problem in problems)
        fail(
            os.EX_DATAERR, f"nothing was added; {len(problems)} bad line{'s' * (len(problems) != 1)}\n{lines}"
        )
    text = [f"{user['address']}  password: {user['password']}" for user in made if "password" in user]
    show(
        {"added": len(made), "users": made},
        "\n".join([*text, f"added {len(made)} address{'es' * (len(made) != 1)}"]),
    )


user_sending.register(app)
user_containment.register(app)


def _password(given: str | None, from_stdin: bool, *, needed: bool = True) -> tuple[str, bool]:
    """The password, and whether it was made here."""
    if given is not None and from_stdin:
        fail(os.EX_USAGE, "give either --password or --password-stdin")
    if from_stdin:
        given = password_from_stdin()
    if given is not None:
        if not given:
            fail(os.EX_DATAERR, "the password is empty")
        return given, False
    return (credentials.generate(os.urandom), True) if needed else ("", False)


def _row(found: Account) -> dict[str, object]:
    return {
        "address": str(found.address),
        "kind": found.kind,
        "plan": found.plan,
        "name": found.name,
        "quota_octets": usage.number(found.quota_octets),
        "enabled": found.enabled,
    }


def _own_settings(found: Account) -> dict[str, object]:
    """What is not left to the default: whoever set it sees it; None: no limit, or never."""
    known: dict[str, int | None] = {
        "quota_messages": found.quota_messages,
        "spam_days": found.spam_days,
        "trash_days": found.trash_days,
        "pop3_delete_after_days": found.pop3_delete_after_days,
    }
    own: dict[str, object] = {
        name: None if value in (0, NO_LIMIT) else value for name, value in known.items() if value is not None
    }
    own |= {"language": found.language} if found.language else {}
    own |= {"time_zone": found.time_zone} if found.time_zone else {}
    own |= {"recovery": found.recovery} if found.recovery else {}
    return own | ({"app_passwords_only": True} if found.app_passwords_only else {})


def _details(directory: Directory, found: Account) -> dict[str, object]:
    forward = found.redirection
    return {
        **_row(found),
        "id": found.id,
        "created": usage.stamp(found.created_at),
        "has_password": directory.credential(found.id) is not None,
        "app_passwords": [one.name for one in directory.logins.app_passwords(found.id)],
        "app_passwords_only": found.app_passwords_only,
        "other_names": directory.addresses_of(found.id)[1:],
        "language": found.language or None,
        "time_zone": found.time_zone or None,
        "recovery": found.recovery or None,
        "may_send_as": sorted(directory.identities(found.id)),
        "posts_for_lists": found.sending.is_list,
        "forward": None if forward is None else {"targets": forward.targets, "keep": forward.keep},
        "pop3_delete_after_days": found.pop3_delete_after_days,
        "filters": found.filters,
        "autoresponder": autoresponder.active_name(directory, found.id) or None,
        "scripts": [{"name": script.name, "active": script.active} for script in directory.scripts(found.id)],
    }
