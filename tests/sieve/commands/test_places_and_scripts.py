"""Flags, mailboxes, lists, other scripts: RFC 5232, 5463, 5490, 6134, 6609, 7352, 8579, 9042, 5235."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pytest

from mailstack.sieve import Context, Envelope, Keep, Limits, Message, compile  # noqa: A004
from tests.sieve.kit import MAIL, actions_of, context_of, errors_of, names_of, run_in, truth

# -- flags ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "flags"),
    [
        (r'setflag "\\Seen"; addflag ["\\Flagged", "a"]; removeflag "\\seen";', ["\\Flagged", "a"]),
        (r'setflag "\\Seen \\Deleted $x \\Recent \\bogus b(d";', ["\\Seen", "\\Deleted", "$x"]),
        (r'addflag "A"; addflag "a";', ["A"]),
        (r'setflag "a"; setflag "";', []),
    ],
)
def test_flags_go_with_the_implicit_keep_and_the_explicit_one(source: str, flags: list[str]) -> None:
    # RFC 5232 sections 3 and 5
    context = context_of()
    assert run_in(f'require "imap4flags"; {source}', context).ok and context.flags == flags
    (kept,) = actions_of(f'require "imap4flags"; {source} keep;')
    assert kept["flags"] == flags


def test_flags_in_variables_are_their_own() -> None:
    source = r"""require ["imap4flags", "variables", "fileinto"];
        set "v" "x"; addflag "v" "\\Seen"; addflag "y"; fileinto :flags "${v}" "a"; fileinto "b";"""
    assert [action["flags"] for action in actions_of(source)] == [["x", "\\Seen"], ["y"]]


@pytest.mark.parametrize(
    ("test", "holds"),
    [
        (r'hasflag "\\seen"', True),
        (r'hasflag ["b", "c"]', True),
        (r'hasflag "c b"', True),
        (r'hasflag :contains "se"', True),
        (r'hasflag :count "ge" :comparator "i;ascii-numeric" "2"', True),
        (r'hasflag :count "ge" :comparator "i;ascii-numeric" "3"', False),
        (r'hasflag "v" "q"', True),
        (r'hasflag ["v", "w"] "q"', True),
        (r'hasflag "w" "q"', False),
    ],
)
def test_flags_are_asked_for(test: str, holds: bool) -> None:
    source = rf"""require ["imap4flags", "variables", "relational", "comparator-i;ascii-numeric"];
        setflag "\\Seen b"; set "v" "q";
        if {test} {{ discard; }}"""
    assert (names_of(source) == ["discard"]) is holds


# -- mailboxes -------------------------------------------------------------------------


class Mailboxes:
    """A few mailboxes."""

    def exists(self, name: str) -> bool:
        return name in ("INBOX", "Work", "Sent")

    def create(self, name: str) -> bool:
        return True

    def special_use(self, name: str) -> Sequence[str]:
        return {"Sent": ["\\Sent"], "": ["\\Sent", "\\Junk"]}.get(name, [])

    def get_metadata(self, name: str, entry: str) -> str | None:
        return {("Work", "/private/comment"): "for work", ("", "/shared/admin"): "mailto:x@y.example"}.get(
            (name, entry)
        )

    def by_id(self, id_: str) -> str | None:
        return "Work" if id_ == "F1" else None


@pytest.mark.parametrize(
    ("test", "holds"),
    [
        ('mailboxexists ["INBOX", "Work"]', True),
        ('mailboxexists ["INBOX", "None"]', False),
        ('metadata :contains "Work" "/private/comment" "work"', True),
        ('metadata "Sent" "/private/comment" ""', False),
        ('metadataexists "Work" ["/private/comment"]', True),
        ('metadataexists "Work" ["/private/comment", "/private/x"]', False),
        ('servermetadata :contains "/shared/admin" "mailto:"', True),
        ('servermetadataexists "/shared/none"', False),
        (r'specialuse_exists "\\Junk"', True),
        (r'specialuse_exists "Sent" "\\Sent"', True),
        (r'specialuse_exists "Work" "\\Sent"', False),
        (r'specialuse_exists "None" "\\Sent"', False),
        ('mailboxidexists "F1"', True),
        ('mailboxidexists ["F1", "F2"]', False),
    ],
)
def test_mailboxes_are_asked_for(test: str, holds: bool) -> None:
    # RFC 5490, RFC 8579, RFC 9042
    require = '"mailbox", "mboxmetadata", "servermetadata", "special-use", "mailboxid"'
    assert truth(test, require=require, mailbox=Mailboxes()) is holds
    assert not truth(test, require=require) or not holds


def test_where_a_message_goes_may_be_said_in_other_words() -> None:
    source = r"""require ["fileinto", "mailbox", "special-use", "mailboxid"];
        fileinto :create "New"; fileinto :specialuse "\\Archive" "Old"; fileinto :mailboxid "F1" "Else";
        fileinto :mailboxid "F9" "Fallback";"""
    actions = actions_of(source, mailbox=Mailboxes())
    assert [(action["mailbox"], action["create"], action["special_use"]) for action in actions] == [
        ("New", True, ""),
        ("Old", False, "\\Archive"),
        ("Work", False, ""),
        ("Fallback", False, ""),
    ]
    assert errors_of('require ["fileinto", "special-use"]; fileinto :specialuse "Archive" "x";')


# -- lists outside ---------------------------------------------------------------------


class Lists:
    """An address book and a team."""

    def lookup(self, list_: str, value: str) -> bool:
        return list_ == "urn:ietf:params:sieve:addrbook:default" and value == "tim@example.com"

    def knows(self, list_: str) -> bool:
        return list_.endswith((":addrbook:default", ":team"))

    def members(self, list_: str) -> Iterable[str] | None:
        return ["a@b.example", "c@d.example"] if list_ == "tag:example.net,2026:team" else None


def test_an_address_book_is_looked_into() -> None:
    # RFC 6134 sections 2.2, 2.3, 2.6
    for name in (":addrbook:default", "urn:ietf:params:sieve:addrbook:default"):
        assert truth(f'address :list "from" "{name}"', require='"extlists"', ext_lists=Lists())
        assert truth(f'valid_ext_list "{name}"', require='"extlists"', ext_lists=Lists())
    assert not truth('address :list "to" ":addrbook:default"', require='"extlists"', ext_lists=Lists())
    assert not truth('valid_ext_list ":addrbook:other"', require='"extlists"', ext_lists=Lists())
    assert errors_of('require "extlists"; if address :list "from" "friends" { keep; }')


def test_a_redirect_reaches_the_members_of_a_list() -> None:
    # RFC 6134 section 2.5
    source = 'require "extlists"; redirect :list "tag:example.net,2026:team";'
    assert [one["address"] for one in actions_of(source, ext_lists=Lists())] == ["a@b.example", "c@d.example"]
    context = context_of(ext_lists=Lists())
    outcome = run_in('require "extlists"; redirect :list ":addrbook:default";', context)
    assert not outcome.ok and outcome.implicit_keep


# -- other scripts ---------------------------------------------------------------------


class Scripts:
    """Scripts by place and name."""

    def __init__(self, scripts: Mapping[str, str]) -> None:
        self.scripts = scripts

    def get_script(self, name: str, location: str) -> bytes | None:
        text = self.scripts.get(f"{location}/{name}")
        return None if text is None else text.encode()


def run_with(source: str, scripts: Mapping[str, str], context: Context | None = None) -> Context:
    storage = Scripts(scripts)
    context = context or context_of()
    outcome = run_in(source, context, storage=storage)
    assert outcome.ok, outcome.errors
    return context


def test_included_scripts_have_variables_of_their_own_but_for_global_ones() -> None:
    # RFC 6609 section 3.4
    source = """require ["include", "variables"];
        global "g"; set "g" "1"; set "own" "main"; include "sub"; set "after" "${g}${own}${global.h}";"""
    sub = """require ["include", "variables"]; global "g";
        set "own" "sub"; set "g" "${g}2"; set "global.h" "3"; return; set "g" "never";"""
    assert run_with(source, {"personal/sub": sub}).variables.get("after") == "12main3"


def test_a_script_is_included_once_or_if_it_is_there() -> None:
    # RFC 6609 section 3.2
    source = """require ["include", "variables"]; global "n";
        include :once "a"; include :once "a"; include "a"; include :optional "none"; include :global "b";"""
    scripts = {
        "personal/a": 'require ["include", "variables"]; global "n"; set "n" "${n}a";',
        "global/b": 'require ["include", "variables"]; global "n"; set "n" "${n}b";',
    }
    assert run_with(source, scripts).globals.get("n") == "aab"


def test_stop_in_an_included_script_ends_all() -> None:
    source = 'require "include"; include "a"; discard;'
    assert run_with(source, {"personal/a": "stop;"}).result.implicit_keep


@pytest.mark.parametrize(
    ("scripts", "says"),
    [
        ({}, "there is no personal script 'a'"),
        ({"personal/a": 'require "include"; include "a";'}, "includes itself"),
        ({"personal/a": "keep"}, "has mistakes"),
        (
            {
                f"personal/{a}": f'require "include"; include "{b}";'
                for a, b in zip("abcdef", "bcdefg", strict=True)
            }
            | {"personal/g": "keep;"},
            "deep",
        ),
    ],
)
def test_scripts_that_cannot_be_included_are_told_of(scripts: Mapping[str, str], says: str) -> None:
    # V9
    result = compile('require "include"; include "a";', storage=Scripts(scripts))
    assert any(says in error.message for error in result.errors), result.errors


@pytest.mark.parametrize("name", ["../x", "", "a/b", "a\\tb".replace("\\t", "\t"), "x" * 129])
def test_names_no_script_can_have(name: str) -> None:
    assert errors_of(f'require "include"; include :optional "{name}";')


# -- what is there ---------------------------------------------------------------------


def test_a_script_asks_before_it_uses() -> None:
    # RFC 5463 section 4
    source = """require "ihave";
        if ihave "fileinto" { fileinto "x"; } else { nonsense "y"; }
        if ihave ["vnd.none", "copy"] { none :none; } elsif not ihave "vnd.none" { keep; }
        if allof (ihave "vnd.none", nonesuch "z") { nothing; }"""
    assert names_of(source) == ["fileinto", "keep"]
    assert errors_of('require "ihave"; if ihave "vnd.none" { keep; } nonsense;')
    assert names_of('require "ihave"; if not ihave "variables" { discard; }') == ["discard"]


def test_error_ends_the_script_and_keeps_the_message() -> None:
    context = context_of()
    outcome = run_in('require "ihave"; discard; error "no way";', context)
    assert [one.message for one in outcome.errors] == ["no way"] and outcome.implicit_keep


class Memory:
    """Marked ids."""

    def __init__(self) -> None:
        self.marked: dict[str, int] = {}

    def seen(self, id_: str, ttl_s: int) -> bool:
        return id_ in self.marked

    def mark(self, id_: str, ttl_s: int) -> None:
        self.marked[id_] = ttl_s


@pytest.mark.parametrize(
    ("test", "ttl_s"),
    [
        ("duplicate", 43_200),
        ('duplicate :header "x-caffeine"', 43_200),
        ('duplicate :uniqueid "u" :seconds 60', 60),
        ('duplicate :handle "h" :seconds 9999999', 604_800),
    ],
)
def test_the_second_message_of_an_id_is_a_duplicate(test: str, ttl_s: int) -> None:
    # RFC 7352 section 3
    mail = b"Message-ID: <1@x.example>\r\n" + MAIL
    memory = Memory()
    first, second = (truth(test, mail, require='"duplicate"', duplicates=memory) for _ in range(2))
    assert (first, second) == (False, True) and list(memory.marked.values()) == [ttl_s]


def test_without_an_id_nothing_is_a_duplicate() -> None:
    memory = Memory()
    assert not any(truth("duplicate", require='"duplicate"', duplicates=memory) for _ in range(2))
    assert not truth("duplicate :seconds 0", require='"duplicate"', duplicates=memory) and not memory.marked


@pytest.mark.parametrize(
    ("spam", "test", "holds"),
    [
        (None, 'spamtest "0"', True),
        (0.0, 'spamtest "1"', True),
        (1.0, 'spamtest "10"', True),
        (0.5, 'spamtest :value "ge" :comparator "i;ascii-numeric" "5"', True),
        (0.93, 'spamtest :percent "93"', True),
        (0.5, 'virustest "0"', True),
    ],
)
def test_how_sure_the_filter_is(spam: float | None, test: str, holds: bool) -> None:
    # RFC 5235 sections 2 and 3
    source = f"""require ["spamtestplus", "virustest", "relational", "comparator-i;ascii-numeric"];
        if {test} {{ discard; }}"""
    context = context_of()
    context.spam = spam
    assert run_in(source, context).ok and (not context.result.implicit_keep) is holds


def test_a_result_lives_through_several_scripts() -> None:
    context = Context(Message.from_bytes(MAIL), Envelope("a@b.example", "c@d.example"), limits=Limits())
    run_in('require "imap4flags"; setflag "one";', context)
    run_in("keep;", context)
    assert context.result.actions == [Keep(("one",))]
