"""Domains, accounts, persons, credentials, aliases: repositories with plain SQL.  Blocking."""
