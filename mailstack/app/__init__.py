"""Wiring: the daemons, the supervisor, configuration."""
