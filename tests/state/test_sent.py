"""What was sent lately, asked for when a bounce comes."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailstack.disk.sqlite import open_database
from mailstack.state import maillog_db, sent
from mailstack.state.maillog_db import Event
from mailstack.state.sent import Sent

NOW = 1_763_776_800.0


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "maillog.db"
    maillog_db.migrate(path)
    return path


def note(path: Path, owner: str, *to: str) -> None:
    rows = [
        (Event(NOW, "queue", "delivered", f"q{n}", {"to": address}), "", [(owner, "sent")])
        for n, address in enumerate(to)
    ]
    connection = open_database(path)
    maillog_db.insert(connection, rows)
    connection.close()


def test_a_recipient_of_any_of_the_owners_is_known(log: Path) -> None:
    note(log, "a@x.test", "one@far.test")
    note(log, "b@x.test", "two@far.test")
    found = Sent(log)
    assert found.is_recipient(["a@x.test", "b@x.test"], ["Two@far.test"], now=NOW)
    assert not found.is_recipient(["a@x.test"], ["two@far.test"], now=NOW)
    assert not found.is_recipient(["a@x.test"], [], now=NOW)
    found.close()


def test_a_bounce_to_many_does_not_have_all_their_mail_looked_through(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners = [f"user{n}@x.test" for n in range(10)]
    for owner in owners:
        note(log, owner, *(f"r{n}@far.test" for n in range(10)))
    looked: list[int] = []
    monkeypatch.setattr(sent, "MAX_ROWS", 25)
    found = Sent(log)
    ask = found._ask

    def counted(statement: str, *values: object) -> list[tuple[str]]:
        rows = ask(statement, *values)
        looked.append(len(rows))
        return rows

    monkeypatch.setattr(found, "_ask", counted)
    assert not found.is_recipient(owners, ["nobody@far.test"], now=NOW)
    assert looked == [10, 10, 5]
    found.close()


def test_who_sent_it_is_found_below_a_flood_of_its_like(log: Path) -> None:
    rows: list[tuple[Event, str, list[tuple[str, str]]]] = [
        (Event(NOW, "smtp", "accepted", f"q{n}", {"login": login}), "<1@x>", [])
        for n, login in enumerate(["a@x.test", "a@x.test", "", *["b@x.test"] * sent.MAX_SAME])
    ]
    rows.append((Event(NOW, "smtp", "accepted", "late", {"login": "late@x.test"}), "<1@x>", []))
    rows.append((Event(NOW, "smtp", "refused", "r", {"login": "c@x.test"}), "<2@x>", []))
    rows.append((Event(NOW, "smtp", "accepted", "n", {}), "<3@x>", []))
    connection = open_database(log)
    maillog_db.insert(connection, rows)
    connection.close()
    found = Sent(log)
    assert list(found.logins(["<0@x>", "<1@x>", "<2@x>", "<3@x>", ""])) == ["a@x.test", "b@x.test"]
    assert found.is_message(["<1@x>"]) and not found.is_message(["<2@x>"])
    found.close()
