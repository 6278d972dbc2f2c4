"""sievelib and we agree on what is a script (where sievelib checks at all)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sievelib.factory import FiltersSet
from sievelib.parser import Parser

from mailstack.sieve import compile  # noqa: A004

SCRIPTS = [
    "",
    "keep;",
    "discard;",
    "stop;",
    'redirect "a@b.example";',
    'require "fileinto"; fileinto "x";',
    'require ["fileinto", "copy"]; fileinto :copy "x";',
    'require "copy"; redirect :copy "a@b.example";',
    "if true { keep; }",
    "if false { keep; } elsif true { stop; } else { discard; }",
    "if true { if true { keep; } }",
    "if not true { }",
    "if allof (true, false) { keep; }",
    "if anyof (true, not false) { keep; }",
    'if header :contains "subject" "x" { keep; }',
    'if header :is :comparator "i;octet" ["a", "b"] ["c", "d"] { keep; }',
    'if header :matches :comparator "i;ascii-casemap" "a" "*b?" { keep; }',
    'if address :domain :is "from" "x" { keep; }',
    'if address :all :contains ["from", "to"] ["x", "y"] { keep; }',
    'if exists "a" { keep; }',
    'if exists ["a", "b"] { keep; }',
    "if size :over 100K { keep; }",
    "if size :under 1M { keep; }",
    'require "envelope"; if envelope :all :is "from" "tim@example.com" { discard; }',
    "# comment\nkeep; /* x */",
    "redirect text:\na@b.example\n.\n;",
]
NO_SCRIPTS = [
    "keep; }",
    "if true keep;",
    "if true {",
    'fileinto "x";',
    "frob;",
    "if frob { keep; }",
    "redirect;",
    "redirect 5;",
    'if header :over "a" "b" { }',
    'if header "a" { keep; }',
    "if size 45 { keep; }",
    "else { keep; }",
    "elsif true { keep; }",
    "if true { } else { } else { }",
    'keep "x" ,;',
    "if anyof true { keep; }",
    "if anyof (true { keep; }",
    'redirect "a',
    "keep :copy;",
    "if { keep; }",
    'header "a" "b";',
    "if keep { }",
    "require;",
    "if not { }",
    'redirect ["a@b.example", ;',
    "$;",
    'if size :over "x" { }',
    'stop "x";',
]

#: Extensions sievelib knows.
EXTENSIONS = [
    'require "vacation"; vacation "x";',
    'require "vacation"; vacation :days 7 :subject "s" :from "a@b.example" :handle "h" "x";',
    'require "vacation"; vacation :mime text:\nContent-Type: text/plain\n\nx\n.\n;',
    'require "imap4flags"; setflag "\\\\Seen";',
    'require "imap4flags"; addflag ["\\\\Seen", "$x"];',
    'require "imap4flags"; removeflag "a"; keep :flags "b";',
    'require ["fileinto","imap4flags"]; fileinto :flags ["a"] "x";',
    'require ["fileinto","mailbox"]; fileinto :create "x";',
    'require ["fileinto","copy","mailbox"]; fileinto :copy :create "x";',
    'require "imap4flags"; if hasflag :contains "a" { keep; }',
    'require "imap4flags"; if hasflag ["a","b"] { keep; }',
    'require "body"; if body :raw :contains "x" { keep; }',
    'require "body"; if body :content "text" :is ["x"] { keep; }',
    'require "body"; if body :text :matches "*x*" { keep; }',
    'require ["date","relational"]; if currentdate :value "ge" "date" "2026-01-01" { keep; }',
    'require ["date","relational"]; if currentdate :zone "+0100" :value "lt" "hour" "09" { keep; }',
    'require "date"; if date :is "date" "year" "2026" { keep; }',
    'require ["date","relational"]; if date :originalzone :value "ge" "date" "hour" "09" { keep; }',
    'require "environment"; if environment :is "domain" "x" { keep; }',
    'require "variables"; set "a" "b";',
    'require "variables"; set :lower "a" "B";',
    'require "reject"; reject "no";',
    'require "relational"; if header :count "ge" :comparator "i;octet" "to" "3" { keep; }',
    'require "regex"; if header :regex "subject" "a+" { keep; }',
    'require "enotify"; notify "mailto:a@b.example";',
    'require "enotify"; notify :importance "1" :message "x" "mailto:a@b.example";',
]
NO_EXTENSIONS = [
    'vacation "x";',
    'require "vacation"; vacation;',
    'require "vacation"; vacation :days "x" "y";',
    'require "vacation"; vacation "x" "y";',
    'setflag "a";',
    'require "imap4flags"; setflag;',
    'require "fileinto"; fileinto :flags "a" "x";',
    'require "fileinto"; fileinto :create "x";',
    'if hasflag "a" { keep; }',
    'if body :raw :contains "x" { keep; }',
    'require "body"; if body { keep; }',
    'require "body"; if body :raw :text "x" { keep; }',
    'if currentdate :is "date" "x" { keep; }',
    'require "date"; if currentdate :is "date" { keep; }',
    'require "date"; if date "date" "year" { keep; }',
    'if environment :is "domain" "x" { keep; }',
    'set "a" "b";',
    'require "variables"; set "a";',
    'require "variables"; set 5 "a";',
    'reject "no";',
    'require "reject"; reject;',
    'require "reject"; reject 5;',
    'if header :count "ge" "to" "3" { keep; }',
    'if header :regex "subject" "a" { keep; }',
    'require "relational"; if header :count "xx" "to" "3" { keep; }',
    'notify "mailto:a@b.example";',
    'require "enotify"; notify;',
    'require "enotify"; notify :importance 1 "mailto:a@b.example";',
    'if address :detail :is "to" "x" { keep; }',
    'require "vacation"; vacation :seconds 60 "x";',
]


@pytest.mark.parametrize("source", SCRIPTS + EXTENSIONS)
def test_both_accept(source: str) -> None:
    assert compile(source).ok and Parser().parse(source)


@pytest.mark.parametrize("source", NO_SCRIPTS + NO_EXTENSIONS)
def test_both_refuse(source: str) -> None:
    assert not compile(source).ok and not Parser().parse(source)


WORDS = st.sampled_from(["x", "a b", "[list]", "50%", "*", "caf\u00e9", "a,b;c", "#no", "/*no*/"])
CONDITIONS = st.one_of(
    st.tuples(
        st.sampled_from(["Subject", "From", "To", "X-Label"]),
        st.sampled_from([":is", ":contains", ":matches", ":notcontains"]),
        WORDS,
    ),
    st.tuples(st.just("size"), st.sampled_from([":over", ":under"]), st.sampled_from(["10K", "1M", "500"])),
    st.tuples(st.just("exists"), st.sampled_from(["List-ID", "X-Spam"])),
    st.tuples(st.just("body"), st.sampled_from([":raw", ":text"]), st.just(":contains"), WORDS),
    st.tuples(
        st.just("envelope"), st.just(":is"), st.just(["from"]), st.lists(WORDS, min_size=1, max_size=2)
    ),
)
ACTIONS = st.one_of(
    st.tuples(st.just("fileinto"), WORDS),
    st.tuples(st.just("fileinto"), st.just(":copy"), WORDS),
    st.tuples(st.just("redirect"), st.just("a@b.example")),
    st.tuples(st.just("addflag"), st.just("\\\\Seen")),
    st.sampled_from([("keep",), ("discard",), ("stop",)]),
)


@settings(derandomize=True, max_examples=100, deadline=None)
@given(
    st.lists(CONDITIONS, min_size=1, max_size=4),
    st.lists(ACTIONS, min_size=1, max_size=3),
    st.sampled_from(["anyof", "allof"]),
)
def test_what_its_factory_writes_we_take(
    conditions: list[tuple[str, ...]], actions: list[tuple[str, ...]], joined: str
) -> None:
    # Mail pages write rules with it.
    filters = FiltersSet("rules")
    filters.addfilter("rule", conditions, actions, joined)
    source = str(filters)
    result = compile(source)
    assert result.ok, (source, result.errors)
    assert Parser().parse(source)
