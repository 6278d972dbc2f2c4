"""What scripts decide for an account: their order, what ends what, what they may ask and send."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from mailstack.filters.case import Case
from mailstack.filters.edits import View
from mailstack.filters.rules import RuleResult, Rules
from mailstack.filters.scripts import Step
from mailstack.filters.sieve_options import SieveOptions, SieveSetting
from mailstack.filters.surroundings import Nowhere
from mailstack.model.errors import ConfigError
from mailstack.model.verdict import (
    Authentication,
    DiscardMail,
    DmarcResult,
    FileInto,
    FilterRecipient,
    FilterRequest,
    Keep,
    MessageVerdict,
    Redirect,
    RejectMail,
    SendMail,
    SpfResult,
)

NOW = 1_700_000_000.0
MINE = "bob@home.test"
OWN = b"Authentication-Results: mx.home.test; spf=pass\r\nX-Spam-Score: 0.100\r\n"
MAIL = (
    b"From: Alice <alice@far.test>\r\nTo: bob@home.test\r\nSubject: Hello\r\n"
    b"Message-ID: <1@far.test>\r\nDKIM-Signature: v=1; d=far.test\r\n\r\nHow are you?\r\n"
)
VACATION = b'require "vacation"; vacation "I am away";'


class Folders:
    """Two folders and one annotation."""

    def exists(self, name: str) -> bool:
        return name in ("INBOX", "Lists", "Bin")

    def create(self, name: str) -> bool:
        return self.exists(name)

    def special_use(self, name: str) -> Sequence[str]:
        return ["\\Trash"] if name in ("", "Bin") else []

    def get_metadata(self, name: str, entry: str) -> str | None:
        return "blue" if (name, entry) == ("Lists", "/private/color") else None

    def by_id(self, id_: str) -> str | None:
        return "Lists" if id_ == "F1" else None

    def close(self) -> None:
        pass

    def by_use(self, use: str) -> str | None:
        return "Bin" if use.lower() == "\\trash" else None


class Around(Nowhere):
    """Bob's account."""

    def __init__(self) -> None:
        self.folders = Folders()
        self.addresses = (MINE, "robert@home.test")
        self.scripts: dict[tuple[str, str], bytes] = {}
        self.known: set[str] = set()
        self.used_cpu_s = 0.0
        self.died = 0
        self.begun: list[str] = []

    def may_send_as(self, address: str) -> bool:
        return address.lower() in self.addresses

    def script(self, name: str, location: str) -> bytes | None:
        return self.scripts.get((name, location))

    def seen(self, id_: str, *, since: float) -> bool:
        return id_ in self.known

    def is_correspondent(self, address: str) -> bool:
        return address == "alice@far.test"

    def cpu_s(self, *, since: float) -> float:
        return self.used_cpu_s

    def deaths(self, script: str, version: bytes) -> int:
        return self.died

    def begin(self, script: str, version: bytes) -> None:
        self.begun.append(script)

    def offset_s(self, at: float) -> int:
        return 7_200


def case(sender: str = "alice@far.test", **changes: Any) -> Case:
    recipient = FilterRecipient(1, 7, MINE, MINE)
    request = FilterRequest("a1", "192.0.2.1", "mx.far.test", sender, (recipient,), NOW)
    verdict = MessageVerdict(score=0.25, authentication=Authentication(spf=SpfResult("pass", "far.test")))
    made = Case(request, recipient, verdict, around=Around(), author="alice@far.test")
    return dataclasses.replace(made, **changes)


def run(
    *steps: Step | bytes, message: bytes = MAIL, options: SieveOptions | None = None, **changes: Any
) -> RuleResult:
    """Runs steps; octets are the owner's script."""
    made = [s if isinstance(s, Step) else Step("script main", s, "script") for s in steps]
    rules = Rules(hostname="mx.home.test", options=options)
    wanted = changes.pop("case", None) or case(**changes)
    return rules.run(made, lambda: View(OWN + message, OWN, len(message)), wanted)


def before(source: bytes) -> Step:
    return Step("before", source, "before", "all")


def rules(source: bytes) -> Step:
    return Step("rules", source, "rules")


def reply(source: bytes = VACATION) -> Step:
    return Step("autoresponder", source, "reply")


FILE_A = b'require "fileinto"; fileinto "A";'
FILE_B = b'require "fileinto"; fileinto "B";'


def test_included_scripts_are_limited_together_and_compiling_is_watched() -> None:
    # V14: a script that takes seconds to compile must not end one filter worker after the other
    found = case()
    assert isinstance(found.around, Around)
    found.around.scripts = {(f"s{n}", "personal"): b"#" + b"x" * 200_000 for n in range(3)}
    source = b'require "include"; include "s0"; include "s1";'
    assert run(source, case=found).failed is None
    failed = run(source + b'include "s2";', case=found).failed
    assert failed is not None
    assert "more than 524288 octets together" in failed.why
    assert found.around.begun == ["script main", "script main"]


# -- order ------------------------------------------------------------------------------


def test_steps_run_in_their_order_over_one_result() -> None:
    result = run(FILE_B, rules(FILE_A), before(b'require "fileinto"; fileinto "O";'))
    assert [a.mailbox for a in result.actions if isinstance(a, FileInto)] == ["O", "A", "B"]
    assert not result.implicit_keep


def test_stop_in_a_rule_ends_the_script_but_not_the_autoresponder() -> None:
    result = run(rules(FILE_A + b"stop;"), FILE_B, reply())
    assert [type(a) for a in result.actions] == [FileInto, SendMail]


def test_stop_in_the_operators_script_ends_everything() -> None:
    result = run(before(b"discard; stop;"), rules(FILE_A), FILE_B, reply())
    assert result.actions == (DiscardMail(),)


def test_on_spam_only_what_is_marked_for_it_runs() -> None:
    marked = Step("rules", FILE_A, "rules", "spam")
    result = run(before(b"keep;"), rules(FILE_B), marked, VACATION, reply(), is_spam=True)
    assert [type(a) for a in result.actions] == [Keep, FileInto]
    assert result.actions[1] == FileInto("A")


def test_a_failing_script_keeps_the_mail_and_what_was_decided_before() -> None:  # V13, V14
    result = run(rules(FILE_A), b'require "variables"; discard; redirect "${x}";', reply())
    assert [type(a) for a in result.actions] == [FileInto, SendMail]
    assert result.implicit_keep
    assert result.failed is not None and result.failed.script == "script main"
    assert "line 1" in result.error


def test_a_failing_rule_ends_the_script_but_not_the_operators() -> None:
    result = run(before(b'require "nonsense";'), FILE_B)
    assert result.actions == (FileInto("B"),)
    assert result.failed is None and result.error.startswith("before: line 1")
    result = run(rules(b'require "nonsense";'), FILE_B)
    assert result.actions == () and result.implicit_keep


def test_the_autoresponder_never_changes_what_becomes_of_the_message() -> None:
    result = run(reply(b"discard; nonsense"))
    assert result.actions == () and result.error
    result = run(FILE_A, reply(b'require "vacation"; discard; vacation "away";'))
    assert [type(a) for a in result.actions] == [FileInto, SendMail]


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (b'require "reject"; reject "no";', "refuses"),
        (VACATION, "answers already"),
        (b"discard;", "throws"),
    ],
)
def test_the_autoresponder_is_silent_after(script: bytes, why: str) -> None:
    result = run(script, reply())
    assert any(why in note for note in result.notes)
    assert sum(isinstance(a, SendMail) for a in result.actions) == (1 if script is VACATION else 0)


# -- automatic answers ------------------------------------------------------------------


def answers(result: RuleResult) -> list[SendMail]:
    return [a for a in result.actions if isinstance(a, SendMail)]


def test_an_answer_is_composed_and_claims_its_memory() -> None:
    (sent,) = answers(run(VACATION))
    assert sent.recipients == ("alice@far.test",) and sent.envelope_from == ""
    assert b"\r\nAuto-Submitted: auto-replied" in sent.message
    assert sent.claim is not None
    assert (sent.claim.who, sent.claim.period_s) == ("alice@far.test", 604_800)


def test_the_memory_goes_by_the_handle_and_not_by_aliases() -> None:
    script = b'require "vacation"; vacation :handle "x" "%s";'
    first, second = answers(run(script % b"a"))[0].claim, answers(run(script % b"b"))[0].claim
    assert first == second and first is not None and first.handle == "x"
    other = case()
    assert isinstance(other.around, Around)
    other.around.addresses = (MINE,)
    assert answers(run(VACATION, case=other))[0].claim == answers(run(VACATION))[0].claim


def test_an_answer_to_an_alias_is_given() -> None:
    to_alias = MAIL.replace(b"To: bob@", b"To: robert@")
    assert answers(run(VACATION, message=to_alias))
    assert not answers(run(VACATION, message=MAIL.replace(b"To: bob@", b"To: other@")))


def failed_dmarc() -> MessageVerdict:
    return MessageVerdict(authentication=Authentication(dmarc=DmarcResult("fail")))


def signed_only() -> MessageVerdict:
    return MessageVerdict(authentication=Authentication(dmarc=DmarcResult("pass")))


@pytest.mark.parametrize(
    "silent",
    [
        {"sender": ""},
        {"sender": MINE},
        {"sender": "mailer-daemon@far.test"},
        {"message": b"List-Id: <l.far.test>\r\n" + MAIL},
        {"message": b"Auto-Submitted: auto-generated\r\n" + MAIL},
        {"message": b"Precedence: bulk\r\n" + MAIL},
        {"is_spam": True},
        {"klass": "promotions"},
        {"klass": "social"},
        {"verdict": failed_dmarc()},
        {"verdict": signed_only(), "sender": "victim@elsewhere.test"},
        {"verdict": MessageVerdict(authentication=Authentication(spf=SpfResult("softfail")))},
        {"recipient": FilterRecipient(1, 7, MINE, "nobody@home.test", catch_all=True)},
    ],
)
@pytest.mark.parametrize("step", [VACATION, reply()])
def test_nobody_is_answered(silent: dict[str, Any], step: Step | bytes) -> None:  # V6
    result = run(step, **silent)
    assert not answers(result)
    assert result.implicit_keep


def test_a_from_that_is_not_ours_is_not_used() -> None:
    foreign = run(b'require "vacation"; vacation :from "boss@far.test" "away";')
    assert b"boss@far.test" not in answers(foreign)[0].message
    assert any("not an address of" in note for note in foreign.notes)
    own = run(b'require "vacation"; vacation :from "Rob <robert@home.test>" "away";')
    assert b"robert@home.test" in answers(own)[0].message


def test_a_copy_of_an_answer_is_kept() -> None:
    (sent,) = answers(run(b'require ["vacation", "fcc"]; vacation :fcc "Sent" "away";'))
    assert sent.copy == FileInto("Sent")


# -- notifications ----------------------------------------------------------------------


def test_a_notification_is_composed() -> None:
    (sent,) = answers(run(b'require "enotify"; notify :message "ping" "mailto:me@phone.test";'))
    assert (sent.why, sent.recipients, sent.claim) == ("notify", ("me@phone.test",), None)
    assert b"Subject: ping" in sent.message and b"From: bob@home.test" in sent.message


def test_the_free_plan_notifies_nobody() -> None:
    result = run(b'require "enotify"; notify "mailto:me@phone.test";', plan="free")
    assert not result.actions and result.implicit_keep and "notify" in result.error


# -- edits ------------------------------------------------------------------------------

EDIT = b'require ["editheader", "fileinto", "copy"]; fileinto :copy "Raw"; addheader "X-Seen" "yes";'


def test_each_copy_has_the_message_as_it_was() -> None:
    result = run(EDIT + b'fileinto "Done"; redirect "me@phone.test";')
    raw, done, redirect = result.actions
    assert isinstance(raw, FileInto) and raw.edited is None
    assert isinstance(done, FileInto) and isinstance(redirect, Redirect)
    assert done.edited is not None and done.edited == redirect.edited
    assert done.edited.head == b"X-Seen: yes\r\n" + MAIL[: MAIL.index(b"\r\n\r\n") + 2]
    assert done.edited.body is None and MAIL[done.edited.body_at :] == b"\r\nHow are you?\r\n"


def test_the_implicit_keep_has_the_edits_and_the_flags() -> None:
    source = b'require ["editheader", "imap4flags"]; addheader "X-Seen" "yes"; addflag "\\\\Flagged";'
    result = run(source)
    assert result.implicit_keep and result.flags == ("\\Flagged",)
    assert result.edited is not None and result.edited.head.startswith(b"X-Seen: yes\r\nFrom:")


def test_fields_of_ours_are_never_part_of_an_edited_message() -> None:  # V11
    source = (
        b'require "editheader"; deleteheader "X-Spam-Score"; deleteheader "Authentication-Results";'
        b'deleteheader "Subject"; deleteheader "DKIM-Signature";'
    )
    result = run(source)
    assert result.edited is not None
    assert result.edited.head == MAIL[: MAIL.index(b"\r\n\r\n") + 2].replace(b"Subject: Hello\r\n", b"")


def test_a_replaced_body_travels_with_its_header() -> None:
    result = run(b'require ["mime", "replace", "foreverypart"]; replace "gone";')
    assert result.edited is not None and result.edited.body is not None
    assert b"gone" in result.edited.body and b"How are you" not in result.edited.body
    assert b"X-Spam-Score" not in result.edited.head


# -- what scripts may ask -----------------------------------------------------------------


@pytest.mark.parametrize(
    "test",
    [
        b'mailboxexists ["Lists", "INBOX"]',
        b'not mailboxexists "Nowhere"',
        b'metadata "Lists" "/private/color" "blue"',
        b'specialuse_exists "\\\\Trash"',
        b'mailboxidexists "F1"',
        b'address :list "from" ":addrbook:default"',
        b'not address :list "from" ":blocked"',
        b'valid_ext_list [":addrbook:default", ":blocked", ":allowed"]',
        b'spamtest :value "eq" :comparator "i;ascii-numeric" "3"',
        b'virustest :value "eq" :comparator "i;ascii-numeric" "0"',
        b'environment "domain" "home.test"',
        b'environment "vnd.mailstack.class" "ham"',
        b'environment "location" "MDA"',
        b'currentdate "zone" "+0200"',
        b'currentdate "hour" "00"',
        b'envelope "from" "alice@far.test"',
        b'exists "Authentication-Results"',
    ],
)
def test_facts(test: bytes) -> None:
    names = (
        b"mailbox mboxmetadata special-use mailboxid extlists spamtest virustest environment date envelope"
        b" relational comparator-i;ascii-numeric"
    ).split()
    require = b"require [" + b",".join(b'"' + name + b'"' for name in names) + b"];"
    result = run(require + b"if " + test + b" { discard; }")
    assert result.error == ""
    assert result.actions == (DiscardMail(),), test


def test_folders_by_their_use() -> None:
    script = (
        b'require ["fileinto", "special-use", "mailbox"]; fileinto :specialuse "%s" :create "Papierkorb";'
    )
    assert run(script % b"\\\\Trash").actions == (FileInto("Bin", create=True),)
    assert run(script % b"\\\\Archive").actions == (FileInto("Papierkorb", create=True),)


def test_included_scripts_are_looked_at_each_time() -> None:
    account = case()
    assert isinstance(account.around, Around)
    engine = Rules(hostname="mx.home.test")
    steps = [Step("script main", b'require "include"; include :global "common"; include "own";', "script")]
    found: list[tuple[Any, ...]] = []
    for folder in (b"A", b"B"):
        account.around.scripts[("common", "global")] = b'require "fileinto"; fileinto "%s";' % folder
        account.around.scripts[("own", "personal")] = b"keep;"
        found.append(engine.run(steps, lambda: View(MAIL, b"", len(MAIL)), account).actions)
    assert found == [(FileInto("A"), Keep()), (FileInto("B"), Keep())]


def test_a_missing_included_script_keeps_the_mail() -> None:  # V9
    result = run(b'require "include"; include "gone"; discard;')
    assert result.implicit_keep and not result.actions and result.failed is not None


def test_duplicates_are_marked_only_by_scripts_that_end_well() -> None:
    script = b'require "duplicate"; if duplicate { discard; }'
    result = run(script)
    ((id_, keep_s),) = result.marks
    assert keep_s == 43_200 and result.implicit_keep
    account = case()
    assert isinstance(account.around, Around)
    account.around.known.add(id_)
    assert run(script, case=account).actions == (DiscardMail(),)
    assert run(script + b'require "variables"; redirect "${x}";').marks == ()


# -- limits -----------------------------------------------------------------------------


def test_an_account_that_used_up_its_cpu_time_runs_nothing() -> None:
    account = case()
    assert isinstance(account.around, Around)
    account.around.used_cpu_s = 30.0
    result = run(b"discard;", case=account)
    assert result.implicit_keep and "30 s of CPU" in result.error
    assert account.around.begun == []


def test_a_script_the_filter_died_in_is_not_run_again() -> None:  # V14
    account = case()
    assert isinstance(account.around, Around)
    account.around.died = 2
    result = run(b"discard;", case=account)
    assert result.implicit_keep and "died in it 2 times" in result.error


def test_the_free_plan_redirects_once() -> None:
    script = b'redirect "a@far.test"; redirect "b@far.test";'
    assert [type(a) for a in run(script).actions] == [Redirect, Redirect]
    result = run(script, plan="free")
    assert result.implicit_keep and not result.actions


def test_wishes_of_a_redirect_travel() -> None:
    script = b'require ["redirect-dsn", "copy"]; redirect :copy :notify "FAILURE" :ret "HDRS" "a@far.test";'
    assert run(script).actions == (Redirect("a@far.test", "FAILURE", "HDRS"),)


def test_an_operator_sets_the_engine() -> None:
    options = SieveOptions(setting=(SieveSetting(name="sieve_vacation_min_period", value="3d"),))
    script = b'require "vacation"; vacation :days 1 "away";'
    claim = answers(run(script, options=options))[0].claim
    assert claim is not None and claim.period_s == 3 * 86_400


def test_a_reject_is_alone() -> None:
    result = run(b'require "reject"; reject "no";')
    assert result.actions == (RejectMail("no"),)
    assert not result.implicit_keep


def test_settings_the_engine_does_not_know_are_mistakes() -> None:
    with pytest.raises(ConfigError, match="did you mean sieve_vacation_min_period"):
        SieveSetting(name="sieve_vacation_minimum_period", value="1d")
