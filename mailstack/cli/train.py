"""`mailstack train`: makes the shared prior from folders of messages, and measures it.

The same folders give the same file, octet for octet; docs/classifier.md has the recipe.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mailstack.cli import train_user
from mailstack.cli.context import fail, group, show, talk
from mailstack.cli.progress import progress
from mailstack.cli.training_mail import Sources, read_all, read_folders, read_written
from mailstack.disk.durable import store
from mailstack.filters.spam import hashing, measuring, model, training
from mailstack.filters.spam.training import Read, Sample

app = group("Trains the shared prior and measures it; shows and forgets what addresses taught.")

train_user.register(app)

#: Passes of one training: three views of spam.
_PASSES = (len(hashing.VIEWS) - 1) * training.EPOCHS
_HEAD_PASSES = len(model.CLASS_HEADS) * (training.FOLDS + 1) * training.EPOCHS

Folders = Annotated[list[Path] | None, typer.Option(help="folder of messages; may be given several times")]
Written = Annotated[
    list[Path] | None, typer.Option(help="folder of written mail (JSON); may be given several times")
]
Everyday = Annotated[bool, typer.Option(help="also learn mailstack's own everyday mail")]


@app.callback(invoke_without_command=True)
def train(
    ctx: typer.Context,
    spam: Folders = None,
    ham: Annotated[list[Path] | None, typer.Option(help="folder of wanted mail")] = None,
    promotions: Annotated[list[Path] | None, typer.Option(help="folder of wanted offers")] = None,
    social: Annotated[list[Path] | None, typer.Option(help="folder of social notifications")] = None,
    written: Written = None,
    out: Annotated[Path, typer.Option(help="file for the weights")] = Path("prior.bin"),
    everyday: Everyday = True,
) -> None:
    """Trains on folders of messages and writes the weights."""
    if ctx.invoked_subcommand is not None:
        return
    _want_both(spam, ham, written)
    sources = Sources(spam or (), ham or (), promotions or (), social or (), written or (), everyday)
    messages, fingerprint = read_all(sources)
    samples = _samples(messages)
    with progress("training", (training.FOLDS + 1) * _PASSES + _HEAD_PASSES) as step:
        scored = training.out_of_fold(samples, step)
        trained = training.finish(samples, scored, fingerprint, step)
    store(out, [model.dump(trained)], temporary=out.with_name(f".{out.name}.{os.getpid()}.tmp"), mode=0o644)
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    quality = _qualities(scored, trained.slope, trained.intercept)
    show({"file": str(out), "sha256": digest, "input_sha256": fingerprint, "cross_validation": quality})


@app.command()
def evaluate(
    spam: Folders = None,
    ham: Folders = None,
    written: Written = None,
    model_file: Annotated[
        Path | None, typer.Option("--model", help="weights to measure; without: cross validation")
    ] = None,
    everyday: Everyday = True,
) -> None:
    """Measures a model on folders of messages, or by five-fold cross validation."""
    if model_file is None:
        _want_both(spam, ham, written)
        samples = _samples(read_all(Sources(spam or (), ham or (), (), (), written or (), everyday))[0])
        with progress("training", training.FOLDS * _PASSES) as step:
            scored = training.out_of_fold(samples, step)
        slope, intercept = measuring.calibrate(
            [(raw, s.is_spam, s.weight) for raw, s in scored], share=measuring.SPAM_SHARE
        )
        show(_qualities(scored, slope, intercept))
        return
    try:
        trained = model.load(model_file.read_bytes())
    except OSError as error:
        fail(os.EX_NOINPUT, f"{model_file}: {error.strerror or error}")
    except model.BadModel as error:
        fail(os.EX_DATAERR, f"{model_file}: {error}")
    found: list[Read] = [*read_folders(spam or (), "spam"), *read_folders(ham or (), "ham")]
    found += read_written(written or ())
    pairs = [(trained.raw(one.tokens.indexes), _unbalanced(one)) for one in found]
    show(_qualities(pairs, trained.slope, trained.intercept))


def _want_both(spam: Folders, ham: Folders, written: Written) -> None:
    if not (spam and ham) and not written:
        fail(os.EX_USAGE, "want at least one --spam and one --ham folder, or --written")


def _unbalanced(one: Read) -> Sample:
    return training.to_sample(one.tokens, label=one.label, group=one.group, name=one.name, source=one.source)


def _samples(messages: Sequence[Read]) -> list[Sample]:
    samples = training.to_samples(messages)
    left_out = sum(not sample.weight for sample in samples)
    talk(f"{len(samples)} messages, {left_out} of them of languages that are only spam or only wanted here")
    return samples


def _qualities(
    scored: Iterable[tuple[float, Sample]], slope: float, intercept: float
) -> dict[str, dict[str, object]]:
    """By source: the corpus apart from what was written."""
    by_source: dict[str, list[tuple[float, Sample]]] = {}
    for raw, sample in scored:
        if sample.source != "everyday":
            by_source.setdefault(sample.source, []).append((slope * raw + intercept, sample))
    return {source: asdict(measuring.measure(pairs, 0.9)) for source, pairs in sorted(by_source.items())}
