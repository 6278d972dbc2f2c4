"""Answers from a table instead of the network: `mailstack scan --dns FILE`, tests, no network.

The table is a JSON object name -> type -> list (command page): a name that is missing
does not exist, a name without the asked type has no data, "TIMEOUT" and "SERVFAIL" in
place of a list are failures; names are compared case-folded without a final dot.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from mailstack.model.dns import Answer, Question
from mailstack.model.errors import ConfigError

#: Longest CNAME chain that is followed.
MAX_CHAIN = 16
TTL_S = 300

Table = Mapping[str, Mapping[str, Any]]


def load_table(text: bytes) -> dict[str, dict[str, Any]]:
    """The table in a `--dns` file.

    Raises:
        ConfigError: not JSON, or not of that shape.
    """
    try:
        table = msgspec.json.decode(text, type=dict[str, dict[str, Any]])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ConfigError("--dns", f"not a table of names, types and records: {error}") from None
    folded: dict[str, dict[str, Any]] = {}
    for name, entry in table.items():
        kinds = folded.setdefault(_fold(name), {})
        for kind, records in entry.items():
            if not isinstance(records, list | str):
                raise ConfigError("--dns", f"{name} {kind}: want a list of records")
            kinds[kind.upper()] = records
    return folded


def answer(table: Table, question: Question) -> Answer:
    """What the table (its names folded) says; CNAMEs are followed."""
    name = _fold(question.name)
    for _ in range(MAX_CHAIN):
        entry = table.get(name)
        if entry is None:
            return Answer("nxdomain", ttl_s=TTL_S)
        records = entry.get(question.kind)
        if records is None and "CNAME" in entry and question.kind != "CNAME":
            alias = entry["CNAME"]
            name = _fold(alias if isinstance(alias, str) else str(alias[0]) if alias else "")
            continue
        if isinstance(records, str):
            return Answer("temperror")
        if not records:
            return Answer("nodata", ttl_s=TTL_S)
        return Answer("ok", tuple(_record(question.kind, r) for r in records), ttl_s=TTL_S)
    return Answer("temperror")


def _fold(name: str) -> str:
    return name.lower().rstrip(".")


def _record(kind: str, record: Any) -> object:
    if kind in ("TXT", "SPF"):
        return str(record).encode("utf-8", "surrogateescape")
    if kind in ("MX",) and isinstance(record, list) and len(record) == 2:
        return (int(record[0]), _fold(str(record[1])))
    if kind == "TLSA" and isinstance(record, list) and len(record) == 4:
        return (int(record[0]), int(record[1]), int(record[2]), bytes.fromhex(str(record[3])))
    if kind in ("PTR", "CNAME", "NS"):
        return _fold(str(record))
    return str(record)
