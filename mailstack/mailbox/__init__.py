"""Maildir++, account.db (durable facts), cache.db (ready-made texts), store.  Blocking."""
