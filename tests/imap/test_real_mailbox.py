"""Sessions on real mailboxes: names, files that change behind our back, several clients."""

from __future__ import annotations

import os
import random
import re
import time
from pathlib import Path

import pytest

from mailstack.mailbox import MailStore
from mailstack.mailbox.recover import rebuild
from mailstack.mailbox.store import Account
from mailstack.model.mailbox import AccountStore, NewMessage
from tests.kit import corpus, imap_value
from tests.kit.bare_session import ACCOUNT, BareSession, message


def files(mail: MailStore) -> list[Path]:
    maildir = mail.root / "example.test" / "alice" / "Maildir"
    return sorted([*(maildir / "cur").iterdir(), *(maildir / "new").iterdir()])


@pytest.mark.parametrize(
    "name",
    [
        b"../../etc", b"INBOX/../x", b"a//b", b'"/"', b'""', b'"%"', b'"*"', b"{1+}\r\n\x01",
        b"{3+}\r\na\rb", b'"&AAA"', b'"&-&"', b'"&AGEAYg-"', b"/".join([b"a"] * 11),
        b"/".join([b"x"] * 1000), b"y" * 300,
        b'"' + b"&APw-" * 60 + b'"',
    ],
)  # fmt: skip
def test_names_that_cannot_be_made(account: AccountStore, name: bytes) -> None:
    # I14, I15
    session = BareSession(account).log_in()
    before = session.command(b'LIST "" *')
    assert re.search(rb"t (?:NO \[(?:CANNOT|LIMIT)\]|BAD) ", session.command(b"CREATE " + name))
    assert session.command(b'LIST "" *') == before
    assert not session.closed


@pytest.mark.parametrize(
    "name", [b".hidden", b"cur", b"new", b"tmp", b"a.b/c.d", b"Inbox/Sub", b'"&-"', b'"a b"', b"~root"]
)
def test_odd_names_are_made_or_refused_but_stay_inside(
    account: AccountStore, mail: MailStore, name: bytes
) -> None:
    session = BareSession(account).log_in()
    made = b"t OK" in session.command(b"CREATE " + name)
    if made:
        assert b"t OK [READ-WRITE]" in session.command(b"SELECT " + name)
        assert b"t OK [APPENDUID" in session.ask(b"t APPEND " + name + b" {3+}\r\nabc\r\n")
        assert b"* STATUS" in session.command(b"STATUS " + name + b" (MESSAGES)")
    inside = mail.root / "example.test" / "alice"
    assert {path.name for path in mail.root.iterdir()} == {"example.test"}
    assert {path.name for path in inside.parent.iterdir()} == {"alice"}


def test_two_forms_of_a_name_are_one_folder(account: AccountStore) -> None:
    # I15
    session = BareSession(account).log_in()
    assert b"t OK" in session.command(b'CREATE "u&Awg-"')
    assert b"t NO [ALREADYEXISTS]" in session.command(b'CREATE "&APw-"')
    assert b"t OK" in session.command(b'SELECT "&APw-"')


@pytest.mark.parametrize("how", ["deleted", "shorter", "longer", "empty", "directory"])
def test_a_file_that_changed_is_never_sent_under_the_old_size(
    account: AccountStore, mail: MailStore, how: str
) -> None:
    # I25
    account.append("INBOX", [NewMessage(message(subject="one")), NewMessage(message(subject="two"))])
    session = BareSession(account).select()
    assert session.command(b"FETCH 1:2 (RFC822.SIZE ENVELOPE)").count(b"ENVELOPE") == 2
    victim = next(path for path in files(mail) if b"one" in path.read_bytes())
    match how:
        case "deleted":
            victim.unlink()
        case "shorter":
            victim.write_bytes(victim.read_bytes()[:20])
        case "longer":
            victim.write_bytes(victim.read_bytes() + b"more\r\n")
        case "empty":
            victim.write_bytes(b"")
        case "directory":
            victim.unlink()
            victim.mkdir()
    out = session.command(b"FETCH 1:2 (RFC822.SIZE BODY.PEEK[])")
    assert re.search(rb"t (?:OK|NO) ", out) and b"Subject: two" in out
    for size, octets in re.findall(rb"RFC822.SIZE (\d+) BODY\[\] \{(\d+)\}", out):
        assert size == octets
    session.command(b"NOOP")
    out = session.command(b"FETCH 1:* (RFC822.SIZE BODY.PEEK[])")
    assert b"t OK" in out
    for size, octets in re.findall(rb"RFC822.SIZE (\d+) BODY\[\] \{(\d+)\}", out):
        assert size == octets


def test_two_clients_doing_anything_agree_at_the_end(account: AccountStore) -> None:
    # I17, in small: UIDs never come back, views converge.
    chance = random.Random(17)
    account.append("INBOX", [NewMessage(message(subject=str(n))) for n in range(10)])
    sessions = [BareSession(account).select() for _ in range(3)]
    highest = 10
    for _ in range(150):
        session = chance.choice(sessions)
        uid = chance.randint(1, highest)
        command = chance.choice(
            [
                b"UID STORE %d +FLAGS (\\Deleted)" % uid,
                b"UID STORE %d -FLAGS (\\Deleted \\Seen)" % uid,
                b"UID FETCH %d BODY[]" % uid,
                b"UID EXPUNGE %d" % uid,
                b"EXPUNGE" if chance.random() < 0.1 else b"NOOP",
                b"UID MOVE %d Trash" % uid if chance.random() < 0.2 else b"NOOP",
                b"UID COPY %d INBOX" % uid,
                b"APPEND INBOX {3+}\r\nnew",
            ]
        )
        out = session.command(command)
        assert re.search(rb"t (?:OK|NO) ", out), (command, out)
        found = re.search(rb"(?:APPENDUID \d+|COPYUID \d+ \S+) (\d+)\]", out)
        if found and b"MOVE" not in command:
            assert int(found[1]) > highest
            highest = int(found[1])
    views = [session.command(b"NOOP") and session.command(b"UID FETCH 1:* (UID)") for session in sessions]
    assert views[0] == views[1] == views[2]


def test_every_message_of_the_corpus_is_listed_and_read_as_it_was(account: AccountStore) -> None:
    # I13: every answer parses; RFC822.SIZE is what BODY[] has.
    messages = [data for _, data in corpus.messages(every=40)]
    for data in messages:
        account.append("INBOX", [NewMessage(data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))])
    session = BareSession(account).select()
    for number in range(1, len(messages) + 1):
        out = session.command(b"FETCH %d (RFC822.SIZE BODY.PEEK[])" % number)
        size = int(out.split(b"RFC822.SIZE ")[1].split()[0])
        head = b"* %d FETCH (RFC822.SIZE %d BODY[] {%d}\r\n" % (number, size, size)
        assert out.startswith(head) and out[len(head) + size :] == b")\r\nt OK Fetch completed\r\n"
        out = session.command(b"FETCH %d (ENVELOPE BODYSTRUCTURE)" % number)
        value = out[out.index(b"(") : out.rindex(b"\r\nt OK")]
        imap_value.read(value.replace(b"(ENVELOPE ", b"(", 1).replace(b" BODYSTRUCTURE ", b" ", 1))


@pytest.fixture
def replaced(account: Account, mail: MailStore) -> BareSession:
    """INBOX is selected, and another process has made account.db anew; the last message is \\Deleted."""
    account.append("INBOX", [NewMessage(message(subject="one")), NewMessage(message(subject="two"))])
    session = BareSession(account).select()
    session.command(rb"STORE 2 +FLAGS (\Deleted)")
    mail.flush()
    other = MailStore(mail.root, now=time.time, random_bytes=os.urandom)
    rebuild(other, ACCOUNT.address)
    other.close()
    account.core.db._checked = 0
    return session


@pytest.mark.parametrize(
    "command",
    [
        rb"STORE 1 +FLAGS (\Deleted)", rb"UID STORE 1:2 FLAGS.SILENT ()", b"EXPUNGE", b"UID EXPUNGE 1:2",
        b"COPY 1 Trash", b"MOVE 1 Trash", b"UID MOVE 1:* Trash", b"FETCH 1 ENVELOPE", b"FETCH 1 BODY[]",
        b"FETCH 1:2 (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])", b"FETCH 1 (THREADID)", b"FETCH 1 PREVIEW",
        b"SEARCH SUBJECT one", b"SEARCH TEXT body", b"SORT (SUBJECT) UTF-8 ALL",
        b"THREAD REFERENCES UTF-8 ALL", b"CLOSE",
    ],
)  # fmt: skip
def test_what_is_asked_of_a_folder_whose_index_was_made_anew_is_refused_and_ends_the_session(
    replaced: BareSession, account: Account, command: bytes
) -> None:
    # An empty answer would be believed, and an old number may be another message's.
    told = replaced.command(command)
    assert b"t OK" not in told and b"* BYE The selected mailbox was" in told and replaced.closed
    assert [int(row.flags) for row in account.rows(account.status("INBOX").id)] == [0, 8]
    assert account.status("Trash").messages == 0


def test_what_was_done_is_said_to_be_before_the_session_ends(replaced: BareSession, account: Account) -> None:
    # Without its OK the client does it again.
    told = replaced.ask(b"t APPEND Trash {3+}\r\nabc\r\n")
    assert b"t OK [APPENDUID" in told and told.splitlines()[-1].startswith(b"* BYE")
    assert account.status("Trash").messages == 1


@pytest.mark.parametrize("command", [b"SELECT INBOX", b"EXAMINE INBOX"])
def test_a_folder_whose_index_was_made_anew_can_be_selected_again(
    replaced: BareSession, command: bytes
) -> None:
    told = replaced.command(command)
    assert b"* 2 EXISTS" in told and b"t OK [READ" in told and not replaced.closed
