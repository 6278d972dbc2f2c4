"""Any octets: texts for searching, subjects, summaries and HTML: no exception, bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailstack.mime import html, packing, searchable
from mailstack.mime.header import Headers
from mailstack.mime.scanner import scan
from mailstack.mime.subject import base_subject
from mailstack.mime.summary import MAX_REFERENCES, MAX_TEXT, summarise
from tests.fuzz.test_fuzz_mime import OCTETS
from tests.kit.fuzzing import FUZZ

TAGS = st.sampled_from(
    [
        "<",
        ">",
        "</",
        "/>",
        "<a ",
        "<b>",
        "<img alt=",
        '"',
        "'",
        "<!--",
        "-->",
        "<script>",
        "</script>",
        "<!",
        "&lt",
        "x",
        " ",
    ]
)
SUBJECTS = st.sampled_from(["re", "fwd", ":", "[", "]", "[fwd:", "(fwd)", " ", "\t", "x", "é", "RE: "])


@FUZZ
@given(OCTETS, st.integers(0, 200))
def test_any_octets_have_texts_to_search(data: bytes, limit: int) -> None:
    found = searchable.read(data, limit=limit)
    for text in found[:-1]:
        assert isinstance(text, str)
        text.encode()
    assert searchable.header_text(data).header == found.header
    whole = searchable.read(data)
    if found.complete:
        assert found == whole


@FUZZ
@given(st.lists(TAGS | st.text(max_size=3), max_size=60).map("".join), st.integers(0, 30))
def test_any_text_is_read_as_html(source: str, enough: int) -> None:
    found = html.to_text(source)
    assert "\0" not in found
    assert len(html.to_text(source, enough=enough)) <= max(len(found), enough)


@FUZZ
@given(st.lists(SUBJECTS, max_size=40).map("".join))
def test_a_base_subject_has_none_left_to_take_off(subject: str) -> None:
    once = base_subject(subject)
    again = base_subject(once.text)
    assert again == (once.text, False)


@FUZZ
@given(OCTETS, st.integers(-(2**40), 2**40))
def test_any_octets_have_a_summary(data: bytes, internal_at: int) -> None:
    found = summarise(Headers.parse(data), internal_at)
    assert len(found.references) <= MAX_REFERENCES
    assert max(map(len, (found.subject, found.from_display, found.to_display))) <= MAX_TEXT


@FUZZ
@given(OCTETS)
def test_the_parts_of_any_octets_can_be_packed(data: bytes) -> None:
    message = scan(data)
    packed = packing.pack(message)
    found = packing.unpack(packed)
    assert found is not None
    assert packing.pack(found) == packed


@FUZZ
@given(
    st.binary(max_size=40)
    | st.lists(st.integers(-3, 9) | st.just("x"), max_size=18).map(lambda v: repr(v).encode())
)
def test_any_octets_can_be_unpacked(packed: bytes) -> None:
    packing.unpack(packed)
