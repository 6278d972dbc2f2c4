"""The words and names the class rules know."""

from __future__ import annotations

import re
from itertools import islice

from mailstack.filters.classes.phrases import Phrases, prepare

#: Numbers in a text that are looked at as codes.
MAX_CODES = 8
#: Fields that tools for mass mailings write.
CAMPAIGN_FIELDS = tuple(
    name.encode()
    for name in (
        *("feedback-id", "x-csa-complaints", "x-campaign", "x-campaign-id", "x-campaignid", "x-mailchimp-id"),
        *("x-mc-user", "x-sfmc-stack", "x-sg-eid", "x-mailgun-tag", "x-hs-cid", "x-klaviyo-message-id"),
        *("x-mailin-campaign", "x-cm-campaign", "x-report-abuse-to", "x-bulkmail", "x-roving-id"),
        *("x-mj-campaign", "x-emarsys-identify", "x-newsletter"),
    )
)
SOCIAL_FIELDS = (
    *(b"x-facebook", b"x-facebook-notify", b"x-linkedin-class", b"x-linkedin-template", b"x-linkedin-fbl"),
    *(b"x-twitter-createdat", b"x-twitterimpressionid", b"x-mastodon-notification", b"x-instagram"),
)
MAILERS = Phrases(
    """mailchimp*, sendinblue*, brevo*, klaviyo*, hubspot*, constant contact*, campaign*, newsletter*
    mailjet*, cleverreach*, emarsys*, getresponse*, aweber*, activecampaign*, phplist*, acymailing*
    sendy*"""
)
MARKETING_SENDERS = re.compile(
    r"(?:news|newsletters?|marketing|offers?|deals?|promo|promos|promotions?|sales?|shop|store|campaigns?"
    r"|angebote?|ofertas?|boletin|infolettre|werbung|rewards|club|digest)(?:[-_.+\d].*)?\Z"
)
NOTIFIERS = re.compile(
    r"(?:no-?reply|do-?not-?reply|notif\w*|updates?|messages?-noreply|info|mailer|alerts?)(?:[-_.+\d].*)?\Z"
)
OFFER = Phrases(
    """% off, % discount*, % rabatt, % de descuento, % de réduction, % de desconto, % di sconto
    % korting, up to 10 %*, up to 20 %*, up to 30 %*, up to 40 %*, up to 50 %*, up to 60 %*
    up to 70 %*, up to 80 %*, sale, sales event, save up*, save big, discount*, coupon*, voucher*
    promo, promos, promotion*, special offer*, limited time, free shipping, free delivery
    black friday, cyber monday, shop now, buy now, order now, new arrivals, newsletter*
    weekly digest, deal, deals, clearance, exclusive offer*, best price*, last chance, gift card*
    flash sale, our offers, today only, angebot, angebote, rabatt*, gutschein*, sonderangebot*
    schnäppchen, jetzt kaufen, jetzt bestellen, jetzt sparen, schlussverkauf, rabattaktion
    versandkostenfrei, oferta*, descuento*, rebajas, cupón, promoción*, envío gratis, compra ahora
    boletín, soldes, réduction*, offre spéciale, offre exclusive, livraison gratuite, infolettre
    offerta, offerte, sconto, sconti, saldi, promozione, spedizione gratuita, promoção, promoções
    desconto*, frete grátis, aanbieding*, korting*, uitverkoop, nieuwsbrief, promocja*, wyprzedaż
    rabat, nyhedsbrev, nyhetsbrev, tilbud, erbjudande*, uutiskirje, tarjous*, indirim*, kampanya*
    ~скидк, ~распродаж, ~акция, ~рассылк, ~знижк, ~セール, ~割引, ~クーポン, ~メルマガ, ~优惠, ~折扣
    ~促销, ~優惠, ~할인, ~쿠폰, ~뉴스레터"""
)
UNSUBSCRIBE = Phrases(
    """unsubscribe*, opt out, manage your preferences, email preferences, manage subscription*
    view in browser, in your browser, view online, view it online, no longer wish to receive
    stop receiving, abmelden, abbestellen, im browser ansehen, im browser anzeigen, darse de baja
    cancelar la suscripción, cancelar suscripción, se désabonner, vous désabonner, désinscri*
    désabonnement, disiscri*, annulla l iscrizione, descadastr*, cancelar a inscrição
    cancelar inscrição, afmelden, uitschrijven, wypisz*, zrezygnuj*, ~отписаться, ~відписатися
    ~配信停止, ~退订, ~退訂, ~수신거부, avregistrera*, afmeld, avmeld"""
)
#: Subjects of mail about something the reader ordered, owes, or must not miss.
TRANSACTION = Phrases(
    """invoice*, receipt*, your bill, billing, payment*, refund*, your order, order confirm*
    order number, order update, order status, purchase, shipped, shipping confirm*, shipping notif*
    dispatched, was delivered, been delivered, delivery confirm*, delivery update, delivery status
    delivery notif*, out for delivery, tracking, package, parcel, your booking, booking confirm*
    reservation*, itinerary, e ticket*, eticket, your ticket*, boarding, check in, appointment*
    statement, verify*, verification, confirm your*, password, passcode, sign in, signin, log in
    login, security alert*, two factor, your account was, your account has, your account is
    rechnung*, quittung, zahlung*, mahnung, bestellbestätigung, ihre bestellung, deine bestellung
    versandbestätigung, versendet, lieferung, sendung, ihre buchung, buchungsbestätigung, termin
    kontoauszug, passwort, bestätigen sie, bestätigungscode, anmeldung, factura*, recibo*, pago
    pedido*, envío de, reserva*, cita, contraseña, verifica*, facture*, reçu, paiement*, commande*
    expédi*, réservation*, rendez vous, mot de passe, vérifi*, fattura, ricevuta, pagamento*, ordine
    spedi*, prenotazione, appuntamento, fatura*, senha, factuur, betaling*, bestelling, afspraak
    wachtwoord, faktura, płatność, zamówienie, hasło, kvitto, beställning, lösenord, lasku, tilaus
    ~счет, ~счёт, ~оплат, ~заказ, ~пароль, ~рахунок, ~замовлення, ~請求書, ~領収書, ~注文, ~ご予約
    ~パスワード, ~发票, ~發票, ~订单, ~訂單, ~密码, ~영수증, ~주문, ~비밀번호"""
)
SOCIAL_EVENT = Phrases(
    """mentioned you*, tagged you*, is now following you, started following you, followed you
    new follower*, friend request*, wants to be friends, wants to connect, wants to follow
    commented on*, replied to your*, liked your*, likes your*, reacted to your*, shared your*
    retweeted*, reposted*, boosted your*, favourited your*, new connection*, friend suggestion*
    invitation to connect, join my network, people you may know, sent you a friend request
    sent you a direct message, new notifications, viewed your profile, search appearances
    birthdays today, posted a new, hat dich markiert, hat dich erwähnt, folgt dir*
    freundschaftsanfrage*, gefällt dein*, hat deinen beitrag*, te ha etiquetado, te ha mencionado
    ha comentado*, te sigue, solicitud de amistad, vous a identifié*, vous a mentionné*, vous suit
    a commenté*, demande d ami*, ti ha taggato*, ti ha menzionato*, ha commentato*
    richiesta di amicizia"""
)
_SOCIAL_DOMAINS = frozenset(
    (
        *("facebook.com", "facebookmail.com", "instagram.com", "threads.net", "linkedin.com", "twitter.com"),
        *(
            "x.com",
            "tiktok.com",
            "pinterest.com",
            "redditmail.com",
            "reddit.com",
            "snapchat.com",
            "tumblr.com",
        ),
        *(
            "quora.com",
            "meetup.com",
            "nextdoor.com",
            "nextdoor.de",
            "discord.com",
            "discordapp.com",
            "twitch.tv",
        ),
        *(
            "strava.com",
            "bsky.app",
            "bluesky.social",
            "flickr.com",
            "ok.ru",
            "vk.com",
            "vkontakte.ru",
            "weibo.com",
        ),
        *("xing.com", "goodreads.com", "mastodon.social", "mastodon.online", "youtube.com", "deviantart.com"),
        *("soundcloud.com", "last.fm", "letterboxd.com", "untappd.com", "couchsurfing.com", "viadeo.com"),
        *("myspace.com", "clubhouse.com", "wechat.com", "line.me", "kakao.com", "tinder.com", "bumble.com"),
        *("badoo.com", "okcupid.com", "academia-mail.com", "researchgate.net", "researchgatemail.net"),
    )
)
CODE_WORDS = Phrases(
    """code, otp, pin, tan, passcode, one time, verification, bestätigungscode, sicherheitscode
    zugangscode, einmalcode, einmalpasswort, código, codigo, codice, kod, kode, koodi
    kode verifikasi, ~код, ~コード, ~验证码, ~驗證碼, ~인증"""
)
_CODE = re.compile(
    r"(?<![\w.,:/#$€£-])(?:[A-Z]-)?(?:\d{3}[ -]\d{3}|\d{4,8}|[A-Z0-9]{3}-[A-Z0-9]{3})(?![\w/:]|[.,]\d)"
)


def is_social_domain(domain: str) -> bool:
    """True for a social network's domain and those below it."""
    while domain:
        if domain in _SOCIAL_DOMAINS:
            return True
        domain = domain.partition(".")[2]
    return False


def is_code(subject: str, text: str) -> bool:
    """True for a message that carries a one-time code."""
    if CODE_WORDS.find(prepare(subject)):
        return _CODE.search(subject) is not None or _CODE.search(text, 0, 2_000) is not None
    # In a text the number stands near the word.
    return any(
        CODE_WORDS.find(prepare(text[max(found.start() - 120, 0) : found.end() + 60]))
        for found in islice(_CODE.finditer(text, 0, 2_000), MAX_CODES)
    )
