"""Recipients and sizes per account."""

from __future__ import annotations

from mailstack.smtp.options import SmtpOptions
from mailstack.smtp.policy import limits
from tests.kit.accounts import ALICE, CAROL, PRINTER

OPTIONS = SmtpOptions()


def test_recipients_per_message_follow_the_account() -> None:
    assert limits.recipients(None, OPTIONS) == 100
    assert limits.recipients(ALICE, OPTIONS) == 100
    assert limits.recipients(CAROL, OPTIONS) == 10
    assert limits.recipients(PRINTER, OPTIONS) == 10


def test_size_follows_the_account() -> None:
    assert limits.message_octets(None, OPTIONS) == limits.message_octets(ALICE, OPTIONS) == 52_428_800
    assert limits.message_octets(CAROL, OPTIONS) == 26_214_400
    assert limits.message_octets(CAROL, SmtpOptions(message_octets=65_536)) == 65_536


def test_an_account_is_told_its_number_and_a_stranger_to_go_on() -> None:
    reply = limits.too_many_recipients(ALICE, 100)
    assert str(reply) == "550 5.5.3 this account may address at most 100 recipients per message"
    assert str(limits.too_many_recipients(None, 100)).startswith("452 4.5.3 ")


def test_the_log_names_the_option_that_decided() -> None:
    assert limits.recipients_key(None) == "smtp.mx_recipients"
    assert limits.recipients_key(ALICE) == "smtp.normal_recipients"
    assert limits.recipients_key(CAROL) == "smtp.free_recipients"
    assert limits.recipients_key(PRINTER) == "smtp.device_recipients"
