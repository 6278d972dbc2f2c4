"""Promotions and social notifications; and what never is one."""

# ruff: noqa: E501  # tables of mail read better unbroken

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from mailstack.filters.classes import words
from mailstack.filters.classes.bulk import MAX_LEARNED, classify, exemption
from mailstack.filters.classes.services import parse, shipped
from mailstack.filters.classes.words import has_number, has_reduction, is_code
from mailstack.filters.document import read
from mailstack.filters.fields import Header
from mailstack.filters.spam.model import NEUTRAL_CLASS, Model
from mailstack.model.verdict import Authentication, DmarcResult, SpfResult

UNSUBSCRIBE = "List-Unsubscribe: <https://shop.test/u>, <mailto:u@shop.test>\r\n"


def klass(text: str, found: Authentication | None = None) -> str:
    message = text.replace("\n", "\r\n").replace("\r\r\n", "\r\n").encode()
    return classify(read(message, Header(message)), found or Authentication()).klass


@pytest.mark.parametrize(
    "text",
    [
        "From: Shop <offers@shop.test>\nSubject: Summer sale: 50% off\n\nShop now: https://shop.test\n",
        "From: Mira <x@substack.com>\nList-Unsubscribe: <https://substack.com/u>\nSubject: On silence\n\nhttps://substack.com/u unsubscribe\n",
        f"From: y@w.test\n{UNSUBSCRIBE}Subject: A sale\n\nhttps://w.us5.list-manage.com/track?u=1 unsubscribe\n",
        f"From: Shop <news@shop.test>\n{UNSUBSCRIBE}Subject: Summer sale: 50% off everything\n\nShop now! Unsubscribe here.\n",
        f"From: Shop <hello@shop.test>\n{UNSUBSCRIBE}List-Unsubscribe-Post: List-Unsubscribe=One-Click\nSubject: New arrivals\n\nx\n",
        "From: Weekly <newsletter@paper.test>\nPrecedence: bulk\nSubject: Newsletter of the week\n\nUnsubscribe: https://p.test/u\n",
        f"From: a@shop.test\n{UNSUBSCRIBE}X-Mailer: Mailchimp\nSubject: Hi\n\nour special offer\n",
        f"From: angebote@laden.test\n{UNSUBSCRIBE}Subject: 20 % Rabatt auf alles\n\nHier abmelden: https://laden.test\n",
        f"From: ofertas@tienda.test\n{UNSUBSCRIBE}Subject: Rebajas de verano\n\nDarse de baja\n",
        f"From: x@y.test\n{UNSUBSCRIBE}Feedback-ID: a:b\nSubject: \u9650\u5b9a\u30bb\u30fc\u30eb\n\n\u914d\u4fe1\u505c\u6b62\n",
        "From: x@y.test\nSubject: Your voucher is waiting\nContent-Type: text/html\n\n<p>Save up to 30 % - buy now</p>"
        "<a href='https://y.test/?utm_source=m'>Shop</a><p><a href='https://y.test/u'>Unsubscribe</a></p>\n",
    ],
)
def test_offers_and_newsletters_are_promotions(text: str) -> None:
    assert klass(text) == "promotions"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "From: Facebook <notification@facebookmail.com>\nSubject: Anna commented on your photo\n\nx\n",
            None,
        ),
        (
            "From: Facebook <notification@facebookmail.com>\nIn-Reply-To: <x@y>\nSubject: Re: [Allotments] seeds\n\nx\n",
            None,
        ),
        ("From: LinkedIn <messages-noreply@linkedin.com>\nSubject: Paul wants to connect\n\nx\n", None),
        (
            "From: X <info@x.com>\nSubject: What happened\n\nx\n",
            Authentication(dmarc=DmarcResult("pass", "x.com")),
        ),
        ("From: Bob <no-reply@social.example>\nSubject: @carol mentioned you\n\nx\n", None),
        ("From: a@b.test\nX-Mastodon-Notification: yes\nSubject: hi\n\nx\n", None),
        (f"From: a@b.test\n{UNSUBSCRIBE}Subject: You have a new follower\n\nx\n", None),
    ],
)
def test_notifications_of_social_networks_are_social(text: str, found: Authentication | None) -> None:
    assert klass(text, found) == "social"


@pytest.mark.parametrize(
    "found", [Authentication(dmarc=DmarcResult("fail")), Authentication(SpfResult("fail"))]
)
def test_a_forged_social_network_is_not_social(found: Authentication) -> None:
    assert klass("From: x@facebookmail.com\nSubject: look\n\nx\n", found) == "ham"


SALE = f"From: news@shop.test\n{UNSUBSCRIBE}Precedence: bulk\n"


@pytest.mark.parametrize(
    "text",
    [
        "From: a@b.test\nSubject: lunch\n\nhi\n",
        "From: Bob <bob@b.test>\nSubject: Fwd: Weekly newsletter: 50% off\n\nShop now https://s.test/?utm_source=x unsubscribe\n",
        "From: Bob Miller <bob.miller@b.test>\nSubject: our newsletter\n\nShop now! https://s.test/ How do readers unsubscribe?\n",
        SALE + "List-Post: <https://lists.test/post>\nSubject: newsletter sale\n\nx\n",
        "From: a@b.test\nSubject: sale\n\nI saw a sale, 50% off, shop now!\n",
        f"From: notifications@github.com\n{UNSUBSCRIBE}Subject: Run failed: ci - main\n\nView results https://github.com/x?utm_source=n unsubscribe, free plan upgrade now\n",
        f"From: no-reply@asana.com\n{UNSUBSCRIBE}Subject: Bob mentioned you in the plan\n\nhttps://asana.com/1 @you\n",
        f"From: no-reply@service.gov.uk\n{UNSUBSCRIBE}Subject: New message from the office\n\nView message: https://x.gov.uk/1 @you\n",
        "From: angebote@maler.test\nSubject: Ihr Angebot vom 3. Mai\n\nWir bieten Ihnen an: 20 % Rabatt. https://maler.test\n",
        "From: sales@chairs.test\nSubject: Special offer for your 20 chairs\n\nas discussed, 10% off. https://chairs.test\n",
        SALE + "In-Reply-To: <x@y>\nSubject: Re: 50% off sale\n\nx\n",
        SALE + "References: <x@y>\nSubject: AW: Angebot\n\nx\n",
        SALE + "Subject: Your verification code: 493021\n\nsale\n",
        SALE + "Subject: Welcome\n\nYour code is 482 913. Sale!\n",
        SALE + "Subject: Invoice 2026-17 and special offer\n\nx\n",
        SALE + "Subject: Your order has shipped - 20% off next time\n\nx\n",
        SALE + "Subject: Ihre Bestellung und 10 % Rabatt\n\nx\n",
        SALE + "Subject: Good news from the shop\n\nYour parcel was handed to the courier. Tracking number 00340434161094\n",
        SALE + "Subject: Reset your password\n\nx\n",
        SALE + "Subject: Sale meeting\nContent-Type: text/calendar\n\nBEGIN:VCALENDAR\n",
        SALE + "Subject: Sale meeting\nContent-Type: application/octet-stream; name=invite.ics\nContent-Disposition: attachment; filename=invite.ics\n\nBEGIN:VCALENDAR\n",
        SALE + "X-Autoreply: yes\nSubject: newsletter\n\nx\n",
        f"From: news@shop.test\n{UNSUBSCRIBE}Precedence: auto_reply\nSubject: newsletter\n\nx\n",
        SALE + "Subject: Out of office: our sale\n\nx\n",
        SALE + "Auto-Submitted: auto-replied\nSubject: newsletter\n\nx\n",
        "From: Ann <ann@home.test>\nList-Id: <dev.lists.test>\nList-Post: <mailto:dev@lists.test>\n"
        "List-Unsubscribe: <mailto:x@lists.test>\nPrecedence: list\nSubject: [dev] newsletter code 50% off\n\nunsubscribe\n",
        "From: Ann <ann@home.test>\nMailing-List: list x@groups.test\nPrecedence: bulk\n"
        "List-Unsubscribe: <mailto:x@lists.test>\nSubject: sale\n\nTo unsubscribe\n",
        "From: security@facebookmail.com\nSubject: 381022 is your login code\n\nx\n",
        "From: root@host.test\nPrecedence: bulk\nAuto-Submitted: auto-generated\nSubject: cron job\n\ndone\n",
        "From: noreply@git.test\nSubject: [project] build failed\n\nYou get this because you watch it.\n",
    ],
)  # fmt: skip
def test_what_is_never_filed_away(text: str) -> None:
    # product page, section 2.4; T46
    assert klass(text) == "ham"


def test_a_forged_social_network_is_not_social_by_its_words() -> None:
    forged = Authentication(dmarc=DmarcResult("fail", "facebookmail.com"))
    text = f"From: notification@facebookmail.com\n{UNSUBSCRIBE}Subject: Anna commented on your photo\n\nView post\n"
    assert klass(text) == "social"
    assert klass(text, forged) == "ham"


def test_a_page_to_post_on_makes_no_discussion_of_mail_with_one_click() -> None:
    front = SALE + "List-Unsubscribe-Post: List-Unsubscribe=One-Click\nList-Post: <https://news.test/p/1>\n"
    assert klass(front + "Subject: newsletter sale\n\nx\n") == "promotions"


def test_a_list_that_nobody_may_post_to_is_no_discussion() -> None:
    assert klass(SALE + "List-Post: NO\nSubject: newsletter sale\n\nx\n") == "promotions"


@pytest.mark.parametrize(
    ("subject", "text", "verdict"),
    [
        ("Your code is 493021", "", True),
        ("Login", "Use the code G-493021 now", True),
        ("Code", "ABC-123", True),
        ("\u9a8c\u8bc1\u7801 493021", "", True),
        ("Code review", "please look at it", False),
        ("lunch", "in 2026 we met at 1234 Main Street", False),
        ("price", "the code costs $4999.00", False),
    ],
)
def test_one_time_codes(subject: str, text: str, verdict: bool) -> None:
    assert is_code(subject, text) is verdict


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Your order 4400128 is here", True),
        ("Rechnung Nr. 2026-331 vom 2.10.", True),
        ("Votre réservation QX7PLM", True),
        ("注文番号 8812-10", True),
        ("Order before 31 December 2026", False),
        ("In order to save $12,999", False),
        ("PLEASE ORDER TODAY, SAVE EVERYTHING", False),
        ("", False),
    ],
)
def test_numbers_of_orders(text: str, verdict: bool) -> None:
    assert has_number(text) is verdict


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Hasta un 40 % en moda", True),
        ("-30 % sur tout", True),
        ("up to 60% cheaper", True),
        ("VAT 19 % included", False),
        ("%", False),
        ("5 % " * words.MAX_PERCENTAGES + "up to 60%", False),
    ],
)
def test_reductions(text: str, verdict: bool) -> None:
    assert has_reduction(text) is verdict


def test_numbers_of_orders_are_looked_for_up_to_a_limit() -> None:
    more = "ABC123 " * words.MAX_NUMBERS
    assert has_number(more[len("ABC123 ") :] + "order ABC123")
    assert not has_number(more + "order ABC123")


def test_services_of_the_operator_count() -> None:
    own = parse('[networks]\n"Knots" = "knots.example"', shipped())
    text = b"From: a@mail.knots.example\r\nSubject: hello\r\n\r\nx\r\n"
    assert classify(read(text, Header(text)), Authentication()).klass == "ham"
    assert classify(read(text, Header(text)), Authentication(), known=own).klass == "social"


@pytest.mark.parametrize(
    ("subject", "is_sure"),
    [("Training on Thursday", False), ("Bob's list, number 4", False), ("Your invoice", True)],
)
def test_what_only_seems_to_be_personal_may_be_taught_otherwise(subject: str, is_sure: bool) -> None:
    text = f"{SALE}Subject: {subject}\n\nOur special offer. Order number 443-1120. Unsubscribe\n"
    message = text.replace("\r\n", "\n").replace("\n", "\r\n").encode()
    found = classify(read(message, Header(message)), Authentication())
    assert found.klass == "ham"
    assert not found.logits
    assert bool(exemption(read(message, Header(message)))) is is_sure


class Head:
    """A prior that is sure of everything."""

    def __init__(self, logit: float) -> None:
        self.logit = logit

    def head_logit(self, head: str, found: Sequence[int]) -> float:
        assert head in ("promotions", "social")
        return self.logit


@pytest.mark.parametrize(("logit", "verdict"), [(9.0, "promotions"), (NEUTRAL_CLASS, "ham"), (-9.0, "ham")])
def test_the_prior_has_a_say_about_mail_to_many(logit: float, verdict: str) -> None:
    text = f"From: a@shop.test\r\n{UNSUBSCRIBE}Subject: hi\r\n\r\nour special offer\r\n".encode()
    found = classify(
        read(text, Header(text)),
        Authentication(),
        model=cast("Model", Head(logit)),
        indexes=lambda: [1],
    )
    assert found.klass == verdict
    said = {reason.name: reason.weight for reason in found.reasons}
    assert said.get("promotions.learned", 0.0) <= MAX_LEARNED
    assert all(name.startswith("promotions.") for name in said)


def test_the_prior_is_not_asked_about_mail_to_one() -> None:
    text = b"From: a@b.test\r\nSubject: sale\r\n\r\nShop now\r\n"

    def fail() -> Sequence[int]:
        raise AssertionError

    model = cast("Model", Head(9.0))
    assert classify(read(text, Header(text)), Authentication(), model=model, indexes=fail).klass == "ham"
