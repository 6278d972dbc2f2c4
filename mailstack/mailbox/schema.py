"""Tables of account.db, cache.db and search.db.

account.db holds what cannot be computed again; the others only what can.  A step, once
released, is never changed: a new one is added.
"""

from __future__ import annotations

ACCOUNT_STEPS: tuple[str, ...] = (
    """
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;

-- Counters are kept by whoever changes messages; `mailbox verify` compares them.
-- uid_next and modseq may only grow up to the reserved bounds, which are durable.
-- boot: where the file names of this folder were last known to follow the rows.
CREATE TABLE folders (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    dir TEXT NOT NULL UNIQUE,
    object_id TEXT NOT NULL UNIQUE,
    special_use TEXT NOT NULL DEFAULT '',
    uid_validity INTEGER NOT NULL,
    uid_next INTEGER NOT NULL DEFAULT 1,
    uid_reserved INTEGER NOT NULL DEFAULT 1,
    modseq INTEGER NOT NULL DEFAULT 1,
    modseq_reserved INTEGER NOT NULL DEFAULT 1,
    recent_from INTEGER NOT NULL DEFAULT 1,
    messages INTEGER NOT NULL DEFAULT 0,
    unseen INTEGER NOT NULL DEFAULT 0,
    deleted INTEGER NOT NULL DEFAULT 0,
    size INTEGER NOT NULL DEFAULT 0,
    expunge_floor INTEGER NOT NULL DEFAULT 0,
    boot TEXT NOT NULL DEFAULT '',
    created_at INTEGER NOT NULL
);

-- sub: 0 new/, 1 cur/; letters: flags in the file name now; dirty: it must be renamed.
-- disk_size: octets of the file when they differ from those we serve (bare line feeds).
-- mid: folder * 2^32 + uid of where the message came first; copies keep it.
CREATE TABLE messages (
    folder INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    base TEXT NOT NULL,
    sub INTEGER NOT NULL,
    letters TEXT NOT NULL,
    flags INTEGER NOT NULL,
    keywords TEXT NOT NULL,
    modseq INTEGER NOT NULL,
    size INTEGER NOT NULL,
    disk_size INTEGER,
    internal_at INTEGER NOT NULL,
    saved_at INTEGER NOT NULL,
    mid INTEGER NOT NULL,
    thread INTEGER,
    dirty INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (folder, uid)
) WITHOUT ROWID;
CREATE UNIQUE INDEX message_base ON messages (base, folder);
CREATE INDEX message_modseq ON messages (folder, modseq);
CREATE INDEX message_dirty ON messages (folder, uid) WHERE dirty = 1;
CREATE INDEX message_new ON messages (folder, uid) WHERE sub = 0;
CREATE INDEX message_copy ON messages (mid) WHERE mid <> folder * 4294967296 + uid;

CREATE TABLE expunged (
    folder INTEGER NOT NULL,
    modseq INTEGER NOT NULL,
    first_uid INTEGER NOT NULL,
    last_uid INTEGER NOT NULL,
    PRIMARY KEY (folder, modseq, first_uid)
) WITHOUT ROWID;

-- Files whose rows are gone and that are still to be removed; keep: set aside first.
CREATE TABLE doomed (
    folder INTEGER NOT NULL,
    base TEXT NOT NULL,
    sub INTEGER NOT NULL,
    letters TEXT NOT NULL,
    keep INTEGER NOT NULL,
    mid INTEGER NOT NULL,
    PRIMARY KEY (folder, base)
) WITHOUT ROWID;

CREATE TABLE keywords (
    folder INTEGER NOT NULL,
    name TEXT NOT NULL COLLATE NOCASE,
    PRIMARY KEY (folder, name)
) WITHOUT ROWID;

CREATE TABLE subscriptions (name TEXT PRIMARY KEY) WITHOUT ROWID;

-- folder 0: the account itself (RFC 5464 section 3: server annotations).
CREATE TABLE metadata (
    folder INTEGER NOT NULL,
    entry TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (folder, entry)
) WITHOUT ROWID;

CREATE TABLE rights (
    folder INTEGER NOT NULL,
    identifier TEXT NOT NULL,
    rights TEXT NOT NULL,
    PRIMARY KEY (folder, identifier)
) WITHOUT ROWID;
""",
    # What a message set aside needs to be brought back as it was.
    """
ALTER TABLE doomed ADD COLUMN flags INTEGER NOT NULL DEFAULT 0;
ALTER TABLE doomed ADD COLUMN keywords TEXT NOT NULL DEFAULT '';
ALTER TABLE doomed ADD COLUMN internal_at INTEGER NOT NULL DEFAULT 0;
""",
    """
-- Hashes of message ids that messages have or name, and the thread they belong to.
CREATE TABLE threads (id INTEGER PRIMARY KEY, thread INTEGER NOT NULL);
""",
    """
-- open_end: the last line has no end, so POP3 sends two octets more.
ALTER TABLE messages ADD COLUMN open_end INTEGER NOT NULL DEFAULT 0;

-- What POP3 fetched, and when (Unix seconds), of accounts that want it deleted afterwards.
CREATE TABLE fetched (
    folder INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (folder, uid)
) WITHOUT ROWID;
CREATE INDEX fetched_at ON fetched (at);
""",
)

#: cache.db is thrown away when this differs from its user_version.
CACHE_VERSION = 2
CACHE_SCRIPT = """
CREATE TABLE meta (epoch TEXT NOT NULL);

-- parts: places of the parts of a large message; empty for others.
CREATE TABLE texts (
    mid INTEGER PRIMARY KEY,
    header_octets INTEGER NOT NULL,
    envelope BLOB NOT NULL,
    body BLOB NOT NULL,
    bodystructure BLOB NOT NULL,
    preview TEXT NOT NULL,
    parts BLOB NOT NULL
);

-- What SORT and THREAD look at; refs: ids, one a line.
CREATE TABLE fields (
    mid INTEGER PRIMARY KEY,
    sent_at INTEGER NOT NULL,
    sent_day INTEGER NOT NULL,
    subject TEXT NOT NULL,
    from_mailbox TEXT NOT NULL,
    to_mailbox TEXT NOT NULL,
    cc_mailbox TEXT NOT NULL,
    from_display TEXT NOT NULL,
    to_display TEXT NOT NULL,
    message_id TEXT NOT NULL,
    refs TEXT NOT NULL,
    base_subject TEXT NOT NULL,
    is_reply INTEGER NOT NULL
);

-- The header fields clients list mailboxes with, as they stand; NULL: they are too large.
CREATE TABLE headers (mid INTEGER PRIMARY KEY, block BLOB);
"""

#: search.db is thrown away when this differs from its user_version.
SEARCH_VERSION = 1
SEARCH_SCRIPT = """
CREATE TABLE meta (epoch TEXT NOT NULL);

-- UIDs of this folder below `uid` have been dealt with.
CREATE TABLE reached (folder INTEGER PRIMARY KEY, uid INTEGER NOT NULL);

-- Folded texts; NULL: the message could not be read.
CREATE TABLE heads (
    mid INTEGER PRIMARY KEY,
    sender BLOB,
    recipients BLOB,
    cc BLOB,
    bcc BLOB,
    subject BLOB
);

-- whole: 0 when more text than this is in the message.
CREATE TABLE texts (
    mid INTEGER PRIMARY KEY,
    whole INTEGER NOT NULL,
    header BLOB,
    body BLOB
);
CREATE INDEX text_partly ON texts (mid) WHERE whole = 0;

-- Texts that are not yet in `words`.
CREATE TABLE fresh (mid INTEGER PRIMARY KEY);

CREATE VIRTUAL TABLE words USING fts5 (
    text, content = '', detail = none, columnsize = 0, tokenize = 'trigram case_sensitive 1'
);
"""
