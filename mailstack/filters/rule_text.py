"""Rules as data, written as Sieve a person can read, between two marker lines.

The text is made anew from the data whenever it is needed and runs before the owner's own
script.  Values are quoted, so whatever somebody types stays a value.

Standards: RFC 5228, RFC 5173 (body), RFC 5183 (environment), RFC 5232 (flags),
RFC 5490 (:create), RFC 5703 (attachments), RFC 3894 (:copy).
Imports: model.  No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from mailstack.model.rules import Action, Choice, Condition, Plan, Rule

BEGIN = "# mailstack rules: begin (made with a page or 'mailstack rule'; change them there)"
END = "# mailstack rules: end"
#: What the environment calls the class of a message: ham, spam, promotions or social.
CLASS_ITEM = "vnd.mailstack.class"

_HEAD = re.compile(r"# \d+\. ")
_FIELDS = {
    "from": ("from",),
    "to": ("to",),
    "cc": ("cc",),
    "recipient": ("to", "cc"),
    "subject": ("subject",),
}
_FLAGS = {"mark-read": "\\Seen", "flag": "\\Flagged"}


def script(rules: Sequence[Rule], *, spam: bool = False) -> bytes:
    """The script of an account's rules; b"" when none of them runs.

    Args:
        rules: all of them, in their order; those switched off are only named.
        spam: of what goes to Spam, for which only rules marked "also for spam" run.
    """
    running = [rule for rule in rules if rule.enabled and (rule.plan.also_spam or not spam)]
    if not running:
        return b""
    needs: set[str] = set()
    blocks = [_block(rule, needs) if rule in running else _off(rule, spam=spam) for rule in rules]
    require = f"require {_strings(sorted(needs))};\n\n" if needs else ""
    return f"{BEGIN}\n{require}{''.join(blocks)}{END}\n".encode()


def rule_at(source: bytes, line: int) -> str:
    """Number and name of the rule to which a line of the script belongs, counted from 1; "": to none."""
    for text in reversed(source.decode("utf-8", "replace").split("\n")[:line]):
        if _HEAD.match(text):
            return text.removeprefix("# ")
    return ""


def _off(rule: Rule, *, spam: bool) -> str:
    why = "not for spam" if spam and rule.enabled else "switched off"
    return f"# {rule.number}. {rule.name}: {why}\n\n"


def _block(rule: Rule, needs: set[str]) -> str:
    origin = f" (from the template {rule.template})" if rule.template else ""
    commands = "".join(f"    {command}\n" for command in _commands(rule.plan, needs))
    return f"# {rule.number}. {rule.name}{origin}\nif {_choice(rule.plan.choice, needs)} {{\n{commands}}}\n\n"


# -- conditions ---------------------------------------------------------------------


def _choice(choice: Choice, needs: set[str]) -> str:
    tests = [_test(one, needs) for one in choice.conditions]
    if len(tests) == 1:
        return tests[0]
    inner = ",\n".join(f"    {test}" for test in tests)
    return f"{'anyof' if choice.any_of else 'allof'} (\n{inner}\n)"


def _test(one: Condition, needs: set[str]) -> str:
    return ("not " if one.negated else "") + _positive(one, needs)


def _positive(one: Condition, needs: set[str]) -> str:
    match one.subject:
        case "size":
            return f"size :{one.how} {one.value.upper()}"
        case "class":
            needs.add("environment")
            return f"environment :is {_quoted(CLASS_ITEM)} {_quoted(one.value)}"
        case "body":
            needs.add("body")
            return f"body :text :contains{_comparator(one, needs)} {_quoted(one.value)}"
        case "written-to":
            needs.add("envelope")
            return f'envelope :all :is{_comparator(one, needs)} "to" {_quoted(one.value)}'
        case "attachment":
            return _attachment(one, needs)
        case "header" if one.how == "exists":
            return f"exists {_quoted(one.header)}"
        case "header":
            return f"header {_match(one, needs, [one.header])}"
        case _:
            return _field(one, needs)


def _field(one: Condition, needs: set[str]) -> str:
    fields = _FIELDS[one.subject]
    if one.subject == "subject" or one.how != "is":
        # The name beside the address counts, as a reader sees it.
        return f"header {_match(one, needs, fields)}"
    if one.value.startswith("@"):
        domain = Condition(one.subject, "is", one.value[1:])
        return f"address :domain {_match(domain, needs, fields)}"
    return f"address :all {_match(one, needs, fields)}"


def _attachment(one: Condition, needs: set[str]) -> str:
    needs.add("mime")
    if one.how == "exists":
        return 'header :mime :anychild :matches "content-disposition" "attachment*"'
    names = 'header :mime :anychild :param ["filename", "name"] '
    return names + _match(one, needs, ("content-disposition", "content-type"))


def _match(one: Condition, needs: set[str], fields: Sequence[str]) -> str:
    value, how = one.value, one.how
    if how in ("begins", "ends"):
        literal = "".join(f"\\{c}" if c in "*?\\" else c for c in value)
        value, how_word = (f"{literal}*" if how == "begins" else f"*{literal}"), "matches"
    else:
        how_word = how
    return f":{how_word}{_comparator(one, needs)} {_strings(fields)} {_quoted(value)}"


def _comparator(one: Condition, needs: set[str]) -> str:
    """Letters beyond ASCII are compared without case too; the default knows ASCII alone."""
    if one.value.isascii():
        return ""
    needs.add("comparator-i;unicode-casemap")
    return ' :comparator "i;unicode-casemap"'


# -- actions ------------------------------------------------------------------------


def _commands(plan: Plan, needs: set[str]) -> Iterable[str]:
    """Flags first, so that every copy has them; what takes the message away last."""
    by_deed: dict[str, list[Action]] = {}
    for one in plan.actions:
        by_deed.setdefault(one.deed, []).append(one)
    flags = [_FLAGS.get(one.deed, one.value) for one in plan.actions if one.deed in (*_FLAGS, "label")]
    if flags:
        needs.add("imap4flags")
        yield f"addflag {_strings(list(dict.fromkeys(flags)))};"
    yield from (_fileinto(one, needs, ":copy :create") for one in by_deed.get("copy", ()))
    yield from _forwards(by_deed, needs)
    for one in by_deed.get("move", ()):
        yield _fileinto(one, needs, ":create")
    if "keep" in by_deed:
        yield "keep;"
    if "discard" in by_deed and "forward" not in by_deed:
        yield "discard;"
    if plan.stop:
        yield "stop;"


def _forwards(by_deed: dict[str, list[Action]], needs: set[str]) -> Iterable[str]:
    # Without a copy the redirect itself takes the message away: where it cannot be sent on,
    # it is kept; a discard beside it would throw it away.
    copy = "" if "discard" in by_deed else ":copy "
    for one in by_deed.get("forward", ()):
        if copy:
            needs.add("copy")
        yield f"redirect {copy}{_quoted(one.value)};"


def _fileinto(one: Action, needs: set[str], tags: str) -> str:
    needs.update({"fileinto", "mailbox"})
    if ":copy" in tags:
        needs.add("copy")
    return f"fileinto {tags} {_quoted(one.value)};"


# -- words --------------------------------------------------------------------------


def _strings(values: Sequence[str]) -> str:
    if len(values) == 1:
        return _quoted(values[0])
    return "[" + ", ".join(_quoted(value) for value in values) + "]"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
