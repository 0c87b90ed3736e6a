"""What `post` sends, as Buildbot's own change hooks read it."""

from __future__ import annotations

import pytest

from brokers.delivery.outcome import Verdict
from payload import samples
from tests.support.buildbot_hooks import serving
from tests.support.failing_service import outcome_of

SECRET = "open sesame"
FORMATS = ("bitbucket", "github", "gitlab")
FIRST, LAST = "316a8ea92f86c5ade565761b6425bcacf4ab1301", "a52e869ce8b9699205175451581a75a1eeb6a562"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    dialects = {"bitbucket": True, "github": {"secret": SECRET, "strict": True}, "gitlab": {"secret": SECRET}}
    with serving(tmp_path_factory.mktemp("buildbot") / "changes", dialects) as hooks:
        yield hooks


@pytest.fixture
def hooks(running):
    running.forget()
    return running


def outcome(hooks, dialect, payload, **options):
    settings = {"broker": "post", "url": hooks.url + dialect, "format": dialect, "secret": SECRET, **options}
    return outcome_of(settings, samples.load(payload))


def changes(hooks, dialect, payload, **options):
    told = outcome(hooks, dialect, payload, **options)
    assert told.verdict is Verdict.DELIVERED, told.reason
    return hooks.changes()


@pytest.mark.parametrize("dialect", FORMATS)
def test_each_commit_of_a_push_is_a_change(hooks, dialect):
    first, last = changes(hooks, dialect, "git-push")
    assert (first["revision"], last["revision"]) == (FIRST, LAST)
    assert {first["branch"], last["branch"]} == {"main"}
    assert (first["author"], last["author"]) == ("Ada Byron <ada@example.org>", "Jürgen Müller <jm@example.net>")
    assert first["comments"] == "Take the temperature of the tap, fixes #12\n\nUntil now every kettle began at 20 degrees.\n"
    assert sorted(last["files"]) == ["Grüner Tee.txt", "src/test_kettle.py", "tests/test_kettle.py"]
    assert first["when_timestamp"] == 1_774_716_012  # 2026-03-28T16:40:12Z
    assert first["src"] == "git"
    assert first["revlink"].startswith("https://git.example.org/team/kettle/commit")
    assert first["repository"].rstrip("/") == "https://git.example.org/team/kettle"


@pytest.mark.parametrize("dialect", FORMATS)
def test_two_branches_of_mercurial(hooks, dialect):
    found = changes(hooks, dialect, "hg-two-branches")
    assert [(change["branch"], change["revision"][:12]) for change in found] == [
        ("stable", "71cc52335a06"),
        ("default", "0fec9ae38869"),
    ]


@pytest.mark.parametrize("content", ["json", "form"])
def test_github_in_either_form(hooks, content):
    assert [change["revision"] for change in changes(hooks, "github", "git-push", content=content)] == [FIRST, LAST]


def test_a_tag_is_built_by_github_s_hook(hooks):
    [change] = changes(hooks, "github", "git-tag")
    assert (change["branch"], change["category"], change["author"]) == ("v1.0", "tag", "Ada Byron <ada@example.org>")


@pytest.mark.parametrize("dialect", FORMATS)
@pytest.mark.parametrize(
    "payload", ["git-delete", "git-lightweight-tag", "hg-bookmark", "git-rewind", "git-new-branch", "git-merge"]
)
def test_no_push_is_an_error_to_it(hooks, dialect, payload):
    changes(hooks, dialect, payload)


@pytest.mark.parametrize("dialect", ["github", "gitlab"])
@pytest.mark.parametrize("secret", ["open says me", ""])
def test_it_refuses_a_wrong_secret(hooks, dialect, secret):
    told = outcome(hooks, dialect, "git-push", secret=secret)
    assert (told.verdict, told.reason[:8]) == (Verdict.RETRY, "HTTP 400")
    assert hooks.changes() == []
