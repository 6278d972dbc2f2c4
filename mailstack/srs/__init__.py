"""Sender Rewriting Scheme: SRS0/SRS1 tokens and rewriting.  Pure."""
