"""What EHLO announces."""

from __future__ import annotations

from mailstack.smtp.extensions import Offer, ehlo


def test_only_facts_are_announced() -> None:
    bare = ehlo(Offer("mx.test", 1000, 100)).to_bytes()
    assert bare == (
        b"250-mx.test\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n"
        b"250-LIMITS RCPTMAX=100\r\n250 HELP\r\n"
    )
    everything = ehlo(
        Offer(
            "mx.test",
            1000,
            10,
            messages=5,
            starttls=True,
            auth=("PLAIN", "LOGIN"),
            chunking=True,
            binarymime=True,
            smtputf8=True,
            dsn=True,
            requiretls=True,
        )
    ).to_bytes()
    for line in (
        b"250-CHUNKING\r\n",
        b"250-BINARYMIME\r\n",
        b"250-REQUIRETLS\r\n",
        b"250-SMTPUTF8\r\n",
        b"250-DSN\r\n",
        b"250-STARTTLS\r\n",
        b"250-AUTH PLAIN LOGIN\r\n",
        b"250-AUTH=LOGIN PLAIN\r\n",
        b"250-LIMITS MAILMAX=5 RCPTMAX=10\r\n",
    ):
        assert line in everything
