"""One request by HTTPS to a host a stranger named: verified, bounded, never redirected (T86, L16).

The name is resolved once, every address is looked at, and the connection goes to one of those.

Standards: RFC 9110, RFC 9112, RFC 9325.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import dataclass

from mailstack.model.dns import Question
from mailstack.net.http_response import BadResponse, Response, ResponseReader
from mailstack.net.public_address import is_public
from mailstack.net.resolver import DnsSource, lookup_all

#: Addresses of a host that are tried.
MAX_ADDRESSES = 4
#: Of the time a request has, what one connection may take at most.
_CONNECT_SHARE = 0.4
_READ_OCTETS = 16_384


class HttpsFailed(Exception):
    """No answer.

    Attributes:
        why: for people.
        is_certificate: somebody answered, who could not prove to be the host.
        is_answer: an answer came, and it is none we take.
    """

    def __init__(self, why: str, *, is_certificate: bool = False, is_answer: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.is_certificate = is_certificate
        self.is_answer = is_answer


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request may cost.

    Attributes:
        timeout_s: in all.
        body_octets: of the answer.
        allow_private: loopback and private addresses too (tests, closed networks).
    """

    timeout_s: float
    body_octets: int
    allow_private: bool = False


def trusting(ca_file: str = "") -> ssl.SSLContext:
    """The context of a client that verifies.

    Args:
        ca_file: whom it trusts; "": whom the system does.

    Raises:
        OSError: the file cannot be read.
    """
    context = ssl.create_default_context(cafile=ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


async def request(
    host: str,
    path: str,
    *,
    dns: DnsSource,
    context: ssl.SSLContext,
    limits: Limits,
    port: int = 443,
    body: bytes | None = None,
    kind: str = "",
) -> Response:
    """GET, or POST when there is a body.

    Args:
        host: lower case A-labels; the certificate must be its.
        kind: media type of the body.

    Raises:
        HttpsFailed: no answer; any answer with a status is one.
    """
    if any(c <= " " or c > "~" for c in host + path + kind):
        raise ValueError("a request is one line")
    try:
        async with asyncio.timeout(limits.timeout_s):
            addresses = await _addresses(host, dns, limits)
            reader, writer = await _connect(host, addresses, port, context=context, limits=limits)
            try:
                writer.write(_head(host, path, port, body, kind) + (body or b""))
                return await _read(reader, limits)
            finally:
                writer.transport.abort()
    except TimeoutError:
        raise HttpsFailed(f"{host} did not answer within {limits.timeout_s:.0f} s") from None
    except BadResponse as error:
        raise HttpsFailed(f"{host}: {error}", is_answer=True) from None
    except ssl.SSLError as error:
        raise HttpsFailed(f"the TLS session with {host} broke: {error.reason or error}") from None
    except OSError as error:
        raise HttpsFailed(f"the connection with {host} broke: {error.strerror or error}") from None


async def _addresses(host: str, dns: DnsSource, limits: Limits) -> list[str]:
    answers = await lookup_all(dns, [Question(host, "A"), Question(host, "AAAA")], budget=dns.new_budget())
    found = [str(record) for answer in answers.values() for record in answer.records]
    if not found:
        raise HttpsFailed(f"the name service knows no address of {host}")
    allowed = [ip for ip in found if limits.allow_private or is_public(ip)]
    if not allowed:
        raise HttpsFailed(f"{host} has no public address")
    return allowed[:MAX_ADDRESSES]


async def _connect(
    host: str, addresses: list[str], port: int, *, context: ssl.SSLContext, limits: Limits
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    why = ""
    for ip in addresses:
        try:
            async with asyncio.timeout(limits.timeout_s * _CONNECT_SHARE):
                return await asyncio.open_connection(
                    ip, port, ssl=context, server_hostname=host, limit=_READ_OCTETS
                )
        except ssl.SSLCertVerificationError as error:
            raise HttpsFailed(
                f"the certificate of {host} is not good: {error.verify_message}", is_certificate=True
            ) from None
        except TimeoutError:
            why = f"no connection to {host} port {port}: it does not answer"
        except ssl.SSLError as error:
            why = f"no TLS with {host}: {error.reason or error}"
        except OSError as error:
            why = f"no connection to {host} port {port}: {error.strerror or error}"
    raise HttpsFailed(why)


def _head(host: str, path: str, port: int, body: bytes | None, kind: str) -> bytes:
    where = host if port == 443 else f"{host}:{port}"
    lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", f"Host: {where}"]
    lines += ["User-Agent: mailstack", "Accept: */*", "Connection: close"]
    if body is not None:
        lines += [f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode("ascii")


async def _read(reader: asyncio.StreamReader, limits: Limits) -> Response:
    response = ResponseReader(max_body_octets=limits.body_octets)
    while True:
        data = b""
        with contextlib.suppress(ConnectionResetError):
            data = await reader.read(_READ_OCTETS)
        if (found := response.receive(data)) is not None:
            return found
