from __future__ import annotations

import pytest

from brokers.errors import DeliveryFailed
from brokers.transport import mail
from brokers.transport.mail import Mail, Progress, Refusal


def one(number: int | str) -> Mail:
    return Mail("from@example.org", ("a@example.org", "b@example.org"), b"", f"<{number}>" if number != "" else "")


def half_way(taken: Mail, way: str) -> None:
    """A delivery of `taken` and another, which is put off."""
    progress = Progress([taken, one("other")], way)
    progress.taken(taken, taken.recipients, "250 OK")
    progress.refused(Refusal("451 later", for_good=False))
    with pytest.raises(DeliveryFailed, match="1 of 2 mails were sent; 451 later"):
        progress.end()


def test_what_was_taken_is_left_out_on_the_same_way_only():
    half_way(one("kept"), "here")
    assert Progress([one("kept")], "here").left() == []
    assert Progress([one("kept")], "here").end() == "sent by an earlier attempt"
    half_way(one("kept"), "here")
    assert Progress([one("kept")], "there").left() == [one("kept")]


def test_a_mail_without_a_message_id_is_not_remembered():
    half_way(one(""), "nameless")
    assert Progress([one("")], "nameless").left() == [one("")]


def test_not_everything_is_remembered(monkeypatch):
    monkeypatch.setattr(mail, "_REMEMBERED", 3)
    monkeypatch.setattr(mail, "_taken", mail._Taken())  # other tests' mails are remembered too
    for number in range(5):
        half_way(one(number), "many")
    left = [bool(Progress([one(number)], "many").left()) for number in range(5)]
    assert left == [True, True, False, False, False]


def test_refusals_of_one_kind_are_told_once():
    progress = Progress([one(number) for number in range(3)], "counted")
    for number in range(3):
        progress.refused(Refusal(f"451 later, mail {number}", for_good=False))
    with pytest.raises(DeliveryFailed, match=r"^0 of 3 mails were sent; 451 later, mail 0, and 2 more of the kind$"):
        progress.end()
