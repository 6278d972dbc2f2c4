"""A target its user sets is asked before it gets anything."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mailstack.directory.writer import DirectoryWriter
from mailstack.model.errors import PermanentFailure
from tests.kit.clock import START
from tests.kit.instance import Instance

ALICE, FRIEND = "alice@example.test", "friend@far.test"
DAY_S = 86_400


class Clock:
    now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def directory(instance: Instance, clock: Clock) -> Iterator[DirectoryWriter]:
    with instance.writer(now=clock) as writer:
        writer.accounts.add(ALICE)
        writer.accounts.add("bob@example.test")
        writer.accounts.add("carol@example.test")
        yield writer


def ask(directory: DirectoryWriter, *targets: str, owner: str = ALICE) -> dict[str, str]:
    return directory.confirmations.redirect(owner, targets, keep=False, mails_per_day=2)[1]


def pending(directory: DirectoryWriter) -> frozenset[str]:
    with directory.transaction() as cursor:
        return frozenset(key for (key,) in cursor.execute("SELECT target FROM pending_target"))


def test_a_target_outside_is_pending_until_its_word_comes_back(directory: DirectoryWriter) -> None:
    account, words = directory.confirmations.redirect(
        ALICE, [FRIEND, "bob@example.test"], keep=True, mails_per_day=2
    )
    assert account.redirection is not None
    assert account.redirection.pending == {FRIEND}
    assert list(words) == [FRIEND], "targets of this server are not asked"
    with pytest.raises(PermanentFailure):
        directory.confirmations.confirm("A" * 24, days=7)
    word = words[FRIEND].lower()
    owner, target = directory.confirmations.confirm(f" {word[:12]} {word[12:]}\n", days=7)
    assert (str(owner), str(target)) == (ALICE, FRIEND)
    assert pending(directory) == frozenset()
    with pytest.raises(PermanentFailure):
        directory.confirmations.confirm(words[FRIEND], days=7)


def test_a_word_is_good_for_some_days(directory: DirectoryWriter, clock: Clock) -> None:
    words = ask(directory, FRIEND)
    clock.now += 7 * DAY_S + 1
    with pytest.raises(PermanentFailure):
        directory.confirmations.confirm(words[FRIEND], days=7)
    assert pending(directory) == {FRIEND}
    assert ask(directory, FRIEND)[FRIEND] != words[FRIEND]


def test_whoever_sets_and_clears_does_not_send_more_letters(directory: DirectoryWriter, clock: Clock) -> None:
    assert ask(directory, FRIEND)
    directory.settings.clear_redirection(ALICE)
    assert ask(directory, FRIEND) == {}
    assert list(ask(directory, "other@far.test")) == ["other@far.test"]
    assert ask(directory, FRIEND) == {}
    assert ask(directory, FRIEND, owner="bob@example.test")
    with pytest.raises(PermanentFailure, match="tomorrow"):
        ask(directory, FRIEND, owner="carol@example.test")
    clock.now += DAY_S + 1
    assert ask(directory, FRIEND, owner="carol@example.test")


def test_a_confirmed_target_is_not_asked_again_when_another_is_added(directory: DirectoryWriter) -> None:
    directory.confirmations.confirm(ask(directory, FRIEND)[FRIEND], days=7)
    assert list(ask(directory, FRIEND, "new@far.test")) == ["new@far.test"]
    assert pending(directory) == {"new@far.test"}


def test_what_the_operator_sets_is_taken_for_granted(directory: DirectoryWriter) -> None:
    ask(directory, FRIEND)
    account = directory.settings.set_redirection(ALICE, [FRIEND])
    assert account.redirection is not None
    assert account.redirection.pending == frozenset()
    assert pending(directory) == frozenset()


def test_questions_nobody_answered_are_forgotten_once_nothing_leads_there(
    directory: DirectoryWriter, clock: Clock
) -> None:
    ask(directory, FRIEND)
    ask(directory, "kept@far.test", owner="bob@example.test")
    directory.settings.clear_redirection(ALICE)
    clock.now += 31 * DAY_S
    ask(directory, "new@far.test", owner="carol@example.test")
    assert pending(directory) == {"kept@far.test", "new@far.test"}
