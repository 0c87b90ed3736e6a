from __future__ import annotations

import os

import pytest

from brokers.errors import ConfigError
from hghooks import config, repository


def append(isolated, text):
    """Add to the user's own hgrc."""
    with (isolated / "home" / ".hgrc").open("a") as file:
        file.write(text)


def test_as_hg_has_it(hg_server):
    server = hg_server()
    server.hgrc(
        "[oberon]\nMODE = inline\nmaxcommits = 5\n"
        "[services]\nci.broker = post\nci.URL = https://ci.example.org/x\nfront.office.broker = email\nci.refs = default\n"
    )
    found = config.load(str(server.path))
    hgrc = f"{server.path}/.hg/hgrc"
    assert found.all_problems == ()
    assert (found.settings.mode, found.settings.max_commits) == ("inline", 5)
    assert [service.service for service in found.services] == ["ci", "front.office"]
    ci, office = found.services
    assert (ci.broker, ci.refs, ci.fields["url"].value, office.broker) == (
        "post",
        ("default",),
        "https://ci.example.org/x",
        "email",
    )
    assert ci.fields["url"].origin == f"{hgrc}:6"
    assert ci.fields["url"].setting == "services.ci.URL"
    assert found.origins["mode"] == f"{hgrc}:2"


def test_later_files_override_in_any_case(hg_server, isolated):
    append(isolated, "[oberon]\nStateDir = /one\nowner = admins\n[services]\nci.broker = post\n")
    server = hg_server()
    server.hgrc("[oberon]\nSTATEDIR = /two\n[services]\nCI.broker = x\nci.Broker = email\n")
    found = config.load(str(server.path))
    assert (found.settings.state_dir, found.settings.owner) == ("/two", "admins")
    assert found.service("ci").broker == "email"


def test_unset_is_as_if_never_set(hg_server, isolated):
    append(isolated, "[services]\nci.broker = post\n")
    server = hg_server()
    server.hgrc("[services]\n%unset ci.broker\n")
    assert config.load(str(server.path)).services == ()


@pytest.mark.parametrize("item", ["ci", ".broker", "ci."])
def test_a_setting_of_no_service(hg_server, item):
    server = hg_server()
    server.hgrc(f"[services]\n{item} = post\nok.broker = post\n")
    found = config.load(str(server.path))
    [problem] = found.all_problems
    assert problem.setting == f"services.{item}"
    assert problem.origin == f"{server.path}/.hg/hgrc:2"
    assert "broker = post" in problem.remedy
    assert [service.service for service in found.services] == ["ok"]


def test_wrong_settings_name_their_line(hg_server):
    server = hg_server()
    server.hgrc("[oberon]\nmode = soon\nstateDri = /x\n[services]\nci.broker = post\nci.timeout = long\n")
    told = [str(problem) for problem in config.load(str(server.path)).all_problems]
    assert [line.partition(": ")[0] for line in told] == [
        f"oberon.mode in {server.path}/.hg/hgrc:2",
        f"oberon.stateDri in {server.path}/.hg/hgrc:3",
        f"services.ci.timeout in {server.path}/.hg/hgrc:6",
    ]
    assert "did you mean stateDir?" in told[1]


def test_no_repository(tmp_path):
    with pytest.raises(ConfigError, match=r"there is no Mercurial repository here; name the folder that holds \.hg") as raised:
        config.load(str(tmp_path))
    assert raised.value.origin == str(tmp_path)


def test_values_that_are_no_utf8(hg_server):
    server = hg_server()
    with (server.path / ".hg" / "hgrc").open("ab") as file:
        file.write(b"[oberon]\nname = caf\xe9\n")
    assert config.load(str(server.path)).settings.name == "caf\ufffd"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to somebody else")
def test_an_hgrc_of_somebody_else_is_a_problem(hg_server, isolated, capfd):
    server = hg_server()
    server.hgrc("[oberon]\nmode = inline\n[services]\nci.broker = post\n")
    os.chown(server.path / ".hg" / "hgrc", 12345, 12345)
    found = config.load(str(server.path))
    assert (found.settings.mode, found.services) == ("detached", ())
    [problem] = found.problems
    assert problem.origin == f"{server.path}/.hg/hgrc"
    assert "[trusted] users = OWNER" in problem.remedy
    assert capfd.readouterr() == ("", "")
    append(isolated, "[trusted]\nusers = *\n")
    assert config.load(str(server.path)).problems == ()


def test_a_ui_that_is_open_already(hg_server):
    server = hg_server()
    server.hgrc("[services]\nci.broker = post\n")
    ui = repository.open_at(str(server.path)).ui
    ui.setconfig(b"oberon", b"mode", b"inline", b"--config")
    found = config.effective(ui)
    assert (found.settings.mode, found.origins["mode"]) == ("inline", "--config")
