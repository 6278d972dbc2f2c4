"""Which folder is for drafts, sent mail, spam, trash and archive.

One folder per role.  A folder made under a name the role is known by, in whatever language,
takes the role over while the role has no folder, or one without a message; so what Outlook
makes for itself is what everybody uses.  A role never leaves a folder that holds mail,
unless its owner says so (SETMETADATA).  A folder that is deleted takes its role with it;
the next one made under a known name has it again.

Standards: RFC 6154.
"""

from __future__ import annotations

import sqlite3

from mailstack.mailbox.counting import use_since
from mailstack.model.mailbox import DEFAULT_FOLDERS, MailboxError
from mailstack.model.roles import ROLES, role_of_name

#: What the filter files to by itself.
_FILED = frozenset(("Spam", "Promotions", "SocialNetworks"))
#: By the name we deliver to.
_DEFAULTS = {name: role for name, role in DEFAULT_FOLDERS if role}


def holder(connection: sqlite3.Connection, role: str) -> tuple[int, str, int] | None:
    """Id, name and number of messages of the folder with this role; None: there is none."""
    row = connection.execute(
        "SELECT id, name, messages FROM folders WHERE special_use = ?", (role,)
    ).fetchone()
    return None if row is None else (int(row[0]), str(row[1]), int(row[2]))


def check(role: str) -> None:
    """Refuses what no folder can be.

    Raises:
        MailboxError: USEATTR.
    """
    if role and role not in ROLES:
        raise MailboxError("USEATTR", f"{role} is no use a folder can have here")


def take(connection: sqlite3.Connection, role: str, *, force: bool = False) -> str:
    """Takes a role from the folder that has it; gives that folder's name, "" for none.

    Args:
        force: also from a folder with messages.

    Raises:
        MailboxError: USEATTR: a folder with messages has it.
    """
    before = holder(connection, role)
    if before is None:
        return ""
    if before[2] and not force:
        raise MailboxError("USEATTR", f"the folder {before[1]} is {role} already")
    connection.execute("UPDATE folders SET special_use = '' WHERE id = ?", (before[0],))
    return before[1]


def for_new(connection: sqlite3.Connection, name: str, wanted: str, *, adopted: bool = False) -> str:
    """The role of a folder that is about to be made; takes it from where it was.

    Args:
        wanted: the role its maker asks for; "": goes by the name.
        adopted: another program made it: a role is taken from nobody.

    Raises:
        MailboxError: USEATTR.
    """
    if wanted:
        check(wanted)
        take(connection, wanted)
        return wanted
    role = role_of_name(name)
    before = holder(connection, role) if role else None
    if not role or (before is not None and (adopted or before[2])):
        return ""
    take(connection, role)
    return role


def give(connection: sqlite3.Connection, folder_id: int, role: str, *, now: int) -> str:
    """Gives a role to a folder, or with "" takes it away; gives the name of who had it before.

    Args:
        now: Unix seconds.

    Raises:
        MailboxError: USEATTR.
    """
    check(role)
    has = holder(connection, role) if role else None
    if has is not None and has[0] == folder_id:
        return ""
    lost = take(connection, role, force=True) if role else ""
    put(connection, folder_id, role, now=now)
    return lost


def put(connection: sqlite3.Connection, folder_id: int, role: str, *, now: int) -> None:
    """Notes the role of a folder that exists, and since when it has it (`since`)."""
    connection.execute("UPDATE folders SET special_use = ? WHERE id = ?", (role, folder_id))
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (use_since(folder_id), now))


def since(connection: sqlite3.Connection, folder_id: int) -> int:
    """When a folder got its role or lost it, in Unix seconds; 0: it was made with the one it has."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (use_since(folder_id),)).fetchone()
    return 0 if row is None else int(row[0])


def forget(connection: sqlite3.Connection, folder_id: int) -> None:
    """The folder is deleted."""
    connection.execute("DELETE FROM meta WHERE key = ?", (use_since(folder_id),))


def is_filed_to(name: str) -> bool:
    """True for folders nobody has to ask for: the delivery that needs one makes it anew."""
    return name in _FILED


def delivery_name(connection: sqlite3.Connection, name: str) -> str:
    """Where mail for a default folder goes: to the folder that has its role now.

    The name itself counts when there is a folder of that name with messages.
    """
    role = _DEFAULTS.get(name, "")
    there = holder(connection, role) if role else None
    if there is None or there[1] == name:
        return name
    own = connection.execute("SELECT messages FROM folders WHERE name = ?", (name,)).fetchone()
    return name if own is not None and own[0] else there[1]
