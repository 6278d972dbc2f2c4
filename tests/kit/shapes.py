"""The shapes of messages that loops of faults send, and where each of their copies must end.

A demo whose rest of the world is a sink of the test: it lives on while the demo dies, and
refuses one address, so that a report has to be made.
"""

from __future__ import annotations

import contextlib
import re
import smtplib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.kit.accounting import Recorder, Sent, check, marked
from tests.kit.counting import ALICE, BOB, CAROL, GONE, HOMES, count, settle
from tests.kit.demo import Demo, prepared_demo, running_demo
from tests.kit.smtp_sink import SmtpSink

#: Its rule keeps a copy and redirects another.
KEEPER = "keeper@example.test"
REFUSED = "nobody@refused.test"
FRIEND = "someone@elsewhere.test"
SHAPES: dict[str, list[str]] = {
    "one": [ALICE],
    "three": [ALICE, BOB, CAROL],
    "group": ["everyone@example.test"],
    "forward": [GONE],
    "local and remote": [CAROL, GONE],
    "redirect and keep": [KEEPER],
}
PLACES = {**HOMES, KEEPER: [KEEPER, "outside"], FRIEND: ["outside"], REFUSED: [f"report to {ALICE}"]}
REPLIES = {"rcpt": {REFUSED: "550 5.1.1 nobody of that name"}}
_RULE = 'require "copy"; redirect :copy "friend@outside.test"; keep;'


@dataclass
class Loop:
    """What was sent so far over all lives of an instance, and its sink."""

    folder: Path
    sink: SmtpSink
    sent: list[Sent] = field(default_factory=list)
    numbers: Counter[str] = field(default_factory=Counter)

    @contextlib.contextmanager
    def life(self, environ: Mapping[str, str] | None = None) -> Iterator[Demo]:
        """The instance from a start to an end."""
        outside = f"{self.sink.host}:{self.sink.port}"
        (self.folder / "demo.json").unlink(missing_ok=True)  # of a life that ended all of a sudden
        with running_demo(self.folder, "--outside", outside, environ=environ) as demo:
            yield demo

    def make(self) -> None:
        """Accounts and rules, before the first life."""
        instance = prepared_demo(self.folder)
        for words, stdin in (
            (("user", "add", KEEPER, "--password", "long enough, keeper"), ""),
            (("sieve", "put", KEEPER, "main", "-", "--activate"), _RULE),
        ):
            done = instance.cli(*words, stdin=stdin.encode())
            assert done.code == 0, done.err

    def send_all(self, demo: Demo) -> None:
        """One message of each shape, one by LMTP, and two submissions: one is refused outside."""
        recorder = Recorder(demo.host, demo.port("mx"))
        for shape, recipients in SHAPES.items():
            recorder.send(self._mark(shape), recipients)
        by_lmtp = Recorder(demo.host, demo.port("lmtp"))
        by_lmtp.send_each(self._mark("lmtp"), [ALICE, BOB, GONE])
        self.sent += [*recorder.sent, *by_lmtp.sent]
        for name, recipient in (("submitted", FRIEND), ("refused", REFUSED)):
            self.sent.append(submit(demo, self._mark(name), recipient))

    def _mark(self, shape: str) -> str:
        self.numbers[shape] += 1
        return f"{shape.replace(' ', '-')}-{self.numbers[shape]}"

    def check(self, demo: Demo, *, may_come_twice: bool = False) -> None:
        """Waits until nothing is under way and applies the accounting rule.

        Args:
            may_come_twice: to the sink: somebody died between its 250 and our COMMIT (P4).
        """
        settle(demo)
        found = count(demo, more=[KEEPER])
        for message in self.sink.messages:
            for _ in message.recipients:
                found.take("outside", Path(message.sender), message.data)
        if may_come_twice:
            for (mark, place), number in found.places.items():
                if place == "outside" and number > 1:
                    found.places[mark, place] = 1
        check(self.sent, found, PLACES)
        left = [path for path in demo.folder.rglob("queue/quarantine/*") if path.is_file()]
        assert not left, left


def submit(demo: Demo, mark: str, recipient: str) -> Sent:
    """Alice sends; whatever fails means "not acknowledged"."""
    octets = marked(mark).replace(b"From: Tester <tester@client.example>", f"From: <{ALICE}>".encode())
    accept_id = ""
    with contextlib.suppress(OSError, smtplib.SMTPException), demo.submission(ALICE) as client:
        client.mail(ALICE)
        client.rcpt(recipient)
        code, answer = client.data(octets)
        found = re.search(rb"id=(\S+)", answer)
        if code == 250 and found is not None:
            accept_id = found.group(1).decode()
    return Sent(mark, (recipient,), accept_id)


@contextlib.contextmanager
def loop(folder: Path) -> Iterator[Loop]:
    """An instance that is made, ready for its first life."""
    with SmtpSink(replies=dict(REPLIES)) as sink:
        made = Loop(folder, sink)
        made.make()
        yield made
