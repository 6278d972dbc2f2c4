"""Whatever stands in `rua`: few targets, each one an address or a host that can be written to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mailstack.filters.authentication.rua import MAX_URIS, Mailbox, Upload, check, parse, tls_targets
from mailstack.model.address import Address
from tests.kit.fuzzing import FUZZ
from tests.kit.lookups import resolve_counted

PIECES = st.sampled_from(
    [
        *(
            "mailto:",
            "https://",
            "HTTPS://",
            "a",
            "@",
            "b.test",
            ",",
            "!",
            "10m",
            "9" * 13,
            "%",
            "%40",
            "%0d%0a",
        ),
        *(
            "%0d%0a",
            "%ff",
            "?",
            "#",
            "/",
            ":443",
            ":0",
            " ",
            "[192.0.2.1]",
            "\u00e9",
            '"',
            "\r\n",
            "xn--",
            "..",
        ),
    ]
)
URIS = st.lists(PIECES, max_size=20).map("".join) | st.text(max_size=60)


@FUZZ
@given(URIS)
def test_any_text_gives_targets_that_are_safe_to_use(text: str) -> None:
    found = parse(text, schemes=("mailto", "https"))
    assert len(found) <= MAX_URIS
    for target in found:
        if isinstance(target, Mailbox):
            assert Address.parse(str(target.address)) == target.address
            assert target.address.domain
            assert not target.address.domain.startswith("[")
        else:
            assert isinstance(target, Upload)
            assert 0 < target.port < 65_536
            assert all("!" <= c <= "~" for c in target.host + target.path)
        assert "\r" not in str(target)
        assert "\n" not in str(target)


@FUZZ
@given(URIS, st.sampled_from(["v=DMARC1;rua=", "v=DMARC1", "v=TLSRPTv1;rua=", ""]))
def test_any_consent_ends_and_never_names_a_third_party(text: str, before: str) -> None:
    target = Mailbox(Address("x", "red.test"))
    table = {
        "blue.test._report._dmarc.red.test": {"TXT": [before + text]},
        "_smtp._tls.red.test": {"TXT": [before + text]},
    }
    found, asked = resolve_counted(lambda k: check("blue.test", "blue.test", target, k), table)
    assert found is None or isinstance(found, str) or found.address.domain == "red.test"
    assert len(asked) <= 9
    wanted, asked = resolve_counted(lambda k: tls_targets("red.test", k), table)
    assert wanted is not None
    assert len(wanted) <= MAX_URIS
    assert len(asked) == 1
