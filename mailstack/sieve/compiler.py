"""`compile`: source to script, with every mistake found on the way.

Standards: RFC 5228 sections 2.10.5 to 2.10.7 and 8.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from mailstack.sieve import lexer
from mailstack.sieve.build import Builder
from mailstack.sieve.check import CheckContext, Checker
from mailstack.sieve.context import Storage
from mailstack.sieve.diagnostic import Diagnostic, Diagnostics, TooManyErrors
from mailstack.sieve.limits import Limits, configured
from mailstack.sieve.parser import Parser
from mailstack.sieve.program import Script
from mailstack.sieve.registry import Registry
from mailstack.sieve.scope import Scope


@dataclass(frozen=True, slots=True)
class CompileResult:
    """What came of a source.

    Attributes:
        script: None when there are errors.
        errors: in the order of the source, at most `limits.max_errors`.
    """

    script: Script | None
    errors: list[Diagnostic] = field(default_factory=list)
    warnings: list[Diagnostic] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """True when there is a script to run."""
        return self.script is not None


def compile(  # noqa: A001  the library's word for it, as in `re.compile`
    source: bytes | str,
    *,
    registry: Registry | None = None,
    path: str | None = None,
    storage: Storage | None = None,
    settings: Mapping[str, object] | None = None,
    limits: Limits | None = None,
    is_upload: bool = False,
) -> CompileResult:
    """Compiles a script; never raises, whatever the source.

    Args:
        source: UTF-8; line ends CRLF or LF.
        registry: what may be required; None: `Registry.standard()`.
        path: name of the script, for messages and for commands that load files beside it.
        storage: where `include`-like commands find scripts.
        settings: for `validate` of commands, as `vctx.settings`.
        limits: bounds of the script; None: those of a normal account.
        is_upload: the script is checked to be stored: that what it includes is missing is a
            warning, and nothing included is compiled (RFC 6609 section 3.2).
    """
    limits = configured(limits or Limits(), settings or {})
    diagnostics = Diagnostics(limits.max_errors)
    script = None
    try:
        registry = Registry.standard() if registry is None else registry
        context = CheckContext(
            registry,
            Scope(registry),
            diagnostics,
            limits,
            path,
            script_dir=_folder(path),
            storage=storage,
            settings=MappingProxyType({}) if settings is None else settings,
            includes=(path,) if path else (),
            files=[path or ""],
            is_upload=is_upload,
            compile_nested=_compile_nested,
        )
        script = _compile(source, context)
    except TooManyErrors:
        pass
    except RecursionError:
        # Nesting is bounded; only a caller who is deep in recursion himself gets here.
        diagnostics.errors.append(Diagnostic(1, 1, "the script is nested too deeply to be read here", path))
    errors = sorted(diagnostics.errors, key=lambda one: (one.line, one.column))
    return CompileResult(None if errors else script, errors, diagnostics.warnings)


def check_upload(source: bytes, result: CompileResult) -> list[Diagnostic]:
    """Why a script may not be stored: its errors, and line ends of both kinds in one file.

    A script that lies here already and mixes line ends runs; a new one is refused, because
    another program may see other lines in it than we do.

    Args:
        result: what `compile` made of it.
    """
    if result.errors:
        return result.errors
    mixed = lexer.first_mixed_line_end(source.decode("utf-8", "replace"))
    if mixed is None:
        return []
    return [Diagnostic(*mixed, "the script mixes CRLF and LF line ends; use one of them", None)]


def _compile(source: bytes | str, context: CheckContext) -> Script | None:
    octets = source if isinstance(source, bytes) else source.encode("utf-8", "surrogatepass")
    limits = context.limits
    if len(octets) > limits.max_script_octets:
        text = octets[: limits.max_script_octets].decode("utf-8", "ignore")
        pos = lexer.place(text, len(text))
        context.error(pos, f"the script is longer than {limits.max_script_octets} octets")
        return None
    text = lexer.decode(source, context.error)
    nodes = Parser(lexer.Lexer(text, context.error, limits.max_string_octets), context.error, limits).parse()
    nodes = Checker(context).check(nodes)
    for check in context.at_end:
        check()
    if context.diagnostics.errors:
        return None
    block = Builder(context.scope, context.path).block(nodes)
    enabled = frozenset(name for name in context.scope.enabled if name)
    return Script(block, enabled, context.path, hashlib.sha256(octets).hexdigest())


def _compile_nested(source: bytes | str, path: str | None, parent: CheckContext) -> Script | None:
    """An included script; its errors go to the parent's list under its own path."""
    limits, name = parent.limits, path or ""
    pos = (1, 1)
    if name in parent.includes:
        parent.diagnostics.error(pos, "the script includes itself", name)
        return None
    if len(parent.includes) > limits.max_include_depth:
        parent.diagnostics.error(pos, f"scripts are included more than {limits.max_include_depth} deep", name)
        return None
    if len(parent.files) > limits.max_include_files:
        parent.diagnostics.error(pos, f"more than {limits.max_include_files} scripts are included", name)
        return None
    parent.included_octets.append(len(source))
    if sum(parent.included_octets) > limits.max_include_octets:
        text = f"the included scripts have more than {limits.max_include_octets} octets together"
        parent.diagnostics.error(pos, text, name)
        return None
    parent.files.append(name)
    context = CheckContext(
        parent.registry,
        Scope(parent.registry),
        parent.diagnostics,
        limits,
        path,
        script_dir=parent.script_dir,
        storage=parent.storage,
        settings=parent.settings,
        includes=(*parent.includes, name),
        files=parent.files,
        included_octets=parent.included_octets,
        compiled=parent.compiled,
        compile_nested=_compile_nested,
    )
    before = len(parent.diagnostics.errors)
    script = _compile(source, context)
    return script if len(parent.diagnostics.errors) == before else None


def _folder(path: str | None) -> str:
    return (path or "").rpartition("/")[0]
