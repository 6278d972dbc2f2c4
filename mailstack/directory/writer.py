"""The write side, for the command line and for what daemons learn (blocked senders).

Every change is one transaction with `synchronous=FULL`; running daemons see it with their
next question.  What is not allowed is refused with a sentence for people.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from mailstack.directory.accounts import Accounts
from mailstack.directory.aliases import Aliases
from mailstack.directory.app_passwords import AppPasswords
from mailstack.directory.autoresponder import Autoresponders
from mailstack.directory.autoresponse_templates import AutoresponseTemplates
from mailstack.directory.confirmations import Confirmations
from mailstack.directory.devices import Devices
from mailstack.directory.domains import Domains
from mailstack.directory.key_rotation import KeyRotation
from mailstack.directory.mail_policies import MailPolicies
from mailstack.directory.options import AuthOptions
from mailstack.directory.rules import Rules
from mailstack.directory.schema import SCHEMA
from mailstack.directory.scripts import Scripts
from mailstack.directory.sending import Sending
from mailstack.directory.session import Session
from mailstack.directory.settings import Settings
from mailstack.directory.srs_secrets import SrsSecrets
from mailstack.directory.values import DirectoryPaths, locate
from mailstack.disk import migrations
from mailstack.disk.sqlite import open_database


class DirectoryWriter:
    """Changes the directory.  For one thread at a time.

    Attributes:
        domains, key_rotation, accounts, aliases, settings, mail_policies, confirmations, scripts,
            rules, sending, app_passwords, srs_secrets, autoresponders, autoresponse_templates: the
            changes, by what they change.
    """

    def __init__(
        self,
        paths: Path | DirectoryPaths,
        *,
        options: AuthOptions | None = None,
        now: Callable[[], float] = time.time,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """Opens the database for writing; it must have been migrated.

        Raises:
            TemporaryFailure: it cannot be opened, or its schema is not this program's.
        """
        database, master_key = locate(paths)
        self._connection = open_database(database, synchronous="FULL")
        try:
            migrations.check(self._connection, SCHEMA)
        except BaseException:
            self._connection.close()
            raise
        self._session = Session(
            self._connection,
            master_key=master_key,
            now=now,
            random_bytes=random_bytes,
            options=options or AuthOptions(),
        )
        self.domains = Domains(self._session)
        self.key_rotation = KeyRotation(self._session)
        self.accounts = Accounts(self._session)
        self.aliases = Aliases(self._session)
        self.settings = Settings(self._session)
        self.mail_policies = MailPolicies(self._session)
        self.confirmations = Confirmations(self._session, self.settings)
        self.scripts = Scripts(self._session)
        self.rules = Rules(self._session)
        self.autoresponders = Autoresponders(self._session)
        self.autoresponse_templates = AutoresponseTemplates(self._session)
        self.devices = Devices(self._session)
        self.app_passwords = AppPasswords(self._session)
        self.sending = Sending(self._session)
        self.srs_secrets = SrsSecrets(self._session)

    def __enter__(self) -> DirectoryWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Releases the database."""
        self._connection.close()

    def transaction(self) -> AbstractContextManager[sqlite3.Cursor]:
        """Several changes as one: all or none."""
        return self._session.transaction()

    def has_sealed_secrets(self) -> bool:
        """Whether anything in the database needs the master key."""
        found = self._connection.execute(
            "SELECT 1 FROM dkim_key UNION ALL SELECT 1 FROM srs_secret"
            " UNION ALL SELECT 1 FROM app_password LIMIT 1"
        ).fetchone()
        return found is not None
