"""The DNS records to publish."""

from __future__ import annotations

import re

from mailstack.app.publish import Publication, publication
from mailstack.directory.dkim import PublishedKey

PORTS = {"mx": 25, "submission": 587, "submissions": 465, "imap": 143, "imaps": 993}
KEY = PublishedKey("202601r", "rsa-sha256", "M" * 392)


def made(**changes: object) -> Publication:
    facts = {"keys": [KEY], "ports": PORTS, **changes}
    return publication("example.org", "mx.example.net", **facts)  # type: ignore[arg-type]


def value(found: Publication, name: str, type_: str) -> str:
    [record] = [record for record in found.records if (record.name, record.type) == (name, type_)]
    return record.value


def test_first_day_values_harm_nobody() -> None:
    found = made()
    assert value(found, "example.org", "TXT") == "v=spf1 mx ~all"
    assert value(found, "mx.example.net", "TXT") == "v=spf1 a ~all"
    assert value(found, "_dmarc.example.org", "TXT").startswith("v=DMARC1; p=none;")
    assert "mode: testing\r\n" in found.policy


def test_mail_and_keys_are_announced() -> None:
    found = made()
    assert value(found, "example.org", "MX") == "10 mx.example.net."
    assert value(found, "202601r._domainkey.example.org", "TXT") == f"v=DKIM1; k=rsa; p={'M' * 392}"
    assert value(found, "_smtp._tls.example.org", "TXT").startswith("v=TLSRPTv1; rua=mailto:")


def test_policy_id_changes_only_with_the_policy() -> None:
    # RFC 8461 section 3.1: at most 32 letters and digits
    first, again = made(), made()
    other = publication("example.org", "mx2.example.net", keys=[], ports=PORTS)
    ids = [value(found, "_mta-sts.example.org", "TXT") for found in (first, again, other)]
    assert ids[0] == ids[1] != ids[2]
    assert re.fullmatch(r"v=STSv1; id=[a-z0-9]{1,32}", ids[0])


def test_services_name_their_ports_and_absent_ones_say_so() -> None:
    # RFC 6186 section 3.4
    found = made(ports={**PORTS, "imaps": 20993})
    assert value(found, "_imaps._tcp.example.org", "SRV") == "0 1 20993 mx.example.net."
    assert value(found, "_submissions._tcp.example.org", "SRV") == "0 1 465 mx.example.net."
    assert value(found, "_pop3s._tcp.example.org", "SRV") == "0 0 0 ."
    assert value(found, "autoconfig.example.org", "CNAME") == "mx.example.net."


def test_tlsa_is_published_only_when_asked_for() -> None:
    assert not [record for record in made().records if record.type == "TLSA"]
    found = made(certificate_keys=["ab" * 32])
    assert value(found, "_25._tcp.mx.example.net", "TLSA") == "3 1 1 " + "ab" * 32


def test_long_texts_are_split_at_255_octets() -> None:
    # RFC 1035 section 3.3.14
    [record] = [record for record in made().records if "_domainkey" in record.name]
    strings = re.findall(r'"([^"]*)"', record.line)
    assert "".join(strings) == record.value
    assert [len(text) for text in strings] == [255, len(record.value) - 255]


def test_domain_that_is_its_own_host_has_one_spf_record() -> None:
    found = publication("example.org", "example.org", keys=[], ports=PORTS)
    assert value(found, "example.org", "TXT") == "v=spf1 mx ~all"
