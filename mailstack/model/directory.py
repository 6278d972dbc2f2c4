"""Domains, accounts and aliases as the rest of mailstack sees them: frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from mailstack.model.address import Address
from mailstack.model.language import Language
from mailstack.model.sending import PLAN_RULES, SendingRules

Inbound = Literal["local", "remote", "follow-mx"]
Kind = Literal["mailbox", "device", "noreply", "catchall", "spamtrap"]
Plan = Literal["normal", "free"]
#: A quota that says: no limit, whatever the default is.
NO_LIMIT = 2**63 - 1
Posters = Literal["members", "domain", "listed", "all"]
#: Local parts that take mail in every domain (RFC 5321 section 4.5.1, RFC 2142 section 2).
ALWAYS_REACHED: Final = ("postmaster", "abuse")


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain we know.

    Attributes:
        name: A-labels, lower case.
        inbound: "local": ours; "remote": relay elsewhere; "follow-mx": by its MX.
        alias_of: name of the domain whose addresses this one mirrors; "" for none.
        unknown: what happens to unknown local parts: "refuse" or "relay".
        language: of who has not chosen one; "": the server's.
        time_zone: likewise, such as "Europe/Zurich".
    """

    name: str
    inbound: Inbound = "local"
    alias_of: str = ""
    unknown: Literal["refuse", "relay"] = "refuse"
    language: Language | Literal[""] = ""
    time_zone: str = ""


@dataclass(frozen=True, slots=True)
class AttachmentRules:
    """What a domain does with attachments, by kind or `.extension`: refuse them, or file as spam."""

    refused: frozenset[str] = frozenset()
    junked: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class MailPolicy:
    """What a domain wants of the mail that comes to its addresses.

    Attributes:
        names: the domain and those that mirror it.
        blocked, allowed: senders, for all its addresses; an account's own lists go before.
        marks_outside: mail from outside gets a header field and a keyword,
        outside_prefix: and its subject this in front, on the copies stored here; "": nothing.
        inside: other domains whose mail is not from outside, here or elsewhere.
    """

    names: frozenset[str] = frozenset()
    blocked: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()
    marks_outside: bool = False
    outside_prefix: str = ""
    attachments: AttachmentRules = field(default_factory=AttachmentRules)
    inside: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class FilterSettings:
    """Per-address switches; folders are IMAP names with "/".

    Attributes:
        ads_offered: the class folders wait for the owner's word: the mailbox came from elsewhere.
    """

    spam: bool = True
    ads: bool = True
    spam_folder: str = "Spam"
    promotions_folder: str = "Promotions"
    social_folder: str = "SocialNetworks"
    ads_offered: bool = False


@dataclass(frozen=True, slots=True)
class Redirection:
    """Where a mailbox forwards to.

    Attributes:
        targets: addresses, inside or outside.
        keep: a copy stays at home.
        pending: keys of targets that have not said yet that they want the mail.
    """

    targets: tuple[str, ...]
    keep: bool = False
    pending: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Account:
    """An address that can log in or receive.

    Attributes:
        id: row id, stable for ever, never reused.
        quota_octets, quota_messages: None: the default of its plan; NO_LIMIT: no limit.
        spam_days, trash_days: when messages in Spam and Trash go; None: the default; 0: never.
        enabled: False while suspended.
        created_at: Unix seconds; 0 when not known.
        pop3_delete_after_days: what POP3 fetched so long ago is deleted; None: never.
        app_passwords_only: the password of the address itself does not log in.
        login_revision: another number once open sessions have to end.
        sending: how much it may send, where that differs from its plan.
        language: in which its owner is written to; "": the domain's.
        recovery: where its owner is reached when the mailbox is not read; "": nowhere.
        time_zone: in which its owner lives, such as "Europe/Zurich"; "": the domain's.
    """

    id: int
    address: Address
    kind: Kind = "mailbox"
    plan: Plan = "normal"
    name: str = ""
    quota_octets: int | None = None
    quota_messages: int | None = None
    spam_days: int | None = None
    trash_days: int | None = None
    enabled: bool = True
    filters: FilterSettings = field(default_factory=FilterSettings)
    redirection: Redirection | None = None
    created_at: float = 0.0
    pop3_delete_after_days: int | None = None
    app_passwords_only: bool = False
    login_revision: int = 0
    sending: SendingRules = PLAN_RULES
    language: Language | Literal[""] = ""
    recovery: str = ""
    time_zone: str = ""


@dataclass(frozen=True, slots=True)
class Alias:
    """Another name for one or more addresses; with several targets, a group.

    Attributes:
        targets: addresses, inside or outside.
        expires_at: Unix seconds; None: until removed.
        posters: who may post to it, for groups.
        listed: addresses that may post when `posters` is "listed".
        pending: keys of targets that have not said yet that they want the mail.
    """

    address: Address
    targets: tuple[str, ...]
    expires_at: float | None = None
    posters: Posters = "all"
    listed: tuple[str, ...] = ()
    pending: frozenset[str] = frozenset()

    @property
    def is_passed_on(self) -> bool:
        """True when its only target is itself: a list manager's, reached by a static route."""
        return self.targets == (str(self.address),)


@dataclass(frozen=True, slots=True)
class Gone:
    """A name that once existed and was deleted: nobody else receives its mail."""

    address: Address


class DirectoryReader(Protocol):
    """The look-ups routing and policy need; `mailstack.directory` gives them."""

    def domain(self, name: str) -> Domain | None:
        """The domain with this A-label name, also alias domains; None when unknown."""
        ...

    def find(self, address: Address) -> Account | Alias | Gone | None:
        """Exactly this address (canonical key), not its plus forms, not the catch-all."""
        ...

    def catch_all(self, domain: str) -> Account | None:
        """The domain's catch-all account."""
        ...

    def may_send_as(self, account: Account, address: Address) -> bool:
        """Own address, plus form, alias that points at it, granted identity or domain."""
        ...

    def account_by_id(self, account_id: int) -> Account | None:
        """The account, also while suspended; None once deleted."""
        ...
