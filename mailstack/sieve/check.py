"""A syntax tree against the definitions in scope: one pass, every mistake reported once.

Wording: each message names the command and says what was expected and what was found.

Standards: RFC 5228 sections 2.6, 2.7, 2.10.5 and 3.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mailstack.sieve import arguments, variables
from mailstack.sieve.definition import CommandDef, Tag, Validate
from mailstack.sieve.diagnostic import Diagnostics, Position, TooManyErrors
from mailstack.sieve.glob import MAX_CAPTURES
from mailstack.sieve.limits import Limits
from mailstack.sieve.registry import Registry
from mailstack.sieve.scope import Scope
from mailstack.sieve.syntax import CommandNode, StringNode

if TYPE_CHECKING:
    from mailstack.sieve.context import Storage
    from mailstack.sieve.program import Script

#: Compiles an included script: (source, path, parent) -> Script or None.
CompileNested = Callable[["bytes | str", "str | None", "CheckContext"], "Script | None"]


@dataclass
class CheckContext:
    """What `validate` gets as `vctx`; commands may hang compile-time state on it.

    Attributes:
        script_dir: folder of `path`, "" when it has none; a command may change it for
            those after it.
        includes: names of the scripts being compiled, outermost first.
        files: scripts compiled so far, this one included; shared by all of them.
        included_octets: sizes of those that were included; shared too.
        compiled: those that were compiled well; shared too.
        enclosing: commands whose blocks are being checked, outermost first.
        at_end: checks to make when the whole script has been read.
        own_names: variables this script has set before it named any global.
        is_upload: it is checked to be stored, not to be run: what it includes may come later.
    """

    registry: Registry
    scope: Scope
    diagnostics: Diagnostics
    limits: Limits
    path: str | None = None
    script_dir: str = ""
    storage: Storage | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    includes: tuple[str, ...] = ()
    files: list[str] = field(default_factory=list)
    included_octets: list[int] = field(default_factory=list)
    compiled: dict[str, Script] = field(default_factory=dict)
    enclosing: list[CommandNode] = field(default_factory=list)
    at_end: list[Callable[[], object]] = field(default_factory=list)
    own_names: set[str] = field(default_factory=set)
    is_upload: bool = False
    compile_nested: CompileNested | None = None

    def error(self, pos: tuple[int, int], text: str) -> None:
        """Reports a mistake; the script will not run."""
        self.diagnostics.error(pos, text, self.path)

    def warning(self, pos: tuple[int, int], text: str) -> None:
        """Reports something odd that does no harm."""
        self.diagnostics.warning(pos, text, self.path)

    def is_enabled(self, name: str) -> bool:
        """True when the script has required that extension."""
        return name in self.scope.enabled

    def compile_script(self, source: bytes | str, path: str) -> Script | None:
        """Compiles another script, as `include` needs it; its mistakes join ours.

        Returns:
            None when it has mistakes, includes itself, or too many are nested; reported.
        """
        script = self.compiled.get(path)
        if script is None:
            assert self.compile_nested is not None
            script = self.compile_nested(source, path, self)
            if script is not None:
                self.compiled[path] = script
        return script


class Checker:
    """Checks one script."""

    def __init__(self, context: CheckContext) -> None:
        self.context = context
        self.scope = context.scope
        self._reported: set[tuple[str, str]] = set()
        self._tags: dict[tuple[str, str], Mapping[str, Tag]] = {}
        self._tags_for = -1

    def check(self, nodes: list[CommandNode]) -> list[CommandNode]:
        """Checks a block and all in it; gives its commands with missing semicolons put right."""
        checked: list[CommandNode] = []
        previous: CommandNode | None = None
        # One by one: what a require brings counts for those after it.
        for node in (part for whole in nodes for part in self._split(whole)):
            node.previous = previous
            if not self._is_idle(node):
                self._command(node)
                if node.block is not None:
                    # RFC 5463 section 4: what cannot run need not be understood.
                    node.block = [] if node.truth is False else self._check_block(node, node.block)
                checked.append(node)
            previous = node
        return checked

    def _check_block(self, node: CommandNode, block: list[CommandNode]) -> list[CommandNode]:
        self.context.enclosing.append(node)
        checked = self.check(block)
        self.context.enclosing.pop()
        return checked

    def _is_idle(self, node: CommandNode) -> bool:
        """True for a link of a chain that comes after one known to be taken."""
        definition, previous = self.scope.commands.get(node.name), node.previous
        if definition is None or previous is None or previous.name not in definition.after:
            return False
        node.settled = previous.settled
        return previous.settled

    # -- commands -------------------------------------------------------------

    def _split(self, node: CommandNode) -> list[CommandNode]:
        """`keep` newline `stop;` looks like a test of `keep`: then two commands."""
        parts = [node]
        definition = self.scope.commands.get(node.name)
        while definition is not None and self._swallowed(node, definition):
            inner = node.tests[0]
            self.context.error(node.end, f"missing semicolon after the {definition.words}")
            inner.broken = node.broken
            node.tests, node.broken = [], False
            definition = self.scope.commands.get(inner.name)
            if definition is None:
                node.block = None
                break
            inner.block, node.block, inner.depth = node.block, None, node.depth
            node = inner
            parts.append(node)
        return parts

    def _swallowed(self, node: CommandNode, definition: CommandDef) -> bool:
        if definition.subtests != 0 or definition.block != "forbidden" or node.tests_listed:
            return False
        if len(node.tests) != 1 or ":" + node.tests[0].name in self.tags_of(definition):
            return False
        name = node.tests[0].name
        on_new_line = node.tests[0].pos.line > node.end.line
        return name not in self.scope.tests or (on_new_line and name in self.scope.commands)

    def _command(self, node: CommandNode) -> None:
        definition = self.scope.commands.get(node.name)
        if definition is None:
            if node.name:
                self._unknown(node, test=False)
            return
        node.definition = definition
        self._placement(node, definition)
        if node.broken:
            # A require that cannot be read may have brought anything.
            self.scope.has_unknown |= node.name == "require"
            return
        fine = self._parts(node, definition)
        if definition.block == "required" and node.block is None and fine:
            fine = self._error(node.pos, f"the {definition.words} requires a block in braces, but has none")
        elif definition.block == "forbidden" and node.block is not None:
            fine = self._error(node.pos, f"the {definition.words} accepts no block in braces")
        if fine:
            self._validate(node, definition)
        if definition.block == "required" and len(node.tests) == 1:
            node.truth = node.tests[0].truth
            node.settled |= node.truth is True

    def _placement(self, node: CommandNode, definition: CommandDef) -> None:
        previous = node.previous
        if not definition.after or (previous is not None and previous.name in definition.after):
            return
        if previous is not None and not previous.name:  # a statement nobody could read
            return
        names = " or ".join(f"'{name}'" for name in sorted(definition.after, reverse=True))
        self.context.error(node.pos, f"the {definition.words} must follow {names}")

    def _test(self, node: CommandNode) -> bool:
        definition = self.scope.tests.get(node.name)
        if definition is None:
            return self._unknown(node, test=True)
        node.definition = definition
        if not self._parts(node, definition) or not self._validate(node, definition):
            return False
        if definition.truth is not None:
            node.truth = definition.truth(node, self.context)
        return True

    def _parts(self, node: CommandNode, definition: CommandDef) -> bool:
        """Arguments and sub-tests."""
        before = len(self.context.diagnostics.errors)
        bound = arguments.bind(self, node, definition)
        self._subtests(node, definition, complain=bound)
        return bound and len(self.context.diagnostics.errors) == before

    def _validate(self, node: CommandNode, definition: CommandDef) -> bool:
        before = len(self.context.diagnostics.errors)
        for check in self._checks(node, definition):
            try:
                check(node, self.context)
            except TooManyErrors:
                raise
            except Exception as error:  # whatever an embedder's check may raise
                self.context.error(
                    node.pos, f"the {definition.words} could not be checked: {type(error).__name__}: {error}"
                )
        return len(self.context.diagnostics.errors) == before

    def _checks(self, node: CommandNode, definition: CommandDef) -> Iterator[Validate]:
        """The command's own check, and those of the tags given."""
        if definition.validate is not None:
            yield definition.validate
        for tag in self.tags_of(definition).values():
            if tag.validate is not None and tag.key in node.bound:
                yield tag.validate

    # -- sub-tests ------------------------------------------------------------

    def _subtests(self, node: CommandNode, definition: CommandDef, *, complain: bool) -> None:
        if definition.subtests == 0:
            if node.tests:
                self._spurious_tests(node, definition, complain=complain)
            return
        words = definition.words
        if definition.subtests == "many":
            if not node.tests_listed:
                self.context.error(node.pos, f"the {words} requires a list of tests in parentheses")
        elif not node.tests:
            self.context.error(node.pos, f"the {words} requires one test, but none is specified")
        elif node.tests_listed:
            self.context.error(
                node.pos, f"the {words} requires one test, but a list is specified; use anyof or allof"
            )
        for number, test in enumerate(node.tests, 1):
            self._test(test)
            if test.truth is not None and test.truth is definition.settled_by:
                del node.tests[number:]
                break

    def _spurious_tests(self, node: CommandNode, definition: CommandDef, *, complain: bool) -> None:
        first = node.tests[0]
        if not node.tests_listed and ":" + first.name in self.tags_of(definition):
            self.context.error(
                first.pos, f"missing colon ':' before '{first.name}' tag for the {definition.words}"
            )
            return
        if not complain:
            # `fileinto true;`: the missing argument has been reported, and that is the mistake.
            return
        if definition.kind == "test" and first.name in self.scope.commands:
            self.context.error(
                first.pos, f"expected a block in braces, but found the {first.name} command without them"
            )
            return
        many = "one is" if len(node.tests) == 1 and definition.kind == "test" else "tests are"
        hint = "; write 'elsif' for 'else if'" if (node.name, first.name) == ("else", "if") else ""
        self.context.error(
            first.pos, f"the {definition.words} accepts no sub-tests, but {many} specified{hint}"
        )

    # -- what is not there ----------------------------------------------------

    def _unknown(self, node: CommandNode, *, test: bool) -> bool:
        kind = "test" if test else "command"
        other = self.scope.commands if test else self.scope.tests
        if node.name in other:
            words = ("command", "test") if test else ("test", "command")
            return self._error(node.pos, f"attempted to use {words[0]} '{node.name}' as a {words[1]}")
        if self.scope.has_unknown or (kind, node.name) in self._reported:
            return False
        self._reported.add((kind, node.name))
        extension = self.scope_has(node.name, test=test)
        if extension:
            text = f'the {node.name} {kind} is not available: the script must require "{extension}"'
        else:
            text = f"unknown {kind} '{node.name[:60]}'" + self._hint(node.name, test=test)
        return self._error(node.pos, text + " (only reported once)")

    def scope_has(self, name: str, *, test: bool) -> str | None:
        """The extension that would bring it."""
        return self.scope.who_has(name, test=test)

    def _hint(self, name: str, *, test: bool) -> str:
        names = self.scope.tests if test else self.scope.commands
        near = difflib.get_close_matches(name[:60], names, 1, 0.75)
        return f"; did you mean '{near[0]}'?" if near else ""

    def unknown_tag(self, pos: Position, tag: str, definition: CommandDef) -> None:
        """Reports a tag the definition does not have, once."""
        if self.scope.has_unknown or (definition.words, tag) in self._reported:
            return
        self._reported.add((definition.words, tag))
        extension = self.scope.who_has_tag(definition.name, tag)
        need = f'; the script must require "{extension}"' if extension else ""
        self.context.error(
            pos, f"unknown tagged argument '{tag[:60]}' for the {definition.words}{need} (only reported once)"
        )

    # -- tables ---------------------------------------------------------------

    def tags_of(self, definition: CommandDef) -> Mapping[str, Tag]:
        """All tags a definition has in this scope, by name."""
        if self._tags_for != len(self.scope.enabled):
            self._tags.clear()
            self._tags_for = len(self.scope.enabled)
        key = (definition.kind, definition.name)
        tags = self._tags.get(key)
        if tags is None:
            tags = self._tags[key] = self.scope.tags_of(definition)
        return tags

    def read_string(self, item: StringNode) -> bool:
        """Applies the string filters; gives False when the string holds a variable."""
        for string_filter in self.scope.string_filters:
            if "${" in item.value:
                item.value = string_filter(item.value, lambda text: self.context.error(item.pos, text))
        if not self.scope.expands_variables or not variables.has_references(item.value):
            return True
        for namespace, name in variables.references(item.value):
            if name.isdecimal() and not namespace and int(name[-9:]) > MAX_CAPTURES:
                self.context.error(item.pos, f"there are no match variables beyond ${{{MAX_CAPTURES}}}")
            read, _ = variables.find_namespace(namespace, name, self.scope.namespaces)
            if namespace and read is None and not self.scope.has_unknown:
                self.context.error(item.pos, f"unknown variable namespace '{namespace[:60]}'")
        return False

    def _error(self, pos: Position, text: str) -> bool:
        self.context.error(pos, text)
        return False
