"""Short forms for senders that do not fit."""

import pytest

from mailstack.model.address import Address
from mailstack.srs import short
from mailstack.srs.rewrite import BadToken, forward, reverse
from mailstack.srs.token import DAY_S

SECRETS = [b"secret"]
NOW = 1_800_000_000.0
LONG = Address("bounces+" + "x" * 50, "a-very-long-name.mailing.example.org")


def test_a_short_address_fits_and_carries_its_key() -> None:
    made = short.shorten(LONG, domain="us.test", secrets=SECRETS, now=NOW)
    assert len(made.address.local) <= 64
    found = reverse(made.address, secrets=SECRETS, now=NOW)
    assert isinstance(found, Address)
    assert short.stored_key(found) == made.key


def test_the_key_survives_a_relay_that_folds_case() -> None:
    made = short.shorten(LONG, domain="us.test", secrets=SECRETS, now=NOW)
    folded = Address(made.address.local.lower(), "us.test")
    found = reverse(folded, secrets=SECRETS, now=NOW)
    assert isinstance(found, Address)
    assert short.stored_key(found) == made.key


def test_equal_senders_share_a_key_and_others_do_not() -> None:
    keys = {short.shorten(LONG, domain="us.test", secrets=SECRETS, now=NOW + n * DAY_S).key for n in range(3)}
    other = short.shorten(Address("y" * 60, "example.org"), domain="us.test", secrets=SECRETS, now=NOW)
    assert len(keys) == 1
    assert other.key not in keys


def test_a_short_address_ages_and_cannot_be_forged() -> None:
    made = short.shorten(LONG, domain="us.test", secrets=SECRETS, now=NOW)
    assert isinstance(reverse(made.address, secrets=SECRETS, now=NOW + 11 * DAY_S), BadToken)
    assert isinstance(reverse(made.address, secrets=[b"other"], now=NOW), BadToken)


def test_a_real_sender_has_no_key() -> None:
    assert short.stored_key(LONG) is None


def test_a_short_address_that_is_forwarded_again_becomes_srs1() -> None:
    made = short.shorten(LONG, domain="us.test", secrets=SECRETS, now=NOW)
    again = forward(made.address, domain="b.org", secrets=[b"other"], now=NOW)
    assert isinstance(again, Address)
    assert reverse(again, secrets=[b"other"], now=NOW) == made.address


def test_no_secret_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="secret"):
        short.shorten(LONG, domain="us.test", secrets=[], now=NOW)
