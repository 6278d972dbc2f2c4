"""Whether time tells who has an account: `python -m bench.wrong_login [--pairs N]`.

A wrong password for an account and for a name that nobody has, in turns, at the costs of a
real service.  Prints one JSON document: CPU of each (the middle one), and how far apart they
are; goal: less than 5 %.  The tests count what is computed for both.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from statistics import median

from mailstack.directory import Directory, credentials
from mailstack.directory.options import AuthOptions
from tests.kit.instance import new_instance

KNOWN, UNKNOWN = "alice@example.test", "nobody@example.test"


def cpu_ms(directory: Directory, login: str) -> float:
    """One wrong password."""
    begun = time.process_time()
    if directory.authenticate(login, "not the password", protocol="imap") is not None:
        raise SystemExit(f"{login} got in")
    return (time.process_time() - begun) * 1000


def measure(directory: Directory, pairs: int) -> dict[str, float]:
    """Both in turns."""
    found = [(cpu_ms(directory, KNOWN), cpu_ms(directory, UNKNOWN)) for _ in range(pairs)]
    known, unknown = (median(pair[n] for pair in found) for n in (0, 1))
    return {
        "account_ms": round(known, 3),
        "nobody_ms": round(unknown, 3),
        "apart_percent": round(abs(known - unknown) / known * 100, 2),
    }


def main() -> None:
    """Makes a directory with one account, measures, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mailstack-bench-") as folder:
        instance = new_instance(Path(folder))
        hash_ = credentials.hash_password("a good password", os.urandom)
        with instance.writer() as writer:
            writer.accounts.add(KNOWN, password_hash=hash_)
        directory = Directory(instance.config.paths, options=AuthOptions())
        print(json.dumps(measure(directory, options.pairs)))
        directory.close()


if __name__ == "__main__":
    main()
