"""The Sieve engine (RFC 5228): compile, run, result, execute.  Pure; a library others can embed."""
