"""Log lines: one event, one line, whoever wrote what."""

from __future__ import annotations

import io
import logging
import re

import pytest

from mailstack.app.logs import LineFormatter, set_up


def record(message: str, *arguments: object, level: int = logging.WARNING) -> logging.LogRecord:
    return logging.LogRecord("mailstack.net.bus", level, __file__, 1, message, arguments, None)


@pytest.mark.parametrize("forged", ["a\nb", "a\r\nb", "a\x85b", "a\u2028b", "a\x1b[31mb", "a\0b"], ids=repr)
def test_what_a_peer_wrote_cannot_begin_a_line(forged: str) -> None:
    # T92
    line = LineFormatter("smtp", journal=False).format(record("said %s", forged))
    assert len(line.splitlines()) == 1
    assert "\x1b" not in line and "\0" not in line


def test_a_line_tells_when_who_and_how_bad() -> None:
    line = LineFormatter("smtp", journal=False).format(record("all %s", "well"))
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z smtp\[\d+\] warning net\.bus: all well", line
    )


@pytest.mark.parametrize(
    ("level", "mark"), [(logging.INFO, "<6>"), (logging.WARNING, "<4>"), (logging.ERROR, "<3>"), (5, "<5>")]
)
def test_the_journal_gets_priorities_and_no_stamps(level: int, mark: str) -> None:
    line = LineFormatter("smtp", journal=True).format(record("x", level=level))
    assert line.startswith(mark) and line.endswith("net.bus: x")


def test_every_line_of_a_traceback_is_marked() -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        import sys

        made = record("failed")
        made.exc_info = sys.exc_info()
    lines = LineFormatter("smtp", journal=True).format(made).split("\n")
    assert len(lines) > 3
    assert all(line.startswith("<4>") for line in lines)
    assert lines[-1].endswith("ValueError: broken")


def test_set_up_twice_writes_once() -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    try:
        set_up("imap", stream=stream)
        set_up("imap", stream=stream)
        logging.getLogger("mailstack.test").warning("once")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    assert stream.getvalue().count("once") == 1
