"""AUTH: SASL, with an initial response or without.

Standards: RFC 5034, RFC 4422, RFC 4616 (PLAIN), RFC 7677 (SCRAM).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailstack.model.asking import Login, Steps
from mailstack.pop3.commands.login import check_privacy, log_in
from mailstack.pop3.errors import Bad, Refused
from mailstack.pop3.response import END, ok
from mailstack.sasl import exchange

if TYPE_CHECKING:
    from mailstack.pop3.session import Session

#: A line of an exchange with its CRLF.
_LINE_OCTETS = exchange.MAX_LINE_OCTETS + 2


def auth(session: Session, argument: bytes) -> Steps[str | None]:
    """Runs one exchange; without a mechanism lists them, as Outlook asks."""
    check_privacy(session)
    if not argument:
        names = "".join(f"{name}\r\n" for name in exchange.mechanisms(session.offer()))
        session.write(ok("Mechanisms follow") + names.encode("ascii") + END)
        return None
    name, _, initial = argument.partition(b" ")
    talk = exchange.start(name.decode("latin-1"), session.offer())
    if talk is None:
        raise Refused("There is no such mechanism")
    try:
        step = talk.respond(initial or None)
        while isinstance(step, exchange.Challenge):
            session.write(b"+ %b\r\n" % step.line)
            step = talk.respond((yield from session.read_line(_LINE_OCTETS)))
    except exchange.SaslCancelled as error:
        raise Refused(error.why) from None
    except exchange.SaslError as error:
        raise Bad(error.why) from None
    return (yield from log_in(session, Login(step.login, step.password, talk.mechanism, step.acting_for)))
