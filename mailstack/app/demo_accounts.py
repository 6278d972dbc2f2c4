"""Who lives in the throw-away instance."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from mailstack.app.config import Config
from mailstack.directory import credentials
from mailstack.directory.reader import Directory
from mailstack.directory.writer import DirectoryWriter
from mailstack.disk.durable import replace_text
from mailstack.model.address import Address

DOMAIN = "example.test"
OUTSIDE = "friend@outside.test"


@dataclass(frozen=True, slots=True)
class User:
    """An address of the demo."""

    local: str
    kind: str = "mailbox"
    plan: str = "normal"
    name: str = ""


USERS = (
    User("alice", name="Alice Example"),
    User("bob", name="Bob Example"),
    User("carol", plan="free", name="Carol Example"),
    User("printer", kind="device"),
    User("gone"),
    User("catchall", kind="catchall"),
)
ALIASES = {"sales": ("alice",), "postmaster": ("alice",), "abuse": ("alice",), "everyone": ("alice", "bob")}


def populate(file: Path, config: Config) -> dict[str, str]:
    """Makes the users at the first start; gives address to password at every start.

    Later changes, such as a removed user, stay as they are: only a first start that was
    cut off is taken up again, and passwords from before SCRAM was on get what it needs.

    Args:
        file: where the passwords are kept; once it is there, everything is.
    """
    if file.exists():
        kept: dict[str, str] = json.loads(file.read_text())
        _teach_scram(config, kept)
        return kept
    draft = file.with_suffix(".draft")
    if not draft.exists():
        made = {_at_home(user.local): credentials.generate(os.urandom) for user in USERS}
        replace_text(draft, json.dumps(made, indent=2) + "\n")
    passwords: dict[str, str] = json.loads(draft.read_text())
    _make_all(config, passwords)
    draft.rename(file)
    return passwords


def _make_all(config: Config, passwords: dict[str, str]) -> None:
    directory = Directory(config.paths, options=config.auth)
    with DirectoryWriter(config.paths, options=config.auth) as writer:
        if directory.domain(DOMAIN) is None:
            writer.domains.add(DOMAIN)
        for user in USERS:
            address = _at_home(user.local)
            if directory.find(Address.parse(address)) is None:
                password = passwords[address]
                writer.accounts.add(
                    address, password=password, kind=user.kind, plan=user.plan, name=user.name
                )
        for alias, targets in ALIASES.items():
            address = _at_home(alias)
            if directory.find(Address.parse(address)) is None:
                writer.aliases.add(address, [_at_home(target) for target in targets], posters="all")
        writer.settings.set_redirection(_at_home("gone"), [OUTSIDE], keep=False)
    directory.close()


def _teach_scram(config: Config, passwords: dict[str, str]) -> None:
    """A client that prefers SCRAM sends nothing else, and would not get into an older folder."""
    directory = Directory(config.paths, options=config.auth)
    lacking = [
        address
        for address, password in passwords.items()
        if config.auth.scram
        and not directory.verifier(address).keys
        and directory.authenticate(address, password) is not None
    ]
    directory.close()
    if lacking:
        with DirectoryWriter(config.paths, options=config.auth) as writer:
            for address in lacking:
                writer.accounts.set_password(address, passwords[address])


def _at_home(local: str) -> str:
    return f"{local}@{DOMAIN}"
