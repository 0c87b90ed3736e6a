"""The samples are what `build` makes, and the first is the example of the original documentation."""

import ast
import json

import pytest
from jsonschema import Draft202012Validator

from payload import samples, schema
from tests.support.sample_pushes import FOLDER, SAMPLES, written

# "Writing Brokers", 2008, to the letter.
DOCUMENTED = """
{'broker': u'twitter',
 'commits': [{ 'author': u'jespern',
               'files': [{'file': u'media/css/layout.css',
                           'type': u'modified'},
                          {'file': u'apps/bb/views.py',
                           'type': u'modified'},
                          {'file': u'templates/issues/issue.html',
                           'type': u'modified'}],
               'message': u'adding bump button, issue #206 fixed',
               'node': u'e71c63bcc05e',
               'revision': 1650,
               'size': 684}],
 'repository': { 'absolute_url': u'/jespern/bitbucket/',
                 'name': u'bitbucket',
                 'owner': u'jespern',
                 'slug': u'bitbucket',
                 'website': u'http://bitbucket.org/'},
 'service': {'password': u'bar', u'username': u'foo'}}
"""


def leaves(value, place=()):
    """(place, type, value) of everything in a payload, so that a difference names its key."""
    if isinstance(value, dict):
        yield (*place, "keys"), dict, frozenset(value)
        for key, item in value.items():
            yield from leaves(item, (*place, key))
    elif isinstance(value, list):
        yield (*place, "length"), list, len(value)
        for number, item in enumerate(value):
            yield from leaves(item, (*place, number))
    else:
        yield place, type(value), value


def test_the_documented_example_key_by_key_and_value_by_value():
    documented = ast.literal_eval(DOCUMENTED.strip())
    assert sorted(leaves(samples.load("twitter-2008")), key=str) == sorted(leaves(documented), key=str)


def test_all_that_was_documented_then_is_there_now():
    then, now = samples.load("twitter-2008"), samples.load("git-push")
    assert set(then) <= set(now)
    assert set(then["repository"]) <= set(now["repository"])
    assert set(then["commits"][0]) <= set(now["commits"][0])
    assert set(then["commits"][0]["files"][0]) == set(now["commits"][0]["files"][0])


def test_there_is_a_push_for_each_sample_and_a_sample_for_each_push():
    assert samples.names() == sorted([*SAMPLES, "twitter-2008"])
    assert samples.of_today() == sorted(SAMPLES)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_what_build_makes_of_its_push(name):
    """After a change of the payload: python -m tests.support.sample_pushes."""
    assert samples.load(name) == SAMPLES[name].payload()
    assert (FOLDER / f"{name}.json").read_text("utf-8") == written(SAMPLES[name].payload())


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_keeps_the_contract(name):
    Draft202012Validator(schema.document()).validate(samples.load(name))


def test_the_samples_show_what_their_names_say():
    refs = {name: samples.load(name)["oberon"]["refs"] for name in SAMPLES}
    assert [(ref["kind"], ref["action"]) for name in refs for ref in refs[name]] == [
        ("branch", "update"),
        ("branch", "create"),
        ("tag", "create"),
        ("branch", "rewind"),
        ("branch", "delete"),
        ("branch", "update"),
        ("branch", "update"),
        ("tag", "create"),
        ("branch", "create"),
        ("branch", "update"),
        ("branch", "update"),
        ("branch", "update"),
        ("bookmark", "update"),
        ("branch", "create"),
    ]
    assert ["tagger" in refs[name][0] for name in ("git-tag", "git-lightweight-tag")] == [True, False]
    assert [len(commit["parents"]) for commit in samples.load("git-merge")["commits"]] == [1, 2]
    assert (samples.load("git-reconciled")["user"], samples.load("git-reconciled")["oberon"]["source"]) == ("", "reconcile")
    assert samples.load("alert")["oberon"]["alert"]["kind"] == "dead"
    cut = samples.load("git-truncated")
    assert (cut["truncated"], len(cut["commits"]), cut["oberon"]["total_commits"]) == (True, 2, 3)
    assert {mark for details in cut["oberon"]["commits"].values() for mark in details["truncated"]} == {"files", "message"}
    assert [commit["branch"] for commit in samples.load("hg-two-branches")["commits"]] == ["stable", "default"]


def test_load_gives_a_fresh_copy():
    samples.load("git-push").clear()
    assert samples.load("git-push")


@pytest.mark.parametrize("name", ["no-such", "", "../schema", "__init__", "git-push.json"])
def test_an_unknown_sample_is_told_with_those_there_are(name):
    with pytest.raises(samples.UnknownSampleError) as caught:
        samples.load(name)
    assert str(caught.value).startswith(f"there is no sample {name!r}; there are: alert, git-delete, ")
    assert (caught.value.name, caught.value.known) == (name, samples.names())


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_a_sample_holds_no_address_of_a_real_server(path):
    # RFC 2606; the one of 2008 says what the documentation said.
    sample = json.loads(path.read_text("utf-8"))
    if path.stem != "twitter-2008":
        assert "example.org" in sample["canon_url"]
        assert "example.org" in sample["service"]["url"]
