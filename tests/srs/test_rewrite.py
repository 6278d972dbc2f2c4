"""SRS0 and SRS1, both ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.model.address import Address, AddressError
from mailstack.srs import short
from mailstack.srs.rewrite import BadToken, TooLong, forward, identity, is_srs, reverse
from mailstack.srs.token import DAY_S

SECRETS = [b"new secret", b"old secret"]
NOW = 1_800_000_000.0
SENDER = Address("alice", "example.org")


def made(sender: Address = SENDER, *, domain: str = "us.test", secrets: list[bytes] = SECRETS) -> Address:
    rewritten = forward(sender, domain=domain, secrets=secrets, now=NOW)
    assert isinstance(rewritten, Address)
    return rewritten


def back(address: Address, *, days: float = 0, secrets: list[bytes] = SECRETS) -> Address | BadToken:
    return reverse(address, secrets=secrets, now=NOW + days * DAY_S)


def changed(address: Address, old: str, new: str) -> Address:
    assert old in address.local
    return Address(address.local.replace(old, new, 1), address.domain)


# -- hostile first


@pytest.mark.parametrize(
    ("old", "new"),
    [("alice", "mallory"), ("example.org", "evil.test"), ("SRS0=", "SRS0=A"), ("=example", "==example")],
)
def test_an_address_changed_in_any_part_is_refused(old: str, new: str) -> None:
    # T8: our SRS addresses must not become a relay to any address.
    assert isinstance(back(changed(made(), old, new)), BadToken)


def test_every_changed_character_of_the_local_part_is_refused() -> None:
    address = made()
    start = len("SRS0=")
    for place in range(start, len(address.local)):
        other = "B" if address.local[place].upper() != "B" else "C"
        forged = Address(address.local[:place] + other + address.local[place + 1 :], address.domain)
        assert isinstance(back(forged), BadToken), forged


def test_a_foreign_key_is_refused() -> None:
    assert isinstance(back(made(secrets=[b"theirs"])), BadToken)


def test_the_tag_of_an_srs0_address_is_no_tag_for_srs1() -> None:
    address = made()
    tag = address.local.split("=")[1]
    rest = address.local.split("=", 2)[2]
    assert isinstance(back(Address(f"SRS1={tag}={rest}", "us.test")), BadToken)


@pytest.mark.parametrize("days", [11, 30, 400, 1000])
def test_an_old_address_is_refused_and_the_reason_names_its_age(days: int) -> None:
    found = back(made(), days=days)
    assert isinstance(found, BadToken)
    assert f"{days} days old" in found.why


@pytest.mark.parametrize("days", [-0.5, 0, 1, 9, 10])
def test_a_bounce_is_taken_for_ten_days(days: float) -> None:
    assert back(made(), days=days) == SENDER


@pytest.mark.parametrize(
    "local",
    [
        "alice",
        "SRS0",
        "SRS0=",
        "SRS0=a",
        "SRS0=a=b",
        "SRS0=a=b=c",
        "SRS0=a=b=c=",
        "SRS0====",
        "SRS0=aaaa=bb=example.org=x",
        "SRS1=",
        "SRS1=a=b",
        "SRS1=a=b=c",
        "SRS1=a==b=c",
        "SRS1=aaaa=example.org==x",
        "SRS2=aaaa=bb=example.org=x",
        "SRS0aaaa=bb=example.org=x",
    ],
)
def test_what_we_did_not_make_is_a_bad_token_and_never_an_error(local: str) -> None:
    assert isinstance(back(Address(local, "us.test")), BadToken)


# -- SRS0


def test_srs0_has_the_usual_shape() -> None:
    prefix, tag, stamp, domain, local = made().local.split("=")
    assert (prefix, domain, local) == ("SRS0", "example.org", "alice")
    assert (len(tag), len(stamp)) == (8, 2)
    assert made().domain == "us.test"


@pytest.mark.parametrize("separator", ["=", "+", "-"])
def test_all_three_separators_are_read(separator: str) -> None:
    assert back(changed(made(), "SRS0=", f"SRS0{separator}")) == SENDER


@pytest.mark.parametrize("fold", [str.lower, str.upper])
def test_a_relay_that_changes_case_breaks_nothing(fold: object) -> None:
    sender = Address("Alice.B", "example.org")
    address = made(sender)
    found = back(Address(fold(address.local), address.domain))  # type: ignore[operator]
    assert isinstance(found, Address)
    assert found.key == sender.key


def test_the_old_secret_still_reverses_and_the_new_one_signs() -> None:
    old = made(secrets=[b"old secret"])
    assert back(old) == SENDER
    assert made() != old
    assert isinstance(back(made(), secrets=[b"old secret"]), BadToken)


@pytest.mark.parametrize(
    "local",
    ["a=b", "=", "a==b=", "a+b", "two words", 'quo"te', "back\\slash", "a@b", "SRS", "srs0", "täst", "a%b!c"],
)
def test_strange_local_parts_come_back_unchanged(local: str) -> None:
    sender = Address(local, "example.org")
    assert back(made(sender)) == sender


@pytest.mark.parametrize("domain", ["[192.0.2.1]", "[IPv6:2001:db8::1]", "xn--mnchen-3ya.example"])
def test_literals_and_a_labels_come_back_unchanged(domain: str) -> None:
    sender = Address("a", domain)
    address = made(sender)
    assert back(Address.parse(str(address))) == sender


def test_a_sender_that_does_not_fit_is_too_long_and_never_cut() -> None:
    # RFC 5321 section 4.5.3.1.1: 64 octets
    fits = Address("a" * (64 - len(made(Address("", "example.org")).local)), "example.org")
    assert len(made(fits).local) == 64
    longer = Address(fits.local + "a", "example.org")
    found = forward(longer, domain="us.test", secrets=SECRETS, now=NOW)
    assert found == TooLong(longer, 65)


def test_quotes_count_for_the_length() -> None:
    found = forward(Address(" " * 40, "example.org"), domain="us.test", secrets=SECRETS, now=NOW)
    assert isinstance(found, TooLong)
    assert found.octets == len('"SRS0=12345678=AA=example.org="') + 40


def test_no_secret_and_no_domain_are_mistakes_of_ours() -> None:
    with pytest.raises(ValueError, match="secret"):
        forward(SENDER, domain="us.test", secrets=[], now=NOW)
    with pytest.raises(ValueError, match="domain"):
        forward(Address("postmaster", ""), domain="us.test", secrets=SECRETS, now=NOW)


# -- SRS1


@pytest.mark.parametrize("separator", ["=", "+", "-"])
def test_a_foreign_srs0_sender_becomes_srs1_and_comes_back_with_its_separator(separator: str) -> None:
    foreign = Address(f"SRS0{separator}HHHH=TT=example.org=alice", "first.test")
    address = made(foreign)
    assert address.local.startswith("SRS1=")
    assert f"=first.test={separator}HHHH=TT=example.org=alice" in address.local
    assert back(address) == foreign


def test_a_foreign_srs1_sender_keeps_the_first_forwarder_and_drops_the_second() -> None:
    second = Address("SRS1=GGGG=first.test==HHHH=TT=example.org=al", "second.test")
    address = made(second)
    assert "second.test" not in address.local
    assert back(address) == Address("SRS0=HHHH=TT=example.org=al", "first.test")


def test_our_own_chain_of_three_hops_leads_back_to_the_first() -> None:
    first = forward(Address("al", "a.org"), domain="b.org", secrets=[b"1"], now=NOW)
    assert isinstance(first, Address)
    second = forward(first, domain="c.org", secrets=[b"2"], now=NOW)
    assert isinstance(second, Address)
    third = forward(second, domain="d.org", secrets=[b"3"], now=NOW)
    assert isinstance(third, Address)
    hop = reverse(third, secrets=[b"3"], now=NOW)
    assert hop == first
    assert reverse(first, secrets=[b"1"], now=NOW) == Address("al", "a.org")


def test_srs1_outlives_the_day_stamp_because_the_first_forwarder_checks_its_own() -> None:
    foreign = Address("SRS0=HHHH=TT=example.org=al", "first.test")
    assert back(made(foreign), days=100) == foreign


def test_a_changed_host_in_srs1_is_refused() -> None:
    address = made(Address("SRS0=HHHH=TT=example.org=al", "first.test"))
    assert isinstance(back(changed(address, "first.test", "other.test")), BadToken)


def test_a_broken_srs1_sender_is_wrapped_like_any_other() -> None:
    sender = Address("SRS1=nonsense", "x.org")
    address = made(sender)
    assert address.local.startswith("SRS0=")
    assert back(address) == sender


# -- names


@pytest.mark.parametrize("local", ["SRS0=x", "srs0+x", "Srs1-x", "SRS0="])
def test_what_claims_to_be_srs_is_known_as_such(local: str) -> None:
    assert is_srs(Address(local, "us.test"))


@pytest.mark.parametrize("local", ["SRS", "SRS0", "srs2=x", "xSRS0=x", "ſrs0=x", "alice"])
def test_what_does_not_claim_to_be_srs_is_an_ordinary_address(local: str) -> None:
    assert not is_srs(Address(local, "us.test"))


def test_every_way_to_write_an_srs_address_is_one() -> None:
    ways = {"SRS0=AA=b.c=D@us.test", "srs0+aa=B.C=d@us.test", "Srs0-aa=b.c=d@us.test"}
    assert len({identity(Address.parse(way)) for way in ways}) == 1
    assert identity(Address.parse("SRS0=A+B@us.test")) != identity(Address.parse("SRS0=A=B@us.test"))
    assert identity(Address.parse("SRS1=A@us.test")) != identity(Address.parse("SRS0=A@us.test"))


# -- property


def addresses() -> st.SearchStrategy[Address]:
    local = st.text(min_size=1, max_size=20)
    domain = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,6}[a-z0-9])?(\.[a-z]{2,5}){1,2}", fullmatch=True)

    def parsed(pair: tuple[str, str]) -> Address | None:
        try:
            return Address.parse(str(Address(*pair)))
        except AddressError:
            return None

    return st.tuples(local, domain).map(parsed).filter(lambda a: a is not None)  # type: ignore[return-value]


@given(addresses(), st.binary(min_size=1, max_size=40), st.floats(0, 4e9), st.floats(0, 9))
def test_forward_and_reverse_are_inverse(sender: Address, secret: bytes, now: float, days: float) -> None:
    address = forward(sender, domain="us.test", secrets=[secret], now=now)
    if isinstance(address, TooLong):
        kept = short.shorten(sender, domain="us.test", secrets=[secret], now=now)
        found = reverse(kept.address, secrets=[secret], now=now + days * DAY_S)
        assert isinstance(found, Address)
        assert short.stored_key(found) == kept.key
        return
    assert Address.parse(str(address)) == address
    assert reverse(address, secrets=[b"x", secret], now=now + days * DAY_S) == sender


@given(addresses(), st.text(max_size=30))
def test_nothing_made_with_another_key_is_taken(sender: Address, junk: str) -> None:
    for local in (junk, f"SRS0={junk}", f"SRS1={junk}", f"SRS0={junk}={sender.domain}={sender.local}"):
        assert isinstance(reverse(Address(local, "us.test"), secrets=SECRETS, now=NOW), BadToken)
