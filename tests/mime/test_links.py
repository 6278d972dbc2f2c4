"""Message ids: what a message is called, and what it answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.mime import links
from mailstack.mime.links import Links


def test_references_come_before_in_reply_to_and_the_first_field_counts() -> None:
    data = (
        b"Message-ID: <a@x>\r\nIn-Reply-To: <z@x>\r\nReferences: <r@x>\r\n <s@x>\r\n"
        b"References: <other@x>\r\n\r\nMessage-ID: <body@x>\r\n"
    )
    assert links.read(data) == Links(b"a@x", (b"r@x", b"s@x"))


def test_in_reply_to_counts_without_references() -> None:
    data = b"in-reply-to : Your mail of Monday <q@x>\r\nmessage-id:\r\n <a@x>\r\n\r\n"
    assert links.read(data) == Links(b"a@x", (b"q@x",))


@pytest.mark.parametrize(
    "data",
    [b"", b"\r\n", b"Subject: x\r\n\r\n<a@x>", b"Message-ID: a@x\r\n\r\n", b"Message-ID: <>\r\n\r\n",
     b"Message-ID: <a b@x>\r\n\r\n", b"Message-ID: <" + b"a" * 999 + b">\r\n\r\n"],
    ids=repr,
)  # fmt: skip
def test_what_is_no_id_gives_none(data: bytes) -> None:
    assert links.read(data) == Links(b"", ())


@pytest.mark.parametrize(("count", "kept"), [(20, 20), (21, 20), (50_000, 20)])
def test_of_many_ancestors_the_root_and_the_nearest_count(count: int, kept: int) -> None:
    data = b"References: " + b" ".join(b"<%d>" % n for n in range(count))
    found = links.read(data).ancestors
    assert len(found) == kept and found[0] == b"0"
    if len(data) < links.MAX_BLOCK_OCTETS:
        assert found[-1] == b"%d" % (count - 1)


@given(st.binary(max_size=300))
def test_nothing_raises(data: bytes) -> None:
    links.read(b"References:" + data)
    links.read(data)
