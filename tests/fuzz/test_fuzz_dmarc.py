"""Whatever stands in From and in the DNS: DMARC gives a word, asks little, and never passes a stranger."""

# ruff: noqa: E501

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailstack.filters.authentication import dmarc
from mailstack.filters.authentication.dmarc_record import POLICIES, Record, is_record, parse
from mailstack.filters.fields import Header
from mailstack.model.verdict import DkimResult, SpfResult
from tests.kit.fuzzing import FUZZ
from tests.kit.lookups import resolve_counted

TAGS = st.sampled_from(
    ["v=DMARC1", "p=reject", "p=none", "P=Quarantine", "sp=reject", "np=none", "psd=y", "psd=n", "t=y", "adkim=s", "aspf=s",
     "rua=mailto:a@b.test", "pct=0", "x", "=", "", " ", "p=", "fo=1:d", "\u00e9=1"]
)  # fmt: skip
RECORD = st.lists(TAGS | st.text(max_size=5), max_size=8).map(lambda tags: "v=DMARC1;" + ";".join(tags))
NAMES = ["example.org", "a.example.org", "b.a.example.org", "org"]
ZONE = st.dictionaries(st.sampled_from(NAMES), st.lists(RECORD, max_size=2) | st.just("SERVFAIL"))
FROM = st.lists(
    st.sampled_from(
        [b"a@b.a.example.org", b"<x@example.org>", b"Bob", b",", b'"q" ', b"(c)", b"g:", b";", b"@", b"\xff", b"=?utf-8?q?x?=",
         b"\r\nFrom: y@a.example.org", b" ", b"x@org", b"x@[192.0.2.1]", b"<", b">"]
    ),
    max_size=6,
).map(b"".join)  # fmt: skip


@FUZZ
@given(st.text(max_size=80) | RECORD)
def test_any_text_is_a_record_or_a_reason(text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    record = parse(data)
    assert isinstance(record, Record | str)
    if isinstance(record, Record):
        assert record.policy in POLICIES
    assert isinstance(is_record(data), bool)


@FUZZ
@given(FROM, ZONE, st.booleans())
def test_any_author_and_zone_give_a_word(author: bytes, zone: dict[str, object], signed: bool) -> None:
    table = {f"_dmarc.{name}": {"TXT": records} for name, records in zone.items()}
    found = dmarc.find_author(Header(b"From: " + author + b"\r\n\r\n"))
    dkim = (DkimResult("pass", "stranger.test", "s"),) if signed else ()
    result, asked = resolve_counted(lambda k: dmarc.check(found, SpfResult(), dkim, k), table)  # type: ignore[arg-type]
    assert result.result in ("fail", "none", "temperror")
    assert result.policy in (*POLICIES, None)
    assert result.disposition in POLICIES
    assert len(asked) <= 9 * max(len(found.domains), 1)
