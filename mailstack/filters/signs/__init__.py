"""Signs of fraud: who a message claims to be, where it comes from, where it leads, what it wants."""
