"""Random scripts that mostly compile, and random messages."""

from __future__ import annotations

from hypothesis import strategies as st

REQUIRE = 'require ["fileinto", "envelope", "copy", "encoded-character"];\n'

WORDS = st.sampled_from(
    ["", "a", "x*", "*?", "from", "tim@example.com", "${hex:41}", "\\\\*", "é", "../x", "INBOX", "a" * 300]
)
STRINGS = WORDS.map(lambda word: f'"{word}"')
LISTS = st.one_of(
    STRINGS, st.lists(STRINGS, min_size=1, max_size=3).map(lambda words: f"[{', '.join(words)}]")
)
MATCHES = st.sampled_from(["", ":is ", ":contains ", ":matches ", ':comparator "i;octet" '])
PARTS = st.sampled_from(["", ":all ", ":localpart ", ":domain "])
FIELDS = st.sampled_from(['"from"', '["to", "cc"]', '"subject"', '"x"'])
ADDRESSES = st.sampled_from([f'"a{n}@b.example"' for n in range(7)])

LEAVES = st.one_of(
    st.sampled_from(["true", "false", "size :over 10", "size :under 1M"]),
    st.builds(lambda m, f, k: f"header {m}{f} {k}", MATCHES, FIELDS, LISTS),
    st.builds(lambda m, p, k: f'address {m}{p}["from", "to"] {k}', MATCHES, PARTS, LISTS),
    st.builds(lambda m, p, k: f'envelope {m}{p}"from" {k}', MATCHES, PARTS, LISTS),
    FIELDS.map(lambda f: f"exists {f}"),
)
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
    max_leaves=5,
)
ACTIONS = st.one_of(
    st.sampled_from(["keep;", "discard;", "stop;"]),
    st.builds(lambda c, a: f"redirect {c}{a};", st.sampled_from(["", ":copy "]), ADDRESSES),
    st.builds(lambda c, m: f"fileinto {c}{m};", st.sampled_from(["", ":copy "]), STRINGS),
)
COMMANDS = st.recursive(
    ACTIONS,
    lambda inner: st.builds(
        lambda test, block, rest: f"if {test} {{ {' '.join(block)} }}{rest}",
        TESTS,
        st.lists(inner, max_size=3),
        st.one_of(
            st.just(""),
            inner.map(lambda command: f" else {{ {command} }}"),
            st.builds(lambda test, command: f" elsif {test} {{ {command} }}", TESTS, inner),
        ),
    ),
    max_leaves=8,
)
SCRIPTS = st.lists(COMMANDS, max_size=8).map(lambda commands: REQUIRE + "\n".join(commands))

FIELD_TEXT = st.sampled_from(
    [b"From: Tim <tim@example.com>", b"From: junk", b"To: a@b.example, =?utf-8?q?x?=", b"Subject: a*?",
     b"Subject: =?utf-8?b?w6k=?=", b"X:", b"X: \xff\0", b"no colon", b" continued", b"Received: x",
     b"X-Sieve-Redirected-From: me@example.net", b"Message-ID: <1@a>"]
)  # fmt: skip
MESSAGES = st.one_of(
    st.binary(max_size=200),
    st.builds(
        lambda fields, end, body: end.join(fields) + end + end + body,
        st.lists(FIELD_TEXT, max_size=8),
        st.sampled_from([b"\r\n", b"\n"]),
        st.binary(max_size=30),
    ),
)
ENVELOPES = st.sampled_from([None, "", "<>", "tim@example.com", "junk", "<@r.example:a@b.example>", "é@x"])

NAMES = ["if ", "elsif ", "else ", "require ", "keep", "discard", "stop", "redirect ", "fileinto ", "header "]
NAMES += [
    "address ",
    "envelope ",
    "exists ",
    "size ",
    "true",
    "false",
    "not ",
    "allof",
    "anyof",
    "_x",
    "text:\n",
]
MARKS = [*';,{}()[]"\\#$ é\n\r\0', "\r\n", "/*", "*/", "\n.\n", "\ufeff", "\udcff"]
TAGS = [":is ", ":contains ", ":matches ", ":comparator ", ":over ", ":copy ", ":x"]
VALUES = ['"a"', '"fileinto"', '"encoded-character"', '"i;octet"', "5", "10K", "99999999999999999999"]
VALUES += ["${hex:ff}", "${unicode:d800}"]
TOKENS = st.sampled_from([*NAMES, *MARKS, *TAGS, *VALUES])
SOURCES = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=100),
    st.lists(TOKENS, max_size=60).map("".join),
    st.tuples(SCRIPTS, st.integers(0, 400), TOKENS).map(lambda t: t[0][: t[1]] + t[2] + t[0][t[1] :]),
)
