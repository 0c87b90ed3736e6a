from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brokers.render.status import ONE_COMMIT, SEVERAL_COMMITS, mastodon_length, plain_length, status, x_length
from payload import samples


def push(count=1, **keys):
    payload = samples.load("git-push")
    payload["commits"] = [{**payload["commits"][0], **keys}] * count
    payload["oberon"]["total_commits"] = count
    return payload


def said(payload, limit=280, one=ONE_COMMIT, several=SEVERAL_COMMITS, length=x_length):
    return status(payload, one, several, lambda text: length(text) <= limit)


def test_one_commit_is_said_as_bitbucket_said_it():
    commit = samples.load("twitter-2008")
    assert said(commit) == "jespern - e71c63bcc05e - adding bump button, issue #206 fixed"


def test_several_are_one_status():
    assert said(push(3)) == (
        "kettle: ada pushed 3 commits to main https://git.example.org/team/kettle/compare/"
        "7e3399d9b11fb743093ff6e81b371f85dc5f3dac...a52e869ce8b9699205175451581a75a1eeb6a562"
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("git-delete", "kettle: Branch feature/whistle deleted https://"),
        ("git-tag", "kettle: Tag v1.0 created https://"),
        ("hg-bookmark", "lid: Bookmark tea-time moved"),
        ("alert", "Oberon: 2 deliveries to ci of /srv/git/team/kettle.git given up"),
    ],
)
def test_pushes_without_commits_say_what_moved(name, expected):
    assert said(samples.load(name)).startswith(expected)


def test_what_is_too_long_loses_its_end_and_keeps_its_address():
    told = said(push(message="word " * 500), one="${commit.author}: ${commit.message} ${commit.url}")
    assert told.startswith("ada: word word")
    assert told.endswith("... https://git.example.org/team/kettle/commit/316a8ea92f86c5ade565761b6425bcacf4ab1301")
    assert 260 < x_length(told) <= 280


def test_an_address_that_leaves_no_room_is_left_out():
    told = said(push(message="word " * 500), 90, one="${commit.author}: ${commit.message} ${commit.url}", length=plain_length)
    assert told.startswith("ada: word word")
    assert told.endswith("...")
    assert "http" not in told
    assert said(push(3), 140, length=plain_length) == "kettle: ada pushed 3 commits to main"


def test_nobody_is_named_but_by_the_admin():
    told = said(push(message="thanks @ann and \uff20bob"), one="@team: ${commit.message}")
    assert told == "@team: thanks @\u200bann and \uff20\u200bbob"


def test_what_names_nothing_is_the_push_in_one_line():
    assert said(samples.load("twitter-2008"), one="${commit.url}") == "adding bump button, issue #206 fixed"


@pytest.mark.parametrize("length", [x_length, mastodon_length, plain_length])
@given(message=st.text(), author=st.text(), limit=st.integers(1, 300))
@settings(max_examples=60)
def test_it_fits_whatever_was_pushed(length, message, author, limit):
    told = said(push(message=message, author=author), limit, length=length)
    assert length(told) <= limit
    assert told.replace("\u200b", "").isprintable()


def test_a_long_message_is_no_work():
    started = time.perf_counter()
    assert x_length(said(push(message="a." * 32_000))) <= 280
    assert time.perf_counter() - started < 1


# The numbers are twitter-text's: github.com/twitter/twitter-text, config/v3.json and conformance/validate.yml (read at its HEAD).
@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("", 0),
        ("Hi http://test.co", 26),
        ("https://www.twitter.com/aloha " * 10, 240),
        ("x" * 285, 285),
        ("故人西辞黄鹤楼" * 20, 280),
        ("the故人", 7),
        ("A\u0301B", 2),
        ("😷👾😡🔥💩", 10),
        ("a\u200bb \u2014 \u2019", 8 - 1),
    ],
)
def test_a_length_as_x_counts(text, length):
    assert x_length(text) == length


@pytest.mark.parametrize("text", ["🙋🏽", "https://git.corp.lan/" + "a" * 80, "setup.py", "https://" + "a" * 70 + ".com/"])
def test_where_x_may_count_otherwise_it_is_not_less(text):
    assert x_length(text) >= min(23, len(text))
    if "://" in text:
        assert x_length(text) == len(text)


# docs.joinmastodon.org/user/posting/#links: "All links are counted as 23 characters"
@pytest.mark.parametrize(("text", "length"), [("a https://example.org/" + "x" * 90, 25), ("日本", 2), ("http://a.bc d", 25)])
def test_a_length_as_mastodon_counts(text, length):
    assert mastodon_length(text) == length
