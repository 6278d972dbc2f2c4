"""The class of a message, by rules and prior, as nobody's in particular."""

from __future__ import annotations

from mailstack.filters.classes.bulk import classify
from mailstack.filters.document import Document
from mailstack.filters.spam import features, model
from mailstack.model.verdict import Authentication


def class_of(document: Document, prior: model.Model | None) -> str:
    """What it is when nothing is known of its sender; `prior` None: rules alone."""
    found = classify(
        document,
        Authentication(),
        model=prior,
        indexes=lambda: features.tokens(document).indexes,
    )
    return found.klass
