"""The start-up self-test: it passes here, and says so when it does not."""

from __future__ import annotations

import pytest

from mailstack.app import selftest


def test_this_python_behaves_as_assumed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert selftest.run()
    assert len(caplog.records) == 1 and "behaves as assumed (5 checks)" in caplog.text


def test_what_differs_is_named(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def _sky_is_blue() -> bool:
        return False

    monkeypatch.setattr(selftest, "CHECKS", (*selftest.CHECKS, _sky_is_blue))
    assert not selftest.run()
    assert "differs: sky_is_blue" in caplog.text
