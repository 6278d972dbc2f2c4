"""The ManageSieve server, without sockets, files or clock."""
