"""git's configuration as the settings: what hooks and commands make of it is tested with them."""

from __future__ import annotations

import pytest

from githooks import config


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
