"""mailstack train: makes a model that can be used, the same one each time."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mailstack.cli import main
from mailstack.filters.spam import hashing, model


@pytest.fixture
def mails(tmp_path: Path) -> Path:
    for kind, text in (
        ("ham", "thanks for the meeting report and the budget"),
        ("spam", "viagra casino winner claim"),
    ):
        (tmp_path / kind).mkdir()
        for n in range(25):
            (tmp_path / kind / f"{n}.eml").write_text(
                f"From: a@b.test\nSubject: {kind}\n\n{text} number w{n}\n"
            )
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main.run(["--json", "train", *arguments])
    return code, capsys.readouterr().out


def folders(mails: Path) -> tuple[str, ...]:
    return "--spam", str(mails / "spam"), "--ham", str(mails / "ham")


def test_training_twice_gives_the_same_file(mails: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = []
    for name in ("one.bin", "two.bin"):
        code, out = run(capsys, *folders(mails), "--no-everyday", "--out", str(mails / name))
        assert code == 0
        outputs.append(json.loads(out) | {"file": ""})
    assert outputs[0] == outputs[1]
    assert (mails / "one.bin").read_bytes() == (mails / "two.bin").read_bytes()
    trained = model.load((mails / "one.bin").read_bytes())
    logits = [
        trained.logit(hashing.indexes(words)) for words in (["viagra", "casino"], ["thanks", "meeting"])
    ]
    assert logits[0] > logits[1]
    assert outputs[0]["cross_validation"]["corpus"]["auc"] == 1.0


def test_a_model_can_be_measured(mails: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, *folders(mails), "--no-everyday", "--out", str(mails / "m.bin"))
    code, out = run(capsys, "evaluate", *folders(mails), "--model", str(mails / "m.bin"))
    assert code == 0
    assert json.loads(out)["corpus"]["auc"] == 1.0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), os.EX_USAGE),
        (("evaluate",), os.EX_USAGE),
        (("--spam", "nowhere", "--ham", "nowhere"), os.EX_NOINPUT),
        (("evaluate", "--model", "nowhere"), os.EX_NOINPUT),
    ],
)
def test_mistakes_have_their_exit_codes(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int
) -> None:
    assert run(capsys, *arguments)[0] == code


def test_a_broken_model_is_bad_data(mails: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (mails / "bad.bin").write_bytes(b"junk")
    assert run(capsys, "evaluate", *folders(mails), "--model", str(mails / "bad.bin"))[0] == os.EX_DATAERR
