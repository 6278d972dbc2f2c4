"""Plain words for refusals."""

import pytest

from mailstack.delivery.words import explain
from mailstack.model.reply import Reply


@pytest.mark.parametrize(
    ("reply", "part"),
    [
        (Reply(550, "1.1", "x"), "no such address"),
        (Reply(556, "1.10", "x"), "receives no mail"),
        (Reply(552, "2.2", "x"), "full"),
        (Reply(552, "3.4", "x"), "larger"),
        (Reply(451, "4.1", "x"), "did not answer"),
        (Reply(554, "4.6", "x"), "circle"),
        (Reply(550, "7.26", "x"), "verify that the message comes from you"),
        (Reply(550, "7.99", "x"), "security or policy"),
        (Reply(550, "", "x"), "does not accept that address"),
        (Reply(450, "", "x"), "over and over"),
        (Reply(599, "", "x"), "refused the message"),
        (Reply(499, "9.9", "x"), "putting the message off"),
    ],
    ids=str,
)
def test_every_refusal_has_a_meaning_and_an_advice(reply: Reply, part: str) -> None:
    words = explain(reply)
    assert part in words.means
    assert words.todo.endswith(".")
