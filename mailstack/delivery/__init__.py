"""Carrying actions out: local delivery, spool, queue, schedule, remote, DSN.  Blocking."""
