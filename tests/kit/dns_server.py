"""A DNS server for tests: real UDP and TCP on loopback, answers from a table.

The table is that of `mailstack scan --dns FILE`: name -> type -> list of records, or
"TIMEOUT" or "SERVFAIL" (also "REFUSED", "GARBAGE") instead of the list.  A name that is
missing does not exist; a name without the asked type has no data.

    with DnsServer({"example.org": {"MX": [[10, "mx.example.org"]]}}) as server:
        options = DnsOptions(servers=(server.address,))

Stand-alone: `python -m tests.kit.dns_server --port 5353 table.json`.
"""

from __future__ import annotations

import argparse
import json
import socket
import socketserver
import struct
import threading
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

Table = dict[str, dict[str, Any]]
TTL_S = 300


class DnsServer:
    """Starts at `with` (or `start()`); `asked` lists every (name, type) that came in."""

    def __init__(self, table: Table | None = None, *, port: int = 0, authentic: bool = False) -> None:
        self.table: Table = dict(table or {})
        self.authentic = authentic  # sets the AD bit
        self.ttl_s = TTL_S
        self.delay_s = 0.0
        self.asked: list[tuple[str, str]] = []
        self._port = port
        self._udp: socketserver.ThreadingUDPServer | None = None
        self._tcp: socketserver.ThreadingTCPServer | None = None
        self._stop = threading.Event()

    @property
    def port(self) -> int:
        assert self._udp is not None
        return int(self._udp.server_address[1])

    @property
    def address(self) -> str:
        """`127.0.0.1:port`, as `dns.servers` takes it."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> DnsServer:
        for _ in range(20):  # the same port must be free for UDP and TCP
            udp = _Udp(("127.0.0.1", self._port), _UdpHandler)
            try:
                self._tcp = _Tcp(("127.0.0.1", udp.server_address[1]), _TcpHandler)
            except OSError:
                udp.server_close()
                continue
            self._udp = udp
            break
        assert self._udp is not None and self._tcp is not None, "no free port"
        for server in (self._udp, self._tcp):
            server.kit = self  # type: ignore[union-attr]
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        self._stop.set()
        for server in (self._udp, self._tcp):
            if server is not None:
                server.shutdown()
                server.server_close()

    def __enter__(self) -> DnsServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def answer(self, wire: bytes, *, udp: bool) -> bytes | None:
        """The answer to a query; None for no answer at all."""
        try:
            query = dns.message.from_wire(wire)
        except Exception:
            return None
        if not query.question:
            return None
        question = query.question[0]
        name, kind = _text(question.name), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        if self.delay_s:
            self._stop.wait(self.delay_s)
        response = dns.message.make_response(query, recursion_available=True)
        if self.authentic:
            response.flags |= dns.flags.AD
        special = self._fill(response, question.name, kind)
        if special == "TIMEOUT":
            return None
        if special == "GARBAGE":
            return wire[:2] + b"\x81\x80" + b"\xff" * 20
        out = response.to_wire(max_size=65_535)
        limit = max(512, query.payload) if udp else 65_535
        if len(out) > limit:
            response.answer.clear()
            response.flags |= dns.flags.TC
            out = response.to_wire()
        return out

    def _fill(self, response: dns.message.Message, name: dns.name.Name, kind: str) -> str:
        table = {key.lower().rstrip("."): value for key, value in self.table.items()}
        for _ in range(16):
            entry = table.get(_text(name))
            if entry is None:
                response.set_rcode(dns.rcode.NXDOMAIN)
                return ""
            records = entry.get(kind)
            if records is None and kind != "CNAME" and "CNAME" in entry:
                response.answer.append(_rrset(name, "CNAME", entry["CNAME"], self.ttl_s))
                name = dns.name.from_text(_first(entry["CNAME"]))
                continue
            if isinstance(records, str):
                if records in ("SERVFAIL", "REFUSED"):
                    response.answer.clear()
                    response.set_rcode(dns.rcode.from_text(records))
                    return ""
                return records
            if records:
                response.answer.append(_rrset(name, kind, records, self.ttl_s))
            return ""
        return ""


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower().replace("\\@", "@")


def _first(records: Any) -> str:
    return str(records if isinstance(records, str) else records[0])


def _rrset(name: dns.name.Name, kind: str, records: Any, ttl_s: int) -> dns.rrset.RRset:
    rdtype = dns.rdatatype.from_text(kind)
    rrset = dns.rrset.RRset(name, dns.rdataclass.IN, rdtype)
    rrset.update_ttl(ttl_s)
    for record in [records] if isinstance(records, str) else records:
        rrset.add(_rdata(rdtype, kind, record), ttl_s)
    return rrset


def _rdata(rdtype: Any, kind: str, record: Any) -> dns.rdata.Rdata:
    if kind in ("TXT", "SPF"):
        raw = record.encode("utf-8", "surrogateescape")
        strings = [raw[n : n + 255] for n in range(0, len(raw), 255)] or [b""]
        wire = b"".join(bytes([len(s)]) + s for s in strings)
        return dns.rdata.from_wire(dns.rdataclass.IN, rdtype, wire, 0, len(wire))
    text = " ".join(str(part) for part in record) if isinstance(record, list) else str(record)
    if kind in ("MX", "CNAME", "PTR", "NS") and not text.endswith("."):
        text += "."
    return dns.rdata.from_text(dns.rdataclass.IN, rdtype, text)


class _Udp(socketserver.ThreadingUDPServer):
    daemon_threads = True
    max_packet_size = 65_535


class _Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


class _UdpHandler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        wire, sock = self.request
        out = self.server.kit.answer(wire, udp=True)  # type: ignore[attr-defined]
        if out is not None:
            try:
                sock.sendto(out, self.client_address)
            except OSError:
                pass


class _TcpHandler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        sock: socket.socket = self.request
        sock.settimeout(5)
        try:
            while head := _exactly(sock, 2):
                wire = _exactly(sock, struct.unpack("!H", head)[0])
                out = self.server.kit.answer(wire, udp=False)  # type: ignore[attr-defined]
                if out is None:
                    return
                sock.sendall(struct.pack("!H", len(out)) + out)
        except OSError:
            return


def _exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        if not more:
            return b""
        data += more
    return data


def main() -> None:
    """Serves a table file until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table")
    parser.add_argument("--port", type=int, default=5353)
    options = parser.parse_args()
    with open(options.table, encoding="utf-8") as file:
        server = DnsServer(json.load(file), port=options.port)
    with server:
        print(server.address, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
