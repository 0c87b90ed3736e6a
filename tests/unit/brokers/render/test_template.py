from __future__ import annotations

import json
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.errors import PermanentFailure
from brokers.fields import Field
from brokers.render.template import COMMIT, PUSH, Template, check_json, values_of, values_of_commit
from payload import samples

# Surrogates too: a payload of another maker, or an old one, may hold them.
ANY_TEXT = st.text(st.characters(exclude_categories=()))
SCALAR_TEXT = st.text(st.characters(exclude_categories=("Cs",)))


def expanded(template, place="text", **values):
    return Template.parse(template, values, place).expand(values)


def test_what_was_pushed_is_never_expanded_again():
    assert expanded("${user}: ${ref}", user="${ref}", ref="$${user}") == "${ref}: $${user}"


def test_what_is_not_known_is_empty():
    template = Template.parse("[${branch}${user}${count}]", PUSH)
    assert template.expand({"branch": None, "count": 0}) == "[0]"


@pytest.mark.parametrize(
    ("place", "written"),
    [
        ("text", r'Say "hi" & \x1b[1m go <b>'),
        ("lines", 'Say "hi"\n& \\x1b[1m\n\ngo <b>'),
        ("url", "Say%20%22hi%22%0D%0A%26%20%1B%5B1m%0A%0Ago%20%3Cb%3E%0A"),
        ("json", r"Say \"hi\"\r\n& \u001b[1m\n\ngo <b>\n"),
        ("form", "Say+%22hi%22%0D%0A%26+%1B%5B1m%0A%0Ago+%3Cb%3E%0A"),
    ],
)
def test_each_place_has_its_encoding(place, written):
    assert expanded("/${message}", place, message='Say "hi"\r\n& \x1b[1m\n\ngo <b>\n') == f"/{written}"


@given(ANY_TEXT)
def test_text_is_one_line_that_can_be_shown(value):
    assert expanded("a${x}b", x=value).isprintable()


@given(ANY_TEXT)
def test_lines_have_no_control_but_the_line_feed(value):
    assert all(line.isprintable() for line in expanded("${x}", "lines", x=value).split("\n"))


@given(SCALAR_TEXT, SCALAR_TEXT)
def test_json_comes_out_as_it_went_in(first, second):
    assert json.loads(expanded('{"a": "${x}", "b": ["${y}"]}', "json", x=first, y=second)) == {"a": first, "b": [second]}


@given(SCALAR_TEXT, SCALAR_TEXT)
def test_a_form_comes_out_as_it_went_in(first, second):
    assert parse_qs(expanded("a=${x}&b=${y}", "form", x=first, y=second), keep_blank_values=True) == {"a": [first], "b": [second]}


@given(SCALAR_TEXT, SCALAR_TEXT.filter(lambda value: {".", ".."}.isdisjoint(value.split("/"))))
def test_an_address_stays_in_its_place(query, part):
    parts = urlsplit(expanded("https://ci.example.org/a/${part}/b?c=${query}", "url", part=part, query=query))
    assert (parts.netloc, parts.fragment) == ("ci.example.org", "")
    assert [unquote(each) for each in parts.path.split("/")] == ["", "a", part, "b"]
    assert parse_qs(parts.query, keep_blank_values=True) == {"c": [query]}


@given(ANY_TEXT, st.sampled_from(["text", "lines", "url", "json", "form"]))
def test_what_comes_out_can_be_sent(value, place):
    expanded("${x}", place, x=value).encode("utf-8")


@pytest.mark.parametrize("value", [".", "..", "a/../b"])
@pytest.mark.parametrize("template", ["https://ci.example.org/jobs/${x}/build", "https://ci.example.org/jobs/${x}"])
def test_no_address_climbs(value, template):
    with pytest.raises(PermanentFailure, match="climb"):
        expanded(template, "url", x=value)
    assert expanded("https://ci.example.org/?x=${x}", "url", x=value) == f"https://ci.example.org/?x={quote(value, safe='')}"


@pytest.mark.parametrize("address", ["https://ci:a$$b@ci.example.org/$x", "https://ci.example.org/../a"])
def test_an_address_without_names_is_left_as_it_is(address):
    assert Template.parse(address, PUSH, "url").expand({}) == address


@pytest.mark.parametrize("name", samples.names())
def test_a_payload_has_each_name(name):
    payload = samples.load(name)
    assert values_of(payload).keys() == PUSH.keys()
    for commit in payload["commits"]:
        assert values_of_commit(payload, commit).keys() == COMMIT.keys()


def test_the_values_of_a_push():
    told = values_of(samples.load("git-push"))
    assert told == {
        "repository.name": "kettle",
        "repository.slug": "kettle",
        "repository.owner": "team",
        "repository.path": "team/kettle",
        "repository.scm": "git",
        "repository.url": "https://git.example.org/team/kettle/",
        "user": "ada",
        "count": 2,
        "branch": "main",
        "ref": "refs/heads/main",
        "kind": "branch",
        "action": "update",
        "old": "7e3399d9b11fb743093ff6e81b371f85dc5f3dac",
        "new": "a52e869ce8b9699205175451581a75a1eeb6a562",
        "url": told["compare"],
        "compare": "https://git.example.org/team/kettle/compare/"
        "7e3399d9b11fb743093ff6e81b371f85dc5f3dac...a52e869ce8b9699205175451581a75a1eeb6a562",
        "subject": "2 commits on main by Ada Byron and Jürgen Müller",
        "summary": "316a8ea92f86 Take the temperature of the tap, fixes #12\na52e869ce8b9 Prüfungen ziehen um",
        "event": "4bf5122f344554c53bde2ebb8cd2b7e3",
        "time": "2026-03-30T06:26:40.250+00:00",
    }


def test_the_values_of_a_commit():
    payload = samples.load("git-push")
    told = values_of_commit(payload, payload["commits"][0])
    assert {name: value for name, value in told.items() if name.startswith("commit.")} == {
        "commit.node": "316a8ea92f86",
        "commit.raw_node": "316a8ea92f86c5ade565761b6425bcacf4ab1301",
        "commit.author": "ada",
        "commit.raw_author": "Ada Byron <ada@example.org>",
        "commit.email": "ada@example.org",
        "commit.message": "Take the temperature of the tap, fixes #12\n\nUntil now every kettle began at 20 degrees.\n",
        "commit.subject": "Take the temperature of the tap, fixes #12",
        "commit.branch": "main",
        "commit.revision": 3,
        "commit.timestamp": "2026-03-28 18:40:12",
        "commit.utctimestamp": "2026-03-28 16:40:12+00:00",
        "commit.size": 21,
        "commit.url": "https://git.example.org/team/kettle/commit/316a8ea92f86c5ade565761b6425bcacf4ab1301",
    }


@pytest.mark.parametrize(
    ("sample", "told"),
    [
        ("git-delete", {"count": 0, "action": "delete", "new": None}),
        ("git-tag", {"kind": "tag", "ref": "refs/tags/v1.0", "branch": None, "summary": "Tag v1.0 created"}),
        ("hg-bookmark", {"kind": "bookmark"}),
        ("git-new-branch", {"url": "https://git.example.org/team/kettle/commit/4060183906868ce841fa0dbe9b25c065dd172436"}),
        ("alert", {"ref": None, "count": 0, "url": "https://git.example.org/team/kettle/"}),
        ("twitter-2008", {"count": 1, "event": None, "ref": None, "user": None}),
    ],
)
def test_other_pushes(sample, told):
    values = values_of(samples.load(sample))
    assert {name: values[name] for name in told} == told


def test_a_long_push_is_summed_up(payload, commit):
    pushed = payload([commit(f"Commit {n}") for n in range(12)], total_commits=1000)
    lines = values_of(pushed)["summary"].split("\n")
    assert lines[0] == "990 older"
    assert [line[13:] for line in lines[1:]] == [f"Commit {n}" for n in range(2, 12)]


@pytest.mark.parametrize("body", ['{"a": "${user}", "b": ${count}}', '["${subject}"]', "plain ${user}", "", "a=${user}"])
def test_what_begins_as_json_can_be_json(body):
    check_json(body)


@pytest.mark.parametrize("body", ['{"a": ${user}}', "{a: 1}", "[${subject}]", ' {"a": "${user}}'])
def test_what_begins_as_json_and_is_none_is_told(body):
    with pytest.raises(ValueError, match="write JSON"):
        check_json(body)


@pytest.mark.parametrize(
    ("type_name", "right", "wrong"),
    [
        ("push text", "${user} moved ${branch} for $$5", "${commit.node}"),
        ("commit text", "${user}: ${commit.subject}", "${commit.nodes}"),
        ("push url", "https://ci.example.org/${repository.slug}", "https://${repository.slug}/"),
        ("push url", "https://ci.example.org/${ref}", "ftp://ci.example.org/${ref}"),
        ("push url", "https://ci.example.org/", "ci.example.org/${repository.slug}"),
        ("push url", f"https://ci.example.org/{quote('$')}", "https://ci.example.org/${}"),
    ],
)
def test_a_field_takes_templates(type_name, right, wrong):
    field = Field("Text", type=type_name)
    assert field.value(right) == right
    with pytest.raises(ValueError, match="write"):
        field.value(wrong)
