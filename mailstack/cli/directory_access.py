"""Opens the directory for a command."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence

from mailstack.cli.context import Context, fail
from mailstack.directory.names import any_address, new_address, new_domain
from mailstack.directory.reader import Directory
from mailstack.directory.session import expect_account
from mailstack.directory.writer import DirectoryWriter
from mailstack.model.directory import Account, Domain
from mailstack.model.errors import PermanentFailure


@contextlib.contextmanager
def writer(context: Context | None = None) -> Iterator[DirectoryWriter]:
    """The write side of the configured instance."""
    context = context or Context.load()
    with DirectoryWriter(context.paths, options=context.config.auth) as directory:
        yield directory


@contextlib.contextmanager
def reader(context: Context | None = None) -> Iterator[Directory]:
    """The read side of the configured instance."""
    context = context or Context.load()
    directory = Directory(context.paths, options=context.config.auth)
    try:
        yield directory
    finally:
        directory.close()


def account(directory: Directory, text: str) -> Account:
    """The account with this address.

    Raises:
        PermanentFailure: the text is no address, or there is no such account (1.1).
    """
    address = any_address(text)
    return expect_account(directory.find(address), address)


def known_domain(directory: Directory, text: str) -> Domain:
    """The domain of this server with this name, however it is written.

    Raises:
        PermanentFailure: the text is no domain (exit 65), or none of this server (1.2).
    """
    name = new_domain(text)
    found = directory.domain(name)
    if found is None:
        raise PermanentFailure(
            f"{name} is not a domain of this server; see 'mailstack domain list'", status="1.2"
        )
    return found


def check_separate(targets: Sequence[str]) -> None:
    """Refuses addresses that were written with commas between them."""
    for text in targets:
        if "," in text and text.count("@") > 1:
            fail(os.EX_USAGE, f"{text!r}: write one address after the other, with spaces between them")


def check_receives(context: Context, text: str) -> None:
    """Refuses a new address no server could send to.

    Raises:
        PermanentFailure: the text is no address, or has a non-ASCII local part while
            smtp.smtputf8 is off (1.3).
    """
    if not context.config.smtp.smtputf8 and not new_address(text).local.isascii():
        raise PermanentFailure(
            f"{text} cannot receive mail while smtp.smtputf8 is off in the configuration:"
            " there are characters outside ASCII before the @",
            status="1.3",
        )


def password_from_stdin() -> str:
    """The first line of stdin, without its line ending; any other character counts."""
    data = sys.stdin.buffer.readline(8192)
    try:
        return data.removesuffix(b"\n").removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        fail(os.EX_DATAERR, "the password on stdin is not UTF-8")
