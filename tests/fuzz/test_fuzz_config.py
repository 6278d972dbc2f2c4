"""Any octets are a configuration or a list of problems, never another error."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailstack.app.config import Config, ConfigProblems, known_keys, parse
from mailstack.app.document import toml_value
from mailstack.app.toml_lines import find_lines
from tests.kit.fuzzing import FUZZ

_WORDS = st.sampled_from(
    [
        *"=.[]{},#'\" \n",
        *('"""', "[server]\n", "[smtp]\n", "[[queue.route]]\n", "[x.y]\n", "workers", "hostname = "),
        *("1", "-1", "nan", "1e400", "true", "1979-05-27T07:32:00Z", "é"),
    ]
)
_TEXT = st.lists(_WORDS, max_size=40).map("".join)
_VALUE = st.recursive(
    st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
    max_leaves=5,
)


def check(data: bytes) -> None:
    try:
        config, lines = parse(data)
    except ConfigProblems as error:
        assert error.problems
        assert str(error)
        last = data.count(b"\n") + 1
        assert all(0 <= problem.line <= last for problem in error.problems)
        assert len({(p.key, p.message) for p in error.problems}) == len(error.problems)
    else:
        assert isinstance(config, Config)
        assert all(1 <= line <= data.count(b"\n") + 1 for line in lines.values())


@FUZZ
@given(st.binary(max_size=200))
def test_any_octets(data: bytes) -> None:
    check(data)


@FUZZ
@given(_TEXT)
def test_pieces_of_toml_in_any_order(text: str) -> None:
    check(text.encode())


@FUZZ
@given(st.sampled_from(known_keys()), _VALUE)
def test_any_value_of_any_key(key: str, value: object) -> None:
    check(f"{key} = {toml_value(value)}\n".encode())


@FUZZ
@given(st.text(max_size=100))
def test_any_text_has_lines(text: str) -> None:
    last = text.count("\n") + 1
    assert all(1 <= line <= last for line in find_lines(text).values())
