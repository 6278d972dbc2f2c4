"""Who may send as whom."""

from __future__ import annotations

import pytest

from mailstack.model.address import Address
from mailstack.smtp.policy.sender import Resent, check_envelope, check_header
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


def test_a_refused_author_is_named_with_the_login_and_a_remedy() -> None:
    text = refusal(b"From: Bob <bob@example.test>\r\n")
    assert "bob@example.test" in text
    assert "alice@example.test" in text
