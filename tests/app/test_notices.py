"""The words of a warning."""

from __future__ import annotations

import email
import email.policy

from mailstack.app.notices import quota_warning, size
from mailstack.model.quota import QuotaState


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
