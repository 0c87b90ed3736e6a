"""Whatever bytes are pushed, as names, messages, paths or dates: the payload is strict JSON, and the same each time."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache
from importlib import resources
from itertools import count

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brokers.config import Settings
from githooks.reading import read
from hghooks import changes, repository
from payload.build import Service, build
from payload.push import Event, Push, RefUpdate
from tests.support.git import ZERO
from tests.support.git_lanes import LANES, LATE
from tests.support.git_objects import Objects, tag

NASTY = (
    *(b"", b"\0", b"\n", b"\n\n", b"\r\n", b" ", b"\t", b"\x1b[31m", b"\x7f", b"\xff", b"\xc0\x80", b"<", b">", b'"\\', b"{}"),
    b"\xed\xa0\x80",  # a lone surrogate
    b"\xed\xb3\xbf",  # as `surrogateescape` would have a byte
    b"\xf4\x90\x80\x80",  # beyond the last character
    b"\xef\xbf\xbe\xef\xbb\xbf",
    "\u202egnp.exe\u2066".encode(),
    "e\u0301\u2028\u2029\U0001f600".encode(),
    *(
        b"+AGA-",
        b"+2AA-",
        b"\x1b$B",
        b"\xfe\xff\xd8\x00",
        b"-1 +0000",
        b" 999999999999 -9999",
        b"encoding utf-7",
        b"committer \n",
    ),
)
ENCODINGS = (b"utf-7", b"utf-16", b"utf-16-le", b"utf-32", b"idna", b"hex", b"undefined", b"iso2022_jp", b"cp1252", b"")

anything = st.lists(st.sampled_from(NASTY) | st.binary(max_size=12) | st.text(max_size=8).map(str.encode), max_size=5).map(
    b"".join
)


def less(unwanted: bytes) -> st.SearchStrategy[bytes]:
    """Anything without what that expression matches, and not empty."""

    def cleaned(name: bytes) -> bytes:
        before = None
        while before != name:
            before, name = name, re.sub(unwanted, b"", name)
        return name

    return anything.map(cleaned).filter(bool)


def paths(unwanted: bytes) -> st.SearchStrategy[bytes]:
    return st.lists(less(unwanted), min_size=1, max_size=3).map(b"/".join)


# git-check-ref-format(1), "DESCRIPTION".
ref_names = st.lists(less(rb"[\0-\x20\x7f~^:?*\[\\/]|\.\.|@\{|^\.|\.$|\.lock$"), min_size=1, max_size=3).map(b"/".join)
variables = less(rb"\0")


@st.composite
def commits(draw: st.DrawFn) -> bytes:
    """All of a commit that comes after its tree and parents."""
    encoding = draw(st.none() | st.sampled_from(ENCODINGS) | anything)
    line = b"" if encoding is None else b"encoding %s\n" % encoding
    return b"author %s\ncommitter %s\n%s\n%s" % (draw(anything), draw(anything), line, draw(anything))


def text(raw: bytes) -> str:
    """As a hook has it."""
    return raw.decode("utf-8", "surrogateescape")


@cache
def validator() -> jsonschema.protocols.Validator:
    schema = json.loads(resources.files("payload").joinpath("payload.schema.json").read_text("utf-8"))
    return jsonschema.validators.validator_for(schema)(schema)


def strict(push: Push) -> bytes:
    """The payload, as a strict parser takes it."""
    payload = build(push, Service("post"))
    raw = json.dumps(payload, ensure_ascii=False, allow_nan=False).encode("utf-8")
    assert json.loads(raw) == payload
    validator().validate(payload)
    return raw


class Pushed:
    """A git repository in a folder with a hostile name."""

    def __init__(self, git_server) -> None:
        self.server = git_server(text(b"caf\xe9\n\xe2\x80\xae.git"))

    def push(self, refs: dict[str, str], **facts: object) -> bytes:
        """The payload of a push that makes `refs`, equal whichever way and how often it is read; they are removed then."""
        updates = tuple(RefUpdate(ref, ZERO, node) for ref, node in refs.items())
        event = Event("0" * 32, "git", str(self.server.path), LATE, "git", "local", updates, **facts)
        self.server.git("update-ref", "--stdin", input="".join(f"create {ref} {node}\n" for ref, node in refs.items()))
        told = [strict(read(event, replace(Settings(), git_reader=lane))) for lane in (*LANES, LANES[0])]
        self.server.git("update-ref", "--stdin", input="".join(f"delete {ref}\n" for ref in refs))
        assert len(set(told)) == 1
        return told[0]


@settings(max_examples=60, suppress_health_check=HealthCheck)
@given(
    contents=st.lists(commits(), min_size=1, max_size=3),
    path=paths(rb"[\0/]"),
    names=st.tuples(ref_names, ref_names),
    tagged=st.tuples(anything, anything),
    said=st.tuples(variables, variables),
)
def test_any_bytes_in_git(hostile_git, contents, path, names, tagged, said):
    objects = Objects()
    tip: list[bytes] = []
    for number, content in enumerate(contents):
        tree = objects.tree({b"%d" % number + path: ("100644", b"x"), path: ("120000", path)})
        head = b"tree %s\n" % tree.encode() + b"".join(b"parent %s\n" % parent for parent in tip)
        tip = [objects.add("commit", head + content).encode()]
    node = tip[0].decode()
    made = objects.add("tag", tag(node, "commit", b"x", *tagged))
    objects.write(hostile_git.server.path, packed=False)
    branch, name = map(text, names)
    payload = json.loads(
        hostile_git.push(
            {f"refs/heads/{branch}": node, f"refs/tags/{name}": made},
            options=(text(said[0]),),
            environment={"GL_USER": text(said[1])},
        )
    )
    assert payload["oberon"]["total_commits"] == len(contents)


@pytest.fixture
def hostile_git(git_server):
    return Pushed(git_server)


# Line of author and committer -> `utctimestamp`: what no calendar has is as near as can be written, what is no number is absent.
DATES = {
    b"A <a@example.org> 300000000000 +0000": "9999-12-30 00:00:00+00:00",  # of the year 11476
    b"A <a@example.org> -1 +0100": "1969-12-31 23:59:59+00:00",
    b"A <a@example.org> -99999999999999999999 +0100": "0001-01-02 00:00:00+00:00",
    b"A <a@example.org> 9223372036854775808 -0330": "9999-12-30 00:00:00+00:00",
    b"A <a@example.org> " + b"9" * 400 + b" +0000": None,
    b"A <a@example.org> 1700000000 +51800": "2023-11-14 22:13:20+00:00",
    b"A <a@example.org> 1700000000 +9999999999": "2023-11-14 22:13:20+00:00",
    b"A <a@example.org> 1700000000": "2023-11-14 22:13:20+00:00",
    b"A <a@example.org> 1700000000.5 +0100": "2023-11-14 22:13:20+00:00",
    b"A <a@example.org> 0 +0000": "1970-01-01 00:00:00+00:00",
    b"A <a@example.org> now": None,
    b"A <a@example.org> \xd9\xa1\xd9\xa2 +0000": None,
    b"A <a@example.org> nan +0000": None,
    b"A <a@example.org>": None,
    b"A": None,
    b"": None,
    b" <> ": None,
    b"<": None,
    b">": None,
    b"\0": None,
    None: None,  # no author, and no committer, at all
}


def test_any_date_in_git(hostile_git):
    objects = Objects()
    tree = objects.tree({}).encode()
    tip: list[bytes] = []
    for line in DATES:
        people = b"" if line is None else b"author %s\ncommitter %s\n" % (line, line)
        raw = b"tree %s\n" % tree + b"".join(b"parent %s\n" % parent for parent in tip) + people + b"\nx\n"
        tip = [objects.add("commit", raw).encode()]
    objects.write(hostile_git.server.path, packed=False)
    payload = json.loads(hostile_git.push({"refs/heads/main": tip[0].decode()}))
    told = dict(zip(DATES, (commit["utctimestamp"] for commit in payload["commits"]), strict=True))
    assert told == DATES


# ------------------------------------------------------------------------------------------------------------------- hg


@pytest.fixture
def hostile_hg(hg_server):
    return repository.open_at(str(hg_server(text(b"caf\xe9 \xe2\x80\xae")).path))


numbers = count()


@settings(max_examples=40, suppress_health_check=HealthCheck)
@given(
    user=less(rb"\n|^\s"),
    message=anything,
    branch=anything,
    path=paths(rb"[\0\r\n/]"),
    value=anything,
    date=st.integers(-(2**63), 2**63),
)
def test_any_bytes_in_hg(hostile_hg, user, message, branch, path, value, date):
    from mercurial import context, encoding
    from mercurial.utils import dateutil

    repo = hostile_hg
    path = b"%d" % next(numbers) + path

    def content(repo, changeset, path):
        return context.memfilectx(repo, changeset, path, path, islink=False, isexec=False)

    with pytest.MonkeyPatch.context() as patch:  # hg of today refuses some of it; other writers of its format did not
        patch.setattr(dateutil, "parsedate", lambda date, *_, **__: date)
        patch.setattr(encoding, "fromlocal", lambda text: text)
        parents = (repo.changelog.tip(), repo.nullid)
        extra = {b"branch": branch or b"default", b"other": value}
        made = context.memctx(repo, parents, message, [path], content, user=user, date=(date, date % 10**6), extra=extra)
        node = made.commit().hex()
    event = Event("0" * 32, "hg", text(repo.root), LATE, "x", "ssh", first=node, last=node)
    told = [strict(changes.read(event, Settings())) for _ in range(2)]
    assert told[0] == told[1]
    assert [commit["raw_node"] for commit in json.loads(told[0])["commits"]] == [node]
