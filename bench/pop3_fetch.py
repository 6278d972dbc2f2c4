"""How fast a POP3 server shows a mailbox: login, STAT, LIST and UIDL of N messages, then RETR.

    python -m bench.pop3_fetch --port 995 --imap-port 993 --user U --password P [--count 10000]

Any server will do; what INBOX has too few of is put there over IMAP first.  Prints one
JSON object; times in seconds, the best and the median of `--repeat` runs.
"""

from __future__ import annotations

import argparse
import json
import poplib
import ssl
import time
from pathlib import Path

from bench import imap_fetch

#: Messages asked for at once, as a client with PIPELINING does.
_DEPTH = 50


def log_in(options: argparse.Namespace) -> poplib.POP3_SSL:
    """A session."""
    context = ssl.create_default_context(cafile=options.ca_file or None)
    if not options.ca_file:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    client = poplib.POP3_SSL(options.host, options.port, context=context, timeout=300)
    client.user(options.user)
    client.pass_(options.password)
    return client


def fill(options: argparse.Namespace) -> None:
    """Makes sure that there are `count` messages."""
    client = log_in(options)
    there = client.stat()[0]
    client.quit()
    if there >= options.count:
        return
    imap = argparse.Namespace(**{**vars(options), "port": options.imap_port, "security": "tls"})
    messages = [imap_fetch.make_message(number) for number in range(options.count - there)]
    imap_fetch.Client(imap).append_all(b"INBOX", messages, depth=100)


def look(options: argparse.Namespace) -> dict[str, float]:
    """What a client does that has everything already."""
    times = {}
    begin = last = time.perf_counter()
    client = log_in(options)
    for name, command in (("login", client.stat), ("list", client.list), ("uidl", client.uidl)):
        command()
        now = time.perf_counter()
        times[name] = now - last
        last = now
    client.quit()
    times["all"] = time.perf_counter() - begin
    return times


def fetch(options: argparse.Namespace, *, pipelined: bool) -> float:
    """RETR of some messages; how many per second."""
    count = min(2_000, options.count)
    client = log_in(options)
    begin = time.perf_counter()
    if pipelined:
        for first in range(1, count + 1, _DEPTH):
            numbers = range(first, min(first + _DEPTH, count + 1))
            client.sock.sendall(b"".join(b"RETR %d\r\n" % number for number in numbers))
            for _ in numbers:
                client._getlongresp()  # type: ignore[attr-defined]
    else:
        for number in range(1, count + 1):
            client.retr(number)
    took = time.perf_counter() - begin
    client.quit()
    return count / took


def main() -> None:
    """Fills, measures, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--demo", default="", help="folder of a running demo: host, ports, user from there")
    parser.add_argument("--port", type=int, default=995)
    parser.add_argument("--imap-port", type=int, default=993)
    parser.add_argument("--ca-file", default="", help="trust this; without it nothing is checked")
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    if options.demo:
        told = json.loads((Path(options.demo) / "demo.json").read_text())
        options.host = told["host"]
        options.port, options.imap_port = told["ports"]["pop3s"], told["ports"]["imaps"]
        options.user, options.password = sorted(told["users"].items())[1]
    fill(options)
    runs = [look(options) for _ in range(options.repeat)]
    result: dict[str, object] = {"count": options.count}
    for name in runs[0]:
        result[f"{name}_s"] = imap_fetch.figures([run[name] for run in runs])
    result["retr_per_s"] = round(fetch(options, pipelined=False), 1)
    result["retr_pipelined_per_s"] = round(fetch(options, pipelined=True), 1)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
