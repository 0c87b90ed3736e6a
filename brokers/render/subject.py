"""A push in one line.

One commit: its own subject. Several: how many, where, by whom. None: what happened to the refs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from payload import text
from payload.push import Person

MAX_CHARS = 150
_NAME_CHARS = 60
_NAMED_AT_MOST = 2
CUT = "..."  # ASCII: a header with anything else is encoded as a whole

_VERBS = {
    "create": "created",
    "update": "moved",
    "rewind": "rewound",
    "delete": "deleted",
}
_KINDS = {"branch": "branch", "tag": "tag", "bookmark": "bookmark", "note": "notes"}


def subject(payload: Mapping[str, Any]) -> str:
    """At most MAX_CHARS characters; never empty."""
    total = total_commits(payload)
    if alert := alert_of(payload):
        return short("Oberon: " + text.visible(alert["text"].split("\n", 1)[0]), MAX_CHARS)
    if total == 0:
        said = _of_refs(refs(payload))
    elif total == 1 and payload["commits"]:
        said = first_line(payload["commits"][0])
    else:
        commits = payload["commits"]
        where = listed((commit["branch"] for commit in commits if commit.get("branch")), "branches")
        who = listed((author_name(commit) for commit in commits), "authors")
        said = f"{total:,} commits" + (f" on {where}" if where else "") + (f" by {who}" if who else "")
    rewound = [text.visible(ref["name"]) for ref in refs(payload) if ref["action"] == "rewind"] if total else []
    return short(said + (f" ({listed(rewound, 'refs')} rewound)" if rewound else ""), MAX_CHARS)


def first_line(commit: Mapping[str, Any]) -> str:
    """The first line of its message that says something."""
    lines = (line.strip() for line in str(commit.get("message") or "").replace("\r", "\n").split("\n"))
    return text.visible(next((line for line in lines if line), "(no message)"))


def author_name(commit: Mapping[str, Any]) -> str:
    """Who wrote a commit, as a name; '' if it does not say."""
    raw = str(commit.get("raw_author") or "")
    return short(text.visible(Person.parse(raw).name or str(commit.get("author") or raw)), _NAME_CHARS)


def repository_name(payload: Mapping[str, Any]) -> str:
    """The repository as people call it: `owner/slug`."""
    repository = payload["repository"]
    slug = str(repository.get("slug") or repository.get("name") or "repository")
    owner = repository.get("owner")
    return short(text.visible(f"{owner}/{slug}" if owner else slug), _NAME_CHARS)


def refs(payload: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What moved; [] where the payload cannot tell."""
    return list((payload.get("oberon") or {}).get("refs") or ())


def alert_of(payload: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What an alert of Oberon's own says (`oberon.alert`); None for a push."""
    alert: Mapping[str, Any] | None = (payload.get("oberon") or {}).get("alert")
    return alert


def beyond(payload: Mapping[str, Any], told: int, what: str) -> list[str]:
    """A note for a push of which `told` commits are told: `3 more commits are not told` (`what`); [] if that are all."""
    left_out = total_commits(payload) - told
    return [f"{left_out} more commits are not {what}"] if left_out > 0 else []


def total_commits(payload: Mapping[str, Any]) -> int:
    """How many commits were pushed; the payload may hold fewer."""
    return max((payload.get("oberon") or {}).get("total_commits") or 0, len(payload["commits"]))


def ref_words(ref: Mapping[str, Any]) -> str:
    """`branch dev created`; with its full name where it is of no kind we have a word for."""
    kind = _KINDS.get(ref["kind"])
    name = f"{kind} {ref['name']}" if kind else str(ref["ref"])
    return text.visible(f"{name} {_VERBS.get(ref['action'], ref['action'])}")


def listed(names: Iterable[str], many: str) -> str:
    """`a`, `a and b`, or, of more than two, `5 MANY`; each once."""
    once = [text.visible(name) for name in dict.fromkeys(names) if name]
    if len(once) > _NAMED_AT_MOST:
        return f"{len(once)} {many}"
    return " and ".join(once)


def short(line: str, max_chars: int) -> str:
    """`line`, with `...` at its end if it had to be cut."""
    return line if len(line) <= max_chars else line[: max_chars - len(CUT)].rstrip() + CUT


def _of_refs(moved: list[dict[str, Any]]) -> str:
    if not moved:
        return "Nothing new was pushed"
    words = ", ".join(ref_words(ref) for ref in moved)
    return words[0].upper() + words[1:] if len(moved) == 1 else f"{len(moved)} refs changed: {words}"
