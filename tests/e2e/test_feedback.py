"""What moving and marking mail in a mail program does to the mail that comes next (product page, "Feedback").

Real daemons, mail through port 25, Python's imaplib and Debian's curl as mail programs.
"""

from __future__ import annotations

import contextlib
import imaplib
import poplib
import re
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mailstack.app.lessons import LessonBook, domain_folder, home_of
from mailstack.model.address import Address
from mailstack.model.lessons import Lesson
from tests.kit import debian
from tests.kit.demo import PASSWORD, Demo, new_account, running_demo
from tests.kit.dns_server import DnsServer
from tests.kit.instance import Instance
from tests.kit.mbsync import Mbsync
from tests.kit.process import eventually

_SENDERS = [f"{name}.test" for name in ("lamps", "mill", "garden", "friend", "shop", "forum")]
ZONE = {name: {"TXT": ["v=spf1 ip4:127.0.0.1 -all"], "A": ["127.0.0.1"]} for name in _SENDERS} | {
    f"_dmarc.{name}": {"TXT": ["v=DMARC1; p=none"]} for name in _SENDERS
}
_WORDS = [
    *("roof", "gutter", "cleaning", "offer", "estimate", "visit", "seasonal", "leaves", "downpipe", "ladder"),
    *(
        "crew",
        "neighbourhood",
        "appointment",
        "inspection",
        "weather",
        "slate",
        "moss",
        "bracket",
        "warranty",
    ),
]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demo with a DNS, in which senders are who they say they are."""
    with (
        DnsServer(ZONE) as dns,  # type: ignore[arg-type]
        running_demo(
            tmp_path_factory.mktemp("feedback") / "demo",
            "--dns",
            dns.address,
            # No test is quick enough for this, and none can wait for it.
            change=lambda text: f"{text}\n[feedback]\nautomatic_s = 0\n",
        ) as demo,
    ):
        yield demo


@pytest.fixture
def account(house: Demo, request: pytest.FixtureRequest) -> str:
    return new_account(house, request)


@pytest.fixture
def client(house: Demo, account: str) -> Iterator[imaplib.IMAP4_SSL]:
    with login(house, account) as client:
        yield client


def login(demo: Demo, address: str) -> imaplib.IMAP4_SSL:
    found = imaplib.IMAP4_SSL("localhost", demo.port("imaps"), timeout=30, ssl_context=demo.tls())
    found.login(address, PASSWORD)
    return found


def letter(sender: str, to: str, number: int, mark: str, *, more: str = "") -> str:
    """One of many that are alike, and not the same."""
    words = [_WORDS[(number * 7 + n * (number % 5 + 1)) % len(_WORDS)] for n in range(14)]
    return (
        f"From: Crew {number} <{sender}>\r\nTo: {to}\r\nSubject: {words[0]} {words[3]} {number}\r\n"
        f"Date: Sun, 22 Nov 2026 10:00:{number % 60:02d} +0000\r\n"
        f"Message-ID: <{mark}-{number}@{sender.partition('@')[2]}>\r\n{more}"
        f"\r\nHello,\r\n\r\nour {' '.join(words[:7])} for your {' '.join(words[7:])}. The scaffold stands in"
        " your street this fortnight, so the surveyor can climb up and photograph the chimney flashing.\r\n"
        "The crew\r\n"
    )


def send(demo: Demo, sender: str, to: str, number: int, mark: str, *, more: str = "") -> None:
    with demo.smtp() as client:
        client.sendmail(sender, [to], letter(sender, to, number, mark, more=more))


def came(demo: Demo, address: str, mark: str, number: int, folder: str = "") -> bytes:
    return demo.wait_for_message(address, f"<{mark}-{number}@".encode(), folder)


def verdict(octets: bytes) -> tuple[str, float, str]:
    """Class, score and reasons that stand on top of a stored message."""
    found = re.search(rb"X-Mailstack-Verdict: class=(\w+); score=([\d.]+); ([^\r]*)", octets)
    assert found is not None
    return found[1].decode(), float(found[2]), found[3].decode()


def ok(answer: tuple[str, Any]) -> Any:
    assert answer[0] == "OK", answer
    return answer[1]


def select(client: imaplib.IMAP4_SSL, folder: str) -> str:
    """Selects a folder; gives the UIDs of all that is in it."""
    ok(client.select(f'"{folder}"'))
    return str(ok(client.uid("SEARCH", "ALL"))[0], "ascii").replace(" ", ",")


def move(client: imaplib.IMAP4_SSL, source: str, target: str) -> None:
    ok(client.uid("MOVE", select(client, source), f'"{target}"'))


def lessons(demo: Demo, whose: str) -> list[Lesson]:
    """What an address or a domain was taught."""
    paths = Instance(demo.folder).config.paths
    if "@" in whose:
        return LessonBook(home_of(paths.mail, Address.parse(whose))).read()
    return LessonBook(domain_folder(paths, whose)).read()


def labels(demo: Demo, whose: str) -> list[str]:
    judged = [one for one in lessons(demo, whose) if one.evidence != "sample"]
    return sorted(f"{one.label}{' weak' if one.weight < 1 else ''}" for one in judged)


def until(demo: Demo, address: str, wanted: Sequence[str]) -> None:
    """Waits until the account has taught this."""
    found: list[str] = []

    def is_so() -> bool:
        found[:] = labels(demo, address)
        return found == list(wanted)

    eventually(is_so, explain=lambda: f"{found} {demo.log()[-2000:]}")


def settled(demo: Demo, address: str) -> None:
    """Waits until nothing waits to be learned."""
    path = Instance(demo.folder).config.paths.state_db

    def is_empty() -> bool:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            return connection.execute("SELECT count(*) FROM feedback").fetchone()[0] == 0

    eventually(is_empty, explain=lambda: demo.log()[-2000:])


def lists(demo: Demo, address: str) -> tuple[list[str], list[str]]:
    """Blocked and allowed."""
    found = demo.json("list", "show", address)
    return found["block"], found["allow"]


def test_twenty_marked_messages_change_one_users_results_and_nobody_elses(
    house: Demo, account: str, client: imaplib.IMAP4_SSL, mark: str
) -> None:
    other = "bob@example.test"
    for number in range(20):
        send(house, "crew@lamps.test", account, number, mark)
    for to in (account, other):
        send(house, "anna@mill.test", to, 50, mark)
    before = verdict(came(house, account, mark, 50))
    assert before[:2] == verdict(came(house, other, mark, 50))[:2] and before[0] == "ham"
    select(client, "INBOX")
    marked = ok(client.uid("SEARCH", "FROM", "crew@lamps.test"))[0].decode().replace(" ", ",")
    ok(client.uid("MOVE", marked, "Spam"))
    until(house, account, ["spam"] * 20)
    assert lists(house, account) == (["crew@lamps.test"], []) and lists(house, other) == ([], [])
    # From somebody in nobody's list, about the same.
    for to in (account, other):
        send(house, "ben@garden.test", to, 51, mark)
    mine, theirs = came(house, account, mark, 51, ".Spam"), came(house, other, mark, 51)
    assert verdict(mine)[0] == "spam" and "learned:" in verdict(mine)[2]
    assert verdict(theirs)[0] == "ham" and "learned:" not in verdict(theirs)[2]
    assert verdict(mine)[1] > verdict(theirs)[1] + 0.5
    # What they have nothing in common with is as it was.
    with house.smtp() as smtp:
        text = f"From: Ida <ida@friend.test>\r\nTo: {account}\r\nSubject: Friday\r\nMessage-ID: <{mark}-52@x>"
        smtp.sendmail("ida@friend.test", [account], f"{text}\r\n\r\nShall we meet for lunch? Yours, Ida\r\n")
    assert verdict(came(house, account, mark, 52))[1] < 0.3
    # And back again: as if nothing had been.
    settled(house, account)
    ok(client.select("Spam"))
    ok(
        client.uid(
            "MOVE", ok(client.uid("SEARCH", "FROM", "crew@lamps.test"))[0].decode().replace(" ", ","), "INBOX"
        )
    )
    until(house, account, [])
    assert lists(house, account) == ([], [])
    send(house, "carl@garden.test", account, 53, mark)
    assert "learned" not in verdict(came(house, account, mark, 53))[2]
    assert not list(house.maildir(account).parent.glob("learned"))


def test_copy_delete_and_expunge_is_a_move(
    house: Demo, account: str, client: imaplib.IMAP4_SSL, mark: str
) -> None:
    send(house, "crew@lamps.test", account, 1, mark)
    came(house, account, mark, 1)
    for source, target, wanted in (("INBOX", "Spam", ["spam"]), ("Spam", "INBOX", [])):
        uids = select(client, source)
        ok(client.uid("COPY", uids, target))
        ok(client.uid("STORE", uids, "+FLAGS", "(\\Deleted)"))
        ok(client.expunge())
        until(house, account, wanted)
    assert lists(house, account) == ([], [])


def test_a_program_that_uploads_and_expunges(
    house: Demo, account: str, client: imaplib.IMAP4_SSL, mark: str
) -> None:
    send(house, "crew@lamps.test", account, 1, mark)
    came(house, account, mark, 1)
    for source, target, wanted in (("INBOX", "Spam", ["spam weak"]), ("Spam", "INBOX", [])):
        uids = select(client, source)
        octets = ok(client.uid("FETCH", uids, "(BODY.PEEK[])"))[0][1]
        ok(client.append(target, "", "", octets))
        ok(client.uid("STORE", uids, "+FLAGS", "(\\Deleted)"))
        ok(client.expunge())
        if wanted:
            until(house, account, wanted)
    settled(house, account)
    assert lists(house, account) == ([], [])


def test_marks_of_mail_programs(house: Demo, account: str, client: imaplib.IMAP4_SSL, mark: str) -> None:
    send(house, "crew@lamps.test", account, 1, mark)
    came(house, account, mark, 1)
    uids = select(client, "INBOX")
    ok(client.uid("STORE", uids, "+FLAGS", "($Junk)"))
    until(house, account, ["spam weak"])
    assert lists(house, account) == ([], [])
    ok(client.uid("STORE", uids, "-FLAGS", "($Junk)"))
    until(house, account, [])
    ok(client.uid("STORE", uids, "FLAGS", "(\\Seen Junk)"))
    until(house, account, ["spam weak"])
    ok(client.uid("STORE", uids, "FLAGS", "(\\Seen)"))
    until(house, account, [])


def test_not_junk_in_spam_allows_the_sender(
    house: Demo, account: str, client: imaplib.IMAP4_SSL, mark: str
) -> None:
    house.cli("list", "block", account, "crew@lamps.test")
    send(house, "crew@lamps.test", account, 1, mark)
    came(house, account, mark, 1, ".Spam")
    ok(client.uid("STORE", select(client, "Spam"), "+FLAGS", "($NotJunk)"))
    until(house, account, ["ham"])
    assert lists(house, account) == ([], ["crew@lamps.test"])
    move(client, "Spam", "INBOX")  # as many programs do then: learned once
    settled(house, account)
    assert labels(house, account) == ["ham"]
    move(client, "INBOX", "Spam")
    until(house, account, [])
    assert lists(house, account) == (["crew@lamps.test"], [])  # as it was


def test_who_is_never_listed(house: Demo, account: str, client: imaplib.IMAP4_SSL, mark: str) -> None:
    with house.submission("alice@example.test") as smtp:
        smtp.sendmail("alice@example.test", [account], letter("alice@example.test", account, 1, mark))
    ok(client.append("Sent", "", "", f"From: {account}\r\nTo: Crew <crew@lamps.test>\r\n\r\nHi\r\n".encode()))
    settled(house, account)
    send(house, "crew@lamps.test", account, 2, mark)  # a correspondent
    send(house, "nobody@else.test", account, 3, mark)  # not authenticated
    for number in (1, 2, 3):
        came(house, account, mark, number)
    move(client, "INBOX", "Spam")
    until(house, account, ["spam"] * 3)
    assert lists(house, account) == ([], [])


def test_folders_of_other_languages_and_classes(
    house: Demo, account: str, client: imaplib.IMAP4_SSL, mark: str
) -> None:
    send(house, "news@shop.test", account, 1, mark)
    came(house, account, mark, 1)
    ok(client.create('"Courrier &AOk-"'))  # no role, no class
    ok(client.create('"Junk E-mail"'))
    for source, target, wanted in (
        ("INBOX", "Promotions", ["promotions"]),
        ("Promotions", "SocialNetworks", ["social"]),
        ("SocialNetworks", "Junk E-mail", ["spam"]),
        ("Junk E-mail", "Courrier &AOk-", []),
        ("Courrier &AOk-", "Archive", []),
    ):
        move(client, source, target)
        until(house, account, wanted)
        settled(house, account)
    assert lists(house, account) == ([], [])


def test_trash_expunge_and_pop3_teach_nothing(
    house: Demo, account: str, client: imaplib.IMAP4_SSL, mark: str
) -> None:
    house.cli("list", "block", account, "crew@lamps.test")
    for number in range(4):
        send(house, "crew@lamps.test", account, number, mark)
        came(house, account, mark, number, ".Spam")
    send(house, "ben@garden.test", account, 9, mark)
    came(house, account, mark, 9)
    first, second, *_ = select(client, "Spam").split(",")
    ok(client.uid("MOVE", first, "Trash"))
    ok(client.uid("STORE", second, "+FLAGS", "(\\Deleted)"))
    ok(client.expunge())
    move(client, "Trash", "Archive")  # restored; nobody said that it is wanted
    pop3 = poplib.POP3_SSL("localhost", house.port("pop3s"), context=house.tls(), timeout=30)
    pop3.user(account)
    pop3.pass_(PASSWORD)
    pop3.dele(1)
    pop3.quit()
    settled(house, account)
    assert lists(house, account) == (["crew@lamps.test"], []) and labels(house, account) == []


def test_reported_phishing_is_told_to_the_operator(
    house: Demo, account: str, client: imaplib.IMAP4_SSL, mark: str
) -> None:
    send(house, "bank@forum.test", account, 1, mark)
    came(house, account, mark, 1)
    ok(client.uid("STORE", select(client, "INBOX"), "+FLAGS", "($Phishing)"))
    until(house, account, ["spam"])
    assert lists(house, account) == (["bank@forum.test"], [])
    house.logs("phishing")
    assert "bank@forum.test" in house.explains(f"<{mark}-1@forum.test>", "phishing")
    told = house.wait_for_message("alice@example.test", b"reported as phishing")
    assert account.encode() in told and b"scaffold" not in told


def test_mail_for_a_trap_trains_its_domain(house: Demo, mark: str) -> None:
    house.cli("domain", "add", "trapped.test")
    house.cli("user", "add", "trap@trapped.test", "--kind", "spamtrap")
    for number in range(8):
        send(house, "crew@lamps.test", "trap@trapped.test", number, mark)
    until(house, "trapped.test", ["spam weak"] * 8)


def test_folders_of_the_operators_train_a_domain(
    house: Demo, account: str, mark: str, tmp_path: Path
) -> None:
    for number in range(12):
        text = letter("crew@lamps.test", "x@example.test", number, mark).replace("\r\n", "\n")
        (tmp_path / f"{number}.eml").write_text(text)
    done = house.json("train", "domain", "example.test", "--spam", tmp_path)
    assert done["lessons"] == done["counted"]["spam"] == 12
    send(house, "ben@garden.test", account, 60, mark)
    found = verdict(came(house, account, mark, 60, ".Spam"))
    assert found[0] == "spam" and "learned_domain:" in found[2]
    house.cli("train", "forget", "example.test")
    send(house, "ben@garden.test", account, 61, mark)
    assert "learned" not in verdict(came(house, account, mark, 61))[2]


def test_train_rebuild_and_forget(house: Demo, account: str, client: imaplib.IMAP4_SSL, mark: str) -> None:
    for number in range(3):
        send(house, "crew@lamps.test", account, number, mark)
        came(house, account, mark, number)
    move(client, "INBOX", "Spam")
    until(house, account, ["spam"] * 3)
    house.cli("train", "forget", account)
    assert lessons(house, account) == [] and lists(house, account) == (["crew@lamps.test"], [])
    assert house.json("train", "rebuild", account)["counted"] == {"spam": 3}
    assert labels(house, account) == ["spam"] * 3
    shown = house.json("train", "show", account)
    assert shown["counted"] == {"spam": 3} and shown["lessons"][0]["author"] == "crew@lamps.test"


@pytest.mark.debian
def test_curl_moves_a_message(house: Demo, account: str, mark: str) -> None:
    curl = debian.need("curl")
    send(house, "crew@lamps.test", account, 1, mark)
    came(house, account, mark, 1)
    url = f"imaps://localhost:{house.port('imaps')}/INBOX"
    login = ["--cacert", house.state["ca_file"], "-u", f"{account}:{PASSWORD}"]
    assert debian.run([curl, "-sS", *login, "-X", "UID MOVE 1 Spam", url]).returncode == 0
    until(house, account, ["spam"])


@pytest.mark.debian
def test_mbsync_uploads_what_was_moved_at_home(house: Demo, account: str, mark: str, tmp_path: Path) -> None:
    sync = Mbsync(house, account, tmp_path, patterns="INBOX Spam", remove="None")
    send(house, "crew@lamps.test", account, 1, mark)
    came(house, account, mark, 1)
    sync()
    (message,) = [path for part in ("new", "cur") for path in (sync.near / "INBOX" / part).iterdir()]
    message.rename(sync.near / "Spam" / "cur" / "1.moved.at-home:2,S")
    sync()
    until(house, account, ["spam weak"])
    assert lists(house, account) == ([], [])
