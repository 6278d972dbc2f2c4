"""The words of a warning."""

from __future__ import annotations

import email
import email.policy
from pathlib import Path

from mailstack.app.letters import languages, write
from mailstack.app.notices import quota_warning, size
from mailstack.model.language import LANGUAGES
from mailstack.model.quota import QuotaState
from tests.kit.instance import new_instance


def test_a_warning_says_plainly_what_is_used_and_what_to_do() -> None:
    state = QuotaState(9 << 30, 10 << 30, 5, None)
    octets = quota_warning(
        "alice@example.test", state, 80, 1_767_225_600, hostname="mx.example.test", language="en"
    )
    read = email.message_from_bytes(octets, policy=email.policy.default)
    assert (read["Subject"], read["To"]) == ("Your mailbox is 80 % full", "alice@example.test")
    assert read["From"] == "Mail Delivery System <postmaster@example.test>"
    assert read["Auto-Submitted"] == "auto-generated"
    assert read["Date"].datetime.year == 2026
    assert "9.0 GB of 10.0 GB" in read.get_content()
    assert "Messages:" not in read.get_content()
    assert b"\n" not in octets.replace(b"\r\n", b"")
    assert max(map(len, octets.split(b"\r\n"))) <= 78


def test_a_full_mailbox_is_called_full() -> None:
    octets = quota_warning("a@b.test", QuotaState(1, None, 10, 10), 95, 0, hostname="mx", language="en")
    assert b"Subject: Your mailbox is full\r\n" in octets and b"Messages:  10 of 10" in octets


def test_sizes_are_for_people() -> None:
    assert [size(octets) for octets in (0, 1023, 1536, 5 << 40, 5 << 50)] == [
        "0 bytes", "1023 bytes", "1.5 KB", "5.0 TB", "5120.0 TB",
    ]  # fmt: skip


def test_a_warning_is_in_the_language_of_who_reads_it_and_as_wide_as_a_letter() -> None:
    for language in LANGUAGES:
        octets = quota_warning(
            "a@b.test", QuotaState(9 << 30, 10 << 30, 5, 6), 95, 0, hostname="mx", language=language
        )
        read = email.message_from_bytes(octets, policy=email.policy.default)
        text = read.get_content()
        assert "9.0 GB" in text and "95" in read["Subject"] and "a@b.test" in text
        assert max(map(len, text.splitlines())) <= 78


def test_the_language_is_the_accounts_else_the_domains_else_the_servers(tmp_path: Path) -> None:
    instance = new_instance(tmp_path)
    with instance.writer() as writer:
        writer.accounts.add("alice@example.test")
        writer.accounts.add("bob@example.test")
    reader = instance.reader()
    language_of = languages(reader, "en")
    assert language_of("alice@example.test") == "en"
    with instance.writer() as writer:
        writer.domains.set("example.test", language="it")
        writer.accounts.set_language("bob@example.test", "es")
    found = [language_of(a) for a in ("alice@example.test", "bob@example.test", "x@far.test", "no address")]
    assert found == ["it", "es", "en", "en"]
    reader.close()


def test_no_value_from_outside_becomes_a_line_of_its_own_or_a_field() -> None:
    # T44
    octets = write(
        "sender_mismatch", "fr", to="a@b.test", message_id="1@mx", at=0.0,
        login="a@b.test\r\nBcc: x", address="e\r\n\r\n.evil {login}", reply="no", ip="::1", when="now",
    )  # fmt: skip
    read = email.message_from_bytes(octets, policy=email.policy.default)
    assert read["Bcc"] is None
    assert "\n    e\n    .evil {login}\n" in read.get_content().replace("\r\n", "\n")
