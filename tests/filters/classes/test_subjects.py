"""Mail of three sorts that is marked and built alike: only what it says tells it apart.

Marks are those of receipts today: List-Unsubscribe with one click, Feedback-ID, a sending
service, counted links, a line at the end for leaving.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from mailstack.filters import spam
from mailstack.filters.classes.bulk import classify
from mailstack.filters.document import Document, read
from mailstack.filters.fields import Header
from mailstack.filters.spam import features, model
from mailstack.model.verdict import Authentication

CASES = Path(__file__).parents[2] / "cases/subjects"
LEAVE = {
    "de": "Newsletter abbestellen",
    "fr": "Se désabonner",
    "es": "Darse de baja",
    "it": "Disiscriviti",
    "pt": "Cancelar inscrição",
    "nl": "Afmelden",
}
MESSAGE = """From: Brand <hello@news.brand.test>
List-Unsubscribe: <https://brand.test/u>
List-Unsubscribe-Post: List-Unsubscribe=One-Click
Feedback-ID: 1:2:3
X-Mailin-Campaign: 1
Subject: {subject}
Content-Type: text/html; charset=utf-8

<p>{text}</p><p><a href='https://click.brand.test/?utm_source=a'>Web</a></p>
<p><a href='https://brand.test/unsubscribe'>{leave}</a></p>
"""


PRIOR = model.load((Path(spam.__file__).parent / "prior.bin").read_bytes())


def _indexes(document: Document) -> Sequence[int]:
    return features.tokens(document).indexes


def wrong(file: str, klass: str) -> tuple[list[str], int]:
    """Subjects of a file that are something else, with or without the prior, and how many there are."""
    lines = [one for one in (CASES / file).read_text("utf-8").splitlines() if not one.startswith("#")]
    missed = []
    for lang, subject, text in (line.split("|", 2) for line in lines):
        source = MESSAGE.format(subject=subject, text=text, leave=LEAVE.get(lang, "Unsubscribe"))
        message = source.replace("\n", "\r\n").encode()
        document = read(message, Header(message))
        for prior in (PRIOR, None):
            if (
                classify(document, Authentication(), model=prior, indexes=partial(_indexes, document)).klass
                != klass
            ):
                missed.append(subject)
    return missed, len(lines)


def test_what_was_ordered_owed_or_asked_for_stays_whatever_its_marks() -> None:
    # T46
    missed, count = wrong("inbox.txt", "ham")
    assert count > 200
    assert not missed


@pytest.mark.parametrize("klass", ["promotions", "social"])
def test_what_says_so_is_filed(klass: str) -> None:
    missed, count = wrong(f"{klass}.txt", klass)
    assert count > 50
    assert len(missed) <= 2 * 0.05 * count, missed
