"""How many logins over TLS an IMAP server takes, and the CPU time of each.

    python -m bench.imap_login --demo FOLDER [--logins 400] [--parallel 8]
    python -m bench.imap_login --port 993 --user U --password P --pids PID ...

One account logs in again and again, as clients do: after the first time the password is
known and no hash is computed.  Each login is a connection of its own: full TLS handshake
(`--resume`: resumed), greeting, LOGIN, LOGOUT.  Prints one JSON document.
"""

from __future__ import annotations

import argparse
import json
import socket
import ssl
import statistics
import threading
import time
from pathlib import Path

from bench import smtp_load


def log_in(
    options: argparse.Namespace, context: ssl.SSLContext, session: ssl.SSLSession | None
) -> ssl.SSLSession | None:
    """One connection; gives its TLS session."""
    plain = socket.create_connection((options.host, options.port), timeout=30)
    with context.wrap_socket(plain, server_hostname=options.host, session=session) as sock:
        file = sock.makefile("rb")
        file.readline()
        for command in (f'a LOGIN "{options.user}" "{options.password}"', "b LOGOUT"):
            sock.sendall(f"{command}\r\n".encode())
            tag = command[:2].encode()
            while not (line := file.readline()).startswith(tag):
                if not line:
                    raise SystemExit("the server closed the connection")
            if not line.startswith(tag + b"OK"):
                raise SystemExit(f"{command[:7]}: {line!r}")
        return sock.session if options.resume else None


def client(options: argparse.Namespace, todo: list[int], waits: list[float]) -> None:
    """Logs in until nothing is left to do."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    session = None
    while todo:
        try:
            todo.pop()
        except IndexError:
            return
        begun = time.perf_counter()
        session = log_in(options, context, session)
        waits.append(time.perf_counter() - begun)


def run(options: argparse.Namespace, count: int) -> list[float]:
    """So many logins; gives how long each took."""
    todo, waits = list(range(count)), []
    threads = [threading.Thread(target=client, args=(options, todo, waits)) for _ in range(options.parallel)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(waits)


def main() -> None:
    """Warms up, measures, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=993)
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    parser.add_argument("--logins", type=int, default=400)
    parser.add_argument("--parallel", type=int, default=8)
    parser.add_argument("--resume", action="store_true", help="resume TLS sessions")
    parser.add_argument("--pids", type=int, nargs="*", default=[])
    parser.add_argument("--demo", type=Path, help="folder of a running demo instance")
    options = parser.parse_args()
    if options.demo is not None:
        told = json.loads((options.demo / "demo.json").read_text())
        options.host, options.port = told["host"], told["ports"]["imaps"]
        options.user, options.password = sorted(told["users"].items())[0]
        options.pids = [told["pids"]["imap"][0]]
    run(options, options.parallel * 4)
    cpu, begun = smtp_load.cpu_s(options.pids), time.perf_counter()
    waits = run(options, options.logins)
    took, spent = time.perf_counter() - begun, smtp_load.cpu_s(options.pids) - cpu
    print(
        json.dumps(
            {
                "logins": options.logins,
                "parallel": options.parallel,
                "resumed": options.resume,
                "per_s": round(options.logins / took, 1),
                "p50_ms": round(statistics.median(waits) * 1000, 2),
                "p99_ms": round(waits[int(len(waits) * 0.99)] * 1000, 2),
                "cpu_ms_per_login": round(spent * 1000 / options.logins, 3),
            }
        )
    )


if __name__ == "__main__":
    main()
