from __future__ import annotations

import pytest

from mailstack.sieve import (
    Discard,
    FileInto,
    Keep,
    LimitReached,
    Limits,
    Notify,
    Redirect,
    Reject,
    Result,
    SieveError,
    Vacation,
)
from mailstack.sieve.actions import Action


def result_of(*actions: Action) -> Result:
    result = Result()
    for action in actions:
        result.add(action, Limits())
    return result


def test_the_implicit_keep_is_derived() -> None:
    assert Result().implicit_keep
    assert not result_of(Keep()).implicit_keep
    assert result_of(FileInto("a", copy=True), Vacation("x"), Notify("mailto:a@b.example")).implicit_keep
    assert not result_of(Reject("no")).implicit_keep


def test_a_failed_result_keeps_whatever_it_says() -> None:
    result = result_of(Discard())
    result.failed = True
    assert result.implicit_keep
    result.clear()
    assert result.actions == [] and not result.failed and result.implicit_keep


@pytest.mark.parametrize(
    "other",
    [Keep(), FileInto("a"), FileInto("a", copy=True), Redirect("a@b.example"), Vacation("x"), Reject("y")],
)
def test_reject_stands_alone(other: Action) -> None:
    # RFC 5429 section 2.4
    for first, second in ((Reject("no"), other), (other, Reject("no"))):
        with pytest.raises(SieveError):
            result_of(first, second)
    result = Result()
    result.actions += [Reject("no"), other]
    assert len(result.conflicts()) == 1


def test_discard_is_compatible_with_everything() -> None:
    # RFC 5228 section 4.4
    for action in (Keep(), FileInto("a"), Redirect("a@b.example"), Vacation("x"), Reject("y")):
        assert result_of(Discard(), action).conflicts() == []


def test_duplicates_are_merged_with_their_flags_and_wishes() -> None:
    # RFC 5232 section 5: the last list of flags wins
    assert result_of(Keep(("a",)), FileInto("INBOX", ("b", "a")), Keep()).actions == [Keep(("b", "a"))]
    assert result_of(FileInto("INBOX"), Keep(("a",))).actions == [Keep(("a",))]
    assert result_of(FileInto("x", copy=True), FileInto("x", create=True, flags=())).actions == [
        FileInto("x", create=True, flags=())
    ]
    assert result_of(Redirect("a@b.example", copy=True), Redirect("a@b.example", ret="FULL")).actions == [
        Redirect("a@b.example", ret="FULL")
    ]
    assert result_of(Discard(), Discard()).actions == [Discard()]


def test_mailbox_names_other_than_inbox_are_case_sensitive() -> None:
    assert len(result_of(FileInto("x"), FileInto("X")).actions) == 2


def test_merged_duplicates_do_not_count_against_limits() -> None:
    result = Result()
    for _ in range(10):
        result.add(Redirect("a@b.example"), Limits(max_actions=1, max_redirects=1))
    with pytest.raises(LimitReached):
        result.add(Keep(), Limits(max_actions=1))


def test_notifications_are_bounded() -> None:
    result = Result()
    for n in range(5):
        result.add(Notify(f"mailto:a{n}@b.example"), Limits())
    with pytest.raises(LimitReached):
        result.add(Notify("mailto:z@b.example"), Limits())


def test_actions_as_json() -> None:
    assert result_of(Reject("no"), Discard()).as_json() == [
        {"action": "reject", "reason": "no"},
        {"action": "discard"},
    ]
    assert result_of(Reject("no", ereject=True)).as_json() == [{"action": "ereject", "reason": "no"}]
    assert result_of(Keep(("\\Seen",))).as_json() == [
        {"action": "keep", "flags": ["\\Seen"], "implicit": False}
    ]
    assert result_of(Vacation("x", from_="a@b.example")).as_json()[0]["from"] == "a@b.example"
