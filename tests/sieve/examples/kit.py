"""Runs the scripts RFCs give as examples; what a script decides is told in short words."""

from __future__ import annotations

from mailstack.sieve import (
    Context,
    Envelope,
    FileInto,
    Keep,
    Message,
    Notify,
    Redirect,
    Reject,
    Vacation,
    run,
)
from mailstack.sieve.actions import Action
from tests.sieve.kit import script_of


def mail(*fields: str, body: str = "Body.\r\n") -> bytes:
    """A message of these fields."""
    return ("".join(f"{field}\r\n" for field in fields) + "\r\n" + body).encode()


def decided(source: str, message: bytes, **options: object) -> list[str]:
    """What a script decides, such as "fileinto Lists [\\Seen]" or "redirect a@b.example"."""
    context = context_for(message, **options)
    outcome = run(script_of(source, storage=context.storage), context)
    assert outcome.ok, outcome.errors
    words = [_words(action).replace("\r\n", "\n") for action in context.result.actions]
    if context.result.implicit_keep:
        words.append(f"implicit keep{_flags(context.result.flags)}")
    return words


def context_for(
    message: bytes,
    *,
    from_: str = "sender@example.org",
    to: str = "me@example.net",
    spam: float | None = None,
    virus: float | None = None,
    envelope: dict[str, str] | None = None,
    **options: object,
) -> Context:
    context = Context(
        Message.from_bytes(message),
        Envelope(from_, to, **(envelope or {})),
        **options,  # type: ignore[arg-type]
    )
    context.spam, context.virus = spam, virus
    return context


def _flags(flags: object) -> str:
    return f" [{' '.join(flags)}]" if isinstance(flags, tuple | list) and flags else ""


def _words(action: Action) -> str:
    match action:
        case FileInto():
            marks = f"{' copy' if action.copy else ''}{' create' if action.create else ''}"
            use = f" {action.special_use}" if action.special_use else ""
            return f"fileinto {action.mailbox}{marks}{use}{_flags(action.flags)}"
        case Keep():
            return f"keep{_flags(action.flags)}"
        case Redirect():
            wishes = "".join(f" {wish}" for wish in (action.notify, action.ret) if wish)
            return f"redirect {action.address}{' copy' if action.copy else ''}{wishes}"
        case Reject():
            return f"{'ereject' if action.ereject else 'reject'} {action.text}"
        case Vacation():
            return f"vacation {action.reason}"
        case Notify():
            return f"notify {action.method} {action.message or ''}".rstrip()
        case _:
            return action.name
