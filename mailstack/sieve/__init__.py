"""The Sieve engine (RFC 5228): compile, run, result, execute.  Pure; a library others can embed.

    result = compile(source)
    ctx = Context(Message.from_bytes(octets), Envelope("a@example.org", "b@example.net"))
    outcome = run(result.script, ctx)
    execute(ctx.result, ctx.message, ctx.envelope, store, sender)

How to add commands from outside: docs/sieve.md.
"""

from __future__ import annotations

from mailstack.sieve.actions import (
    Action,
    Discard,
    FileInto,
    Keep,
    Notify,
    Redirect,
    Reject,
    Vacation,
)
from mailstack.sieve.cache import ScriptCache
from mailstack.sieve.check import CheckContext
from mailstack.sieve.compiler import CompileResult, check_upload, compile  # noqa: A004
from mailstack.sieve.compose import Letterhead, redirect_loop
from mailstack.sieve.context import Context, Envelope
from mailstack.sieve.control import ControlFlow, LimitReached, SieveError, Stop
from mailstack.sieve.definition import (
    ADDRESS_PART_TAGS,
    COMPARATOR_TAG,
    MATCH_TAGS,
    NUMBER,
    STRING,
    STRING_LIST,
    TEST,
    Arg,
    CommandDef,
    Extension,
    Tag,
)
from mailstack.sieve.diagnostic import Diagnostic, Position
from mailstack.sieve.execute import ExecOutcome, ExecuteOptions, execute
from mailstack.sieve.imap_events import Cause, EventOutcome, ImapEvent, run_event
from mailstack.sieve.interpreter import RunOutcome, run
from mailstack.sieve.limits import FREE, NORMAL, Limits
from mailstack.sieve.match import FILLER, AddressPart, Comparator, MatchType
from mailstack.sieve.message import Message, Snapshot
from mailstack.sieve.parts import MimePart
from mailstack.sieve.program import Args, Block, Script
from mailstack.sieve.registry import Registry
from mailstack.sieve.result import Result
from mailstack.sieve.variables import Variables

__all__ = [
    "ADDRESS_PART_TAGS",
    "COMPARATOR_TAG",
    "FILLER",
    "FREE",
    "MATCH_TAGS",
    "NORMAL",
    "NUMBER",
    "STRING",
    "STRING_LIST",
    "TEST",
    "Action",
    "AddressPart",
    "Arg",
    "Args",
    "Block",
    "Cause",
    "CheckContext",
    "CommandDef",
    "Comparator",
    "CompileResult",
    "Context",
    "ControlFlow",
    "Diagnostic",
    "Discard",
    "Envelope",
    "EventOutcome",
    "ExecOutcome",
    "ExecuteOptions",
    "Extension",
    "FileInto",
    "ImapEvent",
    "Keep",
    "Letterhead",
    "LimitReached",
    "Limits",
    "MatchType",
    "Message",
    "MimePart",
    "Notify",
    "Position",
    "Redirect",
    "Registry",
    "Reject",
    "Result",
    "RunOutcome",
    "Script",
    "ScriptCache",
    "SieveError",
    "Snapshot",
    "Stop",
    "Tag",
    "Vacation",
    "Variables",
    "check_upload",
    "compile",
    "execute",
    "redirect_loop",
    "run",
    "run_event",
]
