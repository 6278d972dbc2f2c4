"""mailstack: a complete mail service in one package.

The map is docs/architecture.md; the way of a message is docs/flow.md.
"""

__version__ = "0.1.0"
