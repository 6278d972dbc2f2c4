"""The session: G rows, limits, refusals with their codes, ends of all kinds."""

from __future__ import annotations

import unicodedata

import pytest

from mailstack.managesieve.options import ManageSieveOptions
from mailstack.model.asking import LoginRefused
from mailstack.model.errors import TemporaryFailure
from mailstack.model.secret import Verifier
from mailstack.sasl.exchange import Offer
from tests.kit.bare_managesieve import BareManageSieve, plain

BAD = b'require "fileinto";\r\nfoo;\r\nif true { bar; }\r\n'


def names(session: BareManageSieve) -> list[str]:
    return sorted(session.scripts.sources)


# -- G1: strangers --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wire",
    [
        b"NOOP {100000000+}\r\n",
        b'AUTHENTICATE "PLAIN" {1048576+}\r\n',
        b'AUTHENTICATE "PLAIN" "' + b"A" * 1_048_576,
        b"A" * 10_000,
        b'AUTHENTICATE "PLAIN" {5}\r\n',
    ],
    ids=lambda wire: repr(wire[:40]),
)
def test_g1_what_a_stranger_sends_too_much_of_ends_the_session(wire: bytes) -> None:
    session = BareManageSieve()
    session.take()
    session.send(*(wire[at : at + 16_384] for at in range(0, len(wire), 16_384)))
    assert session.take().startswith(b"BYE ") and session.closed
    assert session.session.framer.held <= 32_768


def test_g1_an_unknown_mechanism_is_refused() -> None:
    session = BareManageSieve()
    for name in (b"GSSAPI", b"", b"SCRAM-SHA-256", b"\xff"):
        assert session.ask(b'AUTHENTICATE "%b"' % name) == b'NO "There is no such mechanism"\r\n'


def test_a_long_exchange_is_bounded() -> None:
    session = BareManageSieve()
    session.ask(b'AUTHENTICATE "PLAIN"')
    assert session.ask(b"{9000+}\r\n" + b"A" * 9_000).startswith(b"BYE")
    assert session.closed


def test_passwords_are_not_taken_in_clear() -> None:
    session = BareManageSieve(tls=False, can_start_tls=True)
    greeting = session.take()
    assert b'"SASL" ""\r\n' in greeting and b'"STARTTLS"\r\n' in greeting
    answer = session.ask(b'AUTHENTICATE "PLAIN" "%b"' % plain())
    assert answer == b'NO (ENCRYPT-NEEDED) "Login needs TLS: use STARTTLS"\r\n'


def test_g8_octets_behind_starttls_are_never_executed() -> None:
    session = BareManageSieve(tls=False, can_start_tls=True)
    session.take()
    session.send(b'STARTTLS\r\nAUTHENTICATE "PLAIN" "%b"\r\n' % plain())
    assert session.take() == b'BYE "Octets behind STARTTLS"\r\n'
    assert session.closed and not session.started_tls


def test_starttls_tells_the_capabilities_again() -> None:
    # RFC 5804 section 2.2
    session = BareManageSieve(tls=False, can_start_tls=True)
    answer = session.ask(b"STARTTLS")
    assert answer.startswith(b'OK "Begin TLS negotiation"\r\n"IMPLEMENTATION"')
    assert b'"SASL" "PLAIN LOGIN"' in answer and b"STARTTLS" not in answer.split(b"\r\n", 1)[1]
    assert session.ask(b"STARTTLS") == b'NO "TLS is already active"\r\n'
    assert BareManageSieve(tls=False).ask(b"STARTTLS") == b'NO "TLS is not available"\r\n'


def test_a_strong_mechanism_is_told_and_used() -> None:
    offer = Offer(lambda login: Verifier(b"salt", 4096), lambda: b"x" * 18)
    session = BareManageSieve(offer=offer)
    assert b'"SASL" "SCRAM-SHA-256 PLAIN LOGIN"' in session.take()
    # n,,n=alice,r=abc
    answer = session.ask(b'AUTHENTICATE "SCRAM-SHA-256" "biwsbj1hbGljZSxyPWFiYw=="')
    assert answer.startswith(b'"') and answer.endswith(b'"\r\n')
    assert session.ask(b'"*"') == b'NO "authentication cancelled"\r\n'


def test_who_may_not_log_in_now_is_told_to_try_later() -> None:
    session = BareManageSieve()
    session.refusal = LoginRefused("LIMIT", "Too many sessions", hang_up=True)
    assert session.ask(b'AUTHENTICATE "PLAIN" "%b"' % plain()) == b'BYE (TRYLATER) "Too many sessions"\r\n'
    assert session.closed


# -- G2: names ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b"../x",
        b"a/b",
        b"..",
        b".hidden",
        b"a\\\\b",
        b"a" * 513,
        "é".encode() * 257,
        b"tab\there",
        b"\x7f",
        b"\xc2\x85",
        "a\u2028b".encode(),
        "a\u202eb".encode(),
        "zero\u200bwidth".encode(),
        b"\xff",
        b"\xed\xa0\x80",
        unicodedata.normalize("NFD", "été").encode(),
    ],
    ids=lambda name: repr(name[:20]),
)
def test_g2_names_that_are_refused_everywhere(name: bytes) -> None:
    session = BareManageSieve({"there": b"keep;"}).log_in()
    for command in (b'PUTSCRIPT "%b" "keep;"', b'RENAMESCRIPT "there" "%b"', b'HAVESPACE "%b" 5'):
        assert session.ask(command % name).startswith(b"NO"), command
    literal = name.replace(b"\\\\", b"\\")
    assert session.ask(b"PUTSCRIPT {%d+}\r\n%b {5+}\r\nkeep;" % (len(literal), literal)).startswith(b"NO")
    assert names(session) == ["there"]


def test_g2_names_with_nul_or_line_ends_are_refused() -> None:
    session = BareManageSieve().log_in()
    for name in (b"a\0b", b"a\r\nb", b"a\nb"):
        assert session.ask(b"PUTSCRIPT {%d+}\r\n%b {5+}\r\nkeep;" % (len(name), name)).startswith(b"NO")
    assert names(session) == []


def test_g2_twins_are_refused() -> None:
    # What looks the same in a list cannot be told apart.
    session = BareManageSieve({"ﬁle": b"keep;", "été": b"keep;"}).log_in()
    assert session.put("file", b"keep;").startswith(b"NO (ALREADYEXISTS)")
    assert session.ask('RENAMESCRIPT "été" "ｆile"'.encode()).startswith(b"NO (ALREADYEXISTS)")
    assert session.put("ﬁle", b"stop;") == b'OK "Stored"\r\n'
    assert session.scripts.sources["ﬁle"] == b"stop;"


def test_names_of_128_characters_are_taken() -> None:
    # RFC 5804 section 1.6
    name = "\U0001f4e7" * 128
    session = BareManageSieve().log_in()
    assert session.put(name, b"keep;") == b'OK "Stored"\r\n'
    assert session.ask(b"LISTSCRIPTS") == f'"{name}"\r\nOK\r\n'.encode()


# -- G3: quotas -----------------------------------------------------------------------------


def test_g3_a_script_that_is_too_big() -> None:
    session = BareManageSieve({"a": b"keep;"}, plan="free").log_in()
    fits = b"#" * 65_530 + b"\nkeep"
    assert len(fits) == 65_535
    assert session.put("a", fits + b";") == b'OK "Stored"\r\n'
    for source in (fits + b" ;", b"#" * 70_000, b"#" * 100_000, b"#" * 1_000_000):
        answer = session.put("a", source)
        assert answer.startswith(b"NO (QUOTA/MAXSIZE) "), answer
    assert session.scripts.sources["a"] == fits + b";" and len(session.checked) == 1
    assert session.ask(b'HAVESPACE "a" 65536') == b"OK\r\n"
    assert session.ask(b'HAVESPACE "a" 65537').startswith(b"NO (QUOTA/MAXSIZE) ")
    assert session.ask(b'HAVESPACE "a" 4294967295').startswith(b"NO (QUOTA/MAXSIZE) ")
    assert session.ask(b"NOOP") == b'OK "Done"\r\n'


def test_g3_a_script_beyond_all_bounds_ends_the_session() -> None:
    session = BareManageSieve().log_in()
    assert session.ask(b'PUTSCRIPT "a" {100000000+}') == (
        b'BYE (QUOTA/MAXSIZE) "The literal is too long"\r\n'
    )
    assert session.closed


@pytest.mark.parametrize(("plan", "most"), [("normal", 30), ("free", 5)])
def test_g3_too_many_scripts(plan: str, most: int) -> None:
    sources = {f"script {number}": b"keep;" for number in range(most)}
    session = BareManageSieve(sources, plan=plan).log_in()  # type: ignore[arg-type]
    assert session.put("more", b"keep;").startswith(b"NO (QUOTA/MAXSCRIPTS) ")
    assert session.ask(b'HAVESPACE "more" 5').startswith(b"NO (QUOTA/MAXSCRIPTS) ")
    assert not session.checked  # a compile costs more than a look
    assert session.put("script 0", b"stop;") == b'OK "Stored"\r\n'
    assert session.ask(b'HAVESPACE "script 0" 5') == b"OK\r\n"
    session.ask(b'RENAMESCRIPT "script 0" "renamed"')
    assert "renamed" in names(session) and len(names(session)) == most


# -- G4, G5: nothing by halves --------------------------------------------------------------


def test_g4_every_mistake_is_told_with_its_position_and_nothing_is_stored() -> None:
    session = BareManageSieve({"main": b"keep;"}).log_in()
    answer = session.put("main", BAD)
    assert answer.startswith(b"NO {")
    assert b"\r\nline 2, column 1: " in answer and b"\r\nline 3, column 11: " in answer
    assert session.scripts.sources == {"main": b"keep;"}
    assert session.check(BAD) == answer
    assert b"line 1, column 1: the script is not valid UTF-8" in session.put("new", b"\xff")
    assert session.put("new", b"") == b'NO "The script is empty"\r\n'
    assert session.put("new", b"keep;\r\nkeep;\n").startswith(b'NO "line 2')
    assert names(session) == ["main"]


def test_g5_a_connection_lost_in_the_literal_stores_nothing() -> None:
    session = BareManageSieve({"main": b"keep;"}).log_in()
    for octets in (b"", b"stop", b"stop;", b"stop;\r"):
        session = BareManageSieve({"main": b"keep;"}).log_in()
        session.send(b'PUTSCRIPT "main" {5+}\r\n' + octets)
        session.hang_up()
        assert session.closed and session.scripts.sources == {"main": b"keep;"}


# -- G6: by RFC 5804 ------------------------------------------------------------------------


def test_g6_the_active_script_is_never_deleted() -> None:
    # RFC 5804 section 2.10
    session = BareManageSieve({"one": b"keep;", "two": b"stop;"}).log_in()
    session.ask(b'SETACTIVE "one"')
    assert session.ask(b'DELETESCRIPT "one"').startswith(b"NO (ACTIVE) ")
    assert session.ask(b'RENAMESCRIPT "one" "two"').startswith(b"NO (ALREADYEXISTS) ")
    assert session.ask(b'RENAMESCRIPT "one" "three"') == b'OK "Renamed"\r\n'
    assert session.scripts.active == "three"
    assert session.ask(b'SETACTIVE "missing"').startswith(b"NO (NONEXISTENT) ")
    assert session.scripts.active == "three"
    assert session.ask(b'SETACTIVE ""') == b'OK "No script is active"\r\n'
    assert session.ask(b'DELETESCRIPT "three"') == b'OK "Deleted"\r\n'
    for command in (b'DELETESCRIPT "x"', b'GETSCRIPT "x"', b'RENAMESCRIPT "x" "y"', b'GETSCRIPT ""'):
        assert session.ask(command).startswith(b"NO (NONEXISTENT) "), command


def test_putscript_over_the_active_script_leaves_it_active() -> None:
    session = BareManageSieve({"one": b"keep;"}).log_in()
    session.ask(b'SETACTIVE "one"')
    session.put("one", b"stop;")
    assert session.ask(b"LISTSCRIPTS") == b'"one" ACTIVE\r\nOK\r\n'


def test_a_script_comes_back_octet_for_octet() -> None:
    source = b'# \xc3\xa9 "\\ {3+}\r\nOK "no"\r\n.\r\nkeep;'
    session = BareManageSieve({"one": source}).log_in()
    assert session.ask(b'GETSCRIPT "one"') == b"{%d}\r\n%b\r\nOK\r\n" % (len(source), source)


# -- G7: floods -----------------------------------------------------------------------------


def test_g7_a_flood_of_checks_is_put_off() -> None:
    session = BareManageSieve(options=ManageSieveOptions(checks_per_minute=3)).log_in()
    assert [session.check(b"keep;")[:2] for _ in range(3)] == [b"OK"] * 3
    answer = session.check(b"keep;")
    assert answer == b'NO (TRYLATER) "Too many scripts were checked; try again in a minute"\r\n'
    assert session.put("one", b"keep;") == answer and not names(session)
    session.time += 20
    assert session.put("one", b"keep;") == b'OK "Stored"\r\n'


@pytest.mark.parametrize(("user", "most"), [(False, 3), (True, 20)])
def test_too_many_wrong_commands_end_the_session(user: bool, most: int) -> None:
    session = BareManageSieve()
    if user:
        session.log_in()
    else:
        session.ask(b"NOOP")
    assert [session.ask(b"X")[:3] for _ in range(most)] == [b"NO "] * (most - 1) + [b"BYE"]
    assert session.closed


# -- the rest -------------------------------------------------------------------------------


def test_wrong_arguments_are_explained() -> None:
    session = BareManageSieve({"one": b"keep;"}).log_in()
    assert session.ask(b"NOOP 5") == (
        b'NO "The arguments of this command: a string (the last 1 may be missing)"\r\n'
    )
    for command in (
        b"SETACTIVE one",
        b"SETACTIVE",
        b'SETACTIVE "a" "b"',
        b'HAVESPACE "a" "5"',
        b"HAVESPACE 5 5",
        b"LISTSCRIPTS x",
        b'LOGOUT ""',
        b'"NOOP"',
        b"5",
    ):
        assert session.ask(command).startswith(b"NO "), command
    assert not session.closed


def test_names_that_are_too_long_to_be_kept_are_refused() -> None:
    session = BareManageSieve(plan="free").log_in()
    assert session.ask(b"SETACTIVE {90000+}\r\n" + b"x" * 90_000) == (
        b'NO "The string has 90000 octets, which is too long"\r\n'
    )
    assert session.ask(b"NOOP") == b'OK "Done"\r\n'


def test_trouble_is_temporary_and_tells_nothing_of_our_insides() -> None:
    session = BareManageSieve({"one": b"keep;"}).log_in()
    session.scripts.trouble = TemporaryFailure("/secret/path: disk full")
    for command in (b"LISTSCRIPTS", b'GETSCRIPT "one"', b'SETACTIVE "one"', b'PUTSCRIPT "a" "keep;"'):
        assert session.ask(command) == (
            b'NO (TRYLATER) "Scripts cannot be used right now; try again later"\r\n'
        )


def test_silence_ends_a_session() -> None:
    stranger, user = BareManageSieve(), BareManageSieve().log_in()
    begun = stranger.time
    for session, seconds in ((stranger, 60), (user, 1_800)):
        session.take()
        session.wake_at_deadline()
        assert session.time - begun == seconds
        assert session.take() == b'BYE "Nothing came for too long"\r\n' and session.closed


def test_a_stranger_is_not_kept_by_what_he_sends() -> None:
    session = BareManageSieve()
    session.time += 50
    session.ask(b"NOOP")
    session.wake_at_deadline()
    assert session.time == 1060


def test_capabilities_of_a_free_account_are_its_own() -> None:
    # RFC 5804 section 1.7: they may change after AUTHENTICATE.
    session = BareManageSieve(plan="free")
    assert b'"MAXREDIRECTS" "4"\r\n' in session.take()
    answer = session.log_in().ask(b"CAPABILITY")
    assert b'"MAXREDIRECTS" "1"\r\n' in answer and b'"NOTIFY"' not in answer
    assert b'"OWNER" "alice@example.test"\r\n' in answer


def test_unauthenticate_gives_the_limits_of_a_stranger_back() -> None:
    session = BareManageSieve({"one": b"keep;"}).log_in()
    assert session.ask(b"UNAUTHENTICATE") == b'OK "You are nobody now"\r\n'
    assert b"OWNER" not in session.ask(b"CAPABILITY")
    assert session.ask(b"LISTSCRIPTS") == b'NO "Log in first"\r\n'
    session.log_in()
    assert session.ask(b"LISTSCRIPTS") == b'"one"\r\nOK\r\n'
    session.ask(b"UNAUTHENTICATE")
    assert session.ask(b"NOOP {8193+}").startswith(b"BYE")


def test_warnings_come_with_an_ok() -> None:
    # RFC 5804 section 1.3, RFC 6609 section 3.2: scripts may be stored in any order.
    session = BareManageSieve().log_in()
    source = b'require "include";\r\ninclude "later";\r\ninclude :optional "maybe";\r\ninclude "main";\r\n'
    answer = session.put("main", source)
    assert answer == (
        b"OK (WARNINGS) \"line 2, column 9: include: there is no personal script 'later' yet;"
        b" line 4, column 9: include: there is no personal script 'main' yet\"\r\n"
    )
    assert names(session) == ["main"]


def test_a_batch_of_commands_is_answered_in_its_order() -> None:
    session = BareManageSieve().log_in()
    session.take()
    session.send(
        b'PUTSCRIPT "a" {5+}\r\nkeep;\r\nPUTSCRIPT "b" {5+}\r\nstop;\r\n\r\nSETACTIVE "b"\r\n'
        b'DELETESCRIPT "a"\r\nRENAMESCRIPT "b" "c"\r\nLISTSCRIPTS\r\nGETSCRIPT "c"\r\nLOGOUT\r\nNOOP\r\n'
    )
    assert session.take() == (
        b'OK "Stored"\r\nOK "Stored"\r\nOK "b is active"\r\nOK "Deleted"\r\nOK "Renamed"\r\n'
        b'"c" ACTIVE\r\nOK\r\n{5}\r\nstop;\r\nOK\r\nOK "Goodbye"\r\n'
    )
    assert session.closed
