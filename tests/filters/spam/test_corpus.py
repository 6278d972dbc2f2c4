"""The shipped prior comes from the recipe in docs/classifier.md."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tarfile
from pathlib import Path

import pytest

from mailstack.cli import main

ROOT = Path(__file__).parents[3]
CORPUS = Path(os.environ.get("MAILSTACK_CORPUS", ROOT.parent / "shared" / "corpus" / "mail-dev.tar.xz"))
PRIOR = ROOT / "mailstack" / "filters" / "spam" / "prior.bin"


def test_the_shipped_prior_is_the_documented_one() -> None:
    digest = hashlib.sha256(PRIOR.read_bytes()).hexdigest()
    assert digest in (ROOT / "docs" / "classifier.md").read_text()


@pytest.mark.slow
@pytest.mark.skipif(not CORPUS.exists(), reason="the corpus is not here")
def test_training_on_the_corpus_gives_the_shipped_prior(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with tarfile.open(CORPUS) as archive:
        for member in archive:
            found = re.fullmatch(r"dev/(ham|spam)/([\w.-]+)", member.name.removeprefix("./"))
            stream = archive.extractfile(member) if found and member.isfile() else None
            if found and stream is not None:
                (tmp_path / found[1]).mkdir(exist_ok=True)
                (tmp_path / found[1] / found[2]).write_bytes(stream.read())
    folders = ["--spam", str(tmp_path / "spam"), "--ham", str(tmp_path / "ham")]
    folders += ["--written", str(ROOT / "data" / "classifier")]
    assert main.run(["--json", "train", *folders, "--out", str(tmp_path / "prior.bin")]) == 0
    quality = json.loads(capsys.readouterr().out)["cross_validation"]["corpus"]
    assert quality["auc"] >= 0.9995
    assert quality["recall_at"]["0.000"] >= 0.8
    assert quality["recall_at"]["0.001"] >= 0.9
    assert quality["false_positives"] < 0.004
    assert (tmp_path / "prior.bin").read_bytes() == PRIOR.read_bytes()
