"""What a domain wants of mail to its addresses."""

from __future__ import annotations

import pytest

from mailstack.directory import Directory, DirectoryWriter, mail_policies
from mailstack.model.directory import AttachmentRules, MailPolicy
from mailstack.model.errors import PermanentFailure

NAMES = frozenset({"example.test"})


def test_a_domain_begins_without_wishes(writer: DirectoryWriter, reader: Directory) -> None:
    assert reader.mail_policy("example.test") == MailPolicy(NAMES)
    assert reader.mail_policy("other.test") == MailPolicy()


def test_changes_count_at_once(writer: DirectoryWriter, reader: Directory) -> None:
    assert not reader.mail_policy("example.test").marks_outside
    writer.mail_policies.set("example.test", marks_outside=True, outside_prefix=" [Außen] ")
    writer.mail_policies.set("example.test", refused="program, .ISO", junked="macros")
    writer.mail_policies.list_sender("example.test", "@bad.test", kind="block")
    writer.mail_policies.list_sender("example.test", "Good@bad.test", kind="allow")
    writer.domains.add_alias("mirror.test", "example.test")
    assert reader.mail_policy("example.test") == MailPolicy(
        NAMES | {"mirror.test"},
        frozenset({"bad.test"}),
        frozenset({"good@bad.test"}),
        True,
        "[Außen]",
        AttachmentRules(frozenset({"program", ".iso"}), frozenset({"macros"})),
    )
    writer.mail_policies.set("example.test", refused="")
    assert reader.mail_policy("example.test").attachments == AttachmentRules(junked=frozenset({"macros"}))


def test_domains_of_one_organisation_are_named_and_bounded(
    writer: DirectoryWriter, reader: Directory
) -> None:
    most = ",".join(f"d{n}.test" for n in range(mail_policies.MAX_INSIDE))
    assert len(writer.mail_policies.set("example.test", inside=most).inside) == mail_policies.MAX_INSIDE
    with pytest.raises(PermanentFailure, match="at most 100 domains"):
        writer.mail_policies.set("example.test", inside=f"{most},one.more.test")
    writer.mail_policies.set("example.test", inside=" Sister.test ,,exämple.org.")
    writer.mail_policies.set("example.test", marks_outside=True)
    assert reader.mail_policy("example.test").inside == {"sister.test", "xn--exmple-cua.org"}
    with pytest.raises(PermanentFailure, match="cannot be a domain"):
        writer.mail_policies.set("example.test", inside="test")


@pytest.mark.parametrize("words", ["exe", ".a b", ".", "program;macros", "." + "x" * 20])
def test_kinds_nobody_knows_are_refused(writer: DirectoryWriter, words: str) -> None:
    with pytest.raises(PermanentFailure, match="no kind of attachment"):
        writer.mail_policies.set("example.test", refused=words)


@pytest.mark.parametrize("prefix", ["x" * 41, "a\0b", "a\u202eb"])
def test_prefixes_are_short_and_clean(writer: DirectoryWriter, prefix: str) -> None:
    with pytest.raises(PermanentFailure, match="prefix of subjects"):
        writer.mail_policies.set("example.test", outside_prefix=prefix)


def test_lists_of_a_domain_are_bounded(writer: DirectoryWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail_policies, "MAX_LISTED_SENDERS", 2)
    for n in range(2):
        writer.mail_policies.list_sender("example.test", f"s{n}.example", kind="block")
    writer.mail_policies.list_sender("example.test", "s1.example", kind="allow")
    with pytest.raises(PermanentFailure, match="2 senders already"):
        writer.mail_policies.list_sender("example.test", "s3.example", kind="block")
    assert writer.mail_policies.unlist_sender("example.test", "s1.example") == "s1.example"
    with pytest.raises(PermanentFailure, match="in no list"):
        writer.mail_policies.unlist_sender("example.test", "s1.example")


def test_only_domains_of_ours_have_wishes(writer: DirectoryWriter) -> None:
    writer.domains.add_alias("mirror.test", "example.test")
    for name in ("other.test", "mirror.test"):
        with pytest.raises(PermanentFailure):
            writer.mail_policies.set(name, marks_outside=True)
