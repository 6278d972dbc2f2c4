"""The mailstack command, one file per group, no logic."""
