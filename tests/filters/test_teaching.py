"""What follows from moving and marking mail: pure decisions (product page, "Feedback"; T45)."""

from __future__ import annotations

import pytest

from mailstack.filters.teaching import (
    FULL,
    WEAK,
    Deed,
    Opinion,
    list_for,
    marks_of,
    place_of,
    think,
    within,
)
from mailstack.model.directory import FilterSettings
from mailstack.model.lessons import Lesson

_SETTINGS = FilterSettings()

TO_SPAM = Deed("placed", "ham", "spam")
FROM_SPAM = Deed("placed", "spam", "ham")
TO_TRASH = Deed("placed", "spam", "")
OUT_OF_TRASH = Deed("placed", "", "ham")


@pytest.mark.parametrize(
    ("name", "use", "place"),
    [
        ("INBOX", "", "ham"),
        ("Spam", "\\Junk", "spam"),
        ("Junk E-mail", "", "spam"),
        ("Courrier indésirable", "", "spam"),
        ("INBOX/Junk", "", "spam"),
        ("迷惑メール", "", "spam"),
        ("Müll", "\\Junk", "spam"),
        ("Spam/2026", "", "spam"),
        ("Trash", "\\Trash", ""),
        ("Gelöschte Elemente", "", ""),
        ("Trash/old", "", ""),
        ("Sent", "\\Sent", ""),
        ("Drafts", "\\Drafts", ""),
        ("Archive", "\\Archive", "ham"),
        ("Work/Spam reports", "", "ham"),
        ("Promotions", "", "promotions"),
        ("SocialNetworks", "", "social"),
        ("INBOX/Friends", "", "ham"),
    ],
)
def test_folders_by_role_settings_and_name(name: str, use: str, place: str) -> None:
    assert place_of(name, use, _SETTINGS) == place


def test_folders_the_account_has_chosen() -> None:
    mine = FilterSettings(spam_folder="Quarantine", promotions_folder="Offers", social_folder="Friends")
    assert [place_of(name, "", mine) for name in ("Quarantine", "Offers", "Friends")] == [
        "spam",
        "promotions",
        "social",
    ]


def test_a_move_to_spam_is_sure_and_lists_the_sender() -> None:
    found = think(None, [TO_SPAM], filed="ham")
    assert found == Opinion("spam", "ham", FULL, "place") and list_for(found) == "block"


def test_out_of_spam_is_wanted_and_lists_the_sender() -> None:
    found = think(None, [FROM_SPAM], filed="spam")
    assert found == Opinion("ham", "spam", FULL, "place") and list_for(found) == "allow"


@pytest.mark.parametrize(
    "deeds",
    [
        [TO_SPAM, FROM_SPAM],
        [FROM_SPAM, TO_SPAM],
        [TO_SPAM, FROM_SPAM, TO_SPAM, FROM_SPAM],
        [Deed("placed", "ham", "promotions"), Deed("placed", "promotions", "ham")],
        [Deed("placed", "social", "ham"), Deed("placed", "ham", "social")],
        [TO_SPAM, Deed("placed", "spam", "promotions"), Deed("placed", "promotions", "ham")],
        [Deed("junk", "ham", "ham"), Deed("unjunk", "ham", "ham")],
        [Deed("junk", "ham", "ham"), Deed("notjunk", "ham", "ham")],
        [Deed("notjunk", "spam", "spam"), Deed("junk", "spam", "spam")],
        [Deed("notjunk", "spam", "spam"), Deed("unnotjunk", "spam", "spam")],
        [TO_SPAM, Deed("notjunk", "spam", "spam")],
    ],
)
def test_back_where_it_was_nothing_was_learned(deeds: list[Deed]) -> None:
    assert think(None, deeds, filed="") is None
    # Whether it is learned in between makes no difference.
    opinion = None
    for deed in deeds:
        opinion = think(opinion, [deed], filed="")
    assert opinion is None


def test_back_where_the_filter_had_put_it_nothing_is_learned_of_what_was_forgotten() -> None:
    """Somebody moves a thousand messages by mistake, and back: not all of them were learned."""
    assert think(None, [FROM_SPAM], filed="ham") is None
    assert think(None, [Deed("notjunk", "spam", "spam")], filed="ham") is None
    assert think(None, [Deed("placed", "promotions", "spam")], filed="spam") is None


def test_it_is_learned_once() -> None:
    first = think(None, [TO_SPAM], filed="")
    assert think(first, [TO_SPAM, Deed("junk", "spam", "spam")], filed="") == first
    assert think(first, [Deed("uploaded", "", "spam")], filed="ham") == first


@pytest.mark.parametrize(
    "deed",
    [
        TO_TRASH,
        OUT_OF_TRASH,
        Deed("placed", "", ""),
        Deed("uploaded", "", "ham"),
        Deed("junk", "", ""),
        Deed("junk", "spam", "spam"),
        Deed("unjunk", "ham", "ham"),
        Deed("notjunk", "promotions", "promotions"),
    ],
)
def test_what_says_nothing(deed: Deed) -> None:
    assert think(None, [deed], filed="") is None


def test_to_trash_and_to_nowhere_change_no_opinion() -> None:
    marked = think(None, [TO_SPAM, TO_TRASH], filed="ham")
    assert marked == Opinion("spam", "ham", FULL, "place")
    assert think(marked, [OUT_OF_TRASH], filed="ham") is None  # back in the inbox, where it came from


def test_what_the_filter_filed_as_spam_and_somebody_takes_out_of_the_trash() -> None:
    assert think(None, [OUT_OF_TRASH], filed="spam") is None
    assert think(None, [Deed("placed", "", "spam")], filed="ham") == Opinion("spam", "ham", FULL, "place")


@pytest.mark.parametrize(
    "deed",
    [Deed("automatic", "ham", "spam"), Deed("junk", "ham", "ham"), Deed("uploaded", "", "spam")],
)
def test_weak_evidence_teaches_little_and_changes_no_list(deed: Deed) -> None:
    found = think(None, [deed], filed="")
    assert found is not None and found.weight == WEAK and list_for(found) == ""


def test_a_person_makes_weak_evidence_sure() -> None:
    weak = think(None, [Deed("junk", "ham", "ham")], filed="")
    sure = think(weak, [TO_SPAM], filed="")
    assert sure == Opinion("spam", "ham", FULL, "place")
    assert think(weak, [Deed("automatic", "ham", "spam")], filed="") == weak


def test_an_upload_of_what_we_seem_to_have_delivered_is_a_move_nobody_is_sure_of() -> None:
    assert think(None, [Deed("uploaded", "", "spam")], filed="ham") == Opinion("spam", "ham", WEAK, "place")
    found = think(None, [Deed("uploaded", "", "ham")], filed="promotions")
    assert found == Opinion("ham", "promotions", WEAK, "place") and list_for(found) == ""


def test_reported_phishing_is_sure() -> None:
    found = think(None, [Deed("phishing", "ham", "ham")], filed="")
    assert found == Opinion("spam", "ham", FULL, "mark")


def test_not_junk_in_spam_is_sure_and_elsewhere_says_nothing() -> None:
    assert think(None, [Deed("notjunk", "spam", "spam")], filed="") == Opinion("ham", "spam", FULL, "mark")
    assert think(None, [Deed("notjunk", "ham", "ham")], filed="") is None


def test_keywords_of_several_programs() -> None:
    assert marks_of(["$Junk", "NonJunk", "$label1", "\\Seen"]) == {"junk", "notjunk"}
    assert marks_of(["JUNK", "$phishing"]) == {"junk", "phishing"}


def _lesson(number: int, weight: float, features: int = 10) -> Lesson:
    return Lesson(bytes([number]), "spam", "ham", weight, "place", float(number), b"\0" * 4 * features, 0.0)


def test_the_newest_stay_and_sure_ones_before_weak_ones() -> None:  # T45
    lessons = [_lesson(n, FULL if n % 2 else WEAK) for n in range(10)]
    kept = within(lessons, most=6, most_weak=3, features=1_000)
    assert [one.id[0] for one in kept] == [1, 3, 5, 7, 8, 9]
    assert [one.id[0] for one in within(lessons, most=10, most_weak=2, features=1_000)] == [
        1, 3, 5, 6, 7, 8, 9,
    ]  # fmt: skip
    assert [one.id[0] for one in within(lessons, most=10, most_weak=10, features=30)] == [5, 7, 9]
    assert within([_lesson(1, FULL, 31)], most=10, most_weak=10, features=30) == []
