"""Classes: any message gets one, what is never filed stays, and files of services fail in words."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from mailstack.filters.classes import services
from mailstack.filters.classes.bulk import THRESHOLD, classify
from mailstack.filters.document import read
from mailstack.filters.fields import Header
from mailstack.model.verdict import Authentication
from tests.kit.fuzzing import FUZZ

FIELDS = st.sampled_from(
    [
        b"From: Shop <news@mail.shop.test>",
        b"From: a@facebookmail.com",
        b"From: <@>",
        b"From: x@substack.com",
        b"List-Unsubscribe: <https://s.test/u>",
        b"List-Unsubscribe-Post: x",
        b"Precedence: bulk",
        b"Feedback-ID: a",
        b"X-Facebook: 1",
        b"X-Mailer: MailChimp \xff",
        b"List-Id: x",
        b"Subject: 50% off",
        b"Subject: =?utf-8?q?=E5=89=B2?=",
        b"Subject: Fwd: newsletter",
        b"Subject: @bob mentioned you",
        b"Subject: [x] #1 " + b"A1" * 400,
        b"Content-Type: text/html",
        b"Auto-Submitted: auto-generated",
    ]
)
EXEMPT = [
    b"List-Post: <mailto:x@lists.test>",
    b"Auto-Submitted: auto-replied",
    b"Content-Type: text/calendar",
    b"Subject: Your invoice",
]
BODY = st.lists(
    st.sampled_from(
        [
            b"unsubscribe ",
            b"shop now ",
            b"<a href='https://list-manage.com/?utm_source=x'>",
            b"@bob ",
            b"\xe5\x89\xb2",
            b"order ABC-12345 ",
            b"code 123456 ",
            b"commented on your ",
            b"%" * 50,
            b"A1B2C3 " * 60,
            b"\r\n",
            b"you subscribed ",
        ]
    ),
    max_size=40,
).map(b"".join)


@FUZZ
@given(st.lists(FIELDS, max_size=8), BODY)
def test_any_message_gets_a_class(fields: list[bytes], body: bytes) -> None:
    message = b"\r\n".join([*fields, b"", body])
    found = classify(read(message, Header(message)), Authentication())
    if found.klass != "ham":
        assert sum(reason.weight for reason in found.reasons) >= THRESHOLD
        assert found.logits[found.klass] >= 0


@FUZZ
@given(st.sampled_from(EXEMPT), st.lists(FIELDS, max_size=8), BODY)
def test_what_is_never_filed_stays(exempt: bytes, fields: list[bytes], body: bytes) -> None:
    message = b"\r\n".join([exempt, *fields, b"", body])
    assert classify(read(message, Header(message)), Authentication()).klass == "ham"


@FUZZ
@given(
    st.text(max_size=200)
    | st.dictionaries(st.sampled_from(["a", "fields"]), st.text(max_size=40)).map(
        lambda d: "".join(f'[{table}]\n"x" = {text!r}\n' for table, text in d.items())
    )
)
def test_files_of_services_fail_in_words(text: str) -> None:
    with contextlib.suppress(services.BadServices):
        services.parse(text, services.shipped())
