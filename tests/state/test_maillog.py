"""The mail log: lines nobody can forge, rows that are read back per address."""

from __future__ import annotations

import contextlib
import io
import sqlite3
from pathlib import Path

import pytest

from mailstack.state import maillog, maillog_db
from mailstack.state.maillog import MailLog, line, quote
from mailstack.state.maillog_reader import MailLogReader

NOW = 1_790_000_000.25


@pytest.mark.parametrize("code", [*range(0xA0), 0x2028, 0x2029, 0x202E, 0x200B, 0xFEFF], ids=hex)
def test_no_character_can_break_out_of_a_field(code: int) -> None:
    # T92
    text = line("refused", "id1", {"to": f"a{chr(code)}fake id=2", "code": 550})
    assert text.isascii()
    assert text.isprintable()
    assert text.startswith("refused id=id1 to=")
    assert text.endswith(" code=550")


@pytest.mark.parametrize("plain", ["a@example.org", "2001:db8::25", "250", "<>", "x/y"])
def test_plain_values_stay_bare(plain: str) -> None:
    assert quote(plain) == plain


def test_an_empty_value_is_left_out_and_a_long_one_is_cut() -> None:
    assert line("x", "1", {"a": "", "b": "y"}) == "x id=1 b=y"
    assert len(quote("z" * 100_000)) == maillog.MAX_FIELD + 3


def log(path: Path, stream: io.StringIO) -> MailLog:
    maillog_db.migrate(path)
    return MailLog(path, daemon="smtp", now=lambda: NOW, stream=stream)


def test_an_event_is_a_stamped_line_and_a_row(tmp_path: Path) -> None:
    stream = io.StringIO()
    writer = log(tmp_path / "maillog.db", stream)
    writer.filed(
        "A1",
        to="bob@example.org",
        original="sales@example.org",
        mailbox="INBOX",
        uid=7,
        klass="ham",
        sieve="keep",
    )
    writer.close()
    assert stream.getvalue() == (
        "2026-09-21T14:13:20.250Z smtp filed id=A1 to=bob@example.org original=sales@example.org"
        " mailbox=INBOX uid=7 klass=ham sieve=keep\n"
    )
    reader = MailLogReader(tmp_path / "maillog.db")
    for address in ("bob@example.org", "SALES@example.org"):
        (event,) = reader.of_address(address, direction="received")
        assert (event.name, event.id, event.fields["mailbox"]) == ("filed", "A1", "INBOX")
    assert reader.of_address("bob@example.org", direction="sent") == []
    assert reader.of_address("bob@example.org", since=NOW + 1) == []
    reader.close()


def test_explain_follows_a_message_into_the_queue_and_back(tmp_path: Path) -> None:
    writer = log(tmp_path / "maillog.db", io.StringIO())
    writer.accepted(
        "A1",
        peer="192.0.2.1",
        sender="x@y.example",
        recipients=["b@example.org"],
        size_octets=5,
        message_id="<m@y>",
    )
    writer.queued("A1", queue_id="A1-1", sender="b@example.org", to="z@far.example", kind="forward")
    writer.delivered("A1-1", to="z@far.example", host="mx", answer="250 ok", tries=1)
    writer.accepted("A2", peer="192.0.2.1", sender="", recipients=["c@example.org"], size_octets=5)
    writer.close()
    reader = MailLogReader(tmp_path / "maillog.db")
    for key in ("A1", "A1-1", "<m@y>"):
        assert [event.name for event in reader.explain(key)] == ["accepted", "queued", "delivered"], key
    assert reader.explain("nothing") == []
    reader.close()


def test_explain_tells_what_a_message_taught_and_nothing_of_others(tmp_path: Path) -> None:
    # Lessons and logins have no id of a message here.
    writer = log(tmp_path / "maillog.db", io.StringIO())
    bob, ann = "bob@example.org", "ann@example.org"
    writer.accepted(
        "A1", peer="192.0.2.1", sender="x@y.example", recipients=[bob], size_octets=5, message_id="<m@y>"
    )
    writer.login(protocol="imap", peer="192.0.2.9", account=ann, ok=True, mechanism="PLAIN")
    writer.write("learned", received_by=[bob], message_id="<m@y>", account=bob, label="spam")
    writer.write("learned", received_by=[ann], message_id="<other@y>", account=ann, label="ham")
    writer.close()
    reader = MailLogReader(tmp_path / "maillog.db")
    assert [(event.name, event.fields.get("account")) for event in reader.explain("<m@y>")] == [
        ("accepted", None),
        ("learned", bob),
    ]
    assert reader.explain("") == []
    reader.close()


def test_what_is_older_than_twenty_days_goes(tmp_path: Path) -> None:
    # promise P14
    path = tmp_path / "maillog.db"
    writer = log(path, io.StringIO())
    writer.login(protocol="imap", peer="192.0.2.1", account="a@example.org", ok=True, mechanism="PLAIN")
    writer.close()
    assert maillog_db.purge(path, now=NOW + 19 * 86_400) == 0
    assert maillog_db.purge(path, now=NOW + 21 * 86_400) == 1
    reader = MailLogReader(path)
    assert reader.of_address("a@example.org") == []
    reader.close()


def test_a_log_that_cannot_be_written_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = MailLog(
        tmp_path / "missing" / "maillog.db", daemon="smtp", now=lambda: NOW, stream=io.StringIO()
    )
    writer.unfiltered("A1", why="timeout")
    writer.close()
    assert writer.dropped == 1
    assert "mail log" in capsys.readouterr().err


def test_whatever_is_said_the_log_goes_on(tmp_path: Path) -> None:
    writer = log(tmp_path / "maillog.db", io.StringIO())
    writer.write("test", "A\ud800", received_by=["a@example.org", "\udc80"], message_id="<\ud801@x>")
    writer.write("test", "B", received_by=["a@example.org"], accept_id="\udfff")
    writer.close()
    assert writer.dropped == 0
    reader = MailLogReader(tmp_path / "maillog.db")
    assert [event.id for event in reader.of_address("a@example.org")] == ["A?", "B"]
    reader.close()


def test_a_database_in_trouble_is_written_again_once_it_is_mended(tmp_path: Path) -> None:
    path, told, clock = tmp_path / "maillog.db", list[str](), [0.0]
    rows = maillog_db.RowWriter(path, told.append, clock=lambda: clock[0])

    def write(name: str) -> int:
        return rows.write([(maillog_db.Event(NOW, "smtp", name, name, {}), "", [("a@example.org", "sent")])])

    assert [write(name) for name in "ab"] == [1, 1]
    assert len(told) == 1 and str(path) in told[0]
    maillog_db.migrate(path)
    clock[0] += maillog_db.AGAIN_S
    assert write("c") == 0
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE owner RENAME TO lost")
    assert write("d") == 1
    clock[0] += maillog_db.SILENT_S
    assert write("e") == 1
    assert len(told) == 2 and "3 events" in told[1]
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE lost RENAME TO owner")
    clock[0] += maillog_db.AGAIN_S
    assert write("f") == 0
    rows.close()
    reader = MailLogReader(path)
    assert [event.id for event in reader.of_address("a@example.org")] == ["c", "f"]
    reader.close()


def test_many_events_are_whole_lines_and_rows_in_their_order(tmp_path: Path) -> None:
    stream = io.StringIO()
    path = tmp_path / "maillog.db"
    for _ in range(2):
        writer = log(path, stream)
        for number in range(300):
            text = "\udc80" if number == 7 else "x" * number
            writer.write("test", f"A{number}", received_by=["b@example.org"], text=text)
        writer.close()
        assert writer.dropped == 0
    lines = stream.getvalue().splitlines()
    assert [line.split()[3] for line in lines] == [f"id=A{number}" for number in range(300)] * 2
    reader = MailLogReader(path)
    events = reader.of_address("b@example.org", limit=1_000)
    assert sorted(event.id for event in events) == sorted([f"A{number}" for number in range(300)] * 2)
    assert next(event for event in events if event.id == "A7").fields["text"] == "\udc80"
    reader.close()


@pytest.mark.parametrize("seq", [None, 1])
def test_a_database_that_was_recovered_is_counted_on(tmp_path: Path, seq: int | None) -> None:
    # `.recover` brings the rows back, but not always SQLite's note of the last one
    for name in ("one", "two", "three"):
        writer = log(tmp_path / "maillog.db", io.StringIO())
        writer.write(name, "A1")
        writer.close()
        if name == "two":
            with contextlib.closing(sqlite3.connect(tmp_path / "maillog.db")) as connection, connection:
                connection.execute("DELETE FROM sqlite_sequence")
                if seq is not None:
                    connection.execute("INSERT INTO sqlite_sequence VALUES ('event', ?)", (seq,))
    assert writer.dropped == 0
    with contextlib.closing(MailLogReader(tmp_path / "maillog.db")) as reader:
        assert [event.name for event in reader.explain("A1")] == ["one", "two", "three"]
