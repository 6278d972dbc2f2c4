"""The one configuration file: read, checked as a whole, and explained.

Every section is a frozen struct that lives in the package that uses it and knows
nothing of TOML.  Whatever is wrong is reported at once, each with its key, its line and
the nearest key that exists; nothing unknown is ever ignored.
"""

from __future__ import annotations

import difflib
import functools
import json
import os
import re
import socket
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, get_args

import msgspec

from mailstack.app.feedback_options import FeedbackOptions
from mailstack.app.mx_options import MxOptions
from mailstack.app.option_types import as_struct, type_words
from mailstack.app.options import ListenOptions, ServerOptions
from mailstack.app.paths import Paths
from mailstack.app.report_options import ReportOptions
from mailstack.app.toml_lines import find_lines, line_of
from mailstack.delivery.options import QueueOptions
from mailstack.delivery.security_options import OutboundTlsOptions
from mailstack.directory.options import AuthOptions
from mailstack.filters.authentication.options import DkimOptions
from mailstack.filters.options import FilterOptions
from mailstack.filters.sieve_options import SieveOptions
from mailstack.imap.options import ImapOptions
from mailstack.mailbox.options import MailboxOptions
from mailstack.managesieve.options import ManageSieveOptions
from mailstack.model.errors import ConfigError
from mailstack.net.clamd_options import ClamdOptions
from mailstack.net.dns_options import DnsOptions
from mailstack.net.proxy_options import ProxyOptions
from mailstack.net.tls_options import TlsOptions
from mailstack.pop3.options import Pop3Options
from mailstack.routing.options import RoutingOptions
from mailstack.smtp.lmtp_options import LmtpOptions
from mailstack.smtp.options import SmtpOptions
from mailstack.smtp.sending_options import SendingOptions
from mailstack.srs.options import SrsOptions
from mailstack.state.ban_options import BanOptions
from mailstack.state.containment_options import ContainmentOptions
from mailstack.state.forward_options import ForwardOptions

DEFAULT_FILE = Path("/etc/mailstack/mailstack.toml")
ENVIRONMENT = "MAILSTACK_CONFIG"
#: A configuration file is written by a person; more is a mistake.
MAX_FILE_OCTETS = 1_048_576
#: Numbers in a file; larger ones would not survive a float.
MAX_NUMBER = 2**53
_MAX_SHOWN = 60
#: What msgspec says about something inside a list of tables.
_IN_A_TABLE = re.compile(r"(?P<what>.*) - at `\$\[(?P<number>\d+)\](\.(?P<name>\w+))?[^`]*`\Z", re.DOTALL)

S = TypeVar("S", bound=msgspec.Struct)


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration; every key has a default."""

    server: ServerOptions = ServerOptions()
    listen: ListenOptions = ListenOptions()
    smtp: SmtpOptions = SmtpOptions()
    mx: MxOptions = MxOptions()
    sending: SendingOptions = SendingOptions()
    lmtp: LmtpOptions = LmtpOptions()
    proxy: ProxyOptions = ProxyOptions()
    imap: ImapOptions = ImapOptions()
    pop3: Pop3Options = Pop3Options()
    managesieve: ManageSieveOptions = ManageSieveOptions()
    mailbox: MailboxOptions = MailboxOptions()
    filter: FilterOptions = FilterOptions()
    feedback: FeedbackOptions = FeedbackOptions()
    clamd: ClamdOptions = ClamdOptions()
    sieve: SieveOptions = SieveOptions()
    dkim: DkimOptions = DkimOptions()
    routing: RoutingOptions = RoutingOptions()
    forwarding: ForwardOptions = ForwardOptions()
    queue: QueueOptions = QueueOptions()
    outbound_tls: OutboundTlsOptions = OutboundTlsOptions()
    dns: DnsOptions = DnsOptions()
    tls: TlsOptions = TlsOptions()
    srs: SrsOptions = SrsOptions()
    auth: AuthOptions = AuthOptions()
    bans: BanOptions = BanOptions()
    containment: ContainmentOptions = ContainmentOptions()
    reports: ReportOptions = ReportOptions()

    @property
    def paths(self) -> Paths:
        """Where everything lies."""
        state = Path(self.server.state_dir)
        return Paths(state=state, run=Path(self.server.run_dir) if self.server.run_dir else state / "run")

    @property
    def hostname(self) -> str:
        """Full name of this host, lower case; the system's when none is configured."""
        return self.server.hostname.lower() or _system_name()


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.  `line` counts from 1; 0 when it stands on no line."""

    key: str
    message: str
    line: int = 0


class ConfigProblems(ConfigError):
    """Everything that is wrong with a file.

    Attributes:
        file: the file as it was named.
        problems: in the order of their lines.
    """

    def __init__(self, file: Path, problems: tuple[Problem, ...]) -> None:
        super().__init__(problems[0].key, problems[0].message)
        self.file = file
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(self._one(problem) for problem in self.problems)

    def _one(self, problem: Problem) -> str:
        where = f"{self.file}:{problem.line}" if problem.line else f"{self.file}"
        return f"{where}: {problem.key}: {problem.message}" if problem.key else f"{where}: {problem.message}"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration and where it came from.

    Attributes:
        file: None when no file was read.
        lines: dotted key -> line, for the keys the file sets.
    """

    config: Config
    file: Path | None
    lines: Mapping[str, int]


def load_config(path: Path | None = None) -> Config:
    """The configuration; see `load`."""
    return load(path).config


def load(path: Path | None = None) -> Loaded:
    """Reads `path`, else the file MAILSTACK_CONFIG names, else the default file.

    A missing default file means defaults; a file that was named must exist.

    Raises:
        ConfigError: unreadable, not TOML, or wrong; all errors at once (ConfigProblems).
    """
    named = path or (Path(os.environ[ENVIRONMENT]) if os.environ.get(ENVIRONMENT) else None)
    file = named or DEFAULT_FILE
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_FILE_OCTETS + 1)
    except FileNotFoundError:
        if named is None:
            return Loaded(Config(), None, {})
        raise _one_problem(file, "the file does not exist") from None
    except OSError as error:
        raise _one_problem(file, f"cannot be read: {error.strerror}") from error
    config, lines = parse(data, file)
    return Loaded(config, file, lines)


def parse(data: bytes, file: Path = DEFAULT_FILE) -> tuple[Config, dict[str, int]]:
    """The configuration in the octets of a file, and the lines of its keys.

    Raises:
        ConfigProblems: everything that is wrong.
    """
    if len(data) > MAX_FILE_OCTETS:
        raise _one_problem(file, f"larger than {MAX_FILE_OCTETS} octets")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _one_problem(file, "not UTF-8", line) from None
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _one_problem(file, f"not TOML: {error}", _line_in(str(error), text)) from None
    except RecursionError:
        raise _one_problem(file, "not TOML: nested too deeply") from None
    lines = find_lines(text.replace("\r\n", "\n"))
    problems: list[Problem] = []
    config = _build(Config, document, "", problems)
    if problems:
        placed = [Problem(p.key, p.message, line_of(lines, p.key)) for p in problems]
        raise ConfigProblems(file, tuple(sorted(placed, key=lambda p: p.line)))
    return config, {key: line for key, line in lines.items() if _is_set(document, key)}


def settings(config: msgspec.Struct, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Every key of the configuration with its value, as (dotted key, value), in file order."""
    for name in config.__struct_fields__:
        value = getattr(config, name)
        if isinstance(value, msgspec.Struct):
            yield from settings(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def known_keys(kind: type[msgspec.Struct] = Config, prefix: str = "") -> list[str]:
    """Every dotted key there is."""
    return [key for key, _ in settings(kind(), prefix)]


# -- checking -----------------------------------------------------------------------


def _build(kind: type[S], table: Mapping[str, object], prefix: str, problems: list[Problem]) -> S:
    """The struct of a table; what is wrong goes to `problems` and keeps its default."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    values: dict[str, object] = {}
    for key, raw in table.items():
        path = f"{prefix}{key}"
        field = fields.get(key)
        if field is None:
            problems.append(Problem(path, _unknown(path, prefix, list(fields))))
        elif (section := as_struct(field.type)) is None:
            try:
                _check_numbers(raw)
                values[field.name] = msgspec.convert(raw, field.type)
            except msgspec.ValidationError as error:
                problems.append(Problem(path, _type_problem(field.type, str(error), raw)))
            except ValueError as error:
                problems.append(Problem(path, f"{error}, not {_shown(raw)}"))
            except ConfigError as error:
                problems.append(Problem(error.key or path, error.message))
        elif isinstance(raw, dict):
            values[field.name] = _build(section, raw, f"{path}.", problems)
        else:
            problems.append(Problem(path, f"is a section: write [{path}]"))
    return _check(kind, values, prefix, problems)


def _check(kind: type[S], values: dict[str, object], prefix: str, problems: list[Problem]) -> S:
    """Makes the struct; a key its own check refuses is noted and put back, until none is."""
    while True:
        try:
            return kind(**values)
        except ConfigError as error:
            problems.append(Problem(error.key, error.message))
            culprit = error.key.removeprefix(prefix).partition(".")[0]
            if values.pop(culprit, None) is None:
                return kind()


def _unknown(path: str, prefix: str, names: list[str]) -> str:
    if not prefix:
        near = difflib.get_close_matches(path, names, 1, 0.0)
        return f"no such section; the nearest is {near[0]}"
    last = path.removeprefix(prefix)
    elsewhere = [key for key in known_keys() if key.rpartition(".")[2] == last]
    if elsewhere:
        return f"no such key; did you mean {elsewhere[0]}?"
    here = difflib.get_close_matches(last, names, 1, 0.6)
    near = [f"{prefix}{here[0]}"] if here else difflib.get_close_matches(path, known_keys(), 1, 0.0)
    return f"no such key; the nearest is {near[0]}"


def _check_numbers(raw: object) -> None:
    """Refuses what no option can mean.

    Raises:
        ValueError: a number that is negative, infinite, not a number or beyond 2^53.
    """
    if isinstance(raw, list):
        for item in raw:
            _check_numbers(item)
    elif isinstance(raw, int | float) and not 0 <= raw <= MAX_NUMBER:
        raise ValueError(f"want a number from 0 to {MAX_NUMBER}")


def _type_problem(kind: object, error: str, raw: object) -> str:
    inner = next(filter(None, map(as_struct, get_args(kind))), None)
    place = _IN_A_TABLE.match(error)
    if inner is not None and isinstance(raw, dict):  # not shown: it may hold a password
        return f"want {type_words(kind)}: write its name in two pairs of brackets, [[...]]"
    if inner is None or place is None or not isinstance(raw, list):
        return f"want {type_words(kind)}, not {_shown(raw)}"
    number, name = int(place["number"]), place["name"]
    if not isinstance(raw[number], dict):
        return f"want {type_words(kind)}, not {_shown(raw)}"
    if not name:  # a key that is missing or unknown
        what = place["what"].replace("Object ", "").replace("`", "").replace("field", "key")
        return f"table {number + 1}: {what}"
    wanted = next(field.type for field in msgspec.structs.fields(inner) if field.encode_name == name)
    return f"table {number + 1}: {name}: want {type_words(wanted)}, not {_shown(raw[number][name])}"


def _shown(raw: object) -> str:
    text = json.dumps(raw, ensure_ascii=False, default=str)
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "..."


def _one_problem(file: Path, message: str, line: int = 0) -> ConfigProblems:
    return ConfigProblems(file, (Problem("", message, line),))


def _line_in(message: str, text: str) -> int:
    """The line tomllib names; the last one when it says "at end of document"."""
    _, found, rest = message.rpartition("(at line ")
    number = rest.partition(",")[0]
    return int(number) if found and number.isdigit() else text.count("\n") + 1


def _is_set(document: Mapping[str, object], key: str) -> bool:
    value: object = document
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            return False
        value = value[part]
    return True


@functools.cache
def _system_name() -> str:
    name = socket.gethostname()
    return (name if "." in name else socket.getfqdn()).lower()
