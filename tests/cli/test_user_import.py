"""mailstack user import: everything or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.cli import user_import
from tests.kit.fuzzing import FUZZ
from tests.kit.instance import PASSWORD, Instance, Result

HEADER = "address,password,name,plan,quota\n"


def imported(instance: Instance, text: str | bytes, *words: str) -> Result:
    file = instance.folder / "users.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return instance.cli("user", "import", str(file), *words)


def test_all_are_made(instance: Instance) -> None:
    quoted = PASSWORD.replace('"', '""')
    text = f'{HEADER}alice@example.test,"{quoted}",Alice,free,1G\nbob@example.test,,"B, ob",,\n\n'
    found = imported(instance, text, "--json")
    assert found.code == 0, found.err
    assert found.json["added"] == 2
    alice, bob = found.json["users"]
    assert "password" not in alice
    rows = {row["address"]: row for row in instance.cli("user", "list", "--json").json}
    assert (rows["alice@example.test"]["plan"], rows["alice@example.test"]["quota_octets"]) == (
        "free",
        1 << 30,
    )
    assert rows["bob@example.test"]["name"] == "B, ob"
    reader = instance.reader()
    assert reader.authenticate("alice@example.test", PASSWORD)
    assert reader.authenticate("bob@example.test", bob["password"])
    reader.close()


def test_generated_passwords_are_printed(instance: Instance) -> None:
    found = imported(instance, "address\nalice@example.test\n")
    assert "alice@example.test  password: " in found.out
    assert "added 1 address\n" in found.out


def test_a_name_outside_ascii_wants_smtputf8(instance: Instance) -> None:
    with instance.file.open("a") as file:
        file.write("[smtp]\nsmtputf8 = false\n")
    found = imported(instance, "address\nalice@example.test\njörg@example.test\n")
    assert found.code == 65
    assert "users.csv:3: jörg@example.test cannot receive mail while smtp.smtputf8 is off" in found.err


def test_a_missing_file_exits_66(instance: Instance) -> None:
    found = instance.cli("user", "import", "/nowhere.csv")
    assert (found.code, "/nowhere.csv: No such file" in found.err) == (66, True)


def test_every_bad_line_is_reported_with_its_number_and_nothing_is_made(instance: Instance) -> None:
    instance.cli("user", "add", "taken@example.test")
    lines = [
        "good@example.test,correct-word-17,,,",
        "a%b@example.test,correct-word-17,,,",
        "taken@example.test,correct-word-17,,,",
        "x@nope.test,correct-word-17,,,",
        "weak@example.test,short,,,",
        "plan@example.test,correct-word-17,,gold,",
        "quota@example.test,correct-word-17,,,lots",
        "GOOD@example.test,correct-word-17,,,",
        "few@example.test",
        '"two\nlines@example.test",correct-word-17,,,',
        "last|one@example.test,correct-word-17,,bronze,much",
    ]
    found = imported(instance, HEADER + "\n".join(lines) + "\n", "--json")
    assert found.code == 65
    assert found.json["added"] == 0
    errors = found.json["errors"]
    assert [error["line"] for error in errors] == [3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 13, 13]
    for line, words in {
        3: "percent",
        4: "exists already",
        5: "nope.test",
        6: "too short",
        7: "plan",
        8: "not a size",
        9: "line 2 already",
        10: "1 fields instead of 5",
        11: "'\\n'",
    }.items():
        assert any(error["line"] == line and words in error["message"] for error in errors), words
    assert "users.csv:3: " in found.err
    assert [row["address"] for row in instance.cli("user", "list", "--json").json] == ["taken@example.test"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "must name the columns"),
        (b"alice@example.test,secret-word-17\n", "must name the columns"),
        (b"address,adress\n", "'adress'"),
        (b"address,address\n", "doubles"),
        (b"password\nx\n", "no 'address'"),
        (b"address\n", "no address in it"),
        (b"address\nm\xfcller@example.test\n", "not UTF-8"),
        (b'address\n"unclosed@example.test\n', "not CSV"),
        (b"address\n" + b"a\0b@example.test\n", "b"),
    ],
)
def test_what_is_no_such_file_is_refused(instance: Instance, data: bytes, words: str) -> None:
    found = imported(instance, data)
    assert (found.code, found.out) == (65, "")
    assert words in found.err


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbfaddress,name\r\nalice@example.test,A\r\n",
        b"Name ; ADDRESS\nA;alice@example.test\n",
        "name,address\nÄ,alice@example.test".encode(),
    ],
    ids=["excel", "semicolons", "no final newline"],
)
def test_files_of_spreadsheets_are_read(instance: Instance, data: bytes) -> None:
    found = imported(instance, data, "--json")
    assert found.code == 0, found.err
    assert [user["address"] for user in found.json["users"]] == ["alice@example.test"]


def test_stdin_is_read(instance: Instance) -> None:
    assert instance.cli("user", "import", "-", stdin=b"address\nalice@example.test\n").code == 0


def test_former_address_is_not_imported_again(instance: Instance) -> None:
    instance.cli("user", "add", "alice@example.test")
    instance.cli("user", "remove", "alice@example.test")
    found = imported(instance, "address\nalice@example.test\n")
    assert "belonged to somebody" in found.err


def test_row_count_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_import, "MAX_ROWS", 2)
    assert not user_import.parse(b"address\na@x.test\nb@x.test\n")[1]
    [problem] = user_import.parse(b"address\na@x.test\nb@x.test\nc@x.test\n")[1]
    assert (problem.line, problem.message) == (4, "more than 2 lines")


def test_file_size_is_bounded(monkeypatch: pytest.MonkeyPatch, instance: Instance) -> None:
    monkeypatch.setattr(user_import, "MAX_FILE_OCTETS", 27)
    assert imported(instance, b"address\nalice@example.test\n").code == 0
    assert "larger than 27" in imported(instance, b"address\nalice2@example.test\n").err


def test_many_are_made_in_one_transaction(instance: Instance, tmp_path: Path) -> None:
    rows = "".join(f"user{n}@example.test,correct-word-{n}-xy\n" for n in range(300))
    assert imported(instance, "address,password\n" + rows, "--json").json["added"] == 300


@FUZZ
@given(st.binary(max_size=120) | st.text(alphabet='adres,;"\n\r@x. %\0', max_size=80).map(str.encode))
def test_any_octets_give_rows_or_problems(data: bytes) -> None:
    for content in (data, b"address,password,quota\n" + data):
        rows, problems = user_import.parse(content)
        assert rows or problems
        assert all(problem.line >= 1 for problem in problems)
