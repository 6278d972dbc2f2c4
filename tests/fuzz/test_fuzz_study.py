"""Stored mail as the filter studies it: nothing in it proves an author but what stands on top."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from mailstack.app.filter_steps import Setup
from mailstack.app.filter_worker import make_tools
from mailstack.app.lessons import LessonBook
from mailstack.filters.options import FilterOptions
from mailstack.filters.study import MAX_RECIPIENTS, digest, unpack
from mailstack.filters.teaching import marks_of, place_of
from mailstack.model.directory import FilterSettings
from tests.kit.fuzzing import FUZZ

_TOOLS = make_tools(Setup(FilterOptions(), "mx.home.test"))
_OURS = b"Received: by mx.home.test; x\r\n"
_PIECES = st.sampled_from(
    [
        b"Authentication-Results: mx.home.test; dmarc=pass header.from=a.test\r\n",
        b"Authentication-Results: (mx.home.test; dmarc=pass\r\n",
        b'Authentication-Results: "mx.home.test" 1; spf=pass smtp.mailfrom=@; dkim=pass header.d=\r\n',
        b"X-Mailstack-Verdict: class=spam; score=1; action=junk\r\n",
        b"X-Mailstack-Verdict: class=",
        b"Received: x\r\n",
        b"From: a@a.test\r\n",
        b"From: =?utf-8?q?=\r\n",
        b"To: a@b.test, <c@d.test>, group: e@f.test;\r\n",
        b"Message-ID: <>\r\n",
        b"\r\n",
        b"<html><p style='display:none'>",
        b"\0\xff",
    ]
)


@FUZZ
@given(st.lists(st.one_of(_PIECES, st.binary(max_size=60)), max_size=12).map(b"".join))
@example(b"")
def test_any_octets_are_studied(octets: bytes) -> None:
    found = digest(octets, _TOOLS)
    assert len(found.id) == 16 and len(found.recipients) <= MAX_RECIPIENTS
    assert -20 < found.logit < 20 and all(n >= 0 for n in unpack(found.indexes))
    assert found.filed in ("", "ham", "spam", "promotions", "social")
    # What a stranger sent stands below our Received and theirs: it proves nothing.
    below = digest(_OURS + b"Received: from far\r\n" + octets, _TOOLS)
    assert not below.is_authenticated and below.filed == ""


@FUZZ
@given(st.text(max_size=60), st.sampled_from(["", "\\Junk", "\\Trash", "\\Archive"]))
def test_any_folder_name_has_a_place(name: str, use: str) -> None:
    assert place_of(name, use, FilterSettings()) in ("", "ham", "spam", "promotions", "social")
    assert marks_of([name]) <= {"junk", "phishing", "notjunk"}


@FUZZ
@given(st.binary(max_size=200))
def test_any_file_of_lessons_is_read(tmp_path_factory, octets: bytes) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path_factory.mktemp("lessons")
    (folder / "lessons").write_bytes(octets)
    for one in LessonBook(folder).read():
        assert one.label in ("ham", "spam", "promotions", "social")
