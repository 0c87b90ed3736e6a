from __future__ import annotations

import json

import pytest

from brokers.config import Settings
from hghooks import forge
from payload import links
from payload.push import Event

KALLITHEA = {"KALLITHEA_EXTRAS": json.dumps({"username": "ann", "repository": "group/app"})}
RHODECODE = {"RC_SCM_DATA": json.dumps({"username": "bob", "repository": "app"})}
HEPTAPOD = {
    "HEPTAPOD_USERINFO_USERNAME": "cy",
    "HEPTAPOD_PROJECT_NAMESPACE_FULL_PATH": "g/h",
    "HEPTAPOD_PROJECT_PATH": "app",
}
HTTP = {"HG_URL": "remote:http:192.0.2.1:"}
SCM_MANAGER = {"SCM_REPOSITORY_ID": "7xQ", "REPO_NAME": "team/app", "REMOTE_USER": "hal", **HTTP, "PATH_INFO": "/team/app"}


@pytest.mark.parametrize(
    ("environment", "user", "repository"),
    [
        ({}, None, None),
        (KALLITHEA, "ann", "group/app"),
        (RHODECODE, "bob", "app"),
        (HEPTAPOD, "cy", "g/h/app"),
        ({"HEPTAPOD_PROJECT_PATH": "app"}, None, None),
        ({"PHABRICATOR_USER": "dee", "PHABRICATOR_REPOSITORY": "PHID-REPO-1"}, "dee", None),
        ({"REMOTE_USER": "eve"}, "eve", None),
        ({"HG_URL": "remote:http:192.0.2.1:j%C3%B6rg%3A"}, "jörg:", None),
        ({"HG_URL": "remote:https:%3A%3A1:fay"}, "fay", None),
        ({"HG_URL": "remote:http:192.0.2.1:"}, None, None),
        ({"HG_URL": "remote:ssh:192.0.2.1"}, None, None),
        ({"HG_URL": "remote:http:192.0.2.1:gus", "REMOTE_USER": "eve"}, "eve", None),
        ({**HEPTAPOD, "REMOTE_USER": "eve"}, "cy", "g/h/app"),
        ({**HEPTAPOD, "HEPTAPOD_REPOSITORY_USAGE": "project"}, "cy", "g/h/app"),
        ({**HEPTAPOD, "HEPTAPOD_REPOSITORY_USAGE": "wiki"}, "cy", "g/h/app.wiki"),
        ({**HTTP, "PATH_INFO": "/team/app"}, None, "team/app"),
        ({**HTTP, "PATH_INFO": "/team/app/", "REMOTE_USER": "eve"}, "eve", "team/app"),
        ({**HTTP, "PATH_INFO": "/a/b/app", "REPO_NAME": "b/app"}, None, "b/app"),
        ({**HTTP, "PATH_INFO": "/"}, None, None),
        ({**HTTP, "PATH_INFO": "/app"}, None, None),
        ({"HG_URL": "remote:ssh:192.0.2.1", "PATH_INFO": "/team/app", "REPO_NAME": "team/app"}, None, None),
        ({**HTTP, **KALLITHEA, "PATH_INFO": "/other/thing"}, "ann", "group/app"),
        (SCM_MANAGER, "hal", "team/app"),
        ({**SCM_MANAGER, "HG_URL": "remote:ssh:192.0.2.1"}, "hal", "team/app"),
        ({"KALLITHEA_EXTRAS": "{not json", "REMOTE_USER": "eve"}, "eve", None),
        ({"KALLITHEA_EXTRAS": "[]"}, None, None),
        ({"KALLITHEA_EXTRAS": json.dumps({"username": 7, "repository": None})}, None, None),
        ({"KALLITHEA_EXTRAS": "[" * 100_000}, None, None),
    ],
)
def test_who_and_where(environment, user, repository):
    for source, nobody in (("ssh", "hgd"), ("http", "anonymous"), ("local", "hgd")):
        event = Event("0" * 32, "hg", "/srv/app", 0.0, "hgd", source, environment=environment)
        assert forge.pusher(event) == (user or nobody)
    assert forge.repository_path(environment) == repository


def test_only_what_the_table_names_is_remembered():
    environment = {
        "REMOTE_USER": "eve",
        "PATH": "/bin",
        "SECRET_TOKEN": "hunter2",
        "KALLITHEA_EXTRAS": json.dumps({"username": "ann", "repository": "r", "ip": "192.0.2.1", "token": "hunter2"}),
        "RC_SCM_DATA": "not json with hunter2",
    }
    kept = forge.remembered(environment.get, "remote:ssh:192.0.2.1")
    assert kept == {
        "REMOTE_USER": "eve",
        "KALLITHEA_EXTRAS": '{"username": "ann", "repository": "r"}',
        "HG_URL": "remote:ssh:192.0.2.1",
    }


@pytest.mark.parametrize("url", ["https://ann:hunter2@hg.example.org/", "file:/srv/x", "bundle:x.hg", ""])
def test_urls_that_are_no_servers_are_not_kept(url):
    assert forge.remembered({}.get, url) == {}
    assert forge.source_of(url) == "local"


@pytest.mark.parametrize(
    ("url", "source"),
    [("remote:ssh:1.2.3.4", "ssh"), ("remote:http:h:", "http"), ("remote:https:h:u", "http"), ("remote:", "local")],
)
def test_sources(url, source):
    assert forge.source_of(url) == source


def named(environment, settings=None):
    event = Event("0" * 32, "hg", "/srv/hg/ops/disk", 0, "hg", "http", environment=environment)
    return forge.repository(event, settings or Settings())


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ("ops", "disk", "disk", "/ops/disk/")),
        (HEPTAPOD, ("g/h", "app", "app", "/g/h/app/")),
        (RHODECODE, ("", "app", "app", "/app/")),
        ({**HTTP, "PATH_INFO": "/team/app"}, ("team", "app", "app", "/team/app/")),
        ({**HTTP, "PATH_INFO": "/../team//./app"}, ("team", "app", "app", "/team/app/")),
        ({**HTTP, "PATH_INFO": "/../.."}, ("ops", "disk", "disk", "/ops/disk/")),
        ({"web.name": "The App"}, ("ops", "disk", "The App", "/ops/disk/")),
        ({**HTTP, "PATH_INFO": "/te\udce4m/app"}, ("te\ufffdm", "app", "app", "/te\ufffdm/app/")),
    ],
)
def test_the_repository_s_names(environment, expected):
    found = named(environment)
    assert (found.owner, found.slug, found.name, found.absolute_url) == expected


def test_settings_go_before_the_forge():
    settings = Settings(owner="o", slug="s", name="N", canon_url="https://hg.example.org/", website="", private=False)
    found = named({**HEPTAPOD, "web.name": "The App"}, settings)
    assert (found.owner, found.slug, found.name, found.absolute_url) == ("o", "s", "N", "/o/s/")
    assert (found.canon_url, found.website, found.is_private) == ("https://hg.example.org", "https://hg.example.org/", False)


@pytest.mark.parametrize(
    ("environment", "interface"),
    [
        ({}, None),
        (HEPTAPOD, "heptapod"),
        ({**HEPTAPOD, "HEPTAPOD_REPOSITORY_USAGE": "wiki"}, None),
        (KALLITHEA, "kallithea"),
        (RHODECODE, "rhodecode"),
        ({"PHABRICATOR_USER": "dee"}, "phorge"),
        (SCM_MANAGER, None),
        ({**HTTP, "PATH_INFO": "/team/app", "REMOTE_USER": "eve"}, "hgweb"),
        ({**HTTP, "PATH_INFO": "/app", "REMOTE_USER": "eve"}, None),
        ({"REMOTE_USER": "eve"}, None),
    ],
)
def test_a_forge_implies_its_web_interface(environment, interface):
    assert named(environment).links == links.Templates.chosen(interface)
    own = named(environment, Settings(links="hg-serve", commit_url="{canonUrl}/{short}")).links
    assert own == links.Templates("{canonUrl}/", "{canonUrl}/{short}")
