"""`${name}` in a text of the admin's own: which names there are, and where they stand.

`split` reads a template once, when the configuration is read; what stands for a name is put in by `brokers.render.template`.
A value is never looked at again, so a `${` that somebody pushed is only text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from payload.text import visible

PUSH: Mapping[str, str] = {
    "repository.name": "the repository, for people",
    "repository.slug": "the repository, for addresses",
    "repository.owner": "whose it is: a login or folder",
    "repository.path": "where it is below the server's address, as team/app",
    "repository.scm": "git or hg",
    "repository.url": "its page",
    "user": "who pushed",
    "count": "how many commits were pushed",
    "branch": "the branch that moved, of several the first",
    "ref": "the full name of what moved, as refs/heads/main",
    "kind": "what that is: branch, tag, bookmark, note or other",
    "action": "what happened to it: create, update, rewind or delete",
    "old": "all hex digits of where it was before; empty when it was created",
    "new": "all hex digits of where it is now; empty when it was deleted",
    "url": "the page of the one commit, of the comparison, or of the repository",
    "compare": "the page that compares old and new",
    "subject": "the push in one line",
    "summary": "the push in a few lines: its newest commits, one a line",
    "event": "32 hex digits, the same for each attempt",
    "time": "when it was pushed, as 2026-03-30T06:26:40.250+00:00",
}
"""Names that say something of a push -> what."""

COMMIT: Mapping[str, str] = {
    **PUSH,
    "commit.node": "the first 12 hex digits",
    "commit.raw_node": "all hex digits",
    "commit.author": "who wrote it: a login or name",
    "commit.raw_author": "as it is stored: Name <mail>",
    "commit.email": "the author's mail address",
    "commit.message": "all of its message",
    "commit.subject": "the first line of its message",
    "commit.branch": "the branch it is on",
    "commit.revision": "its number",
    "commit.timestamp": "when it was written, in the server's zone",
    "commit.utctimestamp": "when it was written, in UTC",
    "commit.size": "bytes by which its files grew",
    "commit.url": "its page",
}
"""Those, and names that say something of one commit of it."""

_PLACEHOLDER = re.compile(r"\$(?:\$|\{([^{}]*)\})")
_HOST = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#\s\\]+[/?#]", re.IGNORECASE)


def split(template: str, names: Iterable[str] | None = None) -> tuple[tuple[str, str | None], ...]:
    """(text as it stands, name that follows it, or None), as `string.Formatter.parse` has them. `$$` is a dollar, a `$` before anything but `$` and `{` itself.

    Raises ValueError that says what would be right if a name is none of `names` (None: whatever it is), or has no end.
    """
    known = None if names is None else tuple(names)
    pieces: list[tuple[str, str | None]] = []
    text, end = "", 0
    for found in _PLACEHOLDER.finditer(template):
        text += _plain(template[end : found.start()])
        end = found.end()
        if found[1] is None:
            text += "$"
            continue
        if known is not None and found[1] not in known:
            raise ValueError(f"there is no ${{{visible(found[1])}}}; write some of {', '.join(f'${{{name}}}' for name in known)}")
        pieces.append((text, found[1]))
        text = ""
    text += _plain(template[end:])
    return (*pieces, (text, None)) if text else tuple(pieces)


def check(template: str, names: Iterable[str]) -> str:
    """`template`, if all it names is among `names`. Raises ValueError as `split` does."""
    split(template, names)
    return template


def check_address(template: str, names: Iterable[str]) -> str:
    """`template`, if whatever its placeholders come to it leads to the host that it writes out. Without placeholders it is not looked at. Raises ValueError that says what would be right."""
    pieces = split(template, names)
    if any(name for _, name in pieces):
        if not _HOST.match(pieces[0][0]):
            raise ValueError("write https://HOST/ before the first ${name}: nothing that is pushed may choose the host")
        if not template.isprintable() or " " in template:
            raise ValueError("write an address without spaces")
    return template


def _plain(text: str) -> str:
    if "${" in text:
        raise ValueError("a ${ has no }; write $${ for the characters themselves")
    return text
