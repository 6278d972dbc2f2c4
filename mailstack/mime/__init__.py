"""Reading messages: header, one-pass scanner, structure, encodings, dates.  Pure."""
