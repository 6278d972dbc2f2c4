"""The answer to one HTTP/1.1 request on a connection of its own: bounded, and read without trust.

Bytes in; the answer once it is complete.  What states its length in two ways, or in a way we
do not know, is refused.

Standards: RFC 9112 sections 4 (status line), 5 (fields), 6 and 7 (body).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_HEAD_OCTETS = 16_384
#: Interim answers that are passed over (RFC 9110 section 15.2).
MAX_INTERIM = 5
_MAX_CHUNK_LINE_OCTETS = 256

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\Z")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n]*?)[ \t]*\Z")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\Z")


class BadResponse(Exception):
    """Not an answer we take; says why."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer.

    Attributes:
        kind: media type in lower case, without parameters; "" when not stated.
    """

    status: int
    kind: str
    body: bytes


class ResponseReader:
    """Takes octets until the answer is complete."""

    def __init__(self, *, max_body_octets: int) -> None:
        self._most = max_body_octets
        self._held = bytearray()
        self._status = 0
        self._kind = ""
        self._length: int | None = None
        self._is_chunked = False
        self._body = bytearray()
        self._interim = 0

    def receive(self, data: bytes) -> Response | None:
        """Octets of the server; b"" at their end.  None: there is more to come.

        Raises:
            BadResponse: it will never be an answer.
        """
        self._held += data
        has_head = bool(self._status) or self._read_head()
        if has_head and (self._read_body() or (not data and self._ends_with_connection)):
            return Response(self._status, self._kind, bytes(self._body))
        if not data:
            raise BadResponse("the answer ends in the middle")
        return None

    @property
    def _ends_with_connection(self) -> bool:
        return self._length is None and not self._is_chunked

    def _read_body(self) -> bool:
        """True once the body is complete, as far as it says so itself."""
        if self._is_chunked:
            return self._read_chunks()
        self._body += self._held
        self._held.clear()
        if self._length is not None and len(self._body) >= self._length:
            del self._body[self._length :]
            return True
        if len(self._body) > self._most:
            raise BadResponse(f"the answer is longer than {self._most} octets")
        return False

    def _read_head(self) -> bool:
        """True once the header is read; interim answers are passed over."""
        while True:
            end = self._held.find(b"\r\n\r\n")
            if end > MAX_HEAD_OCTETS or (end < 0 and len(self._held) > MAX_HEAD_OCTETS):
                raise BadResponse(f"the answer's header is longer than {MAX_HEAD_OCTETS} octets")
            if end < 0:
                return False
            first, *lines = bytes(self._held[:end]).split(b"\r\n")
            del self._held[: end + 4]
            found = _STATUS.match(first)
            if found is None:
                raise BadResponse("it does not speak HTTP/1")
            status = int(found[1])
            if status >= 200:
                self._read_fields(lines)
                self._status = status
                return True
            self._interim += 1
            if status == 101 or self._interim > MAX_INTERIM:
                raise BadResponse(f"the answer {status} was not asked for")

    def _read_fields(self, lines: list[bytes]) -> None:
        for line in lines:
            found = _FIELD.match(line)
            if found is None:
                raise BadResponse("a line of the answer's header is no field")
            name, value = found[1].lower(), found[2]
            if name == b"content-type":
                self._kind = value.partition(b";")[0].strip().lower().decode("latin-1")
            elif name == b"content-length":
                self._read_length(value)
            elif name == b"transfer-encoding":
                if self._is_chunked or value.lower() != b"chunked":
                    raise BadResponse("the answer's transfer encoding is unknown")
                self._is_chunked = True
        if self._is_chunked and self._length is not None:
            raise BadResponse("the answer states its length in two ways")

    def _read_length(self, value: bytes) -> None:
        if not value.isdigit() or len(value) > 12 or self._length not in (None, int(value)):
            raise BadResponse("the answer's length is no number")
        self._length = int(value)
        if self._length > self._most:
            raise BadResponse(f"the answer is longer than {self._most} octets")

    def _read_chunks(self) -> bool:
        """True once the last chunk is read; what follows it is of no interest."""
        while True:
            end = self._held.find(b"\r\n", 0, _MAX_CHUNK_LINE_OCTETS)
            if end < 0:
                if len(self._held) >= _MAX_CHUNK_LINE_OCTETS:
                    raise BadResponse("a chunk of the answer has no length")
                return False
            found = _CHUNK.match(bytes(self._held[:end]))
            if found is None:
                raise BadResponse("a chunk of the answer has no length")
            size = int(found[1], 16)
            if not size:
                return True
            if len(self._body) + size > self._most:
                raise BadResponse(f"the answer is longer than {self._most} octets")
            if len(self._held) < end + 2 + size + 2:
                return False
            if self._held[end + 2 + size : end + 4 + size] != b"\r\n":
                raise BadResponse("a chunk of the answer does not end where it says")
            self._body += self._held[end + 2 : end + 2 + size]
            del self._held[: end + 4 + size]
