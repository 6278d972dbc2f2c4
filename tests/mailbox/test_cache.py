"""What is kept ready-made: sort fields, headers, places of parts; made when missing, forgotten when gone."""

from __future__ import annotations

import pytest

from mailstack.mailbox.store import Account, MailStore
from mailstack.mime import heads, packing
from mailstack.mime.header import Headers
from mailstack.mime.scanner import scan
from mailstack.mime.summary import summarise
from mailstack.model.mailbox import NewMessage
from tests.kit.process import eventually

MESSAGE = (
    b"Date: Mon, 23 Nov 2026 01:02:03 +0200\r\nReceived: by x\r\nSubject: Re: hello\r\n"
    b"From: A <a@a.example>\r\n"
    b"Message-ID: <1@a>\r\nReferences: <0@a>\r\n <9@a>\r\nX-Own: yes\r\n\r\nbody\r\n"
)
KEPT = (
    b"Date: Mon, 23 Nov 2026 01:02:03 +0200\r\nSubject: Re: hello\r\nFrom: A <a@a.example>\r\n"
    b"Message-ID: <1@a>\r\nReferences: <0@a>\r\n <9@a>\r\n\r\n"
)


def add(account: Account, *messages: bytes, internal_at: int | None = None) -> list[int]:
    new = [NewMessage(each, internal_at=internal_at) for each in messages]
    return list(account.append("INBOX", new).uids)


@pytest.fixture(params=["kept", "made now"])
def filled(request: pytest.FixtureRequest, account: Account, store: MailStore) -> Account:
    """An account with messages whose texts are in the cache, or not yet."""
    add(account, MESSAGE, b"Subject: undated\r\n\r\n", internal_at=86_400 * 5 + 1)
    if request.param == "kept":
        store.flush()
    else:
        account.core.cache.remove()
    return account


def test_fields_are_those_of_the_header(filled: Account) -> None:
    inbox = filled.status("INBOX").id
    for _ in range(2):
        found = filled.fields(inbox, [1, 2, 3])
        assert found[1] == summarise(Headers.parse(MESSAGE), 0)
        assert found[1].references == ("0@a", "9@a")
        assert (found[2].sent_at, found[2].sent_day, found[2].subject) == (432_001, 5, "undated")
        assert 3 not in found


def test_copies_have_the_same_fields(filled: Account) -> None:
    inbox = filled.status("INBOX").id
    (copy,) = filled.copy(inbox, [1], "Archive").target_uids
    archive = filled.status("Archive").id
    assert filled.fields(archive, [copy])[copy] == filled.fields(inbox, [1])[1]


def test_headers_hold_what_clients_ask_for_as_it_stands(filled: Account) -> None:
    inbox = filled.status("INBOX").id
    for _ in range(2):
        assert filled.headers(inbox, [1, 2, 3]) == {1: KEPT, 2: b"Subject: undated\r\n\r\n"}


def test_a_header_that_is_too_large_must_be_read(account: Account) -> None:
    (uid,) = add(account, b"To: " + b"a@b.example,\r\n " * 2_000 + b"c@c.example\r\n\r\n")
    assert account.headers(account.status("INBOX").id, [uid]) == {}


def test_a_long_header_is_read_to_its_end(account: Account) -> None:
    (uid,) = add(account, b"X: " + b"x" * 900 + b"\r\n" + b"Y: y\r\n" * 20_000 + b"Subject: late\r\n\r\nbody")
    account.core.cache.remove()
    assert account.fields(account.status("INBOX").id, [uid])[uid].subject == ""
    (uid,) = add(account, (b"X: " + b"x" * 900 + b"\r\n") * 100 + b"Subject: late\r\n\r\nbody")
    account.core.cache.remove()
    assert account.fields(account.status("INBOX").id, [uid])[uid].subject == "late"


def test_what_is_gone_is_forgotten(filled: Account) -> None:
    inbox = filled.status("INBOX").id
    filled.texts(inbox, [1, 2])
    filled.headers(inbox, [1, 2])
    epoch = filled.core.db.epoch
    assert len(filled.core.cache.mids(epoch)) == 2
    filled.expunge(inbox, [1])
    eventually(lambda: filled.core.cache.mids(epoch) == [(inbox << 32) + 2])


def test_a_field_without_a_line_end_gets_one() -> None:
    assert heads.select(Headers.parse(b"A: a\r\nB: b"), frozenset({b"b"})) == b"B: b\r\n\r\n"
    assert (
        heads.select(Headers.parse(b"A: a\r\nB: b\r\n\r\n"), frozenset({b"b"}), without=True)
        == b"A: a\r\n\r\n"
    )


LARGE = (
    b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain\r\n\r\nfirst\r\n"
    b"--b\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n"
    b"--c\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b"eHh4" * 100_000 + b"\r\n--c--\r\n--b--\r\n"
)


def test_the_parts_of_a_large_message_are_known_without_reading_it(account: Account) -> None:
    (uid,) = add(account, LARGE)
    packed = account.texts(account.status("INBOX").id, [uid])[uid].parts
    found = packing.unpack(packed)
    assert found is not None
    work = [(found, scan(LARGE))]
    while work:
        ours, real = work.pop()
        for name in ("start", "header_end", "end", "is_multipart", "is_message", "depth", "encoding"):
            assert getattr(ours, name) == getattr(real, name)
        assert len(ours.children) == len(real.children)
        work.extend(zip(ours.children, real.children, strict=True))


@pytest.mark.parametrize("packed", [b"", b"[]", b"[1]", b"{}", b"[[[[", b"\xff", b"null", b'[1,2,3,"x",5,7]'])
def test_what_is_not_packed_is_not_unpacked(packed: bytes) -> None:
    assert packing.unpack(packed) is None
