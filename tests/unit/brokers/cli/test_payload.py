from __future__ import annotations

import json
from importlib import resources

import jsonschema
import pytest

from payload.dialects import bitbucket


@pytest.fixture
def clone(git_server):
    clone = git_server("team/app.git").clone()
    for number in (1, 2, 3):
        clone.commit({"a.txt": f"{number}\n" * number}, message=f"change {number}\n")
    clone.git("tag", "-a", "v1", "-m", "one")
    clone.push("HEAD:main", "v1")
    return clone


def test_a_push_as_it_would_be_read(clone, git_server, oberon, tmp_path):
    ran = oberon("payload", tmp_path / "team/app.git", "main~2", "main", "refs/heads/main")
    assert ran.code == 0
    told = ran.json()
    assert [commit["message"] for commit in told["commits"]] == ["change 2\n", "change 3\n"]
    assert told["oberon"]["refs"][0]["ref"] == "refs/heads/main"
    schema = json.loads(resources.files("payload").joinpath("payload.schema.json").read_text("utf-8"))
    jsonschema.validate(told, schema)
    assert ran.out.startswith('{\n  "broker": ""')


def test_nothing_is_recorded(clone, oberon, tmp_path):
    oberon("payload", tmp_path / "team/app.git", "main~2", "main", "main")
    assert not (tmp_path / "home" / ".local" / "state" / "oberon").exists()


@pytest.mark.parametrize("zero", ["0", "0" * 40])
def test_a_new_branch_and_a_deleted_one(clone, oberon, tmp_path, zero):
    made = oberon("payload", tmp_path / "team/app.git", zero, "main", "main").json()
    assert len(made["commits"]) == 3
    assert made["oberon"]["refs"][0]["action"] == "create"
    gone = oberon("payload", tmp_path / "team/app.git", "main", zero, "refs/heads/gone").json()
    assert gone["oberon"]["refs"][0]["action"] == "delete"


def test_a_tag_is_not_peeled(clone, oberon, tmp_path):
    told = oberon("payload", tmp_path / "team/app.git", "0", "v1", "v1").json()
    [ref] = told["oberon"]["refs"]
    assert (ref["ref"], ref["kind"], ref["message"]) == ("refs/tags/v1", "tag", "one\n")


def test_as_a_dialect(clone, oberon, tmp_path):
    arguments = ["payload", tmp_path / "team/app.git", "main~1", "main", "main"]
    assert oberon(*arguments, "--dialect", "bitbucket").json() == bitbucket.write(oberon(*arguments).json())
    assert oberon(*arguments, "--dialect", "esperanto").code == 2


@pytest.mark.parametrize(("dialect", "event"), [("github", "push"), ("gitea", "push"), ("gitlab", "Push Hook")])
def test_as_the_requests_of_a_forge(clone, oberon, tmp_path, dialect, event):
    arguments = ["payload", tmp_path / "team/app.git", "main~1", "main", "main"]
    [request] = oberon(*arguments, "--dialect", dialect).json()
    assert (request["event"], request["body"]["ref"]) == (event, "refs/heads/main")
    assert event in request["headers"].values()
    assert [commit["id"] for commit in request["body"]["commits"]] == [oberon(*arguments).json()["commits"][0]["raw_node"]]


def test_as_a_service_gets_it(clone, git_server, oberon, tmp_path, run):
    path = tmp_path / "team/app.git"
    for key, value in {"broker": "email", "to": "a@example.org", "password": "hunter2"}.items():
        run(["git", f"--git-dir={path}", "config", f"service.mail.{key}", value])
    told = oberon("payload", path, "main~1", "main", "main", "--service", "mail").json()
    assert (told["broker"], told["service"]["to"], told["service"]["password"]) == ("email", ["a@example.org"], "****")
    run(["git", f"--git-dir={path}", "config", "service.mail.refs", "other"])
    assert "skipped: refs filter" in oberon("payload", path, "main~1", "main", "main", "--service", "mail").err
    assert "there are: mail" in oberon("payload", path, "main~1", "main", "main", "--service", "male").err


def test_a_line_for_each_commit(clone, git_server, oberon, tmp_path, run):
    path = tmp_path / "team/app.git"
    told = oberon("payload", path, "0", "main", "main").json()
    run(["git", f"--git-dir={path}", "config", "oberon.maxCommits", "1"])
    assert len(oberon("payload", path, "0", "main", "main").json()["commits"]) == 1
    ran = oberon("payload", "--lines", path, "0", "main", "main")
    lines = [json.loads(line) for line in ran.out.splitlines()]
    assert lines == [{**commit, "oberon": told["oberon"]["commits"][commit["raw_node"]]} for commit in told["commits"]]
    assert oberon("payload", "--lines", path, "main", "0", "refs/heads/gone").out == ""
    assert oberon("payload", "--lines", "--dialect", "bitbucket", path, "0", "main", "main").code == 2


def test_wrong_settings_are_told(clone, oberon, tmp_path, run):
    path = tmp_path / "team/app.git"
    for key, value in {"oberon.maxCommits": "many", "service.ci.broker": "post", "service.ci.url": "ftp://h"}.items():
        run(["git", f"--git-dir={path}", "config", key, value])
    ran = oberon("payload", path, "main~1", "main", "main")
    assert (ran.code, len(ran.json()["commits"])) == (0, 1)
    [told] = ran.err.splitlines()
    assert told.startswith(f"warning: oberon.maxCommits in {path}/config: ")
    assert f"error: {told.removeprefix('warning: ')}" in oberon("services", path).out
    ran = oberon("payload", path, "main~1", "main", "main", "--service", "ci")
    assert ran.code == 0
    assert [line.split(" in ")[0] for line in ran.err.splitlines()] == ["warning: oberon.maxCommits", "warning: service.ci.url"]


def test_a_ref_that_does_not_count_is_told(clone, oberon, tmp_path, run):
    path = tmp_path / "team/app.git"
    ran = oberon("payload", path, "0", "main", "refs/notes/review")
    assert (ran.code, ran.json()["oberon"]["refs"]) == (0, [])
    told = "warning: refs/notes/review begins with none of oberon.refs (refs/heads/ refs/tags/): a push to it tells nobody\n"
    assert ran.err == told
    assert oberon("payload", "--lines", path, "0", "main", "refs/notes/review").err == told
    assert oberon("payload", path, "0", "main", "main").err == ""
    run(["git", f"--git-dir={path}", "config", "oberon.refs", "refs/notes/"])
    ran = oberon("payload", path, "0", "main", "refs/notes/review")
    assert (ran.err, len(ran.json()["oberon"]["refs"])) == ("", 1)


def test_the_help_is_wrapped_and_names_what_cannot_be_tried(oberon):
    ran = oberon("payload", "--help")
    described = ran.out.partition("positional arguments:")[0]
    assert max(map(len, described.splitlines())) <= 100
    assert "bookmarks" in described
    assert "other refs hold" in " ".join(described.split())


@pytest.mark.parametrize("arguments", [[], ["app.git"]])
def test_what_is_missing_is_named_as_in_the_usage(oberon, arguments):
    ran = oberon("payload", *arguments)
    assert ran.code == 2
    assert ran.err.splitlines()[-1].endswith("OLD NEW REF / FIRST LAST")
    assert "REVISION" not in ran.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nosuch", "main", "main"], "no revision 'nosuch'"),
        (["--", "--all", "main", "main"], "no revision '--all'"),
        (["main~1", "main", "nosuch"], "no ref 'nosuch'"),
        (["0", "0", "main"], "from nothing to nothing"),
        (["main~1", "main"], "OLD NEW REF"),
    ],
)
def test_used_wrongly(clone, oberon, tmp_path, arguments, said):
    ran = oberon("payload", tmp_path / "team/app.git", *arguments)
    assert ran.code == 2
    assert said in ran.err


def test_mercurial(hg_server, oberon_apart):
    server = hg_server()
    clone = server.clone()
    nodes = [clone.commit({"a": f"{number}\n"}, message=f"change {number}") for number in (1, 2, 3)]
    clone.push()
    told = oberon_apart("payload", server.path, "1", "tip").json()
    assert [commit["raw_node"] for commit in told["commits"]] == nodes[1:]
    assert oberon_apart("payload", server.path, nodes[0][:12], nodes[0]).json()["commits"][0]["revision"] == 0
    for wrong in ("nosuch", "(", "none()"):
        ran = oberon_apart("payload", server.path, wrong, "tip")
        assert ran.code == 2, ran.err
        assert "error: " in ran.err
    lines = oberon_apart("payload", "--lines", server.path, "0", "tip").out.splitlines()
    assert [json.loads(line)["revision"] for line in lines] == [0, 1, 2]
    assert "FIRST LAST" in oberon_apart("payload", server.path, "tip").err
    server.hgrc("[oberon]\nmaxcommits = many\n")
    warned = oberon_apart("payload", server.path, "0", "tip")
    assert (warned.code, warned.err.count("\n")) == (0, 1)
    assert warned.err.startswith("warning: oberon.maxCommits in ")
