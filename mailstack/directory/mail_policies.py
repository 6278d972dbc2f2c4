"""What a domain wants of the mail that comes to all its addresses: lists, marks, attachments."""

from __future__ import annotations

import sqlite3

from mailstack.directory import names
from mailstack.directory.session import Session, domain_id
from mailstack.directory.settings import MAX_LISTED_SENDERS
from mailstack.directory.values import ListedSender, SenderLists
from mailstack.model.directory import AttachmentRules, MailPolicy
from mailstack.model.errors import PermanentFailure

MAX_PREFIX = 40
MAX_ATTACHMENT_WORDS = 100
MAX_INSIDE = 100
#: What attachments can be called by, beside `.extension`.
ATTACHMENT_WORDS = (
    "program",
    "macros",
    "encrypted",
    "suspicious-archive",
    "archive",
    "disk-image",
    "html",
    "svg",
    "onenote",
    "office",
    "pdf",
)


class MailPolicies:
    """Changes them; every method is one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list_sender(self, domain: str, pattern: str, *, kind: str) -> ListedSender:
        """Blocks or allows a sender for every address of a domain; as Settings.list_sender.

        Raises:
            PermanentFailure: no such domain, not a pattern, or the lists are full.
        """
        if kind not in ("block", "allow"):
            raise ValueError(kind)
        stored = names.sender_pattern(pattern)
        with self._session.transaction() as cursor:
            id_ = domain_id(cursor, names.new_domain(domain))
            known = dict(
                cursor.execute(
                    "SELECT pattern, kind FROM domain_sender WHERE domain_id = ?", (id_,)
                ).fetchall()
            )
            if stored not in known and len(known) >= MAX_LISTED_SENDERS:
                raise PermanentFailure(f"the lists of {domain} hold {MAX_LISTED_SENDERS} senders already")
            cursor.execute(
                "INSERT OR REPLACE INTO domain_sender (domain_id, pattern, kind, created_at)"
                " VALUES (?, ?, ?, ?)",
                (id_, stored, kind, self._session.now()),
            )
        before = known.get(stored, "")
        return ListedSender(stored, before if before != kind else "")

    def unlist_sender(self, domain: str, pattern: str) -> str:
        """Takes a sender from whichever list it is in.

        Raises:
            PermanentFailure: no such domain, or it is in neither.
        """
        stored = names.sender_pattern(pattern)
        with self._session.transaction() as cursor:
            id_ = domain_id(cursor, names.new_domain(domain))
            done = cursor.execute(
                "DELETE FROM domain_sender WHERE domain_id = ? AND pattern = ?", (id_, stored)
            )
            if not done.rowcount:
                raise PermanentFailure(f"{pattern} is in no list of {domain}")
        return stored

    def set(
        self,
        domain: str,
        *,
        marks_outside: bool | None = None,
        outside_prefix: str | None = None,
        inside: str | None = None,
        refused: str | None = None,
        junked: str | None = None,
    ) -> MailPolicy:
        """Changes what is not None; counts for the next message.

        Args:
            outside_prefix: "" for none.
            inside: domains of the same organisation, with commas; "" for none but this one.
            refused, junked: words of ATTACHMENT_WORDS and `.extensions` with commas; "" for none.

        Raises:
            PermanentFailure: no such domain, no such word, or `inside` names what is no domain.
        """
        prefix = None if outside_prefix is None else _prefix(outside_prefix)
        domains = None if inside is None else _domains(inside)
        domain = names.new_domain(domain)
        with self._session.transaction() as cursor:
            id_ = domain_id(cursor, domain)
            before = load(cursor, domain)
            rules = AttachmentRules(
                before.attachments.refused if refused is None else _words(refused),
                before.attachments.junked if junked is None else _words(junked),
            )
            cursor.execute(
                "UPDATE domain SET marks_outside = coalesce(?, marks_outside),"
                " outside_prefix = coalesce(?, outside_prefix), inside = coalesce(?, inside),"
                " attachments = ? WHERE id = ?",
                (marks_outside, prefix, domains, _dump(rules), id_),
            )
            return load(cursor, domain)


def load(cursor: sqlite3.Cursor, domain: str) -> MailPolicy:
    """The policy of a domain; of one that is not ours, or only mirrors another, none."""
    row = cursor.execute(
        "SELECT id, marks_outside, outside_prefix, attachments, inside FROM domain"
        " WHERE name = ? AND removed_at IS NULL AND alias_of IS NULL",
        (domain,),
    ).fetchone()
    if row is None:
        return MailPolicy()
    id_, marks, prefix, attachments, inside = row
    mirrors = cursor.execute(
        "SELECT name FROM domain WHERE alias_of = ? AND removed_at IS NULL", (id_,)
    ).fetchall()
    listed = cursor.execute("SELECT pattern, kind FROM domain_sender WHERE domain_id = ?", (id_,)).fetchall()
    lists = SenderLists.of(listed)
    return MailPolicy(
        frozenset({domain, *(name for (name,) in mirrors)}),
        lists.blocked,
        lists.allowed,
        bool(marks),
        prefix,
        _load(attachments),
        frozenset(inside.split()),
    )


def _prefix(text: str) -> str:
    prefix = " ".join(text.split())
    bad = next((c for c in prefix if not c.isprintable()), "")
    if bad or len(prefix) > MAX_PREFIX:
        why = f"the character {bad!r} may not stand in it" if bad else f"it has more than {MAX_PREFIX}"
        raise PermanentFailure(f"{text!r} cannot be a prefix of subjects: {why}")
    return prefix


def _domains(text: str) -> str:
    found = {names.new_domain(one.strip()) for one in text.split(",") if one.strip()}
    if len(found) > MAX_INSIDE:
        raise PermanentFailure(f"at most {MAX_INSIDE} domains of one organisation")
    return " ".join(sorted(found))


def _words(text: str) -> frozenset[str]:
    found = frozenset(word for part in text.split(",") if (word := part.strip().lower()))
    for word in sorted(found):
        extension = word.startswith(".") and word[1:].isalnum() and len(word) <= 16
        if word not in ATTACHMENT_WORDS and not extension:
            raise PermanentFailure(
                f"{word!r} is no kind of attachment: want {', '.join(ATTACHMENT_WORDS)},"
                " or an extension such as .iso"
            )
    if len(found) > MAX_ATTACHMENT_WORDS:
        raise PermanentFailure(f"at most {MAX_ATTACHMENT_WORDS} kinds of attachments")
    return found


def _dump(rules: AttachmentRules) -> str:
    return f"{','.join(sorted(rules.refused))};{','.join(sorted(rules.junked))}"


def _load(text: str) -> AttachmentRules:
    refused, _, junked = text.partition(";")
    return AttachmentRules(*(frozenset(filter(None, part.split(","))) for part in (refused, junked)))
