"""mailstack domain rotate-dkim: no signature without its record, at any moment."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from mailstack.filters.authentication.dkim import Verifier
from mailstack.filters.authentication.sign import sign
from mailstack.filters.fields import Header
from tests.kit.dns_server import DnsServer
from tests.kit.instance import Instance, Result
from tests.kit.lookups import resolve

MESSAGE = b"From: a@example.test\r\nTo: b@c.test\r\n\r\nHello\r\n"
KEEP_S = 14 * 86_400


@pytest.fixture
def dns(instance: Instance) -> Iterator[DnsServer]:
    with DnsServer({"example.test": {"A": ["192.0.2.1"]}}) as server:
        with instance.file.open("a") as file:
            file.write(f'[dns]\nservers = ["{server.address}"]\nmin_ttl_s = 0\n')
        yield server


def rotate(instance: Instance, *words: str) -> Result:
    return instance.cli("domain", "rotate-dkim", "example.test", *words)


def states(instance: Instance) -> dict[str, str]:
    rows = instance.cli("domain", "show", "example.test", "--json").json["dkim"]
    return {row["selector"]: row["state"] for row in rows}


def published(instance: Instance) -> dict[str, dict[str, Any]]:
    """What somebody publishes who does what 'domain dns' says."""
    records = instance.cli("domain", "dns", "example.test", "--json").json["records"]
    return {r["name"]: {"TXT": [r["value"]]} for r in records if "._domainkey." in r["name"]}


def signatures(instance: Instance, table: dict[str, dict[str, Any]]) -> list[tuple[str, str]]:
    """What others find who check mail signed now."""
    reader = instance.reader()
    message = sign(MESSAGE, reader.dkim_keys("example.test"), now=int(time.time()), valid_s=604_800) + MESSAGE
    reader.close()
    found = resolve(Verifier(message, Header(message), now=time.time()).verify, table)
    return [(one.result, one.selector) for one in found]


def test_keys_change_and_every_signature_can_be_checked(instance: Instance, dns: DnsServer) -> None:
    old = list(states(instance))
    begun = rotate(instance, "--json")
    assert (begun.code, begun.json["state"]) == (0, "waiting")
    new = [record["name"].partition(".")[0] for record in begun.json["records"]]
    assert len({*old, *new}) == 4
    assert states(instance) == {**dict.fromkeys(old, "signing"), **dict.fromkeys(new, "waiting")}
    assert [selector for _, selector in signatures(instance, {})] == old

    early = rotate(instance)
    assert (early.code, early.out) == (75, "")
    assert f"{new[0]}._domainkey.example.test: there is no record" in early.err
    assert states(instance)[new[0]] == "waiting"

    dns.table.update(published(instance))
    done = rotate(instance, "--json")
    assert (done.code, done.json["state"]) == (0, "signing")
    assert states(instance) == {**dict.fromkeys(old, "retired"), **dict.fromkeys(new, "signing")}
    assert signatures(instance, published(instance)) == [("pass", new[0]), ("pass", new[1])]
    assert {f"{selector}._domainkey.example.test" for selector in old} <= set(published(instance))
    text = instance.cli("domain", "dns", "example.test").out
    assert "an old key, for mail that is under way; remove the record after 20" in text


@pytest.mark.parametrize(
    ("records", "words"),
    [
        (["v=DKIM1; k=rsa; p=QUJD"], "it holds another key"),
        (["something else"], "it holds another key"),
        ("SERVFAIL", "the DNS does not answer"),
        ([], "there is no record"),
    ],
)
def test_a_wrong_record_keeps_the_old_keys(
    instance: Instance, dns: DnsServer, records: Any, words: str
) -> None:
    rotate(instance)
    before = states(instance)
    dns.table.update({name: {"TXT": records} for name in published(instance)})
    found = rotate(instance)
    assert found.code == 75
    assert words in found.err
    assert states(instance) == before


def test_a_record_in_pieces_with_blanks_is_found(instance: Instance, dns: DnsServer) -> None:
    # RFC 6376 section 3.2: blanks inside p= do not count
    rotate(instance)
    dns.table.update(
        {
            name: {"TXT": [entry["TXT"][0].replace("; p=", " ;p= ")[:-9] + " " + entry["TXT"][0][-9:]]}
            for name, entry in published(instance).items()
        }
    )
    assert rotate(instance).code == 0


def test_new_keys_can_be_thrown_away(instance: Instance) -> None:
    before = states(instance)
    assert rotate(instance, "--cancel").code == 65
    rotate(instance)
    assert rotate(instance, "--cancel", "--json").json["state"] == "cancelled"
    assert states(instance) == before


def test_somebody_knows_the_old_key_and_nobody_waits(instance: Instance) -> None:
    old = list(states(instance))
    assert rotate(instance, "--now", "--json").json["state"] == "signing"
    assert [states(instance)[selector] for selector in old] == ["retired", "retired"]
    assert not {selector for _, selector in signatures(instance, {})} & set(old)


def test_retired_keys_are_of_no_use_in_the_end_and_go(instance: Instance) -> None:
    old = list(states(instance))
    rotate(instance, "--now")
    with instance.writer() as writer, writer.transaction() as cursor:
        cursor.execute("UPDATE dkim_key SET retired_at = retired_at - ?", (KEEP_S,))
    assert {states(instance)[selector] for selector in old} == {"unused"}
    assert not {f"{selector}._domainkey.example.test" for selector in old} & set(published(instance))
    assert f"remove {old[0]}._domainkey.example.test" in instance.cli("domain", "dns", "example.test").out
    rotate(instance)
    found = states(instance)
    assert not set(old) & set(found)
    assert len(found) == 4


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("nope.test",), 67),
        (("nope.test", "--cancel"), 67),
        (("bad_domain",), 65),
        (("example.test", "--now", "--cancel"), 64),
    ],
)
def test_mistakes_have_their_codes(instance: Instance, words: tuple[str, ...], code: int) -> None:
    found = instance.cli("domain", "rotate-dkim", *words)
    assert (found.code, found.out) == (code, "")
    assert found.err
