"""Promotions and social: what good mail is about."""
