"""Sockets: listener, servers, clients, resolver, TLS, bus, systemd."""
