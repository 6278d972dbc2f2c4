"""Password rules, hashes, the memory of good logins."""

from __future__ import annotations

import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.directory import credentials
from mailstack.directory.credentials import HashParameters, SuccessCache
from mailstack.model.errors import PermanentFailure
from tests.kit.clock import Clock
from tests.kit.fuzzing import FUZZ
from tests.kit.hashes import watch_hashes

CHEAP = HashParameters(1024, 1, 1)


def cheap(password: str) -> str:
    return credentials.hash_password(password, os.urandom, CHEAP)


@pytest.mark.parametrize(
    "password",
    [
        "correct $horse battery",
        "\"quoted\" 'and' \\back",
        "пароль-на-русском",
        "emoji 😀😀 password",
        "a:b{c}%n\r\n\t x",
        "x" * 70 + "0123456789",  # A13: beyond bcrypt's 72 octets the rest still counts
        "ab" * 512,  # A13: 1024 octets
    ],
)
def test_any_character_works_in_a_password(password: str) -> None:
    hash_ = cheap(password)
    assert credentials.verify(hash_, password)
    assert not credentials.verify(hash_, password[:-1])
    assert not credentials.verify(hash_, password + " ")


def test_composed_and_decomposed_password_are_the_same() -> None:
    assert credentials.verify(cheap("m\u00fcllers-kuh-7"), "mu\u0308llers-kuh-7")


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("short-1!", "too short"),
        ("x1" * 513, "too long"),  # A13: 1026 octets
        ("nul\0in-the-middle", "NUL"),
        ("undecodable-\udcff", "undecodable"),
        ("aaaaaaaaaaaa", "too simple"),
        ("ababababab", "too simple"),
        ("abcdefghijkl", "too simple"),
        ("9876543210", "too simple"),
        ("Password1234", "everybody tries"),
        ("qwertyuiop", "everybody tries"),
        ("alice@example.test", "address itself"),
    ],
)
def test_weak_or_impossible_passwords_are_refused_with_a_reason(password: str, words: str) -> None:
    with pytest.raises(PermanentFailure) as caught:
        credentials.check_new(password, address="alice@example.test")
    assert words in caught.value.why


def test_password_length_is_checked_at_the_limit() -> None:
    assert credentials.check_new("kx4m-wq9z8")
    with pytest.raises(PermanentFailure):
        credentials.check_new("kx4m-wq9z")
    assert credentials.check_new("xy12" * 256)
    with pytest.raises(PermanentFailure):
        credentials.check_new("xy12" * 256 + "z")


@pytest.mark.parametrize("password", ["", "nul\0nul-nul", "x" * 1025, "\udcff" * 12])
def test_a_password_nobody_can_have_fails_without_an_error(password: str) -> None:
    assert not credentials.verify(cheap("something else"), password)


@pytest.mark.parametrize(
    "hash_",
    [
        "",
        "plain text",
        "$argon2id$v=19$m=4194304,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$" + "A" * 43,  # A17: 4 GiB
        "$argon2id$v=19$m=1024,t=4000000000,p=1$MDEyMzQ1Njc4OWFiY2RlZg$" + "A" * 43,
        "$argon2id$v=19$m=1024,t=1,p=255$MDEyMzQ1Njc4OWFiY2RlZg$" + "A" * 43,
        "$argon2id$v=19$m=0,t=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$" + "A" * 43,
        "$argon2i$v=19$m=1024,t=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$" + "A" * 43,
        "$2b$31$abcdefghijklmnopqrstuv" + "A" * 31,
        "$6$rounds=999999999$saltsalt$" + "A" * 86,
        "$argon2id$v=19$m=1024,t=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$" + "A" * 300,
    ],
)
def test_malformed_or_absurd_stored_hashes_are_refused_fast(hash_: str) -> None:
    # A17
    start = time.perf_counter()
    assert not credentials.verify(hash_, "whatever-it-is")
    assert time.perf_counter() - start < 5.0


def test_an_absurd_stored_hash_raises_an_alarm(caplog: pytest.LogCaptureFixture) -> None:
    credentials.verify("$argon2id$v=19$m=4194304,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$" + "A" * 43, "x")
    assert "malformed or has absurd parameters" in caplog.text


def test_wasted_time_equals_the_time_of_a_check(monkeypatch: pytest.MonkeyPatch) -> None:
    # A11, A6: the same function with the same parameters; bench/wrong_login.py measures it
    hash_ = credentials.hash_password("a good password", os.urandom)
    computed = watch_hashes(monkeypatch)
    assert not credentials.verify(hash_, "a bad password")
    known = computed.copy()
    computed.clear()
    credentials.waste_time()
    assert computed == known
    assert len(known) == 1
    assert (known[0].memory_cost, known[0].time_cost, known[0].parallelism) == (19_456, 2, 1)


def test_generated_passwords_differ_and_pass_the_rules() -> None:
    made = {credentials.generate(os.urandom) for _ in range(200)}
    assert len(made) == 200
    for password in made:
        assert credentials.check_new(password) == password


def test_success_cache_knows_only_the_same_password_and_hash() -> None:
    clock = Clock()
    cache = SuccessCache(b"k" * 32, lifetime_s=300, clock=clock)
    cache.add("hash-1", "password")
    assert cache.knows("hash-1", "password")
    assert not cache.knows("hash-2", "password")
    assert not cache.knows("hash-1", "Password")


def test_success_cache_forgets_after_its_time() -> None:
    clock = Clock()
    cache = SuccessCache(b"k" * 32, lifetime_s=300, clock=clock)
    cache.add("hash", "password")
    clock.advance(299)
    assert cache.knows("hash", "password")
    clock.advance(2)
    assert not cache.knows("hash", "password")


def test_success_cache_is_bounded() -> None:
    cache = SuccessCache(b"k" * 32, lifetime_s=300, clock=Clock())
    for n in range(10_050):
        cache.add("hash", str(n))
    assert not cache.knows("hash", "0")
    assert cache.knows("hash", "10049")


def test_success_cache_of_zero_seconds_remembers_nothing() -> None:
    cache = SuccessCache(b"k" * 32, lifetime_s=0, clock=Clock())
    cache.add("hash", "password")
    assert not cache.knows("hash", "password")


@FUZZ
@given(st.text(max_size=300))
def test_any_stored_text_is_sane_or_not_but_never_an_error(hash_: str) -> None:
    assert credentials.parameters_of(hash_) is None or hash_.startswith("$argon2id$")


@FUZZ
@given(st.text(max_size=50))
def test_any_new_password_is_taken_or_refused_in_words(password: str) -> None:
    try:
        taken = credentials.check_new(password)
    except PermanentFailure as error:
        assert error.why
    else:
        assert credentials._secrets(taken)


@pytest.mark.parametrize(
    ("set_", "typed"),
    [
        ("ﬁsch\u2002und fritten", "fisch und fritten"),
        ("ein pass\u00adwort hier", "ein passwort hier"),
        ("Ⅸ neunmal klug", "IX neunmal klug"),
        ("ｆｕｌｌｗｉｄｔｈ １２", "fullwidth 12"),
    ],
)
def test_a_password_is_prepared_as_sasl_asks_for(set_: str, typed: str) -> None:
    # RFC 4013 section 2, RFC 4616 section 2: whatever the keyboard makes of it, in both directions
    assert credentials.verify(cheap(set_), typed)
    assert credentials.verify(cheap(typed), set_)


def test_what_was_hashed_before_it_was_prepared_still_works() -> None:
    from argon2.low_level import Type, hash_secret

    old = hash_secret("ﬁsch\u2002und fritten".encode(), os.urandom(16), 1, 1024, 1, 32, Type.ID).decode()
    assert credentials.verify(old, "ﬁsch\u2002und fritten")
    assert not credentials.verify(old, "fisch und fritten")


def test_a_password_that_grows_or_vanishes_when_it_is_prepared_is_refused_when_it_is_set() -> None:
    # A13: else nobody could log in with it
    for password, words in (
        ("\u3316" * 60 + "abcd", "too long"),
        ("\u00ad\u200b\u2060\ufeff" * 5, "too short"),
    ):
        with pytest.raises(PermanentFailure, match=words):
            credentials.check_new(password)
