"""Written messages become mail that reads back as it was written."""

from __future__ import annotations

import email
import email.policy
import json
from pathlib import Path

import pytest

from mailstack.filters.document import read
from mailstack.filters.fields import Header
from mailstack.filters.spam.written import SHAPES, BadWritten, Shape, Written, parse, render

DATA = Path(__file__).parents[3] / "data" / "classifier"
ENTRY = {
    "label": "spam",
    "kind": "phishing-bank",
    "lang": "de",
    "from": "Sparkasse Köln <info@konto-prüfung.example>",
    "reply_to": "other@mail.example",
    "subject": "Ihr Konto wurde gesperrt – bitte prüfen",
    "body": "Guten Tag,\n\nIhr Konto ist gesperrt & wartet.\n\n[Jetzt prüfen](https://login.example/a?b=1&c=2)\n\n"
    "![Logo](https://login.example/logo.png) Sparkasse <AG>, anna@example.org",
    "attachments": ["Rechnung.html", "Übersicht.pdf"],
    "headers": {"List-Unsubscribe": "<https://login.example/u>"},
}


def entry(**changes: object) -> Written:
    return parse(json.dumps([ENTRY | changes]))[0]


@pytest.mark.parametrize("shape", SHAPES)
def test_what_was_written_is_what_is_read(shape: Shape) -> None:
    for variant in range(12):
        message = render(entry(), shape=shape, variant=variant)
        document = read(message, Header(message))
        assert document.subject == ENTRY["subject"]
        assert document.author_name == "Sparkasse Köln"
        assert document.header.first(b"reply-to") == b"other@mail.example"
        assert document.header.first(b"list-unsubscribe") == b"<https://login.example/u>"
        assert "Ihr Konto ist gesperrt & wartet." in document.text
        assert "https://login.example/a?b=1&c=2" in document.urls
        assert {"text/html", "application/pdf"} <= set(document.types)
        assert b"\n" not in message.replace(b"\r\n", b"")
        assert not email.message_from_bytes(message, policy=email.policy.default).defects


def test_the_same_entry_gives_the_same_octets_and_variants_differ() -> None:
    assert render(entry()) == render(entry())
    assert len({render(entry(), variant=n) for n in range(20)}) == 20


def test_the_reader_is_somebody_else_each_time() -> None:
    found = {Header(render(entry(shape="plain"), variant=n)).first(b"to") for n in range(40)}
    assert len(found) > 8
    assert Header(render(entry(to="undisclosed-recipients:;"))).first(b"to") == b"undisclosed-recipients:;"


def test_building_does_not_depend_on_the_label() -> None:
    assert render(entry(label="ham")) == render(entry(label="spam"))


@pytest.mark.parametrize(
    "sender",
    ['"a@b.test, Inc." <x@y.test>', "x@y.test", "Ünï <ü@y.test>", "nobody", "A <>", "a@b.test, c@d.test", ""],
)
def test_odd_senders_are_written_as_they_are(sender: str) -> None:
    message = render(entry(**{"from": sender}))
    assert Header(message).has(b"from")
    read(message, Header(message))


def test_fields_of_the_entry_replace_our_own() -> None:
    message = render(entry(headers={"Date": "Mon, 1 Jan 2024 00:00:00 +0000", "Message-Id": "<x@y.test>"}))
    assert [field.text for field in Header(message).all(b"date")] == [b"Mon, 1 Jan 2024 00:00:00 +0000"]
    assert len(Header(message).all(b"message-id")) == 1


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("x", "malformed"),
        ("{}", "array"),
        ('[{"label": "spam"}]', "kind"),
        (json.dumps([ENTRY | {"label": "junk"}]), "label"),
        (json.dumps([ENTRY | {"colour": "red"}]), "colour"),
        (json.dumps([ENTRY, ENTRY | {"shape": "round"}]), r"$[1].shape"),
        (json.dumps([ENTRY | {"subject": "", "body": ""}]), "subject or a body"),
    ],
)
def test_mistakes_are_named(text: str, where: str) -> None:
    with pytest.raises(BadWritten) as caught:
        parse(text)
    assert where in str(caught.value)


@pytest.mark.skipif(not DATA.is_dir(), reason="data/classifier is not here (an installed package)")
def test_the_training_files_are_well_formed() -> None:
    for file in sorted(DATA.glob("*.json")):
        for one in parse(file.read_bytes()):
            message = render(one)
            document = read(message, Header(message))
            assert document.subject or not one.subject, one.subject


def test_bare_messages_have_hardly_a_header_whatever_their_label() -> None:
    made = [
        render(entry(shape="plain", body="Hello", attachments=[]), is_bare=True, variant=n) for n in range(40)
    ]
    assert any(not Header(message).has(b"from") for message in made)
    assert not any(Header(message).has(b"message-id") for message in made)
    assert any(not Header(message).has(b"content-type") for message in made)
    assert all("Hello" in read(message, Header(message)).text for message in made)
