from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brokers.render.irc import MAX_BYTES, lines
from payload import samples


def push(count=1, **keys):
    payload = samples.load("git-push")
    commit = {**payload["commits"][0], **keys}
    payload["commits"] = [commit] * count
    payload["oberon"]["total_commits"] = count
    return payload


def test_one_commit_is_one_line():
    [line] = lines(push(), 5)
    said, link = line.rsplit(" ", 1)
    assert said == "team/kettle: Ada Byron main * 316a8ea92f86: Take the temperature of the tap, fixes #12"
    assert link == "https://git.example.org/team/kettle/commit/316a8ea92f86c5ade565761b6425bcacf4ab1301"


@pytest.mark.parametrize(("count", "max_lines", "expected"), [(2, 5, 3), (300, 5, 5), (300, 1, 1), (4, 5, 5)])
def test_several_are_a_summary_and_the_newest(count, max_lines, expected):
    told = lines(push(count), max_lines)
    assert len(told) == expected
    assert told[0].startswith(f"team/kettle: ada pushed {count} commits to main https://git.example.org/")


def test_the_newest_are_told():
    payload = samples.load("git-push")
    assert [line.split(": ")[1] for line in lines(payload, 2)][1:] == ["Jürgen Müller main * a52e869ce8b9"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("git-tag", "team/kettle: ada: tag v1.0 created"),
        ("git-delete", "team/kettle: ada: branch feature/whistle deleted"),
        ("hg-bookmark", "team/lid: hedy: bookmark tea-time moved"),
        ("alert", "2 deliveries to ci of /srv/git/team/kettle.git given up: HTTP 503 Service Unavailable oberon deliveries"),
    ],
)
def test_pushes_without_commits(name, expected):
    [line] = lines(samples.load(name), 5)
    assert line.startswith(expected), line


def test_a_payload_of_2008_will_do():
    [line] = lines(samples.load("twitter-2008"), 5)
    assert line == "jespern/bitbucket: jespern * e71c63bcc05e: adding bump button, issue #206 fixed"


@given(message=st.text(), author=st.text(), branch=st.text(), count=st.integers(1, 3))
@settings(max_examples=60)
def test_each_line_is_one_command_s_worth(message, author, branch, count):
    for line in lines(push(count, message=message, raw_author=author, author=author, branch=branch), 5):
        assert line.isprintable()
        assert 0 < len(line.encode()) <= MAX_BYTES


def test_what_is_too_long_loses_its_end_not_its_link():
    [line] = lines(push(message="日" * 5000), 5)
    assert len(line.encode()) <= MAX_BYTES
    assert "..." in line
    assert line.endswith("/commit/316a8ea92f86c5ade565761b6425bcacf4ab1301")


def test_a_branch_that_is_no_text_is_shown():
    payload = samples.load("git-push")
    payload["commits"] = [{**payload["commits"][0], "branch": "feature/" + "\udcff" * 100}]
    payload["oberon"]["total_commits"] = 1
    [line] = lines(payload, 5)
    line.encode()
