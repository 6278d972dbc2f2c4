"""The POP3 server, without sockets, files or clock."""
