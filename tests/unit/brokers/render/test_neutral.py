from __future__ import annotations

import html
import re
from html.parser import HTMLParser

import markdown
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from brokers.render.neutral import BREAK, Markup, link, neutral, neutral_lines
from payload import text

HOSTILE = (
    "@channel @everyone @here @room @user @ann:example.org \uff20user",
    "<!here> <!channel|all> <@U123> <@!123> <@&4> <#C1> <users/all> <at>Ann</at>",
    "@**all** @_**ann** #**general** ~town-square",
    "[click](https://evil.example/) ![x](https://evil.example/x.png) [a]: https://evil.example/",
    "[click][a] [a](evil.example) <https://evil.example/> <a@example.org> https://evil.example/ www.evil.example",
    "<script>alert(1)</script><img src=x onerror=alert(1)><a href='javascript:1'>x</a>&lt;b&gt;&#60;b&#62;&amp;",
    "*bold* **bold** _it_ __b__ ~~gone~~ ||spoiler|| `code` ``` fence ``` \\*not bold\\*",
    "# title",
    "> quote",
    "- item",
    "+ item",
    "* item",
    "1. item",
    "1) item",
    "---",
    "===",
    "    code",
    "/close",
    "/label ~bug",
    "| a | b |",
    ":smile: :+1: 12:30 std::vector",
    "fixes #12, team/app#3, !4",
    "x\r\nPRIVMSG #other :spam",
    "\x02bold\x0304red\x01ACTION waves\x01\x16\x1b[31m",
    "\u202egnp.exe \u2066x\u2069 \u200e\ufeff",
    "\ud800 lone \udcff",
    "C:\\new\\table",
)

pieces = st.one_of(
    st.text(max_size=12),
    st.sampled_from(HOSTILE),
    st.text(alphabet="\\`*_{}[]()<>#+-.!|~:/&;=@\"'$^ \n\ta1w\u200b", max_size=12),
)
hostile_texts = st.lists(pieces, max_size=5).map("".join)

COMMONMARK = MarkdownIt("commonmark", {"breaks": False}).enable(["table", "strikethrough"])
RENDERERS = {
    "commonmark": COMMONMARK.render,
    "python": lambda said: markdown.markdown(said, extensions=["extra", "sane_lists"]),
}


class Seen(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.said = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.said += "\n" if tag in ("br", "p") else ""

    def handle_data(self, data):
        self.said += data


def words(said: str) -> list[str]:
    """What a reader sees: white space is all alike, and a zero width space is none.

    Python-Markdown has no escape for `~` and `|`, and shows the backslash: there are none before these.
    """
    return re.sub(r"\\+(?=[~|])", "", said.replace(BREAK, "").replace("\u00a0", " ")).split()


def shown(said: str) -> str:
    """`said` as any neutral text shows it: control characters as escapes, line breaks as they are."""
    lines = text.repair(said).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(text.visible(line.expandtabs()) for line in lines)


@pytest.mark.parametrize("renderer", RENDERERS)
@given(said=hostile_texts)
@settings(max_examples=60)
@example(said="\n".join(HOSTILE))
@example(said="\n\n".join(HOSTILE))
def test_markdown_shows_it_as_itself(renderer, said):
    seen = Seen(RENDERERS[renderer](neutral_lines(said, Markup.MARKDOWN)))
    assert seen.tags <= {"p", "br"}
    assert words(seen.said) == words(shown(said))


@pytest.mark.parametrize("said", HOSTILE)
def test_each_hostile_text_is_itself_in_markdown(said):
    for render in RENDERERS.values():
        seen = Seen(render(neutral(said, Markup.MARKDOWN)))
        assert seen.tags <= {"p", "br"}
        assert words(seen.said) == words(text.visible(text.repair(said)))


@given(said=hostile_texts)
def test_html_shows_it_as_itself(said):
    seen = Seen(neutral_lines(said, Markup.HTML))
    assert seen.tags <= {"br"}
    assert words(seen.said) == words(shown(said))


@given(said=hostile_texts)
def test_slack_is_told_no_control_character_of_its_own(said):
    told = neutral(said, Markup.MRKDWN)
    assert not re.search(r"[<>]|&(?!(amp|lt|gt);)", told)
    assert words(html.unescape(told)) == words(text.visible(text.repair(said)))


@pytest.mark.parametrize("markup", [markup for markup in Markup if markup != Markup.IRC])
@given(said=hostile_texts)
@settings(max_examples=40)
def test_nobody_is_named(markup, said):
    assert not re.search(r"[@\uff20][^\s\u200b]", neutral(said, markup))


@pytest.mark.parametrize("markup", [Markup.TEXT, Markup.MARKDOWN])
@given(said=hostile_texts)
@settings(max_examples=40)
def test_nothing_stands_in_brackets_that_a_chat_would_look_up(markup, said):
    assert not re.search(r"<[^\s\u200b]", neutral(said, markup))


@pytest.mark.parametrize("markup", [Markup.MARKDOWN, Markup.HTML, Markup.MRKDWN])
def test_no_address_becomes_a_link_by_itself(markup):
    told = neutral("https://evil.example/ WWW.evil.example", markup)
    assert "://" not in told
    assert "www." not in told.lower()


@pytest.mark.parametrize("markup", Markup)
@given(said=hostile_texts)
@settings(max_examples=40)
def test_there_is_no_control_character_and_no_line_break(markup, said):
    told = neutral(said, markup).replace(BREAK, "").replace("\u00a0", " ")
    assert told.isprintable()
    told.encode("utf-8")


@given(said=hostile_texts)
def test_irc_gets_one_line(said):
    assert neutral_lines(said, Markup.IRC).isprintable()


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        (Markup.TEXT, "a *b* https://git.example.org/a%28b%29?x=%22&y=1"),
        (Markup.MARKDOWN, "[a \\*b\\*](https://git.example.org/a%28b%29?x=%22&y=1)"),
        (Markup.HTML, '<a href="https://git.example.org/a%28b%29?x=%22&amp;y=1">a *b*</a>'),
        (Markup.MRKDWN, "<https://git.example.org/a%28b%29?x=%22&amp;y=1|a *b*>"),
        (Markup.IRC, "a *b* https://git.example.org/a%28b%29?x=%22&y=1"),
    ],
)
def test_a_link(markup, expected):
    assert link("a *b*", 'https://git.example.org/a(b)?x="&y=1', markup) == expected


@pytest.mark.parametrize("url", ["", "javascript:alert(1)", "https://", "//x", "http://[", "data:text/html,x"])
@pytest.mark.parametrize("markup", Markup)
def test_what_is_no_address_is_no_link(markup, url):
    assert link("label", url, markup) == "label"


@given(label=hostile_texts, path=hostile_texts)
@settings(max_examples=60)
def test_a_link_leads_where_it_was_made_for(label, path):
    page = COMMONMARK.render(link(label, "https://git.example.org/" + path, Markup.MARKDOWN))
    assert re.findall(r'href="(https://git.example.org/|[^"]*)', page) in (["https://git.example.org/"], [])
    assert Seen(page).tags <= {"p", "a"}
