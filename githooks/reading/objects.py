"""Raw commits and tags -> their parts, tolerantly: whatever bytes git let in, something comes out and nothing is raised.

Servers without `receive.fsckObjects` take commits without mail address, date or zone, with dates of the year 11476, with
headers nobody knows. Each part that is not there is '' or None; an unknown header is passed over (gpgsig, mergetag, ...).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from payload import text
from payload.push import Person

COMMIT, TREE, BLOB, TAG = 1, 2, 3, 4  # gitformat-pack(5), "Object types"

HEX_LENGTHS = (40, 64)  # of object names: SHA-1, SHA-256

_MOMENT = re.compile(rb"\s*(-?\d{1,20})(?!\d)(?:\.\d*)?(?:\s+([+-]\d{1,6}))?")
_BARE_MOMENT = re.compile(rb"\s+(-?\d{1,20})(?:\.\d*)?\s+([+-]\d{1,6})\s*$")
_LONGEST_NAME = 1000  # bytes of a name with its address; more is nobody's name
_SHORT = 200  # bytes; longer names and addresses are not kept
# What nearly every commit begins with. After the last `>` of its line, a date that all read alike.
_USUAL = re.compile(
    rb"tree [0-9a-f]+\n((?:parent (?:[0-9a-f]{40}|[0-9a-f]{64})\n)*)author [^\n]*\ncommitter [^\n]*> (\d{1,18}) [+-]\d{4}\n"
)
_HEX = re.compile(rb"[0-9a-f]+\Z")


class Links(NamedTuple):
    """What a walk over history needs of a commit."""

    parents: tuple[bytes, ...]
    """Full hex, in order."""
    time: int
    """When it was committed, Unix seconds; 0 if absent or unreadable, as git has it."""


@dataclass(frozen=True, slots=True)
class RawCommit:
    """The parts of a commit, decoded; its parents are the graph's to tell (shallow, grafts)."""

    tree: bytes | None
    """Full hex; None if the header is missing, which counts as an empty tree."""
    author: Person
    committer: Person | None
    message: str
    """As stored, with its last newline."""


@dataclass(frozen=True, slots=True)
class RawTag:
    """The parts of an annotated tag, decoded."""

    target: bytes | None
    """Full hex of what it names, maybe another tag; None if the header is missing."""
    target_kind: bytes
    """What that is said to be: `commit`, `tag`, `tree` or `blob`; b'' if nothing is said."""
    tagger: Person | None
    message: str
    """As stored, with a signature if it has one."""


def is_oid(name: bytes) -> bool:
    """Whether `name` is an object's full name in hex."""
    return len(name) in HEX_LENGTHS and _HEX.match(name) is not None


def links(raw: bytes) -> Links:
    """The parents and the committer's time, from the header only. Parents are the lines right after `tree`, as git reads them."""
    usual = _USUAL.match(raw)
    if usual is not None:
        return Links(tuple(usual[1][7:-1].split(b"\nparent ")) if usual[1] else (), int(usual[2]))
    head = raw.partition(b"\n\n")[0]
    parents = []
    time = 0
    still_parents = True
    for line in head.split(b"\n"):
        if line.startswith(b"parent ") and still_parents:
            if is_oid(line[7:]):
                parents.append(line[7:])
        elif line.startswith(b"committer "):
            time = _moment(line[10:].rpartition(b">")[2])[0] or 0
            break
        elif not line.startswith(b"tree "):
            still_parents = False
    return Links(tuple(parents), time)


def commit(raw: bytes) -> RawCommit:
    """The parts of a raw commit."""
    headers, body = _split(raw)
    encoding = _encoding(headers)
    committer = headers.get(b"committer")
    return RawCommit(
        tree=tree(raw),
        author=person(headers.get(b"author", b""), encoding),
        committer=None if committer is None else person(committer, encoding),
        message=text.decode(body, encoding),
    )


def tree(raw: bytes) -> bytes | None:
    """The tree of a raw commit, as `RawCommit.tree`, and nothing else of it."""
    name = raw[5 : max(raw.find(b"\n"), 0)] if raw.startswith(b"tree ") else b""
    return name if is_oid(name) else None


def tag(raw: bytes) -> RawTag:
    """The parts of a raw annotated tag."""
    headers, body = _split(raw)
    encoding = _encoding(headers)
    target = headers.get(b"object", b"")
    tagger = headers.get(b"tagger")
    return RawTag(
        target=target if is_oid(target) else None,
        target_kind=headers.get(b"type", b""),
        tagger=None if tagger is None else person(tagger, encoding),
        message=text.decode(body, encoding),
    )


def person(raw: bytes, encoding: str | None = None) -> Person:
    """`Name <mail> SECONDS ZONE` as a person. The date stands after the last `>`, as git looks for it."""
    before, bracket, after = raw.rpartition(b">")
    if bracket:
        known = _identity if len(before) < _SHORT else _identity.__wrapped__
        identity = known(before + bracket, encoding)
        return Person(identity.raw, identity.name, identity.email, *_moment(after))
    found = _BARE_MOMENT.search(raw)
    if found is None:
        return Person.parse(text.decode(raw[:_LONGEST_NAME], encoding))
    return Person.parse(text.decode(raw[: min(found.start(), _LONGEST_NAME)], encoding), int(found[1]), _offset_s(found[2]))


@lru_cache(maxsize=1024)
def _identity(raw: bytes, encoding: str | None) -> Person:
    """`Name <mail>` as a person without a time; most commits of a repository are of a few people."""
    return Person.parse(text.decode(raw[:_LONGEST_NAME], encoding))


def _split(raw: bytes) -> tuple[dict[bytes, bytes], bytes]:
    """First value of each header, and what follows the first empty line. Lines that go on a header begin with a space."""
    if raw.startswith(b"\n"):
        return {}, raw[1:]
    head, _, body = raw.partition(b"\n\n")
    headers: dict[bytes, bytes] = {}
    for line in head.split(b"\n"):
        key, space, value = line.partition(b" ")
        if key and space:
            headers.setdefault(key, value)
    return headers, body


def _encoding(headers: dict[bytes, bytes]) -> str | None:
    name = headers.get(b"encoding")
    return None if name is None else name.decode("ascii", "replace").replace("\0", "")


def _moment(raw: bytes) -> tuple[int | None, int | None]:
    """Unix seconds and seconds east of UTC; None for what is not there."""
    found = _MOMENT.match(raw)
    if found is None:
        return None, None
    return int(found[1]), None if found[2] is None else _offset_s(found[2])


@lru_cache(maxsize=256)
def _offset_s(zone: bytes) -> int:
    hours, minutes = divmod(int(zone[1:]), 100)
    seconds = hours * 3600 + minutes * 60
    return -seconds if zone.startswith(b"-") else seconds
