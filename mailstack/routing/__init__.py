"""From a recipient address to where it goes.  Pure."""
