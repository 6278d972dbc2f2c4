"""The IMAP rows beside Debian's Dovecot, in one run: `python -m bench.imap_peer [COUNT ...]`.

Both servers run at the same time on this machine, on the same disk, and are measured in
turns with the same client, so that the ratio means something.  Prints JSON: for each
number of messages and each measure, ours, the peer's, and how many times faster we are.
Needs root and Debian's dovecot-imapd.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.kit.demo import Demo, running_demo
from tests.kit.dovecot import Peer, running_dovecot

PASSWORD = "secret"
#: Measures where more is better.
_RATES = ("_per_s",)


def main() -> None:
    """Measures every size on both, prints one document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("counts", nargs="*", type=int, default=[1_000, 10_000])
    counts = parser.parse_args().counts or [1_000, 10_000]
    with tempfile.TemporaryDirectory(prefix="mailstack-bench-") as scratch:
        folder = Path(scratch)
        with running_demo(folder / "demo") as demo:
            address = sorted(demo.users)[0]
            with running_dovecot(folder / "peer", {address: PASSWORD}) as peer:
                runs = [_compare(demo, peer, address, count) for count in counts]
    print(json.dumps(runs, indent=2))


def _compare(demo: Demo, peer: Peer, address: str, count: int) -> dict[str, Any]:
    ours = _run(demo.port("imaps"), address, demo.users[address], count)
    theirs = _run(peer.tls_port, address, PASSWORD, count)
    rows = {}
    for name, mine in _flat(ours).items():
        other = _flat(theirs)[name]
        fast, slow = (mine, other) if name.endswith(_RATES) else (other, mine)
        rows[name] = {"mailstack": mine, "dovecot": other, "times_faster": round(fast / (slow or 1e-9), 2)}
    return {"messages": count, "rows": rows}


def _run(port: int, address: str, password: str, count: int) -> dict[str, Any]:
    command = [
        *(sys.executable, "-m", "bench.imap_fetch", "--port", str(port), "--user", address),
        *("--password", password, "--count", str(count), "--mailbox", f"Bench{count}"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"port {port}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _flat(result: dict[str, Any]) -> dict[str, float]:
    """One number a row; of several runs the first and the best."""
    rows: dict[str, float] = {}
    for name, value in result.items():
        if isinstance(value, float):
            rows[name] = value
        elif isinstance(value, dict) and "best_s" in value:
            rows[f"{name}_first_s"], rows[f"{name}_s"] = value["first_s"], value["best_s"]
    return rows


if __name__ == "__main__":
    main()
