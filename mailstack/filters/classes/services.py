"""Social and community services by the domains they send from: data an operator can add to.

The form is told at the top of data/services.toml.  Imports nothing of mailstack.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

#: Tables that are not of social services.
FIELDS, WORK, NEWSLETTERS, MAILINGS = "fields", "work", "newsletters", "mailings"
#: Octets of a file, and services in it; more is no list a person keeps.
MAX_FILE_OCTETS = 1_048_576
MAX_SERVICES = 10_000
#: Longer ones do not exist (RFC 1035 section 2.3.4).
MAX_DOMAIN = 253
_DOMAIN = re.compile(r"(?!-)[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})+\Z")
_FIELD = re.compile(r"[!-9;-~]{1,76}\Z")


class BadServices(Exception):
    """The file is not what data/services.toml describes; says where."""


@dataclass(frozen=True, slots=True)
class Services:
    """What is known: by domain the name of its service, which covers those below it.

    Attributes:
        social: whose mail tells what people of a community did.
        work: tools people work with; what colleagues did is not social.
        newsletters: whose mail is newsletters.
        mailings: campaigns are sent with them; found in links and signatures.
        fields: header fields only social services write, lower case.
    """

    social: Mapping[str, str]
    work: Mapping[str, str]
    newsletters: Mapping[str, str]
    mailings: Mapping[str, str]
    fields: frozenset[bytes]


NOTHING = Services({}, {}, {}, {}, frozenset())


def find(domain: str, services: Mapping[str, str]) -> str:
    """The service a domain, or one above it, belongs to; "" for none."""
    if len(domain) > MAX_DOMAIN:
        return ""
    while domain:
        found = services.get(domain)
        if found:
            return found
        domain = domain.partition(".")[2]
    return ""


def parse(text: str, base: Services = NOTHING) -> Services:
    """The services of one file, added to those of `base`.

    Raises:
        BadServices: naming the entry and what is wrong with it.
    """
    try:
        tables = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadServices(f"not TOML: {error}") from error
    found = {
        "": dict(base.social),
        WORK: dict(base.work),
        NEWSLETTERS: dict(base.newsletters),
        MAILINGS: dict(base.mailings),
    }
    fields = set(base.fields)
    for number, (table, name, values) in enumerate(_entries(tables)):
        if number >= MAX_SERVICES:
            raise BadServices(f"more than {MAX_SERVICES} services")
        if table == FIELDS:
            fields |= {_checked(value, _FIELD, name, "a field name").encode("ascii") for value in values}
            continue
        domains = {_checked(value, _DOMAIN, name, "a domain name in ASCII"): name for value in values}
        for key, known in found.items():
            if not values:
                found[key] = {domain: service for domain, service in known.items() if service != name}
            elif key == (table if table in found else ""):
                known.update(domains)
    return Services(found[""], found[WORK], found[NEWSLETTERS], found[MAILINGS], frozenset(fields))


def _entries(tables: Mapping[str, object]) -> Iterator[tuple[str, str, list[str]]]:
    for table, entries in tables.items():
        if not isinstance(entries, dict):
            raise BadServices(f"{table!r} stands outside a table such as [networks]")
        for name, text in entries.items():
            if not isinstance(text, str):
                raise BadServices(f'{name!r} in [{table}]: want "domain domain ..."')
            yield table, name, text.lower().split()


def _checked(value: str, form: re.Pattern[str], name: str, what: str) -> str:
    if form.match(value) is None:
        raise BadServices(f"{value!r} of {name!r} is not {what}")
    return value


@cache
def shipped() -> Services:
    """Those that come with mailstack."""
    return parse((resources.files("mailstack.filters.classes") / "data/services.toml").read_text("utf-8"))
