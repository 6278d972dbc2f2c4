"""The list of social services, and files that add to it."""

from __future__ import annotations

import pytest

from mailstack.filters.classes import services
from mailstack.filters.classes.services import BadServices, find, parse, shipped


def test_a_domain_covers_what_is_below_and_nothing_beside() -> None:
    social = shipped().social
    assert find("mail.linkedin.com", social) == "LinkedIn"
    assert find("notlinkedin.com", social) == ""
    assert find("com", social) == ""
    assert find("", social) == ""
    assert find("a." * 119 + "linkedin.com", social) == "LinkedIn"
    assert find("a." * 121 + "linkedin.com", social) == ""
    assert len(social) > 100
    assert find("us5.list-manage.com", shipped().mailings) == "Mailchimp"
    assert find("someone.substack.com", shipped().newsletters) == "Substack"
    assert b"x-facebook-notify" in shipped().fields


def test_an_operators_file_adds_and_takes_away() -> None:
    own = parse(
        '[hobbies]\n"Knots" = "Knots.example knots.test"\n"XING" = ""\n'
        '[newsletters]\n"Village" = "news.village.example"\n"Medium" = ""\n[fields]\nK = "X-Knots"',
        shipped(),
    )
    assert find("mail.knots.example", own.social) == "Knots"
    assert find("xing.com", own.social) == ""
    assert find("facebookmail.com", own.social) == "Facebook"
    assert find("news.village.example", own.newsletters) == "Village"
    assert find("medium.com", own.newsletters) == ""
    assert own.mailings == shipped().mailings
    assert b"x-knots" in own.fields


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[a", "not TOML"),
        ('x = "y"', "outside a table"),
        ("[a]\nb = 1", "want"),
        ('[a]\nb = "no_domain"', "'no_domain' of 'b'"),
        ('[a]\nb = "bücher.example"', "domain name in ASCII"),
        ('[fields]\nb = "X:Y"', "field name"),
    ],
)
def test_what_is_wrong_is_named(text: str, told: str) -> None:
    with pytest.raises(BadServices, match=told):
        parse(text)


def test_the_number_of_services_is_limited() -> None:
    lines = [f'"{n}" = "n{n}.example"' for n in range(services.MAX_SERVICES)]
    assert len(parse("[a]\n" + "\n".join(lines)).social) == services.MAX_SERVICES
    with pytest.raises(BadServices, match="more than"):
        parse("[a]\n" + "\n".join([*lines, '"more" = "more.example"']))
