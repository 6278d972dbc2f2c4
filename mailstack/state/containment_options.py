"""Section `[containment]` of the configuration: when the mail of an account looks like that of a thief."""

from __future__ import annotations

import msgspec

from mailstack.model.errors import ConfigError


class ContainmentOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[containment]` of conf/mailstack.toml.

    Each sign adds to a score; an account whose score is reached sends nothing more, and what it has in
    the queue is held, until somebody releases it ("mailstack user release ADDRESS").
    """

    #: Stop accounts that look stolen.
    enabled: bool = True
    #: Score at which an account is stopped; by default no sign but many bounces suffices alone.
    score: float = 1.0
    #: First-time recipients in an hour count from this share of the account's limit on (see [sending]).
    new_recipients_share: float = 0.5
    #: What they add then; half as much again at most, the more they are.
    new_recipients_score: float = 0.6
    #: Recipients in 24 hours that refuse for good count from this number on.
    bounces: int = 20
    #: And only when they are this share of all recipients in 24 hours.
    bounces_share: float = 0.25
    #: What they add then; twice as much at most, the more they are.
    bounces_score: float = 0.6
    #: Sending from a place (IPv4 /16, IPv6 /32) it never sent from before adds this; half as much again
    #: from three.
    networks_score: float = 0.5
    #: Seconds a place is new.
    network_new_s: float = 172_800
    #: Days an account must have sent before a new place means anything.
    network_after_days: int = 14
    #: Days a place stays known without mail from it.
    network_keep_days: int = 180
    #: Seconds after a release in which an account is not stopped again.
    grace_s: float = 86_400

    def __post_init__(self) -> None:
        for key in ("score", "network_new_s", "grace_s"):
            if getattr(self, key) <= 0:
                raise ConfigError(f"containment.{key}", "want more than 0")
        for key in ("new_recipients_share", "bounces_share"):
            if not 0 < getattr(self, key) <= 1:
                raise ConfigError(f"containment.{key}", "want a share above 0, at most 1")
        for key in ("new_recipients_score", "bounces_score", "networks_score"):
            if getattr(self, key) < 0:
                raise ConfigError(f"containment.{key}", "want 0 or more")
        if self.bounces < 1 or self.network_after_days < 0:
            raise ConfigError("containment.bounces", "want at least 1; network_after_days 0 or more")
        if self.network_keep_days <= self.network_after_days:
            raise ConfigError("containment.network_keep_days", "want more than network_after_days")
