from __future__ import annotations

import pytest

from brokers.render.chat import MAX_COMMITS, MAX_REFS, message
from brokers.render.neutral import Markup
from payload import samples


def test_a_push_is_who_did_what_and_the_commits_the_newest_first():
    told = message(samples.load("git-push"), Markup.MARKDOWN)
    assert told.title == "[team/kettle] 2 commits on main by Ada Byron and Jürgen Müller"
    assert told.heading == told.title.replace("[", "\\[").replace("]", "\\]")
    assert told.topic == "team/kettle"
    assert [line.split("](")[0] for line in told.lines] == ["ada: branch main moved ([compare", "[a52e869ce8b9", "[316a8ea92f86"]
    assert told.lines[1].endswith("/commit/a52e869ce8b9699205175451581a75a1eeb6a562) Prüfungen ziehen um (Jürgen Müller)")


@pytest.mark.parametrize("markup", Markup)
@pytest.mark.parametrize("name", samples.names())
def test_each_kind_of_push_says_something(name, markup):
    told = message(samples.load(name), markup)
    assert told.title
    assert all(told.lines)
    assert all("\n" not in line for line in told.lines)


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("git-delete", ("ada: branch feature/whistle deleted",)),
        ("alert", ("2 deliveries to ci of /srv/git/team/kettle.git given up: HTTP 503", "oberon deliveries --dead")),
        ("twitter-2008", ("e71c63bcc05e adding bump button, issue #206 fixed (jespern)",)),
    ],
)
def test_lines(name, lines):
    told = message(samples.load(name), Markup.TEXT).lines
    assert len(told) == len(lines)
    for line, beginning in zip(told, lines, strict=True):
        assert line.startswith(beginning)


def test_what_is_left_out_is_said():
    payload = samples.load("git-push")
    payload["commits"] *= 500
    payload["oberon"] |= {"total_commits": 5000, "refs": payload["oberon"]["refs"] * 300}
    told = message(payload, Markup.TEXT).lines
    assert len(told) == 1 + MAX_COMMITS + 1
    assert told[-1] == f"and {5000 - MAX_COMMITS:,} older commits"
    assert f"{300 - MAX_REFS} more" in told[0]


def test_on_irc_there_are_no_links_to_commits():
    told = message(samples.load("git-push"), Markup.IRC).lines
    assert "/commit/" not in "".join(told)
    assert "/compare/" in told[0]
