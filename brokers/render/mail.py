"""A push as a mail: subject, text, and the headers that let readers sort, thread and recognise it.

Message-ID depends on the event and on whom the mail is for, so each attempt of a delivery bears the same one and a
reader shows it once. All mails about one branch of one repository answer to the same, never sent, Message-ID: that makes
them a thread.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, localtime
from typing import Any

from brokers.render.body import body
from brokers.render.subject import author_name, refs, repository_name, short, subject
from payload import text
from payload.push import Person

# 7bit: whatever a body holds is encoded, so no server on the way need know 8BITMIME.
_POLICY = SMTP.clone(cte_type="7bit")
_DIGITS = 32
_ADDRESS_SYNTAX = re.compile(r'[",<>@()\[\]:;\\]+')


def message(
    payload: Mapping[str, Any], sender: Person, recipients: Sequence[str], *, reply_to: Person | None = None
) -> EmailMessage:
    """The mail of `payload` for `recipients` (bare addresses); all addresses have been checked.

    From is `sender`'s address; its name that of the commits' author, if they have just one, else the sender's own.
    """
    domain = sender.email.rpartition("@")[2] or "localhost"
    event = (payload.get("oberon") or {}).get("event")
    mail = EmailMessage(_POLICY)
    mail["Subject"] = _header(f"[{text.visible(_slug(payload))}] {subject(payload)}")
    mail["From"] = _address((only_author(payload).name, sender.name, repository_name(payload)), sender.email)
    mail["To"] = [_address((), recipient) for recipient in recipients]
    if reply_to is not None:
        mail["Reply-To"] = _address((reply_to.name,), reply_to.email)
    mail["Date"] = _date(payload)
    mail["Message-ID"] = f"<{_digest(_identity(payload), sender.email, *recipients)}.oberon@{domain}>"
    mail["In-Reply-To"] = mail["References"] = f"<{_digest(*_thread(payload))}.oberon@{domain}>"
    mail["List-Id"] = f"<{_label(repository_name(payload))}.{domain}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office replies
    mail["X-Oberon-Repository"] = _header(repository_name(payload))
    if event:
        mail["X-Oberon-Event"] = _header(str(event))
    mail.set_content(body(payload))
    return mail


def only_author(payload: Mapping[str, Any]) -> Person:
    """The one who wrote all commits; without name and address if there is no such one."""
    authors = {(commit.get("raw_author") or "", author_name(commit)) for commit in payload["commits"]}
    if len(authors) != 1:
        return Person("", "", "")
    raw, name = authors.pop()
    return Person(raw, name, Person.parse(raw).email)


def _slug(payload: Mapping[str, Any]) -> str:
    repository = payload["repository"]
    return short(str(repository.get("slug") or repository.get("name") or "repository"), 40)


def _header(value: str) -> str:
    """`value` fit for a header: on one line, and not taken for an encoded word, which could hide a line break."""
    return text.visible(text.repair(value)).replace("=?", "= ?")


def _address(names: Sequence[str], address: str) -> Address:
    """`name <address>`, with the first of `names` that says something."""
    user, _, domain = address.rpartition("@") if "@" in address else (address, "", "")
    return Address(display_name=next(filter(None, map(_display, names)), ""), username=user, domain=domain)


def _display(name: str) -> str:
    """`name` without a character that means something in an address list, or is not to be seen."""
    seen = "".join(char if char.isprintable() else " " for char in text.repair(name))
    return " ".join(_header(_ADDRESS_SYNTAX.sub(" ", seen)).split())


def _date(payload: Mapping[str, Any]) -> str:
    """When it was pushed; now, if the payload does not say."""
    try:
        return format_datetime(datetime.fromisoformat((payload.get("oberon") or {})["time"]))
    except (KeyError, TypeError, ValueError):
        return format_datetime(localtime())


def _identity(payload: Mapping[str, Any]) -> str:
    """What makes this push another than the next: the event's id, else its commits."""
    oberon = payload.get("oberon") or {}
    return str(oberon.get("event") or json.dumps([payload["repository"], [_node(commit) for commit in payload["commits"]]]))


def _node(commit: Mapping[str, Any]) -> str:
    return str(commit.get("raw_node") or commit.get("node") or "")


def _thread(payload: Mapping[str, Any]) -> list[str]:
    """What the mails of one thread have in common: the repository, and the branch if the push was to one."""
    names = {str(ref["ref"]) for ref in refs(payload)} or {str(commit.get("branch") or "") for commit in payload["commits"]}
    repository = payload["repository"]
    place = f"{payload.get('canon_url') or ''}{repository.get('absolute_url') or repository_name(payload)}"
    return ["thread", place, names.pop() if len(names) == 1 else ""]


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:_DIGITS]


def _label(name: str) -> str:
    """`team/app` as RFC 2919 wants it in a list's name: `app.team`."""
    parts = re.sub(r"[^a-z0-9/-]+", "-", name.lower()).split("/")
    return ".".join(part.strip("-") or "x" for part in reversed(parts))
