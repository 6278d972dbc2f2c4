"""What becomes of what the queue sees of TLS: counts, levels, log events, a letter a day."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from mailstack.app import outbound_tls
from mailstack.app.outbound_tls import TlsKeeper, tell_falls
from mailstack.delivery.ratchet import CLEAR, DAY_S, MODERN, VERIFIED
from mailstack.delivery.security_options import OutboundTlsOptions
from mailstack.model.errors import TemporaryFailure
from mailstack.net.smtp_opening import Seen
from mailstack.state import statedb
from mailstack.state.maillog import MailLog
from mailstack.state.tls_facts import TlsFact, TlsFacts, TlsPolicy, day_of
from mailstack.state.tls_levels import Fall, TlsLevels

OPTIONS = OutboundTlsOptions()
START = 1_790_000_000.0
DOMAIN, HOST = "example.net", "mx.example.net[192.0.2.25]"


@dataclass
class Kept:
    """A keeper and what it writes to."""

    path: Path
    now: float = START

    def __post_init__(self) -> None:
        statedb.migrate(self.path)
        self.facts, self.levels = TlsFacts(self.path), TlsLevels(self.path)
        self.text = io.StringIO()
        self.keeper = self.made()

    def made(self) -> TlsKeeper:
        log = MailLog(None, daemon="queue", now=lambda: self.now, stream=self.text)
        return TlsKeeper(OPTIONS, facts=self.facts, levels=self.levels, maillog=log, now=lambda: self.now)

    def see(self, *levels: int, domain: str = DOMAIN) -> None:
        for level in levels:
            self.keeper.note(Seen(domain, HOST, TlsFact(TlsPolicy(domain)), level))
        self.keeper.flush()

    def shown_for_a_month(self, level: int, domain: str = DOMAIN) -> None:
        for day in (0, 10, 20):
            self.now = START + day * DAY_S
            self.see(level, domain=domain)
        self.now = START + 31 * DAY_S


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    made = Kept(tmp_path / "state.db")
    yield made
    made.facts.close()
    made.levels.close()


def test_what_was_seen_is_counted_and_outlives_the_process(kept: Kept) -> None:
    kept.see(MODERN, VERIFIED)
    kept.keeper.note_fact(TlsFact(TlsPolicy(DOMAIN, "sts"), "sts-policy-fetch-error"))
    kept.keeper.flush()
    found = {one.policy.kind: one for one in kept.facts.of(day_of(START), DOMAIN)}
    assert found["no-policy-found"].successes == 2
    assert found["sts"].failed == 1
    assert TlsLevels(kept.path).of(DOMAIN) == {
        1: (START, START, 2),
        2: (START, START, 2),
        3: (START, START, 1),
    }


async def test_a_session_that_cannot_be_counted_ends_no_counting(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing else would write down, or let go, what is seen from then on.
    monkeypatch.setattr(outbound_tls, "FLUSH_S", 0.01)
    flushing = asyncio.create_task(outbound_tls._keep_flushing(kept.keeper))
    kept.keeper.note(Seen(DOMAIN, HOST, TlsFact(TlsPolicy(DOMAIN, strings=("\udcff",))), MODERN))
    async with asyncio.timeout(60):
        while kept.keeper._waiting:
            await asyncio.sleep(0.01)
        kept.keeper.note(Seen(DOMAIN, HOST, TlsFact(TlsPolicy(DOMAIN)), MODERN))
        while not kept.facts.of(day_of(START), DOMAIN):
            await asyncio.sleep(0.01)
    flushing.cancel()


def test_a_domain_that_falls_below_what_it_showed_for_a_month_is_told_once(kept: Kept) -> None:
    kept.shown_for_a_month(VERIFIED)
    kept.see(VERIFIED)
    assert "tls_fell" not in kept.text.getvalue()
    kept.see(CLEAR)
    kept.see(CLEAR, MODERN)
    assert kept.text.getvalue().count("tls_fell domain=example.net host=mx.example.net[192.0.2.25]") == 1
    assert 'shown="no TLS"' in kept.text.getvalue()
    assert kept.levels.untold() == [Fall(DOMAIN, kept.now, VERIFIED, CLEAR, HOST)]


def test_a_domain_that_was_mixed_falls_only_below_its_worst(kept: Kept) -> None:
    kept.shown_for_a_month(MODERN)
    kept.see(VERIFIED)
    kept.see(MODERN)
    assert kept.levels.untold() == []


def test_while_state_db_is_in_trouble_what_was_seen_waits(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise TemporaryFailure("locked")

    with monkeypatch.context() as patch:
        patch.setattr(kept.facts, "note", broken)
        patch.setattr(outbound_tls, "MAX_WAITING", 2)
        kept.see(MODERN, MODERN, MODERN)
    kept.keeper.flush()
    (found,) = kept.facts.of(day_of(START), DOMAIN)
    assert found.successes == 2


# -- the letter ------------------------------------------------------------------------


@dataclass
class Box:
    """As much of home and queue as a letter needs."""

    kept: Kept

    def __post_init__(self) -> None:
        self.sent: list[Any] = []

    def tell(self) -> int:
        return tell_falls(OPTIONS, self.kept.levels, cast("Any", self), cast("Any", self))

    def now(self) -> float:
        return self.kept.now

    def enqueue(self, messages: list[Any]) -> None:
        self.sent += messages


@pytest.fixture
def box(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> Box:
    made = Box(kept)
    for name in ("config", "directory", "long_senders", "new_id"):
        setattr(made, name, None)
    monkeypatch.setattr(outbound_tls, "postmaster", lambda *_: "postmaster@example.test")

    class Mail:
        def __init__(self, *_: object) -> None:
            pass

        def language(self, owner: object) -> str:
            return "en"

        def letter(self, owner: object, to: str, name: str, **values: str) -> list[dict[str, str]]:
            return [{"to": to, "name": name, **values}]

    monkeypatch.setattr(outbound_tls, "OwnerMail", Mail)
    return made


def test_the_postmaster_hears_of_falls_at_most_once_a_day(kept: Kept, box: Box) -> None:
    assert box.tell() == 0
    kept.shown_for_a_month(VERIFIED)
    kept.shown_for_a_month(MODERN, "example.com")
    kept.see(CLEAR)
    kept.see(CLEAR, domain="example.com")
    assert box.tell() == 2
    (letter,) = box.sent
    assert (letter["name"], letter["count"], letter["days"]) == ("tls_fell", "2", "30")
    assert f"{DOMAIN} ({HOST}): no TLS; before: TLS with a good certificate" in letter["entries"]
    kept.levels.keep([], [Fall("third.example", kept.now, VERIFIED, CLEAR, HOST)])
    assert box.tell() == 0
    kept.now += 86_400
    assert box.tell() == 1


def test_a_letter_names_so_many_and_counts_the_rest(kept: Kept, box: Box) -> None:
    count = outbound_tls.MAX_NAMED + 3
    kept.levels.keep([], [Fall(f"{n:03}.example", START, VERIFIED, CLEAR, HOST) for n in range(count)])
    assert box.tell() == count
    assert box.sent[0]["entries"].splitlines()[-1] == "and 3 more"
