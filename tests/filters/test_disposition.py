"""What is done about a DMARC failure, and how a report names what was not done."""

from __future__ import annotations

import pytest

from mailstack.filters.disposition import decide
from mailstack.model.verdict import DmarcResult

REJECT = DmarcResult("fail", "far.test", "reject", "reject", "no signature")
QUARANTINE = DmarcResult("fail", "far.test", "quarantine", "quarantine", "no signature")
TESTED = DmarcResult("fail", "far.test", "reject", "quarantine", "no signature")
TESTED_LOW = DmarcResult("fail", "far.test", "quarantine", "none", "no signature")
LIST, DETOUR = "it came through a mailing list", "it was forwarded"


@pytest.mark.parametrize(
    ("found", "mode", "is_spam", "is_definite", "detour", "applied", "override"),
    [
        (REJECT, "with-evidence", False, True, "", "reject", ""),
        (REJECT, "with-evidence", True, True, LIST, "reject", ""),
        (REJECT, "with-evidence", False, True, LIST, "quarantine", "mailing_list"),
        (REJECT, "with-evidence", False, True, DETOUR, "quarantine", "local_policy"),
        (REJECT, "with-evidence", True, False, "", "quarantine", "local_policy"),
        (REJECT, "never", True, True, "", "quarantine", "local_policy"),
        (QUARANTINE, "never", True, True, "", "quarantine", ""),
        (TESTED, "with-evidence", True, True, "", "quarantine", "policy_test_mode"),
        (TESTED_LOW, "with-evidence", True, True, "", "none", "policy_test_mode"),
        (DmarcResult("fail", "far.test", "none", "none"), "with-evidence", True, True, "", "none", ""),
        (DmarcResult("pass", "far.test", "reject", "none"), "with-evidence", True, True, "", "none", ""),
        (DmarcResult("temperror", "far.test", "reject", "none"), "with-evidence", True, True, "", "none", ""),
    ],
)
def test_less_than_the_policy_has_a_reason_that_rfc_9990_knows(
    found: DmarcResult, mode: str, is_spam: bool, is_definite: bool, detour: str, applied: str, override: str
) -> None:
    # RFC 9990 section 2.1.6
    decided = decide(found, mode=mode, is_spam=is_spam, is_definite=is_definite, detour=detour)
    assert (decided.applied, decided.override) == (applied, override)
