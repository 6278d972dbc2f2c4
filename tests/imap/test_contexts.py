"""Results that are kept up to date: what a client rebuilds from the updates is what a search finds."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.imap import contexts
from mailstack.model.mailbox import Flags
from tests.kit.bare_session import BareSession, message
from tests.kit.memory_mailbox import MemoryMailbox

_ESEARCH = re.compile(rb'\* ESEARCH \(TAG "([^"]+)"\)( UID)? (.*)\r\n')
_UPDATE = re.compile(rb"(ADDTO|REMOVEFROM) \(([^)]*)\)")


def numbers(text: bytes) -> list[int]:
    """A set, expanded in its order."""
    out: list[int] = []
    for part in text.split(b","):
        first, _, last = part.partition(b":")
        out += range(int(first), int(last or first) + 1)
    return out


class Reader:
    """A client that follows UPDATE by RFC 5267 sections 4.3.3 and 4.3.4."""

    def __init__(self, session: BareSession) -> None:
        self.session = session
        self.results: dict[bytes, list[int]] = {}

    def search(self, tag: bytes, text: bytes) -> None:
        """Starts a context; `text` asks for ALL and UPDATE."""
        answer = self.session.ask(tag + b" " + text + b"\r\n")
        assert tag + b" OK" in answer, answer
        found = re.search(rb"ALL ([0-9:,]+)", answer)
        self.results[tag] = numbers(found[1]) if found is not None else []

    def read(self, answer: bytes) -> bytes:
        """Follows what the server said."""
        for tag, _, items in _ESEARCH.findall(answer):
            for kind, pairs in _UPDATE.findall(items):
                words = pairs.split(b" ")
                for position, some in zip(words[::2], words[1::2], strict=True):
                    self._follow(self.results[tag], kind, int(position), numbers(some))
        return answer

    def _follow(self, results: list[int], kind: bytes, position: int, some: list[int]) -> None:
        if kind == b"ADDTO":
            assert not set(some) & set(results)
            if position:
                results[position - 1 : position - 1] = some
            else:
                results.extend(some)
                results.sort()
        elif position:
            assert results[position - 1 : position - 1 + len(some)] == some
            del results[position - 1 : position - 1 + len(some)]
        else:
            for number in some:
                results.remove(number)


SUBJECTS = st.sampled_from(["apples", "Re: pears", "oranges", "pears"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), SUBJECTS),
        st.tuples(st.just("flag"), st.integers(1, 8)),
        st.tuples(st.just("unflag"), st.integers(1, 8)),
        st.tuples(st.just("store"), st.integers(1, 8)),
        st.tuples(st.just("lose"), st.integers(1, 8)),
    ),
    max_size=12,
)


def change(store: MemoryMailbox, reader: Reader, what: str, value: str | int) -> None:
    """One change, by another session or by this one."""
    folder = store.status("INBOX").id
    match what, value:
        case "add", str():
            store.add("INBOX", message(subject=value))
        case "store", int():
            reader.read(reader.session.command(b"UID STORE %d +FLAGS.SILENT (\\Flagged)" % value))
        case "lose", int():
            store.expunge(folder, [value])
        case _, int():
            store.change_flags(folder, [value], "+" if what == "flag" else "-", flags=Flags.FLAGGED)


@settings(max_examples=60)
@given(STEPS)
def test_the_updates_lead_to_the_results_of_a_new_search(steps: list[tuple[str, str | int]]) -> None:
    store = MemoryMailbox()
    for subject in ("pears", "apples", "pears"):
        store.add("INBOX", message(subject=subject))
    session = BareSession(store).select()
    reader = Reader(session)
    programs = {
        b"c1": b"UID SEARCH RETURN (ALL UPDATE) FLAGGED",
        b"c2": b"UID SEARCH RETURN (ALL UPDATE) SUBJECT pears",
        b"c3": b"UID SORT RETURN (ALL UPDATE) (SUBJECT) UTF-8 ALL",
        b"c4": b"UID SORT RETURN (ALL UPDATE) (REVERSE SUBJECT REVERSE ARRIVAL) UTF-8 NOT FLAGGED",
    }
    for tag, text in programs.items():
        reader.search(tag, text)
    for what, value in steps:
        change(store, reader, what, value)
        reader.read(session.command(b"NOOP"))
        for tag, text in programs.items():
            again = Reader(session)
            again.search(b"x", text.replace(b" UPDATE", b""))
            assert reader.results[tag] == again.results[b"x"], (tag, what, value)


def test_sequence_numbers_are_those_of_the_moment() -> None:
    store = MemoryMailbox()
    for number in range(4):
        store.add("INBOX", message(subject=f"{number}"))
    session = BareSession(store).select()
    reader = Reader(session)
    reader.search(b"c1", b"SEARCH RETURN (ALL UPDATE) 2:3")
    reader.search(b"c2", b"UID SEARCH RETURN (ALL UPDATE) UID 3:*")
    store.lose("INBOX", 1)
    store.add("INBOX", message())
    answer = session.command(b"NOOP")
    assert b'(TAG "c1")' not in answer
    assert b'* ESEARCH (TAG "c2") UID ADDTO (0 5)\r\n' in answer
    store.lose("INBOX", 3)
    answer = session.command(b"NOOP")
    # Said with the number the message still has.
    lines = answer.split(b"\r\n")
    assert (
        b'* ESEARCH (TAG "c1") REMOVEFROM (0 2)',
        b'* ESEARCH (TAG "c2") UID REMOVEFROM (0 3)',
    ) in pairwise(lines)
    assert lines.index(b"* 2 EXPUNGE") == 2


def test_too_many_contexts_are_refused_but_searched() -> None:
    session = BareSession(MemoryMailbox()).select()
    for number in range(contexts.MAX_CONTEXTS):
        assert b"NOUPDATE" not in session.ask(b"n%d SEARCH RETURN (UPDATE) ALL\r\n" % number)
    answer = session.ask(b"more SEARCH RETURN (UPDATE COUNT) ALL\r\n")
    assert answer == (
        b'* ESEARCH (TAG "more") COUNT 0\r\n'
        b'* NO [NOUPDATE "more"] These results are not kept up to date\r\n'
        b"more OK Search completed\r\n"
    )
    assert b"OK" in session.command(b'CANCELUPDATE "n0"')
    assert b"NOUPDATE" not in session.ask(b"more SEARCH RETURN (UPDATE) ALL\r\n")


def test_sorted_contexts_are_fewer() -> None:
    session = BareSession(MemoryMailbox()).select()
    for number in range(contexts.MAX_SORTED):
        assert b"NOUPDATE" not in session.ask(b"n%d SORT RETURN (UPDATE) (DATE) UTF-8 ALL\r\n" % number)
    assert b'[NOUPDATE "m"]' in session.ask(b"m SORT RETURN (UPDATE) (DATE) UTF-8 ALL\r\n")
    assert b"NOUPDATE" not in session.ask(b"o SEARCH RETURN (UPDATE) ALL\r\n")


def test_a_context_that_becomes_too_dear_is_given_up() -> None:
    store = MemoryMailbox()
    session = BareSession(store).select()
    session.ask(b"c1 SEARCH RETURN (UPDATE) TEXT x\r\n")
    for _ in range(3):
        store.add("INBOX", message())
    ticks = iter(range(100_000))
    session.session.clock = lambda: 1000.0 + 11 * next(ticks)
    answer = session.command(b"NOOP")
    assert b'* NO [NOUPDATE "c1"] These results are not kept up to date\r\n' in answer
    assert b"t OK" in answer


def test_a_folder_that_is_left_takes_its_contexts_along() -> None:
    store = MemoryMailbox()
    session = BareSession(store).select()
    session.ask(b"c1 SEARCH RETURN (UPDATE) ALL\r\n")
    session.command(b"SELECT Trash")
    store.add("Trash", message())
    assert b"ESEARCH" not in session.command(b"NOOP")
    assert b"c1 OK" in session.ask(b"c1 SEARCH RETURN (UPDATE) ALL\r\n")
