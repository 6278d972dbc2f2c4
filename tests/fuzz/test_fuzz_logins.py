"""Logins with any name, password and address: one of three answers, one line of the log, never an error."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.directory.logins import typed_app_password
from mailstack.model.errors import PermanentFailure
from mailstack.model.secret import Proof
from mailstack.state.bans import Bans, parse_network
from tests.app.test_gate import ALICE, Kit
from tests.kit.fuzzing import FUZZ
from tests.kit.instance import PASSWORD, new_instance

TEXT = st.text(st.characters(), max_size=60) | st.sampled_from(
    ["", "\0", "\udcff", ALICE, PASSWORD, "alice", "a" * 20, "x" * 70_000, "ﬁ\u00ad", "%n\r\n"]
)
ADDRESS = st.ip_addresses().map(str) | st.text(max_size=20)


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    instance = new_instance(tmp_path_factory.mktemp("logins"))
    instance.file.write_text(instance.file.read_text() + "[smtp]\nlogin_delays_s = [0]\n")
    with instance.writer() as writer:
        writer.accounts.add(ALICE, password=PASSWORD)
        writer.app_passwords.add(ALICE, "phone", ["imap"])
    kit = Kit(instance)
    yield kit
    kit.close()


@FUZZ
@given(
    login=TEXT,
    password=TEXT | st.binary(max_size=40).map(lambda mark: Proof(mark, mark=mark)),
    ip=ADDRESS,
    acting_for=st.just("") | TEXT,
    protocol=st.sampled_from(["smtp", "imap", "pop3", "web"]),
)
def test_any_login_is_answered(
    kit: Kit, login: str, password: str, ip: str, acting_for: str, protocol: str
) -> None:
    kit.log.seek(0)
    kit.log.truncate()
    before = kit.log
    assert isinstance(before, io.StringIO)
    said = asyncio.run(kit.log_in(password, login=login, ip=ip, acting_for=acting_for, protocol=protocol))
    assert said[:9] in ("OK", "535 5.7.8", "421 4.7.0")
    if said == "OK":
        assert (password, acting_for) == (PASSWORD, "")
    lines = [line for line in kit.lines if line.startswith("login")]
    assert len(lines) == 1
    assert all(line.isascii() and line.isprintable() for line in kit.lines)


@FUZZ
@given(TEXT)
def test_what_is_typed_is_an_app_password_or_not(text: str) -> None:
    typed = typed_app_password(text)
    assert typed == "" or (len(typed) == 20 and typed.isascii())


@FUZZ
@given(st.text(max_size=60) | st.ip_addresses(network="2001:db8::/32").map(str))
def test_any_text_is_a_network_or_is_refused(text: str) -> None:
    try:
        network = parse_network(text)
    except PermanentFailure as error:
        assert error.why
    else:
        assert parse_network(network) == network


@FUZZ
@given(ADDRESS)
def test_any_address_may_be_asked_about(kit: Kit, ip: str) -> None:
    bans = Bans(Path(kit.instance.config.paths.state_db))
    try:
        assert bans.find(ip, now=0.0) is None
    finally:
        bans.close()
