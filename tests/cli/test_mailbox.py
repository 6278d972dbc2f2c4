"""`mailstack mailbox` and what `mailstack user` says of a mailbox."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mailstack.mailbox.store import Account, MailStore
from mailstack.model.address import Address
from mailstack.model.mailbox import Flags, NewMessage
from tests.kit.instance import Instance, new_instance

ALICE = "alice@example.test"
OCTETS = b"From: Bob <b@b.test>\r\nSubject: one\r\nMessage-ID: <one@b.test>\r\n\r\n" + b"x" * 2_000 + b"\r\n"


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    made = new_instance(tmp_path)
    assert made.cli("user", "add", ALICE).code == 0
    return made


@contextmanager
def mailbox(instance: Instance) -> Iterator[Account]:
    store = MailStore(instance.config.paths.mail, now=time.time, random_bytes=os.urandom)
    try:
        yield store.account(Address.parse(ALICE))
    finally:
        store.close()


def test_limits_are_set_and_shown_with_what_is_used(instance: Instance) -> None:
    with mailbox(instance) as account:
        account.append("INBOX", [NewMessage(OCTETS)] * 2)
    options = ("--quota", "10K", "--quota-messages", "8", "--spam-days", "never", "--trash-days", "14")
    said = instance.cli("user", "set", ALICE, *options, "--json").json
    assert (said["quota_messages"], said["spam_days"], said["trash_days"]) == (8, None, 14)
    shown = instance.cli("user", "show", ALICE, "--json").json
    assert (shown["quota_octets"], shown["quota_messages"]) == (10_240, 8)
    assert (shown["spam_days"], shown["trash_days"]) == (None, 14)
    size = 2 * len(OCTETS)
    assert shown["used"] == {"octets": size, "of_octets": 10_240, "messages": 2, "of_messages": 8}
    listed = instance.cli("mailbox", "list", ALICE).out
    assert "4.0 KB of 10.0 KB and 2 of 8 messages are used outside Spam and Trash (40 %)" in listed
    instance.cli(
        "user", "set", ALICE, "--quota", "default", "--quota-messages", "none", "--spam-days", "default"
    )
    shown = instance.cli("user", "show", ALICE, "--json").json
    assert (shown["used"]["of_octets"], shown["used"]["of_messages"], shown["spam_days"]) == (None, None, 30)
    assert "(" not in instance.cli("mailbox", "list", ALICE).out


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("--quota", "0"),
        ("--quota-messages", "many"),
        ("--quota-messages", "0"),
        ("--spam-days", "0"),
        ("--trash-days", "soon"),
    ],
)
def test_words_that_are_no_limit_are_refused(instance: Instance, option: str, text: str) -> None:
    assert instance.cli("user", "set", ALICE, option, text).code == 65


def test_the_default_quota_of_the_configuration_counts(instance: Instance) -> None:
    with instance.file.open("a") as file:
        file.write("\n[mailbox]\nquota_octets = 5000\n")
    assert instance.cli("user", "show", ALICE, "--json").json["used"]["of_octets"] == 5_000
    instance.cli("user", "set", ALICE, "--quota", "none")
    assert instance.cli("user", "show", ALICE, "--json").json["used"]["of_octets"] is None


def test_a_mailbox_is_not_made_by_looking_at_its_owner(instance: Instance) -> None:
    instance.cli("user", "show", ALICE)
    assert not (instance.config.paths.mail / "example.test").exists()


def test_messages_are_listed_and_restored(instance: Instance) -> None:
    with mailbox(instance) as account:
        account.append("INBOX", [NewMessage(OCTETS, flags=Flags.SEEN, keywords=("$Work",))])
        account.expunge(account.status("INBOX").id, [1])
        account.create("a")
        account.delete("a")
    row, folder = instance.cli("mailbox", "restore", ALICE, "--list", "--json").json
    assert (folder["folder"], folder["message_id"]) == ("a", None)
    assert instance.cli("mailbox", "restore", ALICE, "--list").out.endswith("\n\ndeleted folders: a\n")
    assert (row["folder"], row["from"], row["subject"]) == ("INBOX", "Bob <b@b.test>", "one")
    for options in (("--folder", "Sent"), ("--message-id", "<two@b.test>"), ("--since", "2999-01-01")):
        nothing = instance.cli("mailbox", "restore", ALICE, *options, "--json").json
        assert (nothing["restored"], nothing["folders"]) == (0, [])
    done = instance.cli("mailbox", "restore", ALICE, "--since", "1h")
    assert (done.code, done.out) == (0, "1 message restored\ndeleted folders made again: a\n")
    with mailbox(instance) as account:
        [message] = account.rows(account.status("INBOX").id)
        assert (message.flags, message.keywords) == (Flags.SEEN, ("$Work",))
        assert account.status("a").messages == 0
    assert instance.cli("mailbox", "restore", ALICE).out == "0 messages restored\n"
    assert instance.cli("mailbox", "restore", ALICE, "--list").out == "no message could be brought back\n"


def test_a_folder_that_is_there_again_is_not_said_to_be_made(instance: Instance) -> None:
    with mailbox(instance) as account:
        account.create("a")
        account.append("a", [NewMessage(OCTETS)])
        account.expunge(account.status("a").id, [1])
        account.delete("a")
    for said in ("1 message restored\ndeleted folders made again: a\n", "0 messages restored\n"):
        assert instance.cli("mailbox", "restore", ALICE).out == said


def test_a_folder_that_never_was_is_said(instance: Instance) -> None:
    with mailbox(instance):
        pass
    done = instance.cli("mailbox", "restore", ALICE, "--folder", "Sned")
    assert (done.code, "there is no folder Sned" in done.err) == (os.EX_DATAERR, True)
    for there in ("Sent", "inbox"):
        assert instance.cli("mailbox", "restore", ALICE, "--folder", there).code == 0
    assert instance.cli("mailbox", "restore", ALICE, "--folder", "a//b").code == os.EX_DATAERR


@pytest.mark.parametrize("command", [("rebuild",), ("verify", "--repair")])
def test_clients_in_idle_are_woken_when_the_index_is_made_anew(
    instance: Instance, command: tuple[str, ...]
) -> None:
    with mailbox(instance) as account:
        account.append("INBOX", [NewMessage(OCTETS)])
    database = instance.config.paths.mail / "example.test" / "alice" / "account.db"
    database.write_bytes(b"no database" * 1_000)
    place = instance.config.paths.run / "bus" / "imap-1.sock"
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(str(place))
        daemon.setblocking(False)
        assert instance.cli("mailbox", command[0], ALICE, *command[1:]).code == 0
        told = [json.loads(daemon.recv(8_192)) for _ in range(3)]
    assert {"event": "mailbox", "account": ALICE, "folder": "INBOX"} in told


def test_mistakes_are_said(instance: Instance) -> None:
    assert instance.cli("mailbox", "restore", ALICE, "--since", "soon").code == os.EX_USAGE
    assert instance.cli("mailbox", "restore", "no address").code == os.EX_DATAERR
    assert instance.cli("mailbox", "restore", "nobody@example.test").code == os.EX_NOUSER
    assert instance.cli("mailbox", "list", "nobody@example.test").code == os.EX_NOUSER


def test_a_removed_account_comes_back_with_its_mail(instance: Instance) -> None:
    with mailbox(instance) as account:
        account.append("INBOX", [NewMessage(OCTETS)])
    assert instance.cli("user", "remove", ALICE).code == 0
    assert instance.cli("user", "add", ALICE).code == 65
    assert instance.cli("user", "restore", ALICE).code == 0
    assert instance.cli("user", "show", ALICE, "--json").json["used"]["messages"] == 1


def test_verify_and_rebuild_say_what_they_did(instance: Instance) -> None:
    with mailbox(instance) as account:
        account.append("INBOX", [NewMessage(OCTETS)] * 2)
    assert "everything is in order" in instance.cli("mailbox", "verify", ALICE).out
    rebuilt = instance.cli("mailbox", "rebuild", ALICE)
    assert (rebuilt.code, "2 messages in 8 folders" in rebuilt.out) == (0, True)
    assert "is kept as" in rebuilt.err


def test_a_passwd_file_for_dovecot_names_who_may_read(instance: Instance) -> None:
    instance.cli("user", "add", "o'neil@example.test")
    instance.cli("user", "add", "off@example.test")
    instance.cli("user", "set", "off@example.test", "--disable")
    instance.cli("user", "add", "printer@example.test", "--kind", "device")
    lines = instance.cli("user", "passwd-file").out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [ALICE, "o'neil@example.test"]
    fields = lines[1].split(":")
    assert fields[1].startswith("{ARGON2ID}$argon2id$") and len(fields) == 8
    assert fields[5] == str(instance.config.paths.mail / "example.test" / "o%27neil")
