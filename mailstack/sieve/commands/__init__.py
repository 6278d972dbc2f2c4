"""One file per Sieve command or extension."""
