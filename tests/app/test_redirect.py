"""A redirected message's author is proven by the author's own signature, and by nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mailstack.app.redirect import is_author_proven
from mailstack.filters.authentication.sign import sign
from mailstack.model.envelope import Body
from mailstack.net.resolver import TableResolver
from tests.kit import dkim_keys

NOW = 1_790_000_000
RESENT = b"Resent-From: alice@example.test\r\nResent-To: carol@far.test\r\nResent-Date: x\r\n"
LETTER = (
    b"From: Bob <bob@%s>\r\nTo: alice@example.test\r\nSubject: hello\r\n"
    b"Message-ID: <1@far.test>\r\n\r\nHello.\r\n"
)
DNS = {
    f"ed._domainkey.{domain}": {"TXT": [dkim_keys.ed25519_record()]}
    for domain in ("far.test", "sub.far.test", "other.test")
}


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def signed(author: bytes = b"far.test", by: str = "far.test") -> bytes:
    letter = LETTER % author
    return sign(letter, [dkim_keys.ed25519_key(by)], now=NOW) + letter


async def proven(
    threads: ThreadPoolExecutor, message: bytes, dns: dict[str, dict[str, list[str]]] | None = None
) -> bool:
    table = DNS if dns is None else dns
    body = Body(message, size_octets=len(message))
    return await is_author_proven(body, resolver=TableResolver(table), threads=threads, now=NOW)


async def test_the_original_as_it_was_below_a_resent_block_is_proven(threads: ThreadPoolExecutor) -> None:
    assert await proven(threads, RESENT + signed())
    assert await proven(threads, RESENT + RESENT + b"Received: x\r\n" + signed())


async def test_so_is_a_large_one_in_a_file(threads: ThreadPoolExecutor, tmp_path: Path) -> None:
    letter = LETTER % b"far.test" + b"x" * 70 + b"\r\n" * 40_000
    message = RESENT + sign(letter, [dkim_keys.ed25519_key("far.test")], now=NOW) + letter
    (tmp_path / "m").write_bytes(message)
    body = Body(None, path=str(tmp_path / "m"), size_octets=len(message))
    assert await is_author_proven(body, resolver=TableResolver(DNS), threads=threads, now=NOW)


@pytest.mark.parametrize(
    "message",
    [
        LETTER % b"far.test",
        signed().replace(b"Hello.", b"Hallo!"),
        signed().replace(b"From: Bob", b"From: Rob"),
        signed().replace(b"Subject: hello", b"Subject: pay"),
        signed().replace(b"bob@far.test", b"boss@far.test"),
        # Anybody can sign with a domain of their own.
        signed(b"far.test", by="other.test"),
        # Who has a sub-domain does not speak for the domain.
        signed(b"far.test", by="sub.far.test"),
        signed(b"victim.test, bob@far.test", by="far.test"),
    ],
    ids=range(8),
)
async def test_what_the_author_did_not_sign_is_not(threads: ThreadPoolExecutor, message: bytes) -> None:
    assert not await proven(threads, RESENT + message)


async def test_a_domain_signs_for_what_is_below_it(threads: ThreadPoolExecutor) -> None:
    assert await proven(threads, signed(b"sub.far.test", by="far.test"))


async def test_sister_domains_are_one_where_dmarc_says_so(threads: ThreadPoolExecutor) -> None:
    dns = DNS | {"_dmarc.far.test": {"TXT": ["v=DMARC1; p=reject"]}}
    assert await proven(threads, signed(b"far.test", by="sub.far.test"), dns)
    strict = DNS | {"_dmarc.far.test": {"TXT": ["v=DMARC1; p=reject; adkim=s"]}}
    assert not await proven(threads, signed(b"far.test", by="sub.far.test"), strict)


async def test_without_dns_nothing_is_proven(threads: ThreadPoolExecutor) -> None:
    assert not await proven(threads, signed(), {})
    assert not await proven(threads, signed(), {"ed._domainkey.far.test": {"TXT": "TIMEOUT"}})  # type: ignore[dict-item]
