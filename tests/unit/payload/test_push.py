"""The facts of a push: what a spool record may hold, and what follows from a path or a raw name."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payload.push import Commit, Event, FileChange, FileType, MalformedEventError, Person, RefUpdate, Repository

RECORD = {
    "version": 1,
    "id": "0123456789abcdef" * 2,
    "scm": "git",
    "path": "/srv/git/team/kettle.git",
    "time": 1774853731.25,
    "login": "git",
    "source": "ssh",
    "refs": [["0" * 40, "a" * 40, "refs/heads/caf\udcff"]],
    "first": None,
    "last": None,
    "options": ["ci.skip"],
    "environment": {"GL_USER": "ada"},
}


def test_an_event_survives_its_record():
    event = Event.from_record(RECORD)
    assert event.refs == (RefUpdate(ref="refs/heads/caf\udcff", old="0" * 40, new="a" * 40),)
    assert event.time == 1774853731.25
    assert event.environment == {"GL_USER": "ada"}
    assert event.to_record() == RECORD
    assert Event.from_record(json.loads(json.dumps(event.to_record()))) == event


def test_an_event_of_mercurial_names_its_changesets():
    event = Event.from_record({**RECORD, "scm": "hg", "refs": [], "first": "b" * 40, "last": "c" * 40})
    assert (event.first, event.last, event.refs) == ("b" * 40, "c" * 40, ())


def test_the_optional_parts_of_a_record_may_be_absent():
    needed = {key: RECORD[key] for key in ("version", "id", "scm", "path", "time", "login", "source")}
    event = Event.from_record(needed)
    assert (event.refs, event.options, event.environment, event.first) == ((), (), {}, None)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"version": 2}, "event of version 2; this Oberon reads version 1"),
        ({"version": None}, "event of version None"),
        ({"id": "short"}, "event id 'short' is not 32 hex digits"),
        ({"id": "../../../../../../../../etc/passw"}, "is not 32 hex digits"),
        ({"id": "0123456789ABCDEF" * 2}, "is not 32 hex digits"),
        ({"scm": "svn"}, "scm 'svn' is neither git nor hg"),
        ({"path": "srv/git"}, "repository path 'srv/git' is not absolute"),
        ({"time": "noon"}, "ValueError"),
        ({"time": None}, "TypeError"),
        ({"time": float("nan")}, "time nan is no time"),
        ({"time": float("inf")}, "time inf is no time"),
        ({"time": 10**400}, "OverflowError"),
        ({"refs": [["a", "b"]]}, "ValueError"),
        ({"refs": 5}, "TypeError"),
        ({"first": 7}, "first 7 is no node"),
        ({"last": ["a" * 40]}, "is no node"),
        ({"environment": []}, "AttributeError"),
        ({"options": None}, "TypeError"),
    ],
)
def test_what_is_no_event_is_refused_with_its_reason(change, reason):
    with pytest.raises(MalformedEventError) as caught:
        Event.from_record({**RECORD, **change})
    assert reason in str(caught.value)


@pytest.mark.parametrize("missing", ["version", "id", "scm", "path", "time", "login", "source"])
def test_a_missing_key_is_named(missing):
    with pytest.raises(MalformedEventError, match=missing):
        Event.from_record({key: value for key, value in RECORD.items() if key != missing})


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(sorted(RECORD)), JSON_VALUES))
def test_any_json_is_an_event_or_is_refused(changes):
    try:
        event = Event.from_record({**RECORD, **changes})
    except MalformedEventError:
        return
    assert Event.from_record(event.to_record()) == event


def test_the_model_is_frozen():
    event = Event.from_record(RECORD)
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.path = "/elsewhere"  # type: ignore[misc]  # that is what is tested


@pytest.mark.parametrize(
    ("raw", "name", "email"),
    [
        ("Ada Byron <ada@example.org>", "Ada Byron", "ada@example.org"),
        ("Ada Byron  < ada@example.org >", "Ada Byron", "ada@example.org"),
        ("Ada Byron", "Ada Byron", ""),
        ("ada@example.org", "", "ada@example.org"),
        ("Ada at ada@example.org", "Ada at ada@example.org", ""),
        ("<ada@example.org>", "", "ada@example.org"),
        ("Ada <>", "Ada", ""),
        ("Ada <ada@example.org", "Ada", "ada@example.org"),
        ("Byron, Ada <ada@example.org> (office)", "Byron, Ada", "ada@example.org"),
        ("x, y@z <a@b>", "x, y@z", "a@b"),
        ("", "", ""),
    ],
)
def test_person(raw, name, email):
    person = Person.parse(raw, 5, 3600)
    assert (person.raw, person.name, person.email, person.time, person.offset_s) == (raw, name, email, 5, 3600)


@given(st.text(max_size=40))
def test_any_text_is_a_person(raw):
    person = Person.parse(raw)
    assert person.raw == raw
    assert person.name in raw
    assert person.email in raw


@pytest.mark.parametrize(
    ("path", "told", "expected"),
    [
        ("/srv/git/team/app.git", {}, ("team", "app", "app", "/team/app/")),
        ("/srv/git/team/app.git/", {}, ("team", "app", "app", "/team/app/")),
        ("/home/ada/app/.git", {}, ("ada", "app", "app", "/ada/app/")),
        ("/home/ada/app/.hg", {}, ("ada", "app", "app", "/ada/app/")),
        ("/srv/hg/app", {}, ("hg", "app", "app", "/hg/app/")),
        ("/app", {}, ("", "app", "app", "/app/")),
        ("/.git", {}, ("", "git", "git", "/git/")),
        ("/", {}, ("", "git", "git", "/git/")),
        ("/srv/git/team/.git.git", {}, ("team", ".git", ".git", "/team/.git/")),
        ("/srv/x/app.git", {"owner": "team"}, ("team", "app", "app", "/team/app/")),
        ("/srv/x/app.git", {"owner": ""}, ("", "app", "app", "/app/")),
        ("/srv/x/app.git", {"name": "The App"}, ("x", "The App", "app", "/x/app/")),
        ("/srv/x/app.git", {"slug": "a"}, ("x", "a", "a", "/x/a/")),
        ("/srv/x/app.git", {"absolute_url": "p/q"}, ("x", "app", "app", "/p/q/")),
        ("/srv/x/app.git", {"absolute_url": "//p/q//"}, ("x", "app", "app", "/p/q/")),
        ("/srv/x/app.git", {"absolute_url": "/"}, ("x", "app", "app", "/")),
    ],
)
def test_a_repository_follows_from_its_path(path, told, expected):
    repository = Repository.named("git", path, **told)
    assert (repository.owner, repository.name, repository.slug, repository.absolute_url) == expected


@pytest.mark.parametrize(
    ("told", "website", "canon_url"),
    [
        ({}, "", ""),
        ({"canon_url": "https://git.example.org"}, "https://git.example.org/", "https://git.example.org"),
        ({"canon_url": "https://git.example.org//"}, "https://git.example.org/", "https://git.example.org"),
        ({"canon_url": "https://git.example.org", "website": ""}, "", "https://git.example.org"),
        ({"website": "https://kettle.example.org/"}, "https://kettle.example.org/", ""),
    ],
)
def test_addresses_of_a_repository(told, website, canon_url):
    repository = Repository.named("hg", "/srv/hg/app", **told)
    assert (repository.website, repository.canon_url) == (website, canon_url)


def test_the_recipe_of_2009_gives_a_working_address():
    repository = Repository.named("hg", "/srv/hg/team/app", canon_url="https://hg.example.org/")
    assert repository.website + repository.absolute_url[1:] == "https://hg.example.org/team/app/"


def test_a_repository_whose_path_is_not_utf8_has_strict_names():
    repository = Repository.named("git", "/srv/te\udce4m/caf\udcc3\udca9.git")
    assert (repository.owner, repository.slug, repository.absolute_url) == ("te\ufffdm", "café", "/te\ufffdm/café/")


PERSON = Person.parse("Ada <ada@example.org>", 0, 0)


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        ((), 0),
        ((FileChange("new", FileType.ADDED, None, 10),), 10),
        ((FileChange("gone", FileType.REMOVED, 10, None),), -10),
        ((FileChange("piston/oauth.py", FileType.MODIFIED, 18847, 23013),), 4166),
        ((FileChange("piston/handler.py", FileType.MODIFIED, 4236, 4797),), 561),
        ((FileChange("a", FileType.MODIFIED, 5, 2), FileChange("b", FileType.ADDED, None, 1)), -2),
        ((FileChange("submodule", FileType.ADDED, None, 0),), 0),
        ((FileChange("a", FileType.ADDED, None, 9), FileChange("b", FileType.ADDED, size_known=False)), None),
    ],
)
def test_size_is_the_net_growth_of_the_listed_files(changes, size):
    commit = Commit("a" * 40, (), PERSON, None, "", None, None, changes)
    assert commit.size == size
