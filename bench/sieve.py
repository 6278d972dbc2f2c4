"""The Sieve engine: 100 rules over messages of 4 KiB: `python -m bench.sieve [--seconds S]`.

Every message is read afresh, none of the rules before the last one applies: the whole script is
gone through.  Prints one JSON document:

    {"compile_ms": of 100 rules, the middle one of many,
     "messages_per_s": by kind of rules, per core (CPU time)}
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from statistics import median

from mailstack import sieve

RULES = 100
REQUIRE = (
    'require ["fileinto", "imap4flags", "copy", "envelope", "body", "regex", "variables", "date",'
    ' "relational", "comparator-i;ascii-numeric", "subaddress", "mailbox"];\n'
)
#: What people's rules look at; NUMBER is that of the rule.
TESTS = {
    "headers": (
        'header :contains "subject" "project NUMBER"',
        'address :is "from" ["personNUMBER@example.org", "otherNUMBER@example.org"]',
        'address :domain :is ["from", "sender"] "domainNUMBER.example"',
        'header :is "list-id" "<listNUMBER.lists.example.org>"',
        'header :matches "subject" "[ticket-NUMBER*] *"',
        'anyof (address :contains ["to", "cc"] "teamNUMBER@", header :contains "x-label" "labelNUMBER")',
        'allof (size :over 10M, exists "x-mark-NUMBER")',
        'envelope :detail "to" "boxNUMBER"',
        'not header :contains "received" "example"',
        'header :value "gt" :comparator "i;ascii-numeric" "x-score" "NUMBER0"',
    ),
    "variables": (
        'header :matches "subject" "project * NUMBER"',
        'allof (address :matches "from" "*@personNUMBER.example", header :contains "subject" "${1}")',
        'string :is "${label}" "labelNUMBER"',
        'currentdate :value "ge" "date" "2NUMBER00-01-01"',
    ),
    "regex": (
        'header :regex "subject" "ticket-NUMBER[0-9]+ (open|closed)"',
        'address :regex "from" "^(a|b)+NUMBER@example\\\\.org$"',
    ),
    "body": ('body :text :contains "the words of rule NUMBER"', 'body :raw :contains "raw words NUMBER"'),
}


def script(kind: str) -> bytes:
    """100 rules of a kind."""
    tests = TESTS[kind]
    rules = [
        f"# rule {n}\nif {tests[n % len(tests)].replace('NUMBER', str(n))} {{\n"
        f'    addflag "\\\\Flagged";\n    fileinto :create "Folder/{n}";\n    stop;\n}}\n'
        for n in range(RULES)
    ]
    return (REQUIRE + "".join(rules)).encode()


def message() -> bytes:
    """4 KiB, as mailing lists send them."""
    received = "".join(
        f"Received: from mx{n}.example.org (mx{n}.example.org [192.0.2.{n}])\r\n"
        f"\tby mx{n + 1}.example.org with ESMTPS id abc{n}; Mon, 5 Jan 2026 10:00:0{n} +0000\r\n"
        for n in range(4)
    )
    head = (
        f"{received}Message-ID: <1234@example.org>\r\nDate: Mon, 5 Jan 2026 10:00:00 +0000\r\n"
        "From: =?utf-8?q?J=C3=BCrgen?= M <juergen@example.org>\r\nTo: users@lists.example.org,\r\n"
        " Somebody Else <else@example.net>\r\nSubject: [users] Re: about =?utf-8?q?caf=C3=A9?= machines\r\n"
        "List-ID: Users <users.lists.example.org>\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    )
    line = "A line of text as people write it, with some words in it, \u00e9 too.\r\n"
    return (head + line * 60).encode()[:4096]


def cpu_s(work: Callable[[], object], seconds: float) -> Iterator[float]:
    """CPU seconds of each run of some work, until the time is over."""
    end = time.process_time() + seconds
    while (before := time.process_time()) < end:
        work()
        yield time.process_time() - before


def measure(seconds: float) -> dict[str, object]:
    """All figures."""
    registry, octets = sieve.Registry.standard(), message()
    compiled = [median(cpu_s(lambda kind=kind: _compile(kind, registry), seconds)) for kind in TESTS]  # type: ignore[misc]
    rates = {}
    for kind in TESTS:
        one = _compile(kind, registry)
        spent = list(cpu_s(lambda one=one: _run(one, octets), seconds))  # type: ignore[misc]
        rates[kind] = round(1 / median(spent))
    return {"compile_ms": round(1e3 * max(compiled), 1), "messages_per_s": rates}


def _compile(kind: str, registry: sieve.Registry) -> sieve.Script:
    result = sieve.compile(script(kind), registry=registry)
    assert result.script is not None, result.errors
    return result.script


def _run(one: sieve.Script, octets: bytes) -> None:
    context = sieve.Context(
        sieve.Message.from_bytes(octets),
        sieve.Envelope("juergen@example.org", "me@example.net"),
        now=1_767_607_200.0,
        cpu_clock=time.process_time,
    )
    outcome = sieve.run(one, context)
    assert outcome.ok and outcome.implicit_keep, outcome.errors


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description="The Sieve engine, 100 rules over 4 KiB")
    parser.add_argument("--seconds", type=float, default=2.0, help="CPU time of each measurement")
    print(json.dumps(measure(parser.parse_args().seconds)))


if __name__ == "__main__":
    main()
