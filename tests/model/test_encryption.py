"""How old an encryption is."""

from __future__ import annotations

import pytest

from mailstack.model.encryption import age_of


@pytest.mark.parametrize(
    ("tls", "age"),
    [
        ("", ""),
        ("TLSv1.3 TLS_AES_256_GCM_SHA384", "current"),
        ("TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256", "current"),
        ("TLSv1.2 ECDHE-ECDSA-CHACHA20-POLY1305", "current"),
        ("TLSv1.2 AES256-GCM-SHA384", "old ciphers"),
        ("TLSv1.2 ECDHE-RSA-AES256-SHA", "old ciphers"),
        ("TLSv1.1 ECDHE-RSA-AES256-SHA", "legacy"),
        ("TLSv1 AES128-SHA", "legacy"),
    ],
)
def test_what_the_log_says_about_tls(tls: str, age: str) -> None:
    # RFC 8996, RFC 9325
    assert age_of(tls) == age
