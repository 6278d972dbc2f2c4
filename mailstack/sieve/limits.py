"""What a script may cost.  Zero means zero, never "unlimited".

Numbers: section 5 of the limits; RFC 5228 section 2.10.7 wants at least 15 levels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of compiling and running; replaceable while a script runs.

    Attributes:
        max_script_octets: size of one script.
        max_string_octets: size of one string literal.
        max_value_octets: size of one variable's value; longer ones are cut.
        max_variables: variables set in one run.
        max_block_depth, max_test_depth: nesting; the outermost block is level 1.
        max_include_depth, max_include_files: for `include`-like commands.
        max_include_octets: all included scripts together.
        max_commands, max_tests: in one script.
        max_errors: errors reported before the compiler stops.
        max_actions, max_redirects, max_notifications: per run.
        max_steps: commands and tests executed, plus long texts compared.
        cpu_time: CPU seconds per run, by the clock of the context.
        max_added_octets: what `addheader`, `replace` and `enclose` may add to a message.
        max_rewrites: how often a message is made anew, as by `enclose`.
        max_argument_octets: the strings of one command with their variables in.
        max_regex_size: instructions all regular expressions of one script come to.
        duplicate_s, max_duplicate_s: how long `duplicate` remembers where the script does not
            say, and at most.
    """

    max_script_octets: int = 262_144
    max_string_octets: int = 65_536
    max_value_octets: int = 4_096
    max_variables: int = 128
    max_block_depth: int = 32
    max_test_depth: int = 32
    max_include_depth: int = 5
    max_include_files: int = 20
    max_include_octets: int = 524_288
    max_commands: int = 5_000
    max_tests: int = 5_000
    max_errors: int = 25
    max_actions: int = 32
    max_redirects: int = 4
    max_notifications: int = 5
    max_steps: int = 1_000_000
    cpu_time: float = 1.0
    max_added_octets: int = 1_048_576
    max_rewrites: int = 8
    max_argument_octets: int = 1_048_576
    max_regex_size: int = 100_000
    duplicate_s: int = 43_200
    max_duplicate_s: int = 604_800


#: Normal accounts.
NORMAL = Limits()
#: Accounts on the free plan.
FREE = Limits(
    max_script_octets=65_536,
    max_include_octets=131_072,
    max_actions=16,
    max_redirects=1,
    max_notifications=0,
)

#: Settings, as Pigeonhole names them, and the limit each stands for.
_SETTINGS = {
    "sieve_max_script_size": "max_script_octets",
    "sieve_variables_max_variable_size": "max_value_octets",
    "sieve_variables_max_scope_size": "max_variables",
    "sieve_include_max_nesting_depth": "max_include_depth",
    "sieve_include_max_includes": "max_include_files",
    "sieve_max_actions": "max_actions",
    "sieve_max_redirects": "max_redirects",
    "sieve_max_cpu_time": "cpu_time",
}
_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def configured(limits: Limits, settings: Mapping[str, object]) -> Limits:
    """The limits with what settings say of them; what cannot be read changes nothing."""
    changes: dict[str, int] = {}
    for setting, name in _SETTINGS.items():
        number = size(settings.get(setting))
        if number is not None:
            changes[name] = number
    return replace(limits, **changes) if changes else limits


def size(value: object) -> int | None:
    """A setting such as "4000", "4k" or "5s" as a number; None for what is none."""
    text = str(value).strip().lower() if isinstance(value, str | int) else ""
    number = text.rstrip("bkmgs")
    if not number.isdecimal():
        return None
    unit = text[len(number) :].rstrip("bs")
    return int(number) * _UNITS.get(unit, 1)
