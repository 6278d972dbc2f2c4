"""Names of hints: what smtp knows beside a message and the filter weighs.  Imports nothing."""

from __future__ import annotations

from typing import Final

#: A bounce of something we never sent is Spam, whatever stands in it (product page, section 2.4).
BACKSCATTER: Final = "backscatter"
#: Spam traps were hit from the client's network.
TRAP_NETWORK: Final = "trap_network"
#: A message that somebody signed once comes again and again, from anywhere (T24).
REPLAY: Final = "dkim_replay"
#: A bounce has one recipient.
BOUNCE_RECIPIENTS: Final = "bounce_recipients"
#: The message carries a one-time code; said only when asked for.
ONE_TIME_CODE: Final = "one_time_code"
