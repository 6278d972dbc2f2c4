"""NOTIFY: whatever is asked for is answered once, and whatever happens then is told in IMAP."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.kit.bare_session import BareSession, message
from tests.kit.fuzzing import FUZZ
from tests.kit.memory_mailbox import MemoryMailbox

WORDS = [
    *(b"selected selected-delayed personal inboxes subscribed subtree mailboxes NONE STATUS SET".split()),
    *(b"MessageNew MessageExpunge FlagChange AnnotationChange MailboxName SubscriptionChange".split()),
    *(b"MailboxMetadataChange ServerMetadataChange UID FLAGS ENVELOPE BODY.PEEK[TEXT] BODY[]".split()),
    *(b'INBOX Sent a/b "a b" "" {0+}\r\n {3+}\r\nabc &AOk- % * ( ) NIL'.split(b" ")),
]
GOOD = [
    b"(selected (MessageNew (UID FLAGS) MessageExpunge FlagChange))",
    b"(selected-delayed (MessageNew MessageExpunge))",
    b"(personal (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange))",
    b"(subtree (a INBOX) (MessageNew MessageExpunge))",
    b"(mailboxes (Sent a/b) (MailboxName MailboxMetadataChange ServerMetadataChange))",
    b"(subscribed NONE)",
]
HAPPENS = st.sampled_from(
    [
        "INBOX",
        "Sent",
        "a/b",
        "nowhere",
        "",
        "\x01INBOX\x01/private/x",
        "\x01\x01/shared/y",
        "make",
        "lose",
        "rename",
    ]
)


@FUZZ
@given(st.lists(st.sampled_from(WORDS), max_size=30), st.sampled_from([b" ", b"", b"("]))
def test_words_in_any_order_get_one_answer(words: list[bytes], glue: bytes) -> None:
    session = BareSession(MemoryMailbox()).select()
    out = session.command(b"NOTIFY SET " + (b" " + glue).join(words))
    assert (
        out.splitlines()[-1].split(b" ")[:2] in ([b"t", b"OK"], [b"t", b"NO"], [b"t", b"BAD"])
        or session.closed
    )
    session.poke("INBOX", "Sent", "")


@FUZZ
@given(st.lists(st.sampled_from(GOOD), min_size=1, max_size=4, unique=True), st.lists(HAPPENS, max_size=12))
def test_what_is_told_keeps_the_client_right(groups: list[bytes], events: list[str]) -> None:
    store = MemoryMailbox()
    session = BareSession(store).select()
    if not session.command(b"NOTIFY SET " + b" ".join(groups)).endswith(b"t OK Notify completed\r\n"):
        return  # selected and selected-delayed together
    count = 0
    for number, event in enumerate(events):
        count += happens(store, event, number)
        session.time += 1
        session.poke(event if event not in ("make", "lose", "rename") else "")
        out = session.take()
        assert not session.closed
        for line in out.split(b"\r\n"):
            assert line.startswith((b"* ", b" ", b")")) or not line
    if any(group.startswith(b"(selected") for group in groups):
        session.command(b"NOOP")
        assert len(session.session.selected) == count


def happens(store: MemoryMailbox, event: str, number: int) -> int:
    """Something changes; gives how many messages INBOX has more."""
    names = {entry.name for entry in store.folders() if entry.exists}
    if event == "make" and "a/b" not in names:
        store.create("a/b")
    elif event == "lose" and "a/b" in names:
        store.delete("a/b")
    elif event == "rename" and "a/b" in names:
        store.rename("a/b", f"c{number}")
    elif event in names:
        store.add(event, message())
        return event == "INBOX"
    return 0
