"""The SMTP rows beside Debian's Postfix, in one run: `python -m bench.smtp_peer [--rounds 2]`.

Both servers run at the same time on this machine, on the same disk, and are measured in
turns with the same client, so that the ratio means something.  Postfix writes Maildirs and
filters nothing; we do all we always do.  Prints JSON: for each load ours, the peer's, and
both ratios.  Needs root and Debian's postfix.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from tests.kit.demo import running_demo
from tests.kit.mta import running_mta

LOADS = {
    "4k": ("--messages", "1000", "--size", "4096"),
    "4k-each": ("--messages", "1000", "--size", "4096", "--per-connection", "1"),
    "50k": ("--messages", "500", "--size", "51200"),
    "5m": ("--messages", "20", "--size", "5242880"),
}


def main() -> None:
    """Measures every load on both, prints one document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("loads", nargs="*", default=list(LOADS), choices=[*LOADS, []])
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="mailstack-bench-") as scratch,
        running_demo(Path(scratch) / "demo") as demo,
        running_mta("postfix", {}) as peer,
    ):
        ours = ("--demo", str(demo.folder))
        theirs = ("--port", str(peer.port), "--maildirs", str(peer.folder / "mail"))
        theirs += ("--to", "alice@peer.test", "--pids", str(peer.process.pid))
        found = {}
        for name in given.loads or LOADS:
            rounds = [(_run(*ours, *LOADS[name]), _run(*theirs, *LOADS[name])) for _ in range(given.rounds)]
            found[name] = _compared([a for a, _ in rounds], [b for _, b in rounds])
    print(json.dumps(found, indent=2))


def _run(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.smtp_load", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _compared(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> dict[str, float]:
    rows = {}
    for measure in ("per_s", "cpu_ms_per_message"):
        own, peer = (median(run[measure] for run in runs) for runs in (ours, theirs))
        rows[measure], rows[f"{measure}_postfix"] = round(own, 2), round(peer, 2)
        rows[f"{measure}_ratio"] = round(own / peer, 2)
    return rows


if __name__ == "__main__":
    main()
