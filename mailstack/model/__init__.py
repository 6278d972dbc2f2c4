"""Words everyone speaks: address, reply, envelope, verdict, outcome, errors.  Frozen values, no I/O."""
