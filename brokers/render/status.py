"""A push as one short status, as microblogs take it: within their limit, as they count, and naming nobody.

Each value that a template takes from the push is neutral; what the admin wrote, an `@team` too, stays as it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from brokers.render.neutral import Markup, address, neutral
from brokers.render.subject import alert_of, short, total_commits
from brokers.render.template import COMMIT, PUSH, Template, values_of, values_of_commit

ONE_COMMIT = "${commit.author} - ${commit.node} - ${commit.message}"
"""As Bitbucket's Twitter service had it."""
SEVERAL_COMMITS = "${repository.slug}: ${user} pushed ${count} commits to ${branch} ${url}"
_NO_COMMITS = "${repository.slug}: ${subject} ${url}"
_IN_ONE_LINE = "${subject}"
_MOST_CHARS = 5000  # of a value; no service takes more
_LEAST_CHARS = 20

URL_CHARS = 23
"""What an address counts, however long it is: with X (twitter-text, config/v3.json, transformedURLLength) and with Mastodon
("Posting to your profile", Links).
"""
_URL = re.compile(r"https?://([^\s/?#:]+)[^\s]*", re.IGNORECASE)
# Without a scheme X may take it for an address, if it ends as a domain does; what is longer counts as it is.
_LIKE_A_URL = re.compile(r"\w\.[a-z]{2,}|://", re.IGNORECASE)
_WORD = re.compile(r"\S+")
_PUBLIC_HOST = re.compile(
    r"(?:[a-z0-9-]{1,63}\.)+(?!(?:corp|home|internal|intranet|lan|local|localdomain)$)[a-z]{2,}", re.IGNORECASE
)
_LIGHT = ((0, 4351), (8192, 8205), (8208, 8223), (8242, 8247))
"""Code points that count one with X, the others two (config/v3.json, ranges)."""


def status(payload: Mapping[str, Any], one: str, several: str, fits: Callable[[str], bool]) -> str:
    """What to say of `payload`, as long as it `fits`: by the template `one` (of `COMMIT`) or `several` (of `PUSH`).

    Where it is too long, the longest values lose their ends. An address is never cut: it is left out if it would not leave them
    _LEAST_CHARS each.
    """
    commits = payload["commits"]
    values = values_of_commit(payload, commits[-1]) if commits else values_of(payload)
    if alert_of(payload):
        template = _IN_ONE_LINE
    elif not commits:
        template = _NO_COMMITS
    else:
        template = one if total_commits(payload) == 1 else several
    pieces = Template.parse(template, COMMIT if commits else PUSH).pieces
    if not _filled(pieces, values, _MOST_CHARS):  # all it names is empty
        pieces = Template.parse(_IN_ONE_LINE, PUSH).pieces
    longest = max((len(str(values.get(name) or "")) for _, name in pieces if name), default=0)
    if not fits(_filled(pieces, values, min(longest, _LEAST_CHARS))):
        values = {name: "" if _is_address(name) else value for name, value in values.items()}
    low, high = 0, min(longest, _MOST_CHARS)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(_filled(pieces, values, middle)) else (low, middle - 1)
    said = _filled(pieces, values, low)
    while not fits(said):
        said = said[: min(len(said) - 1, _MOST_CHARS)].rstrip()
    return said


def _filled(pieces: tuple[tuple[str, str | None], ...], values: Mapping[str, Any], max_chars: int) -> str:
    """The template with its values, each of at most `max_chars` characters, but for addresses."""
    said = "".join(text + (_value(name, values.get(name), max_chars) if name else "") for text, name in pieces)
    return " ".join(said.split())


def _value(name: str, value: Any, max_chars: int) -> str:
    if _is_address(name):
        return address(str(value or ""))
    plain = " ".join(str("" if value is None else value).split())
    return neutral(short(plain, max_chars) if max_chars > len("...") else plain[:max_chars], Markup.TEXT)


def _is_address(name: str) -> bool:
    return name in ("compare", "url") or name.endswith(".url")


def plain_length(said: str) -> int:
    """As GNU social and its kin count: characters."""
    return len(said)


def mastodon_length(said: str) -> int:
    """As Mastodon counts: characters, an address being URL_CHARS of them."""
    return len(_URL.sub("x" * URL_CHARS, said))


def x_length(said: str) -> int:
    """As X counts (twitter-text), or somewhat more: an emoji of several code points counts as each of them."""
    normal = unicodedata.normalize("NFC", said)
    words = _WORD.findall(normal)
    spaces = len(normal) - sum(map(len, words))
    return spaces + sum(_url_weight(word) if _LIKE_A_URL.search(word) else _weight(word) for word in words)


def _url_weight(said: str) -> int:
    found = _URL.search(said)
    if not found:
        return max(URL_CHARS, _weight(said))
    shortened = _PUBLIC_HOST.fullmatch(found[1]) is not None
    return _weight(said[: found.start()]) + (URL_CHARS if shortened else max(URL_CHARS, _weight(found[0])))


def _weight(said: str) -> int:
    return sum(1 if any(first <= ord(char) <= last for first, last in _LIGHT) else 2 for char in said)
