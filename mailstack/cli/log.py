"""`mailstack log show|explain`: what happened to a message, in plain words."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import os
import time
from collections.abc import Iterator, Mapping
from typing import Annotated

import typer

from mailstack.cli import arguments
from mailstack.cli.context import Context, cell, fail, group, show, talk
from mailstack.cli.directory_access import reader as directory_reader
from mailstack.model.address import Address
from mailstack.model.directory import Alias
from mailstack.model.errors import PermanentFailure, TemporaryFailure
from mailstack.state.explanation import Explanation
from mailstack.state.explanations import EXPLANATIONS
from mailstack.state.maillog_db import Event, Value
from mailstack.state.maillog_reader import MailLogReader

app = group("What happened to a message or an address: 20 days back.")


def words(event: Event) -> str:
    """One event as a sentence for people; every value is made safe for a terminal."""
    fields = {key: cell(value) for key, value in event.fields.items()}
    if fields.get("host") == "":  # what came to its end without a far server
        fields["host"] = "this server"
    fields |= _spelled_out(event.name, fields)
    sentence = _SENTENCES.get(event.name)
    text = sentence.format_map(_Blank(fields)) if sentence else ""
    if not text:
        text = event.name + " " + " ".join(f"{key}={value}" for key, value in fields.items() if value)
    if event.name == "login" and fields.get("app_password"):
        text += f" with the app password {fields['app_password']}"
    if event.name == "filed" and fields.get("reasons"):
        own = f" (spam probability {fields['score']})" if fields.get("score") else ""
        text += f"; for this address{own}: {fields['reasons']}"
    if event.name == "forwarded" and fields.get("warning"):
        text += f"; the next server may refuse it: {fields['warning']}"
    if event.name == "unfiltered" and fields.get("aside"):
        text += f" (a copy is kept: 'mailstack filter aside show {fields['aside']}')"
    why = fields.get("why", "")
    return f"{text}: {why}" if why and sentence and "{why}" not in sentence else text


def _spelled_out(name: str, fields: Mapping[str, str]) -> dict[str, str]:
    """What single words of an event mean, for sentences."""
    if name == "filed":
        klass = _CLASSES.get(fields.get("klass", ""), "")
        return {"taken_for": f", taken for {klass}" if klass else ""}
    if name not in ("learned", "unlearned"):
        return {}
    label, listed = fields.get("label", "?"), fields.get("listed", "")
    how = f"it was {'marked' if fields.get('evidence') == 'mark' else 'put'} in {fields.get('mailbox', '?')}"
    return {
        "what": f"a message of {fields['author']}" if fields.get("author") else "a message",
        "taught": _CLASSES.get(label, "wanted" if label == "ham" else label),
        "how": f"{how}; counts little" if fields.get("weak") else how,
        "listed_as": f"; its sender is on the {listed} list now" if listed else "",
    }


class _Blank(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "?"


#: Events whose id is that of a message in the queue.
_OF_THE_QUEUE = ("queued", "deferred", "recovered")
#: What is not plainly wanted mail, in words.
_CLASSES = {
    "spam": "spam",
    "promotions": "a newsletter or an offer",
    "social": "a notice of a social network",
}
_SENTENCES = {
    "accepted": "accepted from {sender} at {peer} for {to} ({size_octets} octets)",
    "refused": "refused with {code} {status} at {at} ({check}), client {peer}",
    "filtered": "classified as {klass}, spam probability {score}; SPF {spf}, DKIM {dkim}, DMARC {dmarc};"
    " {reasons}",
    "looked_through": "brought by the trusted relay {relay}; judged is its client {client}",
    "trap": "the spam trap {trap} was written to from {peer}",
    "lost": "{peer} went away in the middle of the message; nothing of it was kept",
    "unheard": "{peer} had hung up before our answer; if it did not hear it, it sends a duplicate",
    "virus": "virus scanner: {said}",
    "unfiltered": "delivered without the filter",
    "filed": "filed into {mailbox} of {to} as UID {uid}{taken_for} ({sieve})",
    "discarded": "thrown away by a rule of {to}",
    "rejected": "{to} does not take it ({code} {status}); others do, so the sender hears it in a report",
    "unreached": "somebody behind {to} does not get it",
    "sieve": "rules of {to}: {note}",
    "queued": "put into the queue for {to} as {kind}",
    "forwarded": "forwarded by {owner} to {to}, sender now {sender}",
    "delivered": "delivered to {to} by {host}, which said: {answer}",
    "deferred": "not delivered to {to} yet ({host} said {code}); next try in {next_s} s",
    "forward_paused": "{owner} sends nothing on to {to} for now, because it keeps refusing",
    "forward_resumed": "{owner} sends mail on to {to} again",
    "bounced": "given up for {to} ({host} said {code}); report: {dsn}",
    "in_queue": "now in the queue: {to} {next}",
    "removed": "taken out of the queue by {who}, not sent to {to}; nobody was told",
    "login": "{account} logged in over {protocol} from {peer}",
    "script": "a Sieve script of {account} was changed from {peer}: {change} {script}",
    "applied": "rules and script of {to} run over {mailbox}: {changed} of {messages} messages changed;"
    " moved: {moved}",
    "learned": "{account} has taught the filter that {what} is {taught} ({how}){listed_as}",
    "unlearned": "{account} has taken back what it had taught the filter about {what}",
    "learned_domain": "{messages} messages for spam traps have taught the filter for {domain}",
    "lessons_rebuilt": "what {account} taught the filter was made anew of its folders: {lessons} lessons",
    "lessons_forgotten": "what {account} taught the filter was forgotten: {lessons} lessons",
    "phishing": "{account} has reported a message of {author} as phishing (authenticated: {authenticated})",
    "banned": "{network} may not log in for {seconds} s",
    "guessed_at": "the password of {account} is guessed at",
    "contained": "{account} is stopped (score {score}); {held} of its messages are held in the queue",
    "tls_fell": "{domain} showed {shown} at {host}; for {days} days it had shown {held}",
    "tls_failed": "no TLS connection with {peer} on {listener}",
    "login_failed": "failed login as {account} over {protocol} from {peer}",
}


def _stamp(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at)) + "Z"


def _plain(event: Event) -> dict[str, object]:
    fields: dict[str, Value] = event.fields
    return {
        "at": datetime.datetime.fromtimestamp(event.at, datetime.UTC).isoformat(),
        "event": event.name,
        "id": event.id,
        "daemon": event.daemon,
        "fields": fields,
        "words": words(event),
    }


def _print(events: list[Event]) -> None:
    show([_plain(event) for event in events], "\n".join(_line(event) for event in events))


def _line(event: Event) -> str:
    return f"{_stamp(event.at)}  {event.id:<16}  {words(event)}"


def _reader() -> MailLogReader:
    return MailLogReader(Context.load().paths.maillog_db)


@app.command("show")
def show_(
    address: str,
    sent: Annotated[bool, typer.Option("--sent", help="only what the address sent")] = False,
    received: Annotated[bool, typer.Option("--received", help="only what the address received")] = False,
    since: Annotated[str, typer.Option(help="30m, 2h, 3d, 2026-11-22 or 2026-11-22T13:00 (UTC)")] = "",
    until: Annotated[str, typer.Option(help="as --since")] = "",
) -> None:
    """Shows the log of one address, oldest first."""
    wanted, now = arguments.address(address), time.time()
    start = arguments.moment("--since", since, now) if since else 0.0
    end = arguments.moment("--until", until, now) if until else 1e18
    if start > end:
        fail(os.EX_USAGE, "--since is later than --until")
    direction = "" if sent == received else "sent" if sent else "received"
    reader = _reader()
    try:
        events = reader.of_address(wanted.key, direction=direction, since=start, until=end)
    finally:
        reader.close()
    _print(events)
    if not events:
        talk(f"nothing in the log for {wanted}{_alias_of(wanted)}")


def _alias_of(address: Address) -> str:
    """Where to look instead, when the address is an alias here."""
    with directory_reader() as directory:
        found = directory.find(address)
    if not isinstance(found, Alias):
        return ""
    shown = ", ".join(found.targets[:3]) + (", ..." if len(found.targets) > 3 else "")
    return f"; {address} is an alias of {shown}; see 'mailstack log show {found.targets[0]}'"


@app.command()
def explain(
    message: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="accept id, queue id or Message-ID; or a client's IP address, or a login, sender or"
            " recipient: its last refusals",
        ),
    ],
) -> None:
    """Tells the whole way of one message; of a refusal also the rule and where to change it."""
    reader = _reader()
    try:
        events = _found(reader, message)
    finally:
        reader.close()
    if not events:
        fail(os.EX_DATAERR, f"{message}: {_nothing(message)}")
    events += _waiting(events)
    settings = _settings() if any(event.fields.get("check") for event in events) else {}
    show(
        [_plain(event) | _explained(event, settings) for event in events],
        "\n".join("\n".join([_line(event), *_reasons(event, settings)]) for event in events),
    )


def _waiting(events: list[Event]) -> list[Event]:
    """What of it is in the queue now and what comes next, holds too; nothing where nobody can look."""
    from mailstack.cli import queue
    from mailstack.delivery import listing

    ids = dict.fromkeys(event.id for event in events if event.name in _OF_THE_QUEUE)
    now, found = time.time(), list[Event]()
    if not ids:
        return found
    with contextlib.suppress(TemporaryFailure), queue.opened() as opened:
        for queue_id in ids:
            with contextlib.suppress(PermanentFailure):  # it came to its end
                view = listing.message(opened, queue_id)
                for one in view.recipients:
                    if one.state not in ("delivered", "failed"):
                        fields: dict[str, Value] = {
                            "to": one.address,
                            "next": listing.outlook(view, one, now=now),
                        }
                        found.append(Event(now, "cli", "in_queue", queue_id, fields))
    return found


def _nothing(name: str) -> str:
    """What was looked for in vain, and where there may be more."""
    if _is_ip(name):
        return "no refusal in the log, which keeps 20 days"
    if "@" not in name or name.startswith("<"):
        return "nothing in the log; it keeps 20 days"
    return f"no refusal in the log, which keeps 20 days; 'mailstack log show {name}' tells the rest"


def _is_ip(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _found(reader: MailLogReader, name: str) -> list[Event]:
    events = reader.explain(name)
    if not events and "@" in name and not name.startswith("<"):
        events = reader.explain(f"<{name}>")
    return events or reader.refusals(_canonical(name))


def _canonical(name: str) -> str:
    """An IP address as the log writes it; anything else as it is."""
    return str(ipaddress.ip_address(name.strip("[]"))) if _is_ip(name) else name


def _settings() -> Mapping[str, object]:
    from mailstack.app.config import settings

    return dict(settings(Context.load().config))


def _explained(event: Event, settings: Mapping[str, object]) -> dict[str, object]:
    """What `words` leaves out, for programs: the rule of a refusal, its keys, what to do."""
    found = EXPLANATIONS.get(str(event.fields.get("check", "")))
    if found is None:
        return {}
    keys = {key: settings.get(key) for key in _keys(event, found)}
    return {"explanation": {"rule": found.rule, "configuration": keys, "advice": found.advice}}


def _reasons(event: Event, settings: Mapping[str, object]) -> Iterator[str]:
    """The same for people, one line each: facts, rule, configuration, what to do."""
    found = EXPLANATIONS.get(str(event.fields.get("check", "")))
    if found is None:
        return
    from mailstack.app.document import toml_value

    facts = [f"{key} {cell(value)}" for key, value in event.fields.items() if value and key in _FACTS]
    if facts:
        yield f"    facts          {', '.join(facts)}"
    yield f"    rule           {found.rule}"
    for key in _keys(event, found):
        yield f"    configuration  {key}{f' = {toml_value(settings[key])}' if key in settings else ''}"
    yield f"    what to do     {found.advice}"


def _keys(event: Event, found: Explanation) -> tuple[str, ...]:
    """The key that decided, as far as the event names it; else all that could have."""
    decided = cell(event.fields.get("key", ""))
    return (decided,) if decided else found.keys


#: Of a refusal, what its sentence does not say.
_FACTS = ("login", "sender", "to", "tls", "listener")
