"""Who may send as whom."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.model.address import Address
from mailstack.model.reply import Reply
from mailstack.model.sending import SendingRules
from mailstack.smtp.policy.sender import Mismatch, Resent, check_envelope, check_header
from mailstack.state.explanations import EXPLANATIONS
from tests.kit.accounts import ALICE, PRINTER, owns

MAY = owns("alice@example.test", "sales@example.test")


def refusal(header: bytes) -> str:
    found = check_header(header, ALICE, may_send_as=MAY)
    return "" if found is None else str(found.refusal) if isinstance(found, Resent) else str(found)


def test_own_address_alias_and_null_sender_are_fine() -> None:
    for sender in (Address("alice", "example.test"), Address("Sales", "example.test"), None):
        assert check_envelope(ALICE, sender, may_send_as=MAY) is None


def test_a_foreign_envelope_sender_is_refused_with_login_address_and_remedy() -> None:
    found = check_envelope(ALICE, Address("bob", "example.test"), may_send_as=MAY)
    assert found is not None
    assert str(found).startswith("550 5.7.1 ")
    assert "bob@example.test" in found.text
    assert found.text.count("alice@example.test") == 2


def test_a_device_may_name_any_sender() -> None:
    assert check_envelope(PRINTER, Address("scan", "localhost"), may_send_as=MAY) is None
    assert check_header(b"From: scan@localhost\r\n", PRINTER, may_send_as=MAY) is None
    assert check_header(b"Subject: x\r\n", PRINTER, may_send_as=MAY) is None


@pytest.mark.parametrize(
    "header",
    [
        b"From: alice@example.test\r\n",
        b"from : Alice <ALICE@example.test>\r\n",
        b'From: "bob@example.test" <sales@example.test>\r\n',
        b"From: alice@example.test,\r\n sales@example.test\r\nSender: alice@example.test\r\n",
        b"From: alice@example.test\r\nResent-From: sales@example.test\r\n\r\nFrom: bob@example.test\r\n",
    ],
    ids=repr,
)
def test_own_authors_are_fine(header: bytes) -> None:
    assert refusal(header) == ""


@pytest.mark.parametrize(
    "header",
    [
        b"From: bob@example.test\r\n",
        b"From: other@tenant.test\r\n",
        b"From: alice@example.test\r\nFrom: bob@example.test\r\n",
        b"From: alice@example.test\r\nFrom : alice@example.test\r\n",
        b"FROM: alice@example.test\r\nfrom:\r\n\tbob@example.test\r\n",
        b"From: alice@example.test, bob@example.test\r\n",
        b"From: alice@example.test\r\nSender: bob@example.test\r\n",
        b"From: alice@example.test\r\nSender: alice@example.test\r\nSender: alice@example.test\r\n",
        b"From: alice@example.test\r\nResent-From: bob@example.test\r\n",
        b"From: alice@example.test\r\nResent-Sender: bob@example.test\r\n",
        b"From: group: alice@example.test;\r\n",
        b"From: undisclosed:;\r\n",
        b"From:\r\n",
        b"From: alice@example.test <bob@example.test>\r\n",
        b"From: <alice@example.test>bob@example.test\r\n",
        b"From: <@bob.example:alice@example.test>\r\n",
        b"From: =?utf-8?q?alice=40example.test=3E?=@evil.test\r\n",
        b"From: alice@example.test\0\r\n",
        b"Subject: none\r\n",
        b"\r\nFrom: alice@example.test\r\n",
        b"",
    ],
    ids=repr,
)
def test_foreign_doubtful_or_missing_authors_are_refused(header: bytes) -> None:
    # S45, S46, T10, T20
    assert refusal(header).startswith("550 5.7.1 ")


def test_nobody_hides_behind_what_is_too_long_to_be_looked_at() -> None:
    far = b"From: alice@example.test," + b" " * 65_536 + b"bob@far.test\r\n"
    assert "too long" in refusal(far)
    folded = b"From: alice@example.test,\r\n" + b" \t \r\n" * 20_000 + b" bob@far.test\r\n"
    assert "too long" in refusal(folded)
    own = b"From: alice@example.test\r\n"
    assert refusal(own + b"X: y\r\n" * 999) == ""
    assert "more fields" in refusal(own + b"X: y\r\n" * 999 + b"From: bob@far.test\r\n")
    assert "more fields" in refusal(own + b"X: " + b"y" * 524_288 + b"\r\nFrom: bob@far.test\r\n")


def test_a_refused_author_is_named_with_the_login_and_a_remedy() -> None:
    text = refusal(b"From: Bob <bob@example.test>\r\n")
    assert "bob@example.test" in text
    assert "alice@example.test" in text


# -- what is redirected, and what lists post ------------------------------------------------

LIST = replace(ALICE, sending=SendingRules(is_list=True))
RESENT = b"Resent-From: alice@example.test\r\nResent-Date: x\r\nResent-To: c@far.test\r\n"


def test_a_redirect_of_the_login_asks_for_proof_of_its_author() -> None:
    for original in (
        b"From: bob@far.test\r\n",
        b"From: bob@far.test\r\nSender: list@far.test\r\n",
        b"From: alice@example.test\r\nSubject: x\r\nResent-From: bob@far.test\r\n",
        b"Received: x\r\nResent-From: b@far.test\r\nResent-Sender: b@far.test\r\nFrom: c@far.test\r\n",
    ):
        found = check_header(RESENT + original, ALICE, may_send_as=MAY)
        assert isinstance(found, Resent)
        assert found.refusal.check == "redirect"
        assert "alice@example.test may not redirect mail of " in found.refusal.text


def test_a_redirect_of_ones_own_mail_needs_no_proof() -> None:
    assert check_header(RESENT + b"From: sales@example.test\r\n", ALICE, may_send_as=MAY) is None


@pytest.mark.parametrize(
    ("header", "check"),
    [
        # Whoever resends it now must be the login, whatever stands below.
        (b"Resent-From: bob@far.test\r\n" + RESENT + b"From: bob@far.test\r\n", "resent"),
        (b"Resent-To: x@far.test\r\nSubject: x\r\n" + RESENT + b"From: bob@far.test\r\n", "resent"),
        (b"Resent-Sender: bob@far.test\r\n" + RESENT + b"From: bob@far.test\r\n", "resent"),
        (b"Resent-Sender: alice@example.test\r\nFrom: bob@far.test\r\n", "resent"),
        (b"Resent-From: alice@example.test, bob@far.test\r\nFrom: bob@far.test\r\n", "resent"),
        (b"Resent-From: g: alice@example.test;\r\nFrom: bob@far.test\r\n", "author_group"),
        # Nor does proof help where two readers see two authors.
        (RESENT + b"From: bob@far.test\r\nFrom: alice@example.test\r\n", "from_twice"),
        (RESENT + b"Subject: x\r\n", "from_missing"),
        (RESENT + b"From: bob@far.test alice@example.test\r\n", "author_unreadable"),
        (RESENT + b"From: g: bob@far.test;\r\n", "author_group"),
        (RESENT + b"From: bob@far.test\r\nSender: a@far.test\r\nSender: b@far.test\r\n", "sender_field"),
    ],
    ids=repr,
)
def test_a_redirect_that_is_none_is_refused(header: bytes, check: str) -> None:
    found = check_header(header, ALICE, may_send_as=MAY)
    assert isinstance(found, Reply)
    assert (found.code, found.check) == (550, check)


def test_list_software_with_a_grant_posts_as_its_members() -> None:
    post = b"List-Id: <talk.example.test>\r\nFrom: bob@far.test\r\nSender: bob@far.test\r\n"
    assert check_header(post, LIST, may_send_as=MAY) is None
    # The grant is for list mail; the From must still be one that everybody reads alike.
    assert isinstance(check_header(b"From: bob@far.test\r\n", LIST, may_send_as=MAY), Mismatch)
    for bad in (
        b"From: bob@far.test, \0\r\n",
        b"From: g:;\r\n",
        b"From: a@b.test\r\nFrom: c@d.test\r\n",
        b"",
    ):
        assert check_header(b"List-Id: <talk.example.test>\r\n" + bad, LIST, may_send_as=MAY) is not None
    assert check_envelope(LIST, Address("bob", "far.test"), may_send_as=MAY) is not None


def test_list_software_without_one_is_told_to_put_itself_into_from() -> None:
    found = check_header(b"List-Id: <x.example.test>\r\nFrom: bob@far.test\r\n", ALICE, may_send_as=MAY)
    assert isinstance(found, Mismatch)
    assert (found.check, found.address) == ("list_from", "bob@far.test")
    assert "From munging" in found.text


def test_each_mismatch_has_a_sentence_and_an_explanation_of_its_own() -> None:
    headers = [
        b"Subject: x\r\n",
        b"From: alice@example.test\r\nFrom: alice@example.test\r\n",
        b"From: bob@far.test\r\n",
        b"From: alice@example.test\r\nSender: bob@far.test\r\n",
        b"From: <<\r\n",
        b"From: g:;\r\n",
        b"From: bob@far.test\r\nList-Id: <x.y>\r\n",
        b"Resent-From: bob@far.test\r\nFrom: alice@example.test\r\n",
    ]
    found = [check_header(header, ALICE, may_send_as=MAY) for header in headers]
    found.append(check_envelope(ALICE, Address("bob", "far.test"), may_send_as=MAY))
    replies = [reply for reply in found if isinstance(reply, Reply)]
    assert len({reply.text for reply in replies}) == len({reply.check for reply in replies}) == 9
    assert all(reply.check in EXPLANATIONS and len(reply.text) < 400 for reply in replies)
    assert all("alice@example.test" in reply.text for reply in replies)


FIELDS = st.sampled_from(
    [b"From", b"from ", b"Sender", b"Resent-From", b"Resent-Sender", b"Resent-To", b"List-Id", b"Subject"]
)
VALUES = st.sampled_from(
    [
        b"alice@example.test",
        b"bob@far.test",
        b"Alice <alice@example.test>, bob@far.test",
        b'"alice@example.test" <bob@far.test>',
        b"g: bob@far.test;",
        b"<alice@example.test> bob@far.test",
        b"=?utf-8?q?alice?= <sales@example.test>",
        b"",
    ]
)


@given(st.lists(st.tuples(FIELDS, VALUES), max_size=8))
def test_nothing_that_passes_has_a_foreign_author(fields: list[tuple[bytes, bytes]]) -> None:
    block = b"".join(name + b": " + value + b"\r\n" for name, value in fields)
    if check_header(block, ALICE, may_send_as=MAY) is not None:
        return
    shown = [value for name, value in fields if name.strip().lower() in (b"from", b"sender")]
    assert shown
    assert all(b"bob" not in value for value in shown)
