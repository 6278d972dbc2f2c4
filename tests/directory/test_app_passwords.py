"""App passwords: what they are good for, with and without SCRAM."""

from __future__ import annotations

import sqlite3

import pytest

from mailstack.directory import Directory, DirectoryWriter
from mailstack.directory.logins import typed_app_password
from mailstack.directory.values import Denied, Entered
from mailstack.model.errors import PermanentFailure
from tests.directory.test_scram_rows import prove
from tests.kit.instance import PASSWORD, Instance

ALICE, BOB = "alice@example.test", "bob@example.test"


@pytest.fixture
def instance(instance: Instance) -> Instance:
    """One where SCRAM is on."""
    instance.file.write_text(instance.file.read_text() + "\nscram = true\nscram_iterations = 4096\n")
    return instance


@pytest.fixture(autouse=True)
def people(writer: DirectoryWriter) -> None:
    writer.accounts.add(ALICE, password=PASSWORD)
    writer.accounts.add(BOB, password=PASSWORD)


def why(reader: Directory, password: str, protocol: str = "imap", login: str = ALICE) -> str:
    found = reader.logins.check(login, password, protocol=protocol)
    quick = reader.logins.remembered(login, password, protocol=protocol)
    if isinstance(found, Denied):
        assert quick is None
        return found.why
    assert isinstance(quick, Entered)
    assert quick == found
    return ""


def test_it_logs_in_where_its_scopes_say_beside_the_password(
    writer: DirectoryWriter, reader: Directory
) -> None:
    # A14
    made, secret = writer.app_passwords.add(ALICE, "printer", ["smtp"])
    assert made.scopes == ("smtp",)
    assert why(reader, secret, "smtp") == ""
    for protocol in ("imap", "pop3", "sieve", "web"):
        assert why(reader, secret, protocol) == f"the app password 'printer' is not for {protocol}"
    assert why(reader, PASSWORD) == ""


def test_it_is_one_account_s(writer: DirectoryWriter, reader: Directory) -> None:
    _, secret = writer.app_passwords.add(ALICE, "phone")
    assert why(reader, secret, login=BOB) == "the password does not match"
    writer.app_passwords.add(BOB, "phone")
    assert why(reader, secret, login=BOB) == "the password does not match"


def test_it_is_typed_in_any_way(writer: DirectoryWriter, reader: Directory) -> None:
    _, secret = writer.app_passwords.add(ALICE, "phone")
    for typed in (secret.replace("-", ""), secret.replace("-", " "), secret.upper(), f" {secret} "):
        assert why(reader, typed) == ""
    assert why(reader, secret[:-1]) != "" and why(reader, secret + "a") != ""


@pytest.mark.parametrize(
    "text", ["", "-" * 20, "a" * 19, "a" * 21, "l" * 20, "a" * 19 + "é", "a" * 10_000, "\0" * 20, "1" * 20]
)
def test_what_cannot_be_one_is_not_compared(text: str) -> None:
    assert typed_app_password(text) == ""


def test_revoked_means_at_once(writer: DirectoryWriter, reader: Directory) -> None:
    _, secret = writer.app_passwords.add(ALICE, "phone")
    assert why(reader, secret) == ""
    writer.app_passwords.revoke(ALICE, "phone")
    assert why(reader, secret) == "the password does not match"


def test_it_outlives_the_password_of_the_address(writer: DirectoryWriter, reader: Directory) -> None:
    _, secret = writer.app_passwords.add(ALICE, "phone")
    writer.accounts.set_password(ALICE, "quite another word 7")
    assert why(reader, secret) == ""
    writer.accounts.set(ALICE, enabled=False)
    assert why(reader, secret) == "the account is suspended"


def test_an_address_may_take_nothing_else(writer: DirectoryWriter, reader: Directory) -> None:
    with pytest.raises(PermanentFailure, match="has no app password"):
        writer.app_passwords.require(ALICE, True)
    _, secret = writer.app_passwords.add(ALICE, "phone")
    assert why(reader, PASSWORD) == ""  # it is remembered now
    writer.app_passwords.require(ALICE, True)
    assert why(reader, PASSWORD) == "only app passwords are taken for this address"
    assert why(reader, "wrong") == "the password does not match"
    assert why(reader, secret) == ""
    assert isinstance(reader.logins.check(ALICE, prove(reader, ALICE, PASSWORD), protocol="imap"), Denied)
    writer.app_passwords.require(ALICE, False)
    assert why(reader, PASSWORD) == ""


def test_an_address_without_a_password_of_its_own_has_app_passwords(
    writer: DirectoryWriter, reader: Directory
) -> None:
    writer.accounts.add("shared@example.test")
    _, secret = writer.app_passwords.add("shared@example.test", "phone")
    assert why(reader, secret, login="shared@example.test") == ""
    assert why(reader, "", login="shared@example.test") == "the account has no password of its own"
    proof = prove(reader, "shared@example.test", secret)
    assert isinstance(reader.logins.check("shared@example.test", proof, protocol="imap"), Entered)


def test_scram_works_with_any_of_them(writer: DirectoryWriter, reader: Directory) -> None:
    _, phone = writer.app_passwords.add(ALICE, "phone", ["imap"])
    _, laptop = writer.app_passwords.add(ALICE, "laptop")
    for password, name in ((PASSWORD, None), (phone, "phone"), (laptop, "laptop")):
        found = reader.logins.check(ALICE, prove(reader, ALICE, password), protocol="imap")
        assert isinstance(found, Entered)
        assert (found.app_password.name if found.app_password else None) == name
    proof = prove(reader, ALICE, phone)
    refused = reader.logins.check(ALICE, proof, protocol="smtp")
    assert refused == Denied("the app password 'phone' is not for smtp", "login_scope")
    # Its keys could not be made again: the salt stays when the password changes.
    salt = reader.verifier(ALICE).salt
    writer.accounts.set_password(ALICE, "quite another word 7")
    assert reader.verifier(ALICE).salt == salt
    for password in ("quite another word 7", phone, laptop):
        assert reader.authenticate(ALICE, prove(reader, ALICE, password)) is not None
    assert reader.authenticate(ALICE, prove(reader, ALICE, PASSWORD)) is None
    writer.app_passwords.revoke(ALICE, "")
    assert reader.authenticate(ALICE, proof) is None
    writer.accounts.set_password(ALICE, "one more word 8 then")
    assert reader.verifier(ALICE).salt != salt
    assert reader.authenticate(ALICE, prove(reader, ALICE, "one more word 8 then")) is not None


def test_passwords_set_before_app_passwords_keep_their_salt(
    writer: DirectoryWriter, reader: Directory
) -> None:
    salt = reader.verifier(ALICE).salt
    _, phone = writer.app_passwords.add(ALICE, "phone")
    assert reader.verifier(ALICE).salt == salt and len(reader.verifier(ALICE).keys) == 2
    for password in (PASSWORD, phone):
        assert reader.authenticate(ALICE, prove(reader, ALICE, password)) is not None


def test_the_database_and_the_master_key_are_both_needed(
    instance: Instance, writer: DirectoryWriter, reader: Directory
) -> None:
    # T90
    _, secret = writer.app_passwords.add(ALICE, "phone")
    assert secret.encode() not in instance.config.paths.directory_db.read_bytes()
    row = sqlite3.connect(instance.config.paths.directory_db).execute("SELECT * FROM app_password").fetchone()
    assert secret not in row and secret.replace("-", "") not in row
    assert "mac" not in repr(reader.logins.app_passwords(1)) + repr(reader.logins.app_passwords(2))


def test_sessions_end_when_something_is_taken_away(writer: DirectoryWriter, reader: Directory) -> None:
    # A15, A16
    def revision() -> int:
        found = reader.find_account(ALICE)
        assert found is not None
        return found.login_revision

    seen = [revision()]
    writer.app_passwords.add(ALICE, "phone")
    assert revision() == seen[-1], "an added app password disturbs nobody"
    for change in (
        lambda: writer.accounts.set_password(ALICE, "quite another word 7"),
        lambda: writer.app_passwords.require(ALICE, True),
        lambda: writer.app_passwords.revoke(ALICE, "phone"),
        lambda: writer.accounts.set(ALICE, enabled=False),
        lambda: writer.accounts.set(ALICE, kind="device"),
    ):
        change()
        seen.append(revision())
    assert sorted(set(seen)) == seen
    writer.accounts.set(ALICE, name="Alice", enabled=True)
    assert revision() == seen[-1]
