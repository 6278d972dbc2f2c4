"""The schema of RFC 9990 as a table: which element holds which, in which order, how often, with what text.

check(document) raises AssertionError with the path of the first thing that is wrong.
"""

from __future__ import annotations

import ipaddress
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable

NAMESPACE = "urn:ietf:params:xml:ns:dmarc-2.0"
Text = Callable[[str], bool]
#: name, least, most (0: any number), content.
Child = tuple[str, int, int, "Text | Group"]


class Group:
    """Elements inside another one; `ordered` as in xs:sequence, else as in xs:all."""

    def __init__(self, *children: Child, ordered: bool) -> None:
        self.children = children
        self.ordered = ordered


def _one_of(*words: str) -> Text:
    return lambda text: text in words


def _any(text: str) -> bool:
    return True


def _number(text: str) -> bool:
    return re.fullmatch(r"[0-9]+", text) is not None


def _address(text: str) -> bool:
    return str(ipaddress.ip_address(text)) == text


_POLICY = _one_of("none", "quarantine", "reject")
_ALIGNMENT = _one_of("r", "s")
_ALIGNED = _one_of("pass", "fail")
_SPF = _one_of("none", "neutral", "pass", "fail", "softfail", "temperror", "permerror")
_DKIM = _one_of("none", "pass", "fail", "policy", "neutral", "temperror", "permerror")
_REASON = _one_of("local_policy", "mailing_list", "other", "policy_test_mode", "trusted_forwarder")

_METADATA = Group(
    ("org_name", 1, 1, _any),
    ("email", 1, 1, _any),
    ("extra_contact_info", 0, 1, _any),
    ("report_id", 1, 1, _any),
    ("date_range", 1, 1, Group(("begin", 1, 1, _number), ("end", 1, 1, _number), ordered=False)),
    ("error", 0, 1, _any),
    ("generator", 0, 1, _any),
    ordered=False,
)
_PUBLISHED = Group(
    ("domain", 1, 1, _any),
    ("discovery_method", 0, 1, _one_of("psl", "treewalk")),
    ("p", 1, 1, _POLICY),
    ("sp", 0, 1, _POLICY),
    ("np", 0, 1, _POLICY),
    ("fo", 0, 1, _any),
    ("adkim", 0, 1, _ALIGNMENT),
    ("aspf", 0, 1, _ALIGNMENT),
    ("testing", 0, 1, _one_of("y", "n")),
    ordered=False,
)
_EVALUATED = Group(
    ("disposition", 1, 1, _one_of("none", "pass", "quarantine", "reject")),
    ("dkim", 1, 1, _ALIGNED),
    ("spf", 1, 1, _ALIGNED),
    ("reason", 0, 0, Group(("type", 1, 1, _REASON), ("comment", 0, 1, _any), ordered=False)),
    ordered=True,
)
_RESULT_OF_DKIM = Group(
    ("domain", 1, 1, _any),
    ("selector", 1, 1, _any),
    ("result", 1, 1, _DKIM),
    ("human_result", 0, 1, _any),
    ordered=False,
)
_RESULT_OF_SPF = Group(
    ("domain", 1, 1, _any),
    ("scope", 0, 1, _one_of("mfrom")),
    ("result", 1, 1, _SPF),
    ("human_result", 0, 1, _any),
    ordered=False,
)
_RESULTS = Group(("dkim", 0, 0, _RESULT_OF_DKIM), ("spf", 0, 1, _RESULT_OF_SPF), ordered=True)
_RECORD = Group(
    (
        "row",
        1,
        1,
        Group(
            ("source_ip", 1, 1, _address),
            ("count", 1, 1, _number),
            ("policy_evaluated", 1, 1, _EVALUATED),
            ordered=True,
        ),
    ),
    (
        "identifiers",
        1,
        1,
        Group(
            ("header_from", 1, 1, _any),
            ("envelope_from", 0, 1, _any),
            ("envelope_to", 0, 1, _any),
            ordered=False,
        ),
    ),
    (
        "auth_results",
        1,
        1,
        Group(("dkim", 0, 0, _RESULT_OF_DKIM), ("spf", 0, 1, _RESULT_OF_SPF), ordered=True),
    ),
    ordered=True,
)
_FEEDBACK = Group(
    ("version", 0, 1, _one_of("1.0")),
    ("report_metadata", 1, 1, _METADATA),
    ("policy_published", 1, 1, _PUBLISHED),
    ("extension", 0, 1, _any),
    ("record", 1, 0, _RECORD),
    ordered=True,
)


def check(document: bytes) -> ET.Element:
    """The root element of a document that is as the schema wants it."""
    root = ET.fromstring(document)  # ours
    assert root.tag == f"{{{NAMESPACE}}}feedback"
    _check(root, _FEEDBACK, "feedback")
    return root


def _check(element: ET.Element, group: Group, path: str) -> None:
    assert not (element.text or "").strip(), path
    names = [child.tag.removeprefix(f"{{{NAMESPACE}}}") for child in element]
    known = [child[0] for child in group.children]
    assert set(names) <= set(known), f"{path}: {set(names) - set(known)}"
    if group.ordered:
        assert names == sorted(names, key=known.index), f"{path}: order {names}"
    for name, least, most, content in group.children:
        found = [child for child in element if child.tag == f"{{{NAMESPACE}}}{name}"]
        assert len(found) >= least, f"{path}/{name}: missing"
        assert not most or len(found) <= most, f"{path}/{name}: {len(found)} of them"
        for child in found:
            if isinstance(content, Group):
                _check(child, content, f"{path}/{name}")
            else:
                assert not len(child), f"{path}/{name}"
                assert content(child.text or ""), f"{path}/{name}: {child.text!r}"
