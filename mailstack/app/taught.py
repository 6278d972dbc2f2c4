"""What accounts and domains taught, for whoever judges mail."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from pathlib import Path
from urllib.parse import quote

from mailstack.app.lessons import LEARNED, MAX_FILE_OCTETS, home_of
from mailstack.filters.spam.learned import Learned
from mailstack.filters.spam.model import BadModel
from mailstack.filters.study import load_corrections
from mailstack.model.address import Address

#: Files whose corrections a worker keeps, together; in memory they take twelve times as much.
MAX_KEPT_OCTETS = 2_097_152
_NOTHING = Learned()

_log = logging.getLogger(__name__)


class Taught:
    """Corrections, for whoever judges mail; read again when their file has changed.  One thread."""

    def __init__(self, mail: Path | None, domains: Path | None) -> None:
        """None: nothing was taught there."""
        self._mail, self._domains = mail, domains
        self._kept: OrderedDict[str, tuple[tuple[int, int, int], Learned]] = OrderedDict()

    def account(self, address: Address) -> Learned:
        """What an account's owner taught."""
        return _NOTHING if self._mail is None else self._of(home_of(self._mail, address))

    def domain(self, name: str) -> Learned:
        """What counts for all accounts of a domain."""
        return _NOTHING if self._domains is None else self._of(self._domains / quote(name.lower(), safe=""))

    def _of(self, folder: Path) -> Learned:
        path = f"{folder}/{LEARNED}"
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
