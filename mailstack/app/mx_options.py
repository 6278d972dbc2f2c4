"""Section `[mx]` of the configuration: what port 25 remembers about its clients."""

from __future__ import annotations

import msgspec

from mailstack.model.errors import ConfigError
from mailstack.model.network import Networks
from mailstack.smtp.options import Cap


class MxOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[mx]` of conf/mailstack.toml."""

    #: Backup MX hosts and gateways, addresses or networks: looked through to who gave them the mail.
    trusted_relays: tuple[str, ...] = ()
    #: Unknown recipients of one IPv4 address or IPv6 /64 in a window; then it is put off. "off": never.
    guesses: Cap = 50
    #: Only when the unknown recipients are so many times the good ones.
    guesses_ratio: int = 5
    #: Seconds of that window, and of the time the client is put off.
    guesses_window_s: float = 3600
    #: Hits of spam traps after which the client's network (IPv4 /24, IPv6 /64) is scored.
    trap_hits: int = 3
    #: What that adds to the score, in log-odds.
    trap_weight: float = 2.0
    #: Seconds a hit counts.
    trap_s: float = 259_200
    #: Seconds wanted mail protects its network from trap scores, and its sender from greylisting.
    wanted_s: float = 2_592_000
    #: Seconds it is known which authenticated authors sent wanted mail, and to which addresses.
    heard_s: float = 15_552_000
    #: Copies of one signed message in an hour or two, by the signature alone and not by SPF, after which
    #: more of them are scored (DKIM replay). "off": any number.
    replay_copies: Cap = 200
    #: What that adds to the score, in log-odds.
    replay_weight: float = 2.0
    #: What a bounce with several recipients adds to the score: honest ones have one. In log-odds.
    bounce_recipients_weight: float = 1.5
    #: File bounces of messages we never sent as spam.
    backscatter: bool = True
    #: Bounces one rewritten (SRS) sender takes an hour, in each worker. "off": any number.
    srs_bounces_per_hour: Cap = 100
    #: Put unknown senders off once (greylisting); authenticated known senders and one-time codes never.
    greylist: bool = False
    #: Seconds a put-off sender has to wait.
    greylist_delay_s: float = 300
    #: Seconds after which a second try counts as a first one.
    greylist_window_s: float = 172_800
    #: Seconds a sender that passed is remembered after its last message.
    greylist_keep_s: float = 1_728_000

    def __post_init__(self) -> None:
        try:
            Networks(self.trusted_relays)
        except ValueError as error:
            raise ConfigError("mx.trusted_relays", str(error)) from None
        if self.trap_hits < 1 or self.guesses_ratio < 1:
            raise ConfigError("mx", "trap_hits and guesses_ratio want at least 1")
        if not self.greylist_delay_s < self.greylist_window_s <= self.greylist_keep_s:
            raise ConfigError("mx.greylist_window_s", "want delay < window <= keep")
