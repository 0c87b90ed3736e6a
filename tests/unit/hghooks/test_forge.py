from __future__ import annotations

import json

import pytest

from hghooks import forge

KALLITHEA = {"KALLITHEA_EXTRAS": json.dumps({"username": "ann", "repository": "group/app"})}
RHODECODE = {"RC_SCM_DATA": json.dumps({"username": "bob", "repository": "app"})}
HEPTAPOD = {
    "HEPTAPOD_USERINFO_USERNAME": "cy",
    "HEPTAPOD_PROJECT_NAMESPACE_FULL_PATH": "g/h",
    "HEPTAPOD_PROJECT_PATH": "app",
}


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
        ({"KALLITHEA_EXTRAS": "{not json", "REMOTE_USER": "eve"}, "eve", None),
        ({"KALLITHEA_EXTRAS": "[]"}, None, None),
        ({"KALLITHEA_EXTRAS": json.dumps({"username": 7, "repository": None})}, None, None),
        ({"KALLITHEA_EXTRAS": "[" * 100_000}, None, None),
    ],
)
def test_who_and_where(environment, user, repository):
    assert (forge.pusher(environment), forge.repository_path(environment)) == (user, repository)


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
