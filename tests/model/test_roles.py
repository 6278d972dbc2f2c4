"""The names folders for drafts, sent mail, spam, trash and archive are known by."""

from __future__ import annotations

import unicodedata

import pytest

from mailstack.model.mailbox import DEFAULT_FOLDERS
from mailstack.model.roles import role_of_name


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("Deleted Items", "\\Trash"),
        ("Junk E-mail", "\\Junk"),
        ("Gesendete Elemente", "\\Sent"),
        ("Papierkorb", "\\Trash"),
        ("Éléments envoyés", "\\Sent"),
        (unicodedata.normalize("NFD", "Éléments supprimés"), "\\Trash"),
        ("ELEMENTY USUNIĘTE", "\\Trash"),
        ("下書き", "\\Drafts"),
        ("Черновики", "\\Drafts"),
        ("المهملات", "\\Trash"),
        ("INBOX/Sent", "\\Sent"),
        ("[Gmail]/Corbeille", "\\Trash"),
        ("Archives", "\\Archive"),
    ],
)
def test_a_role_is_known_by_its_name_in_many_languages(name: str, role: str) -> None:
    assert role_of_name(name) == role


@pytest.mark.parametrize("name", ["INBOX", "", "Work", "Work/Sent", "Sent/2024", "Promotions", "sentences"])
def test_other_names_are_no_roles(name: str) -> None:
    assert role_of_name(name) == ""


def test_the_folders_from_the_first_login_are_known_by_their_names() -> None:
    assert {name: role_of_name(name) for name, _ in DEFAULT_FOLDERS} == dict(DEFAULT_FOLDERS)
