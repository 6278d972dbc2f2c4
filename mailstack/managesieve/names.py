"""Names of scripts as a client writes them.

Standards: RFC 5804 section 1.6, RFC 5198 section 2 (Net-Unicode).
Imports: errors.  No I/O.
"""

from __future__ import annotations

import unicodedata

from mailstack.managesieve.errors import Refused


def script_name(octets: bytes) -> str:
    """The name; what else may not stand in it, whoever stores it knows.

    Raises:
        Refused: not UTF-8, or another spelling (NFD) of what NFC writes: two scripts would
            look the same in every list (T66).
    """
    try:
        name = octets.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("The name of the script is not UTF-8") from None
    if not unicodedata.is_normalized("NFC", name):
        raise Refused("The name of the script is not in Unicode's composed form (NFC)")
    return name
