"""Signs of fraud: what contradicts itself weighs, and honest mail about the same things does not."""

# ruff: noqa: E501  # tables of mail read better unbroken

from __future__ import annotations

import io
import re
import zipfile
from email.message import EmailMessage
from pathlib import Path

import pytest

from mailstack.filters.authentication.dmarc import find_author
from mailstack.filters.document import read
from mailstack.filters.fields import Header
from mailstack.filters.signs import find, strange
from mailstack.filters.signs.knowledge import BadKnowledge, extended, shipped
from mailstack.filters.spam import score, written
from mailstack.model.verdict import Authentication, DmarcResult
from tests.kit.sign_mail import link, mail, names, signs, weight

HERE = Path(__file__).parent
FRAUD = written.parse((HERE / "fraud.json").read_bytes())
HONEST = written.parse((HERE / "honest.json").read_bytes())
PASS = Authentication(dmarc=DmarcResult("pass", "example.net"))


# -- as a whole --------------------------------------------------------------------------


@pytest.mark.parametrize("entry", FRAUD, ids=lambda e: f"{e.lang} {e.subject}")
def test_fraud_has_signs_however_it_is_built(entry: written.Written) -> None:
    for shape in ("plain", "html", "both", "card"):
        assert weight(written.render(entry, shape=shape)) > 0.8, shape


@pytest.mark.parametrize("entry", HONEST, ids=lambda e: f"{e.lang} {e.subject}")
def test_honest_mail_about_the_same_things_has_few(entry: written.Written) -> None:
    for shape in ("plain", "html", "both", "card"):
        assert weight(written.render(entry, shape=shape)) < 2.6, shape


def test_they_are_told_apart_by_a_wide_margin() -> None:
    fraud = sorted(weight(written.render(entry)) for entry in FRAUD)
    honest = sorted(weight(written.render(entry)) for entry in HONEST)
    # nine of ten frauds stand above the honest mail that looks worst
    assert fraud[len(fraud) // 10] > honest[-1]
    assert sum(fraud) / len(fraud) > 6 > 1 > sum(honest) / len(honest)
    # graded: they do not all come to the same
    assert len({round(one, 1) for one in fraud}) > len(fraud) // 2


def test_each_sign_is_a_reason_in_words_and_together_they_are_the_score() -> None:
    message = written.render(FRAUD[0])
    header = Header(message)
    result = score.score(read(message, header), Authentication(), find_author(header), None)
    assert all(reason.why for reason in result.reasons)
    from_signs = sum(r.weight for r in result.reasons if r.name != "prior")
    assert from_signs == pytest.approx(weight(message))


# -- whose name --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sender", "sign"),
    [
        ("PayPal <service@flower-shop.example>", "brand_name"),
        ("Deutsche Bank Sicherheit <x@brook.example>", "brand_name"),
        ("PayPaI <service@flower-shop.example>", "brand_disguised"),
        ("N e t f l i x <a@brook.example>", "brand_disguised"),
        ("\u0420\u0430y\u0420al <a@brook.example>", "brand_name"),
        ("Amazon Support <amazon.help77@gmail.com>", "brand_name_free"),
        ("Apple Support <a@brook.example>", "brand_name"),
        ("Support <help@paypa1.com>", "lookalike_sender"),
        ("Support <help@paypal.com.account-check.example>", "lookalike_sender"),
        ("Support <help@netflix-billing.example>", "lookalike_sender"),
        ("Support <help@mircosoft.com>", "lookalike_sender"),
        ("Support <help@orange-client.example>", "lookalike_sender"),
        ("Support <help@xn--pypal-4ve.com>", "lookalike_sender"),
        ("Support <netflix-info@brook.example>", "brand_local"),
        ("三井住友カード <info@brook.example>", "brand_name"),
        ("Сбербанк <info@brook.example>", "brand_name"),
    ],
)
def test_a_company_is_named_by_somebody_else(sender: str, sign: str) -> None:
    assert sign in names(mail(sender))


@pytest.mark.parametrize(
    "sender",
    [
        "PayPal <service@paypal.com>",
        "PayPal <service@mail.paypal.co.uk>",
        "PayPal <service@paypal.de>",
        "Amazon.de <order-update@amazon.de>",
        "Microsoft 365 <a@email.microsoftonline.com>",
        "DHL Paket <noreply@dhl.de>",
        "Sparkasse Hannover <info@sparkasse-hannover.de>",
        # people, and words that are no company
        "Tim Peters <tim.peters@brook.example>",
        "Apple Pie Club <club@applepie.example>",
        "Chase Miller <chase@miller.example>",
        "Orange Grove <info@orangegrove.example>",
        "Lea Petit <hello@orange-design-studio.example>",
    ],
)
def test_a_company_and_who_only_sounds_so_may_use_the_name(sender: str) -> None:
    found = names(mail(sender))
    assert not {name for name in found if name.startswith(("brand_name", "brand_disg", "lookalike"))}


@pytest.mark.parametrize(
    "sender",
    [
        "Vodafone <a@vodafonemail.de>",
        "Santander <a@emailsantander.es>",
        "Commerzbank <a@commerzbank-mail.de>",
    ],
)
def test_a_domain_for_mailings_nobody_listed_is_doubtful_but_no_double(sender: str) -> None:
    host = sender.rpartition("@")[2].rstrip(">")
    found = names(mail(sender, page=link(f"https://www.{host}/bill")))
    assert "brand_name_kin" in found
    assert not found & {"brand_name", "brand_leads_elsewhere", "lookalike_sender", "lookalike_link"}
    for other in ("netflixbilling.com", "netflix-mail.top", "secure-netflix.com"):
        assert "brand_name_kin" not in names(mail(f"Netflix <a@{other}>"))


def test_the_company_itself_is_known_by_its_proof() -> None:
    message = mail("PayPal <service@paypal.com>", page=link("https://www.paypal.com/x"))
    assert "brand_proven" in names(message, Authentication(dmarc=DmarcResult("pass", "paypal.com")))
    assert "brand_forged" in names(message, Authentication(dmarc=DmarcResult("fail", "paypal.com")))
    assert not names(message) & {"brand_proven", "brand_forged"}


def test_names_lead_where_they_belong() -> None:
    assert "brand_leads_elsewhere" in names(
        mail("DHL <a@brook.example>", page=link("https://brook.example/x"))
    )
    assert "brand_leads_elsewhere" not in names(
        mail("DHL <a@brook.example>", page=link("https://www.dhl.de/x"))
    )
    assert "brand_own_leads_elsewhere" in names(mail("DHL <a@dhl.de>", page=link("https://brook.example/x")))


def test_a_borrowed_logo_is_a_sign() -> None:
    page = (
        "<html><body><img src='https://www.paypal.com/logo.png'><p>PayPal wants to"
        " <a href='{}'>see you</a></p></body></html>"
    )
    assert "brand_picture" in names(mail(page=page.format("https://brook.example/x")))
    assert "brand_picture" not in names(mail(page=page.format("https://www.paypal.com/x")))
    own = mail("PayPal <a@paypal.com>", page=page.format("https://brook.example/x"))
    assert "brand_picture" not in names(own)


# -- who writes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "sign"),
    [
        (mail("'boss@firm.example' <x@brook.example>"), "name_other_address"),
        (mail('"boss@firm.example" <x@brook.example>'), "name_other_address"),
        (mail("Office 365 Bank <x@gmail.com>"), "official_free_mail"),
        (mail("Security Team <x@gmail.com>"), "official_free_mail"),
        (mail("Parcel Service <mv@weddings.example>"), "name_unrelated"),
        (mail("a <x@brook.top>"), "sender_odd_tld"),
        (mail("a <x@tenant77.onmicrosoft.com>"), "sender_tenant"),
        (mail("a <x@qxvbnkzt.example>"), "sender_random_domain"),
        (mail("a <x@pay-your-parcel.example>"), "sender_hyphens"),
        (mail(Reply_To="bob@gmail.com"), "reply_to_free"),
        (mail("x <a@gmail.com>", Reply_To="bob@yandex.com"), "reply_to_other_free"),
        (mail(Reply_To="bob@stream.example.net"), "reply_to_elsewhere"),
        (mail("a <bob.b@home.example>"), "to_itself"),
        (mail(to="undisclosed-recipients:;"), "to_nobody"),
        (mail(subject="bob.b@home.example: last notice"), "subject_address"),
        (mail(subject="Hi \U0001f381"), "subject_symbols"),
        (mail(subject="Re: your order"), "reply_to_nothing"),
        (mail(subject="p\u0430ypal", text="v\u0435rify"), "letters_disguised"),
        (mail(text="Dear bob.b@home.example, hello"), "greets_address"),
    ],
)
def test_the_header_tells(message: bytes, sign: str) -> None:
    found = names(message)
    assert sign in found or (sign == "name_unrelated" and "official_unrelated" in found)


@pytest.mark.parametrize("host", ["10.0.0.20", "192.168.1.20:5000", "172.16.1.5"])
def test_what_devices_say_of_themselves_is_nobodys_name(host: str) -> None:
    # The power supply of a server room is no parcel service, and its own page no place in the Internet
    report = f"Location: server room\nhttp://{host}/\nWarning: on battery power.\n"
    found = names(mail("APC UPS <ups@works.example>", "UPS: On battery power", report))
    assert found.isdisjoint({"brand_name", "brand_leads_elsewhere", "link_ip", "links_elsewhere"})
    assert "link_ip" in names(mail(text=f"http://203.0.113.7/ {report}"))


@pytest.mark.parametrize("host", ["news.zalando-lounge.de", "t-mobile.nl", "zalando.fr"])
def test_a_company_has_its_names_with_hyphens_in_every_country(host: str) -> None:
    assert shipped().owners(host)


def test_names_nobody_chose() -> None:
    for name in ("qxvbnkzt", "a1b2c3d4", "xkcdqwrtz"):
        assert strange.is_random(name)
    for name in ("rhythms", "schwarzschild", "strength", "angstschweiss", "web24", "microsoft", "h1b", "x"):
        assert not strange.is_random(name)


# -- where it leads ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "sign"),
    [
        ("https://foo.web.app/x", "link_site"),
        ("https://storage.googleapis.com/b/x.html", "link_storage"),
        ("https://forms.gle/abc", "link_form"),
        ("https://docs.google.com/forms/d/1", "link_form"),
        ("https://bit.ly/abc", "link_short"),
        ("https://www.google.com/url?q=https://x.example", "link_redirect"),
        ("http://203.0.113.9/login", "link_ip"),
        ("http://%32%30%33.0.113.9/login", "link_ip"),
        ("https://brook.top/a", "link_odd_tld"),
        ("https://xn--pple-43d.example/", "link_punycode"),
        ("https://stream.example:8443/", "link_port"),
        ("https://www.paypal.com@evil.example/", "link_user"),
        ("https://a.b.c.d.e.example/", "link_deep"),
        ("https://school.example/wp-content/uploads/x/", "link_hacked"),
        ("https://stream.example/?e=bob.b@home.example", "link_carries_address"),
        ("https://stream.example/#Ym9iLmJAaG9tZS5leGFtcGxl", "link_carries_address"),
        ("https://brook.example/?e=bob.b@home.example", "link_own_carries_address"),
        ("https://secure-login.example/", "link_keyword"),
        ("https://paypal.com.evil.example/", "lookalike_link"),
        ("https://stream.example/a", "links_elsewhere"),
    ],
)
def test_a_link_tells_where_it_leads(url: str, sign: str) -> None:
    assert sign in names(mail(page=link(url)))


def test_a_link_that_shows_another_place_lies() -> None:
    assert "link_lies" in names(mail(page=link("https://evil.example.org/", "https://www.bank.example.net/")))
    # those who count clicks for others do so for a living
    assert "link_lies" not in names(
        mail(page=link("https://u7.ct.sendgrid.net/x", "https://www.bank.example.net/"))
    )


def test_answers_to_an_address_anybody_gets() -> None:
    assert "mailto_free" in names(mail(page=link("mailto:report.user@gmail.com?subject=x")))


# -- what it wants -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("We noticed unusual activity. Your account is suspended. Verify within 24 hours.", "wants_account"),
        (
            "Ihr Konto wurde gesperrt. Bitte bestätigen Sie Ihre Daten innerhalb von 24 Stunden.",
            "wants_account",
        ),
        ("Votre compte est suspendu. Veuillez confirmer vos informations.", "wants_account"),
        ("Su cuenta ha sido bloqueada. Verifique sus datos ahora.", "wants_account"),
        ("Il tuo conto è stato bloccato. Verifica ora i tuoi dati.", "wants_account"),
        ("Sua conta foi bloqueada. Atualize seu cadastro.", "wants_account"),
        ("SUA CONTA SERA BLOQUEADA. CLIQUE AQUI PARA ATUALIZACAO", "wants_account"),
        ("Uw rekening is geblokkeerd. Bevestig uw gegevens.", "wants_account"),
        ("Twoje konto zostało zablokowane. Potwierdź swoje dane.", "wants_account"),
        ("Váš účet byl zablokován. Potvrďte své údaje.", "wants_account"),
        ("Hesabınız askıya alındı. Hesabınızı doğrulayın.", "wants_account"),
        ("Ваш аккаунт заблокирован. Подтвердите данные.", "wants_account"),
        ("Ditt konto har spärrats. Bekräfta dina uppgifter.", "wants_account"),
        ("Din konto er spærret. Bekræft dine oplysninger.", "wants_account"),
        ("お客様のアカウントは停止されました。ログインして確認してください。", "wants_account"),
        ("您的账户已被冻结，请立即点击验证。", "wants_account"),
        ("Your parcel could not be delivered. Pay the customs fee now, click here.", "wants_parcel"),
        ("Congratulations, you have been selected to win a prize. Claim your reward now.", "wants_prize"),
        ("Your mailbox is full, storage limit exceeded. Upgrade now.", "wants_storage"),
        ("I recorded you with your webcam on a porn site. Send bitcoin.", "wants_extortion"),
        (
            "My late client left 8 million dollars. The beneficiary's fund. I am a barrister, contact me, confidential.",
            "wants_advance_fee",
        ),
        ("Are you available? I need gift cards, I am in a meeting.", "wants_errand"),
        (
            "Your subscription has been renewed and $399 was charged. Call us toll free to cancel.",
            "wants_call_back",
        ),
        (
            "We changed our bank: please use the new bank account for the outstanding invoice.",
            "wants_bank_change",
        ),
    ],
)
def test_wishes_are_several_kinds_of_words_together(text: str, sign: str) -> None:
    assert sign in names(mail(text=text))


@pytest.mark.parametrize(
    "text",
    [
        "Your account.",
        "The parcel arrived, thank you!",
        "Congratulations on your new job!",
        "Der Termin ist dringend, bitte bis heute.",
        "I bought some bitcoin and a webcam.",
        "",
    ],
)
def test_no_single_word_is_a_wish(text: str) -> None:
    assert not {name for name in names(mail(text=text)) if name.startswith("wants_")}


def test_only_strangers_are_asked_why_they_want_to_know() -> None:
    found = signs(mail(text="Are you available? I need gift cards, I am in a meeting."))
    assert [reason.name for reason in found.for_strangers] == ["stranger_asks"]
    assert not signs(mail(text="See you at lunch")).for_strangers


# -- companies that pass on strangers' words ----------------------------------------------


def test_a_number_to_call_in_a_note_a_company_passes_on() -> None:
    note = (
        "Note from seller: $499.99 was debited. Not you? Call our fraud desk at +1 (888) 555-0139 to cancel."
    )
    own = "You paid $24.00 to Willow Yarns. Transaction ID 5XK88120WT."
    assert "relayed" in names(mail("service@paypal.com", "Invoice", note))
    assert "relayed" not in names(mail("service@paypal.com", "Receipt", own))
    assert "relayed" not in names(mail("Shop <billing@brook.example>", "Invoice", note))


def test_notices_to_somebody_else_sent_on_to_lists_of_a_tenant() -> None:
    assert "to_handed_on" in names(mail(to="list7@whitecanyon.onmicrosoft.com"))
    assert "to_handed_on" not in names(mail(to="anna@example.org"))


def test_a_free_mail_address_is_no_proof_of_a_company() -> None:
    proven = Authentication(dmarc=DmarcResult("pass", "gmail.com"))
    assert "brand_proven" not in names(mail("Ann <ann.lee@gmail.com>", "Quick task", "hi"), proven)


def test_addresses_of_links_are_no_words_of_the_text() -> None:
    page = '<p>Your card was not charged</p><a href="https://u1.ct.sendgrid.net/ls/click">Update now</a>'
    found = names(mail("BBVA <avisos@em1.dental.example>", "Your account", page=page))
    plain = names(
        mail("BBVA <avisos@em1.dental.example>", "Your account", "https://u1.ct.sendgrid.net/ls/click")
    )
    assert "brand_name" in found
    assert "brand_name" in plain


def test_letters_that_want_answers_elsewhere() -> None:
    assert "other_address" in names(
        mail("Eva <eva77@gmail.com>", "hello", "Write to my private address eva.love@yahoo.com please")
    )
    assert "other_address" not in names(mail(text="Write to bob@gmail.com please"))
    assert "free_mail_to_nobody" in names(mail("Eva <eva77@gmail.com>", to="undisclosed-recipients:;"))


def test_downloads_from_where_anybody_puts_files() -> None:
    assert "link_download" in names(mail(text="https://bitbucket.org/docs/downloads/Invoice_1.zip"))
    assert "link_download" not in names(mail(text="https://brook.example/downloads/Invoice_1.zip"))


def attached(name: str, content: bytes, text: str = "Please see the attachment") -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "Ann <a@brook.example>", "bob@home.example", "order"
    message.set_content(text)
    message.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    return message.as_bytes().replace(b"\n", b"\r\n")


def zipped(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), content)
    return out.getvalue()


def test_programs_that_are_called_something_else() -> None:
    assert "program_disguised" in names(attached("PO-7712.pdf.exe", b"MZ" + bytes(400)))
    assert "program_disguised" not in names(attached("setup.exe", b"MZ" + bytes(400)))


@pytest.mark.parametrize(
    "said", ["Password: 1234", "Passwort für das Archiv: abc-77", "Hasło: 1234", "密码：8812"]
)
def test_archives_whose_password_is_given_along(said: str) -> None:
    archive = zipped("invoice.xlsx", b"1;2;3")
    assert "attached_with_password" in names(attached("invoice.zip", archive, f"See attached.\n{said}\n"))
    assert "attached_with_password" not in names(attached("invoice.zip", archive))


# -- what it knows -----------------------------------------------------------------------


def test_every_sign_has_a_weight_and_every_weight_a_sign() -> None:
    folder = Path(find.__file__).parent
    code = "".join(file.read_text("utf-8") for file in sorted(folder.glob("*.py")))
    known = shipped()
    for name in known.signs:
        plain = name in code or name.startswith("wants_")
        assert plain or name.removeprefix("link_") in ("site", "storage", "form", "short", "redirect"), name
    for name in re.findall(r'Found\("(\w+)"', code):
        assert name in known.signs
    assert {f"wants_{intent.name}" for intent in known.intents} <= known.signs.keys()
    assert all(-2 <= sign.weight <= 4 and sign.why for sign in known.signs.values())


def test_operators_add_companies_and_hosts() -> None:
    brands = '[local]\n"Brookbank" = "brookbank.example"\n'
    hosts = '[shared]\nsite = "pages.river.example"\n'
    known = extended([("brands", brands), ("hosts", hosts)])
    message = mail("Brookbank <x@hill.example>", page=link("https://a.pages.river.example/x"))
    assert {"brand_name", "link_site"} <= {r.name for r in signs(message, knowledge=known).reasons}
    assert not {"brand_name", "link_site"} & names(message)
    own = mail("Brookbank <x@mail.brookbank.example>")
    assert "brand_name" not in {r.name for r in signs(own, knowledge=known).reasons}


@pytest.mark.parametrize("text", ["[", "x = 1", "[local]\nx = 1", '[local]\n"" = "a.example"'])
def test_files_that_are_no_good_are_told(text: str) -> None:
    with pytest.raises(BadKnowledge):
        extended([("brands", text)])


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"From: @\r\n\r\n",
        b"From: paypal <x@" + b"paypa1." * 20_000 + b"test>\r\n\r\nhi\r\n",
        mail(text=" ".join(f"https://{'paypa1.' * 280}x{n}.test/" for n in range(200))),
        b"From: " + b"a." * 60_000 + b"@b.test\r\n\r\nhi\r\n",
        mail("x <a@" + "b-" * 120 + ".test>", "#" * 2_000, "@" * 100_000),
        mail(text="account suspend verify bitcoin " * 100_000),
        mail(text=" ".join(f"https://{n}.{'a' * 60}.top/{'%40' * 600}#x" for n in range(2_000))),
        mail(text="1" * 100_000 + " million charged call " + "$1," * 50_000),
        mail('"' + "a b " * 200 + '" <x@b.test>', page="<a href='https://" + "x." * 1_000 + "com/'>x</a>"),
    ],
)
def test_hostile_mail_costs_no_more_than_other_mail(message: bytes) -> None:
    # M14, M15; T42
    for _ in range(20):
        signs(message)


def test_names_of_60_kib_are_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def look_at(name: str) -> bool:
        seen.append(name)
        return False

    monkeypatch.setattr(strange, "is_random", look_at)
    message = (
        b"From: "
        + b"a1b" * 20_000
        + b"@"
        + b"c2d." * 15_000
        + b"test\r\nSubject: x\r\n\r\nhttp://x.test/\r\n"
    )
    header = Header(message)
    found = find.find(read(message, header), Authentication(), find_author(header))
    assert "sender_random_local" in {reason.name for reason in found.reasons}
    assert seen
    assert max(map(len, seen)) <= 253
