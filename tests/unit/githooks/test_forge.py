from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from brokers.config import Settings
from githooks import forge
from payload import links
from payload.push import Event

GITEA = {
    "GITEA_PUSHER_NAME": "ann",
    "GITEA_REPO_USER_NAME": "team",
    "GITEA_REPO_NAME": "app",
    "GITEA_ROOT_URL": "https://git.example.org/",
}
SRHT = json.dumps(  # cmd/shell/main.go of git.sr.ht
    {
        "repo": {
            "id": 7,
            "name": "app",
            "owner_id": 3,
            "owner_name": "ann",
            "path": "/var/lib/git/~ann/app",
            "absolute_path": "/var/lib/git/~ann/app",
            "visibility": "PRIVATE",
            "autocreated": False,
        },
        "user": {"canonical_name": "~bob", "name": "bob"},
        "token": "hush",
    }
)
BACKEND = {"GIT_PROJECT_ROOT": "/srv/git", "REMOTE_USER": "ann", "PATH_INFO": "/team/app.git/git-receive-pack"}
EXTRAS = json.dumps({"username": "ann", "repository": "team/sub/app", "ip": "192.0.2.1", "secret": "hush"})

ROWS = [
    ({}, ("git", "git", "disk")),
    (GITEA, ("ann", "team", "app")),
    ({"GOGS_AUTH_USER_NAME": "ann", "GOGS_REPO_OWNER_NAME": "team", "GOGS_REPO_NAME": "app"}, ("ann", "team", "app")),
    ({**GITEA, "GITEA_REPO_IS_WIKI": "true"}, ("ann", "team", "app.wiki")),
    ({**GITEA, "GITEA_REPO_IS_WIKI": "true", "GITEA_REPO_NAME": "app.wiki"}, ("ann", "team", "app.wiki")),
    ({**GITEA, "GITEA_REPO_IS_WIKI": "false", "GITEA_REPO_NAME": "x.wiki"}, ("ann", "team", "x.wiki")),
    ({"GL_USERNAME": "ann", "GL_ID": "user-7", "GL_PROJECT_PATH": "team/sub/app"}, ("ann", "team/sub", "app")),
    ({"GL_USERNAME": "ann", "GL_REPOSITORY": "project-12", "GL_PROJECT_PATH": "team/app"}, ("ann", "team", "app")),
    ({"GL_USERNAME": "ann", "GL_REPOSITORY": "wiki-12", "GL_PROJECT_PATH": "team/app"}, ("ann", "team", "app.wiki")),
    ({"GL_USERNAME": "ann", "GL_REPOSITORY": "wiki-12", "GL_PROJECT_PATH": "team/app.wiki"}, ("ann", "team", "app.wiki")),
    ({"GL_USERNAME": "ann", "GL_REPOSITORY": "design-12", "GL_PROJECT_PATH": "team/app"}, ("ann", "team", "app.design")),
    ({"GL_ID": "key-7", "GL_PROJECT_PATH": "team/app"}, ("key-7", "team", "app")),
    ({"GL_USERNAME": "ann", "GL_PROJECT_PATH": "team/app", "GL_REPO": '{"storage_name": "x"}'}, ("ann", "team", "app")),
    ({"GL_USER": "ann", "GL_REPO": "team/app"}, ("ann", "team", "app")),
    ({"GL_USER": "ann", "GL_REPO": "testing"}, ("ann", "", "testing")),
    ({"KALLITHEA_EXTRAS": EXTRAS}, ("ann", "team/sub", "app")),
    ({"RC_SCM_DATA": EXTRAS}, ("ann", "team/sub", "app")),
    ({"SRHT_PUSH_CTX": SRHT}, ("bob", "~ann", "app")),
    ({"SRHT_PUSH_CTX": SRHT.replace('"ann"', '"~ann"')}, ("bob", "~ann", "app")),
    ({"PHABRICATOR_USER": "ann", "PHABRICATOR_REPOSITORY": "PHID-REPO-x"}, ("ann", "git", "disk")),
    ({"REMOTE_USER": "ann"}, ("ann", "git", "disk")),
    (BACKEND, ("ann", "team", "app")),
    ({**BACKEND, "PATH_INFO": "/a/b/app.git/git-receive-pack"}, ("ann", "a/b", "app")),
    ({**BACKEND, "PATH_INFO": "/team/app/.git/git-receive-pack"}, ("ann", "team", "app")),
    ({**BACKEND, "PATH_INFO": "/app.git/git-receive-pack"}, ("ann", "git", "disk")),
    ({**BACKEND, "PATH_INFO": "/team/hush"}, ("ann", "git", "disk")),
    ({**BACKEND, "GL_USER": "bob", "GL_REPO": "sub/app"}, ("bob", "sub", "app")),
    # Phorge runs git-http-backend in the repository itself.
    ({**BACKEND, "PATH_INFO": "/git-receive-pack", "PHABRICATOR_USER": "bob"}, ("bob", "git", "disk")),
    ({**GITEA, "REMOTE_USER": "proxy"}, ("ann", "team", "app")),
    ({"GL_USER": "ann", "GL_REPO": "../../etc//./passwd/"}, ("ann", "etc", "passwd")),
    ({**GITEA, "GITEA_REPO_USER_NAME": "..", "GITEA_REPO_NAME": "../.."}, ("ann", "git", "disk")),
    ({"GL_USER": "", "REMOTE_USER": "ann"}, ("ann", "git", "disk")),
    ({"SRHT_PUSH_CTX": "{broken", "REMOTE_USER": "ann"}, ("ann", "git", "disk")),
    ({"SRHT_PUSH_CTX": '{"user": ["name"], "repo": {"name": 7}}'}, ("git", "git", "disk")),
    ({"SRHT_PUSH_CTX": "[" * 100_000}, ("git", "git", "disk")),
    ({"GL_USER": "j\udce9", "GL_REPO": "t\udce9/a\udce9"}, ("j\ufffd", "t\ufffd", "a\ufffd")),
]


def make(environment):
    return Event(id="0" * 32, scm="git", path="/srv/git/disk.git", time=0, login="git", source="ssh", environment=environment)


def test_whom_nobody_names():
    assert forge.pusher(make({})) == "git"
    assert forge.pusher(replace(make({}), source="http")) == "anonymous"


@pytest.mark.parametrize(("environment", "expected"), ROWS)
def test_each_forge_tells_who_and_where(environment, expected):
    found = forge.repository(make(environment), Settings())
    assert (forge.pusher(make(environment)), found.owner, found.slug) == expected


@pytest.mark.parametrize(("environment", "expected"), ROWS)
def test_the_hook_remembers_enough(environment, expected):
    kept = forge.remembered({**environment, "HOME": "/root", "AWS_SECRET_ACCESS_KEY": "hush"})
    assert kept.keys() <= set(forge.VARIABLES)
    assert "hush" not in str(kept)
    assert "192.0.2.1" not in str(kept)
    found = forge.repository(make(kept), Settings())
    assert (forge.pusher(make(kept)), found.owner, found.slug) == expected


GITLAB = {"GL_USERNAME": "ann", "GL_PROJECT_PATH": "team/app"}
GOGS = {"GOGS_AUTH_USER_NAME": "ann", "GOGS_REPO_OWNER_NAME": "team", "GOGS_REPO_NAME": "app"}


@pytest.mark.parametrize(
    ("environment", "interface"),
    [
        ({}, None),
        (GITEA, "gitea"),
        ({**GITEA, "GITEA_REPO_IS_WIKI": "false"}, "gitea"),
        ({**GITEA, "GITEA_REPO_IS_WIKI": "true"}, None),
        (GOGS, "gogs"),
        (GITLAB, "gitlab"),
        ({"GL_ID": "key-7", "GL_PROJECT_PATH": "team/app"}, "gitlab"),
        ({**GITLAB, "GL_REPOSITORY": "wiki-12"}, None),
        ({"KALLITHEA_EXTRAS": EXTRAS}, "kallithea"),
        ({"RC_SCM_DATA": EXTRAS}, "rhodecode"),
        ({"SRHT_PUSH_CTX": SRHT}, "sourcehut"),
        ({"PHABRICATOR_USER": "ann"}, "phorge"),
        ({"GL_USER": "ann", "GL_REPO": "team/app"}, None),
        (BACKEND, None),
    ],
)
def test_a_forge_implies_its_web_interface(environment, interface):
    assert forge.repository(make(environment), Settings()).links == links.Templates.chosen(interface)
    assert forge.repository(make(environment), Settings(links="cgit")).links == links.WEB_INTERFACES["cgit"]


def test_own_templates_go_before_the_interface():
    settings = Settings(commit_url="https://ci.example.org/{node}", repository_url="{canonUrl}/r/{path}")
    assert forge.repository(make(GITEA), settings).links == links.Templates(
        "{canonUrl}/r/{path}", "https://ci.example.org/{node}", links.WEB_INTERFACES["gitea"].compare
    )


def test_settings_go_before_the_forge_and_the_forge_before_the_path():
    settings = Settings(owner="boss", name="The App", canon_url="https://www.example.org/", private=False)
    found = forge.repository(make(GITEA), settings)
    assert (found.owner, found.slug, found.name) == ("boss", "app", "The App")
    assert (found.canon_url, found.absolute_url, found.is_private) == ("https://www.example.org", "/boss/app/", False)
    found = forge.repository(make(GITEA), Settings(slug="other", absolute_url="x/y", website=""))
    assert (found.slug, found.name, found.absolute_url) == ("other", "other", "/x/y/")
    assert (found.canon_url, found.website) == ("https://git.example.org", "https://git.example.org/")


def test_every_variable_is_named_once_and_none_is_a_secret():
    assert len(set(forge.VARIABLES)) == len(forge.VARIABLES)
    for name in ("GL_USER", "GL_REPO", "GL_USERNAME", "GL_PROJECT_PATH", "REMOTE_USER", "SRHT_PUSH_CTX", "GITEA_PUSHER_NAME"):
        assert name in forge.VARIABLES
    assert not [name for name in forge.VARIABLES if any(word in name for word in ("TOKEN", "SECRET", "PASS", "JWT"))]


def test_importing_it_imports_nothing():
    code = "import sys; before = set(sys.modules); import githooks.forge; print(*sorted(set(sys.modules) - before))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert set(told) <= {"__future__", "githooks", "githooks.forge"}
