"""Reads what the classifier is trained on: folders of messages, written mail, the seed file."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from mailstack.cli.context import fail
from mailstack.cli.message_file import MAX_LEARNED_OCTETS, files_below, message_files, to_wire
from mailstack.cli.progress import progress
from mailstack.filters.document import read
from mailstack.filters.fields import Header
from mailstack.filters.spam import features, training, written
from mailstack.filters.spam.training import Read
from mailstack.model.verdict import Class

#: Every written message is made in these shapes, so that no shape tells a label.
SHAPES: tuple[written.Shape, ...] = ("plain", "html", "both", "card")
_SPACE = re.compile(rb"\s+")


@dataclass(frozen=True, slots=True)
class Sources:
    """Where training mail comes from: folders of messages, and of written mail."""

    spam: Sequence[Path] = ()
    ham: Sequence[Path] = ()
    promotions: Sequence[Path] = ()
    social: Sequence[Path] = ()
    written: Sequence[Path] = ()
    everyday: bool = True


def read_all(sources: Sources) -> tuple[list[Read], str]:
    """Messages in a fixed order, and a hash over what they were made of."""
    recipe = (training.SEED, training.EPOCHS, training.RATE, training.BIAS, features.VERSION)
    digest = hashlib.sha256(repr(recipe).encode())
    found: list[Read] = []
    folders: tuple[tuple[Class, Sequence[Path]], ...] = (
        ("spam", sources.spam),
        ("ham", sources.ham),
        ("promotions", sources.promotions),
        ("social", sources.social),
    )
    for label, paths in folders:
        for message in read_folders(paths, label):
            digest.update(f"{label} {message.group}\n".encode())
            found.append(message)
    for message in read_written(sources.written):
        found.append(message)
    for file in _json_files(sources.written):
        digest.update(file.read_bytes())
    if sources.everyday:
        seeds = (resources.files("mailstack.filters.spam") / "everyday.json").read_text("utf-8")
        digest.update(seeds.encode())
        found += _everyday(seeds)
    return found, digest.hexdigest()


def read_folders(folders: Sequence[Path], label: Class) -> Iterator[Read]:
    """Every message of the folders, by the name of its file.

    Raises:
        CommandFailed: there is none in them, or they cannot be read.
    """
    files = sorted(message_files(folders), key=lambda file: file.name)
    if folders and not files:
        fail(os.EX_USAGE, f"there is no message in {', '.join(map(str, folders))}")
    with progress("reading", len(files)) as step:
        for file in files:
            message = to_wire(file.read_bytes()[:MAX_LEARNED_OCTETS])
            document = read(message, Header(message))
            body = _SPACE.sub(b"", message[document.header.body_at :])
            step()
            yield Read(features.tokens(document), label, hashlib.sha256(body).hexdigest(), file.name)


def read_written(folders: Sequence[Path]) -> Iterator[Read]:
    """The written messages of all JSON files, each in several shapes.

    Raises:
        CommandFailed: there is none in them, or they cannot be read.
    """
    files = _json_files(folders)
    if folders and not files:
        fail(os.EX_USAGE, f"there is no file .json in {', '.join(map(str, folders))}")
    with progress("making", len(files)) as step:
        for file in files:
            try:
                entries = written.parse(file.read_bytes())
            except written.BadWritten as error:
                fail(os.EX_DATAERR, f"{file}: {error}")
            for number, entry in enumerate(entries):
                yield from _shaped(entry, f"{file.stem}-{number}")
            step()


def _shaped(entry: written.Written, name: str, source: str = "written") -> Iterator[Read]:
    group = hashlib.sha256(f"{entry.subject}\n{entry.body}".encode()).hexdigest()
    shapes = (*SHAPES, "image") if entry.shape == "image" else SHAPES
    makes: list[tuple[written.Shape, bool]] = [(shape, False) for shape in shapes] + [("plain", True)]
    for variant, (shape, is_bare) in enumerate(makes):
        message = written.render(entry, shape=shape, variant=variant, is_bare=is_bare)
        tokens = features.tokens(read(message, Header(message)))
        weight = training.WRITTEN_WEIGHT / len(makes)
        yield Read(tokens, entry.label, group, f"{name}-{'bare' if is_bare else shape}", source, weight)


def _everyday(seeds: str) -> Iterator[Read]:
    for number, entry in enumerate(training.everyday(seeds)):
        yield from _shaped(entry, f"everyday-{number}", "everyday")


def _json_files(folders: Sequence[Path]) -> list[Path]:
    return [file for folder in folders for file in files_below(folder) if file.suffix == ".json"]
