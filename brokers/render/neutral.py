"""Text that somebody pushed, made harmless in the markup that a service reads: it shows as itself and does nothing.

It names nobody (`@channel`, `<!here>`, `<@U123>`), is no link, no image, no heading, no command, and holds no control and no
bidirectional character: those are written as escapes, as `payload.text.visible` does. Where a markup knows no escape of its own
a ZERO WIDTH SPACE stands between the characters that would mean something together; it is not to be seen.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from urllib.parse import quote, urlsplit

from payload import text


class Markup(StrEnum):
    """What the service that shows a text takes for more than text."""

    TEXT = "text"  #: mentions at most: `@user`, `<@123>`
    MARKDOWN = "markdown"  #: CommonMark, GitHub's, and what chats have of it
    HTML = "html"
    MRKDWN = "mrkdwn"  #: Slack's own
    IRC = "irc"  #: control codes and line breaks


BREAK = "\u200b"
"""ZERO WIDTH SPACE: neither white space nor punctuation to CommonMark, so nothing begins, ends or goes on at it."""
_INDENT = "\u00a0"  # four spaces would be code

# Both signs are mentions to X (twitter-text, regexp/atSigns).
_MENTION = re.compile(r"[@\uff20](?=\S)")
_OPENED = re.compile(r"<(?=\S)")
_ADDRESS = re.compile(r":(?=//)|(?<=www)(?=\.)", re.IGNORECASE)
# Characters which mean something wherever they stand (CommonMark 0.31.2, 6; `~` and `|`: GitHub's and Discord's).
# Within a word `_` means nothing, and names are full of it.
_INLINE = re.compile(r"[\\`*\[\]~|>]|(?<![^\W_])_|_(?![^\W_])")
# Together with what follows: a tag, a character reference, an issue, a merge request, an emoji; a link, which Zulip knows no
# backslash against.
_JOINED = re.compile(r"<(?=\S)|&(?=[#\w])|#(?=\w)|!(?=\d)|:(?=[\w+-]+:)|\](?=[(\[:])")
# What begins a block, and GitLab's quick actions (`/close`), which run with the rights of whoever comments.
_BLOCK = re.compile(r"[#>+=:/-]|\d+[.)]")
_URL_SAFE = "!#$%&'+,/:;=?~"


def neutral(said: str, markup: Markup) -> str:
    """`said` on one line; a line break in it is shown as an escape."""
    return _WRITERS[markup](text.visible(text.repair(said)))


def neutral_lines(said: str, markup: Markup) -> str:
    """`said` line by line, each line neutral by itself; tabs are spread. On IRC, where a line is a command, one line."""
    lines = text.repair(said).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return LINE_BREAKS[markup].join(neutral(line.expandtabs(), markup).rstrip(" ") for line in lines)


def link(label: str, url: str, markup: Markup) -> str:
    """A link that shows `label`, neutral, and leads to `url`; the label alone if that is no http or https address."""
    shown, target = neutral(label, markup), address(url)
    return _LINKS[markup](shown, target) if target else shown


def address(url: str) -> str:
    """`url` with everything percent-encoded that could end an address in any markup; '' if it is no http or https one."""
    try:
        scheme, host = urlsplit(url).scheme, urlsplit(url).hostname
    except ValueError:
        return ""
    return quote(text.repair(url), safe=_URL_SAFE) if scheme in ("http", "https") and host else ""


def _apart(said: str, *patterns: re.Pattern[str]) -> str:
    for pattern in patterns:
        said = pattern.sub(lambda found: found[0] + BREAK, said)
    return said


def _text(line: str) -> str:
    return _apart(line, _MENTION, _OPENED)


def _markdown(line: str) -> str:
    bare = line.lstrip(" ")
    start = _INDENT * (len(line) - len(bare)) + (BREAK if _BLOCK.match(bare) else "")
    apart = _apart(bare, _MENTION, _ADDRESS, _JOINED)
    return start + _INLINE.sub(lambda found: "\\" + found[0], apart)


def _html(line: str) -> str:
    return html.escape(_apart(line, _MENTION, _ADDRESS))


def _mrkdwn(line: str) -> str:
    # The three characters that Slack's "Formatting message text" has escaped, and no others.
    return html.escape(_apart(line, _MENTION, _ADDRESS), quote=False)


def _irc(line: str) -> str:
    return line


_WRITERS: Mapping[Markup, Callable[[str], str]] = {
    Markup.TEXT: _text,
    Markup.MARKDOWN: _markdown,
    Markup.HTML: _html,
    Markup.MRKDWN: _mrkdwn,
    Markup.IRC: _irc,
}
LINE_BREAKS: Mapping[Markup, str] = {
    Markup.TEXT: "\n",
    Markup.MARKDOWN: "  \n",
    Markup.HTML: "<br>\n",
    Markup.MRKDWN: "\n",
    Markup.IRC: " ",
}
"""What stands between two lines."""
_LINKS: Mapping[Markup, Callable[[str, str], str]] = {
    Markup.TEXT: lambda label, url: f"{label} {url}",
    Markup.MARKDOWN: lambda label, url: f"[{label}]({url})",
    Markup.HTML: lambda label, url: f'<a href="{html.escape(url)}">{label}</a>',
    Markup.MRKDWN: lambda label, url: f"<{html.escape(url, quote=False)}|{label}>",
    Markup.IRC: lambda label, url: f"{label} {url}",
}
