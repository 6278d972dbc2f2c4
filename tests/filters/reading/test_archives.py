"""Archives: listed, never unpacked without a cap, and odd ones called so."""

# ruff: noqa: E501

from __future__ import annotations

import base64
import bz2
import gzip
import io
import lzma
import struct
import tarfile
import time
import zipfile
import zlib

import pytest

from mailstack.filters.reading import archives
from mailstack.filters.reading.archives import MAX_MEMBERS, Listing, look
from mailstack.filters.reading.kinds import by_head
from tests.kit.hostile import zip_of

SEVEN_ZIP = base64.b64decode(  # Invoice.pdf.exe and a name in Latin-1, header packed with LZMA2
    "N3q8ryccAARLvbyMmwAAAAAAAAAWAAAAAAAAAL54lFDgAEcAE10ANBlJ7o3pF4k6M1/9gfCIYIgAAADgAIgAeF0AAIEzB64Pz7XvEA/Ual595dfd"
    "m+avUngQ7XYxSe9eBNrUCr1fE1O/bi+gatNAeorqfc8OaJ63EeN1Wn3LGGglvMSkOmZum+HXI6GVxims3iSiioVLQt39Yb/tVpRhnYoov+GW6rcx"
    "uz23bMxEJdBn8BJowfNE4AAAABcGGwEJgIAABwsBAAEhIQEYDICJAAA="
)  # fmt: skip
ENCRYPTED_SEVEN_ZIP = base64.b64decode(
    "N3q8ryccAATTW9VEiQAAAAAAAAAUAAAAAAAAAKkyWLkhz0u2MUYSa4SrwBfgqsxhNSnIsyj7LJFaZRRlfmqchgEAZAEEBgABCSAKAd16KK8ABwsB"
    "AAIkBvEHARJTDxyYF5c5pdM80SqJjoq9fR0hIQEYAQAMGyQACAoBv+fQtQAABQERDQBzAC4AdAB4AHQAAAAUCgEAAB6GSZZ63QEVBgEAIICAgQAA"
    "ABcGIAEJaQAHCwEAASEhARgMZQAA"
)  # fmt: skip


def listed(data: bytes, name: str = "a") -> Listing:
    listing = Listing()
    look(data, by_head(data[:1024])[1], listing, name=name)
    return listing


def with_entries(archive: bytes, count: int) -> bytes:
    """The archive with its one directory entry repeated: members that share their octets."""
    at, end = archive.rfind(b"PK\x01\x02"), archive.rfind(b"PK\x05\x06")
    entry = archive[at:end]
    number = min(count, 0xFFFF)
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, number, number, len(entry) * count, at, 0)
    return archive[:at] + entry * count + tail


def test_members_are_listed() -> None:
    found = listed(zip_of(("a.txt", b"x"), ("folder/b.pdf", b"y")))
    assert (found.members, found.tricks) == (["a.txt", "folder/b.pdf"], [])


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "a/../../b", "..\\x", "C:\\x"])
def test_names_that_leave_the_folder_are_suspicious(name: str) -> None:
    # M11
    assert listed(zip_of((name, b"x"))).tricks == ["escapes"]


def test_symbolic_links_are_suspicious() -> None:
    # M11
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = 0xA1FF0000
        archive.writestr(link, "/etc/passwd")
    assert listed(out.getvalue()).tricks == ["links-out"]


def test_encrypted_members_are_told() -> None:
    # M11
    archive = bytearray(zip_of(("secret.txt", b"x")))
    archive[archive.rfind(b"PK\x01\x02") + 8] |= 1
    found = listed(bytes(archive))
    assert (found.members, found.tricks) == (["secret.txt"], ["encrypted"])


def test_programs_inside_are_told() -> None:
    assert listed(zip_of(("Invoice.pdf.exe", b"MZ"))).tricks == ["holds-program", "double-extension"]
    assert listed(zip_of(("disk.iso", b"x"))).tricks == ["holds-disk-image"]


def test_a_bomb_is_told_by_its_directory() -> None:
    # M11: 42.zip
    assert "bomb" in listed(zip_of(("zeros", bytes(50_000_000)))).tricks


def test_members_that_share_their_octets_are_told() -> None:
    # M11: quoted overlap
    assert {"overlapping", "bomb"} <= set(listed(with_entries(zip_of(("a", bytes(100_000))), 500)).tricks)
    assert "overlapping" in listed(with_entries(zip_of(("a", b"x")), 2)).tricks


@pytest.mark.parametrize(("count", "tricks"), [(MAX_MEMBERS, []), (MAX_MEMBERS + 1, ["many-members"])])
def test_the_most_members_are_fine_and_one_more_is_not(count: int, tricks: list[str]) -> None:
    found = listed(zip_of(*((f"{number}.txt", b"") for number in range(count))))
    assert (len(found.members), found.tricks) == (MAX_MEMBERS, tricks)


def test_a_million_entries_take_little_time() -> None:
    # M11
    data = with_entries(zip_of(("a", b"x")), 1_000_000)
    began = time.process_time()
    found = listed(data)
    assert time.process_time() - began < 5
    assert "many-members" in found.tricks
    assert len(found.members) == MAX_MEMBERS


def test_archives_in_archives_are_listed_to_a_depth() -> None:
    # M11: nested 10 deep
    data = zip_of(("deep.txt", b"x"))
    assert listed(zip_of(("in.zip", data))).members == ["in.zip", "in.zip/deep.txt"]
    for number in range(10):
        data = zip_of((f"{number}.zip", data))
    found = listed(data)
    assert found.tricks == ["nested"]
    assert len(found.members) == 2


def test_what_inner_archives_may_unpack_is_bounded_together() -> None:
    # M11
    inner = zip_of(("zeros", bytes(30_000_000)))
    bomb = zlib.compress(bytes(30_000_000))
    entries = [(f"{number}.zip", inner + bomb) for number in range(60)]
    began = time.process_time()
    found = listed(zip_of(*entries))
    assert time.process_time() - began < 5
    assert "many-members" in found.tricks
    assert found.out >= 0


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress], ids=["gzip", "bzip2", "xz"])
def test_bombs_of_one_file_stop_at_a_cap(pack) -> None:  # type: ignore[no-untyped-def]
    # M12
    data = pack(bytes(150_000_000) if pack is gzip.compress else bytes(30_000_000))
    began = time.process_time()
    found = listed(data, "big.log.gz")
    assert time.process_time() - began < 5
    assert "bomb" in found.tricks
    assert found.members == ["big.log"]


def test_xz_that_wants_much_memory_is_refused() -> None:
    # M12
    packed = lzma.compress(b"x", filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 29}])
    assert listed(packed).tricks == ["broken"]


def test_tars_are_listed() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, kind in (("a.txt", tarfile.REGTYPE), ("../b.sh", tarfile.REGTYPE), ("l", tarfile.SYMTYPE)):
            entry = tarfile.TarInfo(name)
            entry.type = kind
            archive.addfile(entry)
    found = listed(out.getvalue())
    assert found.members == ["a.txt", "../b.sh", "l"]
    assert set(found.tricks) == {"escapes", "holds-program", "links-out"}


@pytest.mark.parametrize("size", [b"-1000", b"-1", b"+7", b"1_0", b"0x1", b"-7777777777"])
def test_a_tar_that_leads_back_to_itself_is_broken(size: bytes) -> None:
    # M12: a block of a kind that is no file, and a size below nothing
    head = bytearray(512)
    head[:1], head[124:136], head[156:157], head[257:262] = b"x", size.ljust(12, b"\0"), b"x", b"ustar"
    assert listed(bytes(head) * 2).tricks == ["broken"]


def test_slow_compressors_share_one_cap() -> None:
    # M12
    listing, packed = Listing(slow=3_000_000), bz2.compress(bytes(range(256)) * 8_000, 1)
    for _ in range(3):
        look(packed, "bzip2", listing)
    assert listing.slow <= 0 and "bomb" in listing.tricks


def test_a_packed_program_is_told() -> None:
    assert listed(gzip.compress(b"MZ" + bytes(100)), "update.gz").tricks == ["holds-program"]


def test_a_packed_file_is_called_as_it_says() -> None:
    out = io.BytesIO()
    with gzip.GzipFile("real.exe", "wb", fileobj=out, mtime=0) as archive:
        archive.write(b"x")
    found = listed(out.getvalue(), "picture.gz")
    assert (found.members, found.tricks) == (["real.exe"], ["holds-program"])


def test_7z_names_and_encryption_are_read() -> None:
    found = listed(SEVEN_ZIP)
    assert (found.members[0], found.tricks) == ("Invoice.pdf.exe", ["holds-program", "double-extension"])
    assert listed(ENCRYPTED_SEVEN_ZIP).tricks == ["encrypted"]


def rar4(name: bytes, flags: int = 0) -> bytes:
    size = 32 + len(name)
    block = struct.pack(
        "<HBHHLLBLLBBHL", 0, 0x74, 0x8000 | flags, size, 3, 3, 0, 0, 0, 29, 0x30, len(name), 0
    )
    return b"Rar!\x1a\x07\x00" + struct.pack("<HBHH6s", 0, 0x73, 0, 13, b"") + block + name + b"abc"


def rar5(name: bytes, *, extra: bytes = b"", kind: int = 2) -> bytes:
    file = bytes([0, 3, 0, 0, 0, len(name)]) + name + extra
    head = bytes([kind, 1, len(extra)]) if extra else bytes([kind, 0])
    body = head + file
    return b"Rar!\x1a\x07\x01\x00" + bytes(4) + bytes([3, 1, 0, 0]) + bytes(4) + bytes([len(body)]) + body


def test_rar_names_and_encryption_are_read() -> None:
    assert listed(rar4(b"Scan.exe")).members == ["Scan.exe"]
    assert listed(rar4(b"Scan.txt", 0x04)).tricks == ["encrypted"]
    assert listed(rar5(b"Scan.js")).tricks == ["holds-program"]
    assert listed(rar5(b"a.txt", extra=bytes([2, 1, 0]))).tricks == ["encrypted"]
    assert listed(rar5(b"", kind=4)).tricks == ["encrypted"]


@pytest.mark.parametrize(
    "data",
    [b"PK\x03\x04", b"PK\x05\x06" + bytes(18), zip_of(("a", b"x"))[:-30], b"\x1f\x8b\x08", b"BZh9junk", b"7z\xbc\xaf\x27\x1c"],
    ids=["head", "tail", "cut", "gzip", "bzip2", "7z"],
)  # fmt: skip
def test_broken_archives_never_fail(data: bytes) -> None:
    found = listed(data)
    assert found.tricks in (["broken"], [])


def test_the_caps_are_those_of_the_limits() -> None:
    assert (archives.MAX_OUT, archives.MAX_RATIO, archives.MAX_MEMBERS, archives.MAX_DEPTH) == (
        100 * 1024 * 1024, 100, 1000, 2,
    )  # fmt: skip
