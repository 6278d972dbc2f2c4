"""The texts."""

from __future__ import annotations

import re

from mailstack.model.reply import Reply
from mailstack.smtp import replies


def test_every_reply_is_short_plain_and_has_a_status_of_its_class() -> None:
    # RFC 2034 section 3: 2xx, 4xx and 5xx carry a status
    found = [value for value in vars(replies).values() if isinstance(value, Reply)]
    assert len(found) > 30
    for reply in found:
        assert reply.text.isascii()
        assert len(reply.to_bytes()) < 200
        assert bool(re.fullmatch(r"\d{1,2}\.\d{1,2}", reply.status)) == (reply.code != 354)


def test_octets_are_those_of_the_reply_and_made_once() -> None:
    reply = Reply(250, "1.5", "x\ny")
    assert replies.wire(reply) == reply.to_bytes() == b"250-2.1.5 x\r\n250 2.1.5 y\r\n"
    assert replies.wire(reply) is replies.wire(Reply(250, "1.5", "x\ny"))


def test_control_characters_never_reach_the_wire() -> None:
    octets = Reply(550, "7.1", "a\r\x00\x1b\x7f\u202eb").to_bytes()
    assert octets.count(b"\r\n") == 1
    assert not any(octet < 32 for octet in octets[:-2])


def test_the_greeting_names_the_host_first() -> None:
    assert replies.wire(replies.greeting("mx.test")) == b"220 mx.test ESMTP mailstack\r\n"


def test_only_mail_that_says_smtputf8_hears_other_letters() -> None:
    # RFC 6531 section 3.7.4.2
    reply = Reply(550, "7.1", "jörg may not use it", "my_word")
    assert replies.told(reply, has_utf8=True) is reply
    told = replies.told(reply, has_utf8=False)
    assert (told.text, told.check) == ("j\\xf6rg may not use it", "my_word")
    assert replies.told(replies.OK, has_utf8=False) is replies.OK
