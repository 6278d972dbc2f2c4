"""`redirect`: on to another address (RFC 5228 section 4.2).

The envelope sender is chosen here, from the settings, and recorded in the action:

- `sieve_redirect_envelope_from`: "sender" (default), "recipient", "orig_recipient",
  "user_email" or an address in angle brackets;
- `sieve_user_email`: the owner's address; without it the recipient's.

A null sender always stays null (a MUST of RFC 5228 section 4.2).
"""

from __future__ import annotations

from mailstack.sieve.actions import Action, Redirect
from mailstack.sieve.addresses import parse_script_address, split_envelope
from mailstack.sieve.check import CheckContext
from mailstack.sieve.commands.extlists import members
from mailstack.sieve.context import Context
from mailstack.sieve.control import SieveError
from mailstack.sieve.definition import STRING, Arg, CommandDef
from mailstack.sieve.program import Args, Block
from mailstack.sieve.syntax import CommandNode


def _validate(node: CommandNode, vctx: CheckContext) -> None:
    if node.get("list") is not None:
        return  # the name of a list (RFC 6134)
    for item in node.constants("address"):
        if parse_script_address(item.value) is None:
            vctx.error(item.pos, f"redirect: '{item.value[:80]}' is not an e-mail address")


def _run(ctx: Context, args: Args, block: Block | None) -> None:
    text = args.string("address")
    address = parse_script_address(text)
    if args.get("list"):
        for member in members(ctx, text):
            _add(ctx, args, member)
    elif address is None:
        raise SieveError(f"redirect: '{text[:80]}' is not an e-mail address")
    else:
        _add(ctx, args, address)


def _add(ctx: Context, args: Args, address: str) -> None:
    owner = _setting(ctx, "sieve_user_email")
    _refuse_own(ctx, address, owner)
    sender = envelope_from(ctx, "sieve_redirect_envelope_from")
    action = args.modified(Redirect(address, envelope_from=sender, redirected_from=owner))
    assert isinstance(action, Action)
    ctx.add_action(action)


def _refuse_own(ctx: Context, address: str, owner: str | None) -> None:
    """A redirect to the address the message came to would only come back (V3)."""
    for own in (owner, ctx.envelope.to, ctx.envelope.orig_to):
        known = split_envelope(own)
        if known is not None and known.text.lower() == address.lower():
            raise SieveError(f"redirect: {address} is the address this message came to")


def envelope_from(ctx: Context, setting: str) -> str | None:
    """The sender a setting wants; None: what is usual, also for the null sender."""
    wanted = _setting(ctx, setting)
    envelope = ctx.envelope
    sender = split_envelope(envelope.from_)
    if sender is None or not sender.text or not wanted:
        return None
    owner = _setting(ctx, "sieve_user_email") or envelope.to
    match wanted.lower():
        case "sender":
            return sender.text
        case "recipient":
            return envelope.to
        case "orig_recipient":
            return envelope.orig_to or envelope.to
        case "user_email":
            return owner
        case "<>":
            return ""
        case _:
            return parse_script_address(wanted) if wanted.startswith("<") else None


def _setting(ctx: Context, name: str) -> str | None:
    value = ctx.settings.get(name)
    return value.strip() or None if isinstance(value, str) else None


REDIRECT = CommandDef("redirect", "action", [Arg("address", STRING)], validate=_validate, run=_run)
