"""What a connection may log in with."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from pathlib import Path

from mailstack.model.secret import Verifier
from mailstack.net.login_offer import make_offer
from mailstack.net.tls import TlsContexts
from mailstack.net.tls_options import TlsOptions
from mailstack.sasl.exchange import PASSWORDS, Offer
from tests.kit import certificates
from tests.kit.loops import both_loops


def look_up(login: str) -> Verifier:
    return Verifier(b"salt", 4096)


class _Server(asyncio.Protocol):
    def __init__(self, offers: list[Offer]) -> None:
        self._offers = offers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._offers.append(make_offer(look_up, transport))


@both_loops
async def test_the_binding_is_what_the_client_sees(tmp_path: Path) -> None:
    # RFC 5929 section 4: both sides hash the certificate that was shown.
    certificate, key = certificates.write(tmp_path)
    context = TlsContexts(TlsOptions(certificate_file=certificate, key_file=key)).get("access")
    loop = asyncio.get_running_loop()
    offers: list[Offer] = []
    server = await loop.create_server(lambda: _Server(offers), "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        trust = ssl.create_default_context(cafile=certificate)
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname="localhost")
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        async with asyncio.timeout(60):
            while not offers:
                await asyncio.sleep(0.001)
        writer.close()
    assert offers[0].bindings == (("tls-server-end-point", hashlib.sha256(shown).digest()),)
    assert len(offers[0].nonce()) == 18 and offers[0].nonce() != offers[0].nonce()


async def test_without_tls_nothing_is_bound_and_without_scram_nothing_is_offered() -> None:
    loop = asyncio.get_running_loop()
    offers: list[Offer] = []
    server = await loop.create_server(lambda: _Server(offers), "127.0.0.1", 0)
    async with server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
        async with asyncio.timeout(60):
            while not offers:
                await asyncio.sleep(0.001)
        writer.close()
    assert offers[0].bindings == () and offers[0].verifier is look_up
    assert make_offer(None, None) is PASSWORDS
