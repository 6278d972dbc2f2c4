"""Reads a CSV file of new addresses and makes all of them, or none."""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from mailstack.cli.context import fail
from mailstack.directory import accounts, credentials, names
from mailstack.directory.writer import DirectoryWriter
from mailstack.model.errors import PermanentFailure

COLUMNS = ("address", "password", "name", "plan", "quota")
MAX_FILE_OCTETS = 33_554_432
MAX_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a line.  `line` counts from 1."""

    line: int
    message: str


@dataclass(slots=True)
class Row:
    """One address to be made."""

    line: int
    address: str
    plan: str
    name: str
    quota_octets: int | None
    password: str = field(repr=False)
    generated: bool


def read(file: Path) -> bytes:
    """The octets of a file, or of stdin for "-"; ends the command when it cannot be read."""
    try:
        if str(file) == "-":
            data = sys.stdin.buffer.read(MAX_FILE_OCTETS + 1)
        else:
            with file.open("rb") as stream:
                data = stream.read(MAX_FILE_OCTETS + 1)
    except OSError as error:
        fail(os.EX_NOINPUT, f"{file}: {error.strerror or error}")
    if len(data) > MAX_FILE_OCTETS:
        fail(os.EX_DATAERR, f"{file}: larger than {MAX_FILE_OCTETS} octets")
    return data


def run(
    directory: DirectoryWriter,
    data: bytes,
    check_address: Callable[[str], None] = lambda address: None,
    *,
    vacation: str = "",
    migrated: bool = False,
) -> tuple[list[dict[str, str]], list[Problem]]:
    """Makes every address of the file in one transaction, or says what is wrong.

    Args:
        check_address: raises PermanentFailure for an address that this server cannot serve.
        vacation: template each is given of its domain; "" for none.
        migrated: the mailboxes come from elsewhere; see Settings.offer_ads.

    Returns:
        What was made (with the password where it was generated), and the problems; one
        of the two is empty.
    """
    rows, problems = parse(data)
    problems += _check_all(directory, rows, check_address)
    if problems:
        return [], sorted(problems, key=lambda problem: problem.line)
    hashes = _hash_all(directory, rows)
    with directory.transaction():
        for row, hash_ in zip(rows, hashes, strict=True):
            directory.accounts.add(
                row.address,
                password=row.password,
                password_hash=hash_,
                plan=row.plan,
                name=row.name,
                quota_octets=row.quota_octets,
            )
            if vacation:
                domain = names.new_address(row.address).domain
                directory.autoresponse_templates.apply(domain, vacation, [row.address])
            if migrated:
                directory.settings.offer_ads(row.address)
    made = [{"address": row.address} | ({"password": row.password} if row.generated else {}) for row in rows]
    return made, []


def parse(data: bytes) -> tuple[list[Row], list[Problem]]:
    """The rows of a file, each checked by itself and against the others."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return [], [Problem(data.count(b"\n", 0, error.start) + 1, "not UTF-8")]
    rows: list[Row] = []
    problems: list[Problem] = []
    seen: dict[str, int] = {}
    try:
        for line, cells in _records(text, problems):
            row = _row(line, cells, problems)
            if row is None:
                continue
            key = names.any_address(row.address).key
            if key in seen:
                problems.append(Problem(line, f"{row.address} stands on line {seen[key]} already"))
                continue
            seen[key] = line
            rows.append(row)
    except csv.Error as error:
        problems.append(Problem(1, f"not CSV: {error}"))
    if not rows and not problems:
        problems.append(Problem(1, "there is no address in it"))
    return rows, problems


def _records(text: str, problems: list[Problem]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by column name, of every line that is not empty."""
    first = text.partition("\n")[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header = [cell.strip().lower() for cell in next(reader, [])]
    wrong = [name for name in header if name not in COLUMNS]
    if wrong or "address" not in header or len(set(header)) != len(header):
        names_wanted = ",".join(COLUMNS)
        shown = (
            ", ".join(repr(name) for name in wrong) or "no 'address'" * ("address" not in header) or "doubles"
        )
        problems.append(Problem(1, f"the first line must name the columns {names_wanted}; found {shown}"))
        return
    before = reader.line_num
    for number, cells in enumerate(reader):
        line, before = before + 1, reader.line_num
        if not any(cell.strip() for cell in cells):
            continue
        if number >= MAX_ROWS:
            problems.append(Problem(line, f"more than {MAX_ROWS} lines"))
            return
        if len(cells) != len(header):
            problems.append(Problem(line, f"has {len(cells)} fields instead of {len(header)}"))
            continue
        yield line, dict(zip(header, cells, strict=True))


def _row(line: int, cells: dict[str, str], problems: list[Problem]) -> Row | None:
    """One row; everything that is wrong with it goes to `problems`."""
    found = len(problems)
    address = cells["address"].strip()
    plan = cells.get("plan", "").strip() or "normal"
    quota = None
    try:
        address = str(names.new_address(address))
    except PermanentFailure as error:
        problems.append(Problem(line, error.why))
    try:
        quota = names.quota_octets(cells.get("quota", "").strip() or "default")
    except PermanentFailure as error:
        problems.append(Problem(line, error.why))
    if plan not in accounts.PLANS:
        problems.append(Problem(line, f"plan is one of {', '.join(accounts.PLANS)}, not {plan!r}"))
    password = cells.get("password", "")
    generated = not password
    name = cells.get("name", "").strip()
    try:
        name = names.person_name(name)
    except PermanentFailure as error:
        problems.append(Problem(line, error.why))
    if len(problems) > found:
        return None
    password = credentials.generate(os.urandom) if generated else password
    return Row(line, address, plan, name, quota, password, generated)


def _check_all(
    directory: DirectoryWriter, rows: list[Row], check_address: Callable[[str], None]
) -> list[Problem]:
    """What only the directory and the password rules know."""
    problems: list[Problem] = []
    with directory.transaction() as cursor:
        for row in rows:
            try:
                check_address(row.address)
                accounts.check_new(cursor, names.new_address(row.address))
            except PermanentFailure as error:
                problems.append(Problem(row.line, error.why))
            try:
                directory.accounts.check_password(row.password, row.address)
            except PermanentFailure as error:
                problems.append(Problem(row.line, error.why))
    return problems


def _hash_all(directory: DirectoryWriter, rows: list[Row]) -> list[str]:
    """Hashes on every core: they release the interpreter."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        hashes = pool.map(lambda row: directory.accounts.hash(row.password, row.address), rows)
        if len(rows) < 50 or not sys.stderr.isatty():
            return list(hashes)
        from rich.console import Console
        from rich.progress import track

        return list(track(hashes, "hashing passwords", len(rows), console=Console(stderr=True)))
