"""The shipped prior comes from the recipe in docs/classifier.md."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tarfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from mailstack.cli import main
from mailstack.cli.message_file import to_wire
from mailstack.filters.document import read
from mailstack.filters.fields import Header
from mailstack.filters.spam import features

ROOT = Path(__file__).parents[3]
CORPUS = Path(os.environ.get("MAILSTACK_CORPUS", ROOT.parent / "shared" / "corpus" / "mail-dev.tar.xz"))
PRIOR = ROOT / "mailstack" / "filters" / "spam" / "prior.bin"


def test_the_shipped_prior_is_the_documented_one() -> None:
    digest = hashlib.sha256(PRIOR.read_bytes()).hexdigest()
    assert digest in (ROOT / "docs" / "classifier.md").read_text()


def unpacked() -> Iterator[tuple[str, str, bytes]]:
    """Label, name and octets of the messages of the corpus."""
    with tarfile.open(CORPUS) as archive:
        for member in archive:
            found = re.fullmatch(r"dev/(ham|spam)/([\w.-]+)", member.name.removeprefix("./"))
            stream = archive.extractfile(member) if found and member.isfile() else None
            if found and stream is not None:
                yield found[1], found[2], stream.read()


#: Fields that tell the collector, its lists, mailboxes and programs.
LEAKING = re.compile(
    rb"(?:received|delivered-to|delivery-date|return-path|sender|errors-to|precedence|mailing-list|user-agent"
    rb"|list-[a-z-]+|x-[a-z0-9-]+|organization|date|lines|status|old-[a-z-]+|mail-followup-to|thread-[a-z]+)\Z"
)


@pytest.mark.skipif(not CORPUS.exists(), reason="the corpus is not here")
def test_what_leaks_the_label_is_not_looked_at() -> None:
    for _, name, octets in islice(unpacked(), 0, 3_800, 10):
        message = to_wire(octets)
        header = Header(message)
        kept = b"".join(field.raw for field in header.fields if not LEAKING.match(field.name))
        stripped = kept + b"\r\n" + message[header.body_at :]
        without, whole = (features.tokens(read(o, Header(o))) for o in (stripped, message))
        assert (list(without), without.indexes) == (list(whole), whole.indexes), name


@pytest.mark.slow
@pytest.mark.skipif(not CORPUS.exists(), reason="the corpus is not here")
def test_training_on_the_corpus_gives_the_shipped_prior(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for label, name, octets in unpacked():
        (tmp_path / label).mkdir(exist_ok=True)
        (tmp_path / label / name).write_bytes(octets)
    folders = ["--spam", str(tmp_path / "spam"), "--ham", str(tmp_path / "ham")]
    folders += ["--written", str(ROOT / "data" / "classifier")]
    assert main.run(["--json", "train", *folders, "--out", str(tmp_path / "prior.bin")]) == 0
    quality = json.loads(capsys.readouterr().out)["cross_validation"]["corpus"]
    assert quality["auc"] >= 0.9995
    assert quality["recall_at"]["0.000"] >= 0.8
    assert quality["recall_at"]["0.001"] >= 0.9
    assert quality["false_positives"] < 0.004
    assert (tmp_path / "prior.bin").read_bytes() == PRIOR.read_bytes()
