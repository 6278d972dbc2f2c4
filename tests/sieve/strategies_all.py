"""Random scripts over every extension, and messages with parts for them to work on."""

from __future__ import annotations

from hypothesis import strategies as st

from mailstack.sieve import Registry
from tests.sieve.strategies import FIELD_TEXT, MATCHES, PARTS

#: All there are; `include` finds the scripts of `Everything`.
REQUIRE = "require [" + ", ".join(f'"{name}"' for name in Registry.standard().capabilities()) + "];\n"

WORDS = st.sampled_from(
    ["", "a", "x*", "*?", "from", "tim@example.com", "é", "../x", "INBOX", "a" * 300, "${a}", "${1}${2}",
     "${b}${b}", "${hex:41}", "${global.g}", "x\\r\\ny", "(a|b)+", "[a-z]{1,30}", "1", "0", "\\\\Seen x"]
)  # fmt: skip
STRINGS = WORDS.map(lambda word: f'"{word}"')
LISTS = st.one_of(
    STRINGS, st.lists(STRINGS, min_size=1, max_size=3).map(lambda words: f"[{', '.join(words)}]")
)
COMPARISONS = st.one_of(
    MATCHES,
    st.sampled_from([
        ':regex ', ':value "ge" ', ':count "gt" :comparator "i;ascii-numeric" ',
        ':comparator "i;unicode-casemap" :matches ', ':value "lt" :comparator "i;ascii-numeric" ',
    ]),
)  # fmt: skip
FIELDS = st.sampled_from(['"from"', '["to", "cc"]', '"subject"', '"x"', '"content-type"', '"received"'])
PLACES = st.sampled_from(["", ":index 1 ", ":index 2 :last ", ":mime ", ":mime :anychild "])
OPTIONS = st.sampled_from(["", ":mime :type ", ":mime :subtype ", ':mime :param ["name", "charset"] '])
NAMES = st.sampled_from(['"a"', '"b"', '"c"'])
NUMBERS = st.sampled_from(["0", "1", "7", "100K", "4294967296"])
DATE_PARTS = st.sampled_from(['"year"', '"weekday"', '"iso8601"', '"std11"', '"zone"', '"julian"'])
ADDRESSES = st.sampled_from(
    [
        '"a1@b.example"',
        '"a2@b.example"',
        '"Me <me@example.net>"',
        '"${a}"',
        '"a3@b.example"',
        '"a4@b.example"',
    ]
)
URIS = st.sampled_from(['"mailto:a@b.example"', '"mailto:a@b.example?subject=x&body=%0d%0ay"', '"${a}"'])

LEAVES = st.one_of(
    st.sampled_from(["true", "false", "size :over 10", "size :under 1M", "duplicate", 'ihave "copy"']),
    st.builds(
        lambda m, p, o, f, k: f"header {m}{o or p}{f} {k}", COMPARISONS, PLACES, OPTIONS, FIELDS, LISTS
    ),
    st.builds(lambda m, a, p, k: f'address {m}{a}{p}["from", "to"] {k}', COMPARISONS, PARTS, PLACES, LISTS),
    st.builds(lambda m, p, k: f'envelope {m}{p}["from", "notify"] {k}', COMPARISONS, PARTS, LISTS),
    st.builds(lambda m, p, k: f'address {m}{p}"to" {k}', COMPARISONS,
              st.sampled_from([":user ", ":detail "]), LISTS),
    st.builds(lambda m, t, k: f"body {m}{t}{k}", COMPARISONS,
              st.sampled_from(["", ":raw ", ":text ", ':content ["text", ""] ']), LISTS),
    st.builds(lambda m, d, k: f'date {m}:originalzone "received" {d} {k}', COMPARISONS, DATE_PARTS, LISTS),
    st.builds(lambda m, d, k: f'currentdate {m}:zone "+0230" {d} {k}', COMPARISONS, DATE_PARTS, LISTS),
    st.builds(lambda m, s, k: f"string {m}{s} {k}", COMPARISONS, LISTS, LISTS),
    st.builds(lambda m, k: f"hasflag {m}{k}", COMPARISONS, LISTS),
    st.builds(lambda m, k: f'environment {m}"domain" {k}', COMPARISONS, LISTS),
    st.builds(lambda m, s: f"spamtest {m}{s}", COMPARISONS, STRINGS),
    st.builds(lambda m, s: f"spamtest :percent {m}{s}", COMPARISONS, STRINGS),
    st.builds(lambda m, s: f"virustest {m}{s}", COMPARISONS, STRINGS),
    st.builds(lambda n, s, x: f"duplicate {n}{s}{x}", st.sampled_from(["", ":last "]),
              st.sampled_from(["", ":seconds 60 "]), STRINGS.map(lambda s: f":uniqueid {s}")),
    st.builds(lambda m, s, k: f'metadata {m}{s} "/private/x" {k}', COMPARISONS, STRINGS, LISTS),
    LISTS.map(lambda k: f"mailboxexists {k}"),
    LISTS.map(lambda k: f"mailboxidexists {k}"),
    LISTS.map(lambda k: f"valid_notify_method {k}"),
    LISTS.map(lambda k: f"valid_ext_list {k}"),
    FIELDS.map(lambda f: f'address :list {f} [":addrbook:default", "tag:x:y"]'),
    STRINGS.map(lambda s: f'specialuse_exists {s} "\\\\Junk"'),
    st.builds(lambda p, f: f"exists {p}{f}", st.sampled_from(["", ":mime ", ":mime :anychild "]), FIELDS),
)  # fmt: skip
TESTS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        inner.map(lambda test: f"not {test}"),
        st.builds(
            lambda kind, tests: f"{kind} ({', '.join(tests)})",
            st.sampled_from(["anyof", "allof"]),
            st.lists(inner, min_size=1, max_size=3),
        ),
    ),
    max_leaves=4,
)
COPY = st.sampled_from(["", ":copy "])
FLAGS = st.sampled_from(["", ':flags "\\\\Seen" ', ':flags ["${a}", "$x"] '])
FCC = st.sampled_from(["", ':fcc "Sent" ', ':fcc "Sent" :create :flags "\\\\Seen" '])
MODIFIERS = st.sampled_from(
    ["", ":lower ", ":length ", ":quotewildcard ", ":quoteregex :upper ", ":encodeurl "]
)
ACTIONS = st.one_of(
    st.sampled_from(["keep;", "discard;", "stop;", "return;", 'error "x";', 'include "one";']),
    FLAGS.map(lambda f: f"keep {f};"),
    st.builds(lambda c, n, a: f"redirect {c}{n}{a};", COPY,
              st.sampled_from(["", ':notify "NEVER" :ret "HDRS" ']), ADDRESSES),
    st.just('redirect :list ":addrbook:default";'),
    st.builds(lambda c, f, x, m: f"fileinto {c}{f}{x}{m};", COPY, FLAGS,
              st.sampled_from(["", ":create ", ':specialuse "\\\\Junk" ', ':mailboxid "i" ']), STRINGS),
    st.builds(lambda kind, s: f"{kind} {s};", st.sampled_from(["reject", "ereject"]), STRINGS),
    st.builds(lambda f, d, s: f"vacation {f}{d}{s};", FCC,
              st.sampled_from(["", ":days 3 ", ":seconds 0 ", ":mime ", ':handle "h" ', ':subject "${a}" ']),
              STRINGS),
    st.builds(lambda f, m, u: f"notify {f}{m}{u};", FCC,
              st.sampled_from(["", ':message "${a}" ', ':importance "1" ', ':from "a@b.example" ']), URIS),
    st.builds(lambda m, n, s: f"set {m}{n} {s};", MODIFIERS, NAMES, STRINGS),
    st.builds(lambda kind, f: f"{kind} {f};", st.sampled_from(["setflag", "addflag", "removeflag"]), LISTS),
    st.builds(lambda kind, n, f: f"{kind} {n} {f};", st.sampled_from(["setflag", "addflag"]), NAMES, LISTS),
    st.builds(lambda last, s: f'addheader {last}"X-A" {s};', st.sampled_from(["", ":last "]), STRINGS),
    st.builds(lambda i, f: f"deleteheader {i}{f};", st.sampled_from(["", ":index 1 "]),
              st.sampled_from(['"subject"', '"received"', '"x"', '"${a}"'])),
    st.builds(lambda m, s: f"replace {m}{s};", st.sampled_from(["", ":mime ", ':subject "s" ']), STRINGS),
    STRINGS.map(lambda s: f'enclose :subject "s" :headers ["to"] {s};'),
)  # fmt: skip
IN_LOOP = st.one_of(
    st.just("break;"),
    st.builds(lambda m, n: f"extracttext {m}:first 20 {n};", MODIFIERS, NAMES),
    STRINGS.map(lambda s: f"replace {s};"),
)


def _nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds(
            lambda test, block, rest: f"if {test} {{ {' '.join(block)} }}{rest}",
            TESTS,
            st.lists(inner, max_size=3),
            st.one_of(st.just(""), inner.map(lambda command: f" else {{ {command} }}")),
        ),
        st.builds(
            lambda block, last: f"foreverypart {{ {' '.join(block)} {last} }}",
            st.lists(inner, max_size=3),
            IN_LOOP,
        ),
    )


COMMANDS = st.recursive(ACTIONS, _nested, max_leaves=8)
EVERYTHING = st.lists(COMMANDS, min_size=1, max_size=10).map(lambda commands: REQUIRE + "\n".join(commands))

INNER = [
    b"Content-Type: text/plain; charset=utf-8\r\n\r\nword \xc3\xa9 ${a}",
    b"Content-Type: text/html\r\n\r\n<p>one<br>two",
    b"Content-Type: application/pdf; name=x.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nAAA=",
    b"Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ntext",
    b"Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c\r\n\r\ny\r\n--c--",
    b"no header at all",
    b"",
]
WITH_PARTS = st.builds(
    lambda fields, parts, end: (
        b"\r\n".join([*fields, b'Content-Type: multipart/mixed; boundary="b"', b"", b"before"])
        + b"".join(b"\r\n--b\r\n" + part for part in parts)
        + end
    ),
    st.lists(FIELD_TEXT.filter(lambda field: b":" in field), max_size=5),
    st.lists(st.sampled_from(INNER), max_size=4),
    st.sampled_from([b"\r\n--b--\r\n", b"\r\n--b--", b"", b"\r\n--b"]),
)


class Everything:
    """Whatever a context can be asked for."""

    SCRIPTS = {  # noqa: RUF012
        "one": 'require ["include", "variables", "editheader"]; global "a"; set "a" "${a}x";'
        ' addheader "X-One" "1"; return;',
    }

    def __init__(self) -> None:
        self.ids: set[str] = set()

    def get_script(self, name: str, location: str) -> bytes | None:
        source = self.SCRIPTS.get(name)
        return None if source is None else source.encode()

    def exists(self, name: str) -> bool:
        return len(name) < 4

    def create(self, name: str) -> bool:
        return True

    def special_use(self, name: str) -> list[str]:
        return ["\\Junk"]

    def get_metadata(self, name: str, entry: str) -> str | None:
        return name or None

    def by_id(self, id_: str) -> str | None:
        return "By id" if id_ == "i" else None

    def seen(self, id_: str, ttl_s: int) -> bool:
        return id_ in self.ids

    def mark(self, id_: str, ttl_s: int) -> None:
        self.ids.add(id_)

    def lookup(self, list_: str, value: str) -> bool:
        return "tim" in value

    def members(self, list_: str) -> list[str] | None:
        return ["l1@b.example", "l2@b.example", "not an address"]
