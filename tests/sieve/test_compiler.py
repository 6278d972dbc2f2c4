from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable

import pytest

from mailstack.sieve import FREE, Context, Limits, Registry, check_upload, compile, run  # noqa: A004
from tests.sieve.kit import context_of, errors_of, script_of


def test_a_script_of_the_limit_compiles_and_one_octet_more_does_not() -> None:
    source = "keep;\n#" + "x" * (262_144 - 8) + "\n"
    assert len(source) == 262_144
    script_of(source)
    assert errors_of(source + "\n") == ["3:1 the script is longer than 262144 octets"]
    assert errors_of((source + "\n").encode())[0].startswith("3:1 ")


def test_octets_count_and_not_characters() -> None:
    limits = Limits(max_script_octets=10)
    script_of("keep; # é", limits=limits)
    assert errors_of("keep; # éé", limits=limits)


def test_a_free_account_has_smaller_scripts() -> None:
    assert errors_of("#" * 65_537, limits=FREE) == ["1:65537 the script is longer than 65536 octets"]
    script_of("#" * 65_536, limits=FREE)


def test_a_string_of_one_megabyte_is_an_error_with_its_line() -> None:
    limits = Limits(max_script_octets=2_000_000)
    source = 'keep;\nif header "a" "' + "x" * 1_000_000 + '" { stop; }'
    assert errors_of(source, limits=limits) == ["2:15 the string is longer than 65536 octets"]


@pytest.mark.parametrize("source", [b"keep; # \xff", b"\xef\xbb\xbfkeep;", b"keep;\0", b"keep;\rkeep;"])
def test_broken_octets_do_not_compile(source: bytes) -> None:
    assert len(errors_of(source)) == 1


def test_mixed_line_ends_run_but_are_refused_at_upload() -> None:
    source = b"keep;\r\n# one\nstop;\r\n"
    result = compile(source)
    assert result.ok
    assert [(one.line, one.column) for one in check_upload(source, result)] == [(2, 6)]
    for fine in (source.replace(b"\r\n", b"\n"), source.replace(b"# one\n", b"# one\r\n")):
        assert check_upload(fine, compile(fine)) == []


def test_upload_refuses_what_does_not_compile() -> None:
    result = compile(b"frob;")
    assert check_upload(b"frob;", result) == result.errors


def test_a_script_knows_its_source_and_extensions() -> None:
    script = script_of(b'require ["fileinto", "copy"]; keep;', path="personal/a.sieve")
    assert script.extensions == {"fileinto", "copy"}
    assert script.sha256 == hashlib.sha256(b'require ["fileinto", "copy"]; keep;').hexdigest()
    assert repr(script) == "<Sieve script personal/a.sieve>"


def test_diagnostics_carry_the_path() -> None:
    error = compile("frob;", path="a.sieve").errors[0]
    assert (error.path, str(error)) == ("a.sieve", "a.sieve:1:1: unknown command 'frob' (only reported once)")


def test_errors_are_bounded_by_the_limits_given() -> None:
    assert len(errors_of("frob1; frob2; frob3;", limits=Limits(max_errors=2))) == 2


def test_a_source_as_text_and_as_octets_is_the_same() -> None:
    assert script_of("keep; # é").sha256 == script_of("keep; # é".encode()).sha256


def test_a_script_is_shared_by_threads() -> None:
    script = script_of(
        'require "fileinto"; if header :contains "subject" ["money", "x"] { fileinto "A"; } else { discard; }'
    )
    wrong: list[object] = []

    def work(subject: bytes, want: str) -> None:
        for _ in range(200):
            ctx = context_of(b"Subject: " + subject + b"\r\n\r\n")
            if not run(script, ctx).ok or ctx.result.actions[0].name != want:
                wrong.append(ctx.result.actions)

    threads = [
        threading.Thread(target=work, args=pair) for pair in ((b"money", "fileinto"), (b"b", "discard")) * 2
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_script_cannot_be_changed() -> None:
    script = script_of("keep;")
    with pytest.raises(AttributeError):
        script.path = "x"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        script.block.calls[0].name = "x"  # type: ignore[misc]
    with pytest.raises(TypeError):
        script.block.calls[0].values["x"] = 1  # type: ignore[index]


def left() -> int:
    """Frames left on the stack; some of those in use cannot be seen from Python."""
    try:
        return 1 + left()
    except RecursionError:
        return 0


def below(frames: int, what: Callable[[], bool]) -> bool:
    """Calls `what` with only so many frames left on the stack."""

    def dive(more: int) -> bool:
        return dive(more - 1) if more else what()

    return dive(left() - frames)


@pytest.mark.parametrize("frames", [20, 30, 40, 60, 100, 400])
def test_a_caller_deep_in_recursion_gets_an_error_and_no_exception(frames: int) -> None:
    source = "if true {" * 32 + "keep;" + "}" * 32
    registry = Registry.standard()
    script = script_of(source)
    assert below(frames, lambda: compile(source, registry=registry).ok) == (frames == 400)
    assert below(frames, lambda: run(script, Context()).ok) == (frames >= 100)
