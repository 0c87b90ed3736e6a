"""A text of the admin's own with `${name}` in it, filled with what was pushed.

    template = Template.parse("https://ci.example.org/${repository.slug}?ref=${ref}", PUSH, "url")
    address = template.expand(values_of(payload))

In: what stands in the configuration, and a payload, of which only `repository` and `commits` are sure to be there. Out:
text in which each value is encoded for where it stands. `payload.placeholders` has the names and the grammar.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self
from urllib.parse import quote, quote_plus

from brokers.errors import PermanentFailure
from brokers.render.body import web_address
from brokers.render.subject import first_line, refs, short, subject, total_commits
from payload import links, text
from payload.placeholders import COMMIT, PUSH, split
from payload.push import Person

__all__ = ["COMMIT", "PUSH", "Place", "Template", "values_of", "values_of_commit"]

Place = Literal["text", "lines", "url", "json", "form"]

_NUMBERS = ("count",)
_SUMMARY_COMMITS = 10
_SUMMARY_CHARS = 100


def _one_line(value: str) -> str:
    return text.visible(re.sub(r"\s*[\r\n]\s*", " ", value.strip()))


def _lines(value: str) -> str:
    return "\n".join(text.visible(line.expandtabs().rstrip()) for line in re.split(r"\r\n|\r|\n", value.strip("\r\n")))


def _json(value: str) -> str:
    return json.dumps(value)[1:-1]


_ENCODERS: Mapping[str, Callable[[str], str]] = {
    "text": _one_line,
    "lines": _lines,
    "url": lambda value: quote(value, safe=""),
    "json": _json,
    "form": quote_plus,
}
"""Place -> how a value is written there; it has no lone surrogate any more."""


@dataclass(frozen=True, slots=True)
class Template:
    """A template that has been read, for one place."""

    pieces: tuple[tuple[str, str | None], ...]
    """Text, then the name that follows it or None."""
    place: Place

    @classmethod
    def parse(cls, template: str, names: Iterable[str], place: Place = "text") -> Self:
        """Read `template`, which may name any of `names` (`PUSH`, `COMMIT`, or a broker's own).

        `place` says where the result goes: `text` is one line that can be shown, `lines` may have line breaks, `url` is
        percent-encoded with nothing left out, `json` stands between the quotes of a JSON string, `form` in a form's field.
        An address without a `${` is left as it is. Raises ValueError that says what would be right.
        """
        if place == "url" and "${" not in template:
            return cls(((template, None),), place)
        return cls(split(template, names), place)

    def expand(self, values: Mapping[str, Any]) -> str:
        """The text, each value once, encoded for the place; None and what `values` lacks is empty.

        Raises PermanentFailure for an address that would climb out of its folder with `..`.
        """
        encoded = _ENCODERS[self.place]
        expanded = "".join(
            plain + (encoded(text.repair(_written(values.get(name)))) if name else "") for plain, name in self.pieces
        )
        if self.place == "url" and any(name for _, name in self.pieces) and links.climbs(expanded):
            raise PermanentFailure(f"the address would climb with `..`: {text.visible(expanded)}")
        return expanded


def check_json(template: str) -> None:
    """Raises ValueError if what begins as JSON is none once its names are filled: text stands between quotes, numbers need none."""
    if template.lstrip()[:1] not in ("{", "["):
        return
    filled = "".join(plain + (("0" if name in _NUMBERS else "x") if name else "") for plain, name in split(template))
    try:
        json.loads(filled)
    except ValueError as error:
        raise ValueError(
            f'write JSON, with text as "${{user}}" ({error}); git drops a quote that has no backslash before it'
        ) from None


def values_of(payload: Mapping[str, Any]) -> dict[str, Any]:
    """What the names of `PUSH` stand for: text, numbers, or None where the payload cannot tell."""
    repository, oberon = payload["repository"], payload.get("oberon") or {}
    commits = payload["commits"]
    moved = _chief(refs(payload))
    newest: Mapping[str, Any] = commits[-1] if commits else {}
    compare = (oberon.get("links") or {}).get("compare")
    page, total = web_address(payload), total_commits(payload)
    return {
        "repository.name": repository.get("name") or repository.get("slug"),
        "repository.slug": repository.get("slug") or repository.get("name"),
        "repository.owner": repository.get("owner"),
        "repository.path": str(repository.get("absolute_url") or "").strip("/"),
        "repository.scm": repository.get("scm"),
        "repository.url": page,
        "user": payload.get("user"),
        "count": total,
        "branch": moved.get("name") if moved.get("kind") == "branch" else newest.get("branch"),
        "ref": moved.get("ref"),
        "kind": moved.get("kind"),
        "action": moved.get("action"),
        "old": moved.get("old"),
        "new": moved.get("new") if moved else newest.get("raw_node") or newest.get("node"),
        "url": (_url(payload, newest) if total == 1 else compare) or page,
        "compare": compare,
        "subject": subject(payload),
        "summary": _summary(payload["commits"], total) or subject(payload),
        "event": oberon.get("event"),
        "time": oberon.get("time"),
    }


def values_of_commit(payload: Mapping[str, Any], commit: Mapping[str, Any]) -> dict[str, Any]:
    """What the names of `COMMIT` stand for, of one of `payload['commits']`."""
    same = ("node", "author", "raw_author", "message", "branch", "revision", "timestamp", "utctimestamp", "size")
    return {
        **values_of(payload),
        **{f"commit.{key}": commit.get(key) for key in same},
        "commit.raw_node": commit.get("raw_node") or commit.get("node"),
        "commit.email": Person.parse(str(commit.get("raw_author") or "")).email,
        "commit.subject": first_line(commit),
        "commit.url": _url(payload, commit),
    }


def _chief(moved: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The first branch of what moved, else the first of all; {} if nothing did."""
    return next((ref for ref in moved if ref.get("kind") == "branch"), moved[0] if moved else {})


def _url(payload: Mapping[str, Any], commit: Mapping[str, Any]) -> str | None:
    details = (payload.get("oberon") or {}).get("commits") or {}
    url: str | None = (details.get(commit.get("raw_node")) or {}).get("url")
    return url


def _summary(commits: Sequence[Mapping[str, Any]], total: int) -> str:
    told = [
        short(f"{commit.get('node', '')} {first_line(commit)}".strip(), _SUMMARY_CHARS) for commit in commits[-_SUMMARY_COMMITS:]
    ]
    left = total - len(told)
    return "\n".join(([f"{left:,} older"] if left else []) + told)


def _written(value: Any) -> str:
    return "" if value is None else str(value)
