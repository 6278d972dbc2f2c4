"""The texts of the SMTP server, and replies as octets.

Short, in words, the same for everybody; nothing about our insides.

Standards: RFC 5321 section 4.2, RFC 2034, RFC 3463.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Final

from mailstack.model.reply import Reply

OK: Final = Reply(250, "0.0", "Ok")
SENDER_OK: Final = Reply(250, "1.0", "Sender ok")
RECIPIENT_OK: Final = Reply(250, "1.5", "Recipient ok")
START_DATA: Final = Reply(354, "", "Go ahead, end with CRLF.CRLF")
BYE: Final = Reply(221, "0.0", "Bye")
START_TLS: Final = Reply(220, "0.0", "Go ahead with TLS")
LOGGED_IN: Final = Reply(235, "7.0", "You are logged in")
CANNOT_VERIFY: Final = Reply(252, "1.5", "Send some mail and see")
HELP: Final = Reply(
    214, "0.0", "See RFC 5321: EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP STARTTLS AUTH QUIT"
)

CONTROL_CHARACTERS: Final = Reply(500, "5.2", "Control characters in a command")
NOT_ASCII: Final = Reply(500, "5.2", "Octets above 127 where none may be")
UNKNOWN_COMMAND: Final = Reply(500, "5.2", "Command not known")
LINE_TOO_LONG: Final = Reply(500, "5.2", "The line is too long")
AUTH_TOO_LONG: Final = Reply(501, "5.2", "The response is too long")
NOT_IMPLEMENTED: Final = Reply(502, "5.1", "Not implemented")
NO_ARGUMENT: Final = Reply(501, "5.4", "The command takes no argument")
ARGUMENT_MISSING: Final = Reply(501, "5.4", "The command wants an argument")
HELO_SYNTAX: Final = Reply(501, "5.4", "Say your host name: one word of at most 255 characters")
MAIL_SYNTAX: Final = Reply(501, "5.2", "Write MAIL FROM:<address> and parameters")
RCPT_SYNTAX: Final = Reply(501, "5.2", "Write RCPT TO:<address> and parameters")
NEEDS_SMTPUTF8: Final = Reply(
    553, "6.7", "The address is not ASCII and MAIL had no SMTPUTF8 parameter", "needs_smtputf8"
)

SAY_HELLO: Final = Reply(503, "5.1", "Say EHLO first")
NESTED_MAIL: Final = Reply(503, "5.1", "There is a sender already")
NEED_MAIL: Final = Reply(503, "5.1", "Say MAIL first")
CHUNK_OK: Final = Reply(250, "0.0", "Chunk ok")
BDAT_SYNTAX: Final = Reply(501, "5.4", "Write BDAT size, or BDAT size LAST", "chunk_size")
CHUNKS_BEGUN: Final = Reply(
    503, "5.1", "BDAT has begun the message; end it with BDAT, or say RSET", "chunk_order"
)
CHUNK_REFUSED: Final = Reply(503, "5.1", "A chunk of this message was refused; say RSET", "chunk_order")
BINARY_WANTS_BDAT: Final = Reply(
    503, "5.1", "A message with BODY=BINARYMIME comes by BDAT, not DATA", "binary_by_data"
)
NEED_RCPT: Final = Reply(503, "5.1", "Say RCPT first")
NO_RECIPIENTS: Final = Reply(554, "5.1", "No recipient was accepted")
SENT_TO_NOBODY: Final = Reply(
    554, "5.3", "Too many recipients: the message is sent to none of them", "too_many"
)
IN_TRANSACTION: Final = Reply(503, "5.1", "Not inside a transaction")

NO_LOGINS_NOW: Final = Reply(454, "7.0", "Logins cannot be checked at the moment; try again later")
NO_AUTH_HERE: Final = Reply(503, "5.1", "Login is not offered here; use port 465 or 587 to send mail")
TLS_FIRST: Final = Reply(530, "7.0", "Say STARTTLS first")
LOGIN_FIRST: Final = Reply(530, "7.0", "Log in first")
LOGGED_IN_ALREADY: Final = Reply(503, "5.1", "You are logged in already")
UNKNOWN_MECHANISM: Final = Reply(504, "5.4", "Mechanism not known; use PLAIN or LOGIN")
LOGGED_OUT: Final = Reply(421, "7.0", "The account was suspended or its password changed, log in again")
TOO_MANY_LOGINS: Final = Reply(421, "7.0", "Too many failed logins, closing the connection")
DEVICES_ONLY: Final = Reply(
    535, "7.8", "Only devices log in on this port; people use port 465 or 587", "devices_only"
)
HAS_TLS: Final = Reply(503, "5.1", "TLS is active already")
NO_TLS: Final = Reply(454, "7.0", "TLS is not available")

EARLY: Final = Reply(554, "5.0", "You spoke before your turn (RFC 2920), closing the connection")
NOT_SMTP: Final = Reply(554, "5.0", "This is a mail server, closing the connection")
TLS_ON_PLAIN_PORT: Final = Reply(
    554, "5.0", "This port begins in clear text: set the program to STARTTLS, or to the port for TLS"
)
TIMEOUT: Final = Reply(421, "4.2", "Timeout, closing the connection")
TOO_SLOW: Final = Reply(421, "4.2", "The message comes too slowly, closing the connection")
LATE_ANSWER: Final = Reply(421, "4.2", "The answer takes too long, closing the connection")
CLOSING: Final = Reply(421, "3.2", "The server is stopping, try again in a moment")
LINE_CLOSING: Final = Reply(421, "5.2", "The line is too long, closing the connection")
SESSION_OVER: Final = Reply(421, "7.0", "The session lasts too long, connect again")
ENOUGH_MESSAGES: Final = Reply(421, "7.0", "Enough messages in one session, connect again")
OUR_FAULT: Final = Reply(421, "3.0", "Something broke here, try again later")
NO_SPACE: Final = Reply(452, "3.1", "There is no space for mail at the moment, try again later", "no_space")


def told(reply: Reply, *, has_utf8: bool) -> Reply:
    """The reply as this client may hear it: in ASCII, unless its mail says SMTPUTF8.

    Source: RFC 6531 section 3.7.4.2.
    """
    if has_utf8 or reply.text.isascii():
        return reply
    return replace(reply, text=reply.text.encode("ascii", "backslashreplace").decode("ascii"))


@lru_cache(maxsize=16)
def greeting(hostname: str) -> Reply:
    """RFC 5321 section 4.3.1: the 220 line."""
    return Reply(220, "", f"{hostname} ESMTP mailstack")


@lru_cache(maxsize=1024)
def wire(reply: Reply) -> bytes:
    """The reply as octets; the usual ones are made once."""
    return reply.to_bytes()
