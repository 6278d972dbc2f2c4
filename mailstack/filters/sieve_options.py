"""Section `[sieve]`: what scripts of all accounts may do, and the operator's own.

Numbers: section 5 of the limits.
"""

from __future__ import annotations

import difflib
from typing import Literal

import msgspec

from mailstack.model.directory import Plan
from mailstack.model.errors import ConfigError
from mailstack.sieve import FREE, NORMAL, Limits

#: What `[[sieve.setting]]` may set; docs/sieve.md says what each does.
SETTINGS = frozenset(
    [
        "recipient_delimiter",
        "sieve_editheader_forbid_add",
        "sieve_editheader_forbid_delete",
        "sieve_editheader_max_header_size",
        "sieve_editheader_protected",
        "sieve_include_max_includes",
        "sieve_include_max_nesting_depth",
        "sieve_max_actions",
        "sieve_max_cpu_time",
        "sieve_max_redirects",
        "sieve_max_script_size",
        "sieve_notify_mailto_envelope_from",
        "sieve_redirect_envelope_from",
        "sieve_vacation_default_period",
        "sieve_vacation_default_subject",
        "sieve_vacation_default_subject_template",
        "sieve_vacation_dont_check_recipient",
        "sieve_vacation_max_period",
        "sieve_vacation_max_subject_codepoints",
        "sieve_vacation_min_period",
        "sieve_vacation_send_from_recipient",
        "sieve_vacation_to_header_ignore_envelope",
        "sieve_vacation_use_original_recipient",
        "sieve_variables_max_scope_size",
        "sieve_variables_max_variable_size",
    ]
)


class SieveSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[sieve.setting]]`: a setting of the engine, as Pigeonhole names it."""

    #: Such as "sieve_vacation_min_period".
    name: str
    #: Such as "1d".
    value: str

    def __post_init__(self) -> None:
        if self.name not in SETTINGS:
            near = difflib.get_close_matches(self.name, SETTINGS, 1)
            hint = f"; did you mean {near[0]}?" if near else ", see docs/sieve.md"
            raise ConfigError("sieve.setting.name", f"there is no setting {self.name!r}{hint}")


class ImapScript(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[sieve.imap]]`: a script that runs when IMAP clients store, copy or mark messages (RFC 6785)."""

    #: File with the script.
    script: str
    #: Own folders it is for, such as "Archive/*"; "*" stands for anything.
    mailbox: str = "*"
    #: What it runs after: "append", "copy" (and move), "flag".
    causes: tuple[Literal["append", "copy", "flag"], ...] = ("append", "copy", "flag")


class SieveOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[sieve]`."""

    #: File with the operator's script, which runs before anything else, also on spam; empty: none.
    before_script: str = ""
    #: Folder of scripts (NAME.sieve) that all accounts may include with `include :global`; empty: none.
    global_scripts: str = ""
    #: Messages the rules of an account send on in 24 hours; more stay in its mailbox.
    redirects_per_day: int = 500
    #: The same on the free plan.
    free_redirects_per_day: int = 50
    #: Automatic answers of an account in an hour, to all senders together.
    answers_per_hour: int = 100
    #: CPU seconds the scripts of an account may use in an hour; then its mail is kept without them.
    cpu_s_per_hour: float = 30.0
    #: Ids the `duplicate` test remembers of an account.
    duplicate_ids: int = 10_000
    #: How often the filter may die in a script before that version of it is no longer run.
    deaths: int = 2
    #: Days a script that failed stays marked in `sieve list` after its last failure.
    failure_days: int = 30
    #: Further settings, `[[sieve.setting]]` with name and value each; docs/sieve.md lists them.
    setting: tuple[SieveSetting, ...] = ()
    #: Scripts for what IMAP clients do, `[[sieve.imap]]` with a script each; the first that fits runs.
    imap: tuple[ImapScript, ...] = ()
    #: Messages that may wait for those scripts in each worker; more are left as they are.
    imap_waiting: int = 10_000

    def __post_init__(self) -> None:
        for key in ("redirects_per_day", "free_redirects_per_day", "answers_per_hour", "duplicate_ids"):
            if getattr(self, key) < 0:
                raise ConfigError(f"sieve.{key}", "want 0 or more")
        if self.imap_waiting < 1:
            raise ConfigError("sieve.imap_waiting", "want 1 or more")
        if self.cpu_s_per_hour <= 0:
            raise ConfigError("sieve.cpu_s_per_hour", "want more than 0")
        if self.deaths < 1 or self.failure_days < 1:
            raise ConfigError("sieve", "deaths and failure_days must be at least 1")

    def most_redirects(self, plan: Plan) -> int:
        """What the rules of an account of that plan may send on in 24 hours."""
        return self.free_redirects_per_day if plan == "free" else self.redirects_per_day


def limits_of(plan: Plan) -> Limits:
    """What one run of a script may cost."""
    return FREE if plan == "free" else NORMAL
