"""The protocols between a service and its manager."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from mailstack.model.errors import ConfigError
from mailstack.net import systemd
from tests.kit.process import Process, python


def test_what_a_service_says_arrives(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        assert systemd.notify("READY=1", "STATUS=all well", environ={"NOTIFY_SOCKET": f"{tmp_path}/notify"})
        assert systemd.parse_state(manager.recv(4096)) == {"READY": "1", "STATUS": "all well"}


def test_an_abstract_socket_is_reached() -> None:
    name = f"mailstack-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name)
        assert systemd.notify("READY=1", environ={"NOTIFY_SOCKET": f"@{name}"})
        assert manager.recv(4096) == b"READY=1"


@pytest.mark.parametrize("address", ["", "/nowhere/at/all", "@nobody-listens-here"])
def test_nobody_to_tell_is_no_error(address: str) -> None:
    assert not systemd.notify("READY=1", environ={"NOTIFY_SOCKET": address})


def test_lines_without_an_equals_sign_are_left_out() -> None:
    assert systemd.parse_state(b"\xff\nREADY=1\n=\nA=b=c") == {"READY": "1", "": "", "A": "b=c"}


def test_sockets_of_another_process_are_not_ours() -> None:
    environ = {"LISTEN_PID": "1", "LISTEN_FDS": "1"}
    assert systemd.inherited_sockets(environ, pid=2) == {}
    assert environ == {}, "the variables must not reach our children"


def test_no_variables_no_sockets() -> None:
    assert systemd.inherited_sockets({}) == {}


@pytest.mark.parametrize(
    "environ",
    [
        {"LISTEN_FDS": "x"},
        {"LISTEN_FDS": "-1"},
        {"LISTEN_FDS": "257"},
        {"LISTEN_FDS": "99999999999999999999"},
        {"LISTEN_FDS": "²"},
        {"LISTEN_FDS": "2", "LISTEN_FDNAMES": "mx"},
        {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "mx:imap"},
    ],
    ids=str,
)
def test_variables_that_contradict_each_other_are_refused(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="LISTEN_FD"):
        systemd.inherited_sockets({"LISTEN_PID": "7", **environ}, pid=7)


PROGRAM = """
import os, sys
from mailstack.net.systemd import inherited_sockets
os.environ["LISTEN_PID"] = str(os.getpid())
found = inherited_sockets()
print({name: [s.getsockname()[1] for s in many] for name, many in found.items()})
handed_on = [os.get_inheritable(s.fileno()) for many in found.values() for s in many]
print(handed_on, os.environ.get("LISTEN_FDS"))
"""


def test_sockets_come_by_name_and_do_not_go_on_to_children() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        variables, fds = systemd.listen_environment({"mx": [one], "imap": [two]})
        shell = f"exec 3<&{fds[0]} 4<&{fds[1]}; exec {python()[0]} -c '{PROGRAM}'"
        process = Process(["bash", "-c", shell], environ=variables, pass_fds=fds)
        assert process.wait() == 0, process.output
        ports = [one.getsockname()[1], two.getsockname()[1]]
    assert process.output.splitlines() == [
        str({"mx": [ports[0]], "imap": [ports[1]]}),
        "[False, False] None",
    ]


def test_a_descriptor_that_is_no_socket_is_named() -> None:
    program = PROGRAM.replace("os.environ[", "os.dup2(1, 3); os.environ[")
    process = Process(python("-c", program), environ={"LISTEN_FDS": "1", "LISTEN_FDNAMES": "mx"})
    assert process.wait() == 1
    assert "LISTEN_FDS: descriptor 3 (mx)" in process.output


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "5"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "6"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
    ids=str,
)
def test_the_watchdog_is_ours_only_when_it_says_so(environ: dict[str, str], seconds: float | None) -> None:
    assert systemd.watchdog_s(environ, pid=5) == seconds


def test_the_journal_is_known_by_its_inode(tmp_path: Path) -> None:
    with (tmp_path / "stream").open("wb") as stream:
        state = os.fstat(stream.fileno())
        mine = {"JOURNAL_STREAM": f"{state.st_dev}:{state.st_ino}"}
        assert systemd.under_journal(stream.fileno(), mine)
        assert not systemd.under_journal(stream.fileno(), {"JOURNAL_STREAM": "1:1"})
        assert not systemd.under_journal(stream.fileno(), {})
    assert not systemd.under_journal(9999, mine)
