"""What a message wants, against who asks, where from, and whose reader it speaks to."""

# ruff: noqa: E501  # tables of mail read better unbroken

from __future__ import annotations

import pytest

from mailstack.filters.signs import abroad
from mailstack.filters.words import split
from mailstack.model.verdict import Authentication, DmarcResult
from tests.kit.sign_mail import link, mail, names

PASS = Authentication(dmarc=DmarcResult("pass", "example.net"))
SALARY = "I have a new bank. Please pay my salary to the new account from this month."


def page(text: str, url: str = "https://stream.example/x") -> str:
    return link(url).replace("Look", text)


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        (SALARY, "wants_payroll"),
        ("Ich habe eine neue Bank, bitte das Gehalt auf das neue Konto.", "wants_payroll"),
        ("J'ai un nouveau RIB pour mon salaire.", "wants_payroll"),
        ("給与の振込先を変更したいのですが。", "wants_payroll"),
        ("Hi mum, my phone broke, this is my new number. Can you pay a bill for me?", "wants_relative"),
        ("Hallo Mama, mein Handy ist kaputt. Kannst du etwas für mich überweisen?", "wants_relative"),
        ("Привет мам, телефон сломался. Переведи мне денег, завтра верну.", "wants_relative"),
        ("I am abroad and cannot show the flat, the keys come by courier after the deposit.", "wants_rental"),
        ("Die Schlüssel kommen per Post, sobald Sie die Kaution überweisen.", "wants_rental"),
        ("A robot trades for me while I sleep. No experience needed.", "wants_easy_money"),
        ("Un robot que opera mientras duermes, sin experiencia, desde el móvil.", "wants_easy_money"),
        ("寝ている間に自動売買。知識も経験も不要です。", "wants_easy_money"),
        ("The clairvoyant saw your destiny in the cards: a guardian angel.", "wants_esoteric"),
        ("Sign in with your work email to view the document.", "wants_mail_login"),
        ("Melden Sie sich mit Ihrem E-Mail-Konto an, um das Dokument zu sehen.", "wants_mail_login"),
        ("Scan the QR code to keep your password from expiring.", "wants_scan_code"),
        ("A speeding fine is unpaid. Pay within 24 hours, click here.", "wants_fine"),
        ("Su suministro eléctrico será suspendido hoy. Haga clic aquí para pagar.", "wants_utility"),
        ("Pay in bitcoin to 1BoatSLRHtKNngkdXEeobR76b53LETtpyT within 48 hours.", "wants_extortion"),
    ],
)
def test_wishes_of_strangers(text: str, sign: str) -> None:
    assert sign in names(mail(text=text))


@pytest.mark.parametrize(
    "text",
    [
        "The payslips are in the portal, salaries are paid on Friday.",
        "My phone broke, see you on Sunday.",
        "The deposit is due when you sign.",
        "No experience needed: come and paint with us.",
        "Her destiny was a dog.",
        "Show the QR code at the door.",
        "Sign in with your library card.",
    ],
)
def test_half_of_one_is_none(text: str) -> None:
    assert not {name for name in names(mail(text=text)) if name.startswith("wants_")}


def test_a_mere_name_wants_money() -> None:
    free = mail("Ann Lee <ann.lee@gmail.com>", text=SALARY)
    assert {"wish_free_mail", "wish_of_mere_name"} <= names(free)
    assert not names(mail(text=SALARY)) & {"wish_free_mail", "wish_of_mere_name"}
    answer = mail("Ann Lee <ann.lee@gmail.com>", "Re: x", SALARY, References="<1@home.example>")
    assert "wish_of_mere_name" not in names(answer)


@pytest.mark.parametrize(
    ("sender", "sign"),
    [
        ("Ann Lee <ceo.desk77@gmail.com>", "free_mail_office"),
        ("Ann Lee <accounts.dept@outlook.com>", "free_mail_office"),
        ("Ann Lee <blue.tulip@gmail.com>", "free_mail_unlike"),
        ("Homebase Support <x@brook.example>", "name_of_reader"),
    ],
)
def test_the_address_does_not_fit_the_name(sender: str, sign: str) -> None:
    assert sign in names(mail(sender, to="bob@homebase.example"))


@pytest.mark.parametrize(
    "sender",
    [
        "Ann Lee <ann.lee77@gmail.com>",
        "Ann Lee <alee@gmail.com>",
        "Ann Maria Lee <aml@gmail.com>",
        "Purple Elephant Club <purple.elephant@gmail.com>",
        "Gmail Support <support@gmail.com>",
        "Homebase <x@homebase.example>",
    ],
)
def test_the_address_fits_the_name(sender: str) -> None:
    found = names(mail(sender, to="bob@homebase.example"))
    assert not found & {"free_mail_office", "free_mail_unlike", "name_of_reader"}


@pytest.mark.parametrize(
    "sender", ["Banco do Brasil <x@bb.com.br>", "Ministry of Works <x@roads.gov.example>"]
)
def test_initials_and_states_fit(sender: str) -> None:
    assert not names(mail(sender)) & {"name_unrelated", "official_unrelated"}


def test_a_provider_and_a_state_write_themselves() -> None:
    assert "official_free_mail" not in names(mail("Fastmail Billing <billing@fastmail.com>"))
    assert "official_free_mail" in names(mail("Fastmail Billing <fastmail.billing77@fastmail.com>"))
    assert "name_other_domain" not in names(mail("impots.gouv.fr <x@dgfip.finances.gouv.fr>"))
    assert "name_other_domain" in names(mail("impots.gouv.fr <x@brook.fr>"))


def test_who_answers_goes_by_a_double() -> None:
    sender = "Ann Lee <ann@brook-marlne.example>"
    true = mail(sender, "Re: invoice", References="<1@brook-marine.example>")
    assert "sender_double" in names(true)
    quoted = mail(sender, "Re: invoice", "> From: ann@brook-marine.example\n> the invoice")
    assert "sender_double" in names(quoted)
    assert "sender_double" not in names(mail(sender, "invoice", "see brook-marine.example"))
    for other in ("brookmarlne.example", "brook-marlne.example.net", "north-works.example"):
        assert "sender_double" not in names(mail(sender, "Re: invoice", References=f"<1@{other}>"))


def test_it_leads_to_a_stranger() -> None:
    wish = page("A parcel is waiting. Pay the customs fee: click here.")
    assert "wish_leads_to_stranger" in names(mail(page=wish))
    home = page("A parcel is waiting. Pay the customs fee: click here.", "https://brook.example/x")
    assert "wish_leads_to_stranger" not in names(mail(page=home))
    kin = page("A parcel is waiting. Pay the customs fee: click here.", "https://brookside-parcels.example/")
    assert "wish_leads_to_stranger" not in names(mail(page=kin))
    form = page("A parcel is waiting. Pay the customs fee: click here.", "https://forms.gle/x")
    assert "wish_leads_to_stranger" not in names(mail(page=form))


SCAN = "You have a new voice message. Sign in with your work email to listen."


def test_somebody_outside_is_the_readers_office() -> None:
    assert "wish_of_outsider" in names(mail(page=page(SCAN)))
    assert "wish_of_outsider" not in names(mail(page=page(SCAN, "https://brook.example/x")))
    assert "wish_of_outsider" not in names(mail(subject="Fwd: is this real?", page=page(SCAN)))
    inside = mail("Office <x@home.example>", page=page(SCAN, "https://foo.web.app/"))
    assert "wish_of_insider" in names(inside)
    assert "wish_of_insider" not in names(inside, PASS)
    assert "wish_of_insider" not in names(mail("Office <x@home.example>", page=page(SCAN)))


GERMAN = "Ihre Sendung wartet und wurde nicht zugestellt. Bitte zahlen Sie die Gebühr, wir haben es für Sie aufgehoben oder klicken Sie hier."


def test_it_is_written_for_another_country() -> None:
    assert "wish_from_abroad" in names(mail("a <x@padaria.com.br>", text=GERMAN))
    assert "wish_leads_abroad" in names(mail("a <x@brook.de>", page=page(GERMAN, "https://padaria.com.br/")))
    for sender in ("a <x@brook.de>", "a <x@brook.at>", "a <x@brook.com>", "a <x@brook.example>"):
        assert "wish_from_abroad" not in names(mail(sender, text=GERMAN))


@pytest.mark.parametrize(
    ("text", "country"),
    [
        ("wir haben es nicht für Sie und ihre bitte", "de"),
        ("nous avons pour vous dans votre sur les", "fr"),
        ("お客様のお荷物をお届けしましたがご不在でしたので持ち帰りました。", "jp"),
        ("Ваша посылка ожидает вас на складе", "ru"),
    ],
)
def test_a_language_is_at_home_somewhere(text: str, country: str) -> None:
    assert country in abroad.homes(text, frozenset(split(text)))


@pytest.mark.parametrize("text", ["", "the account and the bank", "und", "nicht ihre sont votre"])
def test_what_is_no_language_is_at_home_nowhere(text: str) -> None:
    assert abroad.homes(text, frozenset(split(text))) == frozenset()


def test_the_account_is_in_another_country() -> None:
    text = "Bitte nutzen Sie das Konto für die Zahlung, wir haben die Rechnung und die Bank nicht: {} BIC"
    lithuania, home = "LT12 1000 0111 0100 1000", "DE89 3704 0044 0532 0130 00"
    assert "account_abroad" in names(mail("a <x@brook.de>", text=text.format(lithuania)))
    answer = mail("a <x@brook.de>", "Re: invoice", text.format(lithuania))
    assert "answer_account_abroad" in names(answer)
    for number in (home, "LT12 1000 0111", "XX12 1000 0111 0100 1000", "LT12 ABCD EFGH IJKL MNOP"):
        assert "account_abroad" not in names(mail("a <x@brook.de>", text=text.format(number)))
    assert "account_abroad" not in names(mail(text=f"Please pay to {lithuania}"))


def test_it_goes_on_elsewhere() -> None:
    text = "Hi mum, my phone broke. Can you pay a bill for me? Write to me on WhatsApp."
    assert "wish_by_messenger" in names(mail(text=text))
    assert "wish_answers_elsewhere" in names(mail(text=text, Reply_To="bob@gmail.com"))
    assert "wish_by_messenger" not in names(mail(text="My phone broke. Write to me on WhatsApp."))


@pytest.mark.parametrize(
    ("text", "is_relayed"),
    [
        ("Your account was charged $300. Call us: +1 (808) 555-0147", True),
        ("Withdraw your bitcoin, your wallet address is known", True),
        ("payroll.office@outlook.com invited you to view a design", True),
        ("Two mugs and a bowl, thank you", False),
        ("Norton was charged, not you? +1 (808) 555-0147", True),
        ("Questions about the boiler? Call us: +1 (808) 555-0147", False),
        ("Kindly contact me about your receipt, my dear", False),
        ("ann.lee@gmail.com invited you to view a design", False),
    ],
)
def test_a_company_passes_on_words_of_strangers(text: str, is_relayed: bool) -> None:
    message = mail("PayPal <service@paypal.com>", text=text)
    proof = Authentication(dmarc=DmarcResult("pass", "paypal.com"))
    found = names(message, proof)
    assert ("relayed" in found) is is_relayed
    assert ("brand_proven" in found) is not is_relayed


def test_a_company_that_does_not_answer_for_it() -> None:
    message = mail("DHL <a@dhl.de>", page=link("https://foo.web.app/x"))
    assert "brand_own_astray" in names(message)
    proof = Authentication(dmarc=DmarcResult("pass", "dhl.de"))
    assert "brand_own_astray" not in names(message, proof)
