from __future__ import annotations

import pytest

from mailstack.sieve import FileInto, Redirect
from tests.sieve.kit import actions_of, context_of, run_in


def test_copy_leaves_the_implicit_keep_in_place() -> None:
    # RFC 3894 section 3
    source = 'require ["copy", "fileinto"]; fileinto :copy "incoming"; redirect :copy "a@example.org";'
    assert [action["action"] for action in actions_of(source)] == ["fileinto", "redirect", "keep"]


def test_discard_undoes_the_implicit_keep_that_copy_left() -> None:
    # RFC 3894 section 1
    source = 'require ["copy", "fileinto"]; fileinto :copy "incoming"; discard;'
    assert [action["action"] for action in actions_of(source)] == ["fileinto", "discard"]


def test_a_copy_and_a_move_into_the_same_mailbox_is_a_move() -> None:
    source = 'require ["copy", "fileinto"]; fileinto :copy "a"; fileinto "a";'
    assert actions_of(source) == [
        {"action": "fileinto", "mailbox": "a", "flags": [], "copy": False, "create": False, "special_use": ""}
    ]


@pytest.mark.parametrize("name", ["Inbox", "INBOX", "inbox"])
def test_the_inbox_is_not_case_sensitive(name: str) -> None:
    context = context_of()
    run_in(f'require "fileinto"; fileinto "{name}"; fileinto "{name}/sub";', context)
    assert context.result.actions == [FileInto("INBOX"), FileInto(f"{name}/sub")]


@pytest.mark.parametrize("name", ["../x", "a/../../b", "x" * 300, "é", "~/x", "a&b", "%"])
def test_odd_mailbox_names_are_for_the_store_to_judge(name: str) -> None:
    context = context_of()
    assert run_in(f'require "fileinto"; fileinto "{name}";', context).ok
    assert context.result.actions == [FileInto(name)]


def redirect(
    settings: dict[str, object], from_: str | None = "s@x.example", to: str | None = "me@y.example"
) -> Redirect:
    context = context_of(from_=from_, to=to, settings=settings)
    context.envelope.orig_to = "alias@y.example"
    run_in('redirect "a@z.example";', context)
    action = context.result.actions[0]
    assert isinstance(action, Redirect)
    return action


@pytest.mark.parametrize(
    ("wanted", "sender"),
    [
        ("", None),
        ("sender", "s@x.example"),
        (" recipient ", "me@y.example"),
        ("orig_recipient", "alias@y.example"),
        ("user_email", "me@y.example"),
        ("<b@q.example> ", "b@q.example"),
        ("<>", ""),
        ("nonsense", None),
    ],
)
def test_the_envelope_sender_of_a_redirect_is_chosen_by_the_settings(wanted: str, sender: str | None) -> None:
    assert redirect({"sieve_redirect_envelope_from": wanted}).envelope_from == sender


@pytest.mark.parametrize("own", ["me@y.example", "ME@Y.example", "alias@y.example", "u@y.example"])
def test_a_redirect_to_oneself_is_an_error_and_the_message_is_kept(own: str) -> None:
    # V3
    context = context_of(to="me@y.example", settings={"sieve_user_email": "u@y.example"})
    context.envelope.orig_to = "alias@y.example"
    outcome = run_in(f'discard; redirect "{own}";', context)
    assert outcome.implicit_keep and "is the address this message came to" in outcome.errors[0].message


@pytest.mark.parametrize("wanted", ["recipient", "orig_recipient", "user_email", "<b@q.example>"])
def test_a_null_sender_stays_null(wanted: str) -> None:
    # RFC 5228 section 4.2: MUST
    for null in ("", "<>", None):
        assert redirect({"sieve_redirect_envelope_from": wanted}, from_=null).envelope_from is None


def test_the_owner_of_a_script_can_be_set() -> None:
    action = redirect({"sieve_redirect_envelope_from": "user_email", "sieve_user_email": "u@y.example"})
    assert (action.envelope_from, action.redirected_from) == ("u@y.example", "u@y.example")
