"""ARC seals are a help, never a reason not to take a message."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mailstack.app import sealing
from mailstack.model.envelope import Body

LETTER = b"ARC-Seal: i=1; a=rsa-sha256; cv=none\r\nFrom: a@b.test\r\n\r\nx\r\n"


class Broken:
    """A resolver that fails at once."""

    def new_budget(self) -> Any:
        raise ValueError("a mistake of ours")


async def test_a_chain_that_cannot_be_verified_leaves_the_mail_without_a_seal(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # P10
    with ThreadPoolExecutor(1) as threads:
        body = Body(LETTER, "", len(LETTER))
        found = await sealing.find_chain(body, resolver=Broken(), threads=threads, now=0.0)  # type: ignore[arg-type]
    assert found is None
    assert "sent on without a seal" in caplog.text
