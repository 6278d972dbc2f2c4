"""What load tests send to a demo instance, and how its mailboxes, queue and sink are counted."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from tests.kit.accounting import Count, count_mailboxes
from tests.kit.demo import Demo

ALICE, BOB, CAROL, GONE = (f"{name}@example.test" for name in ("alice", "bob", "carol", "gone"))
#: Recipient -> where its copy must be.
HOMES: dict[str, Sequence[str]] = {
    ALICE: [ALICE],
    BOB: [BOB],
    CAROL: [CAROL],
    GONE: ["outside"],
    "everyone@example.test": [ALICE, BOB],
}
MIX = [[ALICE], [ALICE, BOB, CAROL], [GONE], ["everyone@example.test"], [CAROL, GONE]]


def settle(demo: Demo, timeout_s: float = 120.0) -> None:
    """Waits until every daemon is up and the queue has drained."""
    until = time.monotonic() + timeout_s
    while True:
        try:
            up = set(demo.state["pids"]) == {"smtp", "filter", "queue", "imap"}
            if up and demo.json("queue", "list") == []:
                return
        except (AssertionError, KeyError, json.JSONDecodeError, FileNotFoundError):
            pass
        assert time.monotonic() < until, demo.log()[-3000:]
        demo.cli("queue", "retry", "--all", check=False)
        time.sleep(0.3)


def count(demo: Demo, more: Sequence[str] = ()) -> Count:
    """Every marked message in the mailboxes, those of `more` addresses too, and in the demo's sink."""
    found = Count()
    count_mailboxes(found, {home: demo.maildir(home) for home in (ALICE, BOB, CAROL, GONE, *more)})
    for path in sorted((demo.folder / "outside").glob("*.eml")):
        found.take("outside", path, path.read_bytes())
    return found


def forgive_possible_duplicates(found: Count) -> None:
    """P4: a connection that died after our dot and before the sink's answer counted may come twice."""
    for (mark, place), number in found.places.items():
        if place == "outside" and number == 2:
            found.places[mark, place] = 1
