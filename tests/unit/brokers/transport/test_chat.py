from __future__ import annotations

import pytest

from brokers.errors import DeliveryFailed
from brokers.transport import chat
from brokers.transport.call import Call, placing
from brokers.transport.chat_process import fitted

MESSAGE = {"title": "t", "heading": "h &amp; more", "lines": ["one " * 3, "two", "three"], "topic": "r", "line_break": "\n"}


@pytest.mark.parametrize(
    ("max_chars", "body"),
    [
        (100, "h &amp; more\none one one \ntwo\nthree"),
        (34, "h &amp; more\nand 3 more lines"),
        (12, "h &amp; more"),
        (11, "h &amp; mor"),
        (6, "h "),
    ],
)
def test_what_does_not_fit_is_left_out_and_said(max_chars, body):
    assert fitted(MESSAGE, max_chars, headed=True) == body
    assert len(body) <= max_chars


def test_a_process_that_breaks_off_is_told_with_its_last_words():
    with placing(Call()), pytest.raises(DeliveryFailed, match="broke off: KeyError: 'text'") as raised:
        chat.send(["json://127.0.0.1/x"], {})
    assert not raised.value.endpoint_down
