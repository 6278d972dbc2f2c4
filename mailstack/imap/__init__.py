"""IMAP4rev1, pure: parser, session, one file per command, response."""
