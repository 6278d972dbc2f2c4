"""A careful IMAP client's picture of one mailbox, rebuilt from untagged responses alone.

It believes nothing but what the server says, and fails at the first response that no
client could make sense of: a number out of range, a message that changes its UID, an
EXPUNGE while sequence numbers must hold still, a MODSEQ that goes back.  In the end the
picture must be the truth.

Standards: RFC 9051 sections 2.3.1, 5.5, 7.4; RFC 7162.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_NUMBERED = re.compile(rb"\* (\d+) (EXISTS|RECENT|EXPUNGE|FETCH)\b ?(.*)\Z", re.DOTALL)
_UID = re.compile(rb"\bUID (\d+)")
_MODSEQ = re.compile(rb"\bMODSEQ \((\d+)\)")
_FLAGS = re.compile(rb"\bFLAGS \(([^)]*)\)")
_VANISHED = re.compile(rb"\* VANISHED (\(EARLIER\) )?([\d:,]+)\Z")
_CODE = re.compile(rb"\* OK \[(UIDVALIDITY|UIDNEXT|HIGHESTMODSEQ) (\d+)\]")


class Wrong(AssertionError):
    """The server said what it may not say."""


def expand(text: bytes) -> list[int]:
    """`1:3,7` as numbers."""
    numbers: list[int] = []
    for part in text.split(b","):
        low, _, high = part.partition(b":")
        numbers.extend(range(int(low), int(high or low) + 1))
    return numbers


class Mirror:
    """What one client knows of its selected mailbox.

    Attributes:
        uids: by position; 0 where it has not been told.
        flags: by UID; without \\Recent.
        modseqs: by UID, as last told.
        qresync: expunges come as VANISHED.
    """

    def __init__(self, *, qresync: bool = False) -> None:
        self.qresync = qresync
        self.uid_validity = 0
        self.uid_next = 0
        self.highest_modseq = 0
        self.uids: list[int] = []
        self.flags: dict[int, frozenset[bytes]] = {}
        self.modseqs: dict[int, int] = {}
        self._exists_told = False
        self._awaited = 0
        self._running: tuple[bytes, ...] = ()
        self._holding = False

    def selecting(self) -> None:
        """SELECT is sent: what was known of numbers is gone, what is known by UID stays (QRESYNC)."""
        known = self.uids if self.qresync else []
        self.uids = list(known)
        self._exists_told = False
        if not self.qresync:
            self.flags.clear()
            self.modseqs.clear()

    def sending(self, *commands: bytes) -> None:
        """These commands run; numbers hold still when only FETCH, STORE and SEARCH do.

        Source: RFC 9051 section 7.5.1.
        """
        self._running = commands
        self._holding = all(
            command.split(b" ", 1)[0].upper() in (b"FETCH", b"STORE", b"SEARCH") for command in commands
        )

    def hear(self, line: bytes) -> None:
        """One untagged response, without its line end."""
        if (found := _NUMBERED.match(line)) is not None:
            number, word = int(found[1]), found[2]
            if word == b"EXISTS":
                self._exists(number)
            elif word == b"EXPUNGE":
                self._expunge(number, line)
            elif word == b"FETCH":
                self._fetch(number, found[3], line)
        elif (vanished := _VANISHED.match(line)) is not None:
            self._vanish(expand(vanished[2]), earlier=bool(vanished[1]), line=line)
        elif (code := _CODE.match(line)) is not None:
            self._code(code[1], int(code[2]), line)

    def _code(self, name: bytes, number: int, line: bytes) -> None:
        if name == b"UIDVALIDITY":
            if self.uid_validity not in (0, number):
                self.uids, self.flags, self.modseqs = [], {}, {}
                self.highest_modseq = self.uid_next = 0
            self.uid_validity = number
        elif name == b"UIDNEXT":
            self._check(number >= self.uid_next, "UIDNEXT went back", line)
            self.uid_next = number
        else:
            self._check(number >= self.highest_modseq, "HIGHESTMODSEQ went back", line)
            self.highest_modseq = number

    def _exists(self, number: int) -> None:
        if not self._exists_told:
            # SELECT: with QRESYNC, what vanished is told next; the new ones stand at the end.
            self._exists_told = True
            self._awaited = number
            if not self.qresync or not self.uids:
                self.uids = [0] * number
            return
        self._settle()
        self._check(number >= len(self.uids), "EXISTS shrank without an EXPUNGE", b"* %d EXISTS" % number)
        self.uids.extend([0] * (number - len(self.uids)))

    def selected(self) -> None:
        """SELECT is answered."""
        self._settle()

    def _settle(self) -> None:
        self.uids.extend([0] * (self._awaited - len(self.uids)))
        self._awaited = 0

    def _expunge(self, number: int, line: bytes) -> None:
        self._check(not self.qresync, "EXPUNGE after ENABLE QRESYNC", line)
        self._check(not self._holding, f"EXPUNGE while {self._running!r} runs", line)
        self._check(1 <= number <= len(self.uids), "EXPUNGE of no message", line)
        uid = self.uids.pop(number - 1)
        self.flags.pop(uid, None)

    def _vanish(self, uids: Iterable[int], *, earlier: bool, line: bytes) -> None:
        self._check(self.qresync, "VANISHED without ENABLE QRESYNC", line)
        gone = set(uids)
        if not earlier:
            self._check(not self._holding, f"VANISHED while {self._running!r} runs", line)
            for uid in sorted(gone - set(self.uids)):
                self._check(self._remove_untold(uid), f"VANISHED of {uid}, which is not there", line)
        self.uids = [uid for uid in self.uids if uid not in gone]
        for uid in gone:
            self.flags.pop(uid, None)

    def _remove_untold(self, uid: int) -> bool:
        """A message whose UID was never told: it stands between those with a lower and a higher one."""
        at = max((at for at, known in enumerate(self.uids) if 0 < known < uid), default=-1) + 1
        if at == len(self.uids) or self.uids[at]:
            return False
        del self.uids[at]
        return True

    def _fetch(self, number: int, items: bytes, line: bytes) -> None:
        self._settle()
        self._check(1 <= number <= len(self.uids), "FETCH of no message", line)
        known = self.uids[number - 1]
        if (found := _UID.search(items)) is not None:
            uid = int(found[1])
            self._check(known in (0, uid), f"message {number} was UID {known}", line)
            before = max(self.uids[: number - 1], default=0)
            self._check(uid > before, "UIDs out of order", line)
            self.uids[number - 1] = known = uid
        if not known:
            return
        if (flags := _FLAGS.search(items)) is not None:
            self.flags[known] = frozenset(flags[1].split()) - {b"\\Recent"}
        if (modseq := _MODSEQ.search(items)) is not None:
            value = int(modseq[1])
            self._check(value >= self.modseqs.get(known, 0), "MODSEQ went back", line)
            self.modseqs[known] = value

    def _check(self, holds: bool, what: str, line: bytes) -> None:
        if not holds:
            raise Wrong(f"{what}: {line[:200]!r} after {self._running!r}; {len(self.uids)} messages")
