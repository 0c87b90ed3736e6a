"""The published contract and the TypedDicts say the same, and refuse what no payload may hold."""

import doctest
import types
from pathlib import Path
from typing import Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

import pytest
from jsonschema import Draft202012Validator

from payload import samples, schema
from payload.build import SCHEMA_VERSION
from payload.dialects import bitbucket

DOCUMENT = schema.document()
CONTRACT = Draft202012Validator(DOCUMENT)

# Where each TypedDict stands in the schema.
PLACES = [
    (schema.Payload, DOCUMENT),
    (schema.Repository, DOCUMENT["$defs"]["repository"]),
    (schema.Commit, DOCUMENT["$defs"]["commit"]),
    (schema.File, DOCUMENT["$defs"]["file"]),
    (schema.Oberon, DOCUMENT["$defs"]["oberon"]),
    (schema.Ref, DOCUMENT["$defs"]["ref"]),
    (schema.DroppedCommit, DOCUMENT["$defs"]["dropped_commit"]),
    (schema.Links, DOCUMENT["$defs"]["links"]),
    (schema.CommitDetails, DOCUMENT["$defs"]["commit_details"]),
    (schema.FileSizes, DOCUMENT["$defs"]["file_sizes"]),
    (schema.Person, DOCUMENT["$defs"]["person"]),
    (schema.Alert, DOCUMENT["$defs"]["alert"]),
    (schema.Filtered, DOCUMENT["$defs"]["filtered"]),
]
BY_PLACE = pytest.mark.parametrize(("typed", "part"), PLACES, ids=lambda value: getattr(value, "__name__", ""))

JSON_TYPES = {str: "string", int: "integer", bool: "boolean", type(None): "null"}


def of_hint(hint: Any) -> Any:
    """What a type says about a JSON value, to compare with `of_schema`."""
    origin = get_origin(hint)
    if origin is NotRequired:
        return of_hint(get_args(hint)[0])
    if origin is Literal:
        return frozenset(get_args(hint))
    if origin in (Union, types.UnionType):
        return frozenset().union(*(of_hint(member) for member in get_args(hint)))
    if is_typeddict(hint):
        return frozenset({hint.__name__})
    if origin is list:
        return frozenset({("list", of_hint(get_args(hint)[0]))})
    if origin is dict:
        value = get_args(hint)[1]
        return frozenset({("object", None if value is Any else of_hint(value))})
    return frozenset({JSON_TYPES[hint]})


def of_schema(part: dict[str, Any]) -> Any:
    """What a part of the schema says, in the same words."""
    if "$ref" in part:
        target = DOCUMENT["$defs"][part["$ref"].rpartition("/")[2]]
        name = next((typed.__name__ for typed, place in PLACES if place is target), None)
        return frozenset({name}) if name else of_schema(target)
    if "anyOf" in part:
        return frozenset().union(*map(of_schema, part["anyOf"]))
    if "enum" in part:
        return frozenset(part["enum"])
    if "const" in part:
        return frozenset({part["const"]})
    if part["type"] == "array":
        return frozenset({("list", of_schema(part["items"]))})
    if part["type"] == "object":
        values = part.get("additionalProperties")
        return frozenset({("object", of_schema(values) if values else None)})
    return frozenset({part["type"]} if isinstance(part["type"], str) else part["type"])


def test_the_document_is_a_valid_schema_of_its_version():
    Draft202012Validator.check_schema(DOCUMENT)
    assert DOCUMENT["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert DOCUMENT["$id"] == schema.URN == f"urn:oberon:payload:{SCHEMA_VERSION}"
    assert DOCUMENT["$defs"]["oberon"]["properties"]["version"]["const"] == SCHEMA_VERSION


def test_document_gives_a_fresh_copy():
    schema.document().clear()
    assert schema.document() == DOCUMENT


@BY_PLACE
def test_types_and_schema_have_the_same_keys(typed, part):
    assert set(typed.__annotations__) == set(part["properties"])
    assert typed.__required_keys__ == frozenset(part["required"])


@BY_PLACE
def test_types_and_schema_allow_the_same_values(typed, part):
    hints = get_type_hints(typed, include_extras=True)
    assert {key: of_hint(hint) for key, hint in hints.items()} == {key: of_schema(part["properties"][key]) for key in hints}


def test_every_definition_has_its_type():
    typed = [place for _, place in PLACES]
    objects = [name for name, part in DOCUMENT["$defs"].items() if part["type"] == "object" and part not in typed]
    assert objects == []


@BY_PLACE
def test_everything_is_described(typed, part):
    assert part["description"]
    assert typed.__doc__
    for key, value in part["properties"].items():
        target = DOCUMENT["$defs"][value["$ref"].rpartition("/")[2]] if "$ref" in value else value
        assert value.get("description") or target.get("description"), key


@pytest.mark.parametrize("name", ["repository", "commit", "file", "oberon"])
def test_the_closed_parts_are_closed(name):
    assert DOCUMENT["$defs"][name]["additionalProperties"] is False
    assert DOCUMENT["additionalProperties"] is False


def test_the_classic_form_is_the_closed_parts():
    written = bitbucket.write(samples.load("git-push"))
    assert set(written) == set(DOCUMENT["required"]) - {"broker", "service", "oberon"}
    assert set(written["repository"]) == set(DOCUMENT["$defs"]["repository"]["required"])
    assert set(written["commits"][0]) == set(DOCUMENT["$defs"]["commit"]["required"])


def changed(place, value):
    payload = samples.load("git-push")
    part = payload
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    return payload


FIRST = "316a8ea92f86c5ade565761b6425bcacf4ab1301"


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("actor",), {}),
        (("push",), {}),
        (("repository", "links"), {}),
        (("repository", "owner"), {"username": "ada"}),
        (("repository", "scm"), "svn"),
        (("repository", "absolute_url"), "/team/kettle"),
        (("repository", "absolute_url"), "team/kettle/"),
        (("repository", "fork"), None),
        (("canon_url",), "https://git.example.org/"),
        (("canon_url",), None),
        (("service", "URL"), "x"),
        (("commits",), None),
        (("commits", 0, "diff"), "x"),
        (("commits", 0, "node"), "316A8EA92F86"),
        (("commits", 0, "node"), FIRST),
        (("commits", 0, "raw_node"), FIRST[:12]),
        (("commits", 0, "parents"), [FIRST]),
        (("commits", 0, "author"), None),
        (("commits", 0, "message"), None),
        (("commits", 0, "revision"), "3"),
        (("commits", 0, "size"), 1.5),
        (("commits", 0, "size"), True),
        (("commits", 0, "timestamp"), "2026-03-28T18:40:12"),
        (("commits", 0, "utctimestamp"), "2026-03-28 18:40:12+02:00"),
        (("commits", 0, "files", 0, "type"), "renamed"),
        (("commits", 0, "files", 0, "old_size"), 5),
        (("truncated",), 0),
        (("oberon", "version"), 2),
        (("oberon", "event"), "x"),
        (("oberon", "time"), "2026-03-30"),
        (("oberon", "source"), "carrier pigeon"),
        (("oberon", "extra"), 1),
        (("oberon", "refs", 0, "kind"), "head"),
        (("oberon", "refs", 0, "action"), "push"),
        (("oberon", "refs", 0, "old"), "0"),
        (("oberon", "refs", 0, "dropped"), -1),
        (("oberon", "commits", "abc"), {}),
        (("oberon", "commits", FIRST, "truncated"), ["nonsense"]),
        (("oberon", "commits", FIRST, "author"), "Ada"),
        (("oberon", "commits", FIRST, "committer", "date"), "yesterday"),
    ],
)
def test_what_breaks_the_contract_is_refused(place, value):
    assert not CONTRACT.is_valid(changed(place, value))


@pytest.mark.parametrize(
    "place", [("broker",), ("service",), ("oberon",), ("commits", 0, "branch"), ("repository", "scm"), ("oberon", "refs")]
)
def test_what_lacks_a_key_is_refused(place):
    payload = samples.load("git-push")
    part = payload
    for key in place[:-1]:
        part = part[key]
    del part[place[-1]]
    assert not CONTRACT.is_valid(payload)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("commits", 0, "branch"), None),
        (("commits", 0, "revision"), None),
        (("commits", 0, "size"), None),
        (("commits", 0, "size"), -684),
        (("commits", 0, "timestamp"), None),
        (("commits", 0, "utctimestamp"), None),
        (("commits", 0, "parents"), []),
        (("commits", 0, "raw_node"), "a" * 64),
        (("commits",), []),
        (("canon_url",), ""),
        (("repository", "owner"), ""),
        (("repository", "absolute_url"), "/"),
        (("repository", "absolute_url"), "/te\nam/kettle/"),
        (("service",), {}),
        (("service", "anything"), {"nested": [1, None]}),
        (("oberon", "sequence"), None),
        (("oberon", "refs", 0, "dropped"), None),
        (("oberon", "refs", 0, "later"), "a key of a later release"),
        (("oberon", "commits", FIRST, "diff"), "+x"),
        (("oberon", "commits", FIRST, "committer"), None),
    ],
)
def test_what_the_contract_leaves_open_is_accepted(place, value):
    CONTRACT.validate(changed(place, value))


def test_the_payload_of_2008_was_a_smaller_one():
    missing = {error.validator for error in CONTRACT.iter_errors(samples.load("twitter-2008"))}
    assert missing == {"required"}, "it lacks keys, and holds nothing that is wrong"


README = Path(schema.__file__).with_name("README.md")


@BY_PLACE
def test_the_readme_names_every_key(typed, part):
    assert [key for key in part["properties"] if f"`{key}`" not in README.read_text("utf-8")] == []


def test_the_readmes_example_is_true():
    assert doctest.testfile(str(README), module_relative=False).failed == 0
