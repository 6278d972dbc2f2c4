"""Base subjects."""

from __future__ import annotations

import time

import pytest

from mailstack.mime.subject import BaseSubject, base_subject


@pytest.mark.parametrize(
    ("subject", "text", "is_reply"),
    [
        ("", "", False),
        ("hello", "hello", False),
        ("Re: hello", "hello", True),
        ("RE: Fwd: re : FW:hello", "hello", True),
        ("re[3]: hello", "hello", True),
        ("Re [ml] : hello", "hello", True),
        ("[ml] hello", "hello", False),
        ("[ml] Re: [ml] hello", "hello", True),
        ("[a] [b] hello", "hello", False),
        ("[a][b]", "[b]", False),
        ("Re: [a]", "[a]", True),
        ("hello (fwd)", "hello", True),
        ("hello (FWD) (fwd) ", "hello", True),
        ("[fwd: hello]", "hello", True),
        ("[Fwd: Re: [fwd: hello (fwd)]]", "hello", True),
        ("[fwd: hello] more", "more", False),
        ("[fwd:]", "", True),
        ("Re:", "", True),
        ("(fwd)", "", True),
        ("regarding: hello", "regarding: hello", False),
        ("Re hello", "Re hello", False),
        ("a \t\r\n  b", "a b", False),
        ("[unclosed Re: x", "[unclosed Re: x", False),
        ("hello [x]", "hello [x]", False),
        ("AW: hello", "AW: hello", False),
    ],
)
def test_a_base_subject_is_what_is_left(subject: str, text: str, is_reply: bool) -> None:
    assert base_subject(subject) == BaseSubject(text, is_reply)


@pytest.mark.parametrize("piece", ["[a]", "re:", "[fwd:", "(fwd)", "[", " ", "re[x]:", "[fwd:]"])
def test_hostile_subjects_take_linear_time(piece: str) -> None:
    started = time.process_time()
    for tail in ("", "x", "]" * 1_000):
        base_subject(piece * 100_000 + tail)
    assert time.process_time() - started < 5
