import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.trackers.comment import MAX_COMMITS, Style, comment, told, untold
from payload import samples

EVERY_STYLE = pytest.mark.parametrize("style", Style)
ENDS = {Style.JIRA: "{noformat}", Style.REDMINE: "</pre>"}


def commit(node, message="Stop the drip\n", author="Ada <ada@example.org>", branch="main"):
    return {
        "node": node,
        "raw_node": node + "0" * 28,
        "message": message,
        "raw_author": author,
        "author": "ada",
        "branch": branch,
    }


def nodes(count):
    return [f"{number:012x}" for number in range(count)]


@EVERY_STYLE
def test_what_was_told_is_found_again(style):
    payload = samples.load("git-push")
    there = [comment(payload, payload["commits"][:1], style)]
    assert untold(payload["commits"], there) == payload["commits"][1:]
    there.append(comment(payload, payload["commits"][1:], style))
    assert untold(payload["commits"], ["me too", *there]) == []


def test_only_the_newest_commits_are_told_and_older_ones_not_the_next_time_either():
    commits = [commit(node) for node in nodes(MAX_COMMITS + 5)]
    assert told(commits) == commits[5:]
    said = comment(samples.load("git-push"), told(commits), Style.PLAIN)
    assert said.count("Commit ") == MAX_COMMITS
    assert untold(commits, [said]) == []


def test_without_a_link_a_branch_or_a_name():
    payload = samples.load("twitter-2008")
    assert comment(payload, payload["commits"], Style.PLAIN) == (
        "Commit e71c63bcc05e\n\nadding bump button, issue #206 fixed\n\njespern, in jespern/bitbucket"
    )


hostile = st.text(
    st.sampled_from("@#!~<>[]{}()*_`|:/\\&;+-=.1ax \n\r\t\x00\x1b\u202e\ud800ä\u2028"), max_size=60
) | st.sampled_from(["{noformat}", "</pre>", "@all", "<!here>", "![x](http://evil)", "/close", "```"])


@EVERY_STYLE
@given(message=hostile, author=hostile, branch=hostile)
def test_whatever_was_pushed_nothing_in_it_means_anything(style, message, author, branch):
    said = comment(samples.load("git-push"), [commit("316a8ea92f86", message, author, branch)], style)
    assert all(char.isprintable() or char in "\n\u200b" for char in said)
    assert len(said) < 2000
    assert said.encode()
    assert untold([commit("316a8ea92f86")], [said]) == []
    assert "@all" not in said
    assert "<!" not in said
    if style is Style.MARKDOWN:
        assert "![" not in said
        assert not any(line.startswith(("/", "#", ">", "- ", "```")) for line in said.split("\n"))
    end = ENDS.get(style)
    assert end is None or (said.count(end) == (2 if end == "{noformat}" else 1) and said.endswith(end))


@EVERY_STYLE
def test_a_long_subject_is_cut(style):
    assert len(comment(samples.load("git-push"), [commit("316a8ea92f86", "x" * 70_000, "y" * 70_000)], style)) < 500
