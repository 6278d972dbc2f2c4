"""ManageSieve over the real directory against a model of it, in whatever order and however packets are cut.

The model is written from RFC 5804 and the limits, and knows nothing of the code.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mailstack.app.scripts import AccountScripts
from mailstack.managesieve.options import ManageSieveOptions
from tests.kit.bare_managesieve import BareManageSieve
from tests.kit.contexts import smtp_context
from tests.kit.instance import new_instance

MOST, MOST_OCTETS = 5, 65_536  # of a free account
NAMES = st.sampled_from(["a", "main", "été", 'clever"script', "b\t", "", "../x", "five", "six", "seven"])
_END = re.compile(rb"^(OK|NO)(?: \(([A-Z/]+)\))?", re.MULTILINE)
GOOD = {"a", "main", "été", 'clever"script', "five", "six", "seven"}
SOURCES = st.sampled_from(
    [b"keep;", b"# \xc3\xa9\r\nstop;\r\n", b'# "\\ {3+}\r\ndiscard;', b"#" + b"x" * (MOST_OCTETS - 1)]
)
WRONG = st.sampled_from([b"", b"foo;", b"keep", b"\xff", b"#" * (MOST_OCTETS + 1)])


class Scripts(RuleBasedStateMachine):
    """What is known of the scripts of one account; two sessions share them."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        instance = new_instance(self.folder / "instance")
        with instance.writer() as writer:
            writer.accounts.add("alice@example.test", plan="free")
        self.context, self.log = smtp_context(instance.config, {})
        self.directory = instance.reader()
        account = self.directory.find_account("alice@example.test")
        assert account is not None
        options = ManageSieveOptions(checks_per_minute=100_000, max_bad_after_login=100_000)
        self.sessions = [
            BareManageSieve(
                options=options,
                plan="free",
                store=AccountScripts(self.context, self.directory, account, "::1"),
            ).log_in()
            for _ in range(2)
        ]
        self.scripts: dict[str, bytes] = {}
        self.active = ""

    def teardown(self) -> None:
        self.directory.close()
        self.context.bus.close()
        shutil.rmtree(self.folder)

    def ask(self, line: bytes) -> bytes:
        """One of the sessions, in packets of some size; gives kind and code."""
        self.sessions.reverse()
        session = self.sessions[0]
        session.take()
        wire, size = line + b"\r\n", 1 + len(line) % 50_000
        session.send(*(wire[at : at + size] for at in range(0, len(wire), size)))
        answer = session.take()
        assert answer.count(b"\r\n") and not session.closed, answer
        kind, code = _END.findall(answer)[-1]
        return b"%b %b" % (kind, code) if code else kind

    def string(self, octets: bytes) -> bytes:
        return b"{%d+}\r\n%b" % (len(octets), octets)

    def room(self, name: str, octets: int) -> bytes:
        """What storing under a name must be answered."""
        if name not in GOOD:
            return b"NO"
        if octets > MOST_OCTETS:
            return b"NO QUOTA/MAXSIZE"
        return b"NO QUOTA/MAXSCRIPTS" if name not in self.scripts and len(self.scripts) >= MOST else b"OK"

    @rule(name=NAMES, source=SOURCES)
    def put(self, name: str, source: bytes) -> None:
        want = self.room(name, len(source))
        assert self.ask(b"PUTSCRIPT %b %b" % (self.string(name.encode()), self.string(source))) == want
        if want == b"OK":
            self.scripts[name] = source

    @rule(name=NAMES, source=WRONG)
    def put_what_is_wrong(self, name: str, source: bytes) -> None:
        answer = self.ask(b"PUTSCRIPT %b %b" % (self.string(name.encode()), self.string(source)))
        assert answer.startswith(b"NO")

    @rule(name=NAMES, octets=st.sampled_from([0, 5, MOST_OCTETS, MOST_OCTETS + 1, 2**32 - 1]))
    def have_space(self, name: str, octets: int) -> None:
        want = self.room(name, octets)
        assert self.ask(b"HAVESPACE %b %d" % (self.string(name.encode()), octets)) == want

    @rule(name=NAMES)
    def set_active(self, name: str) -> None:
        want = b"OK" if not name or name in self.scripts else b"NO NONEXISTENT"
        assert self.ask(b"SETACTIVE " + self.string(name.encode())) == want
        if want == b"OK":
            self.active = name

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        want = (
            b"NO NONEXISTENT" if name not in self.scripts else b"NO ACTIVE" if name == self.active else b"OK"
        )
        assert self.ask(b"DELETESCRIPT " + self.string(name.encode())) == want
        if want == b"OK":
            del self.scripts[name]

    @rule(old=NAMES, new=NAMES)
    def rename(self, old: str, new: str) -> None:
        want = b"OK"
        if new not in GOOD:
            want = b"NO"
        elif new != old and new in self.scripts:
            want = b"NO ALREADYEXISTS"
        elif old not in self.scripts:
            want = b"NO NONEXISTENT"
        line = b"RENAMESCRIPT %b %b" % (self.string(old.encode()), self.string(new.encode()))
        assert self.ask(line) == want
        if want == b"OK":
            self.scripts[new] = self.scripts.pop(old)
            self.active = new if self.active == old else self.active

    @rule(source=SOURCES)
    def check(self, source: bytes) -> None:
        assert self.ask(b"CHECKSCRIPT " + self.string(source)) == b"OK"

    @precondition(lambda self: self.scripts)
    @rule(cut=st.integers(1, 30))
    def lose_the_connection(self, cut: int) -> None:
        # G5
        session = self.sessions[0]
        wire = b'PUTSCRIPT "main" {12+}\r\nkeep;\r\nstop;\r\n'
        session.send(wire[:cut])
        session.hang_up()
        self.sessions[0] = BareManageSieve(plan="free", store=session.store).log_in()

    @invariant()
    def all_is_as_known(self) -> None:
        listed = {one.name: one.active for one in self.sessions[0].store.listed()}
        assert listed == {name: name == self.active for name in self.scripts}
        for name, source in self.scripts.items():
            assert self.sessions[0].store.source(name) == source
            assert self.ask(b"GETSCRIPT " + self.string(name.encode())) == b"OK"


TestScripts = Scripts.TestCase
TestScripts.settings = settings(
    max_examples=12,
    stateful_step_count=25,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
