"""`mailstack train`: makes the shared prior from folders of messages, and measures it.

The same folders give the same file, octet for octet; docs/classifier.md has the recipe.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from mailstack.cli import train_user
from mailstack.cli.context import fail, group, show, talk
from mailstack.cli.message_file import to_wire
from mailstack.cli.progress import progress
from mailstack.disk.durable import store
from mailstack.filters.document import read
from mailstack.filters.fields import Header
from mailstack.filters.spam import features, model, training

app = group("train the classifier's shared prior, and measure it")

train_user.register(app)

#: Larger files are no mail to learn from.
MAX_FILE_OCTETS = 4_194_304
_SPACE = re.compile(rb"\s+")

Folders = Annotated[list[Path], typer.Option(help="folder of messages; may be given several times")]
More = Annotated[list[Path] | None, typer.Option(help="folder of wanted bulk mail")]


@app.callback(invoke_without_command=True)
def train(
    ctx: typer.Context,
    spam: Annotated[
        list[Path] | None, typer.Option(help="folder of spam; may be given several times")
    ] = None,
    ham: Annotated[list[Path] | None, typer.Option(help="folder of wanted mail")] = None,
    promotions: More = None,
    social: More = None,
    out: Annotated[Path, typer.Option(help="file for the weights")] = Path("prior.bin"),
    everyday: Annotated[bool, typer.Option(help="also learn mailstack's own everyday mail")] = True,
) -> None:
    """Trains on folders of messages and writes the weights."""
    if ctx.invoked_subcommand is not None:
        return
    if not spam or not ham:
        fail(os.EX_USAGE, "want at least one --spam and one --ham folder")
    samples, fingerprint = _samples(spam, [*ham, *(promotions or []), *(social or [])], everyday=everyday)
    with progress("training", (training.FOLDS + 1) * training.EPOCHS) as step:
        scored = [pair for pair in training.out_of_fold(samples, step) if not _is_everyday(pair[1])]
        slope, intercept = training.calibrate(scored, spam_share=training.SPAM_SHARE)
        trained = replace(
            training.train(samples, step), slope=slope, intercept=intercept, fingerprint=fingerprint
        )
    store(out, [model.dump(trained)], temporary=out.with_name(f".{out.name}.{os.getpid()}.tmp"), mode=0o644)
    quality = _quality(scored, slope, intercept)
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    show({"file": str(out), "sha256": digest, "input_sha256": fingerprint, "cross_validation": quality})


@app.command()
def evaluate(
    spam: Folders,
    ham: Folders,
    model_file: Annotated[
        Path | None, typer.Option("--model", help="weights to measure; without: cross validation")
    ] = None,
    everyday: Annotated[bool, typer.Option(help="in cross validation, also learn the everyday mail")] = True,
) -> None:
    """Measures a model on folders of messages, or by five-fold cross validation."""
    if model_file is None:
        samples, _ = _samples(spam, ham, everyday=everyday)
        with progress("training", training.FOLDS * training.EPOCHS) as step:
            scored = [pair for pair in training.out_of_fold(samples, step) if not _is_everyday(pair[1])]
        slope, intercept = training.calibrate(scored, spam_share=training.SPAM_SHARE)
        show(_quality(scored, slope, intercept))
        return
    try:
        trained = model.load(model_file.read_bytes())
    except (OSError, model.BadModel) as error:
        fail(os.EX_DATAERR, f"{model_file}: {error}")
    found = [*_read(spam, is_spam=True), *_read(ham, is_spam=False)]
    pairs = [
        (trained.raw(model.indexes(tokens)), training.to_sample(tokens, is_spam=s, group=g, name=n))
        for tokens, s, g, n in found
    ]
    show(_quality(pairs, trained.slope, trained.intercept))


def _quality(
    scored: Sequence[tuple[float, training.Sample]], slope: float, intercept: float
) -> training.Quality:
    return training.measure([(slope * raw + intercept, sample) for raw, sample in scored], 0.9)


def _is_everyday(sample: training.Sample) -> bool:
    return sample.group.startswith("everyday ")


def _samples(
    spam: Sequence[Path], ham: Sequence[Path], *, everyday: bool
) -> tuple[list[training.Sample], str]:
    """Samples in a fixed order, and a hash over what they were made of."""
    samples = []
    digest = hashlib.sha256(f"{training.SEED} {training.EPOCHS} {training.RATE} {training.BIAS}".encode())
    left_out = 0
    for tokens, is_spam, text_hash, name in [*_read(spam, is_spam=True), *_read(ham, is_spam=False)]:
        if not training.is_english(tokens):
            left_out += 1
            continue
        digest.update(f"{is_spam} {text_hash}\n".encode())
        samples.append(training.to_sample(tokens, is_spam=is_spam, group=text_hash, name=name))
    if everyday:
        seeds = (resources.files("mailstack.filters.spam") / "everyday.json").read_text("utf-8")
        digest.update(seeds.encode())
        for name, message in training.everyday(seeds):
            tokens = features.tokens(read(message, Header(message)))
            where = name.rpartition(" ")[0]
            samples.append(training.to_sample(tokens, is_spam=False, group=where, name=name))
    talk(f"{len(samples)} messages, {left_out} left out because they are not English")
    return samples, digest.hexdigest()


def _read(folders: Sequence[Path], *, is_spam: bool) -> Iterator[tuple[list[str], bool, str, str]]:
    files = sorted((file for folder in folders for file in _files(folder)), key=lambda file: file.name)
    with progress("reading", len(files)) as step:
        for file in files:
            message = to_wire(file.read_bytes()[:MAX_FILE_OCTETS])
            document = read(message, Header(message))
            body = _SPACE.sub(b"", message[document.header.body_at :])
            step()
            yield features.tokens(document), is_spam, hashlib.sha256(body).hexdigest(), file.name


def _files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        fail(os.EX_NOINPUT, f"{folder} is not a folder")
    yield from (file for file in folder.rglob("*") if file.is_file())
