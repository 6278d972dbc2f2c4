"""Whatever the records say, SPF ends, asks within its limits, and gives an RFC 7208 word."""

# ruff: noqa: E501

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailstack.filters.authentication import spf
from tests.kit.fuzzing import FUZZ
from tests.kit.lookups import resolve_counted

WORDS = {"pass", "fail", "softfail", "neutral", "none", "temperror", "permerror"}
TERMS = st.sampled_from(
    ["all", "-all", "~all", "?all", "+all", "a", "mx", "ptr", "a:b.test", "a/24", "a/24//64", "mx:c.test/8", "include:b.test",
     "include:c.test", "include:example.test", "redirect=b.test", "redirect=c.test", "exists:%{i}.b.test", "exists:%{l1r+-}.x",
     "ip4:192.0.2.0/24", "ip4:192.0.2.300", "ip6:2001:db8::/32", "ip6:::", "exp=x.test", "exp=%{p}", "unknown=1", "%{", "%%",
     "a:%{h}", "a:%{d5}.test", "ptr:%{o}", "/33", "ip4:1.2.3.4/99", "A:B.TEST", "mx//129", "a:", "include", "=x"]
)  # fmt: skip
RECORD = st.lists(TERMS | st.text(max_size=6), max_size=14).map(lambda terms: "v=spf1 " + " ".join(terms))
ENTRY = st.fixed_dictionaries(
    {},
    optional={
        "TXT": st.lists(RECORD, max_size=2) | st.just("SERVFAIL"),
        "A": st.just(["192.0.2.7", "198.51.100.1"]) | st.just("TIMEOUT"),
        "MX": st.just([[10, "b.test"], [0, "."], [20, "nx.test"]]),
    },
)


@FUZZ
@given(RECORD, ENTRY, ENTRY, st.sampled_from(["192.0.2.7", "2001:db8::1", ""]), st.text(max_size=20))
def test_evaluations_end_with_a_word(record: str, b: dict, c: dict, ip: str, local: str) -> None:  # type: ignore[type-arg]
    table = {"example.test": {"TXT": [record]}, "b.test": b, "c.test": c}
    result, asked = resolve_counted(
        lambda k: spf.check(ip, f"{local}@example.test", "h.b.test", now=1.0, lookup=k), table
    )
    assert result.result in WORDS
    assert len(asked) <= 64
