"""Coverage-guided fuzzing of one target with atheris: `python -m tests.fuzz.guided TARGET [SECONDS]`.

Begins with the seeds; what finds new code is kept below .fuzz/TARGET (not in the tree).
An input that fails is written to tests/fuzz/regressions/TARGET, where the tests run it
from then on; the process ends with its traceback.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris  # type: ignore[import-not-found]

PACKAGES = ["mailstack.smtp", "mailstack.mime", "mailstack.model", "mailstack.sasl", "mailstack.filters"]

with atheris.instrument_imports(include=PACKAGES):
    from tests.kit.fuzz_targets import FUZZ, TARGETS, seeds


def main() -> None:
    """Runs until something fails or the time is over."""
    name = sys.argv[1]
    seconds = sys.argv[2] if len(sys.argv) > 2 else "60"
    kept = Path(".fuzz") / name
    kept.mkdir(parents=True, exist_ok=True)
    found = FUZZ / "regressions" / name
    found.mkdir(parents=True, exist_ok=True)
    folders = dict.fromkeys(str(file.parent) for file in seeds(name))
    flags = [f"-max_total_time={seconds}", f"-artifact_prefix={found}/", "-max_len=4096", "-timeout=10"]
    atheris.Setup([sys.argv[0], str(kept), *folders, *flags], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
