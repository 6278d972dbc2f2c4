"""What scripts may ask about an account outside of a filter worker: memory and folders are not known."""

from __future__ import annotations

from typing import TypeVar

from mailstack.app.account_view import AccountView, OperatorScripts
from mailstack.directory import Directory
from mailstack.filters.sieve_options import SieveOptions
from mailstack.model.directory import Account

View = TypeVar("View", bound=AccountView)


def view_of(kind: type[View], account: Account, directory: Directory) -> View:
    """The account as the directory has it."""
    return kind(
        account,
        directory,
        OperatorScripts(SieveOptions()),
        seen=None,
        mail=None,
        time_zone="UTC",
        begin=lambda account_id, script, version: None,
    )
