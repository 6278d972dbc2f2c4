"""Runs the benchmarks against a demo instance of this tree: `python -m bench [NAME ...]`.

Each prints one JSON document; the numbers to reach are in bench/README.md.  Every
script also runs by itself against any server, by host and port.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.kit.demo import running_demo

#: Attachments as large as they get; the memory of the SMTP workers is what counts.
BIG = ("--size", "25000000", "--daemon", "smtp")
#: Name to module and arguments; `--demo FOLDER` is added.
RUNS: dict[str, tuple[str, ...]] = {
    "smtp-4k": ("smtp_load", "--messages", "3000", "--size", "4096"),
    "smtp-4k-1": ("smtp_load", "--messages", "2000", "--size", "4096", "--connections", "1"),
    "smtp-4k-50": ("smtp_load", "--messages", "3000", "--size", "4096", "--connections", "50"),
    "smtp-4k-each": ("smtp_load", "--messages", "2000", "--size", "4096", "--per-connection", "1"),
    "smtp-4k-20": ("smtp_load", "--messages", "3000", "--size", "4096", "--per-connection", "20"),
    "smtp-50k": ("smtp_load", "--messages", "1000", "--size", "51200"),
    "smtp-50k-each": ("smtp_load", "--messages", "1000", "--size", "51200", "--per-connection", "1"),
    "smtp-5m": ("smtp_load", "--messages", "40", "--size", "5242880"),
    "smtp-200x25m": ("smtp_load", *BIG, "--messages", "200", "--connections", "200"),
    "submission-60x25m": ("smtp_load", *BIG, "--submission", "--messages", "60", "--connections", "60"),
    "submission-4k-each": ("smtp_load", "--submission", "--messages", "1000", "--per-connection", "1"),
    "submission-4k-20": ("smtp_load", "--submission", "--messages", "2000", "--per-connection", "20"),
    "submission-50k-each": (
        "smtp_load",
        *["--submission", "--messages", "500", "--per-connection", "1", "--size", "51200"],
    ),
    "submission-5m": ("smtp_load", "--submission", "--messages", "20", "--size", "5242880"),
    "imap": ("imap_fetch",),
    "imap-login": ("imap_login",),
    "imap-idle": ("imap_idle", "--clients", "1000"),
    "imap-lag": ("imap_lag",),
    "imap-search": ("imap_search",),
    "pop3": ("pop3_fetch",),
}


def main() -> None:
    """Runs the named ones, or all there are."""
    wanted = sys.argv[1:] or list(RUNS)
    for name in wanted:
        if name not in RUNS:
            sys.exit(f"there is no benchmark {name!r}; there are {', '.join(RUNS)}")
    scratch = tempfile.TemporaryDirectory(prefix="mailstack-bench-")
    with scratch as folder, running_demo(Path(folder) / "demo") as demo:
        for name in wanted:
            measure(name, demo.folder)


def measure(name: str, folder: Path) -> None:
    """One run, in a process of its own."""
    module, *arguments = RUNS[name]
    command = [sys.executable, "-m", f"bench.{module}", "--demo", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    print(json.dumps({"bench": name, **json.loads(done.stdout)}), flush=True)


if __name__ == "__main__":
    main()
