"""mailstack sieve apply."""

from __future__ import annotations

import os
import time

import pytest

from mailstack.mailbox.store import MailStore
from mailstack.model.address import Address
from mailstack.model.mailbox import NewMessage
from tests.kit.instance import Instance

ALICE = "alice@example.test"


@pytest.fixture(autouse=True)
def alice(instance: Instance) -> None:
    instance.cli("user", "add", ALICE)
    store = MailStore(instance.config.paths.mail, now=time.time, random_bytes=os.urandom)
    try:
        mailbox = store.account(Address.parse(ALICE))
        for subject in ("invoice 1", "letter\x07"):
            mailbox.append("INBOX", [NewMessage(f"Subject: {subject}\r\n\r\nHi\r\n".encode())])
    finally:
        store.close()


def test_a_dry_run_lists_and_the_run_does(instance: Instance) -> None:
    instance.cli("rule", "add", ALICE, "Bills", "--if", "subject contains invoice", "--do", "move Bills")
    instance.cli("rule", "add", ALICE, "All", "--if", "size over 1", "--do", "flag")
    dry = instance.cli("sieve", "apply", ALICE, "INBOX", "--dry-run")
    assert (dry.code, dry.err) == (0, "")
    assert dry.out == (
        "1  invoice 1: moved to Bills\n2  letter\\x07: +\\Flagged\n2 messages looked at, 2 would be changed\n"
        "1 message would be moved to Bills\n1 message: flags would be changed\n"
    )
    done = instance.cli("sieve", "apply", ALICE, "INBOX", "--json").json
    assert (done["dry_run"], done["messages"], done["changed"], done["moved"]) == (False, 2, 2, {"Bills": 1})
    assert done["changes"][1]["plus"] == ["\\Flagged"]
    logged = instance.cli("log", "show", ALICE).out
    assert "run over INBOX: 2 of 2 messages changed; moved: 1 to Bills" in logged
    assert instance.cli("sieve", "apply", ALICE, "INBOX").out == "1 message looked at, 0 changed\n"


def test_what_cannot_be_done_is_said(instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("scripts") / "main.sieve"
    file.write_text('require "fileinto"; fileinto "Nowhere";')
    instance.cli("sieve", "put", ALICE, "main", str(file), "--activate")
    found = instance.cli("sieve", "apply", ALICE, "INBOX")
    assert (found.code, "message 1: there is no folder Nowhere" in found.err) == (65, True)
    assert "2 messages left alone because of mistakes" in found.out


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        ([ALICE, "Nowhere"], 65, "Nowhere"),
        (["nobody@example.test", "INBOX"], 67, "no address"),
        ([ALICE], 64, "FOLDER"),
    ],
)
def test_what_is_refused_says_why(instance: Instance, words: list[str], code: int, why: str) -> None:
    found = instance.cli("sieve", "apply", *words)
    assert (found.code, why in found.err) == (code, True), found.err


def test_an_address_without_rules_is_said_to_have_none(instance: Instance) -> None:
    found = instance.cli("sieve", "apply", ALICE, "INBOX")
    assert (found.code, "no rule and no script" in found.err) == (0, True)
