"""Small tables that outlive a restart: mail log, throttle, reputation.  Blocking."""
