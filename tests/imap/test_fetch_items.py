"""What FETCH can be asked for."""

from __future__ import annotations

import pytest

from mailstack.imap.errors import Bad
from mailstack.imap.fetch_items import MAX_ITEMS, MAX_PATH, Section, parse_items


def test_macros_and_single_items_need_no_brackets() -> None:
    assert parse_items(b"FAST").simple == (b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE")
    assert parse_items(b"all").simple[-1] == b"ENVELOPE"
    assert parse_items(b"FULL").needs_texts
    assert parse_items(b"flags").simple == (b"FLAGS",)
    assert not parse_items(b"(UID FLAGS)").needs_texts


@pytest.mark.parametrize(
    ("text", "section", "seen"),
    [
        (b"BODY[]", Section(b"BODY[]"), True),
        (b"body.peek[]", Section(b"BODY[]"), False),
        (b"BODY[1.2.MIME]", Section(b"BODY[1.2.MIME]", (1, 2), "MIME"), True),
        (b"BODY[2.header]", Section(b"BODY[2.HEADER]", (2,), "HEADER"), True),
        (b"BODY[TEXT]<5.10>", Section(b"BODY[TEXT]<5>", (), "TEXT", partial=(5, 10)), True),
        (b"RFC822", Section(b"RFC822"), True),
        (b"RFC822.HEADER", Section(b"RFC822.HEADER", (), "HEADER"), False),
        (b"RFC822.TEXT", Section(b"RFC822.TEXT", (), "TEXT"), True),
        (
            b'BODY.PEEK[HEADER.FIELDS (From "x y" x-z)]',
            Section(
                b'BODY[HEADER.FIELDS (FROM "x y" X-Z)]', (), "FIELDS", frozenset((b"from", b"x y", b"x-z"))
            ),
            False,
        ),
        (
            b"BODY.PEEK[1.HEADER.FIELDS.NOT ({4+}\r\nDate)]",
            Section(b"BODY[1.HEADER.FIELDS.NOT (DATE)]", (1,), "FIELDS.NOT", frozenset((b"date",))),
            False,
        ),
    ],
)
def test_sections(text: bytes, section: Section, seen: bool) -> None:
    items = parse_items(b"(" + text + b")")
    assert items.sections == (section,)
    assert items.sets_seen is seen
    assert parse_items(text) == items


@pytest.mark.parametrize(
    "text",
    [
        b"", b"()", b"FOO", b"(FLAGS", b"(FLAGS  UID)", b"FLAGS UID", b"(ALL)", b"BODY[", b"BODY[MIME]",
        b"BODY[1.]", b"BODY[0]",
        b"BODY[1.0.2]", b"BODY[]<1>", b"BODY[]<1.0>", b"BODY[]<1.2.3>", b"BODY[]<9223372036854775808.1>",
        b"BODY[HEADER.FIELDS]",
        b"BODY[HEADER.FIELDS ()]", b"BODY[HEADER.FIELDS (a]", b"BODY[FOO]", b"BODY.PEEK", b"BODY[TEXT.1]",
        b"BODY[.TEXT]",
        b"(FLAGS) x", b"RFC822.PEEK", b"BODY[1:2]", b"BINARY", b"BINARY[", b"BINARY[1.]", b"BINARY[TEXT]",
        b"BINARY[1.MIME]", b"BINARY.SIZE[1]<0.1>", b"BINARY.PEEK", b"BINARY[0]", b"BINARYX[1]",
        b"PREVIEW (FUZZY)", b"PREVIEW ()", b"(PREVIEW(LAZY))", b"EMAILID (x)",
    ],
)  # fmt: skip
def test_what_is_no_item_is_refused(text: bytes) -> None:
    with pytest.raises(Bad):
        parse_items(text)


def test_paths_and_items_are_bounded() -> None:
    # I12
    parse_items(b"BODY[" + b".".join([b"1"] * MAX_PATH) + b"]")
    with pytest.raises(Bad):
        parse_items(b"BODY[" + b".".join([b"1"] * (MAX_PATH + 1)) + b"]")
    parse_items(b"(" + b" ".join([b"BODY[]<%d.1>" % n for n in range(MAX_ITEMS)]) + b")")
    with pytest.raises(Bad):
        parse_items(b"(" + b" ".join([b"BODY[]<%d.1>" % n for n in range(MAX_ITEMS + 1)]) + b")")


def test_ten_thousand_field_names_are_taken() -> None:
    # I12: the line's cap is the limit
    items = parse_items(b"BODY[HEADER.FIELDS (" + b" ".join(b"f%d" % n for n in range(9_000)) + b")]")
    assert len(items.sections[0].fields) == 9_000


def test_the_same_list_is_parsed_once() -> None:
    assert parse_items(b"(UID FLAGS BODY[])") is parse_items(b"(UID FLAGS BODY[])")


@pytest.mark.parametrize(
    ("text", "section", "seen"),
    [
        (b"BINARY[1.2]", Section(b"BINARY[1.2]", (1, 2), "BINARY"), True),
        (
            b"binary.peek[]<4294967296.1>",
            Section(b"BINARY[]<4294967296>", (), "BINARY", partial=(1 << 32, 1)),
            False,
        ),
        (b"BINARY.SIZE[3]", Section(b"BINARY.SIZE[3]", (3,), "BINARY.SIZE"), False),
    ],
)  # fmt: skip
def test_parts_without_their_encoding(text: bytes, section: Section, seen: bool) -> None:
    # RFC 3516 section 4.2
    items = parse_items(text)
    assert (items.sections, items.sets_seen, items.simple) == ((section,), seen, ())


@pytest.mark.parametrize(
    ("text", "lazy"),
    [(b"PREVIEW", False), (b"preview (lazy)", True), (b"(PREVIEW (LAZY) UID)", True),
     (b"(PREVIEW (LAZY) PREVIEW)", False), (b"(PREVIEW PREVIEW (LAZY))", False),
     (b"(ENVELOPE PREVIEW (LAZY))", False)],
)  # fmt: skip
def test_a_preview_may_be_lazy_unless_the_texts_are_made_anyhow(text: bytes, lazy: bool) -> None:
    # RFC 8970 section 4.1
    items = parse_items(text)
    assert items.lazy is lazy and items.needs_texts and not items.sets_seen


def test_ids_and_dates_come_from_the_store() -> None:
    items = parse_items(b"(EMAILID THREADID SAVEDATE)")
    assert items.needs_details and not items.needs_texts
