"""Extension "copy": `:copy` leaves the implicit keep in place (RFC 3894)."""

from __future__ import annotations

from dataclasses import replace

from mailstack.sieve.actions import FileInto, Redirect
from mailstack.sieve.context import Context
from mailstack.sieve.definition import Extension, Tag


def _modify(ctx: Context, action: object, value: object) -> object:
    return replace(action, copy=True) if isinstance(action, FileInto | Redirect) else action


_TAG = Tag(":copy", modify=_modify)
COPY = Extension("copy", tags={"fileinto": [_TAG], "redirect": [_TAG]})
