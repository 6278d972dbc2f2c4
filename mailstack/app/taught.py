"""What accounts and domains taught, for whoever judges mail."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from mailstack.app.lessons import LEARNED, MAX_FILE_OCTETS, home_of
from mailstack.filters.spam.learned import Learned
from mailstack.filters.spam.model import BadModel
from mailstack.filters.study import load_corrections
from mailstack.model.address import Address

#: Files whose corrections a worker keeps, together; in memory they take twelve times as much.
MAX_KEPT_OCTETS = 2_097_152
#: Accounts and domains whose file's name is remembered.
MAX_FILES = 4_096
_NOTHING = Learned()

_log = logging.getLogger(__name__)


class Taught:
    """Corrections, for whoever judges mail; read again when their file has changed.  One thread."""

    def __init__(self, mail: Path | None, domains: Path | None) -> None:
        """None: nothing was taught there."""
        self._account_file = lru_cache(MAX_FILES)(
            lambda address: "" if mail is None else f"{home_of(mail, address)}/{LEARNED}"
        )
        self._domain_file = lru_cache(MAX_FILES)(
            lambda name: "" if domains is None else f"{domains / quote(name.lower(), safe='')}/{LEARNED}"
        )
        self._kept: OrderedDict[str, tuple[tuple[int, int, int], Learned]] = OrderedDict()

    def account(self, address: Address) -> Learned:
        """What an account's owner taught."""
        return self._of(self._account_file(address))

    def domain(self, name: str) -> Learned:
        """What counts for all accounts of a domain."""
        return self._of(self._domain_file(name))

    def _of(self, path: str) -> Learned:
        if not path:
            return _NOTHING
        try:
            status = os.stat(path)
        except OSError:  # there is none; or nobody may look, which the reading would say
            self._kept.pop(path, None)
            return _NOTHING
        mark = (status.st_ino, status.st_mtime_ns, status.st_size)
        kept = self._kept.get(path)
        if kept is None or kept[0] != mark:
            kept = self._kept[path] = mark, _load(path)
            while len(self._kept) > 1 and self._kept_octets() > MAX_KEPT_OCTETS:
                self._kept.popitem(last=False)
        self._kept.move_to_end(path)
        return kept[1]

    def _kept_octets(self) -> int:
        return sum(mark[2] for mark, _ in self._kept.values())


def _load(path: str) -> Learned:
    try:
        with open(path, "rb") as file:
            octets = file.read(MAX_FILE_OCTETS)
        return load_corrections(octets)
    except (OSError, BadModel) as error:
        _log.error("%s: %s: mail is judged without it", path, error)
        return _NOTHING
