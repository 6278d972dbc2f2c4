"""How servers word their refusals: patterns for answers in lower case, by meaning.

Of those that fit the first counts.  Every pattern has a bound on what may stand between its
words, so an answer is read in time that grows with its length alone.

Source: the lists of answers that Google, Microsoft, Yahoo, Apple, GMX, T-Online, Orange and
La Poste publish for postmasters; what Postfix, Exim, Sendmail, qmail, Proofpoint, Mimecast,
Barracuda and Cisco say unless told otherwise.
"""

from __future__ import annotations

import re

Patterns = tuple[tuple[str, re.Pattern[str]], ...]


def _patterns(table: dict[str, tuple[str, ...]]) -> Patterns:
    return tuple((meaning, re.compile("|".join(wordings))) for meaning, wordings in table.items())


_BOX = "(?:user|recipient|mail ?box|inbox|account|address|rcpt)"
_OWNER_BOX = "(?:mail ?box|inbox|account|user|postfach|casella|buz[oó]n|bo[iî]te)"

#: They leave no doubt, whatever the status says.
SURE = _patterns(
    {
        "greylisted": (
            "gr[ae]y-?list",
            "postgrey",
            # Mimecast; Microsoft of a network address it does not know.
            "internal resources? (?:is |are )?temporarily unavailable",
            r"server busy.{0,60}as\(7[78]\d+\)",
        ),
        "wants_tls": (
            "must (?:issue|use) (?:a )?starttls",
            "starttls (?:is )?required",
            "(?:tls|encryption) (?:is )?required",
            "requires? (?:tls|encryption|a secure connection)",
        ),
        # Yahoo and AOL without the word.
        "dmarc": (r"\bdmarc\b", "not accepted for policy reasons.{0,80}(?:postmaster|senders)"),
        "no_name": (
            "(?:reverse|ptr).{0,20}(?:dns|record|lookup|host ?name)",
            r"\bno ptr\b",
            r"\brdns\b",
            "bad dns ptr",
            "cannot find your (?:reverse )?host ?name",
        ),
        "block_list": (
            r"blocked (?:using|by|at)\b(?! (?:the )?(?:user|recipient))",
            r"(?:black|block|deny)[ -]?list(?!er)",
            r"\b(?:dns|u)?rbl\b",
            r"\bdnsbl\b",
            r"spamhaus|spamcop|barracudacentral|uceprotect|\bsorbs|abusix|spamrats|cloudmark|senderscore",
            "banned sending ip|traffic not accepted from this ip",
            r"(?:sender|ip|poor|bad|low|mta's poor)(?: \S+)? reputation",
            # T-Online; Orange and La Poste; AT&T; Google of private lines.
            "none/bad|ask your postmaster for help.{0,60}tosa",
            r"\bofr(?:004)?_(?:1\d\d|50[0-5])\b|\blpn007_510\b",
            r"\bflph\d+",
            "is not authorized to send email directly to our servers",
        ),
        "rate": (
            "unusual rate of",
            "rate[ -]?limit",
            "throttl",
            "too many (?:connections|messages|e?mails|sessions|concurrent)",
            "(?:receiving|sending|received) (?:e?mail|messages?) (?:too quickly|at a rate|too fast)",
            "at a rate that prevents",
            "slow down",
            r"\[tss\d\d\]",
            "deferred due to (?:unexpected volume|user complaints|excessive)",
            "exceeded.{0,30}(?:rate|hourly|daily|per hour|per day)",
        ),
        "full": (
            "over ?-?quota",
            "quota (?:is )?(?:exceeded|full|reached)",
            "(?:exceeds|exceeded|exceeding).{0,20}quota",
            _OWNER_BOX + r".{0,30}\b(?:full|voll|pleine|piena|llen[oa])\b",
            "exceeded storage allocation",
            "out of storage space",
            "mailboxfull",
            "insufficient (?:mailbox )?(?:disk|storage) (?:space|quota)",
            "not enough (?:disk )?space in.{0,20}mailbox",
        ),
        "disabled": (
            _BOX + r"(?: \S+){0,6}? (?:disabled|inactive|suspended|deactivated|locked|closed|expired)\b",
        ),
        "relaying": (
            "relay(?:ing)? (?:access )?(?:is )?(?:denied|not (?:permitted|allowed)|prohibited)",
            "(?:unable|not permitted|not allowed|refuse[sd]?) to relay",
            "(?:we|will) (?:do )?not relay",
            "not (?:a )?(?:local|hosted) (?:domain|here)",
        ),
        "sender_domain_refused": (
            "sender address rejected: domain not found",
            "domain of sender address.{0,80}does not (?:exist|resolve)",
            "sender(?:'s)? domain (?:not found|does not (?:exist|resolve)|must (?:exist|resolve))",
            "cannot resolve.{0,30}sender domain",
        ),
        "sender_refused": (
            "sender address rejected",
            "sender (?:is )?(?:denied|blocked|verify failed|refused|not allowed)",
            "bad outbound sender",
        ),
        "list": (
            r"(?:only|must be|not|no) (?:a |the )?(?:list |group )?(?:members?|subscribers?|subscribed)\b",
            "members[- ]only|subscribers? only",
            "restrictedtorecipientspermission|sendernotauthenticatedforgroup",
            "allowed[- ]senders list",
            "(?:permission|allowed|permitted|authori[sz]ed) to (?:post|send|write).{0,20}(?:list|group)",
        ),
        "unknown_address": (
            # Microsoft: its directory check says 5.4.1, its resolver 5.1.10.
            "recipient address rejected: access denied",
            r"as\(201806281\)",
            "recip(?:ient)?notfound",
            "(?:user|recipient|mailbox|address|account|e?mail) (?:is )?(?:unknown|not known)",
            "unknown (?:user|recipient|mailbox|address|account|local[ -]?part|rcpt)",
            "no such (?:user|recipient|mail ?box|address|person|account|name|local|id)",
            _BOX + r".{0,40}(?:does ?n[o']t|does not|doesn't) exist",
            _BOX + ".{0,20}(?:not (?:be )?found|not valid|non-?existent)",
            "(?:invalid|not a valid|bad|unrout(?:e)?able|undeliverable) " + _BOX,
            r"doesn't have an? \S+ account",
            "no (?:mail ?box|account|user)s? (?:here|by that name|with that name|found)",
            "not our customer|no user record|not listed in (?:public|domino)",
            "destinataire invalide|utilisateur inconnu|adresse inconnue",
            "(?:benutzer|empf[aä]nger|adresse) (?:ist )?unbekannt",
            "unbekannte[rs]? (?:benutzer|empf[aä]nger|adresse)",
            "utente (?:sconosciuto|inesistente|non (?:trovato|esiste|valido))|destinatario sconosciuto",
            "(?:usuario|destinatario|cuenta|buz[oó]n) (?:desconocid[oa]|no existe|inexistente)",
        ),
        "too_large": (
            "(?:message|mail|size|attachment).{0,30}too (?:large|big|long)",
            "(?:message|mail|size|attachment).{0,30}exceed(?:s|ed)?.{0,30}(?:limit|maximum|size)",
            "exceeds? (?:the )?(?:maximum|fixed|allowed|server).{0,20}size",
        ),
        "virus": (r"(?<!anti)(?<!anti[ -])\bvirus", "malware", "infected", "trojan", "phish"),
        "attachment": (
            "content presents a potential security issue",
            "(?:attachment|file ?type|file extension|executable).{0,40}"
            "(?:not (?:allowed|accepted|permitted)|block|reject|forbid|banned)",
            "(?:illegal|banned|forbidden|prohibited) (?:attachment|file)",
        ),
        "spam": (
            "unsolicited",
            "(?:as|like|is|be|detected|contains?|considered|classified|content)"
            r" (?:\w+ ){0,3}(?:spam|junk)\b",
            "(?:spam|junk)[ -]?(?:message|mail|content|score|detected|rejected|filter)",
            "high probability of spam",
            "rejected due to (?:content|spam)",
            r"\[(?:cs|hm)\d\d\] message rejected",
            r"\bofr_506\b",
        ),
        "circle": ("too many hops", "hop count", "mail loop", "loops? (?:detected|back)", "routing loop"),
        "too_many_recipients": ("too many recipients",),
        "unauthenticated": (
            "unauthenticated (?:e?mail|sender|message)",
            "sender is unauthenticated",
            "required authentication level",
            "(?:spf|dkim) (?:and|or|nor) (?:spf|dkim)",
        ),
    }
)
#: They count where the status says no more than its subject.
LIKELY = _patterns(
    {
        "spf": (
            r"\bspf\b",
            "sender policy framework",
            "not (?:authori[sz]ed|allowed|permitted) to send (?:mail )?(?:for|from|on behalf)",
        ),
        "dkim": (r"\bdkim\b",),
        "spam": (r"\bspam\w*\b", r"\bjunk\b", r"\bbulk\b"),
        "block_list": (
            "reputation",
            r"\blisted\b",
            "client host rejected",
            r"\byour ip\b",
            r"\bip address\b",
        ),
        "no_name": (r"\bhelo\b", r"\behlo\b", "host ?name"),
        "unknown_address": ("does not exist", "not exist"),
        "full": ("quota",),
        "rate": ("too many", "too much"),
        "closed": (
            "service (?:is )?(?:temporarily )?(?:not available|unavailable)",
            "server (?:is )?busy",
            "try again later",
        ),
        "policy": (r"\bpolicy\b", "access denied", "administrative"),
    }
)
