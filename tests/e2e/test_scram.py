"""SCRAM-SHA-256 against running daemons: an own client for every protocol, and Debian's."""

from __future__ import annotations

import base64
import imaplib
import poplib
import smtplib
import ssl
from pathlib import Path

import pytest

from tests.kit import debian
from tests.kit.demo import Demo
from tests.kit.scram_client import ScramClient

PASSWORD = "pass word $1 long"


@pytest.fixture(scope="module")
def account(demo: Demo) -> str:
    address = "scram@example.test"
    demo.cli("user", "add", address, "--password", PASSWORD)
    return address


def trust(demo: Demo) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(demo.state["ca_file"]))


def imap_login(demo: Demo, client: ScramClient) -> bytes:
    asked: list[bytes] = []

    def answer(challenge: bytes) -> bytes:
        asked.append(base64.b64encode(challenge))
        if len(asked) == 1:
            return base64.b64decode(client.first())
        if len(asked) == 2:
            return base64.b64decode(client.final(asked[1]))
        client.check(asked[2])
        return b""

    with imaplib.IMAP4_SSL("localhost", demo.port("imaps"), ssl_context=trust(demo)) as imap:
        assert "AUTH=SCRAM-SHA-256" in imap.capabilities
        # The demo serves two certificates, so that nothing can be bound.
        assert "AUTH=SCRAM-SHA-256-PLUS" not in imap.capabilities
        return imap.authenticate("SCRAM-SHA-256", answer)[1][0]  # type: ignore[no-any-return]


def test_imap(demo: Demo, account: str) -> None:
    assert b"Logged in" in imap_login(demo, ScramClient(account, PASSWORD))
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        imap_login(demo, ScramClient(account, "wrong"))
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        imap_login(demo, ScramClient("nobody@example.test", PASSWORD))


def test_submission(demo: Demo, account: str) -> None:
    client = ScramClient(account, PASSWORD)
    with smtplib.SMTP_SSL("localhost", demo.port("submissions"), context=trust(demo)) as smtp:
        smtp.ehlo()
        assert "SCRAM-SHA-256" in smtp.esmtp_features["auth"].split()
        code, challenge = smtp.docmd("AUTH", "SCRAM-SHA-256 " + client.first().decode())
        assert code == 334
        code, challenge = smtp.docmd(client.final(challenge).decode())
        assert code == 334
        client.check(challenge)
        assert smtp.docmd("")[0] == 235


def test_a_wrong_password_in_submission(demo: Demo, account: str) -> None:
    client = ScramClient(account, "wrong")
    with smtplib.SMTP_SSL("localhost", demo.port("submissions"), context=trust(demo)) as smtp:
        smtp.ehlo()
        _, challenge = smtp.docmd("AUTH", "SCRAM-SHA-256 " + client.first().decode())
        assert smtp.docmd(client.final(challenge).decode())[0] == 535


def test_pop3(demo: Demo, account: str) -> None:
    client = ScramClient(account, PASSWORD)
    pop = poplib.POP3_SSL("localhost", demo.port("pop3s"), context=trust(demo))
    try:
        assert "SCRAM-SHA-256" in pop.capa()["SASL"]
        pop._putcmd("AUTH SCRAM-SHA-256 " + client.first().decode())  # type: ignore[attr-defined]
        pop._putline(client.final(pop._getline()[0][2:]))  # type: ignore[attr-defined]
        client.check(pop._getline()[0][2:])  # type: ignore[attr-defined]
        pop._putline(b"")  # type: ignore[attr-defined]
        assert pop._getresp().startswith(b"+OK")  # type: ignore[attr-defined]
    finally:
        pop.close()


@pytest.mark.debian
def test_mbsync_prefers_it(demo: Demo, account: str, tmp_path: Path) -> None:
    # Cyrus SASL's own implementation, of libsasl2-modules.
    mbsync = debian.need("mbsync")
    (tmp_path / "mail").mkdir()
    rc = tmp_path / "mbsyncrc"
    rc.write_text(
        f'IMAPStore far\nHost localhost\nPort {demo.port("imaps")}\nUser {account}\nPass "{PASSWORD}"\n'
        f"SSLType IMAPS\nCertificateFile {demo.state['ca_file']}\nAuthMechs SCRAM-SHA-256\n\n"
        f"MaildirStore near\nPath {tmp_path}/mail/\nInbox {tmp_path}/mail/INBOX\n\n"
        "Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Near\nSyncState *\n"
    )
    done = debian.run([mbsync, "-c", rc, "-D", "all"])
    assert done.returncode == 0, done.stdout
    assert "AUTHENTICATE SCRAM-SHA-256" in done.stdout


@pytest.mark.debian
def test_gsasl_logs_in(demo: Demo, account: str) -> None:
    # Its SMTP says STARTTLS before EHLO, which no server takes.
    gsasl = debian.need("gsasl")
    done = debian.run(
        [gsasl, "--imap", f"--connect=localhost:{demo.port('imap')}", "--starttls", "--verbose",
         f"--x509-ca-file={demo.state['ca_file']}", "--mechanism=SCRAM-SHA-256", "--no-cb",
         f"--authentication-id={account}", f"--password={PASSWORD}"],
        timeout_s=30,
    )  # fmt: skip
    assert "Logged in" in done.stdout, done.stdout
