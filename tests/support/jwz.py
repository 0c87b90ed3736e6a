"""Threads as mail readers make them: Jamie Zawinski's algorithm, https://www.jwz.org/doc/threading.html, steps 1 to 4.

Step 5, which joins threads of the same subject, is left out: it could only hide that a mail names no parent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

_ID = re.compile(r"<[^<>\s]+>")


@dataclass
class Container:
    """A mail, or, with `message` None, one that others name and nobody has."""

    message: EmailMessage | None = None
    parent: Container | None = None
    children: list[Container] = field(default_factory=list)

    def is_above(self, other: Container) -> bool:
        while other.parent is not None:
            other = other.parent
            if other is self:
                return True
        return False

    def adopt(self, child: Container) -> None:
        if child.parent is not None:
            child.parent.children.remove(child)
        child.parent = self
        self.children.append(child)

    def outline(self) -> Any:
        """(Subject or None, outlines of the answers, by their dates)."""
        subject = None if self.message is None else str(self.message["Subject"])
        return (subject, [child.outline() for child in sorted(self.children, key=_date)])


def threads(messages: Iterable[EmailMessage]) -> list[Container]:
    """The roots, by date; the order in which the mails came does not matter."""
    known: dict[str, Container] = {}
    for message in messages:
        own = known.setdefault(_ids(message["Message-ID"])[0], Container())
        own.message = message
        above = None
        for name in _ids(message["References"]) or _ids(message["In-Reply-To"])[:1]:
            named = known.setdefault(name, Container())
            if above is not None and named.parent is None and named is not above and not named.is_above(above):
                above.adopt(named)
            above = named
        if above is not None and above is not own and not own.is_above(above):
            above.adopt(own)
    roots = [container for container in known.values() if container.parent is None]
    return sorted((kept for root in roots for kept in _pruned(root)), key=_date)


def _pruned(container: Container) -> list[Container]:
    """Step 4: a place that nobody fills goes; its children take it, but at the top only if there is just one."""
    children = [kept for child in container.children for kept in _pruned(child)]
    if container.message is None and (not children or container.parent is not None or len(children) == 1):
        for child in children:
            child.parent = None
        return children
    container.children = children
    for child in children:
        child.parent = container
    return [container]


def _ids(header: str | None) -> list[str]:
    return _ID.findall(header or "")


def _date(container: Container) -> Any:
    mails = [container] if container.message is not None else container.children
    return min(mail.message["Date"].datetime for mail in mails if mail.message is not None)
