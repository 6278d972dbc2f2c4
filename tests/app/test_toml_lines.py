"""On which line a key stands."""

from __future__ import annotations

from mailstack.app.toml_lines import find_lines, line_of

TEXT = '''\
# server.hostname = "comment"
top = 1
[server]  # the machine
hostname = "a = b"
"quoted key" = 1
text = """
workers = 3
"""
workers = 4
[ queue . "x" ]
y.z = 1
[[queue.route]]
domain = "a"
[[queue.route]]
domain = "b"
'''


def test_keys_are_found_where_they_first_stand() -> None:
    lines = find_lines(TEXT)
    assert lines == {
        "top": 2,
        "server": 3,
        "server.hostname": 4,
        "server.quoted key": 5,
        "server.text": 6,
        "server.workers": 9,
        "queue": 10,
        "queue.x": 10,
        "queue.x.y": 11,
        "queue.x.y.z": 11,
        "queue.route": 12,
        "queue.route.domain": 13,
    }


def test_unknown_key_stands_on_the_line_of_its_table() -> None:
    lines = find_lines(TEXT)
    assert line_of(lines, "server.nothing.here") == 3
    assert line_of(lines, "nowhere.at.all") == 0
