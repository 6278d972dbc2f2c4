"""Crash-proof files, SQLite, migrations, fault points.  Blocking."""
