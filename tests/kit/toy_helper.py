"""A helper process that ends when its supervisor does."""

from __future__ import annotations

import os
import sys
import time

if __name__ == "__main__":
    print(f"helper {os.getpid()} lives", file=sys.stderr, flush=True)
    lifeline = int(os.environ["MAILSTACK_LIFELINE"])
    os.read(lifeline, 1)
    print(f"helper {os.getpid()} ends", file=sys.stderr, flush=True)
    time.sleep(0)
