"""The full-text index: exact, never behind for ever, never in the way, never needed."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstack.disk import lock
from mailstack.mailbox import indexing, text_index
from mailstack.mailbox.store import Account, MailStore
from mailstack.mime import lines, searchable
from mailstack.mime.searchable import TextPart, fold
from mailstack.model.mailbox import MailboxError, Needle, NewMessage
from tests.kit import corpus
from tests.kit.clock import Clock
from tests.kit.mailboxes import build_index
from tests.kit.process import eventually
from tests.mailbox.conftest import ALICE
from tests.mime.test_searchable import MIXED, message


def add(account: Account, *messages: bytes, folder: str = "INBOX") -> list[int]:
    return list(account.append(folder, [NewMessage(each) for each in messages]).uids)


def plain(text: str) -> bytes:
    return b"Subject: s\r\n\r\n" + text.encode() + b"\r\n"


def find(
    account: Account, text: str, part: TextPart = "text", folder: str = "INBOX"
) -> tuple[list[int], list[int]]:
    folder_id = account.status(folder).id
    (hits,) = account.find_text(folder_id, [Needle(part, fold(text))])
    return sorted(hits.found), sorted(hits.unsure)


def test_the_texts_of_delivered_mail_are_made_with_the_index(account: Account) -> None:
    folder = account.status("INBOX").id
    for number in (1, 2):
        account.deliver("INBOX", NewMessage(plain(f"text {number}")), base_name=f"1.id{number}_1_1.host")
    assert account.texts(folder, [1, 2], ready_only=True) == {}
    build_index(account)
    ready = account.texts(folder, [1, 2], ready_only=True)
    account.core.cache.remove()
    assert ready == account.texts(folder, [1, 2])
    assert sorted(ready) == [1, 2]


@pytest.fixture
def fresh(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many texts may wait for their trigrams: none, or all there are."""
    monkeypatch.setattr(text_index, "FRESH", request.param)
    return int(request.param)


both = pytest.mark.parametrize("fresh", [1, 1_000], indirect=True)


@both
@pytest.mark.parametrize(
    ("text", "charset", "needle"),
    [
        ("Grüße aus Köln", "iso-8859-1", "GRÜSSE AUS"),
        ("İstanbul", "iso-8859-9", "istanbul"),
        ("Привет, мир", "koi8-r", "ПРИВЕТ"),
        ("你好，世界。再见", "gb18030", "世界"),
        ("日本語のメールです", "iso-2022-jp", "本"),
        (
            "a \"quoted\" text with 'all' of it * NOT AND (x)",
            "utf-8",
            "\"quoted\" text with 'all' of it * NOT AND (",
        ),
    ],
)
def test_every_charset_is_found(account: Account, fresh: int, text: str, charset: str, needle: str) -> None:
    held = [add(account, message(text, charset, encoding))[0] for encoding in ("base64", "quoted-printable")]
    add(account, plain("something else"))
    build_index(account)
    assert find(account, needle) == (held, [])
    assert find(account, needle, "body") == (held, [])
    assert find(account, needle, "subject") == (held, [])
    assert find(account, needle, "from") == ([], [])
    assert find(account, needle + "?") == ([], [])


@both
def test_every_part_is_told_from_the_others(account: Account, fresh: int) -> None:
    (uid,) = add(account, MIXED)
    build_index(account)
    for part, needle in (
        ("from", "josé"), ("to", "c@c.example"), ("bcc", "é"), ("body", "résumé.pdf"), ("header", "to: b@b"),
        ("text", "first part"), ("text", "jose@"),
    ):  # fmt: skip
        assert find(account, needle, part) == ([uid], []), (part, needle)  # type: ignore[arg-type]
    for part, needle in (("cc", "b@b"), ("subject", "e"), ("body", "josé"), ("header", "first part")):
        assert find(account, needle, part) == ([], []), (part, needle)  # type: ignore[arg-type]


def test_what_is_not_indexed_is_unsure(account: Account) -> None:
    first = add(account, plain("one needle"))
    assert find(account, "needle") == ([], first)
    build_index(account)
    second = add(account, plain("another needle"))
    assert find(account, "needle") == (first, second)
    assert find(account, "") == (first, second)
    build_index(account)
    assert find(account, "needle") == (first + second, [])


@both
def test_what_is_gone_is_forgotten(account: Account, store: MailStore, fresh: int) -> None:
    uids = add(account, plain("secret needle"), plain("other needle"))
    build_index(account)
    inbox = account.status("INBOX").id
    account.expunge(inbox, uids[:1])
    assert find(account, "needle") == (uids[1:], [])
    eventually(lambda: account.core.index.mids(account.core.db.epoch) == {(inbox << 32) + uids[1]})
    with contextlib.closing(sqlite3.connect(account.core.index.path)) as database:
        assert database.execute("SELECT count(*) FROM words WHERE words MATCH 'sec'").fetchone() == (0,)
        assert database.execute(
            "SELECT count(*) FROM texts WHERE instr(body, ?)", (b"secret",)
        ).fetchone() == (0,)


def test_copies_and_moves_need_no_second_look(account: Account) -> None:
    uids = add(account, plain("needle"), plain("nothing"))
    build_index(account)
    inbox = account.status("INBOX").id
    copied = account.copy(inbox, uids, "Archive")
    moved = account.move(inbox, uids[:1], "Sent")
    assert find(account, "needle", folder="Archive") == ([copied.target_uids[0]], [])
    assert find(account, "needle", folder="Sent") == (list(moved.target_uids), [])
    assert find(account, "needle") == ([], [])


def test_a_long_text_is_unsure_where_it_was_not_looked_at(account: Account) -> None:
    body = "early " + "x " * (text_index.MAX_CHARACTERS // 2) + " late"
    (uid,) = add(account, b"Subject: long\r\n\r\n" + body.encode())
    build_index(account)
    assert find(account, "early") == ([uid], [])
    assert find(account, "late") == ([], [uid])
    assert find(account, "late", "header") == find(account, "late", "subject") == ([], [])


def test_an_unreadable_message_is_unsure_until_another_process_looks(
    account: Account, store: MailStore
) -> None:
    (uid,) = add(account, plain("needle"))
    (file,) = (account.core.maildir / "cur").iterdir()
    data = file.read_bytes()
    file.unlink()
    file.symlink_to("/nowhere")
    with pytest.raises(MailboxError):
        account.open(account.status("INBOX").id, uid).close()
    build_index(account)
    file.unlink()
    file.write_bytes(data)
    account.core.seen.index_swept = False
    build_index(account)
    found, unsure = find(account, "needle")
    assert len(found) == 1
    assert unsure == []
    store.last_trouble = None  # the file that could not be read was reported


def test_an_index_that_is_deleted_or_damaged_is_made_again(account: Account) -> None:
    uids = add(account, plain("needle"))
    build_index(account)
    path = account.core.index.path
    path.unlink()
    assert find(account, "needle") == ([], uids)
    build_index(account)
    assert find(account, "needle") == (uids, [])
    account.core.close()
    path.write_bytes(b"not a database" * 1_000)
    assert find(account, "needle") == ([], uids)
    build_index(account)
    assert find(account, "needle") == (uids, [])
    with path.open("r+b") as file:
        file.seek(4_096)
        file.write(random.Random(7).randbytes(60_000))
    account.core.close()
    find(account, "needle")
    build_index(account)
    assert find(account, "needle") == (uids, [])


def test_an_index_of_another_account_is_not_believed(account: Account, store: MailStore) -> None:
    add(account, plain("needle"))
    build_index(account)
    shutil.copy(account.core.index.path, account.core.home / "copy.db")
    (account.core.home / "account.db").unlink()
    account.core.close()
    account.core.cache.remove()
    assert find(account, "needle")[0] == []
    build_index(account)
    assert len(find(account, "needle")[0]) == 1


def test_rows_that_are_missing_are_noticed_by_the_next_process(account: Account) -> None:
    uids = add(account, plain("needle one"), plain("needle two"))
    build_index(account)
    inbox = account.status("INBOX").id
    account.core.index.forget(account.core.db.epoch, [(inbox << 32) + uids[0]])
    assert find(account, "needle") == (uids[1:], uids[:1])
    account.core.seen.index_swept = False
    build_index(account)
    assert find(account, "needle") == (uids, [])


def test_one_process_indexes_at_a_time(account: Account) -> None:
    add(account, plain("needle"))
    with lock.alone(account.core.home / "indexing", "testing") as alone:
        assert alone
        assert not indexing.build(account.core)
    assert find(account, "needle")[0] == []


def test_a_backlog_is_worked_off_in_turns(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "BATCH", 3)
    uids = add(account, *(plain(f"needle {n}") for n in range(10)))
    turns = 1
    while indexing.build(account.core):
        turns += 1
        found, unsure = find(account, "needle")
        assert sorted(found + unsure) == uids
    assert turns >= 4
    assert find(account, "needle") == (uids, [])


def test_a_daemon_that_keeps_the_index_does_so_by_itself(
    root: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailstack.mailbox.worker.INDEX_DELAY_S", 0.01)
    store = MailStore(root, now=clock, random_bytes=os.urandom, index=True)
    try:
        account = store.account(ALICE)
        uids = add(account, plain("needle"))
        account.rows(account.status("INBOX").id)
        eventually(lambda: find(account, "needle") == (uids, []))
    finally:
        store.close()


@pytest.fixture(scope="module")
def large(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Account, dict[int, searchable.SearchText]]]:
    messages = [lines.normalise(raw) for _, raw in corpus.messages(every=10)]
    store = MailStore(tmp_path_factory.mktemp("mail"), now=time.time, random_bytes=os.urandom)
    account = store.account(ALICE)
    uids = add(account, *messages)
    build_index(account)
    yield account, {uid: searchable.read(data) for uid, data in zip(uids, messages, strict=True)}
    store.close()


def test_the_index_finds_exactly_what_a_look_into_each_message_finds(
    large: tuple[Account, dict[int, searchable.SearchText]],
) -> None:
    account, texts = large
    chance = random.Random(1)
    parts: tuple[TextPart, ...] = ("text", "body", "header", "from", "to", "cc", "subject")
    for _ in range(150):
        source = chance.choice(list(texts.values()))
        part = chance.choice(parts)
        text = source.body if part in ("text", "body") else source.header
        start = chance.randrange(max(len(text) - 20, 1))
        needle = text[start : start + chance.choice((1, 2, 3, 4, 7, 20))].replace("\n", "")
        wanted = [uid for uid, each in texts.items() if each.holds(part, needle)]
        found, unsure = find(account, needle, part)
        assert found == wanted, (part, needle)
        assert not unsure


def test_a_large_attachment_does_not_make_a_message_unsure(account: Account) -> None:
    data = (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nneedle\r\n"
        b"--b\r\nContent-Type: image/png\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n"
        + b"QUJD" * 3_000_000
        + b"\r\n--b\r\n\r\nlast words\r\n--b--\r\n"
    )
    (uid,) = add(account, data)
    build_index(account)
    assert find(account, "needle") == find(account, "last words") == ([uid], [])
    assert find(account, "nowhere") == ([], [])
