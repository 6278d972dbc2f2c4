"""SRS decode: whatever stands in a local part, the answer is an address or a reason."""

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.model.address import Address
from mailstack.srs.rewrite import BadToken, TooLong, forward, is_srs, reverse

EXAMPLES = int(os.environ.get("MAILSTACK_FUZZ_EXAMPLES", "200"))
SECRETS = [b"fuzz"]
PIECES = st.sampled_from(
    [
        "SRS0",
        "SRS1",
        "srs0",
        "=",
        "==",
        "-",
        "+",
        "AA",
        "77",
        "example.org",
        "@",
        '"',
        "\\",
        "\x00",
        "\r\n",
        ".",
    ]
)
LOCALS = st.lists(PIECES | st.text(max_size=5), max_size=14).map("".join)


@settings(derandomize=True, max_examples=EXAMPLES, deadline=None)
@given(LOCALS, st.floats(min_value=0, max_value=1e11))
def test_reverse_never_raises_and_takes_nothing_it_did_not_make(local: str, now: float) -> None:
    address = Address(local, "us.test")
    assert isinstance(reverse(address, secrets=SECRETS, now=now), BadToken)
    is_srs(address)


@settings(derandomize=True, max_examples=EXAMPLES, deadline=None)
@given(LOCALS, st.floats(min_value=0, max_value=1e11))
def test_forward_gives_an_address_that_leads_back_or_says_it_is_too_long(local: str, now: float) -> None:
    rewritten = forward(Address(local, "example.org"), domain="us.test", secrets=SECRETS, now=now)
    if isinstance(rewritten, TooLong):
        assert rewritten.octets > 64
        return
    found = reverse(rewritten, secrets=SECRETS, now=now)
    # What was never an address does not come back as one.
    assert isinstance(found, Address | BadToken)
