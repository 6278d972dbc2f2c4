"""What is kept for SCRAM, and who may log in with it."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from mailstack.directory import Directory, DirectoryWriter
from mailstack.model.errors import TemporaryFailure
from mailstack.model.secret import Proof
from mailstack.sasl import exchange
from mailstack.sasl.exchange import Challenge, Credentials, Offer
from tests.kit.instance import PASSWORD, Instance
from tests.kit.scram_client import ScramClient

ALICE = "alice@example.test"


@pytest.fixture
def instance(instance: Instance) -> Instance:
    """One where SCRAM is on."""
    instance.file.write_text(instance.file.read_text() + "\nscram = true\nscram_iterations = 4096\n")
    return instance


def prove(reader: Directory, login: str, password: str) -> Proof:
    talk = exchange.start("SCRAM-SHA-256", Offer(reader.verifier, bytes))
    assert talk is not None
    client = ScramClient(login, password)
    step = talk.respond(client.first())
    assert isinstance(step, Challenge)
    step = talk.respond(client.final(step.line))
    if isinstance(step, Challenge):
        step = talk.respond(b"")
    assert isinstance(step, Credentials) and isinstance(step.password, Proof)
    return step.password


def test_a_password_that_was_set_can_be_proven(writer: DirectoryWriter, reader: Directory) -> None:
    writer.accounts.add(ALICE, password=PASSWORD)
    found = reader.authenticate(ALICE, prove(reader, ALICE, PASSWORD), protocol="imap")
    assert found is not None and str(found.address) == ALICE
    assert reader.authenticate(ALICE, prove(reader, ALICE, "something else")) is None
    writer.accounts.set_password(ALICE, "another pass word 9")
    assert reader.authenticate(ALICE, prove(reader, ALICE, PASSWORD)) is None
    assert reader.authenticate(ALICE, prove(reader, ALICE, "another pass word 9")) is not None


def test_a_proof_of_a_password_that_was_changed_since_is_worth_nothing(
    writer: DirectoryWriter, reader: Directory
) -> None:
    writer.accounts.add(ALICE, password=PASSWORD)
    proof = prove(reader, ALICE, PASSWORD)
    writer.accounts.set_password(ALICE, "another pass word 9")
    assert reader.authenticate(ALICE, proof) is None


def test_a_proof_is_of_one_account_and_of_one_that_may_log_in(
    writer: DirectoryWriter, reader: Directory
) -> None:
    writer.accounts.add(ALICE, password=PASSWORD)
    writer.accounts.add("bob@example.test", password=PASSWORD)
    writer.accounts.add("printer@example.test", password=PASSWORD, kind="device")
    proof = prove(reader, ALICE, PASSWORD)
    assert reader.authenticate("bob@example.test", proof) is None
    printer = prove(reader, "printer@example.test", PASSWORD)
    assert reader.authenticate("printer@example.test", printer, protocol="imap") is None
    assert reader.authenticate("printer@example.test", printer, protocol="smtp") is not None
    writer.accounts.set(ALICE, enabled=False)
    assert reader.authenticate(ALICE, proof) is None
    assert reader.authenticate(ALICE, Proof()) is None


def test_a_stranger_gets_a_salt_that_stays(reader: Directory, instance: Instance) -> None:
    other = instance.reader()
    first, second = reader.verifier("nobody@example.test"), other.verifier("Nobody@EXAMPLE.test")
    other.close()
    assert first == second and not first.keys and first.why == ""
    assert len(first.salt) == 16 and first.iterations == 4096
    assert reader.verifier("somebody@example.test").salt != first.salt
    for login in ("", "\0", "\udcff", "x" * 100_000, "a@b@c"):
        assert not reader.verifier(login).keys


def test_salts_are_of_one_account(writer: DirectoryWriter, reader: Directory) -> None:
    for name in ("alice", "bob"):
        writer.accounts.add(f"{name}@example.test", password=PASSWORD)
    one, two = reader.verifier(ALICE), reader.verifier("bob@example.test")
    assert one.salt != two.salt and len(one.salt) == 16 and one.iterations == 4096


def test_a_password_set_while_it_was_off_fails_and_the_log_says_why(
    instance: Instance, writer: DirectoryWriter, reader: Directory
) -> None:
    options = msgspec.structs.replace(instance.config.auth, scram=False)
    with DirectoryWriter(instance.config.paths, options=options) as old:
        old.accounts.add(ALICE, password=PASSWORD)
        proof = prove(reader, ALICE, PASSWORD)
        assert not proof.stored_key and "set again" in proof.why
        salt = reader.verifier(ALICE).salt
        writer.accounts.set_password(ALICE, PASSWORD)
        assert reader.authenticate(ALICE, prove(reader, ALICE, PASSWORD)) is not None
        assert reader.verifier(ALICE).salt != salt
        # What is set while it is off again leaves nothing of the old password.
        old.accounts.set_password(ALICE, "another pass word 9")
    assert not reader.verifier(ALICE).keys


def test_an_import_keeps_verifiers(instance: Instance, reader: Directory) -> None:
    file = instance.folder / "users.csv"
    file.write_text(f"address,password\n{ALICE},plain pass word 9\n")
    assert instance.cli("user", "import", str(file)).code == 0
    assert reader.authenticate(ALICE, prove(reader, ALICE, "plain pass word 9")) is not None


def test_without_the_master_key_it_is_told(reader: Directory, instance: Instance) -> None:
    instance.config.paths.master_key.unlink()
    with pytest.raises(TemporaryFailure):
        reader.verifier("nobody@example.test")


def test_nothing_of_it_is_shown(writer: DirectoryWriter, reader: Directory) -> None:
    writer.accounts.add(ALICE, password=PASSWORD)
    keys = reader.verifier(ALICE).keys[0]
    assert dataclasses.asdict(keys)["stored_key"] and repr(keys) == "Keys()"
