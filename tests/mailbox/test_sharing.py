"""Folders of others: what is shown, what each right allows, messages between accounts."""

from __future__ import annotations

import pytest

from mailstack.mailbox.sharing import Mailboxes
from mailstack.mailbox.store import Account, MailStore
from mailstack.model.address import Address
from mailstack.model.errors import TemporaryFailure
from mailstack.model.mailbox import AccountStore, Appended, Flags, MailboxError, NewMessage
from mailstack.model.quota import Limits
from tests.kit.mailboxes import raises
from tests.kit.street import ALICE, BOB, CAROL, Street

FULL = "lrswipkxtea"


@pytest.fixture
def street(store: MailStore) -> Street:
    return Street({key: store.account(Address.parse(key)) for key in (ALICE, BOB, CAROL)})


@pytest.fixture
def bob(street: Street) -> Mailboxes:
    return street.of(BOB)


@pytest.fixture
def alice(street: Street) -> Mailboxes:
    return street.of(ALICE)


def add(account: AccountStore, folder: str, *subjects: str, flags: Flags = Flags.NONE) -> tuple[int, ...]:
    new = [NewMessage(b"Subject: %b\r\n\r\nx\r\n" % text.encode(), flags=flags) for text in subjects]
    return account.append(folder, new).uids


def share(owner: Mailboxes, name: str, who: str, rights: str) -> str:
    owner.grant(name, who, rights)
    return f"Shared/{owner.around.person}/{name}"


def visible(mailboxes: Mailboxes) -> dict[str, bool]:
    return {entry.name: entry.exists for entry in mailboxes.folders() if entry.name.startswith("Shared")}


# -- what is shown ----------------------------------------------------------------------------


def test_it_is_what_imap_asks_for(alice: Mailboxes) -> None:
    store: AccountStore = alice
    assert store.locate("INBOX").owner == ""


def test_an_own_folder_named_like_the_place_of_shared_ones_is_listed_once(
    bob: Mailboxes, alice: Mailboxes
) -> None:
    alice.create("Shared")
    share(bob, "INBOX", ALICE, "l")
    found = [entry for entry in alice.folders() if entry.name == "Shared"]
    assert [(entry.exists, entry.has_children) for entry in found] == [(True, True)]
    alice.delete("Shared")
    assert visible(alice)["Shared"] is False


def test_a_shared_folder_is_listed_with_the_names_above_it(bob: Mailboxes, alice: Mailboxes) -> None:
    bob.create("Work/Plans")
    bob.create("Work")
    share(bob, "Work/Plans", ALICE, "lr")
    assert visible(alice) == {
        f"Shared/{BOB}/Work/Plans": True,
        "Shared": False,
        f"Shared/{BOB}": False,
        f"Shared/{BOB}/Work": False,  # RFC 4314 section 4, LIST: as if it did not exist
    }
    assert visible(bob) == {}
    (entry,) = [entry for entry in alice.folders() if entry.exists and entry.name.endswith("Plans")]
    assert entry.rights == "lr"


def test_without_l_a_folder_does_not_exist(bob: Mailboxes, alice: Mailboxes) -> None:
    name = share(bob, "INBOX", ALICE, "i")
    assert visible(alice) == {}
    for there in (name, f"Shared/{BOB}/Nowhere", f"Shared/{BOB}", "Shared/nobody@example.test/INBOX"):
        with raises("NONEXISTENT"):
            alice.status(there)
        with raises("NONEXISTENT"):
            alice.access(there)
    assert add(alice, name, "put in blindly") == (1,)


def test_a_folder_can_be_listed_and_not_read(bob: Mailboxes, alice: Mailboxes) -> None:
    name = share(bob, "INBOX", ALICE, "l")
    assert visible(alice)[name]
    with raises("NOPERM"):
        alice.status(name)
    assert alice.locate(name).rights == "l"


def test_whoever_is_suspended_or_gone_shares_nothing(
    street: Street, bob: Mailboxes, alice: Mailboxes
) -> None:
    name = share(bob, "INBOX", ALICE, FULL)
    folder = alice.status(name).id
    street.suspended.add(BOB)
    assert visible(alice) == {}
    with raises("NONEXISTENT"):
        alice.rows(folder)
    with raises("NONEXISTENT"):
        alice.status(name)


def test_rights_that_are_taken_away_count_at_once(bob: Mailboxes, alice: Mailboxes, street: Street) -> None:
    name = share(bob, "INBOX", ALICE, "lr")
    folder = alice.status(name).id
    assert alice.highest_modseq(folder)
    bob.grant("INBOX", ALICE, "")
    with raises("NONEXISTENT"):
        alice.highest_modseq(folder)
    assert street.shares == set()


def test_everybody_is_somebody_only_where_that_is_allowed(
    street: Street, bob: Mailboxes, alice: Mailboxes
) -> None:
    with raises("CANNOT"):
        bob.grant("INBOX", "anyone", "lr")
    street.anyone = True
    bob.grant("INBOX", "anyone", "lr")
    bob.grant("INBOX", "-" + ALICE, "r")
    assert alice.locate(f"Shared/{BOB}/INBOX").rights == "l"
    assert street.of(CAROL).status(f"Shared/{BOB}/INBOX").messages == 0
    street.anyone = False
    with raises("NONEXISTENT"):
        street.of(CAROL).status(f"Shared/{BOB}/INBOX")


def test_a_folder_is_shared_with_people_that_exist(bob: Mailboxes) -> None:
    with raises("CANNOT"):
        bob.grant("INBOX", "nobody@example.test", "lr")
    with raises("CANNOT"):
        bob.grant("INBOX", BOB, "lr")
    bob.grant("INBOX", "nobody@example.test", "")


def test_subscriptions_to_others_folders_are_ones_own(bob: Mailboxes, alice: Mailboxes) -> None:
    name = share(bob, "INBOX", ALICE, "lr")
    alice.subscribe(name, subscribed=True)
    assert [entry.exists for entry in alice.folders() if entry.name == name and entry.subscribed] == [True]
    bob.grant("INBOX", ALICE, "")
    assert [entry.exists for entry in alice.folders() if entry.name == name and entry.subscribed] == [False]


def test_a_folder_called_shared_is_ones_own(alice: Mailboxes) -> None:
    alice.create("Shared/plans")
    assert alice.locate("Shared/plans").owner == ""
    with raises("NONEXISTENT"):
        alice.create(f"Shared/{ALICE}/x")


# -- rights one by one ------------------------------------------------------------------------


def test_flags_go_by_rights(bob: Mailboxes, alice: Mailboxes) -> None:
    (uid,) = add(bob, "INBOX", "one", flags=Flags.FLAGGED | Flags.DELETED)
    for rights, operation, wanted, after in (
        ("lrs", "+", Flags.SEEN | Flags.DRAFT, Flags.SEEN | Flags.FLAGGED | Flags.DELETED),
        ("lrt", "=", Flags.ANSWERED, Flags.SEEN | Flags.FLAGGED),
        ("lrw", "=", Flags.DRAFT | Flags.DELETED, Flags.SEEN | Flags.DRAFT),
        ("lrswt", "=", Flags.NONE, Flags.NONE),
    ):
        name = share(bob, "INBOX", ALICE, rights)
        folder = alice.status(name).id
        alice.change_flags(folder, [uid], operation, flags=wanted)  # type: ignore[arg-type]
        assert alice.rows(folder)[0].flags == after, rights
    share(bob, "INBOX", ALICE, "lrt")
    with raises("NOPERM"):
        alice.change_flags(folder, [uid], "+", flags=Flags.SEEN, keywords=["work"])
    share(bob, "INBOX", ALICE, "lr")
    with raises("NOPERM"):
        alice.change_flags(folder, [uid], "=", flags=Flags.NONE)


def test_keywords_go_by_w(bob: Mailboxes, alice: Mailboxes) -> None:
    (uid,) = add(bob, "INBOX", "one")
    name = share(bob, "INBOX", ALICE, "lrw")
    folder = alice.status(name).id
    alice.change_flags(folder, [uid], "=", flags=Flags.NONE, keywords=["a", "b"])
    alice.change_flags(folder, [uid], "=", flags=Flags.SEEN, keywords=["b", "c"])
    (row,) = alice.rows(folder)
    assert (row.flags, set(row.keywords)) == (Flags.NONE, {"b", "c"})


def test_expunge_wants_e_and_move_wants_t_too(bob: Mailboxes, alice: Mailboxes) -> None:
    uids = add(bob, "INBOX", "one", "two")
    name = share(bob, "INBOX", ALICE, "lr")
    folder = alice.status(name).id
    with raises("NOPERM"):
        alice.expunge(folder, uids)
    share(bob, "INBOX", ALICE, "lre")
    with raises("NOPERM"):
        alice.move(folder, uids, "INBOX")
    assert alice.expunge(folder, uids[:1], only_marked=True) == []
    assert alice.expunge(folder, uids[:1]) == [uids[0]]


def test_folders_are_made_renamed_and_deleted_by_rights(bob: Mailboxes, alice: Mailboxes) -> None:
    bob.create("Work")
    name = share(bob, "Work", ALICE, "lr")
    for refused in (
        lambda: alice.create(name + "/x"),
        lambda: alice.delete(name),
        lambda: alice.rename(name, name + "2"),
        lambda: alice.create(f"Shared/{BOB}/New"),
        lambda: alice.grant(name, CAROL, "l"),
        lambda: alice.access(name),
    ):
        with raises("NOPERM"):
            refused()
    share(bob, "Work", ALICE, "lrkxa")
    made = alice.create(name + "/x/y")
    assert (made.name, made.rights, made.owner) == (name + "/x/y", "lrkxa", BOB)
    assert alice.locate(name + "/x/y").rights == "lrkxa"  # RFC 4314 section 4, CREATE: inherited
    alice.rename(name + "/x/y", name + "/z")
    with raises("CANNOT"):
        alice.rename(name + "/z", "mine")
    with raises("CANNOT"):
        alice.rename("Archive", name + "/archive")
    with raises("USEATTR"):
        alice.create(name + "/spam", special_use="\\Junk")
    alice.grant(name, CAROL, "l")
    assert CAROL in bob.access("Work")
    alice.delete(name + "/z")
    assert [entry.name for entry in bob.folders() if entry.name.startswith("Work")] == ["Work"]


def test_annotations_of_others_folders(bob: Mailboxes, alice: Mailboxes) -> None:
    bob.annotate("INBOX", {"/shared/comment": b"ours", "/private/comment": b"bob's"})
    name = share(bob, "INBOX", ALICE, "lr")
    alice.annotate(name, {"/private/comment": b"alice's"})
    assert alice.annotations(name) == {"/shared/comment": b"ours", "/private/comment": b"alice's"}
    with raises("NOPERM"):
        alice.annotate(name, {"/shared/comment": b"mine"})
    share(bob, "INBOX", ALICE, "lw")
    alice.annotate(name, {"/shared/comment": b"all of us"})
    assert bob.annotations("INBOX") == {"/shared/comment": b"all of us", "/private/comment": b"bob's"}
    share(bob, "INBOX", ALICE, "lk")
    with raises("NOPERM"):
        alice.annotations(name)


def test_nothing_is_recent_for_others(bob: Mailboxes, alice: Mailboxes) -> None:
    add(bob, "INBOX", "one")
    name = share(bob, "INBOX", ALICE, FULL)
    status = alice.status(name)
    assert status.recent == 0
    alice.claim_recent(status.id)
    assert bob.status("INBOX").recent == 1


# -- between accounts ---------------------------------------------------------------------------


def body(store: AccountStore, name: str) -> list[bytes]:
    status = store.status(name)
    out = []
    for row in store.rows(status.id):
        opened = store.open(status.id, row.uid)
        out.append(opened.read())
        opened.close()
    return out


def test_copies_keep_octets_dates_and_allowed_flags(bob: Mailboxes, alice: Mailboxes) -> None:
    large = b"Subject: large\r\n\r\n" + b"0123456789\r\n" * 60_000
    uids = alice.append(
        "INBOX",
        [
            NewMessage(large, flags=Flags.SEEN | Flags.DELETED, keywords=("work",), internal_at=5_000),
            NewMessage(b"Subject: small\r\n\r\n\xff\r\n", flags=Flags.FLAGGED),
        ],
    ).uids
    name = share(bob, "Archive", ALICE, "lrsi")
    done = alice.copy(alice.status("INBOX").id, [*uids, 999], name)
    assert (done.source_uids, len(done.target_uids)) == (uids, 2)
    assert body(bob, "Archive") == body(alice, "INBOX")
    first, second = bob.rows(bob.status("Archive").id)
    assert (first.flags, first.keywords, first.internal_at) == (Flags.SEEN, (), 5_000)
    assert second.flags == Flags.NONE
    assert done.uid_validity == bob.status("Archive").uid_validity


def test_a_move_takes_the_originals_away_last(bob: Mailboxes, alice: Mailboxes) -> None:
    add(bob, "INBOX", "one", "two")
    name = share(bob, "INBOX", ALICE, "lrte")
    folder = alice.status(name).id
    done = alice.move(folder, [1, 2], "Archive")
    assert (done.source_uids, alice.status("Archive").messages, bob.status("INBOX").messages) == (
        (1, 2),
        2,
        0,
    )


def test_between_folders_of_one_owner_nothing_leaves_the_account(bob: Mailboxes, alice: Mailboxes) -> None:
    (uid,) = add(bob, "INBOX", "one", flags=Flags.FLAGGED)
    source, full = share(bob, "INBOX", ALICE, "lrte"), share(bob, "Archive", ALICE, FULL)
    some = share(bob, "Drafts", ALICE, "lri")
    folder = alice.status(source).id
    email = alice.details(folder, [uid])[uid].email_id
    alice.copy(folder, [uid], full)
    alice.copy(folder, [uid], some)
    (copied,) = bob.rows(bob.status("Archive").id)
    assert (copied.email_id, copied.flags) == (email, Flags.FLAGGED)
    assert bob.rows(bob.status("Drafts").id)[0].flags == Flags.NONE
    alice.move(folder, [uid], full)
    assert (bob.status("INBOX").messages, bob.status("Archive").messages) == (0, 2)


def test_a_full_account_takes_nothing_and_nothing_is_lost(street: Street, alice: Mailboxes) -> None:
    bobs = street.accounts[BOB]
    assert isinstance(bobs, Account)
    street.accounts[BOB] = Account(bobs.core, Limits(octets=40))
    bob = street.of(BOB)
    add(alice, "INBOX", "one", "two", "three")
    name = share(bob, "Archive", ALICE, FULL)
    with raises("OVERQUOTA"):
        alice.move(alice.status("INBOX").id, [1, 2, 3], name)
    assert (alice.status("INBOX").messages, bob.status("Archive").messages) == (3, 0)


def test_how_full_an_account_is_is_told_to_its_owner_alone(
    street: Street, alice: Mailboxes, bob: Mailboxes
) -> None:
    name = share(bob, "INBOX", ALICE, FULL)
    add(alice, "INBOX", "one")
    add(bob, "INBOX", "theirs")
    for account in street.accounts.values():
        assert isinstance(account, Account)
        account.limits = Limits(octets=1)
    own, theirs = alice.status("INBOX").id, alice.status(name).id
    for put in (
        lambda: add(alice, name, "two"),
        lambda: alice.copy(own, [1], name),
        lambda: alice.copy(theirs, [1], name),
        lambda: alice.replace(own, 1, name, NewMessage(b"Subject: x\r\n\r\nx\r\n")),
    ):
        with raises("OVERQUOTA") as caught:
            put()
        assert "full" in caught.value.text and "octets" not in caught.value.text
    with raises("OVERQUOTA") as caught:
        add(alice, "INBOX", "two")
    assert "octets" in caught.value.text


def test_where_nothing_may_be_put(bob: Mailboxes, alice: Mailboxes) -> None:
    (uid,) = add(alice, "INBOX", "one")
    inbox = alice.status("INBOX").id
    name = share(bob, "Archive", ALICE, "lrk")
    with raises("NOPERM"):
        alice.copy(inbox, [uid], name)
    with raises("NOPERM"):
        add(alice, name, "two")
    with raises("TRYCREATE"):
        alice.copy(inbox, [uid], name + "/below")
    with raises("NONEXISTENT"):
        alice.copy(inbox, [uid], f"Shared/{BOB}/Nowhere")


def test_a_move_that_cannot_remove_the_originals_takes_the_copies_back(
    bob: Mailboxes, alice: Mailboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(alice, "INBOX", "one")
    name = share(bob, "Archive", ALICE, FULL)

    def fails(*_: object) -> list[int]:
        raise TemporaryFailure("the disk is in trouble")

    monkeypatch.setattr(alice.own, "expunge", fails)
    with pytest.raises(TemporaryFailure):
        alice.move(alice.status("INBOX").id, [1], name)
    assert (alice.status("INBOX").messages, bob.status("Archive").messages) == (1, 0)


def test_of_two_moves_of_one_message_one_has_it(
    bob: Mailboxes, alice: Mailboxes, street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(alice, "INBOX", "one", "two", "three")
    name = share(bob, "Archive", ALICE, FULL)
    inbox, archive = alice.status("INBOX").id, bob.status("Archive").id
    other = street.of(ALICE)
    append = street.accounts[BOB].append

    def faster(folder: str, messages: list[NewMessage]) -> Appended:
        monkeypatch.undo()
        done = append(folder, messages)  # copied, and the originals are still there
        assert other.move(inbox, [2], name).source_uids == (2,)
        return done

    monkeypatch.setattr(street.accounts[BOB], "append", faster)
    done = alice.move(inbox, [1, 2, 3], name)
    assert (done.source_uids, done.target_uids) == ((1, 3), (1, 3))
    assert [row.uid for row in bob.rows(archive)] == [1, 3, 4]
    assert alice.status("INBOX").messages == 0


def test_a_replaced_message_may_go_to_another_account(bob: Mailboxes, alice: Mailboxes) -> None:
    (uid,) = add(alice, "Drafts", "one")
    name = share(bob, "INBOX", ALICE, "lri")
    drafts = alice.status("Drafts").id
    alice.replace(drafts, uid, name, NewMessage(b"Subject: two\r\n\r\nx\r\n"))
    assert (alice.status("Drafts").messages, bob.status("INBOX").messages) == (0, 1)
    with raises("EXPUNGEISSUED"):
        alice.replace(drafts, uid, name, NewMessage(b"Subject: two\r\n\r\nx\r\n"))
    assert bob.status("INBOX").messages == 1


def test_no_folder_of_ones_own_is_called_like_somebody_elses(bob: Mailboxes, alice: Mailboxes) -> None:
    name = f"Shared/{BOB}/x"
    for own in (alice, alice.own):
        with pytest.raises(MailboxError):
            own.create(name)
        with raises("CANNOT"):
            own.rename("Archive", name)
    message = NewMessage(b"Subject: x\r\n\r\nx\r\n")
    assert alice.own.deliver(name, message, base_name="d1", create=True).folder == "INBOX"
    assert visible(alice) == {}
