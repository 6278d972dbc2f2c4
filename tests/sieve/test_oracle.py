"""sievelib and we agree on what is a script (where sievelib checks at all)."""

from __future__ import annotations

import pytest
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


@pytest.mark.parametrize("source", SCRIPTS)
def test_both_accept(source: str) -> None:
    assert compile(source).ok and Parser().parse(source)


@pytest.mark.parametrize("source", NO_SCRIPTS)
def test_both_refuse(source: str) -> None:
    assert not compile(source).ok and not Parser().parse(source)
