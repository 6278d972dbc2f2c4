"""Tokens into a syntax tree; after a mistake it goes on with the next statement.

One mistake gives one error.  Where a statement breaks, tokens are skipped up to its
semicolon; a block met on the way is parsed all the same, so that mistakes inside it
are found in the same run.

Standards: RFC 5228 section 8.2.  Imports: nothing.  No I/O.
"""

from __future__ import annotations

from collections.abc import Iterable

from mailstack.sieve.diagnostic import Position, TooManyErrors
from mailstack.sieve.lexer import Kind, Report, Token
from mailstack.sieve.limits import Limits
from mailstack.sieve.syntax import CommandNode, ListNode, NumberNode, StringNode, TagNode


class _Broken(Exception):
    """This statement cannot be understood; the error has been reported."""


class Parser:
    """Parses one script; recursion is bounded by the depth limits."""

    def __init__(self, tokens: Iterable[Token], report: Report, limits: Limits) -> None:
        self._tokens = iter(tokens)
        self._report = report
        self._limits = limits
        self._commands = 0
        self._tests = 0
        self._last_end = Position(1, 1)
        # The lexer has said why the script ends early: no more complaints about the end.
        self._cut_short = False
        self._token = next(self._tokens)

    def parse(self) -> list[CommandNode]:
        """The commands of the outermost block.

        Raises:
            TooManyErrors: there are more commands, tests or errors than anybody wants to read.
        """
        nodes = self._commands_until_close(depth=0)
        while self._token.kind is not Kind.END:
            self._report(self._token.pos, "there is no open block that this '}' could close")
            self._next()
            nodes += self._commands_until_close(depth=0)
        return nodes

    # -- tokens ---------------------------------------------------------------

    def _next(self) -> Token:
        token = self._token
        if token.kind is not Kind.END:
            self._last_end = token.end
            self._token = next(self._tokens)
        return token

    def _at(self, mark: str) -> bool:
        return self._token.kind is Kind.PUNCTUATION and self._token.value == mark

    def _found(self) -> str:
        """The current token in words, for "but found ..."."""
        token = self._token
        match token.kind:
            case Kind.END:
                return "the end of the script"
            case Kind.STRING:
                return "a string"
            case Kind.NUMBER:
                return "a number"
            case Kind.TAG:
                return f"the tag ':{token.value[:40]}'"
            case Kind.GARBAGE:
                return f"unknown characters '{token.value[:20]}'"
            case _:
                return f"'{token.value[:40]}'"

    def _break(self, message: str) -> _Broken:
        """Reports at the current token, unless the lexer has already said all there is."""
        if self._token.kind is Kind.GARBAGE and not self._token.value:
            self._cut_short = True
        if not (self._cut_short and self._token.kind in (Kind.GARBAGE, Kind.END)):
            self._report(self._token.pos, f"{message}, but found {self._found()}")
        return _Broken()

    # -- commands -------------------------------------------------------------

    def _commands_until_close(self, depth: int) -> list[CommandNode]:
        nodes: list[CommandNode] = []
        while self._token.kind is not Kind.END and not self._at("}"):
            if self._token.kind is Kind.IDENTIFIER:
                nodes.append(self._command(depth))
            elif self._at(";"):
                self._report(self._token.pos, "there is no command before this ';'")
                self._next()
            else:
                self._break("expected a command")
                stray = CommandNode("", self._token.pos, self._token.pos, depth, broken=True)
                self._recover(stray, depth)
                nodes.append(stray)
        return nodes

    def _command(self, depth: int) -> CommandNode:
        name = self._next()
        node = CommandNode(name.value, name.pos, name.end, depth)
        self._commands += 1
        if self._commands > self._limits.max_commands:
            self._report(name.pos, f"the script has more than {self._limits.max_commands} commands")
            raise TooManyErrors
        try:
            self._arguments(node, test_depth=0)
            if self._at("{"):
                self._block(node, depth)
            elif self._at(";"):
                self._next()
            else:
                self._missing_semicolon(node)
        except _Broken:
            node.broken = True
            self._recover(node, depth)
        return node

    def _missing_semicolon(self, node: CommandNode) -> None:
        if self._at("}") or (self._token.kind is Kind.END and not self._cut_short):
            self._report(self._last_end, f"missing semicolon after the {node.name} command")
            return
        raise self._break(f"expected ';' or a block after the {node.name} command")

    def _block(self, node: CommandNode, depth: int) -> None:
        opened = self._token.pos
        if depth >= self._limits.max_block_depth:
            self._report(opened, f"blocks are nested more than {self._limits.max_block_depth} levels deep")
            node.broken = True
            self._skip_block()
            return
        self._next()
        node.block = self._commands_until_close(depth + 1)
        if self._at("}"):
            self._next()
        elif not self._cut_short:
            self._report(opened, "the block that begins here is never closed by '}'")
            self._cut_short = True

    def _skip_block(self) -> None:
        open_blocks = 0
        while self._token.kind is not Kind.END:
            if self._at("{"):
                open_blocks += 1
            elif self._at("}"):
                open_blocks -= 1
            self._next()
            if open_blocks == 0:
                return

    def _recover(self, node: CommandNode, depth: int) -> None:
        """Skips to the end of a statement; parses its block if it has one."""
        while self._token.kind is not Kind.END and not self._at("}"):
            if self._at("{"):
                self._block(node, depth)
                return
            if self._next()[:2] == (Kind.PUNCTUATION, ";"):
                return

    # -- arguments and tests --------------------------------------------------

    def _arguments(self, node: CommandNode, test_depth: int) -> None:
        while True:
            token = self._token
            match token.kind:
                case Kind.TAG:
                    node.arguments.append(TagNode(":" + token.value, token.pos))
                case Kind.NUMBER:
                    node.arguments.append(NumberNode(token.number, token.pos))
                case Kind.STRING:
                    node.arguments.append(StringNode(token.value, token.pos))
                case Kind.PUNCTUATION if token.value == "[":
                    node.arguments.append(self._string_list())
                    continue
                case _:
                    break
            self._next()
        node.end = self._last_end
        if self._token.kind is Kind.IDENTIFIER:
            node.tests.append(self._test(test_depth + 1))
        elif self._at("("):
            self._test_list(node, test_depth + 1)

    def _string_list(self) -> ListNode:
        node = ListNode([], self._next().pos)
        while not (node.items and self._at("]")):
            if self._token.kind is not Kind.STRING:
                raise self._break("expected a string in the string list")
            token = self._next()
            node.items.append(StringNode(token.value, token.pos))
            if self._at(","):
                self._next()
                if self._at("]"):
                    self._report(self._token.pos, "expected a string after ',' in the string list")
            elif not self._at("]"):
                raise self._break("expected ',' or ']' in the string list")
        self._next()
        return node

    def _test_list(self, node: CommandNode, depth: int) -> None:
        self._next()
        node.tests_listed = True
        while True:
            if self._at(")") and node.tests:
                self._report(self._token.pos, "expected a test after ',' in the test list")
                break
            if self._token.kind is not Kind.IDENTIFIER:
                raise self._break("expected a test in the test list")
            node.tests.append(self._test(depth))
            if not self._at(","):
                break
            self._next()
        if not self._at(")"):
            raise self._break("expected ',' or ')' in the test list")
        self._next()

    def _test(self, depth: int) -> CommandNode:
        if depth > self._limits.max_test_depth:
            self._report(
                self._token.pos, f"tests are nested more than {self._limits.max_test_depth} levels deep"
            )
            raise _Broken
        self._tests += 1
        if self._tests > self._limits.max_tests:
            self._report(self._token.pos, f"the script has more than {self._limits.max_tests} tests")
            raise TooManyErrors
        name = self._next()
        node = CommandNode(name.value, name.pos, name.end, depth)
        self._arguments(node, depth)
        return node
