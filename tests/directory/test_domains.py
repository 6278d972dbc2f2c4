"""Domains and their keys."""

from __future__ import annotations

import base64
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_private_key

from mailstack.directory import Directory, DirectoryWriter
from mailstack.directory.srs_secrets import MAX_SECRETS
from mailstack.model.address import Address
from mailstack.model.directory import Domain, Gone
from mailstack.model.errors import PermanentFailure, TemporaryFailure
from tests.kit.instance import Instance


def test_a_new_domain_has_an_rsa_and_an_ed25519_key(reader: Directory) -> None:
    rsa, ed25519 = reader.dkim_keys("example.test")
    assert rsa.algorithm == "rsa-sha256"
    assert ed25519.algorithm == "ed25519-sha256"
    private = load_pem_private_key(rsa.private_pem, None)
    assert isinstance(private, RSAPrivateKey)
    assert private.key_size == 2048
    assert isinstance(load_pem_private_key(ed25519.private_pem, None), Ed25519PrivateKey)


def test_published_keys_are_the_public_halves(reader: Directory) -> None:
    # RFC 6376 section 3.6.1, RFC 8463 section 4
    published = {key.algorithm: key for key in reader.published_keys("example.test")}
    private = {
        key.algorithm: load_pem_private_key(key.private_pem, None) for key in reader.dkim_keys("example.test")
    }
    rsa = load_der_public_key(base64.b64decode(published["rsa-sha256"].public))
    assert rsa == private["rsa-sha256"].public_key()
    raw = base64.b64decode(published["ed25519-sha256"].public)
    assert raw == private["ed25519-sha256"].public_key().public_bytes_raw()
    assert published["rsa-sha256"].record.startswith("v=DKIM1; k=rsa; p=MII")


def test_private_keys_are_not_in_the_database_in_clear(instance: Instance, reader: Directory) -> None:
    inside = instance.config.paths.directory_db.read_bytes()
    for key in reader.dkim_keys("example.test"):
        assert key.private_pem.splitlines()[1] not in inside
    assert b"PRIVATE KEY" not in inside


def test_keys_need_the_master_key(instance: Instance) -> None:
    instance.config.paths.master_key.write_bytes(bytes(32))
    reader = instance.reader()
    with pytest.raises(TemporaryFailure, match="restore the old file"):
        reader.dkim_keys("example.test")
    reader.close()


def test_a_domain_stands_once(writer: DirectoryWriter) -> None:
    with pytest.raises(PermanentFailure, match="exists already"):
        writer.domains.add("EXAMPLE.test")


def test_unknown_domain_has_no_keys(reader: Directory) -> None:
    assert reader.dkim_keys("elsewhere.test") == []
    assert reader.domain("elsewhere.test") is None


def test_domain_state_is_changed(writer: DirectoryWriter, reader: Directory) -> None:
    writer.domains.set("example.test", inbound="follow-mx", unknown="relay")
    assert reader.domain("example.test") == Domain("example.test", "follow-mx", "", "relay")
    writer.domains.set("example.test", unknown="refuse")
    assert reader.domain("example.test") == Domain("example.test", "follow-mx", "", "refuse")
    with pytest.raises(PermanentFailure, match="follow-mx"):
        writer.domains.set("example.test", inbound="perhaps")


def test_alias_domain_mirrors_another_and_has_its_own_keys(
    writer: DirectoryWriter, reader: Directory
) -> None:
    writer.domains.add_alias("example.net", "example.test")
    assert reader.domain("example.net") == Domain("example.net", "local", "example.test")
    assert [key.domain for key in reader.dkim_keys("example.net")] == ["example.net", "example.net"]
    with pytest.raises(PermanentFailure, match=r"mirrors example\.test"):
        writer.accounts.add("x@example.net")
    with pytest.raises(PermanentFailure, match="mirrors"):
        writer.domains.add_alias("example.com", "example.net")
    with pytest.raises(PermanentFailure, match="not a domain"):
        writer.domains.add_alias("example.com", "example.org")


def test_domain_with_something_in_it_is_not_removed(writer: DirectoryWriter, reader: Directory) -> None:
    writer.accounts.add("alice@example.test")
    writer.accounts.add("bob@example.test")
    writer.aliases.add("sales@example.test", ["alice@example.test"])
    writer.domains.add_alias("example.net", "example.test")
    with pytest.raises(PermanentFailure) as caught:
        writer.domains.remove("example.test")
    for words in ("2 addresses", "1 alias", "example.net"):
        assert words in caught.value.why
    assert reader.domain("example.test") is not None


def test_removed_domain_is_unknown_and_its_names_are_remembered(
    writer: DirectoryWriter, reader: Directory
) -> None:
    writer.accounts.add("alice@example.test", password="secret-word-17")
    writer.domains.add_alias("example.net", "example.test")
    keys = reader.dkim_keys("example.test")
    assert writer.domains.remove("example.test", with_addresses=True) == (1, 0)
    assert reader.domain("example.test") is None
    assert reader.domain("example.net") is None
    assert reader.dkim_keys("example.test") == []
    assert reader.authenticate("alice@example.test", "secret-word-17") is None
    writer.domains.add("example.test")
    assert isinstance(reader.find(Address.parse("alice@example.test")), Gone)
    assert reader.dkim_keys("example.test") == keys
    with pytest.raises(PermanentFailure, match="belonged to somebody"):
        writer.accounts.add("alice@example.test")
    assert writer.accounts.restore("alice@example.test").id == 1


def test_address_in_a_removed_domain_cannot_be_restored(writer: DirectoryWriter) -> None:
    writer.accounts.add("alice@example.test")
    writer.domains.remove("example.test", with_addresses=True)
    with pytest.raises(PermanentFailure, match="not a domain of this server"):
        writer.accounts.restore("alice@example.test")


def test_domain_that_had_addresses_cannot_become_a_mirror(writer: DirectoryWriter) -> None:
    writer.domains.add("example.org")
    writer.accounts.add("alice@example.org")
    writer.domains.remove("example.org", with_addresses=True)
    with pytest.raises(PermanentFailure, match="addresses of its own"):
        writer.domains.add_alias("example.org", "example.test")


def test_srs_secrets_rotate_newest_first_and_the_old_count_as_long_as_their_addresses(
    instance: Instance,
) -> None:
    now = [time.time()]
    reader = Directory(instance.config.paths, now=lambda: now[0])
    writer = DirectoryWriter(instance.config.paths, now=lambda: now[0])
    first = reader.srs_secrets()
    assert [len(secret) for secret in first] == [32]
    writer.srs_secrets.rotate(keep_s=1_000)
    second = reader.srs_secrets()
    assert (len(second), second[1:]) == (2, first)
    now[0] += 600
    writer.srs_secrets.rotate(keep_s=1_000)
    third = reader.srs_secrets()
    assert third[1:] == second
    now[0] += 400
    assert reader.srs_secrets() == third[:2]  # without a commit in between
    now[0] += 600
    assert reader.srs_secrets() == third[:1]
    writer.srs_secrets.rotate(keep_s=1_000)
    assert len(reader.srs_secret_list()) == 2
    reader.close()
    writer.close()


def test_srs_secrets_are_dropped_at_once_when_wanted_and_are_never_many(
    writer: DirectoryWriter, reader: Directory
) -> None:
    for _ in range(MAX_SECRETS - 1):
        writer.srs_secrets.rotate(keep_s=1_000)
    with pytest.raises(PermanentFailure, match="8 secrets are accepted still"):
        writer.srs_secrets.rotate(keep_s=1_000)
    writer.srs_secrets.rotate(keep_s=0)
    assert len(reader.srs_secrets()) == 1
    assert writer.srs_secrets.has_one()
