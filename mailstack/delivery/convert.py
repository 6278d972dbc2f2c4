"""A message for a server that takes 7-bit mail only.

What others wrote is never changed; what we or our users wrote may be, as long as nobody has
signed its parts.  A DKIM signature over it is lost with that, which is better than the mail.

Standards: RFC 6152 section 3, RFC 3030 section 3.
"""

from __future__ import annotations

from typing import Final

from mailstack.delivery.spool import Content
from mailstack.mime import refold, sevenbit

#: Kinds of mail that come from here.
OWN: Final = ("submission", "dsn", "vacation")
#: Larger ones are not held in memory for this; they fail as what cannot be converted does.
MAX_OCTETS: Final = 52_428_800


def seven_bit(content: Content) -> Content:
    """The message in ASCII, when that can be done; else as it is.

    Raises:
        TemporaryFailure: the file cannot be read.
    """
    data = content.read()
    plan = sevenbit.make_plan(data)
    block = refold.put_right(data[: plan.body_at], fields=plan.fields)
    made = b"".join((block, *sevenbit.write_body(data, plan)))
    if not made.isascii() or b"\0" in made:
        return content
    return Content(made, content.path, len(made))
