"""Where everything lies below the state directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Paths:
    """The files and folders of one instance; all absolute.

    Attributes:
        state: the state directory; everything but `run` lies in it.
        run: sockets and pid files; may be emptied at boot.
    """

    state: Path
    run: Path

    @property
    def directory_db(self) -> Path:
        """Domains, accounts, aliases, credentials."""
        return self.state / "directory.db"

    @property
    def state_db(self) -> Path:
        """Counters and memories that outlive a restart."""
        return self.state / "state.db"

    @property
    def maillog_db(self) -> Path:
        """The mail log of the last 20 days."""
        return self.state / "maillog.db"

    @property
    def queue(self) -> Path:
        """Folder of the outbound queue."""
        return self.state / "queue"

    @property
    def queue_db(self) -> Path:
        """Rows of the queue."""
        return self.queue / "queue.db"

    @property
    def queue_messages(self) -> Path:
        """Queued message files."""
        return self.queue / "messages"

    @property
    def queue_tmp(self) -> Path:
        """Message files that are being written; swept at start."""
        return self.queue / "tmp"

    @property
    def queue_quarantine(self) -> Path:
        """Message files nobody could read; kept 30 days."""
        return self.queue / "quarantine"

    @property
    def mail(self) -> Path:
        """Root of the account homes."""
        return self.state / "mail"

    @property
    def spool(self) -> Path:
        """Bodies in transit; same file system as `mail`."""
        return self.state / "spool"

    @property
    def secrets(self) -> Path:
        """Keys; mode 0700."""
        return self.state / "secrets"

    @property
    def master_key(self) -> Path:
        """32 random octets that encrypt what is secret in `directory_db`."""
        return self.secrets / "master.key"

    @property
    def model(self) -> Path:
        """What the classifier learned."""
        return self.state / "model"

    @property
    def filter_aside(self) -> Path:
        """Copies of messages that killed a filter worker."""
        return self.state / "filter-aside"

    @property
    def filter_socket(self) -> Path:
        """Where the filter listens."""
        return self.run / "filter.sock"

    @property
    def bus(self) -> Path:
        """Folder of the wake-up sockets."""
        return self.run / "bus"

    @property
    def pop3_logins(self) -> Path:
        """Where the workers count the POP3 sessions of each account."""
        return self.run / "pop3-logins"

    @property
    def sieve_logins(self) -> Path:
        """Where the workers count the ManageSieve sessions of each account."""
        return self.run / "sieve-logins"

    @property
    def connections(self) -> Path:
        """Where the smtp workers count the connections of each client."""
        return self.run / "connections"

    @property
    def folders(self) -> tuple[Path, ...]:
        """Every folder an instance needs, parents first."""
        return (
            self.state,
            self.queue,
            self.queue_messages,
            self.queue_tmp,
            self.queue_quarantine,
            self.mail,
            self.spool,
            self.secrets,
            self.model,
            self.filter_aside,
            self.run,
            self.bus,
        )
