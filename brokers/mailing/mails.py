"""Which mails a push becomes: one for each group of recipients, or one that is followed by one for each commit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from brokers.mailing.recipients import Group
from brokers.render import body, html, mail
from brokers.render.body import Section
from brokers.render.diff import Limits, Room
from brokers.render.subject import refs, total_commits
from brokers.render.template import COMMIT, PUSH, Template, values_of, values_of_commit
from brokers.transport.mail import Mail
from brokers.values import is_mail_address
from payload.push import Person

TEXT = {"text": "what would stand there otherwise"}
"""A name that templates of texts have beside those of `payload.placeholders`."""

_MAX_CC = 20
_CC = re.compile(r"\s*cc:(.*)", re.IGNORECASE)
_BETWEEN_ADDRESSES = re.compile(r"[\s,;<>\"()]+")


@dataclass(frozen=True, slots=True)
class Manner:
    """How the mails are made."""

    sender: Person
    is_each_commit: bool = False
    max_mails: int = 50
    """Of one push to one group, that of the push itself among them."""
    reply_to: str = "author"
    """`author`, `pusher` or `none`."""
    pusher_domain: str = ""
    scan_cc: bool = False
    templates: Mapping[str, str] = field(default_factory=dict)
    """`subject`, `body`, `commit-subject`, `commit-body`, as far as they are not as usual."""
    limits: Limits | None = None
    """Of diffs; None shows none."""
    has_html: bool = False

    def template(self, name: str, commit: object) -> str:
        """That for `subject` or `body`: of a mail about one commit the one for those, if there is one; '' for as usual."""
        own = self.templates.get(f"commit-{name}") if commit is not None else ""
        return own or self.templates.get(name) or ""


def mails_of(groups: Sequence[Group], manner: Manner) -> Iterator[Mail]:
    """In the order in which they are to be sent: a push's own mail comes before those of its commits."""
    copied = _had(groups) if manner.scan_cc else set()
    for group in groups:
        commits = group.payload["commits"]
        if not manner.is_each_commit or total_commits(group.payload) <= 1 or not commits:
            yield _of_push(group, body.sections(group.payload, room=_room(manner)), manner, copied)
            continue
        told = commits[-(manner.max_mails - 1) :] if manner.max_mails > 1 else []
        total = total_commits(group.payload)
        yield _of_push(group, body.summary(group.payload, total - len(told)), manner, copied)
        for number, commit in enumerate(told, start=total - len(told) + 1):
            yield _of_commit(group, commit, mail.Place(group.payload, number, total), manner, copied)


def _of_push(group: Group, parts: Sequence[Section], manner: Manner, copied: set[str]) -> Mail:
    payload, commits = group.payload, group.payload["commits"]
    one = commits[0] if total_commits(payload) == len(commits) == 1 else None
    return _made(payload, group, parts, manner, copied, one)


def _of_commit(group: Group, commit: Mapping[str, Any], place: mail.Place, manner: Manner, copied: set[str]) -> Mail:
    payload = _alone(group.payload, commit)
    return _made(payload, group, body.sections(payload, room=_room(manner), is_part=True), manner, copied, commit, place)


def _made(
    payload: Mapping[str, Any],
    group: Group,
    parts: Sequence[Section],
    manner: Manner,
    copied: set[str],
    commit: Mapping[str, Any] | None,
    place: mail.Place | None = None,
) -> Mail:
    """The mail of `payload`; `commit` is the only one of it, if it is about one."""
    cc = _copies(commit, copied) if commit and manner.scan_cc else []
    values = values_of(payload) if commit is None else values_of_commit(payload, commit)
    names = PUSH if commit is None else COMMIT
    own_title, own_text = manner.template("subject", commit), manner.template("body", commit)
    title = Template.parse(own_title, names).expand(values) if own_title else mail.usual_title(payload, place)
    parts = _filled(Template.parse(own_text, {**names, **TEXT}, "lines"), values, parts) if own_text else parts
    message = mail.message(
        payload,
        manner.sender,
        group.recipients,
        reply_to=_answerable(payload, manner),
        cc=cc,
        place=place,
        title=title,
        plain=body.plain(parts),
        html=html.page(parts, title) if manner.has_html else None,
    )
    return Mail.of(message, manner.sender.email, [*group.recipients, *cc])


def _filled(template: Template, values: Mapping[str, Any], parts: Sequence[Section]) -> list[Section]:
    """The template's text, with `parts` where it names them."""
    places = [number for number, (_, name) in enumerate(template.pieces) if name in TEXT]
    filled: list[Section] = []
    begin = 0
    for end in [*places, len(template.pieces)]:
        between = [
            (said, None if number == end else name)
            for number, (said, name) in enumerate(template.pieces)
            if begin <= number <= end
        ]
        said = Template(tuple(between), template.place).expand(values).strip("\n")
        filled += [Section(tuple(said.split("\n")))] if said else []
        filled += parts if end < len(template.pieces) else []
        begin = end + 1
    return filled or [Section(("",))]


def _alone(payload: Mapping[str, Any], commit: Mapping[str, Any]) -> dict[str, Any]:
    """The payload of one commit of several, with the refs that brought it."""
    own = dict(payload.get("oberon") or {})
    if own:
        own |= {"refs": [ref for ref in refs(payload) if commit.get("node") in ref["commits"]], "total_commits": 1}
    return {**payload, "commits": [commit], "oberon": own}


def _had(groups: Sequence[Group]) -> set[str]:
    """Who gets which commit without a copy, as `_copies` writes it down."""
    return {_copy(commit, recipient) for group in groups for commit in group.payload["commits"] for recipient in group.recipients}


def _copy(commit: Mapping[str, Any], address: str) -> str:
    return f"{commit.get('raw_node') or commit.get('node')} {address.lower()}"


def _copies(commit: Mapping[str, Any], copied: set[str]) -> list[str]:
    """The addresses of its message's `Cc:` lines, who do not get this commit's mail anyhow."""
    lines = (_CC.fullmatch(line) for line in str(commit.get("message") or "").splitlines())
    named = (word for line in lines if line for word in _BETWEEN_ADDRESSES.split(line[1]))  # `email` recurses into comments
    found: dict[str, str] = {}
    for address in named:
        key = _copy(commit, address)
        if "@" in address and is_mail_address(address) and key not in copied:
            found.setdefault(key, address)
    chosen = dict(list(found.items())[:_MAX_CC])
    copied.update(chosen)
    return list(chosen.values())


def _answerable(payload: Mapping[str, Any], manner: Manner) -> Person | None:
    match manner.reply_to:
        case "author":
            person = mail.only_author(payload)
        case "pusher":
            person = mail.pusher(payload, manner.pusher_domain)
        case _:
            return None
    return person if "@" in person.email and is_mail_address(person.email) else None


def _room(manner: Manner) -> Room | None:
    return Room(manner.limits) if manner.limits else None
