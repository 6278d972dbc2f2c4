"""Promotions and social: the confusion matrix of the written mail, and what classifying costs.

`python -m bench.classes [MODEL]` prints JSON.  "held" is the half nothing was tuned on
(tests/cases/classes), "tuned" the one the lists of words and the prior were made with.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mailstack.app.filter_worker import load_model
from mailstack.filters.document import read
from mailstack.filters.fields import Header
from mailstack.filters.spam import model, written
from tests.kit.classes import class_of

ROOT = Path(__file__).parent.parent
LABELS = ("ham", "promotions", "social")
HALVES = {
    "held": [ROOT / f"tests/cases/classes/{label}.json" for label in LABELS],
    "tuned": [ROOT / "data/classifier/bulk.json"],
}
SHAPES: tuple[written.Shape, ...] = ("plain", "html", "both", "card")
_ROUNDS = 20


def measure(prior: model.Model | None) -> dict[str, Any]:
    """For both halves: rows of what it is, columns of where it went; what went wrong by kind."""
    return {half: _half(files, prior) for half, files in HALVES.items()}


def _half(files: Iterable[Path], prior: model.Model | None) -> dict[str, Any]:
    entries = [entry for file in files for entry in written.parse(file.read_bytes())]
    result: dict[str, Any] = {"messages": len(entries)}
    for name, shapes in (("as_written", (None,)), ("in_all_shapes", SHAPES)):
        matrix = {label: dict.fromkeys(LABELS, 0) for label in LABELS}
        wrong: dict[str, Counter[str]] = defaultdict(Counter)
        for entry in entries:
            for shape in shapes:
                message = written.render(entry, shape=shape)
                klass = class_of(read(message, Header(message)), prior)
                matrix[entry.label][klass] += 1
                if klass != entry.label:
                    wrong[entry.kind][f"{entry.label} as {klass}"] += 1
        result[name] = {"matrix": matrix, "wrong": dict(sorted(wrong.items()))}
    documents = [read(m, Header(m)) for m in map(written.render, entries)]
    begun = time.process_time()
    for _ in range(_ROUNDS):
        for document in documents:
            class_of(document, None)
    result["cpu_ms"] = round(1_000 * (time.process_time() - begun) / _ROUNDS / len(documents), 3)
    return result


if __name__ == "__main__":
    print(json.dumps(measure(load_model(sys.argv[1] if len(sys.argv) > 1 else "")), indent=1))
