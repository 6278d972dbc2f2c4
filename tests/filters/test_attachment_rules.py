"""Attachments a domain does not take."""

from __future__ import annotations

import pytest

from mailstack.filters.attachment_rules import find
from mailstack.filters.reading.facts import Attachment
from mailstack.model.directory import AttachmentRules

INVOICE = Attachment("Invoice.PDF", "pdf", "application/pdf", "pdf")


def rules(refused: str = "", junked: str = "") -> AttachmentRules:
    return AttachmentRules(frozenset(refused.split()), frozenset(junked.split()))


@pytest.mark.parametrize(
    ("attachment", "word"),
    [
        (Attachment("run.exe", "exe", kind="program"), "program"),
        (Attachment("photo.jpg", "jpg", kind="program", tricks=["type-lies"]), "program"),
        (Attachment("a.zip", "zip", kind="archive", tricks=["holds-program"]), "program"),
        (Attachment("a.zip", "zip", kind="archive", members=["in/setup.MSI"]), ".msi"),
        (Attachment("a.zip", "zip", kind="archive"), "archive"),
        (Attachment("a.zip", "zip", kind="archive", tricks=["holds-disk-image"]), "disk-image"),
        (Attachment("a.zip", "zip", kind="archive", tricks=["bomb"]), "suspicious-archive"),
        (Attachment("a.zip", "zip", kind="archive", tricks=["encrypted"]), "encrypted"),
        (Attachment("a.docm", "docm", kind="office", tricks=["macros"]), "macros"),
        (Attachment("a.html", "html", kind="html"), "html"),
        (Attachment("a.iso", "iso", kind="disk-image"), ".iso"),
    ],
)
def test_attachments_are_known_by_what_they_are(attachment: Attachment, word: str) -> None:
    found = find([INVOICE, attachment], rules(refused=word))
    assert found is not None
    assert (found.action, found.word, found.name) == ("refuse", word, attachment.name)
    assert attachment.name in found.why and word in found.why
    assert find([INVOICE], rules(refused=word)) is None


def test_without_rules_all_are_welcome_and_refusals_go_first() -> None:
    both = [
        Attachment("a.docm", "docm", kind="office", tricks=["macros"]),
        Attachment("b.exe", "exe", kind="program"),
    ]
    assert find(both, rules()) is None
    found = find(both, rules("program", "macros"))
    assert found is not None and (found.action, found.name) == ("refuse", "b.exe")
    found = find(both, rules(junked="macros"))
    assert found is not None and (found.action, found.name) == ("junk", "a.docm")


def test_a_hostile_archive_costs_little() -> None:
    # M11: names are bounded before they are looked at
    many = Attachment("a.zip", "zip", kind="archive", members=["x." + "y" * 1_000] * 100_000)
    assert find([many], rules(refused=".exe")) is None


def test_a_long_name_is_cut() -> None:
    found = find([Attachment("x" * 200 + ".exe", "exe", kind="program")], rules(refused="program"))
    assert found is not None and len(found.name) <= 80
