"""What each sign of fraud should weigh: a fit beside what the words say, and how good both are.

    .venv/bin/python bench/signs.py              measures, out of fold
    .venv/bin/python bench/signs.py --write      and writes data/weights.toml of mailstack/filters/signs

Each weight begins as the guess in that file and is pulled back to it; `most` bounds it. The words'
logits come from models that have not seen the message: for written messages once from the corpus
alone, once from everything but a quarter of the written files, theirs among it.

Needs the corpus (docs/classifier.md) in /tmp/corpus/dev; takes some three minutes.
"""

from __future__ import annotations

import hashlib
import math
import sys
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mailstack.cli.message_file import to_wire
from mailstack.filters.authentication.dmarc import find_author
from mailstack.filters.document import Document, read
from mailstack.filters.fields import Header
from mailstack.filters.signs import find, intents
from mailstack.filters.signs.knowledge import shipped
from mailstack.filters.signs.look import Look
from mailstack.filters.spam import features, measuring, training, written
from mailstack.model.verdict import Authentication

ROOT = Path(__file__).parents[1]
CORPUS = Path("/tmp/corpus/dev")
WEIGHTS = ROOT / "mailstack" / "filters" / "signs" / "data" / "weights.toml"
FOLDS, PARTS, PASSES = 5, 4, 12
#: How strongly weights are pulled to their guess: as much as so many messages could move them.
PULL = 5.0
#: How much a message counts: wanted mail of the corpus decides what may be called fraud.
COUNTS = {("corpus", False): 5.0, ("corpus", True): 0.3, ("written", False): 2.0, ("written", True): 1.0}
SHARES = (0.001, 0.01)


@dataclass
class Row:
    """One message: its signs with their shares, and logits of the words."""

    name: str
    source: str
    is_spam: bool
    sample: training.Sample
    signs: dict[str, float]
    logits: list[float] = field(default_factory=list)

    @property
    def fold(self) -> int:
        return int(hashlib.sha1(self.name.encode()).hexdigest(), 16) % FOLDS

    @property
    def part(self) -> int:
        """Written files belong to one part as a whole."""
        return int(hashlib.md5(self.name.partition("#")[0].encode()).hexdigest(), 16) % PARTS


def messages() -> Iterator[tuple[str, str, bool, bytes]]:
    for label in ("ham", "spam"):
        for file in sorted((CORPUS / label).iterdir()):
            yield file.name, "corpus", label == "spam", to_wire(file.read_bytes())
    for folder in (ROOT / "data" / "classifier", ROOT / "tests" / "filters" / "signs"):
        for file in sorted(folder.glob("*.json")):
            for number, entry in enumerate(written.parse(file.read_bytes())):
                yield f"{file.name}#{number}", "written", entry.label == "spam", written.render(entry)


def signs_of(document: Document, header: Header) -> dict[str, float]:
    look = Look(document, Authentication(), shipped())
    found = find.collect(look, list(intents.find(look)), find_author(header))
    return {one.name: one.share for one in found}


def rows() -> list[Row]:
    out = []
    for name, source, is_spam, message in messages():
        header = Header(message)
        document = read(message, header)
        group = hashlib.sha256(document.text.encode("utf-8", "replace")).hexdigest()
        sample = training.to_sample(
            features.tokens(document),
            label="spam" if is_spam else "ham",
            group=group,
            name=name,
            source=source,
        )
        out.append(Row(name, source, is_spam, sample, signs_of(document, header)))
    return out


def add_logits(found: Sequence[Row], known: Callable[[Row], bool], parts: Callable[[Row], int]) -> None:
    """Logits of models that know some of the messages, but none of the part at hand."""
    raw = []
    for part in sorted({parts(row) for row in found}):
        model = training.train([row.sample for row in found if known(row) and parts(row) != part])
        raw += [(model.raw(row.sample.features), row) for row in found if parts(row) == part]
    judged = [(value, row.is_spam, 1.0) for value, row in raw if known(row)]
    slope, intercept = measuring.calibrate(judged, share=measuring.SPAM_SHARE)
    for value, row in raw:
        row.logits.append(max(-8.0, min(8.0, slope * value + intercept)))


@dataclass
class Fit:
    """Weights, and the logit of a message without any sign."""

    weights: dict[str, float]
    base: float = -0.6

    def logit(self, row: Row, which: int) -> float:
        return self.base + row.logits[which] + sum(self.weights[n] * v for n, v in row.signs.items())


def bounds(entry: dict[str, float]) -> tuple[float, float]:
    """Guesses of a sign that speaks against fraud are negative."""
    guess = entry["guess"]
    most = entry.get("most", 2 * abs(guess) + 0.6)
    if guess < 0:
        return -most, 0.0
    return min(most, guess * (0.4 if guess >= 0.5 else 0.25)), most


def fit(found: Sequence[Row], table: dict[str, dict[str, float]]) -> Fit:
    """Newton's steps, one weight after the other."""
    out = Fit({name: entry["guess"] for name, entry in table.items()})
    cases = [(row, which) for row in found for which in range(len(row.logits))]
    holders: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for at, (row, _) in enumerate(cases):
        for name, share in row.signs.items():
            holders[name].append((at, share))
    logits = [out.logit(row, which) for row, which in cases]
    counts = [COUNTS[row.source, row.is_spam] for row, _ in cases]
    truth = [row.is_spam for row, _ in cases]

    def slopes(who: Sequence[tuple[int, float]]) -> tuple[float, float]:
        gradient = curve = 1e-9
        for at, share in who:
            p = 1 / (1 + math.exp(-max(-30.0, min(30.0, logits[at]))))
            gradient += counts[at] * (p - truth[at]) * share
            curve += counts[at] * p * (1 - p) * share * share
        return gradient, curve

    everyone = [(at, 1.0) for at in range(len(cases))]
    for _ in range(PASSES):
        gradient, curve = slopes(everyone)
        out.base -= gradient / curve
        logits = [one - gradient / curve for one in logits]
        for name, who in sorted(holders.items()):
            entry = table[name]
            gradient, curve = slopes(who)
            old = out.weights[name]
            low, high = bounds(entry)
            gradient += PULL * (old - entry["guess"])
            new = max(low, min(high, old - gradient / (curve + PULL)))
            out.weights[name] = new
            for at, share in who:
                logits[at] += (new - old) * share
    return out


def recall(scores: Sequence[tuple[float, Row]], source: str) -> str:
    """Of the spam of one source, where wanted mail of the corpus sets the threshold."""
    ham = sorted((s for s, row in scores if row.source == "corpus" and not row.is_spam), reverse=True)
    spam = [s for s, row in scores if row.source == source and row.is_spam]
    found = [sum(s > ham[int(share * len(ham))] for s in spam) / len(spam) for share in SHARES]
    return " / ".join(f"{one:.3f}" for one in found)


def write(table: dict[str, dict[str, float]], weights: dict[str, float]) -> None:
    """Only the numbers change."""
    lines, name = [], ""
    for line in WEIGHTS.read_text("utf-8").splitlines():
        if line.startswith("["):
            name = line.strip("[]")
        changes = line.startswith("weight = ") and name in table
        lines.append(f"weight = {round(weights[name], 2)}" if changes else line)
    WEIGHTS.write_text("\n".join(lines) + "\n", "utf-8")


def main() -> None:
    if not (CORPUS / "ham").is_dir():
        sys.exit(f"the corpus is not in {CORPUS}: see docs/classifier.md")
    table = {n: e for n, e in tomllib.loads(WEIGHTS.read_text("utf-8")).items() if "guess" in e}
    found = rows()
    add_logits(found, lambda row: row.source == "corpus", lambda row: row.fold)
    add_logits(found, lambda row: True, lambda row: row.part if row.source == "written" else row.fold % PARTS)
    for which, words in enumerate(("words of the corpus", "words of other written files too")):
        alone = [(row.logits[which], row) for row in found]
        whole = []
        for fold in range(FOLDS):
            fitted = fit([row for row in found if row.fold != fold], table)
            whole += [(fitted.logit(row, which), row) for row in found if row.fold == fold]
        for source in ("written", "corpus"):
            print(f"{words}, spam {source}: {recall(alone, source)}; with signs {recall(whole, source)}")
    if "--write" in sys.argv[1:]:
        write(table, fit(found, table).weights)


if __name__ == "__main__":
    main()
