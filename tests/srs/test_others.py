"""Addresses of the common implementations: read, wrapped, and ours as they read them.

The addresses are those of their documentation and tests (Mail::SRS, libsrs2, PostSRSd, Exim).
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.model.address import Address
from mailstack.srs.rewrite import BadToken, forward, is_srs, reverse

SECRETS = [b"secret"]
NOW = 1_577_836_860.0

#: As another forwarder made them -> host and what is behind SRS0 there.
FOREIGN = [
    # PostSRSd, libsrs2: secret "tops3cr3t", 2020-01-01
    ("SRS0=vmyz=2W=otherdomain.com=test@example.com", "example.com", "=vmyz=2W=otherdomain.com=test"),
    ("SRS0=opaque+string@otherdomain.com", "otherdomain.com", "=opaque+string"),
    ("SRS1=X=thirddomain.com==opaque+string@otherdomain.com", "thirddomain.com", "=opaque+string"),
    ("SRS1=chaI=otherdomain.com==opaque+string@example.com", "otherdomain.com", "=opaque+string"),
    # Mail::SRS with the three separators it may be told to write
    ("SRS0=HHH=TT=orig-domain.com=user@fwd.example", "fwd.example", "=HHH=TT=orig-domain.com=user"),
    ("SRS0+HHH=TT=orig-domain.com=user@fwd.example", "fwd.example", "+HHH=TT=orig-domain.com=user"),
    ("SRS0-HHH=TT=orig-domain.com=user@fwd.example", "fwd.example", "-HHH=TT=orig-domain.com=user"),
    ("SRS1+GGG=fwd.example=-HHH=TT=orig.com=user@second.example", "fwd.example", "-HHH=TT=orig.com=user"),
    ("SRS1-GGG=fwd.example=+HHH=TT=orig.com=user@second.example", "fwd.example", "+HHH=TT=orig.com=user"),
    # Exim; one that keeps the sender and writes only a key; one in small letters
    (
        "SRS0=3hS9=6B=elsewhere.example=caller@exim.example",
        "exim.example",
        "=3hS9=6B=elsewhere.example=caller",
    ),
    ("SRS0=4t8Jq9xK2m@db.example", "db.example", "=4t8Jq9xK2m"),
    ("srs0=vmyz=2w=otherdomain.com=test@example.com", "example.com", "=vmyz=2w=otherdomain.com=test"),
]


def wrapped(sender: str) -> Address:
    made = forward(Address.parse(sender), domain="us.test", secrets=SECRETS, now=NOW)
    assert isinstance(made, Address)
    return made


@pytest.mark.parametrize(("sender", "host", "opaque"), FOREIGN, ids=[sender for sender, _, _ in FOREIGN])
def test_an_address_of_another_forwarder_is_wrapped_and_leads_straight_back_to_it(
    sender: str, host: str, opaque: str
) -> None:
    made = wrapped(sender)
    assert re.fullmatch(rf"SRS1=[A-Z2-7]{{8}}={re.escape(host)}={re.escape(opaque)}@us\.test", str(made))
    assert reverse(made, secrets=SECRETS, now=NOW) == Address(f"SRS0{opaque}", host)


@pytest.mark.parametrize("sender", [sender for sender, _, _ in FOREIGN])
def test_what_others_made_is_known_as_such_and_is_no_address_of_ours(sender: str) -> None:
    address = Address.parse(sender)
    assert is_srs(address)
    assert isinstance(reverse(address, secrets=SECRETS, now=NOW), BadToken)


def read_srs1_as_they_do(local: str) -> tuple[str, str]:
    """Host and user by the published rule: split at "=" three times, put SRS0 back in front."""
    _, _tag, host, user = local.split("=", 3)
    return host, f"SRS0{user}"


def read_srs0_as_they_do(local: str) -> tuple[str, str]:
    """Domain and user: the separator after SRS0, then hash, stamp and domain, each up to "="."""
    _tag, _stamp, domain, user = re.sub(r"^SRS0[-+=]", "", local, flags=re.IGNORECASE).split("=", 3)
    return domain, user


@given(
    st.from_regex(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]{1,12}", fullmatch=True),
    st.from_regex(r"[a-z0-9]{1,8}\.(com|example)", fullmatch=True),
)
def test_others_read_what_we_write(local: str, domain: str) -> None:
    sender = Address(local, domain)
    first = forward(sender, domain="us.test", secrets=SECRETS, now=NOW)
    assert isinstance(first, Address)
    if is_srs(sender):
        return
    assert read_srs0_as_they_do(first.local) == (domain, local)
    second = forward(first, domain="they.test", secrets=[b"theirs"], now=NOW)
    assert isinstance(second, Address)
    host, user = read_srs1_as_they_do(second.local)
    assert Address(user, host) == first
