from __future__ import annotations

import os

import pytest

from brokers.cli import revisions
from brokers.cli.repository import find
from brokers.cli.sources import by_scm


@pytest.fixture(params=["git", "hg"])
def pushed(request, git_server, hg_server):
    """A source, and the event of a push of three commits to a repository of its kind; and their nodes."""
    server = {"git": git_server, "hg": hg_server}[request.param]()
    clone = server.clone()
    nodes = [clone.commit({"a.txt": f"{number}\n"}, message=f"change {number}") for number in (1, 2, 3)]
    clone.push(*(["HEAD:main"] if request.param == "git" else []))
    repository = find(os.fspath(server.path))
    if request.param == "git":
        event = revisions.git_push(repository, "0", "main", "main")
    else:
        event = revisions.hg_push(repository, "0", "tip")
    return by_scm()[request.param], event, nodes


def test_a_reading_tells_how_far_it_is(pushed):
    source, event, nodes = pushed
    told = []
    push = source.read(event, source.configuration(event.path).settings, frozenset(), (), lambda *counts: told.append(counts))
    assert [commit.node for commit in push.commits] == nodes
    assert (told[0], told[-1]) == ((0, 3), (3, 3))


def test_what_progress_raises_ends_the_reading(pushed):
    source, event, _ = pushed

    def stop(commits_read, commits_total):
        raise TimeoutError

    with pytest.raises(TimeoutError):
        source.read(event, source.configuration(event.path).settings, frozenset(), progress=stop)


def test_commits_one_by_one_are_those_of_the_push(pushed):
    source, event, _ = pushed
    settings = source.configuration(event.path).settings
    push = source.read(event, settings, frozenset())
    with source.opened(event, settings, frozenset()) as reading:
        assert (reading.repository, reading.user, reading.total_commits) == (push.repository, push.user, 3)
        assert tuple(reading.commits) == push.commits
