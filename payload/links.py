"""Addresses of pages for people: of the repository, of a commit, of what a push changed.

`WEB_INTERFACES` is the one table: a row for each web interface, with the routes its own source or documentation has. A
template is an address with placeholders in braces; `check` says whether one is right, `fill` makes the address. What goes
into a placeholder is what somebody pushed or named: it is percent-encoded, and an address that would lead elsewhere is None.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self
from urllib.parse import quote, unquote

_OF_REPOSITORY = ("canonUrl", "absoluteUrl", "path", "owner", "name", "slug")
PLACEHOLDERS: Mapping[str, tuple[str, ...]] = {
    "repository": _OF_REPOSITORY,
    "commit": (*_OF_REPOSITORY, "node", "short", "branch"),
    "compare": (*_OF_REPOSITORY, "old", "new", "branch", "ref"),
}
"""Kind of template -> what it may have in braces. `path` is absoluteUrl without the slashes around it and a `.git` at its
end, `short` the first 12 digits of `node`, `ref` the full name of the branch that moved."""

_NEEDED = {"repository": set[str](), "commit": {"node", "short"}, "compare": {"new"}}
"""Of which a template must have one."""

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
# The host is the admin's own word: nothing that was pushed, or named by a pusher, may become part of it.
_TEMPLATE = re.compile(r"(?:\{canonUrl\}|https?://[^/?#@\s\\{}]+)(?:\{absoluteUrl\}|[/?#]|$)", re.IGNORECASE)
# Without a login, which would be shown to everybody, and without what could not be followed by a path.
_SERVER = re.compile(r"https?://[^/?#@\s\\]+(?:/[^?#\s\\]*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Templates:
    """The three pages of one web interface; None: it has no such page, or nobody said which."""

    repository: str | None = "{canonUrl}{absoluteUrl}"
    commit: str | None = None
    compare: str | None = None
    """Of two nodes, `old` and `new`."""

    @classmethod
    def chosen(
        cls, interface: str | None, *, repository: str | None = None, commit: str | None = None, compare: str | None = None
    ) -> Self:
        """Those of `interface` (key of `WEB_INTERFACES`; None: nobody said which, so the repository's only), each that is given in the place of its own."""
        row = WEB_INTERFACES[interface] if interface else Templates()
        own = {"repository": repository, "commit": commit, "compare": compare}
        return replace(cls(row.repository, row.commit, row.compare), **{kind: given for kind, given in own.items() if given})


NONE = "none"

_FORGE = "{canonUrl}{absoluteUrl}commit/{node}", "{canonUrl}{absoluteUrl}compare/{old}...{new}"
_GITLAB = "{canonUrl}{absoluteUrl}-/commit/{node}", "{canonUrl}{absoluteUrl}-/compare/{old}...{new}"
_RHODECODE = "{canonUrl}{absoluteUrl}changeset/{node}", "{canonUrl}{absoluteUrl}compare/rev@{old}...rev@{new}"

WEB_INTERFACES: Mapping[str, Templates] = {
    NONE: Templates(repository=None),
    # Push event of Bitbucket's webhooks ("Event payloads", links.html of a change): the newer one comes first.
    "bitbucket": Templates(
        commit="{canonUrl}{absoluteUrl}commits/{node}", compare="{canonUrl}{absoluteUrl}branches/compare/{new}..{old}"
    ),
    # cgit: ui-shared.c (cgit_fileurl), cmd.c (diff_fn: id is the new side, id2 the old one).
    "cgit": Templates(
        commit="{canonUrl}{absoluteUrl}commit/?id={node}", compare="{canonUrl}{absoluteUrl}diff/?id={new}&id2={old}"
    ),
    # Gitea and Forgejo: models/repo/repo.go (ComposeCompareURL, CommitLink).
    "gitea": Templates("{canonUrl}{absoluteUrl}", *_FORGE),
    # GitHub's push event: `compare` and `commits[].url`.
    "github": Templates("{canonUrl}{absoluteUrl}", *_FORGE),
    # GitLab: config/routes/repository.rb, below the scope `-`.
    "gitlab": Templates("{canonUrl}{absoluteUrl}", *_GITLAB),
    # gitweb(1), "ACTIONS, AND URLS", and %cgi_param_mapping in gitweb.perl: p project, a action, h hash, hp its parent.
    # By query, which needs nothing of the web server; the project is a directory, so with `.git`.
    "gitweb": Templates(
        "{canonUrl}/?p={path}.git;a=summary",
        "{canonUrl}/?p={path}.git;a=commit;h={node}",
        "{canonUrl}/?p={path}.git;a=commitdiff;h={new};hp={old}",
    ),
    # Gogs: cmd/gogs/internal/web/web.go.
    "gogs": Templates("{canonUrl}{absoluteUrl}", *_FORGE),
    # Heptapod is GitLab with Mercurial behind it: its routes, Mercurial's nodes (foss.heptapod.net, where hg is developed).
    "heptapod": Templates("{canonUrl}{absoluteUrl}", *_GITLAB),
    # One repository at the server's root: `hg serve`, hgweb without a configuration of several.
    "hg-serve": Templates("{canonUrl}/", "{canonUrl}/rev/{node}"),
    # Several: mercurial/hgweb/webcommands.py (rev). It compares files, not changesets.
    "hgweb": Templates(commit="{canonUrl}{absoluteUrl}rev/{node}"),
    # Kallithea: kallithea/config/routing.py (changeset_home, compare_url).
    "kallithea": Templates("{canonUrl}{absoluteUrl}", *_RHODECODE),
    # Phorge: PhabricatorDiffusionApplication (getRoutes) takes a callsign or a number, and by number are the directories it
    # makes; DiffusionCompareController (head, against).
    "phorge": Templates(
        "{canonUrl}/diffusion/{slug}/",
        "{canonUrl}/diffusion/{slug}/commit/{node}",
        "{canonUrl}/diffusion/{slug}/compare/?head={new}&against={old}",
    ),
    # RhodeCode: rhodecode/apps/repository/__init__.py (repo_commit), rhodecode/config/routing.py (compare_url).
    "rhodecode": Templates("{canonUrl}{absoluteUrl}", *_RHODECODE),
    # git.sr.ht: gitsrht/blueprints/repo.py; the owner is `~name`. It has no page that compares.
    "sourcehut": Templates(commit="{canonUrl}{absoluteUrl}commit/{node}"),
}
"""Name, as `oberon.links` takes it -> its pages."""


def check(template: str, kind: str) -> str:
    """`template`, fit to be filled as one of `kind` (key of `PLACEHOLDERS`). Raises ValueError that says what would be right."""
    known = PLACEHOLDERS[kind]
    held = _PLACEHOLDER.findall(template)
    is_plain = template.isprintable() and " " not in template and not set(_PLACEHOLDER.sub("", template)) & set("{}")
    if not is_plain or not _TEMPLATE.match(template) or not set(held) <= set(known):
        told = " ".join(f"{{{name}}}" for name in known)
        raise ValueError(f"write an address that begins with {{canonUrl}}/ or https://HOST/, with none but these in it: {told}")
    needed = _NEEDED[kind]
    if needed and not needed & set(held):
        told = " or ".join(f"{{{name}}}" for name in sorted(needed))
        raise ValueError(f"write {told} into it, or all have one address; git cuts a value without quotes at a `;`")
    return template


def values(canon_url: str, absolute_url: str, **named: str) -> dict[str, str]:
    """What stands for the placeholders of a repository; without `canonUrl` if that is no plain http(s) address."""
    path = absolute_url.strip("/").removesuffix(".git").rstrip("/")
    known = encoded(absoluteUrl=f"/{absolute_url.lstrip('/')}", path=path, **named)
    if _SERVER.fullmatch(canon_url) and canon_url.isprintable():
        known["canonUrl"] = canon_url.rstrip("/")
    return known


def encoded(**named: str | None) -> dict[str, str]:
    """Each value as it stands in an address: slashes as they are, the rest percent-encoded; without those that are empty."""
    return {name: quote(value, safe="/", errors="replace") for name, value in named.items() if value}


def fill(template: str | None, known: Mapping[str, str]) -> str | None:
    """The address, or None: there is no template, no value for one of its placeholders, or it would climb with `..`."""
    if template is None:
        return None
    try:
        address = _PLACEHOLDER.sub(lambda found: known[found[1]], template)
    except KeyError:
        return None
    return None if climbs(address) else address


def climbs(address: str) -> bool:
    """Whether a part of the path is `.` or `..`, so that whoever follows the address goes elsewhere.

    Decoded: git and hg take an ssh address's path so, and many a web server any path.
    """
    place = unquote(re.split("[?#]", address, maxsplit=1)[0])
    return not {".", ".."}.isdisjoint(place.split("/")[3:])


def compares(url: str | None, refs: Iterable[Mapping[str, Any]]) -> str | None:
    """`url`, if it is the page that compares what one of a payload's `refs` was and is: each such page has the new node in it."""
    return url if url and any(ref["new"] and ref["new"] in url for ref in refs) else None
