"""The dialects of GitHub, Gitea and GitLab: the names those use, and what they say of each kind of push."""

from __future__ import annotations

import json
import uuid
from datetime import datetime

import jsonschema
import pytest
from githubkit import webhooks
from hypothesis import given
from hypothesis import strategies as st

from payload import dialects, samples
from tests.support.forge_schemas import SCHEMAS

COMPLETE = [name for name in samples.names() if name != "twitter-2008"]
ZEROS = "0" * 40
TEXT = st.text(st.characters(exclude_categories=()))


def requests(dialect, payload):
    return dialects.REQUESTS[dialect](samples.load(payload) if isinstance(payload, str) else payload)


def told(dialect, payload):
    return [(request.event, request.body["ref"]) for request in requests(dialect, payload)]


def push(dialect, payload):
    [found] = [request.body for request in requests(dialect, payload) if request.event in ("push", "Push Hook", "Tag Push Hook")]
    return found


@pytest.mark.parametrize("name", COMPLETE)
@pytest.mark.parametrize("dialect", SCHEMAS)
def test_exactly_the_names_of_the_service(dialect, name):
    for request in requests(dialect, name):
        jsonschema.validate(request.body, SCHEMAS[dialect][request.event])


@pytest.mark.parametrize("dialect", SCHEMAS)
def test_a_payload_of_2008_has_its_branch_and_commit(dialect):
    body = push(dialect, "twitter-2008")
    assert body["ref"] == "refs/heads/default"
    assert [commit["id"] for commit in body["commits"]] == ["e71c63bcc05e"]
    assert body["commits"][0]["modified"] == ["media/css/layout.css", "apps/bb/views.py", "templates/issues/issue.html"]


@pytest.mark.parametrize(
    ("sample", "github", "gitea", "gitlab"),
    [
        ("git-push", ["push refs/heads/main"], ["push refs/heads/main"], ["Push Hook refs/heads/main"]),
        ("git-rewind", ["push refs/heads/main"], ["push refs/heads/main"], ["Push Hook refs/heads/main"]),
        (
            "git-new-branch",
            ["create feature/whistle", "push refs/heads/feature/whistle"],
            ["create feature/whistle", "push refs/heads/feature/whistle"],
            ["Push Hook refs/heads/feature/whistle"],
        ),
        (
            "git-delete",
            ["delete feature/whistle", "push refs/heads/feature/whistle"],
            ["delete feature/whistle"],
            ["Push Hook refs/heads/feature/whistle"],
        ),
        (
            "git-tag",
            ["create v1.0", "push refs/tags/v1.0"],
            ["create v1.0", "push refs/tags/v1.0"],
            ["Tag Push Hook refs/tags/v1.0"],
        ),
        (
            "hg-two-branches",
            ["push refs/heads/stable", "push refs/heads/default"],
            ["push refs/heads/stable", "push refs/heads/default"],
            ["Push Hook refs/heads/stable", "Push Hook refs/heads/default"],
        ),
        ("hg-bookmark", ["push refs/heads/tea-time"], ["push refs/heads/tea-time"], ["Push Hook refs/heads/tea-time"]),
        ("alert", [], [], []),
    ],
)
def test_which_events_a_push_has(sample, github, gitea, gitlab):
    for dialect, expected in (("github", github), ("gitea", gitea), ("gitlab", gitlab)):
        assert [" ".join(row) for row in told(dialect, sample)] == expected


@pytest.mark.parametrize("dialect", SCHEMAS)
def test_a_deleted_tag(dialect):
    payload = samples.load("git-tag")
    payload["oberon"]["refs"][0] |= {"action": "delete", "old": "a" * 40, "new": None}
    events = {"github": ["delete", "push"], "gitea": ["delete", "push"], "gitlab": ["Tag Push Hook"]}
    assert [event for event, _ in told(dialect, payload)] == events[dialect]
    assert (push(dialect, payload)["before"], push(dialect, payload)["after"]) == ("a" * 40, ZEROS)


@pytest.mark.parametrize("dialect", SCHEMAS)
@pytest.mark.parametrize("kind", ["note", "other"])
def test_no_forge_tells_of_other_refs(dialect, kind):
    payload = samples.load("git-push")
    payload["oberon"]["refs"][0] |= {"kind": kind, "ref": "refs/notes/commits"}
    assert told(dialect, payload) == []


def test_what_github_says_of_a_push():
    body = push("github", "git-push")
    first, last = body["commits"]
    assert (body["before"], body["after"]) == (
        "7e3399d9b11fb743093ff6e81b371f85dc5f3dac",
        "a52e869ce8b9699205175451581a75a1eeb6a562",
    )
    assert (body["created"], body["deleted"], body["forced"]) == (False, False, False)
    assert body["compare"] == f"https://git.example.org/team/kettle/compare/{body['before']}...{body['after']}"
    assert body["head_commit"] == last
    assert first == {
        "id": "316a8ea92f86c5ade565761b6425bcacf4ab1301",
        "tree_id": "a72284fe30349ee52d59738d97db8bb54aeffe70",
        "distinct": True,
        "message": "Take the temperature of the tap, fixes #12\n\nUntil now every kettle began at 20 degrees.\n",
        "timestamp": "2026-03-28T17:40:12+01:00",
        "url": "https://git.example.org/team/kettle/commit/316a8ea92f86c5ade565761b6425bcacf4ab1301",
        "author": {"name": "Ada Byron", "email": "ada@example.org", "username": "ada"},
        "committer": {"name": "Ada Byron", "email": "ada@example.org"},
        "added": [],
        "removed": [],
        "modified": ["src/kettle.py"],
    }
    assert last["author"] == {"name": "Jürgen Müller", "email": "jm@example.net"}
    assert (last["added"], last["removed"]) == (["Grüner Tee.txt", "tests/test_kettle.py"], ["src/test_kettle.py"])
    assert body["repository"]["full_name"] == "team/kettle"
    assert body["repository"]["clone_url"] == "https://git.example.org/team/kettle"
    assert body["pusher"]["name"] == body["sender"]["login"] == "ada"


def test_the_repository_s_address_is_its_page_in_github_s_push_and_the_api_s_elsewhere():
    addresses = {request.event: request.body["repository"]["url"] for request in requests("github", "git-new-branch")}
    page = "https://git.example.org/team/kettle"
    assert addresses == {"create": "https://git.example.org/api/v3/repos/team/kettle", "push": page}
    assert not [request for request in requests("gitea", "git-new-branch") if "url" in request.body["repository"]]


def names(value, at=""):
    """The path of each key that there is."""
    if isinstance(value, list):
        return set().union(*(names(each, at) for each in value))
    if not isinstance(value, dict):
        return set()
    return {f"{at}.{key}" for key in value}.union(*(names(each, f"{at}.{key}") for key, each in value.items()))


@pytest.mark.parametrize("name", samples.names())
def test_github_s_own_description_of_its_webhooks_takes_all_of_it(name):
    for request in requests("github", name):
        read = webhooks.parse(request.event, json.dumps(request.body))
        assert names(read.model_dump(mode="json", by_alias=True, exclude_unset=True)) == names(request.body)


def test_a_rewind_is_forced_and_a_new_branch_created():
    assert push("github", "git-rewind")["forced"]
    assert push("github", "git-new-branch")["created"]
    assert push("github", "git-new-branch")["before"] == ZEROS
    gone = push("github", "git-delete")
    assert (gone["deleted"], gone["head_commit"], gone["commits"]) == (True, None, [])


def test_a_ref_at_an_old_commit_has_a_head_commit_all_the_same():
    head = push("github", "git-tag")["head_commit"]
    assert (head["message"], head["author"]["name"], head["timestamp"]) == (
        "Kettle 1.0\n\nThe first that whistles.\n",
        "Ada Byron",
        "2026-04-02T09:00:00+02:00",
    )
    light = push("github", "git-lightweight-tag")["head_commit"]
    assert (light["author"]["name"], light["message"]) == ("ada", "")
    assert datetime.fromisoformat(light["timestamp"]) == datetime.fromisoformat(
        samples.load("git-lightweight-tag")["oberon"]["time"]
    )


@pytest.mark.parametrize("dialect", ["github", "gitea"])
def test_the_head_commit_is_where_the_branch_is_also_if_a_filter_left_it_out(dialect):
    payload = samples.load("git-push")
    left_out = payload["commits"].pop()
    payload["oberon"]["refs"][0]["commits"].remove(left_out["node"])
    del payload["oberon"]["commits"][left_out["raw_node"]]
    body = push(dialect, payload)
    assert body["head_commit"]["id"] == body["after"] == left_out["raw_node"]
    assert [commit["id"] for commit in body["commits"]] == [payload["commits"][0]["raw_node"]]


@pytest.mark.parametrize("dialect", ["github", "gitea"])
def test_the_head_commit_of_an_annotated_tag_is_the_newest_that_it_brought(dialect):
    payload = samples.load("git-push")
    payload["oberon"]["refs"][0] |= {"kind": "tag", "ref": "refs/tags/v2", "name": "v2", "action": "create", "new": "b" * 40}
    body = push(dialect, payload)
    assert (body["after"], body["head_commit"]["id"]) == ("b" * 40, payload["commits"][-1]["raw_node"])


def test_gitea_tells_the_newest_first_and_how_many_there_were(many_commits):
    body = push("gitea", many_commits(40))
    assert [commit["message"] for commit in body["commits"]] == [f"Commit {n}" for n in range(39, 24, -1)]
    assert (body["total_commits"], body["head_commit"]["message"]) == (40, "Commit 39")


def test_gitlab_tells_the_newest_twenty_and_how_many_there_were(many_commits):
    body = push("gitlab", many_commits(40, left_out=60))
    assert [commit["title"] for commit in body["commits"]] == [f"Commit {n}" for n in range(20, 40)]
    assert body["total_commits_count"] == 100


def test_gitlab_has_the_committer_s_time_and_the_push_options_nested():
    payload = samples.load("git-push")
    payload["oberon"]["options"] = ["ci.skip", "ci.variable=A=1", "reviewed-by=grace", ".", "a."]
    body = push("gitlab", payload)
    assert body["commits"][1]["timestamp"] == "2026-03-30T08:15:30+02:00"
    assert body["push_options"] == {"ci": {"skip": True, "variable": "A=1"}}
    assert (push("gitlab", "git-delete")["checkout_sha"], push("gitlab", "git-tag")["message"][:10]) == (None, "Kettle 1.0")


@pytest.mark.parametrize("dialect", dialects.REQUESTS)
def test_a_request_keeps_its_id_and_no_two_have_the_same(dialect):
    seen = [request.id for name in samples.names() for request in requests(dialect, name)]
    assert seen == [request.id for name in samples.names() for request in requests(dialect, name)]
    assert len(set(seen)) == len(seen)
    assert all(str(uuid.UUID(each)) == each for each in seen)


def test_the_headers_say_which_event_it_is():
    [request] = requests("github", "git-push")
    assert request.headers == {
        "User-Agent": "GitHub-Hookshot/oberon",
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": request.id,
    }
    [request] = requests("gitea", "git-push")
    assert {request.headers[f"X-{service}-Delivery"] for service in ("Gitea", "Gogs", "GitHub")} == {request.id}
    assert {request.headers[f"X-{service}-Event"] for service in ("Gitea", "Gogs", "GitHub")} == {"push"}
    [request] = requests("gitlab", "git-tag")
    assert request.headers["X-Gitlab-Event"] == "Tag Push Hook"
    assert request.headers["X-Gitlab-Instance"] == "https://git.example.org"
    assert request.headers["Idempotency-Key"] == request.headers["X-Gitlab-Event-UUID"] == request.id


def test_json_is_all_but_what_is_nobody_s_business():
    payload = samples.load("git-push")
    [request] = requests("json", payload)
    assert request.body == {key: value for key, value in payload.items() if key not in ("broker", "service")}


def test_where_nobody_said_which_web_interface_there_is():
    payload = samples.load("git-push")
    payload["canon_url"] = ""
    payload["oberon"]["links"] = {"repository": None, "compare": None}
    for details in payload["oberon"]["commits"].values():
        details["url"] = None
    body = push("github", payload)
    assert {body["compare"], body["commits"][0]["url"], body["repository"]["html_url"]} == {"/team/kettle"}


@given(TEXT, TEXT, TEXT)
def test_whatever_was_pushed_stays_where_it_belongs(message, name, branch):
    payload = samples.load("git-push")
    payload["user"] = name
    payload["oberon"]["refs"][0] |= {"ref": f"refs/heads/{branch}", "name": branch}
    payload["commits"][0] |= {"message": message, "raw_author": name, "author": name}
    payload["oberon"]["commits"][payload["commits"][0]["raw_node"]]["author"]["name"] = name
    for dialect in SCHEMAS:
        [request] = requests(dialect, payload)
        body = json.loads(json.dumps(request.body))
        commit = min(body["commits"], key=lambda each: each["id"])
        assert (body["ref"], commit["message"]) == (f"refs/heads/{branch}", message)
        assert all(value.isascii() and value.isprintable() for value in request.headers.values())


@pytest.fixture
def many_commits():
    def make(count, left_out=0):
        payload = samples.load("git-push")
        [like] = payload["commits"][:1]
        payload["commits"] = [
            {**like, "node": f"{n:012x}", "raw_node": f"{n:040x}", "message": f"Commit {n}"} for n in range(count)
        ]
        payload["oberon"]["commits"] = {}
        payload["oberon"]["total_commits"] = count + left_out
        payload["oberon"]["refs"][0] |= {"commits": [commit["node"] for commit in payload["commits"]], "new": f"{count - 1:040x}"}
        return payload

    return make
