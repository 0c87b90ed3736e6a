"""git's configuration as the settings: what hooks and commands make of it is tested with them."""

from __future__ import annotations

import os
import shutil

import pytest

from githooks import asking, config


@pytest.mark.parametrize(
    ("section", "line", "setting", "remedy"),
    [
        ("[service]", "broker = post", "service.broker", "service.NAME.broker post"),
        ('[service ""]', "url = x", "service..url", "service.NAME.url VALUE"),
        ("[service]", "password = hunter2", "service.password", "service.NAME.password VALUE"),
    ],
)
def test_a_setting_of_no_service_is_a_problem(git_server, section, line, setting, remedy):
    server = git_server()
    server.config("service.ok.broker", "post")
    with (server.path / "config").open("a") as file:
        file.write(f"{section}\n\t{line}\n")
    found = config.load(str(server.path))
    assert [service.service for service in found.services] == ["ok"]
    [problem] = found.problems
    assert (problem.setting, problem.origin) == (setting, f"{server.path}/config")
    assert problem.remedy == f"name the service, as `git config {remedy}`"


@pytest.fixture
def talkative_git(tmp_path, monkeypatch):
    """A git that says more on stderr than a pipe holds, before it does what it is asked for."""
    real = shutil.which("git")
    script = tmp_path / "bin/git"
    script.parent.mkdir()
    script.write_text(f"#!/bin/sh\nhead -c 300000 /dev/zero | tr '\\0' . >&2\necho >&2\nexec {real} \"$@\"\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")


@pytest.mark.timeout(20)
def test_a_git_that_says_more_than_a_pipe_holds_does_not_stand_still(git_server, talkative_git):
    server = git_server()
    server.config("service.ci.broker", "post")
    assert [value for _, key, value in asking.values(str(server.path), os.environ) if key == "service.ci.broker"] == ["post"]


@pytest.mark.timeout(20)
def test_what_such_a_git_says_of_a_fault_is_told(git_server, talkative_git):
    server = git_server()
    (server.path / "config").write_text("[oops\n")
    with pytest.raises(asking.ConfigUnreadable, match=r"\.\.\.\nfatal: bad config line 1 in file .*config$") as raised:
        asking.values(str(server.path), os.environ)
    assert len(raised.value.reason) <= 1000, "the pusher is told"
