"""mailstack alias."""

from __future__ import annotations

import pytest

from tests.kit.instance import Instance


@pytest.fixture(autouse=True)
def users(instance: Instance) -> None:
    for name in ("alice", "bob"):
        instance.cli("user", "add", f"{name}@example.test")


def test_alias_is_made_listed_and_removed(instance: Instance) -> None:
    made = instance.cli("alias", "add", "sales@example.test", "alice@example.test", "--json")
    assert made.json == {
        "alias": "sales@example.test",
        "targets": ["alice@example.test"],
        "posters": "all",
        "listed": [],
        "expires": None,
    }
    assert instance.cli("alias", "list", "--json").json == [made.json]
    assert instance.cli("alias", "list", "example.test", "--json").json == [made.json]
    assert instance.cli("alias", "remove", "sales@example.test").code == 0
    assert instance.cli("alias", "remove", "sales@example.test").code == 67
    assert instance.cli("alias", "list", "--json").json == []


def test_group_says_who_may_post(instance: Instance) -> None:
    made = instance.cli("alias", "add", "everyone@example.test", "alice@example.test", "bob@example.test")
    assert "only example.test may post" in made.err
    words = ("team@example.test", "alice@example.test", "bob@example.test", "--posters", "all", "--json")
    made = instance.cli("alias", "add", *words)
    assert (made.json["posters"], made.err) == ("all", "")


@pytest.mark.parametrize(
    ("date", "expires"),
    [
        ("2099-12-31", "2100-01-01T00:00:00Z"),
        ("2099-12-31T18:00", "2099-12-31T18:00:00Z"),
        ("2099-12-31T18:00+01:00", "2099-12-31T17:00:00Z"),
    ],
)
def test_expiry_counts_a_bare_date_to_its_end(instance: Instance, date: str, expires: str) -> None:
    made = instance.cli(
        "alias", "add", "shop@example.test", "alice@example.test", "--expires", date, "--json"
    )
    assert made.json["expires"] == expires


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["x@example.test", "alice@example.test", "--expires", "tomorrow"], 64),
        (["x@example.test", "alice@example.test", "--expires", "2001-01-01"], 65),
        (["x@example.test"], 64),
        (["x@example.test", "nobody@example.test"], 67),
        (["alice@example.test", "bob@example.test"], 65),
        (["x@nope.test", "bob@example.test"], 67),
        (["x@example.test", "bob@example.test", "--posters", "listed"], 65),
    ],
)
def test_wrong_aliases_have_their_codes(instance: Instance, words: list[str], code: int) -> None:
    found = instance.cli("alias", "add", *words)
    assert (found.code, found.out) == (code, "")


def test_an_alias_outside_ascii_wants_smtputf8(instance: Instance) -> None:
    with instance.file.open("a") as file:
        file.write("[smtp]\nsmtputf8 = false\n")
    found = instance.cli("alias", "add", "jörg@example.test", "alice@example.test")
    assert (found.code, "while smtp.smtputf8 is off" in found.err) == (65, True)


def test_an_alias_to_itself_is_a_list_managers(instance: Instance) -> None:
    made = instance.cli("alias", "add", "dev@example.test", "dev@example.test")
    assert made.code == 0, made.err
    assert "no [[queue.route]] names example.test" in made.err
    with instance.file.open("a") as file:
        file.write(
            '[[queue.route]]\ndomain = "example.test"\nhost = "127.0.0.1"\nport = 8024\nprotocol = "lmtp"\n'
        )
    again = instance.cli("alias", "add", "dev-bounces@example.test", "dev-bounces@example.test")
    assert again.code == 0
    assert "queue.route" not in again.err
    assert instance.cli("alias", "add", "pretty@example.test", "dev@example.test").code == 0
    assert instance.cli("alias", "add", "two@example.test", "two@example.test", "dev@example.test").code != 0


def test_a_group_is_changed_in_one_step(instance: Instance) -> None:
    for name in ("a", "b"):
        instance.cli("user", "add", f"{name}@example.test")
    group = ("alias", "add", "team@example.test", "a@example.test", "friend@outside.test")
    assert instance.cli(*group).code == 0
    again = instance.cli(*group, "b@example.test")
    assert (again.code, "--replace" in again.err) == (65, True)
    instance.cli("forward", "pause", "team@example.test", "friend@outside.test")
    changed = instance.cli(
        "alias", "add", "--replace", "team@example.test", "a@example.test", "b@example.test"
    )
    assert changed.code == 0
    (row,) = instance.cli("alias", "list", "--json").json
    assert row["targets"] == ["a@example.test", "b@example.test"]
    # Who was left out starts anew, and what is somebody's mailbox is not replaced.
    assert instance.cli("forward", "list", "--json").json == []
    assert instance.cli("alias", "add", "--replace", "a@example.test", "b@example.test").code == 65
    # A name that is free is simply taken.
    assert instance.cli("alias", "add", "--replace", "new@example.test", "b@example.test").code == 0
