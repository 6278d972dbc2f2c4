"""HTML as a person sees it: hidden text apart, links with what they show, tricks counted."""

# ruff: noqa: E501

from __future__ import annotations

import time

import pytest

from mailstack.filters.reading import html as reader
from mailstack.filters.reading.facts import Html
from mailstack.filters.reading.html import Effort, Page, read_html


def read(source: str) -> tuple[Page, Html]:
    html = Html()
    return read_html(source, html, Effort(), room=100_000), html


@pytest.mark.parametrize(
    ("source", "how"),
    [
        ("<p style='display:none'>ghost</p>", "display"),
        ("<p style='DISP/**/LAY : NONE !important'>ghost</p>", "display"),
        ("<p style='\\64isplay:none'>ghost</p>", "display"),
        ("<p style='visibility:hidden'>ghost</p>", "visibility"),
        ("<p style='font-size:0'>ghost</p>", "font-size"),
        ("<p style='font-size:1px'>ghost</p>", "font-size"),
        ("<p style='font:0/0 a'>ghost</p>", "font-size"),
        ("<p style='font-size:0.1em'>ghost</p>", "font-size"),
        ("<p style='opacity:0'>ghost</p>", "opacity"),
        ("<p style='color:#fff'>ghost</p>", "colour"),
        ("<p style='color:white'>ghost</p>", "colour"),
        ("<p style='color:rgb(254, 254, 254)'>ghost</p>", "colour"),
        ("<p style='color:transparent'>ghost</p>", "colour"),
        ("<font color=#fefefe>ghost</font>", "colour"),
        ("<table bgcolor=black><tr><td><font color='#000000'>ghost</font></table>", "colour"),
        ("<div style='background:#336699'><b style='color:#346799'>ghost</b></div>", "colour"),
        ("<p style='position:absolute;left:-9999px'>ghost</p>", "off-screen"),
        ("<p style='text-indent:-999em'>ghost</p>", "off-screen"),
        ("<p style='max-height:0;overflow:hidden'>ghost</p>", "clipped"),
        ("<p style='clip:rect(0,0,0,0);position:absolute'>ghost</p>", "clipped"),
        ("<p style='transform:scale(0)'>ghost</p>", "clipped"),
        ("<p hidden>ghost</p>", "attribute"),
        ("<style>.x{display:none}</style><p class=x>ghost</p>", "display"),
        ("<style><!-- @import url(x); .x{display:none} --></style><p class=x>ghost</p>", "display"),
        ("<style>q{display:none}</style><q>ghost</q>", "display"),
        ("<style>p#y , .z{font-size:0px}</style><p id=y>ghost</p>", "font-size"),
    ],
)  # fmt: skip
def test_hidden_text_is_kept_apart(source: str, how: str) -> None:
    page, html = read(f"<p>seen</p>{source}")
    assert (page.text, page.hidden) == ("seen", "ghost")
    assert html.hidden_how == [how]
    assert html.hidden == 1


@pytest.mark.parametrize(
    "source",
    [
        "<p>seen</p>",
        "<td style='font-size:0px'>seen</td>".replace("td", "div").replace("seen", "<span style='font-size:13px'>seen</span>"),
        "<div style='visibility:hidden'><b style='visibility:visible'>seen</b></div>",
        "<table bgcolor='#1a73e8'><tr><td><a href='http://x.test' style='color:#fff'>seen</a></table>",
        "<div style='background:url(x.png)'><b style='color:#fff'>seen</b></div>",
        "<style>.dark{background:#000}</style><div class=dark><b style='color:#fff'>seen</b></div>",
        "<style>table{background:#123}</style><table><tr><td style='color:#fff'>seen</table>",
        "<style>@media only screen{.m{display:none}}</style><p class=m>seen</p>",
        "<style>.m:hover{display:none}</style><p class=m>seen</p>",
        "<font color=gray size=1>seen</font>",
        "<p style='font:bold 12px/1.5 Arial'>seen</p>",
        "<p style='font-weight:100;line-height:0'>seen</p>",
        "<input type=hidden value=no>seen",
    ],
)  # fmt: skip
def test_what_is_seen_is_not_called_hidden(source: str) -> None:
    page, html = read(source)
    assert page.text == "seen"
    assert not html.hidden


def test_the_colour_of_a_whole_page_may_hide_it() -> None:
    page, html = read("<body text=white><p style='color:black'>seen</p><p>ghost</p></body>")
    assert (page.text, page.hidden, html.hidden_how) == ("seen", "ghost", ["colour"])


@pytest.mark.parametrize(
    ("length", "how"), [(reader.MAX_PREVIEW, "preview"), (reader.MAX_PREVIEW + 1, "opacity")]
)
def test_a_little_hidden_text_at_the_beginning_is_a_preview(length: int, how: str) -> None:
    page, html = read(f"<p style='opacity:0'>{'w' * length}</p><p>seen</p>")
    assert html.hidden_how == [how]
    assert (len(page.hidden), page.text) == (length, "seen")


def test_the_padding_of_a_preview_is_not_hidden_text() -> None:
    page, html = read("<div style='display:none'>" + "&zwnj;&nbsp;&#847;" * 80 + "</div>x")
    assert not html.hidden
    assert page.text == "x"


def test_text_flows_as_it_is_seen() -> None:
    page, _ = read(
        "<title>T</title><p>W<b>o</b>rd\n  and&nbsp;more<br>two<div>x</div><script>s</script><!-- c -->"
    )
    assert page.text == "Word and more\ntwo\nx"
    assert page.title == "T"


@pytest.mark.parametrize(
    "source",
    [
        "Dear <bdo dir=rtl>laPyaP</bdo> user",
        "Dear <span style='unicode-bidi:bidi-override;direction:rtl'>laPyaP</span> user",
    ],
)
def test_letters_that_run_backwards_are_read_as_they_are_seen(source: str) -> None:
    page, html = read(source)
    assert page.text == "Dear PayPal user"
    assert html.reversed_texts == 1


def test_the_text_of_a_link_is_read_without_its_disguise() -> None:
    page, html = read("<a href='http://evil.test/'>www.b\u200bank.ex\u0430mple</a>")
    assert [(link.shown, link.shown_host) for link in page.links] == [("www.bank.example", "bank.example")]
    assert html.mismatched_links == 1


def test_links_show_and_lead() -> None:
    page, html = read(
        "<a href='http://evil.test/a'>https://www.bank.example/login</a>"
        "<a href=' http://x.test/\n'><img src='http://cdn.test/logo.png' alt='Bank'></a>"
        "<a href='mailto:Joe@X.test?subject=y'>Joe</a><a href='#top'>up</a><a href='tel:+1'>call</a>"
        "<div style='display:none'><a href='http://hidden.test'>h</a></div>"
    )
    assert [(link.url, link.host, link.shown, link.shown_host, link.place) for link in page.links] == [
        (
            "http://evil.test/a",
            "evil.test",
            "https://www.bank.example/login",
            "www.bank.example",
            "html",
        ),
        ("http://x.test/", "x.test", "Bank", "", "picture"),
        ("mailto:Joe@X.test?subject=y", "", "Joe", "", "html"),
        ("tel:+1", "", "call", "", "html"),
        ("http://hidden.test", "hidden.test", "h", "", "html"),
    ]
    assert (html.links, html.mismatched_links, html.linked_images) == (3, 1, 1)
    assert page.mail_addresses == ["joe@x.test"]
    assert page.alt == "Bank"


def test_forms_frames_and_pages_that_go_on() -> None:
    page, html = read(
        "<base href='http://evil.test/x/'><form action='/post'><input name=u placeholder='Your mail'><input type=PASSWORD>"
        "<input type=submit value='Log in'></form><iframe src='http://f.test'></iframe><object data='o.swf'></object>"
        "<meta http-equiv=Refresh content='0; URL=http://r.test/'><svg><a xlink:href='http://s.test'>x</a></svg>"
    )
    assert [(link.place, link.url, link.shown) for link in page.links] == [
        ("form", "http://evil.test/post", "Log in"),
        ("frame", "http://f.test", ""),
        ("frame", "http://evil.test/x/o.swf", ""),
        ("refresh", "http://r.test/", ""),
        ("html", "http://s.test", "x"),
    ]
    assert (html.forms, html.password_fields, html.frames, html.refreshes, html.bases) == (1, 1, 1, 1, 1)
    assert "Your mail" in page.text


def test_pictures_are_told_by_where_they_come_from() -> None:
    page, html = read(
        "<img src='http://a.test/x'><img src='//b.test/y' width=1 height=1><img src='data:image/png;base64,AA'>"
        "<img src='cid:part1@x'><img src='http://a.test/p' style='width:1px;height:1px'>"
    )
    assert (html.images, html.tiny_images) == (5, 2)
    assert html.image_hosts == ["a.test", "b.test"]
    assert page.cids == {"part1@x"}


def test_scripts_and_pages_in_links_are_counted() -> None:
    _, html = read(
        "<a href='java\nscript:x()'>a</a><a href=' VBSCRIPT:x'>b</a><a href='data:text/html,x'>c</a>"
    )
    assert (html.script_links, html.data_links) == (2, 1)


def test_signs_of_smuggling_are_found() -> None:
    _, html = read(
        "<script>var d=atob('"
        + "QUJD" * 300
        + "');var b=new Blob([d]);a.href=URL.createObjectURL(b);a.download='x.iso'</script>"
    )
    assert {"atob", "blob", "long-string", "saves-file"} <= set(html.smuggling)
    assert not read("<script>var x=1</script>")[1].smuggling


def deep(tag: str, count: int) -> str:
    return f"<{tag}>" * count


MONSTERS = {
    "1e6 nested": deep("div", 1_000_000),
    "nested and closed wrongly": "<div></b>" * 100_000,
    "closings in a comment": "<!--" + "</" * 200_000 + "-->" + deep("div", 50_000),
    "1e6 attributes": "<b " + " ".join(f"a{n}" for n in range(150_000)) + ">",
    "attributes behind CR": "<b " + "\r".join(f"a{n}" for n in range(150_000)) + ">",
    "attributes behind slashes": "<b " + "/".join(f"a{n}" for n in range(150_000)) + ">",
    "attributes behind quotes": "<b " + "".join(f"a{n}=''" for n in range(100_000)) + ">",
    "attributes that hold brackets": "<b " + "".join(f'a{n}="></"' for n in range(100_000)) + ">",
    "entities": "&amp;" * 200_000 + "&" * 500_000,
    "one huge style": "<p style='" + "color:red;" * 100_000 + "'>x",
    "many styles": "".join(f"<p style='font-size:{n}px'>x</p>" for n in range(40_000)),
    "a huge sheet": "<style>" + "".join(f".a{n}{{display:none}}" for n in range(50_000)) + "</style><p class=a1>x",
    "braces": "<style>none" + "{" * 500_000 + "</style>x",
    "comments in a sheet": "<style>none" + "/*" * 500_000 + "</style>x",
    "less-thans": "<" * 1_000_000,
    "NULs": "\0<p>\0" * 200_000,
    "foreign": "<svg><style><script><math>" * 40_000,
    "links": "<a href='http://x.test/'>" * 40_000,
    "mail addresses": "".join(f"<a href='mailto:a{n}@b.test'>x</a>" for n in range(25_000)),
    "pictures": ("<img src='http://x.test/' alt='" + "y" * 100 + "'>") * 7_000,
    "climbing addresses": "<base href='http://x.test/" + "../" * 600 + "'>" + "<a href='y'>x</a>" * 2_000,
    "a long refresh": "<meta http-equiv=refresh content='" + "0 " * 400_000 + "'>",
}  # fmt: skip


@pytest.mark.parametrize("source", MONSTERS.values(), ids=MONSTERS.keys())
def test_monstrous_html_takes_little_time(source: str) -> None:
    # M13, M14
    began = time.process_time()
    page, _ = read(source[: reader.MAX_SOURCE])
    assert time.process_time() - began < 5
    assert len(page.links) <= 1_000
    assert len(page.mail_addresses) <= 1_000


def test_many_sources_share_one_effort() -> None:
    # M13: what one part may cost, a thousand may not.
    source = "<b " + " ".join(f"a{n}" for n in range(15_000)) + ">"
    html, effort = Html(), Effort()
    began = time.process_time()
    for _ in range(60):
        read_html(source, html, effort, room=1_000)
    assert time.process_time() - began < 5
    assert html.monstrous > 50


@pytest.mark.parametrize(("count", "monstrous"), [(reader.MAX_ELEMENTS, 0), (reader.MAX_ELEMENTS + 1, 1)])
def test_the_most_elements_have_a_tree_and_one_more_none(count: int, monstrous: int) -> None:
    assert read("<p>" * count)[1].monstrous == monstrous


@pytest.mark.parametrize(("count", "monstrous"), [(reader.MAX_ATTRIBUTES, 0), (reader.MAX_ATTRIBUTES + 1, 1)])
def test_the_most_attributes_have_a_tree_and_one_more_none(count: int, monstrous: int) -> None:
    assert read("<b" + " a" * (count - 2) + " >")[1].monstrous == monstrous


def test_a_short_source_always_has_a_tree() -> None:
    assert not read("<b " * 600)[1].monstrous


def test_hidden_text_is_bounded() -> None:
    page, _ = read(("<p hidden>" + "w" * 50_000 + "</p>") * 5)
    assert len(page.hidden.replace("\n", "")) == reader.MAX_HIDDEN


def test_without_a_tree_text_and_links_are_still_read() -> None:
    page, html = read(
        "<i>" * 6_000 + "Log in <a href='http://evil.test/x'>here</a><form><input type='password'></form>"
    )
    assert html.monstrous == 1
    assert "Log in" in page.text
    assert [link.host for link in page.links] == ["evil.test"]
    assert (html.forms, html.password_fields) == (1, 1)


def test_the_seen_text_is_bounded() -> None:
    html = Html()
    page = read_html("<p>word</p>" * 1_000, html, Effort(), room=100)
    assert len(page.text) <= 200
