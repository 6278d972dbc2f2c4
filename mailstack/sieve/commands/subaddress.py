"""Extension "subaddress": address parts `:user` and `:detail` (RFC 5233).

What separates them is in the setting `recipient_delimiter`: any of its characters; "+" where
it is not set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mailstack.sieve.definition import Extension
from mailstack.sieve.match import AddressPart, SplitAddress

_DEFAULT = "+"


def _separators(settings: Mapping[str, object]) -> str:
    value = settings.get("recipient_delimiter")
    return value if isinstance(value, str) and value else _DEFAULT


def _cut(local: str, separators: str) -> tuple[str, str | None]:
    places = [place for c in separators if (place := local.find(c)) >= 0]
    if not places:
        return local, None
    return local[: min(places)], local[min(places) + 1 :]


def _user(settings: Mapping[str, object]) -> Callable[[SplitAddress], str | None]:
    separators = _separators(settings)
    return lambda address: None if address.local is None else _cut(address.local, separators)[0]


def _detail(settings: Mapping[str, object]) -> Callable[[SplitAddress], str | None]:
    separators = _separators(settings)
    # RFC 5233 section 4: without a separator there is no detail, and nothing to compare.
    return lambda address: None if address.local is None else _cut(address.local, separators)[1]


SUBADDRESS = Extension(
    "subaddress",
    address_parts=[
        AddressPart(":user", _user({}), configured=_user),
        AddressPart(":detail", _detail({}), configured=_detail),
    ],
)
