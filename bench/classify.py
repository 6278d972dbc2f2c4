"""How good the spam score is: five folds, by date, and modern mail it has never seen.

`python -m bench.classify --corpus FOLDER` (with `ham` and `spam` in it) prints JSON:

    folds          the model alone, out of fold, equal texts in one fold
    whole          the same with the signs, as a worker computes it without DNS
    chronological  trained on the earlier part of the corpus alone, tested on the rest
    modern, modern_final   tests/cases/modern (never trained on) against the corpus' wanted mail
    by_kind        logits of the modern messages by kind, the lowest first
    arrived_tuning, arrived_final, arrived_second, arrived_last
                   tests/cases/arrived (never trained on), authenticated as it came

`--logits FILE` writes what the model says out of fold of each training message, for tuning signs.
"""

from __future__ import annotations

import argparse
import contextlib
import email.utils
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mailstack.cli import training_mail
from mailstack.cli.message_file import to_wire
from mailstack.cli.training_mail import Sources
from mailstack.filters.authentication.dmarc import find_author
from mailstack.filters.document import read
from mailstack.filters.fields import Header
from mailstack.filters.spam import features, measuring, model, score, training
from mailstack.filters.spam.training import Sample
from mailstack.model.verdict import Authentication
from tests.kit.arrived import SETS, arrived, passing

ROOT = Path(__file__).parent.parent
WRITTEN = ROOT / "data" / "classifier"
MODERN = ROOT / "tests" / "cases" / "modern"
#: Two sets by different occasions, each of spam and of wanted mail.
MODERN_SETS = {"modern": ("spam.json", "ham.json"), "modern_final": ("final-spam.json", "final-ham.json")}
_LAST = 0.2


@dataclass(frozen=True)
class Point:
    """One message with its logit."""

    name: str
    is_spam: bool
    kind: str = ""


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=Path("/tmp/corpus/dev"))
    parser.add_argument("--logits", type=Path)
    options = parser.parse_args()
    corpus: Path = options.corpus
    if not (corpus / "ham").is_dir() or not (corpus / "spam").is_dir():
        sys.exit(f"{corpus} has no folders ham and spam: unpack the corpus there first")
    sources = Sources([corpus / "spam"], [corpus / "ham"], written=[WRITTEN])
    samples = training.to_samples(training_mail.read_all(sources)[0])
    scored = training.out_of_fold(samples)
    trained = training.finish(samples, scored, "")
    logits = {s.name: trained.slope * raw + trained.intercept for raw, s in scored}
    if options.logits:
        options.logits.write_text(json.dumps(logits))
    files = {file.name: file for kind in ("ham", "spam") for file in (corpus / kind).iterdir()}
    own = [s for s in samples if s.source == "corpus"]
    whole = {s.name: logits[s.name] + signs(to_wire(files[s.name].read_bytes())) for s in own}
    result = {
        "folds": _figures([(logits[s.name], s) for s in own]),
        "whole": _figures([(whole[s.name], s) for s in own]),
        "chronological": _chronological(samples, files),
    }
    wanted = [whole[s.name] for s in own if not s.is_spam]
    for name, files_of in MODERN_SETS.items():
        result[name] = _modern(trained, wanted, files_of)
    for name in SETS:
        result[f"arrived_{name}"] = _arrived(trained, wanted, name)
    json.dump(result, sys.stdout, indent=2, ensure_ascii=False)


def signs(message: bytes, found: Authentication | None = None) -> float:
    """What the signs and proofs add to the logit of the model."""
    header = Header(message)
    result = score.score(read(message, header), found or Authentication(), find_author(header), None)
    return sum(reason.weight for reason in result.reasons) - score.NEUTRAL_LOGIT + score.SIGNS_LOGIT


def _figures(pairs: Sequence[tuple[float, Any]]) -> dict[str, Any]:
    return asdict(measuring.measure(pairs, 0.9))


def _chronological(samples: Sequence[Sample], files: dict[str, Path]) -> dict[str, Any]:
    """Trained on what came first, tested on what came after the first four fifths of the spam.

    What was written for training is newer and stays out of both.
    """
    dated = sorted((_received_at(files[s.name]), s.name, s) for s in samples if s.source == "corpus")
    spam = [at for at, _, s in dated if s.is_spam]
    border = spam[int(len(spam) * (1 - _LAST))]
    late = [s for at, _, s in dated if at >= border]
    seen = {s.group for s in late}
    early = [s for at, _, s in dated if at < border and s.group not in seen]
    trained = training.train(training.balance(early))
    figures = _figures([(trained.raw(s.features), s) for s in late])
    return {"from": email.utils.formatdate(border)} | figures


def _received_at(file: Path) -> float:
    """When the collector got it: the topmost Received that can be read; 0 without."""
    for field in Header(file.read_bytes()[:65_536].replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")).all(
        b"received"
    ):
        with contextlib.suppress(ValueError, TypeError):
            text = field.text.rpartition(b";")[2].decode("latin-1")
            return email.utils.parsedate_to_datetime(text).timestamp()
    return 0.0


@dataclass(frozen=True)
class Modern:
    """One held-apart message: what model, signs and proofs say of it."""

    is_spam: bool
    kind: str
    title: str
    model: float
    whole: float
    authenticated: float


def _modern(trained: model.Model, ham: Sequence[float], files: tuple[str, str]) -> dict[str, Any]:
    """The held-apart messages, unauthenticated and with every check of their author passed."""
    found = list(_read_modern(trained, files))
    against = [(logit, Point("corpus", False)) for logit in ham]
    result: dict[str, Any] = {"messages": len(found)}
    views: dict[str, Callable[[Modern], float]] = {
        "model": lambda one: one.model,
        "whole": lambda one: one.whole,
        "whole_authenticated": lambda one: one.authenticated,
    }
    for name, view in views.items():
        spam = [(view(one), Point(one.title, True)) for one in found if one.is_spam]
        own = [(view(one), Point(one.title, False)) for one in found if not one.is_spam]
        result[name] = {
            "against_corpus_ham": _figures([*spam, *against]),
            "against_modern_ham": _figures([*spam, *own]),
        }
    kinds: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for one in found:
        kinds[f"{'spam' if one.is_spam else 'ham'} {one.kind}"].append((round(one.whole, 2), one.title))
    result["by_kind"] = {kind: sorted(some) for kind, some in sorted(kinds.items())}
    return result


def _read_modern(trained: model.Model, files: tuple[str, str]) -> Iterator[Modern]:
    for label, file in zip(("spam", "ham"), files, strict=True):
        for entry in json.loads((MODERN / file).read_text("utf-8")):
            message = to_wire(entry["message"].encode("utf-8"))
            document = read(message, Header(message))
            said = trained.logit(features.tokens(document).indexes)
            yield Modern(
                label == "spam",
                entry["kind"],
                f"{entry['lang']} {document.subject}",
                said,
                said + signs(message),
                said + signs(message, passing(document.author_domain)),
            )


def _arrived(trained: model.Model, ham: Sequence[float], which: str) -> dict[str, Any]:
    """Whole messages of many senders, each with what its own checks say."""
    alone, whole = [], []
    for one in arrived(which):
        said = trained.logit(features.tokens(read(one.message, Header(one.message))).indexes)
        point = Point(one.name, one.is_spam)
        alone.append((said, point))
        whole.append((said + signs(one.message, one.found), point))
    against = [(logit, Point("corpus", False)) for logit in ham]
    return {
        name: {
            "against_corpus_ham": _figures([pair for pair in pairs if pair[1].is_spam] + against),
            "against_own_ham": _figures(pairs),
        }
        for name, pairs in (("model", alone), ("whole", whole))
    }


if __name__ == "__main__":
    main()
