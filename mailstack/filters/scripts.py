"""Which scripts run for an account's copy, in which order, and what ends what.

    before    the operator's script; runs on everything
    rules     made in a page, kept as data; a second text of those marked "also for spam"
    script    the owner's own
    reply     the autoresponder

They run one after the other over one result: what one decided stands when the next begins.
`stop` ends rules and script; in the operator's script it ends the reply too.  A step that
fails keeps the mail and ends rules and script, but not what was decided before it; the
operator's, when it fails, is as if it were not there.

Source: product page, section 2.8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

StepKind = Literal["before", "rules", "script", "reply"]
#: Names of the steps that rules made in a page come to.
RULES, RULES_FOR_SPAM = "rules", "rules for spam"
#: Which mail a step runs for: what goes to Spam, or the rest.
MailKind = Literal["ham", "spam", "all"]


@dataclass(frozen=True, slots=True)
class Step:
    """One script of several.

    Attributes:
        name: for errors and the log: "before", "rules", "rules for spam", "script main", "autoresponder".
        source: Sieve.
        mail: which mail it runs for.
    """

    name: str
    source: bytes
    kind: StepKind
    mail: MailKind = "ham"


def steps_for(steps: Sequence[Step], *, is_spam: bool) -> list[Step]:
    """Those that run for a message, in their order."""
    wanted = ("spam", "all") if is_spam else ("ham", "all")
    order = ("before", "rules", "script", "reply")
    return sorted((step for step in steps if step.mail in wanted), key=lambda step: order.index(step.kind))
