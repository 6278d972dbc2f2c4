"""Parts, fields, bodies, dates and edits: RFC 5173, 5183, 5233, 5260, 5293, 5703."""

from __future__ import annotations

import pytest

from mailstack.sieve import Context, Envelope, Message
from tests.sieve.kit import context_of, errors_of, run_in, truth

MAIL = b"""\
Received: from x; Mon, 26 Feb 2007 09:00:00 -0500\r
Received: from y; Tue, 27 Feb 2007 23:30:00 +0100\r
Date: Wed, 28 Feb 2007 01:02:03 +0000\r
From: a@b.example\r
To: ken+sieve@example.org\r
Cc: one@example.org, two@example.org\r
Cc: three@example.org\r
Subject: S\r
MIME-Version: 1.0\r
Content-Type: multipart/mixed; boundary=x\r
\r
prologue\r
--x\r
Content-Type: text/plain; charset=utf-8\r
Content-Transfer-Encoding: base64\r
\r
Z3LDvMOfZQ==\r
--x\r
Content-Type: text/html\r
\r
<p>Hello <b>there</b></p>\r
--x\r
Content-Type: message/rfc822\r
\r
Subject: inner\r
Content-Type: application/octet-stream; name="a b.exe"\r
\r
MZ\r
--x--\r
epilogue\r
"""


@pytest.mark.parametrize(
    ("test", "holds"),
    [
        ('body :raw :contains "Z3LD"', True),
        ('body :raw :contains "grüße"', False),
        ('body :text :contains "grüße"', True),
        ('body :text :contains "Hello there"', True),
        ('body :text :contains "<b>"', False),
        ('body :content "text" :contains "<b>there"', True),
        ('body :content "text/html" :contains "grüße"', False),
        ('body :content "multipart" :contains "prologue"', True),
        ('body :content "multipart" :contains "epilogue"', True),
        ('body :content "multipart" :contains "grüße"', False),
        ('body :content "message/rfc822" :contains "subject: inner"', True),
        ('body :content "application" :contains "MZ"', True),
        ('body :content "" :contains "MZ"', True),
        ('body :content "text/" :contains "there"', False),
    ],
)
def test_bodies(test: str, holds: bool) -> None:
    # RFC 5173 section 5
    assert truth(test, MAIL, require='"body"') is holds


def test_a_body_test_leaves_match_variables_alone() -> None:
    # RFC 5173 section 6
    context = context_of(MAIL)
    source = 'if header :matches "subject" "*" {} if body :raw :matches "*logue*" { set "r" "${1}"; }'
    run_in(f'require ["body", "variables"]; {source}', context)
    assert context.variables.get("r") == "S"


@pytest.mark.parametrize(
    ("test", "holds"),
    [
        ('date :originalzone "date" "hour" "01"', True),
        ('date :zone "-0500" "date" "hour" "20"', True),
        ('date :zone "-0500" "date" "date" "2007-02-27"', True),
        ('date :originalzone "received" "iso8601" "2007-02-26T09:00:00-05:00"', True),
        ('date :index 2 :originalzone "received" "time" "23:30:00"', True),
        ('date :index 1 :last :originalzone "received" "zone" "+0100"', True),
        ('date :originalzone "date" "weekday" "3"', True),
        ('date :originalzone "date" "julian" "54159"', True),
        ('date :originalzone "date" "std11" "Wed, 28 Feb 2007 01:02:03 +0000"', True),
        ('date :originalzone "date" "zone" "+0000"', True),
        ('date :zone "+0000" "date" "iso8601" "2007-02-28T01:02:03Z"', True),
        ('date "subject" "year" "2007"', False),
        ('date "x-none" "year" "2007"', False),
        ('date :index 3 "received" "year" "2007"', False),
        ('header :index 2 :contains "received" "from y"', True),
        ('header :index 2 :last :contains "received" "from x"', True),
        ('address :index 2 "cc" "three@example.org"', True),
        ('address :index 1 "cc" "two@example.org"', True),
        ('header :index 3 :contains ["received", "subject"] "S"', True),
    ],
)
def test_dates_and_numbered_fields(test: str, holds: bool) -> None:
    # RFC 5260 sections 4 and 6
    assert truth(test, MAIL, require='"date", "index"') is holds


def test_now_is_the_same_throughout_and_local() -> None:
    # RFC 5260 section 5
    for test, holds in (
        ('currentdate "date" "2026-11-22"', True),
        ('currentdate "hour" "23"', True),
        ('currentdate :zone "+0000" "hour" "22"', True),
        ('currentdate "zone" "+0100"', True),
    ):
        source = f'require "date"; if {test} {{ discard; }}'
        context = Context(
            Message.from_bytes(MAIL), Envelope("", ""), now=1_795_386_600.0, zone=lambda at: 3_600
        )
        assert run_in(source, context).ok and (not context.result.implicit_keep) is holds, test


@pytest.mark.parametrize(
    "wrong", ['"month" "x"', ':zone "CET" "hour" "1"', ':zone "+9999" "hour" "1"', '"era" "1"']
)
def test_mistakes_in_dates(wrong: str) -> None:
    found = errors_of(f'require "date"; if currentdate {wrong} {{ keep; }}')
    assert bool(found) is (wrong != '"month" "x"')


@pytest.mark.parametrize(
    ("test", "holds"),
    [
        ('address :user "to" "ken"', True),
        ('address :detail "to" "sieve"', True),
        ('address :detail :contains "from" ""', False),
        ('envelope :detail "to" "folder"', True),
    ],
)
def test_sub_addresses(test: str, holds: bool) -> None:
    # RFC 5233 section 4
    assert truth(test, MAIL, require='"subaddress", "envelope"', to="me+folder@example.net") is holds


@pytest.mark.parametrize(
    ("test", "holds"),
    [
        ('header :mime :anychild :contenttype "Content-Type" "application/octet-stream"', True),
        ('header :mime :anychild :subtype "Content-Type" "html"', True),
        ('header :mime :type "Content-Type" "multipart"', True),
        ('header :mime :subtype "Content-Type" "html"', False),
        ('header :mime :anychild :param "name" :matches "Content-Type" "*.exe"', True),
        ('header :mime :anychild :param ["charset", "name"] "Content-Type" "utf-8"', True),
        ('header :mime :anychild "subject" "inner"', True),
        ('exists :mime :anychild "content-transfer-encoding"', True),
        ('exists :mime "content-transfer-encoding"', False),
    ],
)
def test_fields_of_parts(test: str, holds: bool) -> None:
    # RFC 5703 section 4
    assert truth(test, MAIL, require='"mime"') is holds


def variables_after(source: str, *names: str) -> list[str]:
    context = context_of(MAIL)
    outcome = run_in(f'require ["foreverypart", "mime", "extracttext", "variables"];\n{source}', context)
    assert outcome.ok, outcome.errors
    return [context.variables.get(name) for name in names]


def test_a_loop_visits_every_part_depth_first() -> None:
    # RFC 5703 section 3
    source = (
        'foreverypart { if header :mime :contenttype :matches "content-type" "*" { set "r" "${r} ${1}"; } }'
    )
    assert variables_after(source, "r") == [
        " multipart/mixed text/plain text/html message/rfc822 application/octet-stream"
    ]


def test_break_leaves_the_loop_it_names() -> None:
    source = """
        foreverypart :name "outer" {
            foreverypart { set "r" "${r}i"; break :name "outer"; }
            set "r" "${r}o";
        }
        foreverypart { set "s" "${s}x"; break; }
    """
    assert variables_after(source, "r", "s") == ["i", "x"]


def test_the_text_of_a_part_becomes_a_variable() -> None:
    # RFC 5703 section 7
    source = """
        foreverypart {
            if header :mime :contenttype "content-type" "text/plain" { extracttext :upper :first 3 "r"; }
            if header :mime :contenttype "content-type" "text/html" { extracttext "s"; }
        }
    """
    first, second = variables_after(source, "r", "s")
    assert first == "GRü" and second.strip() == "Hello there"


def edited(source: str, mail: bytes = MAIL) -> bytes:
    context = context_of(mail)
    outcome = run_in(source, context)
    assert outcome.ok, outcome.errors
    return context.message.to_bytes()


def test_a_part_is_replaced_and_the_rest_stays_octet_by_octet() -> None:
    # RFC 5703 section 5
    source = """require ["foreverypart", "mime", "replace"];
        foreverypart { if header :mime :param "name" :matches "content-type" "*.exe" { replace "gone"; } }"""
    before, after = MAIL, edited(source)
    cut = before.index(b"Subject: inner")
    assert after[:cut] == before[:cut] and b"MZ" not in after and b"gone" in after
    assert after.endswith(before[before.index(b"--x--") :])


def test_a_message_is_replaced_and_says_what_it_was() -> None:
    source = 'require "replace"; replace :subject "new" :from "x@y.example" "other words";'
    after = edited(source)
    assert b"Original-Subject: S\r\n" in after and b"Original-From: a@b.example\r\n" in after
    assert b"\r\nSubject: new\r\n" in after and after.endswith(b"\r\n\r\nother words")
    assert b"multipart" not in after and b"Cc: three@example.org\r\n" in after


def test_a_message_is_enclosed_whole() -> None:
    # RFC 5703 section 6
    after = edited(
        'require "enclose"; enclose :subject "Careful" :headers ["Cc", "Subject"] "from a stranger";'
    )
    head, _, body = after.partition(b"\r\n\r\n")
    assert MAIL in body and head.startswith(
        b"Date: Thu, 01 Jan 1970 00:00:00 +0000\r\nFrom: me@example.net\r\n"
    )
    assert head.count(b"Subject:") == 1 and b"Subject: Careful\r\n" in head
    assert b"Cc: three@example.org\r\n" in head and b"Received" not in head


def test_fields_are_added_and_deleted() -> None:
    # RFC 5293 sections 4 and 5
    source = r"""require ["editheader", "index"];
        addheader "X-Top" "ä"; addheader :last "X-End" "e";
        deleteheader :index 1 "cc"; deleteheader :matches "subject" "nothing";"""
    after = edited(source)
    assert after.startswith(b"X-Top: =?UTF-8?B?w6Q=?=\r\n") and b"\r\nX-End: e\r\n\r\n" in after
    assert b"two@example.org" not in after and b"three@example.org" in after and b"Subject: S" in after


@pytest.mark.parametrize("name", ["Received", "Authentication-Results", "DKIM-Signature", "Return-Path"])
def test_fields_that_tell_what_happened_stay(name: str) -> None:
    # V11
    mail = f"{name}: x\r\n".encode() + MAIL
    assert edited(f'require "editheader"; deleteheader "{name}";', mail) == mail


def test_each_action_sees_the_message_as_it_was_then() -> None:
    source = """require ["editheader", "fileinto", "copy"];
        fileinto "before"; addheader "X-A" "1"; redirect :copy "a@b.example"; deleteheader "X-A"; keep;"""
    context = context_of(MAIL)
    assert run_in(source, context).ok
    has = [b"X-A: 1" in context.message.to_bytes(action.moment) for action in context.result.actions]  # type: ignore[attr-defined]
    assert has == [False, True, False]


def test_a_mistake_undoes_every_edit() -> None:
    # V13
    source = """require ["editheader", "enclose", "variables"]; addheader "X-A" "1"; enclose "x";
        set "n" "X Y"; addheader "${n}" "1";"""
    context = context_of(MAIL)
    outcome = run_in(source, context)
    assert not outcome.ok and context.message.to_bytes() == MAIL and outcome.implicit_keep


def test_the_environment_is_what_the_embedder_says() -> None:
    # RFC 5183 section 4
    known = {"host": "mx.example", "phase": "during"}
    assert truth('environment "HOST" "mx.example"', require='"environment"', environment=known)
    assert not truth('environment :contains "remote-ip" ""', require='"environment"', environment=known)


def after_edits(source: str) -> list[Message]:
    """The message as each action has it."""
    context = context_of(MAIL)
    outcome = run_in(source, context)
    assert outcome.ok, outcome.errors
    return [
        Message.from_bytes(context.message.to_bytes(action.moment))  # type: ignore[attr-defined]
        for action in context.result.actions
    ]


def test_what_was_stored_before_an_enclosure_is_as_it_was_then() -> None:
    # RFC 5703 section 6: only actions that follow see the new message; a redirect never does
    source = """require ["fileinto", "enclose", "editheader", "copy"];
        fileinto "plain"; addheader "X-Mark" "1"; fileinto "marked"; enclose "look out"; fileinto "enclosed";
        redirect :copy "a@b.example";"""
    plain, marked, enclosed, sent = after_edits(source)
    assert plain.to_bytes() == MAIL and marked.to_bytes().startswith(b"X-Mark: 1\r\n")
    assert [part.found.content_type for part in enclosed.root.children] == ["text/plain", "message/rfc822"]
    assert sent.to_bytes() == marked.to_bytes()


def test_loops_after_a_replacement_see_the_new_message() -> None:
    # RFC 5703 section 5: subsequent iterators use the new structure
    source = """require ["foreverypart", "mime", "replace", "fileinto"];
        foreverypart { if header :mime :type "content-type" "text" { replace "a first text, longer"; } }
        foreverypart { if header :mime :type "content-type" "text" { replace "second"; } }
        fileinto "x";"""
    (after,) = after_edits(source)
    texts = [part.text for part in after.root.walk() if part.found.content_type == "text/plain"]
    assert texts and set(texts) == {"second"}
    assert b"first text" not in after.to_bytes() and b"MZ" in after.to_bytes()


def test_parts_inside_a_replaced_part_are_not_visited() -> None:
    # RFC 5703 section 5
    source = """require ["foreverypart", "mime", "replace", "fileinto"];
        foreverypart {
            fileinto "visited";
            if header :mime :type "content-type" "multipart" { replace "flat"; }
        }"""
    (before,) = after_edits('require ["foreverypart", "fileinto"]; foreverypart { fileinto "visited"; }')
    assert len(list(before.root.walk())) > 1
    context = context_of(MAIL)
    assert run_in(source.replace('fileinto "visited"', 'addheader "X-Visit" "1"').replace(
        '"fileinto"', '"editheader"'), context).ok  # fmt: skip
    after = context.message
    assert after.to_bytes().endswith(b"\r\n\r\nflat") and len(after.raw_values("x-visit")) == 1


def test_a_part_that_is_gone_is_not_replaced_somewhere_else() -> None:
    source = """require ["foreverypart", "replace", "enclose"];
        foreverypart { enclose "x"; foreverypart { replace "y"; } }"""
    context = context_of(MAIL)
    outcome = run_in(source, context)
    assert not outcome.ok and context.message.to_bytes() == MAIL


def test_a_mistake_undoes_only_the_edits_of_its_own_run() -> None:
    context = context_of(MAIL)
    assert run_in('require "editheader"; addheader "X-First" "1";', context).ok
    source = """require ["enclose", "ihave", "imap4flags"];
        setflag "\\\\Seen"; enclose "x"; error "no";"""
    assert not run_in(source, context).ok
    assert context.message.to_bytes() == b"X-First: 1\r\n" + MAIL and context.result.flags is None


def test_an_enclosing_boundary_stands_nowhere_in_the_message() -> None:
    # Its sender might know the words of the script: a boundary of his would add parts of his.
    source = 'require "enclose"; enclose "look out";'
    long = MAIL + b"x" * 70_000
    context = context_of(long)
    assert run_in(source, context).ok
    boundary = context.message.root.found.parameter("boundary")
    assert boundary is not None
    again = context_of(long + f"\r\n--{boundary}\r\n\r\nforged".encode())
    assert run_in(source, again).ok
    assert len(again.message.root.children) == 2
