"""What an object works out once, when somebody first asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class once(Generic[T]):  # noqa: N801  # reads as `property` does
    """As `functools.cached_property`, which takes a lock each time in Python 3.11: for one thread only.

    Each verdict works out some forty such values, and half of what that cost was the lock.
    """

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self._name = make.__name__
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, one: None, owner: type) -> once[T]: ...
    @overload
    def __get__(self, one: object, owner: type | None = None) -> T: ...
    def __get__(self, one: object | None, owner: type | None = None) -> once[T] | T:
        if one is None:
            return self
        # From now on the object's own attribute is found before this one.
        value = one.__dict__[self._name] = self._make(one)
        return value
