"""Thunderbird against the demo: its own folders, new mail by IDLE, flags, copies, deletion."""

from __future__ import annotations

import imaplib
import smtplib
from pathlib import Path

import pytest

from tests.kit.demo import Demo
from tests.kit.process import eventually
from tests.kit.thunderbird import Thunderbird, running_thunderbird

USER, PASSWORD = "birdie@example.test", "three wörds in a row"

_TRUST = """
Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB).addCertFromBase64(args[0], "C,,");
return true;
"""
_ACCOUNT = """
const [user, password, host, port] = args;
const server = MailServices.accounts.createIncomingServer(user, host, "imap");
server.port = port;
server.socketType = Ci.nsMsgSocketType.SSL;
server.authMethod = Ci.nsMsgAuthMethod.passwordCleartext;
server.password = password;
const identity = MailServices.accounts.createIdentity();
identity.email = user;
const account = MailServices.accounts.createAccount();
account.addIdentity(identity);
account.incomingServer = server;
server.performExpand(null);
return true;
"""
_FIND = """
const server = MailServices.accounts.allServers.find(each => each.type == "imap");
const folder = name =>
  server.rootFolder.descendants.find(each => each.name.toUpperCase() == name.toUpperCase());
const message = (name, subject) =>
  [...folder(name).messages].find(each => each.mime2DecodedSubject == subject);
"""
_BODY = """
const uri = folder("INBOX").getUriForMsg(message("INBOX", args[0]));
return await new Promise((resolve, reject) => {
  let text = "";
  MailServices.messageServiceFromURI(uri).streamMessage(uri, {
    QueryInterface: ChromeUtils.generateQI(["nsIStreamListener"]),
    onStartRequest() {},
    onDataAvailable(request, stream, offset, count) {
      const reader = Cc["@mozilla.org/scriptableinputstream;1"].createInstance(Ci.nsIScriptableInputStream);
      reader.init(stream);
      text += reader.read(count);
    },
    onStopRequest(request, status) { status ? reject(status) : resolve(text); },
  }, null, null, false, "", false);
});
"""
_COPY = """
const [source, subject, target] = args;
MailServices.copy.copyMessages(
  folder(source), [message(source, subject)], folder(target), false, null, null, true);
return true;
"""


@pytest.mark.debian("thunderbird")
def test_thunderbird_reads_files_flags_and_deletes(demo: Demo, tmp_path: Path) -> None:
    demo.cli("user", "add", USER, "--password-stdin", stdin=PASSWORD)
    with running_thunderbird(tmp_path) as program:
        _log_in(program, demo)
        for name in ("INBOX", "Drafts", "Sent", "Spam", "Trash", "Archive"):
            program.wait(_FIND + "return !!folder(args[0]);", name)

        # New mail is shown without asking: the program sits in IDLE.
        program.run(_FIND + "folder('INBOX').updateFolder(null); return true;")
        _send(demo, "first wörds", "The text of the first one.")
        program.wait(_FIND + "return !!message('INBOX', args[0]);", "first wörds")
        assert "The text of the first one." in program.run(_FIND + _BODY, "first wörds")

        # What it changes is on the server, and the other way round.
        program.run(
            _FIND
            + "const found = message('INBOX', args[0]); folder('INBOX').markMessagesFlagged([found], true);"
            "folder('INBOX').markMessagesRead([found], true); return true;",
            "first wörds",
        )
        eventually(lambda: {b"\\Seen", b"\\Flagged"} <= _flags(demo, "INBOX"))
        program.run(_FIND + "server.rootFolder.createSubfolder('Jörgs Post', null); return true;")
        program.wait(_FIND + "return !!folder('Jörgs Post');")
        program.run(_FIND + _COPY, "INBOX", "first wörds", "Jörgs Post")
        eventually(lambda: b"\\Flagged" in _flags(demo, '"J&APY-rgs Post"'))

        program.run(
            _FIND
            + "folder('INBOX').deleteMessages([message('INBOX', args[0])], null, false, false, null, false);"
            "return true;",
            "first wörds",
        )
        eventually(lambda: not _flags(demo, "INBOX"))
        assert b"\\Seen" in _flags(demo, "Trash")


def _log_in(program: Thunderbird, demo: Demo) -> None:
    lines = Path(demo.state["ca_file"]).read_text().splitlines()
    program.run(_TRUST, "".join(line for line in lines if not line.startswith("-----")))
    program.run(_ACCOUNT, USER, PASSWORD, "localhost", demo.port("imaps"))


def _send(demo: Demo, subject: str, text: str) -> None:
    message = f"From: b@outside.test\r\nTo: {USER}\r\nSubject: {subject}\r\n\r\n{text}\r\n"
    with smtplib.SMTP(demo.host, demo.port("mx")) as client:
        client.sendmail("b@outside.test", [USER], message.encode())


def _flags(demo: Demo, folder: str) -> set[bytes]:
    """All flags of the messages of that subject in a folder."""
    with imaplib.IMAP4_SSL("localhost", demo.port("imaps"), ssl_context=demo.tls()) as client:
        client.authenticate("PLAIN", lambda _: f"\0{USER}\0{PASSWORD}".encode())
        client.select(folder, readonly=True)
        _, (found,) = client.uid("SEARCH", "HEADER", "From", "b@outside.test")
        if not found:
            return set()
        _, rows = client.uid("FETCH", found.replace(b" ", b",").decode(), "(FLAGS)")
        return {flag for row in rows for flag in row[row.index(b"FLAGS (") + 7 :].split(b")")[0].split()}
