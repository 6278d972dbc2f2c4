"""Fraud that says little: known by what it brings, where its answers go, and for what it has no right to ask."""

# ruff: noqa: E501  # tables of mail read better unbroken

from __future__ import annotations

import io
import zipfile
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP

import pytest

from tests.kit.sign_mail import link, mail, names

HELD = "Our account is under audit and cannot receive funds. When is the payment planned? I will send you our new details."


def attached(message: bytes, name: str, content: bytes) -> bytes:
    parsed = BytesParser(EmailMessage, policy=SMTP).parsebytes(message)
    parsed.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    return parsed.as_bytes()


def archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr(zipfile.ZipInfo("invoice.xlsx"), b"1;2;3")
    return out.getvalue()


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        (HELD, "wants_pay_elsewhere"),
        ("Ons konto är under revision. Vårt konto är under revision och kan inte ta emot betalningar. Vilken dag betalar ni?", "wants_pay_elsewhere"),
        ("弊社口座が監査のため入金を受け付けられません。お支払い予定日をお知らせください。", "wants_pay_elsewhere"),
        ("I am an army nurse in the US army. I found your profile, you look like an honest man. My late husband died. Write me.", "wants_romance"),
        ("Rolex Daytona, identical to the original, with box. Replica of the year.", "wants_replica"),
        ("Repliche identiche all'originale: Submariner 99 €", "wants_replica"),
        ("A third party has today lodged a conflicting application. Pay the registration fee of $350 within 24 hours, click here.", "wants_register"),
        ("Anda dinyatakan LULUS. Tiket lewat travel rekanan, dibayar dahulu dan diganti penuh.", "wants_job_fee"),
    ],
)  # fmt: skip
def test_wishes(text: str, sign: str) -> None:
    assert sign in names(mail(text=text))


@pytest.mark.parametrize(
    "text",
    [
        "Our bank details have not changed. Thank you for the payment.",
        "We have a new bank: the new account stands on the invoice.",
        "My brother is in the US army, he comes home in March.",
        "Your Rolex has been serviced.",
        "The registration fee for the race is due on Friday.",
        "We pay the visa and the flight.",
    ],
)
def test_half_of_one_is_none(text: str) -> None:
    wishes = {"pay_elsewhere", "romance", "replica", "register", "job_fee"}
    assert not names(mail(text=text)) & {f"wants_{wish}" for wish in wishes}


@pytest.mark.parametrize(
    "said",
    [
        "Паролата за архива е 2231",
        "Lozinka: 7740",
        "Κωδικός αρχείου: 4418",
        "Parola arhivei este 6620. Aștept.",
        "كلمة المرور 5530. نرجو الرد",
        "Mật khẩu mở file: 2024hd",
        "압축 암호는 1102 입니다",
        "รหัสเปิดไฟล์ 4405",
        "See attached. pw 9917",
    ],
)
def test_a_password_is_given_along_in_any_language(said: str) -> None:
    assert "attached_with_password" in names(attached(mail(text=said), "a.zip", archive()))


@pytest.mark.parametrize(
    "said", ["The password is the one I texted you in April.", "Heslo je rovnaké ako minule.", "Your code."]
)
def test_a_password_that_is_not_told_is_none(said: str) -> None:
    assert "attached_with_password" not in names(attached(mail(text=said), "a.zip", archive()))


def test_an_answer_to_nothing_brings_something() -> None:
    bare = mail(subject="Re: Re: offer", text="Password: 1234")
    assert "answer_brings_trap" in names(attached(bare, "a.zip", archive()))
    answer = mail(subject="Re: offer", text="Password: 1234", References="<1@home.example>")
    assert "answer_brings_trap" not in names(attached(answer, "a.zip", archive()))
    assert "answer_brings_trap" not in names(attached(mail(subject="Re: x"), "a.txt", b"hello"))


def test_a_page_is_all_there_is() -> None:
    page = b"<!DOCTYPE html><html><body><p>Document</p></body></html>"
    assert "attached_page_alone" in names(attached(mail(text="See attached."), "a.html", page))
    assert "attached_page_alone" not in names(
        attached(mail(text="See https://brook.example/"), "a.html", page)
    )
    answer = mail(subject="Re: a", text="See.", In_Reply_To="<1@home.example>")
    assert "attached_page_alone" not in names(attached(answer, "a.html", page))


@pytest.mark.parametrize(
    ("text", "is_trade"),
    [
        ("Database of 500 000 firms, 90 EUR. WhatsApp +1 555 010 7788", True),
        ("Работа: 3000 руб в день, пишите в Telegram @job_today", True),
        ("I paid 90 EUR. Text me on WhatsApp!", False),
        ("My new WhatsApp is +1 555 010 7788", False),
    ],
)
def test_a_trader_without_a_name(text: str, is_trade: bool) -> None:
    assert ("free_mail_trade" in names(mail("Ann Lee <ann.lee@gmail.com>", text=text))) is is_trade
    assert "free_mail_trade" not in names(mail(text=text))
    answer = mail("Ann Lee <ann.lee@gmail.com>", "Re: a", text, In_Reply_To="<1@home.example>")
    assert "free_mail_trade" not in names(answer)


def test_answers_to_a_company_go_to_anybody() -> None:
    page = link("mailto:report.user77@gmail.com", "Report the user")
    assert "brand_answers_to_free" in names(mail("Instagram <security@ig-notice.example>", page=page))
    assert "brand_answers_to_free" not in names(mail("Ann's Bakery <ann@brook.example>", page=page))


def test_a_double_wants_money() -> None:
    text = (
        "Please note our new bank details, the outstanding invoice is due today: we have a new bank account."
    )
    double = mail("Ann <ann@brook-marlne.example>", "Re: a", text, References="<1@brook-marine.example>")
    assert {"sender_double", "double_wants_money"} <= names(double)
    true = mail("Ann <ann@brook-marine.example>", "Re: a", text, References="<1@brook-marine.example>")
    assert "double_wants_money" not in names(true)


def test_it_says_nothing_but_look() -> None:
    assert "link_bare" in names(mail(text="Is this you? https://tinyurl.com/3kd8v"))
    assert "link_bare" not in names(mail(text="Is this you? https://brook.example/3kd8v"))
    assert "link_bare" not in names(mail(text="Is this you? https://tinyurl.com/3kd8v" + " and so on" * 20))


def test_the_authors_name_is_a_trade() -> None:
    text = "Your fate is written in the stars: read your horoscope."
    few = names(mail("Ann Lee <ann@brook.example>", text="Read what the zodiac says of you."))
    seer = names(mail("Clairvoyant Ann <ann@brook.example>", text="Read what the zodiac says of you."))
    assert "wants_esoteric" in seer - few
    assert "wants_esoteric" in names(mail("Ann Lee <ann@brook.example>", text=text))


def test_nobody_charges_from_free_mail() -> None:
    text = "Your order was charged $389. To cancel call our toll free number +1 (808) 555-0147"
    assert "called_by_nobody" in names(mail("Ann Lee <ann.lee@gmail.com>", text=text))
    assert "called_by_nobody" not in names(mail(text=text))


def test_who_has_the_readers_mailbox() -> None:
    text = "Your mailbox is full and will be suspended within 24 hours. Verify your account: click here. Storage exceeded your quota."
    message = mail("Helpdesk <a@brook.example>", page=link("https://brook.example/v").replace("Look", text))
    assert "wish_of_no_host" in names(message)
    own = mail("Helpdesk <a@home.example>", page=link("https://home.example/v").replace("Look", text))
    assert "wish_of_no_host" not in names(own)


def test_authorities_are_not_where_anybody_buys() -> None:
    text = "Your tax refund is waiting. Confirm your account within 24 hours: click here."
    page = link("https://refund.example/v").replace("Look", text)
    assert "wish_of_no_state" in names(mail("Ministry of Finance <a@finance-refund.com>", page=page))
    for domain in ("mof.gov", "mof.gov.example", "mof.fi", "treasury.org"):
        assert "wish_of_no_state" not in names(mail(f"Ministry of Finance <a@{domain}>", page=page))
    assert "wish_of_no_state" not in names(
        mail("Ministry of Sound <a@ministryofsound.com>", text="New album")
    )


def test_answers_to_a_group_come_from_its_portal() -> None:
    text = "Do you need loans? Low interest, apply now: bad credit is no problem."
    assert "wish_free_mail" in names(mail("Ann Lee <ann.lee@gmail.com>", text=text))
    group = mail("Ann Lee <ann.lee@gmail.com>", text=text, Reply_To="gardeners@groups.example")
    assert "wish_free_mail" not in names(group)


def test_the_identifier_of_a_company_at_a_large_host_is_its_own() -> None:
    message = mail().replace(
        b"Message-ID: <1@brook.example>", b"Message-ID: <AM0PR1@AM0PR1.eurprd04.prod.outlook.com>"
    )
    assert b"prod.outlook.com" in message
    assert "id_by_receiver" not in names(message)
