"""A message on its way in."""

from __future__ import annotations

from mailstack.imap.requests import Spill, Steps
from mailstack.imap.upload import Upload


class File:
    path = "/somewhere"


def drive(steps: Steps[None]) -> list[Spill]:
    asked: list[Spill] = []
    answer: object = None
    while True:
        try:
            request = steps.send(answer)
        except StopIteration:
            return asked
        assert isinstance(request, Spill)
        asked.append(request)
        answer = request.spool or File()


def test_a_small_literal_stays_in_memory() -> None:
    upload = Upload()
    for piece in (b"a\r", b"\nb", b""):
        upload.add(piece)
    assert drive(upload.finish()) == []
    assert (upload.data, upload.octets, upload.has_nul) == (b"a\r\nb", 4, False)


def test_what_was_begun_in_a_file_ends_there() -> None:
    upload = Upload(literal8=True)
    upload.add(b"ab")
    first = drive(upload.spill())
    upload.add(b"c\0")
    last = drive(upload.finish())
    assert [each.data for each in first + last] == [b"ab", b"c\0"]
    assert first[0].spool is None and last[0].spool is not None
    assert (upload.data, upload.octets, upload.held, upload.has_nul) == (None, 4, 0, True)
    assert drive(upload.spill()) == []
