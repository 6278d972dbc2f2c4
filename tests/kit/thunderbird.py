"""Debian's Thunderbird without a screen, told what to do through its Marionette port.

with running_thunderbird(tmp_path) as program:
    program.run("return 1 + args[0]", 2)     # JavaScript in the program's own rights
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.ports import free_port

START_S = 60.0
ANSWER_S = 60.0

_PREFERENCES = {
    "app.donation.eoy.version.viewed": 999,
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "mail.provider.suppress_dialog_on_startup": True,
    "mail.shell.checkDefaultClient": False,
    "mail.spotlight.firstRunDone": True,
    "mail.winsearch.firstRunDone": True,
    "mailnews.start_page.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "toolkit.telemetry.enabled": False,
}


class Thunderbird:
    """A running program."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._held = b""
        self._number = 0
        self._message()
        self._command(
            "WebDriver:NewSession", {"capabilities": {"alwaysMatch": {"acceptInsecureCerts": True}}}
        )
        self._command("Marionette:SetContext", {"value": "chrome"})

    def run(self, script: str, *arguments: Any) -> Any:
        """The value of a function body; it may await, and finds its arguments in `args`."""
        wrapped = (
            "const done = arguments[arguments.length - 1]; const args = Array.from(arguments).slice(0, -1);"
            "const { MailServices } = ChromeUtils.importESModule('resource:///modules/MailServices.sys.mjs');"
            f"(async () => {{ {script} }})().then("
            "value => done({ value }), error => done({ error: String(error) + error.stack }));"
        )
        said = self._command(
            "WebDriver:ExecuteAsyncScript",
            {
                "script": wrapped,
                "args": list(arguments),
                "scriptTimeout": int(ANSWER_S * 1000),
                "sandbox": None,
            },
        )["value"]
        if "error" in said:
            raise AssertionError(said["error"])
        return said.get("value")

    def wait(self, script: str, *arguments: Any, until_s: float = 40.0) -> Any:
        """Runs it until it gives something true."""
        end = time.monotonic() + until_s
        while not (found := self.run(script, *arguments)):
            if time.monotonic() > end:
                raise AssertionError(f"Thunderbird: not within {until_s} s: {script}")
            time.sleep(0.1)
        return found

    def _command(self, name: str, parameters: dict[str, Any]) -> Any:
        self._number += 1
        data = json.dumps([0, self._number, name, parameters]).encode()
        self._sock.sendall(b"%d:%b" % (len(data), data))
        _, _, error, value = self._message()
        if error is not None:
            raise AssertionError(f"{name}: {error.get('message')}")
        return value

    def _message(self) -> Any:
        while b":" not in self._held:
            self._read()
        length, _, self._held = self._held.partition(b":")
        while len(self._held) < int(length):
            self._read()
        data, self._held = self._held[: int(length)], self._held[int(length) :]
        return json.loads(data)

    def _read(self) -> None:
        data = self._sock.recv(65_536)
        if not data:
            raise AssertionError("Thunderbird is gone")
        self._held += data


@contextlib.contextmanager
def running_thunderbird(folder: Path) -> Iterator[Thunderbird]:
    """One with a fresh profile in `folder`; skips the test when it is not installed."""
    program = shutil.which("thunderbird")
    if program is None:
        pytest.skip("thunderbird is not installed; 'make test' as root installs it")
    profile = folder / "profile"
    profile.mkdir(parents=True)
    port = free_port()
    preferences = {**_PREFERENCES, "marionette.port": port}
    (profile / "user.js").write_text(
        "".join(
            f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in preferences.items()
        )
    )
    with (folder / "thunderbird.log").open("wb") as log:
        process = subprocess.Popen(
            [program, "--headless", "--no-remote", "--profile", str(profile), "--marionette",
             "--remote-allow-system-access"],
            env={**os.environ, "HOME": str(folder), "MOZ_CRASHREPORTER_DISABLE": "1"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )  # fmt: skip
    try:
        with _connect(process, port) as sock:
            sock.settimeout(ANSWER_S + 10)
            yield Thunderbird(sock)
    finally:
        # It is a script that starts the program: both are one group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait(timeout=15)


def _connect(process: subprocess.Popen[bytes], port: int) -> socket.socket:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise AssertionError(f"thunderbird ended with {process.returncode}")
        with contextlib.suppress(OSError):
            return socket.create_connection(("127.0.0.1", port), 5)
        time.sleep(0.1)
    raise AssertionError("thunderbird opened no Marionette port")
