"""What every session has: its generator, driven from outside, and output on its way out."""

from __future__ import annotations

from mailstack.model.asking import Flush, Request, Steps, ask

#: Output is handed over in pieces of about this size.
PIECE_OCTETS = 262_144


class SteppedSession:
    """A session that is one generator of requests.

    Whoever derives from it implements `_run`.  The shell drives it:

        request = session.start()
        while request is not None:
            request = session.send(<answer to request>)      # or session.throw(error)

    and sends `take_output()` before it answers a request that waits for the client.
    """

    __slots__ = ("_out", "_out_octets", "_steps")

    def __init__(self) -> None:
        self._out: list[bytes] = []
        self._out_octets = 0
        self._steps = self._run()

    def _run(self) -> Steps[None]:
        raise NotImplementedError

    def start(self) -> Request[object] | None:
        """Greets and asks the first question; None: over."""
        return next(self._steps, None)

    def send(self, answer: object) -> Request[object] | None:
        """Answers the last question; gives the next, or None: send the output and close."""
        try:
            return self._steps.send(answer)
        except StopIteration:
            return None

    def throw(self, error: BaseException) -> Request[object] | None:
        """The last question ended in this error; as `send`."""
        try:
            return self._steps.throw(error)
        except StopIteration:
            return None

    def close(self) -> None:
        """The connection is gone: let go of everything."""
        self._steps.close()

    def take_output(self) -> bytes:
        """Octets for the client."""
        data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        self._out_octets = 0
        return data

    def write(self, data: bytes) -> None:
        """Adds to the output."""
        self._out.append(data)
        self._out_octets += len(data)

    def flush_full(self) -> Steps[None]:
        """Waits for the client when a piece of output is full."""
        if self._out_octets >= PIECE_OCTETS:
            yield from ask(Flush())
