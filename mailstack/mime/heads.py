"""The header fields that mail programs list mailboxes with, cut out of a header.

Kept ready-made, they answer FETCH BODY[HEADER.FIELDS (...)] without opening the message.

Standards: RFC 3501 section 6.4.5.  Imports: header.  No I/O.
"""

from __future__ import annotations

from mailstack.mime.header import Headers

#: What Thunderbird, Apple Mail, Outlook, K-9, Roundcube, mutt, mbsync and others ask for.
KEPT = frozenset(
    {
        b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc", b"subject", b"date", b"message-id",
        b"in-reply-to", b"references", b"newsgroups", b"followup-to", b"keywords", b"lines", b"path",
        b"content-type", b"content-transfer-encoding", b"mime-version", b"priority", b"x-priority",
        b"importance", b"x-msmail-priority", b"sensitivity", b"disposition-notification-to",
        b"return-receipt-to", b"list-id", b"list-post", b"list-unsubscribe", b"list-unsubscribe-post",
        b"mailing-list", b"mail-followup-to", b"mail-reply-to", b"precedence", b"auto-submitted",
        b"resent-from", b"resent-to", b"resent-date", b"resent-message-id", b"delivered-to",
        b"x-original-to", b"return-path", b"envelope-to", b"organization", b"user-agent", b"x-mailer",
        b"x-label", b"x-keywords", b"x-status", b"x-tuid", b"x-draft-info", b"x-identity-key",
        b"x-mozilla-draft-info", b"x-mozilla-keys", b"x-universally-unique-identifier",
        b"x-uniform-type-identifier", b"x-apple-mail-remote-attachments", b"x-k9mail-identity",
        b"x-spam", b"x-spam-flag", b"x-spam-status", b"x-spam-level", b"x-spam-score",
        b"x-chat-version", b"chat-version", b"autocrypt",
    }
)  # fmt: skip
#: Octets of such a cut; a larger one is not kept.
MAX_OCTETS = 16 * 1024


def select(headers: Headers, names: frozenset[bytes], *, without: bool = False) -> bytes:
    """Fields as they stand, and an empty line.

    Args:
        names: lower case.
        without: all fields but these.
    """
    out = [headers.raw(field) for field in headers.fields if (field.name in names) is not without]
    if out and not out[-1].endswith(b"\n"):
        out.append(b"\r\n")
    return b"".join(out) + b"\r\n"


def keep(headers: Headers) -> bytes | None:
    """What is kept of a header; None: it is too large."""
    found = select(headers, KEPT)
    return found if len(found) <= MAX_OCTETS else None
