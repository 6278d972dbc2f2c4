"""What scripts want fits into a frame of the filter: else all copies of a message go unfiltered (V14)."""

from __future__ import annotations

import msgspec
import pytest

from mailstack import sieve
from mailstack.filters.case import MAX_WISHES_OCTETS
from mailstack.model.verdict import FilterAnswer, Keep, Redirect
from mailstack.net.filter_wire import MAX_FRAME_OCTETS
from tests.filters.test_pipeline import HELLO, run, scripted
from tests.filters.test_scripts import run as run_scripts

FROM = "From: alice@example.test\r\n"
ENCLOSE = b'require ["enclose", "fileinto"]; enclose "look"; fileinto "A";'
#: Thirty copies of half a megabyte.
MANY = b'require ["enclose", "fileinto"]; enclose "look"; ' + b"".join(
    b'fileinto "%d";' % number for number in range(30)
)
FLOOD = b'require ["variables", "enotify"]; set "a" "%s"; ' % (b"x" * 4_000) + b"".join(
    b'notify :message "%s" "mailto:m%d@far.test";' % (b"${a}" * 260, number) for number in range(5)
)
BIG = (FROM + HELLO).encode() + b"how are you today?\r\n" * 30_000


def size(answer: FilterAnswer) -> int:
    return len(msgspec.msgpack.encode(answer))


def test_a_message_that_is_changed_too_often_is_kept_as_it_came() -> None:
    answer = run(BIG, ip="192.0.2.1", facts={1: scripted(MANY)})
    (said,) = answer.accounts
    assert size(answer) < MAX_FRAME_OCTETS
    assert said.actions == (Keep("INBOX", implicit=True),)
    assert said.failed is not None
    assert said.failed.script == "script main"
    assert "too large" in said.script_error


def test_a_large_message_can_be_changed_once() -> None:
    answer = run(BIG * 5, ip="192.0.2.1", facts={1: scripted(ENCLOSE)})
    (said,) = answer.accounts
    assert 2_500_000 < size(answer) < MAX_FRAME_OCTETS
    assert said.failed is None


def test_greedy_accounts_leave_the_others_their_share() -> None:
    greedy = {number: scripted(ENCLOSE) for number in range(1, 20)}
    answer = run(
        BIG, ip="192.0.2.1", facts={**greedy, 20: scripted(b'redirect "x@far.test";')}, recipients=20
    )
    assert size(answer) < MAX_FRAME_OCTETS
    assert answer.accounts[19].actions == (Redirect("x@far.test"),)
    assert all(said.actions for said in answer.accounts)


def test_messages_that_scripts_write_are_bounded_too() -> None:
    facts = {number: scripted(FLOOD) for number in range(1, 9)}
    answer = run(FROM + HELLO, ip="192.0.2.1", facts=facts, recipients=8)
    assert size(answer) < MAX_WISHES_OCTETS + 1_000_000
    assert all(said.actions for said in answer.accounts)


def test_a_script_that_needs_too_much_memory_keeps_the_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(sieve, "run", no_memory)
    result = run_scripts(b"discard;")
    assert result.implicit_keep
    assert result.failed is not None
