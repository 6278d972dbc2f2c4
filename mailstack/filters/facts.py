"""What the pipeline is told about accounts, and what it works with: passed in, never looked up."""

from __future__ import annotations

from dataclasses import dataclass, field

from mailstack.filters import virus
from mailstack.filters.authentication.sender import Memory
from mailstack.filters.classes.services import Services, shipped
from mailstack.filters.client import Client
from mailstack.filters.options import FilterOptions
from mailstack.filters.remembered import Remembered
from mailstack.filters.rules import Rules
from mailstack.filters.scripts import Step
from mailstack.filters.signs import knowledge as signs
from mailstack.filters.signs.knowledge import Knowledge
from mailstack.filters.spam.learned import Learned
from mailstack.filters.spam.model import Model
from mailstack.filters.surroundings import Nowhere, Surroundings
from mailstack.model.directory import FilterSettings, MailPolicy, Plan

_NOTHING = Learned()
_NO_POLICY = MailPolicy()


@dataclass(frozen=True, slots=True)
class DomainFacts:
    """What counts for every account of a domain.

    Attributes:
        policy: its lists, after the account's own; what it marks, and which attachments it takes.
        learned: from spam traps and the operator's folders.
    """

    policy: MailPolicy = _NO_POLICY
    learned: Learned = _NOTHING


_NO_DOMAIN = DomainFacts()


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """One local account, as far as filtering goes.

    Attributes:
        steps: its scripts, the operator's, its rules and its autoresponder.
        around: what scripts may ask for, looked up when they do; also whom the account knows.
        blocked, allowed: address keys and domains; its own lists.
        learned: what its owner taught by marking and moving mail.
        domain: what counts for all accounts of its domain.
    """

    filters: FilterSettings = field(default_factory=FilterSettings)
    plan: Plan = "normal"
    steps: tuple[Step, ...] = ()
    blocked: frozenset[str] = frozenset()
    allowed: frozenset[str] = frozenset()
    around: Surroundings = field(default_factory=Nowhere)
    learned: Learned = _NOTHING
    domain: DomainFacts = _NO_DOMAIN


@dataclass(frozen=True, slots=True)
class Tools:
    """What one worker keeps from message to message.

    Attributes:
        model: None when no weights could be loaded: then only rules score (M20).
        authserv_id: our name in Authentication-Results, lower case.
        services: social and other services the classes know.
        senders, clients: what checks of earlier messages gave.
        on_virus: what is done about viruses; "": nobody looks for them.
        knowledge: brands, hosts and phrases the signs of fraud know.
    """

    options: FilterOptions
    authserv_id: str
    model: Model | None
    rules: Rules
    services: Services = field(default_factory=shipped)
    knowledge: Knowledge = field(default_factory=signs.shipped)
    on_virus: virus.Policy = ""
    senders: Memory = field(default_factory=Memory)
    clients: Remembered[Client] = field(default_factory=Remembered)

    @property
    def names(self) -> frozenset[str]:
        """Names under which only we may write Authentication-Results."""
        return frozenset({self.authserv_id})
