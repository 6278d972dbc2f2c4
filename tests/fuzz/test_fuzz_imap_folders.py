"""LIST, METADATA, ACL and shared names: whatever comes is read, refused, or not there."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.imap import metadata
from mailstack.imap.errors import Bad
from mailstack.imap.listing import parse_list
from mailstack.imap.names import Pattern
from mailstack.imap.parser import Cursor
from mailstack.imap.rights import changed, parse_rights, with_old
from mailstack.model.mailbox import MailboxError
from mailstack.model.roles import ROLES, role_of_name
from mailstack.model.sharing import ALL_RIGHTS, shared_name, split_shared
from tests.kit.bare_session import BareSession
from tests.kit.fuzzing import FUZZ
from tests.kit.memory_mailbox import MemoryMailbox
from tests.kit.street import ALICE, BOB, Street, furnished

SHORT = st.text(alphabet="ab/*%IN", max_size=9)
LIST_WORDS = [
    b"(", b")", b" ", b'"', b'""', b"*", b"%", b"a/b", b"INBOX", b"&", b"&AOQ-", b"\\", b"{3}\r\nabc",
    b"SUBSCRIBED", b"SPECIAL-USE", b"REMOTE", b"RECURSIVEMATCH", b" RETURN (",
    b"STATUS (MESSAGES)", b"MYRIGHTS", b"METADATA (/shared/comment)", b"\xc3\xa4",
    b"CHILDREN", b"MESSAGES", b"/private/x", b"NIL",
]  # fmt: skip
METADATA_WORDS = [
    b"(", b")", b" ", b'"', b'"x"', b"NIL", b"/private/a", b"/shared/b c", b"/private/", b"/", b"//", b"*",
    b"\0", b"{2}\r\nab", b"~{3}\r\n\0b\r", b"{9999999999}\r\n", b"DEPTH infinity", b"DEPTH 1",
    b"\xff", b"MAXSIZE 10",
]  # fmt: skip


def octets(words: list[bytes]) -> st.SearchStrategy[bytes]:
    return st.lists(st.sampled_from(words) | st.binary(max_size=4), max_size=14).map(b"".join)


def reference(pattern: str, name: str) -> bool:
    """Obviously right, and slow."""
    if not pattern:
        return False
    if pattern[:5].upper() == "INBOX" and (name == "INBOX" or name.startswith("INBOX/")):
        pattern = "INBOX" + pattern[5:]
    parts = {"*": ".*", "%": "[^/]*"}
    return re.fullmatch("".join(parts.get(c, re.escape(c)) for c in pattern), name, re.DOTALL) is not None


@FUZZ
@given(st.lists(SHORT, max_size=4), SHORT)
def test_patterns_match_as_the_obvious_way_does(patterns: list[str], name: str) -> None:
    assert Pattern(*patterns).matches(name) == any(reference(pattern, name) for pattern in patterns)


@FUZZ
@given(octets(LIST_WORDS), st.booleans())
def test_any_list_is_read_or_bad(text: bytes, utf8: bool) -> None:
    try:
        wanted = parse_list(Cursor(text), utf8=utf8)
    except Bad:
        return
    assert wanted.patterns or wanted.root is not None
    Pattern(*wanted.patterns).matches("INBOX")


@FUZZ
@given(octets(METADATA_WORDS))
def test_any_metadata_is_read_or_bad(text: bytes) -> None:
    for parse in (metadata.parse_entries, metadata.parse_changes, metadata.take_options):
        try:
            parse(Cursor(text))  # type: ignore[operator]
        except Bad:
            continue


@FUZZ
@given(
    st.dictionaries(st.from_regex(r"/private/[ -$&-)+-.0-~]{1,8}", fullmatch=True), st.binary(max_size=20))
)
def test_what_is_told_can_be_read_back(values: dict[str, bytes]) -> None:
    values = {name.lower(): value for name, value in values.items()}
    line = metadata.response(b'"INBOX"', dict(values))
    head = b'* METADATA "INBOX" '
    assert line.startswith(head)
    if values and not any(name.startswith("/private/vendor") for name in values):
        cursor = Cursor(line[len(head) : -2])
        assert metadata.parse_changes(cursor) == values
        assert cursor.at_end


@FUZZ
@given(st.text(alphabet="+-lrswipkxteacdz0Q", max_size=8), st.text(alphabet=ALL_RIGHTS, max_size=5))
def test_any_rights_are_rights_or_bad(text: str, before: str) -> None:
    try:
        operation, rights = parse_rights(text.encode())
    except Bad:
        return
    after = changed(before, operation, rights)
    assert set(after) <= set(ALL_RIGHTS)
    told = with_old(after)
    assert set(told) - set("cd") == set(after)
    assert ("d" in told, "c" in told) == (bool(set("xte") & set(after)), "k" in after)


@FUZZ
@given(st.binary(max_size=40), st.binary(max_size=10))
def test_any_identifier_is_answered(identifier: bytes, rights: bytes) -> None:
    session = BareSession(furnished(MemoryMailbox.of, shared=False)).log_in()
    for command in (
        b"SETACL INBOX {%d+}\r\n%b {%d+}\r\n%b" % (len(identifier), identifier, len(rights), rights),
        b"LISTRIGHTS INBOX {%d+}\r\n%b" % (len(identifier), identifier),
        b"DELETEACL INBOX {%d+}\r\n%b" % (len(identifier), identifier),
        b"GETACL INBOX",
    ):
        answer = session.command(command)
        assert re.search(rb"(?m)^t (OK|NO|BAD) ", answer), (command, answer)


@FUZZ
@given(st.text(max_size=20))
def test_any_name_has_a_role_or_none(name: str) -> None:
    assert role_of_name(name) in ("", *ROLES)


@FUZZ
@given(st.text(alphabet="Shared/bo@.xINBOX", max_size=20))
def test_any_name_is_ones_own_or_somebody_elses(name: str) -> None:
    split = split_shared(name)
    if split is not None and split[1]:
        assert shared_name(*split) == name


@FUZZ
@given(
    st.lists(st.sampled_from(["INBOX", "Work", "x", "..", "", "cur", "%", "\0"]), max_size=4).map("/".join)
)
def test_nothing_that_is_not_shared_can_be_told_from_nothing(inner: str) -> None:
    alice = Street({ALICE: MemoryMailbox.of(ALICE), BOB: MemoryMailbox.of(BOB)}).of(ALICE)
    name = shared_name(BOB, inner)
    for call in (alice.status, alice.access, alice.annotations, alice.delete, alice.locate):
        with pytest.raises(MailboxError) as refused:
            call(name)
        assert refused.value.code == "NONEXISTENT"
