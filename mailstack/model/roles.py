r"""The names mail programs give to folders for drafts, sent mail, spam, trash and archive.

Programs that do not know special-use attributes make these folders by a name in the
language of their user: Outlook, Windows Mail, Apple Mail, Thunderbird, Gmail, Exchange,
Zimbra, Roundcube and phones.  A name counts at the top, below INBOX, and below the roots
Gmail uses.

Standards: RFC 6154 section 2 (the attributes).
"""

from __future__ import annotations

import unicodedata

DRAFTS, SENT, JUNK, TRASH, ARCHIVE = "\\Drafts", "\\Sent", "\\Junk", "\\Trash", "\\Archive"
#: What a client may make of a folder.  \All and \Flagged would be views of other folders (RFC 6154).
ROLES = (DRAFTS, SENT, JUNK, TRASH, ARCHIVE, "\\Important")

_ROOTS = ("inbox", "[gmail]", "[google mail]")

_DRAFTS = """
Drafts, Draft, Draft Messages, Draft Items, Entwürfe, Entwurf, Brouillons, Brouillon, Borradores
Borrador, Bozze, Concepten, Rascunhos, Rascunho, Esborranys, Zirriborroak
Kladder, Kladde, Utkast, Luonnokset, Luonnos, Drög, Wersje robocze, Kopie robocze, Szkice, Robocze
Koncepty, Rozepsané, Rozpracované, Rozpísané, Piszkozatok, Vázlatok, Piszkozat, Osnutki, Nedovršeno
Ciorne, Schițe, Чернови, Черновики, Чернетки, Чарнавікі, Нацрти, Mustandid, Melnraksti, Juodraščiai
Πρόχειρα, Taslaklar, טיוטות, مسودات, المسودات, پیش‌نویس‌ها, 下書き, 草稿, 草稿箱, 草稿匣, 임시 보관함
임시보관함, ร่างจดหมาย, แบบร่าง, Thư nháp, Bản nháp, Draf, Konsep
"""

_SENT = """
Sent, Sent Items, Sent Messages, Sent Mail, Sent Email, Sent Mails, Gesendet, Gesendete Elemente
Gesendete Objekte, Gesendete Nachrichten, Gesendete Mails, Gesendete E-Mails
Verschickt, Envoyés, Envoyé, Éléments envoyés, Messages envoyés, Courrier envoyé, Objets envoyés
Courriers envoyés, Enviados, Elementos enviados, Mensajes enviados, Correo enviado, Enviado
Itens enviados, E-mails enviados, Mensagens enviadas, Correio enviado, Enviadas, Elements enviats
Missatges enviats, Enviats, Bidalitakoak, Bidalitako elementuak, Posta inviata, Inviati, Inviata
Messaggi inviati, Elementi inviati, Verzonden, Verzonden items, Verzonden berichten, Verzonden objecten
Sendt, Sendt post, Sendte elementer, Sendte meldinger, Sendte e-mails, Sendt e-post, Sendte
Skickat, Skickade objekt, Skickade meddelanden, Skickade, Lähetetyt, Lähetetyt kohteet
Lähetetyt viestit, Sendir hlutir, Wysłane, Elementy wysłane, Wysłane elementy, Wiadomości wysłane
Odeslaná pošta, Odeslané, Odeslaná, Odoslaná pošta, Odoslané, Odoslané položky, Elküldött elemek
Elküldött, Elküldött levelek, Elküldött üzenetek, Poslano, Poslane stavke, Poslani elementi
Poslana pošta, Poslane poruke, Poslato, Poslate stavke, Trimise, Elemente trimise, Mesaje trimise
Изпратени, Изпратени елементи, Изпратена поща, Отправленные, Отправленные элементы, Отправлено
Надіслані, Надіслані елементи, Відправлені, Адпраўленыя, Послате ставке, Послато
Saadetud, Saadetud üksused, Saadetud kirjad, Nosūtītie, Nosūtītie vienumi, Nosūtītās, Išsiųsta
Išsiųsti elementai, Išsiųsti laiškai, Išsiųstieji, Απεσταλμένα, Σταλμένα, Στοιχεία που έχουν σταλεί
Gönderilmiş Öğeler, Gönderilmiş, Gönderilen, Gönderilenler, Gönderilmiş Postalar, Giden Postalar
נשלח, פריטים שנשלחו, דואר שנשלח, العناصر المرسلة, المرسلة, البريد المرسل, فرستاده‌شده, موارد ارسال شده
送信済み, 送信済みアイテム, 送信済みメール, 送信済みトレイ, 已发送, 已发送邮件, 已发邮件, 已发送消息
寄件備份, 已傳送的郵件, 已寄出郵件, 已傳送, 보낸 편지함, 보낸편지함, 보낸 메일함, 보낸메일함
รายการที่ถูกส่ง, จดหมายที่ส่ง, ส่งแล้ว, Thư đã gửi, Mục đã Gửi, Đã gửi, Item Terkirim, Terkirim
Pesan Terkirim
"""

_JUNK = """
Spam, Junk, Junk E-mail, Junk Email, Junk Mail, Junk-E-mail, Bulk Mail, Spam mail, SPAM-Mail
Probably Spam, Junk-E-Mail, Junk-Email, Spamverdacht, Spamordner, Unerwünscht, Unerwünschte Werbung
Werbung unerwünscht, Spam-Verdacht, Courrier indésirable, Indésirables, Indésirable, Pourriel
Courriels indésirables, E-mails indésirables, Correo no deseado, Correo basura, No deseado
Correo electrónico no deseado, Basura, Lixo Eletrônico, Lixo Eletrónico
E-mail de Lixo, Correio eletrónico de lixo, Correio não solicitado, Não solicitado
E-mail não solicitado, Correu brossa, Correu electrònic brossa, Zabor-posta, Zabor-mezuak
Posta indesiderata, Indesiderata, Posta spazzatura, Ongewenste e-mail, Ongewenst, Ongewenste post
Reclame ongewenst, Uønsket mail, Uønsket e-mail, Uønsket post, Uønsket, Søppelpost, Uønsket e-post
Skräppost, Skräp, Roskaposti, Ruslpóstur, Wiadomości-śmieci, Wiadomości śmieci, Niechciane, Śmieci
Niechciana poczta, Nevyžádaná pošta, Nevyžádané, Nevyžiadaná pošta, Nevyžiadané, Levélszemét, Kéretlen
Kéretlen e-mail, Neželena pošta, Neželena e-pošta, Vsiljena pošta, Bezvrijedna pošta, Neželjena pošta
Neželjena e-pošta, Mesaje nedorite, Nedorite, E-mail nedorit, Poștă nedorită
Нежелана пошта, Нежељена пошта, Нежелана поща, Нежелана електронна поща, Спам
Нежелательная почта, Небажана пошта, Спам-листи, Rämpspost, Rämps, Mēstules, Surogātpasts
Nevēlamais e-pasts, Šlamštas, Nepageidaujamas el. paštas, Brukalas, Ανεπιθύμητη αλληλογραφία
Ανεπιθύμητα, Ανεπιθύμητη, Önemsiz E-posta, Önemsiz, Gereksiz E-posta, Gereksiz, İstenmeyen
İstenmeyen E-posta, דואר זבל, זבל, ספאם, البريد الإلكتروني غير الهام, البريد غير الهام
رسائل غير مرغوب فيها, بريد غير مرغوب فيه, هرزنامه, 迷惑メール, 迷惑メールフォルダ, スパム, 垃圾邮件
垃圾郵件, 정크 메일, 스팸, 스팸 메일함, 스팸메일함, อีเมลขยะ, จดหมายขยะ, สแปม, Thư rác, Email Rác
Email Sampah, Sampah email
"""

_TRASH = """
Trash, Deleted, Deleted Items, Deleted Messages, Deleted Mail, Bin, Wastebasket, Rubbish, Recycle Bin
Papierkorb, Gelöscht, Gelöschte Elemente, Gelöschte Objekte, Gelöschte Nachrichten, Gelöschte Mails
Corbeille, Éléments supprimés, Messages supprimés, Supprimés, Courriers supprimés, Poubelle
Papelera, Elementos eliminados, Eliminados, Mensajes eliminados, Elementos borrados
Papelera de reciclaje, Borrados, Lixeira, Itens Excluídos, Lixo, Excluídos, Elementos Eliminados
Itens apagados, Mensagens excluídas, Reciclagem, Paperera, Elements suprimits, Missatges suprimits
Zakarrontzia, Ezabatutako elementuak, Cestino, Posta eliminata, Eliminati, Elementi eliminati
Messaggi eliminati, Prullenbak, Prullenmand, Verwijderd, Verwijderde items, Verwijderde berichten
Verwijderde objecten, Papirkurv, Papirkurven, Slettet post, Slettede elementer, Slettet, Slettede
Søppel, Søppelkurv, Slettede meldinger, Papperskorg, Papperskorgen, Borttaget, Borttagna objekt
Borttagna meddelanden, Borttagna, Roskakori, Poistetut, Poistetut kohteet, Poistetut viestit, Ruslafata
Eydd atriði, Kosz, Elementy usunięte, Usunięte elementy, Usunięte, Koš, Odstraněná pošta, Odstraněné
Kôš, Odstránená pošta, Odstránené, Odstránené položky, Kuka, Lomtár, Törölt elemek, Törölt
Törölt üzenetek, Koš za smeti, Smeti, Izbrisano, Izbrisani elementi, Izbrisane stavke, Smeće, Otpad
Obrisano, Kanta, Obrisane stavke, Kanta za smeće, Gunoi, Coș de gunoi, Coșul de gunoi, Elemente șterse
Șterse, Mesaje șterse, Кошче, Изтрити, Изтрити елементи, Корзина, Удалённые, Удаленные
Удалённые элементы, Удаленные элементы, Кошик, Видалені, Видалені елементи, Смітник, Сметніца
Избрисане ставке, Обрисано, Отпад, Канта, Смеће, Prügikast, Prügi, Kustutatud, Kustutatud üksused
Kustutatud kirjad, Miskaste, Atkritne, Izdzēstie vienumi, Dzēstie, Šiukšlinė, Šiukšliadėžė
Pašalinti elementai, Ištrinti elementai, Ištrintieji, Ištrinta, Κάδος απορριμμάτων, Κάδος, Διαγραμμένα
Διεγραμμένα, Στοιχεία που έχουν διαγραφεί, Çöp, Çöp Kutusu, Silinmiş Öğeler, Silinmiş, Silinenler
Silinmiş Postalar, אשפה, פריטים שנמחקו, סל המחזור, דואר שנמחק, المهملات, العناصر المحذوفة, سلة المهملات
المحذوفات, زباله‌دان, سطل زباله, موارد حذف شده, ゴミ箱, ごみ箱, 削除済みアイテム, 削除済みメール, 已删除
已删除邮件, 已删除的邮件, 已删除消息, 废件箱, 刪除的郵件, 已刪除的郵件, 垃圾桶, 已刪除, 휴지통
지운 편지함, 지운편지함, 삭제된 편지함, รายการที่ถูกลบ, ถังขยะ, ที่ถูกลบ, Thùng rác, Mục đã Xóa, Đã xóa
Item Dihapus, Tempat Sampah, Kotak Sampah
"""

_ARCHIVE = """
Archive, Archives, Archived, Archived Items, All Archive, Archiv, Archivo, Archivio, Archief, Archivos
Archivados, Elementos archivados, Arquivo, Arquivos, Arquivo Morto, Arxiu, Artxiboa, Arkiv, Arkisto
Archivés, Archiwum, Archív, Archívum, Arhiv, Arhiva, Arhivă, Safnvista, Архив, Архіў, Архів, Архива
Arhiiv, Arhīvs, Archyvas, Αρχείο, Αρχειοθέτηση, Arşiv, ארכיון, أرشيف, الأرشيف, بایگانی
アーカイブ, 归档, 存档, 封存, 보관, 보관함, 보관 편지함, ที่เก็บถาวร, เก็บถาวร, Lưu trữ, Arsip
"""


def _fold(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def _table(*lists: tuple[str, str]) -> dict[str, str]:
    return {
        _fold(name.strip()): role
        for role, text in lists
        for line in text.splitlines()
        for name in line.split(",")
        if name.strip()
    }


_ROLE_OF = _table((DRAFTS, _DRAFTS), (SENT, _SENT), (JUNK, _JUNK), (TRASH, _TRASH), (ARCHIVE, _ARCHIVE))


def role_of_name(name: str) -> str:
    """The attribute a folder of this name is known by; "" for none.

    Args:
        name: IMAP name in Unicode with "/".
    """
    folded = _fold(name)
    root, _, rest = folded.partition("/")
    if rest and root in _ROOTS:
        folded = rest
    return _ROLE_OF.get(folded, "")
