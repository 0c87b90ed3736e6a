"""A push, or one commit of it, as a mail: subject, text, and the headers that let readers sort, thread and recognise it.

Message-ID depends on the event, the broker, whom the mail is for and which refs and commits it is about (two services may have
the same recipients and other filters), so each attempt of a delivery bears the same one and a
reader shows it once. The mails of a push's commits answer to the mail of the push. That answers, with all others about one
branch of one repository, to the same, never sent, Message-ID: which makes them a thread.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, localtime
from typing import Any

from brokers.render.body import body
from brokers.render.scm_headers import scm_headers
from brokers.render.subject import MAX_CHARS, author_name, first_line, refs, repository_name, short, subject
from brokers.values import is_mail_address
from payload import text
from payload.push import Person

# 7bit: whatever a body holds is encoded, so no server on the way need know 8BITMIME.
_POLICY = SMTP.clone(cte_type="7bit")
_DIGITS = 32
_SUBJECT_CHARS = 250
_VALUE_CHARS = 500  # of what a ref is called; git allows 255 bytes a part
_ADDRESS_SYNTAX = re.compile(r'[",<>@()\[\]:;\\]+')


@dataclass(frozen=True, slots=True)
class Place:
    """Where the mail of one commit stands among those of its push."""

    push: Mapping[str, Any]
    """The payload of the push's own mail, which went to the same recipients."""
    number: int
    """From 1, of all commits of the push."""
    total: int


def message(
    payload: Mapping[str, Any],
    sender: Person,
    recipients: Sequence[str],
    *,
    reply_to: Person | None = None,
    cc: Sequence[str] = (),
    place: Place | None = None,
    title: str | None = None,
    plain: str | None = None,
    html: str | None = None,
) -> EmailMessage:
    """The mail of `payload` for `recipients` and `cc` (bare addresses); all addresses have been checked.

    From is `sender`'s address; its name that of the commits' author, if they have just one, else the sender's own.
    `place`: `payload` is of one commit, whose mail answers to that of its push. `title` and `plain` stand instead of the
    subject and text that are usual, `html` beside the text.
    """
    push = place.push if place else payload
    domain = sender.email.rpartition("@")[2] or "localhost"
    event = (payload.get("oberon") or {}).get("event")
    thread = [_identity(push), str(payload.get("broker") or ""), sender.email, *recipients]
    branch, parent = _message_id(_thread(push), domain), _message_id(thread, domain)
    mail = EmailMessage(_POLICY)
    mail["Subject"] = _header(short(title, _SUBJECT_CHARS) if title is not None else usual_title(payload, place))
    mail["From"] = _address((only_author(payload).name, sender.name, repository_name(payload)), sender.email)
    mail["To"] = [_address((), recipient) for recipient in recipients]
    if cc:
        mail["Cc"] = [_address((), recipient) for recipient in cc]
    if reply_to is not None:
        mail["Reply-To"] = _address((reply_to.name,), reply_to.email)
    mail["Date"] = _date(payload, place.number if place else 0)
    mail["Message-ID"] = _message_id([*thread, _node(payload["commits"][0])], domain) if place else parent
    mail["In-Reply-To"] = parent if place else branch
    mail["References"] = f"{branch} {parent}" if place else branch
    mail["List-Id"] = f"<{_label(repository_name(payload))}.{domain}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office replies
    mail["X-Oberon-Repository"] = _header(repository_name(payload))
    if event:
        mail["X-Oberon-Event"] = _header(str(event))
    for name, value in scm_headers(payload, is_part=place is not None):
        mail[name] = _header(short(value, _VALUE_CHARS))
    mail.set_content(body(payload) if plain is None else plain)
    if html is not None:
        mail.add_alternative(html, subtype="html")
        mail.set_boundary(f"=_{_digest('boundary', mail['Message-ID'])}")  # the same for each attempt
    return mail


def usual_title(payload: Mapping[str, Any], place: Place | None = None) -> str:
    """`[app] Fix the thing`, and of a commit among others `[app] 03/12: Fix the thing`."""
    number = f"{place.number:0{len(str(place.total))}}/{place.total}: " if place else ""
    said = short(first_line(payload["commits"][0]), MAX_CHARS) if place else subject(payload)
    return f"[{text.visible(_slug(payload))}] {number}{said}"


def only_author(payload: Mapping[str, Any]) -> Person:
    """The one who wrote all commits; without name and address if there is no such one."""
    authors = {(commit.get("raw_author") or "", author_name(commit)) for commit in payload["commits"]}
    if len(authors) != 1:
        return Person("", "", "")
    raw, name = authors.pop()
    return Person(raw, name, Person.parse(raw).email)


def pusher(payload: Mapping[str, Any], domain: str = "") -> Person:
    """Who pushed, with the address that is known of them: their login if it is one, else that of a commit which they wrote,
    else their login at `domain`. Without an address if all that fails.
    """
    user = str(payload.get("user") or "")
    written = [Person.parse(str(commit.get("raw_author") or "")) for commit in payload["commits"] if commit.get("author") == user]
    addresses = [user if "@" in user else "", *(person.email for person in written), f"{user}@{domain}" if domain else ""]
    email = next((address for address in addresses if "@" in address and is_mail_address(address)), "")
    name = written[0].name if written else user.partition("@")[0]
    return Person(user, name, email)


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


def _date(payload: Mapping[str, Any], later_s: int) -> str:
    """When it was pushed; now, if the payload does not say. Readers that sort by it keep mails `later_s` apart in order."""
    try:
        pushed = datetime.fromisoformat((payload.get("oberon") or {})["time"])
        return format_datetime(pushed + timedelta(seconds=later_s))
    except (KeyError, TypeError, ValueError, OverflowError):
        return format_datetime(localtime())


def _identity(payload: Mapping[str, Any]) -> str:
    """What makes this push another than the next, and this part of it another than the rest: event, refs and commits."""
    event = (payload.get("oberon") or {}).get("event") or payload["repository"]
    moved = [str(ref["ref"]) for ref in refs(payload)]
    return json.dumps([event, moved, [_node(commit) for commit in payload["commits"]]])


def _node(commit: Mapping[str, Any]) -> str:
    return str(commit.get("raw_node") or commit.get("node") or "")


def _thread(payload: Mapping[str, Any]) -> list[str]:
    """What the mails of one thread have in common: the repository, and the branch if the push was to one."""
    names = {str(ref["ref"]) for ref in refs(payload)} or {str(commit.get("branch") or "") for commit in payload["commits"]}
    repository = payload["repository"]
    place = f"{payload.get('canon_url') or ''}{repository.get('absolute_url') or repository_name(payload)}"
    return ["thread", place, names.pop() if len(names) == 1 else ""]


def _message_id(parts: Sequence[str], domain: str) -> str:
    return f"<{_digest(*parts)}.oberon@{domain}>"


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:_DIGITS]


def _label(name: str) -> str:
    """`team/app` as RFC 2919 wants it in a list's name: `app.team`."""
    parts = re.sub(r"[^a-z0-9/-]+", "-", name.lower()).split("/")
    return ".".join(part.strip("-") or "x" for part in reversed(parts))
