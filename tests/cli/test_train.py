"""mailstack train: makes a model that can be used, the same one each time."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mailstack.cli import main
from mailstack.cli.message_file import message_files
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


@pytest.mark.parametrize("command", [("--out", "m.bin"), ("evaluate",)])
def test_a_folder_without_messages_teaches_nothing(
    mails: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(mails)
    (mails / "none").mkdir()
    assert main.run(["train", *command, "--spam", "none", "--ham", "ham"]) == os.EX_USAGE
    assert "there is no message in none\n" in capsys.readouterr().err
    assert main.run(["train", *command, "--written", "ham"]) == os.EX_USAGE
    assert "there is no file .json in ham\n" in capsys.readouterr().err
    assert not Path("m.bin").exists()


def test_a_broken_model_is_bad_data(mails: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (mails / "bad.bin").write_bytes(b"junk")
    assert run(capsys, "evaluate", *folders(mails), "--model", str(mails / "bad.bin"))[0] == os.EX_DATAERR


MESSAGE = "From: a@b.test\nSubject: x\n\nhello\n"
POSTMARK = "From a@b.test Sat Nov 22 13:00:00 2026\n"


def learned(folder: Path) -> list[str]:
    return [str(file.relative_to(folder)) for file in message_files([folder])]


def fill(folder: Path, **files: str) -> None:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def test_of_a_maildir_only_its_messages_are_learned(tmp_path: Path) -> None:
    fill(
        tmp_path, **{"cur/1:2,S": MESSAGE, "new/2": MESSAGE, "tmp/3": MESSAGE, "dovecot.index": "Subject: x"}
    )
    fill(tmp_path, **{".Spam/cur/4": MESSAGE, "expunged/1/5": MESSAGE})
    (tmp_path / ".Spam/new").mkdir()
    assert learned(tmp_path) == ["cur/1:2,S", "new/2"]
    assert learned(tmp_path / ".Spam") == ["cur/4"]


def test_maildirs_and_folders_of_messages_may_lie_below_a_folder(tmp_path: Path) -> None:
    fill(
        tmp_path,
        **{".Sent/cur/1": MESSAGE, ".Sent/new/2": MESSAGE, "b/c/3.eml": MESSAGE, "a": POSTMARK + MESSAGE},
    )
    assert learned(tmp_path) == [".Sent/cur/1", ".Sent/new/2", "a", "b/c/3.eml"]


def test_files_that_are_no_message_are_named_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(tmp_path, **{"1.eml": MESSAGE, ".DS_Store": "Subject: x\n", ".git/HEAD": "ref: x\n"})
    fill(tmp_path, README="All about\nthese files.\n\nFrom: nobody\n", empty="", evil="\x1b")
    (tmp_path / "evil").rename(tmp_path / "e\x1b")
    assert learned(tmp_path) == ["1.eml"]
    said = capsys.readouterr().err.splitlines()
    assert said == [
        f"left out, because it is no message: {tmp_path}/{name}" for name in ("README", r"e\x1b", "empty")
    ]


def test_many_files_that_are_no_message_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(tmp_path, **{f"{n:02}": "" for n in range(14)})
    assert learned(tmp_path) == []
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 11 and said[-1] == "and 4 more"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_an_mbox_is_refused_and_what_to_do_is_said(
    mails: Path, capsys: pytest.CaptureFixture[str], end: str
) -> None:
    mbox = (POSTMARK + MESSAGE + "\n" + POSTMARK + MESSAGE).replace("\n", end)
    (mails / "ham" / "all").write_bytes(mbox.encode())
    assert main.run(["train", *folders(mails), "--out", str(mails / "m.bin")]) == os.EX_DATAERR
    said = capsys.readouterr().err
    assert (
        f"{mails}/ham/all holds more than one message (mbox); 'git mailsplit -oDIR {mails}/ham/all'" in said
    )
    assert not (mails / "m.bin").exists()


def test_a_message_that_quotes_a_postmark_is_no_mbox(tmp_path: Path) -> None:
    fill(
        tmp_path,
        a=POSTMARK + MESSAGE + "\nFrom a friend on Sat Nov 22:\nhello: you\n",
        b=MESSAGE + "\n" + POSTMARK + MESSAGE,
    )
    assert learned(tmp_path) == ["a", "b"]
