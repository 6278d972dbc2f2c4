"""Mail of our users without a key to sign it: it waits, unless the operator wants it to leave."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.smtp_workers import Workers, two_workers

KEYS = {
    "missing": "DELETE FROM dkim_key",
    "waiting": "UPDATE dkim_key SET signs_at = NULL",
    "retired": "UPDATE dkim_key SET retired_at = signs_at",
    "no octets": "UPDATE dkim_key SET sealed = x''",
    "damaged": "UPDATE dkim_key SET sealed = sealed || x'00'",
    "of another master key": "UPDATE dkim_key SET master_id = 'other'",
}


def spoil(kit: Workers, how: str) -> None:
    with kit.instance.writer() as writer, writer.transaction() as cursor:
        cursor.execute(KEYS[how])


@pytest.mark.parametrize("how", KEYS)
async def test_d26_without_a_usable_key_mail_waits_and_the_log_says_why(
    how: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with two_workers(tmp_path) as kit:
        spoil(kit, how)
        said = await kit.data("x@far.test")
        assert said.startswith("451 4.3.0 ")
        assert kit.queued() == []
        assert "example.test" in caplog.text + kit.log.getvalue()


@pytest.mark.parametrize("how", KEYS)
async def test_d26_the_operator_may_let_it_leave_unsigned(how: str, tmp_path: Path) -> None:
    async with two_workers(tmp_path, "[dkim]\nunsigned = true\n") as kit:
        spoil(kit, how)
        assert (await kit.data("x@far.test")).startswith("250 ")
        assert ("x@far.test", "submission") in kit.queued()
