"""A real push with settings for links: what the payload tells, and that a real web interface has those pages."""

from __future__ import annotations

import json
from urllib.request import urlopen

import pytest

from tests.support import serving
from tests.support.hooked import broker_folder, git_settings, hg_settings, link_hook

KEEP = """
import json
from brokers import BaseBroker


class Keep(BaseBroker):
    def handle(self, payload):
        with open(payload["service"]["file"], "w") as file:
            json.dump(payload, file)
"""


@pytest.fixture
def kept(tmp_path):
    """kept() is the payload of the last push."""

    def read():
        return json.loads((tmp_path / "payload.json").read_text())

    return read


@pytest.fixture
def git(git_server, state_dir, tmp_path):
    server = git_server("team/app.git")
    link_hook(server)
    git_settings(server, state_dir, mode="inline", deadline="20s", brokerPath=str(broker_folder(tmp_path, KEEP)))
    server.config("service.keep.broker", "keep")
    server.config("service.keep.file", str(tmp_path / "payload.json"))
    return server


@pytest.fixture
def hg(hg_server, state_dir, tmp_path):
    (tmp_path / "team").mkdir()
    server = hg_server("team/app")

    def configure(**settings):
        brokers = str(broker_folder(tmp_path, KEEP))
        hg_settings(server, state_dir, mode="inline", deadline="20s", brokerPath=brokers, **settings)
        server.hgrc(f"[services]\nkeep.broker = keep\nkeep.file = {tmp_path / 'payload.json'}\n")
        return server

    return configure


def urls(payload):
    return [payload["oberon"]["commits"][commit["raw_node"]]["url"] for commit in payload["commits"]]


def test_git_with_an_interface_and_a_template(git, kept):
    for key, value in {
        "canonUrl": "https://git.example.org/",
        "links": "gitweb",
        "commitUrl": "{canonUrl}/{path}/{short}",
    }.items():
        git.config(f"oberon.{key}", value)
    clone = git.clone()
    old = clone.commit({"a": "1"})
    clone.push()
    assert kept()["oberon"]["links"] == {"repository": "https://git.example.org/?p=team/app.git;a=summary", "compare": None}
    new = clone.commit({"a": "2"})
    clone.push()
    payload = kept()
    assert payload["oberon"]["links"]["compare"] == f"https://git.example.org/?p=team/app.git;a=commitdiff;h={new};hp={old}"
    assert urls(payload) == [f"https://git.example.org/team/app/{new[:12]}"]


def test_a_forge_that_names_itself_needs_no_settings(git, kept):
    clone = git.clone()
    node = clone.commit({"a": "1"})
    forge = {
        "GITEA_PUSHER_NAME": "ann",
        "GITEA_REPO_USER_NAME": "team",
        "GITEA_REPO_NAME": "kettle",
        "GITEA_ROOT_URL": "https://forge.example.org/git/",
    }
    clone.push(env=forge)
    payload = kept()
    assert payload["user"] == "ann"
    assert payload["oberon"]["links"]["repository"] == "https://forge.example.org/git/team/kettle/"
    assert urls(payload) == [f"https://forge.example.org/git/team/kettle/commit/{node}"]


def test_git_http_backend_names_the_repository_and_the_pusher(git, kept, tmp_path):
    clone = git.clone()
    clone.commit({"a": "1"})
    with serving.git_over_http(tmp_path, "alice") as root:
        clone.push(url=f"{root}team/app.git")
    payload = kept()
    assert (payload["user"], payload["repository"]["absolute_url"]) == ("alice", "/team/app/")
    assert payload["oberon"]["links"] == {"repository": None, "compare": None}


def test_a_wrong_template_is_told_and_harms_no_push(git, kept, run):
    git.config("oberon.commitUrl", "{canonUrl}/{nod}")
    clone = git.clone()
    clone.commit({"a": "1"})
    clone.push()
    assert urls(kept()) == [None]
    told = run(["oberon", "doctor", git.path], check=False)
    assert f"oberon.commitUrl: '{{canonUrl}}/{{nod}}' is not right (in {git.path}/config); write an address" in told.stdout


def test_hg_with_an_interface_and_a_template(hg, kept):
    server = hg(canonUrl="https://hg.example.org", links="heptapod", repositoryUrl="{canonUrl}/r/{slug}")
    clone = server.clone()
    old = clone.commit({"a": "1"})
    clone.push()
    new = clone.commit({"a": "2"})
    clone.push()
    payload = kept()
    assert payload["oberon"]["links"] == {
        "repository": "https://hg.example.org/r/app",
        "compare": f"https://hg.example.org/team/app/-/compare/{old}...{new}",
    }
    assert urls(payload) == [f"https://hg.example.org/team/app/-/commit/{new}"]


def test_an_hgweb_of_several_has_the_pages_that_are_linked(hg, kept, tmp_path):
    server = hg()
    clone = server.clone()
    clone.commit({"a": "1"}, message="Boil water")
    with serving.hg_folder_over_http(tmp_path, tmp_path / "serve.log") as root:
        server.hgrc(f"[oberon]\ncanonUrl = {root}\n[web]\nname = The Kettle\n")
        clone.push(f"{root}team/app")
        payload = kept()
        pages = [payload["oberon"]["links"]["repository"], *urls(payload)]
        assert [page.startswith(f"{root}team/app/") for page in pages] == [True, True]
        for page in pages:
            with urlopen(page, timeout=20) as answer:
                assert b"Boil water" in answer.read()
    assert (payload["repository"]["name"], payload["repository"]["slug"]) == ("The Kettle", "app")


def test_an_hg_serve_of_one_has_the_pages_that_are_linked(hg, kept, hg_http):
    server = hg(links="hg-serve")
    clone = server.clone()
    clone.commit({"a": "1"}, message="Boil water")
    root = hg_http(server)
    server.hgrc(f"[oberon]\ncanonUrl = {root}\n")
    clone.push()
    payload = kept()
    assert payload["repository"]["absolute_url"] == "/team/app/"
    for page in (payload["oberon"]["links"]["repository"], *urls(payload)):
        with urlopen(page, timeout=20) as answer:
            assert b"Boil water" in answer.read()
