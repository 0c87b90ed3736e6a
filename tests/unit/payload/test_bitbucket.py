"""The classic form, as live receivers read it: exactly its own keys, and no name that would make it another's."""

import json
from urllib.parse import parse_qs, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payload import samples
from payload.dialects import bitbucket

# What Bitbucket's POST service documented from 2012 to 2015; written out here, not taken from the module.
TOP = {"canon_url", "commits", "repository", "truncated", "user"}
REPOSITORY = {"absolute_url", "fork", "is_private", "name", "owner", "scm", "slug", "website"}
COMMIT = {
    *("author", "branch", "files", "message", "node", "parents"),
    *("raw_author", "raw_node", "revision", "size", "timestamp", "utctimestamp"),
}
# Receivers choose another parser, or fail, when they meet these.
FORBIDDEN_AT_TOP = {
    "actor",
    "ref",
    "push",
    "changes",
    "pullRequest",
    "pullrequest",
    "project",
    "test",
    "broker",
    "service",
    "oberon",
}
FORBIDDEN_IN_REPOSITORY = {"url", "git_url", "clone_url", "links", "full_name", "fullName"}

COMPLETE = [name for name in samples.names() if name != "twitter-2008"]


@pytest.fixture(params=COMPLETE)
def payload(request):
    return samples.load(request.param)


def test_exactly_the_documented_keys(payload):
    written = bitbucket.write(payload)
    assert set(written) == TOP
    assert set(written["repository"]) == REPOSITORY
    assert all(set(commit) == COMMIT for commit in written["commits"])
    assert all(set(file) == {"file", "type"} for commit in written["commits"] for file in commit["files"])


def test_no_name_of_another_form(payload):
    written = bitbucket.write(payload)
    assert not FORBIDDEN_AT_TOP & set(written)
    assert not FORBIDDEN_IN_REPOSITORY & set(written["repository"])


def test_names_that_a_payload_grows_later_are_not_passed_on(payload):
    wilder = {
        **payload,
        **{name: {} for name in FORBIDDEN_AT_TOP - {"service", "broker", "oberon"}},
        "repository": {**payload["repository"], **dict.fromkeys(FORBIDDEN_IN_REPOSITORY, "x")},
        "commits": [{**commit, "url": "x", "diff": "x"} for commit in payload["commits"]],
    }
    assert bitbucket.write(wilder) == bitbucket.write(payload)


def test_values_are_those_of_the_payload(payload):
    written = bitbucket.write(payload)
    assert {key: written[key] for key in TOP} == {key: payload[key] for key in TOP}


def test_what_receivers_join_and_parse(payload):
    written = bitbucket.write(payload)
    repository = written["repository"]
    assert repository["absolute_url"].startswith("/")
    assert repository["absolute_url"].endswith("/")
    assert not written["canon_url"].endswith("/")
    assert repository["scm"] in ("git", "hg")
    assert isinstance(repository["owner"], str)
    for commit in written["commits"]:
        assert commit["raw_node"].startswith(commit["node"])
        assert (len(commit["node"]), len(commit["raw_node"])) == (12, 40)
        assert commit["utctimestamp"].endswith("+00:00")
        assert commit["branch"]
        assert {file["type"] for file in commit["files"]} <= {"added", "modified", "removed"}


def test_the_form_decodes_to_what_was_written(payload):
    fields = parse_qs(bitbucket.form(payload).decode("ascii"), strict_parsing=True, keep_blank_values=True)
    assert list(fields) == ["payload"]
    [body] = fields["payload"]
    assert json.loads(body) == bitbucket.write(payload)


@pytest.mark.parametrize("message", ["a&b=c", "100 %", "a+b c", "Grüße 日本 😀\n", '"\\\u2028\0', "%26payload=x"])
def test_no_text_leaves_its_field(message):
    payload = samples.load(COMPLETE[0])
    payload["user"] = message
    [body] = parse_qs(bitbucket.form(payload).decode("ascii"), strict_parsing=True)["payload"]
    assert json.loads(body)["user"] == message


@given(st.text(st.characters(exclude_categories=())))
def test_the_form_is_what_the_standard_library_would_make_of_it(message):
    payload = {"commits": [], "repository": {}, "user": message}
    assert bitbucket.form(payload) == urlencode({"payload": json.dumps(bitbucket.write(payload))}).encode("ascii")


def test_a_payload_without_the_later_keys_is_written_without_them():
    written = bitbucket.write(samples.load("twitter-2008"))
    assert set(written) == {"commits", "repository"}
    assert set(written["repository"]) == {"absolute_url", "name", "owner", "slug", "website"}
    assert set(written["commits"][0]) == {"author", "files", "message", "node", "revision", "size"}


def test_writing_leaves_the_payload_alone(payload):
    before = json.dumps(payload)
    bitbucket.form(payload)
    assert json.dumps(payload) == before


def test_headers_by_which_receivers_know_it():
    assert bitbucket.CONTENT_TYPE == "application/x-www-form-urlencoded"
    assert bitbucket.HEADERS["X-Event-Key"] == "repo:push"
    assert bitbucket.HEADERS["User-Agent"] == "Bitbucket.org"
