"""SMTP, pure: session, command, data, reply texts, extensions, policy, client."""
