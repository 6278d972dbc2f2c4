"""A client session and its far server's part of the script, without sockets."""

from __future__ import annotations

from typing import Any

from mailstack.model.reply import Reply
from mailstack.smtp.client import ClientSession
from mailstack.smtp.client_events import Answer, Broken, Done, Event, Ready, Transaction

EHLO = "250-mx.test\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-DSN\r\n250 SMTPUTF8"


class Dialog:
    """A session and its far server's part of the script."""

    def __init__(self, **options: Any) -> None:
        self.session = ClientSession(helo="us.test", **options)

    def hear(self, *lines: str) -> list[Event]:
        """The server says these lines; gives what happens."""
        for line in lines:
            self.session.receive(line.encode() + b"\r\n")
        return self.events()

    def events(self) -> list[Event]:
        found = []
        while (event := self.session.next_event()) is not None:
            found.append(event)
        return found

    def said(self) -> list[str]:
        return self.session.data_to_send().decode().split("\r\n")[:-1]

    def ready(self, ehlo: str = EHLO) -> Dialog:
        assert self.hear("220 mx.test ESMTP", ehlo) == [Ready()]
        self.said()
        return self

    def send(self, transaction: Transaction) -> list[str]:
        self.session.send(transaction)
        return self.said()


def replies(events: list[Event]) -> list[Reply]:
    (done,) = [event for event in events if isinstance(event, Done)]
    return [answer.reply for answer in done.answers]


def broken(events: list[Event]) -> Answer:
    (event,) = [event for event in events if isinstance(event, Broken)]
    return event.answer


def over_tls(dialog: Dialog, ehlo: str) -> list[Event]:
    dialog.hear("220 mx.test", "250-mx.test\r\n250 STARTTLS", "220 go")
    dialog.session.tls_done()
    dialog.said()
    return dialog.hear(ehlo)
