"""mailstack client."""

from __future__ import annotations

import time

from mailstack.state.greylist import Greylist, Waits, triplet
from mailstack.state.guesses import Count, Guesses, Rule
from mailstack.state.traps import Traps
from tests.kit.instance import Instance

RULE = Rule(unknown=50, ratio=5, window_s=3600)


def _remember(instance: Instance) -> None:
    path, now = instance.config.paths.state_db, time.time()
    guesses, traps, greylist = Guesses(path), Traps(path), Greylist(path)
    guesses.add({"192.0.2.7/32": Count(50, 1), "192.0.2.8/32": Count(3)}, RULE, now=now)
    for second in range(3):
        traps.hit("198.51.100.0/24", "trap@example.test", now=now - second, keep_s=1000)
    greylist.wait_s([triplet("n", "s", "r")], Waits(10, 100, 1000), now=now)
    for table in (guesses, traps, greylist):
        table.close()


def test_who_guesses_and_who_hit_traps_is_listed(instance: Instance) -> None:
    nobody = instance.cli("client", "list")
    assert (nobody.out, nobody.err) == ("", "no client guesses recipients or wrote to a spam trap\n")
    _remember(instance)
    found = instance.cli("client", "list", "--json").json
    assert [(row["client"], row["why"], row["count"], row["traps"]) for row in found] == [
        ("192.0.2.7/32", "guesses recipients", 50, []),
        ("198.51.100.0/24", "writes to spam traps", 3, ["trap@example.test"]),
    ]
    assert "192.0.2.7/32" in instance.cli("client", "list").out


def test_one_client_or_everybody_is_forgotten(instance: Instance) -> None:
    _remember(instance)
    assert instance.cli("client", "forget", "192.0.2.7").out == "forgot 1\n"
    assert instance.cli("client", "forget", "198.51.100.0/24").out == "forgot 3\n"
    missing = instance.cli("client", "forget", "203.0.113.1")
    assert (missing.code, "nothing is remembered" in missing.err) == (65, True)
    assert instance.cli("client", "list").out == ""
    _remember(instance)
    assert instance.cli("client", "forget", "--all", "--json").json == {"forgotten": 6}
    assert instance.cli("client", "forget").code == 64
