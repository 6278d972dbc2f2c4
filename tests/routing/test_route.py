"""Where one address goes, decided at RCPT."""

from __future__ import annotations

import pytest

from mailstack.model.address import Address
from mailstack.model.directory import Gone
from mailstack.routing.route import Expand, Facts, Local, Refuse, Remote, route
from mailstack.srs import rewrite, short
from tests.kit.memory_directory import MemoryDirectory

NOW = 1_790_000_000.0
SECRETS = [b"k" * 32]


@pytest.fixture
def directory() -> MemoryDirectory:
    made = MemoryDirectory()
    made.add_domain("us.example")
    made.add_domain("us-too.example", alias_of="us.example")
    made.add_domain("elsewhere.example", inbound="remote")
    made.add_domain("moving.example", inbound="follow-mx")
    made.add_domain("old.example", unknown="relay")
    made.add_account("alice@us.example")
    made.add_account("a.b@us.example")
    made.add_account("boss@us.example", enabled=False)
    made.add_account("noreply@us.example", kind="noreply")
    made.add_account("printer@us.example", kind="device")
    made.add_account("all@us.example", kind="catchall")
    made.add_account("known@elsewhere.example")
    made.add_account("known@moving.example")
    made.add_alias("sales@us.example", "alice@us.example")
    made.add_alias("trial@us.example", "alice@us.example", expires_at=NOW - 1)
    made.add_alias("team@us.example", "alice@us.example", posters="members")
    made.names["left@us.example"] = Gone(Address.parse("left@us.example"))
    return made


def facts(**more: object) -> Facts:
    return Facts(sender=Address.parse("x@far.example"), now=NOW, srs_secrets=SECRETS, **more)  # type: ignore[arg-type]


def to(text: str, directory: MemoryDirectory, **more: object) -> object:
    return route(Address.parse(text), directory, facts(**more))


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("alice@us.example", "alice"),
        ("ALICE@US.example", "alice"),
        ("alice+shop@us.example", "alice"),
        ("alice@us-too.example", "alice"),
        ('"alice"@us.example', "alice"),
        ("a.b@us.example", "a.b"),
    ],
)
def test_an_address_of_ours_is_local(text: str, local: str, directory: MemoryDirectory) -> None:
    found = to(text, directory)
    assert isinstance(found, Local)
    assert found.account.address.local == local
    assert not found.catch_all


def test_only_an_unknown_name_falls_to_the_catch_all(directory: MemoryDirectory) -> None:
    found = to("nobody@us.example", directory)
    assert isinstance(found, Local)
    assert found.catch_all
    assert found.account.address.local == "all"
    assert str(found.original) == "nobody@us.example"


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("boss@us.example", "suspended"),
        ("noreply@us.example", "noreply"),
        ("printer@us.example", "device"),
        ("left@us.example", "gone"),
        ("trial@us.example", "expired"),
        ("postmaster@us.example", "no_postmaster"),
        ("abuse@us.example", "no_postmaster"),
        ("SRS0=aaaa=bb=far.example=x@us.example", "srs_token"),
        ("team@us.example", "posters"),
    ],
)
def test_what_never_falls_to_the_catch_all_is_refused(
    text: str, check: str, directory: MemoryDirectory
) -> None:
    found = to(text, directory)
    assert isinstance(found, Refuse)
    assert found.check == check
    assert found.reply.code == 550


@pytest.mark.parametrize(
    "text",
    [
        "user%other.example@far.example",
        "other!user@far.example",
        '"user@other.example"@far.example',
        "user@[192.0.2.1]",
        "known@elsewhere.example",
    ],
)
def test_without_login_nothing_is_relayed(text: str, directory: MemoryDirectory) -> None:
    # faults S25; T7
    found = to(text, directory)
    assert isinstance(found, Refuse)
    assert found.check == "relay"


OLD_ROUTES = ["user%other.example@us.example", "other!user@us.example", '"user@other.example"@us.example']


@pytest.mark.parametrize("text", OLD_ROUTES)
@pytest.mark.parametrize("login", [False, True])
def test_old_routes_lead_nowhere_not_even_to_the_catch_all(
    text: str, login: bool, directory: MemoryDirectory
) -> None:
    # S25: 550 5.7.1, never relayed
    account = directory.find(Address.parse("alice@us.example")) if login else None
    found = to(text, directory, login=account)
    assert isinstance(found, Refuse)
    assert (found.check, found.reply.code, found.reply.status) == ("relay_form", 550, "7.1")


@pytest.mark.parametrize("text", OLD_ROUTES)
def test_old_routes_are_not_handed_to_an_old_server(text: str, directory: MemoryDirectory) -> None:
    # S25
    found = to(text.replace("@us.example", "@old.example"), directory)
    assert isinstance(found, Refuse)
    assert found.check == "relay_form"


def test_a_name_that_exists_may_hold_a_percent_sign(directory: MemoryDirectory) -> None:
    directory.add_account("50%off@us.example")
    assert isinstance(to("50%off@us.example", directory), Local)


@pytest.mark.parametrize("name", ["postmaster", "abuse", "Postmaster", "ABUSE"])
@pytest.mark.parametrize("state", ["suspended", "noreply", "gone", "expired"])
def test_a_postmaster_that_takes_no_mail_is_stood_in_for(
    name: str, state: str, directory: MemoryDirectory
) -> None:
    # S26
    match state:
        case "suspended":
            directory.add_account(f"{name.lower()}@us.example", enabled=False)
        case "noreply":
            directory.add_account(f"{name.lower()}@us.example", kind="noreply")
        case "gone":
            address = Address.parse(f"{name.lower()}@us.example")
            directory.names[address.key] = Gone(address)
        case "expired":
            directory.add_alias(f"{name.lower()}@us.example", "alice@us.example", expires_at=NOW - 1)
    found = to(f"{name}@us.example", directory, postmaster=Address.parse("a.b@us.example"))
    assert isinstance(found, Local)
    assert str(found.account.address) == "a.b@us.example"


def test_a_suspended_postmaster_of_all_is_refused_and_asked_once(directory: MemoryDirectory) -> None:
    directory.add_account("postmaster@us.example", enabled=False)
    found = to("postmaster@us.example", directory, postmaster=Address.parse("postmaster@us.example"))
    assert isinstance(found, Refuse)
    assert found.check == "suspended"


def test_with_login_other_domains_are_remote(directory: MemoryDirectory) -> None:
    alice = directory.find(Address.parse("alice@us.example"))
    assert to("x@far.example", directory, login=alice) == Remote(Address("x", "far.example"), "submission")
    assert to("known@elsewhere.example", directory, login=alice) == Remote(
        Address("known", "elsewhere.example"), "submission"
    )


def test_a_domain_that_follows_its_mx_is_local_only_while_the_mx_points_here(
    directory: MemoryDirectory,
) -> None:
    assert isinstance(to("known@moving.example", directory, mx_here={"moving.example": True}), Local)
    assert isinstance(to("known@moving.example", directory, mx_here={"moving.example": False}), Refuse)


def test_unknown_names_of_a_moving_domain_are_relayed_to_the_old_server(directory: MemoryDirectory) -> None:
    assert to("x@old.example", directory) == Remote(Address("x", "old.example"), "relay")
    # A catch-all here does not swallow the mail of those who have not moved yet.
    directory.add_account("all@old.example", kind="catchall")
    assert to("x@old.example", directory) == Remote(Address("x", "old.example"), "relay")


def test_an_alias_is_expanded_later(directory: MemoryDirectory) -> None:
    found = to("sales@us.example", directory)
    assert isinstance(found, Expand)
    assert found.alias.targets == ("alice@us.example",)


def test_bare_postmaster_is_always_accepted(directory: MemoryDirectory) -> None:
    # RFC 5321 section 4.5.1
    found = route(Address("Postmaster", ""), directory, facts(postmaster=Address.parse("alice@us.example")))
    assert isinstance(found, Local)


def test_postmaster_of_a_domain_without_one_goes_to_the_servers(directory: MemoryDirectory) -> None:
    found = to("postmaster@us.example", directory, postmaster=Address.parse("alice@us.example"))
    assert isinstance(found, Local)
    assert found.account.address.local == "alice"


def test_a_bounce_to_an_srs_address_goes_back_out(directory: MemoryDirectory) -> None:
    srs = rewrite.forward(Address.parse("x@far.example"), domain="us.example", secrets=SECRETS, now=NOW)
    assert isinstance(srs, Address)
    found = route(srs, directory, Facts(sender=None, now=NOW, srs_secrets=SECRETS))
    assert found == Remote(Address("x", "far.example"), "srs-bounce")


def test_an_srs_address_takes_bounces_only(directory: MemoryDirectory) -> None:
    # T8: anything else would make every forwarder an open relay.
    srs = rewrite.forward(Address.parse("x@far.example"), domain="us.example", secrets=SECRETS, now=NOW)
    assert isinstance(srs, Address)
    found = route(srs, directory, facts())
    assert isinstance(found, Refuse)
    assert found.check == "srs_sender"


def test_group_members_may_post(directory: MemoryDirectory) -> None:
    alice = directory.find(Address.parse("alice@us.example"))
    assert isinstance(to("team@us.example", directory, login=alice), Expand)


def test_an_address_of_ours_without_login_may_not_post(directory: MemoryDirectory) -> None:
    forged = Facts(sender=Address.parse("alice@us.example"), now=NOW)
    found = route(Address.parse("team@us.example"), directory, forged)
    assert isinstance(found, Refuse)


@pytest.mark.parametrize(("sender", "allowed"), [("x@far.example", True), ("y@far.example", False)])
def test_listed_senders_may_post(directory: MemoryDirectory, sender: str, allowed: bool) -> None:
    directory.add_alias("news@us.example", "alice@us.example", posters="listed", listed=("x@far.example",))
    found = route(Address.parse("news@us.example"), directory, Facts(Address.parse(sender), NOW))
    assert isinstance(found, Expand) is allowed


def test_a_short_srs_address_stands_for_the_sender_in_the_table(directory: MemoryDirectory) -> None:
    long = Address("x" * 60, "a-rather-long-domain-name.example")
    made = short.shorten(long, domain="us.example", secrets=SECRETS, now=NOW)
    known = {made.key: long}
    found = route(made.address, directory, Facts(None, NOW, srs_secrets=SECRETS, long_sender=known.get))
    assert found == Remote(long, "srs-bounce")
    forgotten = route(made.address, directory, Facts(None, NOW, srs_secrets=SECRETS))
    assert isinstance(forgotten, Refuse)


def test_an_old_srs_address_is_refused(directory: MemoryDirectory) -> None:
    srs = rewrite.forward(Address.parse("x@far.example"), domain="us.example", secrets=SECRETS, now=NOW)
    assert isinstance(srs, Address)
    late = Facts(sender=None, now=NOW + 12 * 86_400, srs_secrets=SECRETS)
    assert isinstance(route(srs, directory, late), Refuse)


@pytest.mark.parametrize(
    ("text", "passed_on"),
    [
        ("dev@us.example", "dev@us.example"),
        ("Dev+token=x@us.example", "Dev+token=x@us.example"),
        ("dev@us-too.example", "dev@us.example"),
    ],
)
def test_a_lists_address_is_passed_on_as_it_is_written(
    text: str, passed_on: str, directory: MemoryDirectory
) -> None:
    # Mailman has its bounces come to dev-bounces+somebody=example.org@...
    directory.add_alias("dev@us.example", "dev@us.example")
    found = to(text, directory)
    assert isinstance(found, Remote)
    assert (str(found.address), found.kind) == (passed_on, "relay")


def test_who_may_not_post_to_a_list_is_told_here(directory: MemoryDirectory) -> None:
    directory.add_alias("dev@us.example", "dev@us.example", posters="domain")
    assert isinstance(to("dev@us.example", directory), Refuse)
