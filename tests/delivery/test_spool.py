"""Message files: written whole, read only when unchanged, self-describing."""

import hashlib
import os
from pathlib import Path

import msgspec
import pytest

from mailstack.delivery import spool as spool_module
from mailstack.delivery.entry import QueueMessage, QueueRecipient
from mailstack.delivery.spool import Content, Damaged, Envelope, Spool, read_trailer
from mailstack.model.errors import TemporaryFailure
from tests.kit.queues import MESSAGE, QueueFolders

RECIPIENTS = (
    QueueRecipient("b@example.net", frozenset({"FAILURE", "DELAY"}), "rfc822;b@example.net", owner="a@x.org"),
    QueueRecipient("c@x.org", kind="local", detail='{"n": 1}', original="sales@x.org"),
)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    made = Spool(QueueFolders(tmp_path), bulk_recipients=50)
    made.make_folders()
    return made


def stored(spool: Spool, message: QueueMessage, queue_id: str = "id1") -> Envelope:
    envelope = spool.write(message, queue_id, 1_000.5)
    spool.publish([queue_id])
    return envelope


def read(spool: Spool, envelope: Envelope) -> Content | Damaged:
    return spool.open(envelope.queue_id, envelope.size_octets, envelope.sha256)


def test_what_was_written_is_read_without_the_trailer(spool: Spool) -> None:
    envelope = stored(spool, QueueMessage(RECIPIENTS, data=MESSAGE, prefix=b"Received: x\r\n"))
    content = read(spool, envelope)
    assert isinstance(content, Content)
    assert content.read() == b"Received: x\r\n" + MESSAGE
    assert content.size_octets == len(content.read())


def test_a_large_file_is_copied_and_read_in_blocks(spool: Spool, tmp_path: Path) -> None:
    body = tmp_path / "body"
    octets = b"Subject: x\r\n\r\n" + os.urandom(spool_module.IN_MEMORY_OCTETS)
    body.write_bytes(octets)
    envelope = stored(spool, QueueMessage(RECIPIENTS, path=str(body), prefix=b"A: b\r\n"))
    content = read(spool, envelope)
    assert isinstance(content, Content)
    assert content.data is None
    assert max(map(len, content.chunks())) <= spool_module.BLOCK_OCTETS
    assert content.read() == b"A: b\r\n" + octets
    assert body.read_bytes() == octets


def test_only_the_front_of_a_file_is_taken_when_so_asked(spool: Spool, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(MESSAGE + b"something else")
    message = QueueMessage(RECIPIENTS, path=str(tmp_path / "body"), path_octets=len(MESSAGE))
    content = read(spool, stored(spool, message))
    assert isinstance(content, Content)
    assert content.read() == MESSAGE
    with pytest.raises(TemporaryFailure):
        spool.write(QueueMessage(RECIPIENTS, path=str(tmp_path / "body"), path_octets=10_000), "id2", 0)


def test_the_trailer_tells_everything_the_rows_do(spool: Spool) -> None:
    message = QueueMessage(
        RECIPIENTS,
        accept_id="acc",
        sender="a@x.org",
        data=MESSAGE,
        kind="forward",
        smtputf8=True,
        body="8BITMIME",
        ret="HDRS",
        envid="e+1",
        owner="o@x.org",
        is_sender_verified=False,
        requiretls=True,
    )
    envelope = stored(spool, message)
    found = read_trailer(spool.path("id1"))
    assert found == envelope
    assert (found.sender, found.kind, found.envid, found.created_at) == ("a@x.org", "forward", "e+1", 1_000.5)
    assert [r.address for r in found.recipients] == ["b@example.net", "c@x.org"]
    assert found.recipients[0].notify == ("DELAY", "FAILURE")
    assert found.recipients[1].detail == '{"n": 1}'
    assert found.recipients[1].original == "sales@x.org"
    assert found.requiretls


def test_a_file_of_an_earlier_version_is_read_too(spool: Spool) -> None:
    envelope = stored(spool, QueueMessage(RECIPIENTS, sender="a@x.org", data=MESSAGE))
    told = msgspec.json.decode(msgspec.json.encode(envelope))
    del told["requiretls"]
    for recipient in told["recipients"]:
        del recipient["original"]
    text = msgspec.json.encode(told)
    digest = hashlib.sha256(text).hexdigest().encode()
    footer = b"mailstack-queue 1 %010d %s" % (len(text), digest)
    spool.path("id1").write_bytes(MESSAGE + text + b"\n" + footer + b"\n")
    found = read_trailer(spool.path("id1"))
    assert isinstance(found, Envelope)
    assert (found.sender, found.requiretls) == ("a@x.org", False)
    assert [recipient.original for recipient in found.recipients] == ["", ""]


PARTS = (
    b'Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Disposition: attachment; filename=%s\r\n\r\n%s\r\n--b--\r\n"
)


@pytest.mark.parametrize(
    ("data", "smtputf8", "needs"),
    [
        (PARTS % ("ä".encode(), b"x"), True, True),
        (PARTS % ("ä".encode(), b"x"), False, False),
        (PARTS % (b"a", "ä".encode()), True, False),
        (PARTS % (b"a", b"x"), True, False),
    ],
    ids=["name", "not declared", "text", "plain"],
)
@pytest.mark.parametrize("is_file", [True, False])
def test_utf8_in_the_header_of_a_part_wants_smtputf8_too(
    spool: Spool, tmp_path: Path, data: bytes, smtputf8: bool, needs: bool, is_file: bool
) -> None:
    # RFC 6531 section 3.6
    (tmp_path / "m").write_bytes(data)
    where = {"path": str(tmp_path / "m")} if is_file else {"data": data}
    message = QueueMessage(RECIPIENTS, smtputf8=smtputf8, prefix=b"Received: x\r\n", **where)  # type: ignore[arg-type]
    assert stored(spool, message).has_8bit_header is needs


def test_a_file_is_private(spool: Spool) -> None:
    stored(spool, QueueMessage(RECIPIENTS, data=MESSAGE))
    assert spool.path("id1").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("data", "anywhere", "header"),
    [
        (b"A: b\r\n\r\nplain\r\n", False, False),
        (b"A: b\r\n\r\nb\xe4r\r\n", True, False),
        (b"A: \xc3\xa4\r\n\r\nplain\r\n", True, True),
        (b"A: \xc3\xa4\r\n", True, True),
        (b"\r\nb\xe4r\r\n", True, False),
        (b"", False, False),
    ],
    ids=repr,
)
def test_octets_above_127_are_noticed(spool: Spool, data: bytes, anywhere: bool, header: bool) -> None:
    envelope = stored(spool, QueueMessage(RECIPIENTS, data=data))
    assert (envelope.has_8bit, envelope.has_8bit_header) == (anywhere, header)


@pytest.mark.parametrize("cut", range(1, 12))
def test_the_end_of_the_header_is_found_across_blocks(spool: Spool, cut: int) -> None:
    whole = b"A: b\r\n\r\n\xe4\r\n"
    envelope = stored(spool, QueueMessage(RECIPIENTS, prefix=whole[:cut], data=whole[cut:]))
    assert (envelope.has_8bit, envelope.has_8bit_header) == (True, False)


# -- damage


def change(path: Path, at: int, octet: bytes) -> None:
    data = bytearray(path.read_bytes())
    data[at : at + 1] = octet
    path.write_bytes(data)


def test_a_missing_changed_or_shortened_file_is_damaged(spool: Spool) -> None:
    # Q19
    envelope = stored(spool, QueueMessage(RECIPIENTS, data=MESSAGE))
    path = spool.path("id1")
    whole = path.read_bytes()
    change(path, 3, b"X")
    assert read(spool, envelope) == Damaged("its file has been changed")
    path.write_bytes(whole[:10])
    assert read(spool, envelope) == Damaged("its file is shorter than it was")
    path.write_bytes(b"")
    assert read(spool, envelope) == Damaged("its file is shorter than it was")
    path.unlink()
    assert read(spool, envelope) == Damaged("its file is missing")


def test_a_file_that_cannot_be_read_is_a_temporary_failure(spool: Spool) -> None:
    # F20, F25: somebody put a folder there
    envelope = stored(spool, QueueMessage(RECIPIENTS, data=MESSAGE))
    spool.path("id1").unlink()
    spool.path("id1").mkdir()
    with pytest.raises(TemporaryFailure):
        read(spool, envelope)


def test_no_cut_or_changed_file_describes_itself(spool: Spool, tmp_path: Path) -> None:
    stored(spool, QueueMessage(RECIPIENTS, data=MESSAGE))
    whole = spool.path("id1").read_bytes()
    for size in range(len(whole)):
        (tmp_path / "id1").write_bytes(whole[:size])
        assert isinstance(read_trailer(tmp_path / "id1"), Damaged), size
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1
        (tmp_path / "id1").write_bytes(changed)
        assert isinstance(read_trailer(tmp_path / "id1"), Damaged), place


def test_a_message_that_ends_like_a_trailer_is_still_read_right(spool: Spool) -> None:
    first = stored(spool, QueueMessage(RECIPIENTS, data=MESSAGE))
    nested = spool.path("id1").read_bytes()
    envelope = stored(spool, QueueMessage(RECIPIENTS, data=nested), "id2")
    assert read_trailer(spool.path("id2")) == envelope != first
    content = read(spool, envelope)
    assert isinstance(content, Content)
    assert content.read() == nested


def test_a_file_under_another_name_is_not_that_message(spool: Spool) -> None:
    stored(spool, QueueMessage(RECIPIENTS, data=MESSAGE))
    spool.path("id1").rename(spool.path("id2"))
    assert isinstance(read_trailer(spool.path("id2")), Damaged)


def test_isolating_moves_the_file_and_says_where(spool: Spool) -> None:
    stored(spool, QueueMessage(RECIPIENTS, data=MESSAGE))
    moved = spool.isolate("id1")
    assert moved is not None
    assert moved.exists()
    assert not spool.path("id1").exists()
    assert spool.isolate("id1") is None


def test_writing_without_a_folder_is_a_temporary_failure(tmp_path: Path) -> None:
    with pytest.raises(TemporaryFailure):
        Spool(QueueFolders(tmp_path / "none"), bulk_recipients=50).write(
            QueueMessage(RECIPIENTS, data=MESSAGE), "id1", 0
        )
