"""Features of the classifier, in words."""

from __future__ import annotations

import pytest

from mailstack.filters.spam.spoken import spoken


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("please", 'text "please"'),
        ("click here", 'text "click here"'),
        ("s:win", 'subject "win"'),
        ("s:^ win", 'subject "^ win"'),
        ("f:bank", 'author\'s name "bank"'),
        ("h:sc:tag$", "letters of the subject tag$"),
        ("h:id-none", "header id-none"),
        ("b:u:bit", "link to bit"),
        ("b:<table*3", "body <table*3"),
        ("b:first-dear customer", 'first lines "dear customer"'),
        ('h:sp";x,', "header sp'.x."),
    ],
)
def test_every_kind_of_feature_has_words(token: str, said: str) -> None:
    assert spoken([(1.0, token)]) == f"more like spam: {said}"


def test_features_stand_by_what_they_speak_for() -> None:
    assert spoken([(2.0, "win"), (-1.0, "meeting"), (0.5, "s:now")]) == (
        'more like spam: text "win", subject "now"; less like spam: text "meeting"'
    )
    assert spoken([]) == ""
