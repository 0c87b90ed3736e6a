from __future__ import annotations

import sys
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brokers.render import body, html
from brokers.render.diff import Limits, Room
from tests.unit.brokers.render.conftest import make_commit as commit
from tests.unit.brokers.render.conftest import make_payload as payload
from tests.unit.brokers.render.conftest import make_ref as ref

ELEMENTS = {"html", "head", "meta", "title", "body", "h2", "a", "pre", "p", "span"}
ATTRIBUTES = {"style", "href", "charset"}
DIFF = 'diff --git a/k.py b/k.py\n--- a/k.py\n+++ b/k.py\n@@ -1,2 +1,2 @@\n same\n-\told <b>\n+\tnew & "more"\n--- a comment\'s end\n'


class Page(HTMLParser):
    """What a browser makes of it."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.elements: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.styled: list[tuple[str, str]] = []
        """Style of a span and what stands in it."""
        self.open: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.add(tag)
        self.attributes += attrs
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.seen.append(data)
        if self.open and self.open[-1] == "span":
            self.styled.append((self.attributes[-1][1], data))

    @property
    def text(self) -> str:
        return "".join(self.seen)


def page(message="Fix the thing\n\nIt was broken.\n", diff=DIFF, url=None, **keys):
    made = commit(message, **keys)
    pushed = payload([made, commit("Other")])
    pushed["oberon"]["commits"][made["raw_node"]] = {"diff": diff, "truncated": [], "url": url}
    return html.page(body.sections(pushed, room=Room(Limits())), "[app] 2 commits")


def test_it_says_what_the_text_says():
    read = Page(page(url="https://git.example.org/c/1"))
    assert read.open == []
    for said in (
        "Repository: team/app\n",
        "Author: Ann Example <ann@example.org>\n",
        "    It was broken.\n",
        "  M src/a.py\n",
        DIFF,
    ):
        assert said in read.text
    assert ("href", "https://git.example.org/c/1") in read.attributes


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", 'https://x/"onclick="alert(1)', ""])
def test_links_lead_to_web_pages_only(url):
    read = Page(page(url=url))
    assert [value for name, value in read.attributes if name == "href"] == ([url] if url.startswith("https") else [])
    assert {name for name, _ in read.attributes} <= ATTRIBUTES


def test_lines_are_coloured_by_what_became_of_them():
    read = Page(page())
    grounds = {line: style for style, said in read.styled for line in said.split("\n") if line}
    gone, new = "#FFEBE9", "#DAFBE1"
    assert gone in grounds["-\told <b>"]
    assert new in grounds['+\tnew & "more"']
    assert gone in grounds["--- a comment's end"]
    assert not [name for name in ("--- a/k.py", "+++ b/k.py", " same") if "background" in grounds.get(name, "")]


def test_without_pygments_it_is_plain(monkeypatch):
    monkeypatch.setitem(sys.modules, "pygments", None)
    source = page()
    assert "<span" not in source
    assert DIFF in Page(source).text


def test_what_is_cut_is_said():
    pushed = payload([commit()])
    pushed["oberon"]["commits"][pushed["commits"][0]["raw_node"]] = {"diff": DIFF, "truncated": []}
    source = html.page(body.sections(pushed, room=Room(Limits(commit_lines=2))), "x")
    assert "The diff goes on for 6 lines: at most 2 lines a commit are shown." in Page(source).text


HOSTILE = [
    "<script>alert(1)</script>",
    "</pre><img src=x onerror=alert(1)>",
    '"><a href="https://evil.example/">',
    "&lt;b&gt;",
    "<!--",
    "\x00\x1b[2J",
    "]]>",
]


@pytest.mark.parametrize("said", HOSTILE)
@pytest.mark.parametrize("with_pygments", [True, False])
def test_nothing_that_is_pushed_is_markup(monkeypatch, said, with_pygments):
    if not with_pygments:
        monkeypatch.setitem(sys.modules, "pygments", None)
    read = Page(
        page(
            said,
            f"diff --git {said}\n--- {said}\n+++ {said}\n@@ {said}\n-{said}\n+{said}\n {said}\n",
            f"https://git.example.org/{said}",
            raw_author=f"{said} <ann@example.org>",
            branch=said,
            files=[{"file": said, "type": "added"}],
        )
    )
    assert read.open == []
    assert read.elements <= ELEMENTS
    assert {name for name, _ in read.attributes} <= ATTRIBUTES
    visible = said.replace("\x00", "\\x00").replace("\x1b", "\\x1b")
    assert read.text.count(visible) >= 10


@settings(max_examples=50, deadline=None)
@given(st.text(), st.text())
def test_whatever_is_pushed_the_page_is_whole(said, diff):
    pushed = payload([commit(said)], [ref(said, message=said)])
    pushed["oberon"]["commits"][pushed["commits"][0]["raw_node"]] = {"diff": diff, "truncated": []}
    parts = body.sections(pushed, room=Room(Limits()))
    read = Page(html.page(parts, said))
    assert read.open == []
    assert read.elements <= ELEMENTS
    assert "".join(f"{line}\n" for line in parts[1].diff.lines) in read.text
