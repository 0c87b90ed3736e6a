from __future__ import annotations

import subprocess

import pytest

from brokers import loader
from brokers.config import Configuration, Entry
from brokers.errors import PermanentFailure
from brokers.services.mirror import Mirror
from brokers.transport.call import Call, placing
from brokers.transport.remote import Remote
from payload import samples


def test_it_is_found_under_its_name():
    assert loader.broker_class("mirror") is Mirror


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "the broker mirror needs it"),
        ({"url": "git@git.example.org:team/app.git"}, "for user@host:path write ssh://user@host/path"),
        ({"url": "git://git.example.org/app.git"}, "begins with https:// or http:// or ssh://, or an absolute path"),
        ({"url": "ext::sh -c id"}, "or an absolute path"),
        ({"url": "https://${user}.example.org/app.git"}, "nothing that is pushed may choose the host"),
        ({"url": "/srv/${nothing}.git"}, "there is no ${nothing}"),
        ({"url": "/srv/app.git", "what": "some"}, "write branches-and-tags or all"),
    ],
)
def test_wrong_settings_are_named(settings, problem):
    entries = {"broker": "mirror", **settings}
    [service] = Configuration.parse(Entry("it", key, value, "config") for key, value in entries.items()).services
    assert problem in " ".join(map(str, Mirror.settings_of(service)[1]))


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("https://ann:secret@git.example.org/app.git", "git.example.org:443"),
        ("ssh://git@git.example.org:2222/${repository.slug}.git", "git.example.org:2222"),
        ("/srv/mirror/${repository.slug}.git", ""),
    ],
)
def test_the_endpoint(url, endpoint):
    assert Mirror().endpoint({"url": url}) == endpoint
    assert Mirror().endpoint({}) == ""


@pytest.mark.parametrize("url", ["/srv/${repository.slug}/x.git", "https://git.example.org/${repository.slug}/x.git"])
def test_no_name_climbs_out_of_the_folder(url):
    payload = samples.load("git-push")
    payload["repository"]["slug"] = ".."
    payload["service"] = {"url": url}
    with placing(Call(repository="/srv/git/x.git", dry_run=True)), pytest.raises(PermanentFailure, match="climb"):
        Mirror().handle(payload)


@pytest.mark.parametrize("branch", ["x/../../victim", "x?/../../victim", "x#/../../victim"])
def test_no_name_climbs_where_the_path_is_decoded(branch):
    payload = samples.load("git-push")
    payload["oberon"]["refs"][0]["name"] = branch
    payload["service"] = {"url": "ssh://git@git.example.org/srv/${branch}"}
    with placing(Call(repository="/srv/git/x.git", dry_run=True)), pytest.raises(PermanentFailure, match="climb"):
        Mirror().handle(payload)


@pytest.mark.parametrize("name", [name for name in samples.names() if name not in ("alert", "twitter-2008")])
def test_whatever_was_pushed_is_pushed_on(name):
    payload = samples.load(name)
    payload["service"] = {"url": "https://git.example.org/${repository.owner}/${repository.slug}.git"}
    with placing(Call(repository="/srv/x", dry_run=True)) as call:
        Mirror().handle(payload)
    bookmarks = any(ref["kind"] == "bookmark" for ref in payload["oberon"]["refs"])
    assert len(call.exchanges) == 1 + bookmarks
    repository = payload["repository"]
    assert f"https://git.example.org/{repository['owner']}/{repository['slug']}.git" in call.exchanges[0].request


def test_there_is_no_repository_to_push_from():
    payload = samples.load("git-push")
    payload["service"] = {"url": "/srv/x.git"}
    with pytest.raises(PermanentFailure, match="no repository to push from"):
        Mirror().handle(payload)


def test_ssh_gets_paths_as_they_are(tmp_path):
    folder = tmp_path / "a 100%h"
    folder.mkdir()
    remote = Remote.parse("ssh://git@git.example.org/x", key=f"{folder}/key", known_hosts=f"{folder}/hosts")
    ended = subprocess.run(f"{remote.ssh([], Call())} -G x", shell=True, capture_output=True, text=True, check=True)
    assert f"userknownhostsfile {folder}/hosts\n" in ended.stdout
    assert "extra arguments" not in ended.stderr
