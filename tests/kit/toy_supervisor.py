"""`mailstack up` with toy daemons: `python -m tests.kit.toy_supervisor CONFIG PIDS_FILE`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from mailstack.app import logs
from mailstack.app.config import load_config
from mailstack.app.supervisor import Helper, Supervisor, bind_all
from mailstack.disk.durable import replace_text


def main() -> None:
    """Supervises smtp and imap, and a helper that only sleeps."""
    file, pids_file = Path(sys.argv[1]), Path(sys.argv[2])
    config = load_config(file)
    os.umask(0o077)
    logs.set_up("up")
    config.paths.run.mkdir(exist_ok=True)
    sockets = bind_all(config)
    supervisor = Supervisor(
        config.paths.run,
        command=lambda role: [sys.executable, "-m", "tests.kit.toy_daemon", str(file), role],
        sockets={role: sockets[role] for role in ("smtp", "imap")},
        grace_s=config.server.stop_grace_s + 1.5,
        changed=lambda pids: replace_text(pids_file, json.dumps(pids)),
        helpers=[Helper("helper", (sys.executable, "-m", "tests.kit.toy_helper"))],
    )
    sys.exit(supervisor.run())


if __name__ == "__main__":
    main()
