"""What SPF says of a client's HELO is remembered for a while."""

from __future__ import annotations

from mailstack.filters.authentication.helo import KEEP_S, MAX_CLIENTS, HeloMemory
from mailstack.model.verdict import SpfResult

PASS = SpfResult("pass", "mx.example.net")


def test_it_is_remembered_for_the_same_client_and_name() -> None:
    memory = HeloMemory()
    memory.put("192.0.2.1", "mx.example.net", PASS, now=100.0)
    assert memory.get("192.0.2.1", "mx.example.net", now=100.0 + KEEP_S - 1) == PASS
    assert memory.get("192.0.2.2", "mx.example.net", now=100.0) is None
    assert memory.get("192.0.2.1", "other.example.net", now=100.0) is None
    assert memory.get("192.0.2.1", "mx.example.net", now=100.0 + KEEP_S) is None
    assert memory.get("192.0.2.1", "mx.example.net", now=99.0) is None, "the clock was set back"


def test_a_missing_answer_is_not_remembered() -> None:
    memory = HeloMemory()
    memory.put("192.0.2.1", "h", SpfResult("temperror"), now=0.0)
    assert memory.get("192.0.2.1", "h", now=0.0) is None


def test_the_oldest_client_is_forgotten() -> None:
    memory = HeloMemory()
    for number in range(MAX_CLIENTS + 1):
        memory.put(str(number), "h", PASS, now=0.0)
    assert memory.get("0", "h", now=0.0) is None
    assert memory.get("1", "h", now=0.0) == PASS
