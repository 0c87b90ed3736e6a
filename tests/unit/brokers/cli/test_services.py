from __future__ import annotations

import re

import pytest

SECRETIVE = """
class Secretive(BaseBroker):
    fields = (Field("Url", required=True, type="url"), Field("Token", secret=True), Field("Room", default="main"))
    def handle(self, payload):
        pass
"""

OLD = """
class Old(BaseBroker):
    def handle(self, payload):
        pass
"""


@pytest.fixture
def server(git_server, broker_file):
    server = git_server()
    broker_file("old", OLD)
    server.config("oberon.brokerPath", str(broker_file("secretive", SECRETIVE)))
    return server


def settings_of(told, name):
    [service] = [service for service in told["services"] if service["service"] == name]
    return {setting["name"]: (setting["value"], setting["origin"]) for setting in service["settings"]}


def test_each_setting_comes_with_its_file(server, oberon, run, tmp_path):
    run(["git", "config", "--global", "service.ci.url", "https://ci.example.org/global"])
    server.config("service.ci.broker", "secretive")
    server.config("service.ci.refs", "refs/heads/main refs/tags/*")
    ran = oberon("services", server.path, "--json")
    assert ran.code == 0
    told = ran.json()
    assert (told["scm"], told["repository"], told["problems"]) == ("git", str(server.path), [])
    found = settings_of(told, "ci")
    local, world = str(server.path / "config"), str(tmp_path / "home" / ".gitconfig")
    assert found["broker"] == ("secretive", local)
    assert found["url"] == ("https://ci.example.org/global", world)
    assert found["refs"] == ("refs/heads/main refs/tags/*", local)
    assert found["timeout"] == ("30s", None)
    assert found["Room"] == ("main", None)


def test_people_see_defaults_only_when_they_ask(server, oberon):
    server.config("service.ci.broker", "secretive")
    server.config("service.ci.url", "https://ci.example.org/hook")
    assert "timeout" not in oberon("services", server.path).out
    assert "timeout" in oberon("services", server.path, "--all").out


@pytest.mark.parametrize("options", [(), ("--json",), ("--all",)])
def test_no_secret_is_shown(server, oberon, options):
    server.config("service.ci.broker", "secretive")
    server.config("service.ci.url", "https://joe:hunter2@ci.example.org/hook")
    server.config("service.ci.token", "swordfish")
    server.config("service.past.broker", "old")
    server.config("service.past.password", "letmein")
    server.config("service.past.login", "joe")
    server.config("oberon.proxy", "http://me:sesame@proxy.example.org:3128")
    ran = oberon("services", server.path, *options)
    assert ran.code == 0
    for secret in ("hunter2", "swordfish", "letmein", "sesame"):
        assert secret not in ran.out
    assert "https://joe:****@ci.example.org/hook" in ran.out
    assert "joe" in ran.out


def test_a_reference_to_a_secret_is_none(server, oberon):
    server.config("service.ci.broker", "secretive")
    server.config("service.ci.url", "https://ci.example.org/hook")
    server.config("service.ci.token", "file:/etc/oberon/token")
    assert settings_of(oberon("services", server.path, "--json").json(), "ci")["token"][0] == "file:/etc/oberon/token"


WRONG = [
    ("service.ci.uri", "x", "service.ci.uri", "did you mean Url?"),
    ("service.ci.broker", "secretiv", "service.ci.broker", "did you mean secretive? there are: "),
    ("service.ci.url", None, "service.ci.Url", "set it"),
    ("service.ci.timeout", "soon", "service.ci.timeout", "30s, 10m"),
    ("oberon.workers", "many", "oberon.workers", "a whole number"),
    ("oberon.canonUrll", "x", "oberon.canonurll", "did you mean canonUrl?"),
]


@pytest.mark.parametrize("command", ["services", "doctor"])
@pytest.mark.parametrize(("key", "value", "setting", "remedy"), WRONG)
def test_a_wrong_setting_is_named_with_its_file_and_what_would_be_right(
    server, oberon, command, key, value, setting, remedy, state_dir
):
    for good, told in {"good.broker": "old", "ci.broker": "secretive", "ci.url": "https://ci.example.org"}.items():
        server.config(f"service.{good}", told)
    server.config("oberon.stateDir", str(state_dir))
    oberon("install", server.path)
    assert oberon(command, server.path).code == 0
    server.config(key, *([] if value is None else [value]))
    ran = oberon(command, server.path)
    assert ran.code == 2
    [line] = [line for line in ran.out.splitlines() if line.strip().startswith("error")]
    assert setting in line
    assert str(server.path / "config") in line
    assert remedy in line
    assert "good" in ran.out  # the other service is shown, and as right as before
    told = oberon(command, server.path, "--json").json()
    if command == "services":
        problems = told["problems"] + [problem for service in told["services"] for problem in service["problems"]]
        [problem] = problems
        assert problem["setting"] == setting
        assert problem["origin"] == str(server.path / "config")
        assert remedy in problem["remedy"]
        [good] = [service for service in told["services"] if service["service"] == "good"]
        assert good["problems"] == []


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("oberon.mode", "sometimes", "sometimes"),
        ("oberon.deadline", "600", "600"),
        ("oberon.private", "yes", "yes"),
        ("oberon.refs", "refs/heads/, refs/tags/", "refs/heads/, refs/tags/"),
        ("oberon.proxy", "ftp://joe:hunter2@proxy", "****"),
        ("service.ci.timeout", "soon", "soon"),
        ("service.ci.maxAge", "2h", "2h"),
        ("service.ci.url", "ftp//joe:hunter2@ci", "****"),
        ("service.ci.broker", "Old", "Old"),
    ],
)
def test_a_value_is_shown_as_written(server, oberon, key, value, shown):
    server.config("service.ci.broker", "secretive")
    server.config(key, value)
    told = oberon("services", server.path, "--json").json()
    section, _, name = key.rpartition(".")
    found = (
        settings_of(told, "ci")
        if section != "oberon"
        else {row["name"]: (row["value"], row["origin"]) for row in told["settings"]}
    )
    assert found[name] == (shown, str(server.path / "config"))
    assert "hunter2" not in oberon("services", server.path).out


def test_a_key_that_stands_alone_is_shown_as_what_it_means(server, oberon):
    with (server.path / "config").open("a") as file:
        file.write("[oberon]\n\tverbose\n")
    [verbose] = [row for row in oberon("services", server.path, "--json").json()["settings"] if row["name"] == "verbose"]
    assert verbose["value"] == "true"


def test_files_that_settings_name_are_looked_at(server, oberon, broker_file, tmp_path):
    server.config("oberon.authorMap", str(tmp_path / "authors"))
    ran = oberon("services", server.path)
    assert ran.code == 2
    assert f"cannot read {tmp_path}/authors" in ran.out
    (tmp_path / "authors").write_text("")
    assert oberon("services", server.path).code == 0
    folder = broker_file("torn", "def (")
    ran = oberon("services", server.path)
    assert ran.code == 2
    assert re.search(rf"{folder}/torn\.py: line \d+: .*SyntaxError", ran.out)
    [problem] = oberon("services", server.path, "--json").json()["problems"]
    assert (problem["setting"], problem["origin"]) == ("oberon.brokerPath", str(server.path / "config"))
    server.config("oberon.brokerPath", str(tmp_path / "nowhere"))
    assert oberon("services", server.path).code == oberon("doctor", server.path).code == 2


def test_a_setting_of_no_service(server, oberon):
    server.config("service.broker", "post")
    ran = oberon("services", server.path)
    assert ran.code == 2
    assert "service.broker" in ran.out
    assert "git config service.NAME.broker post" in ran.out


def test_a_broker_file_that_does_not_load(server, broker_file, oberon):
    folder = broker_file("torn", "def (")
    server.config("service.ci.broker", "torn")
    ran = oberon("services", server.path)
    assert ran.code == 2
    assert f"{folder}/torn.py" in ran.out
    assert "SyntaxError" in ran.out


def test_mercurial(hg_server, oberon_apart):
    server = hg_server()
    server.hgrc("[services]\nci.broker = post\nci.url = https://ci.example.org/hook\nmail.broker = emial\n")
    ran = oberon_apart("services", server.path)
    assert ran.code == 2
    assert f"{server.path}/.hg/hgrc:3" in ran.out
    assert "services.mail.broker" in ran.out
    assert "there is no broker 'emial'" in ran.out
    server.hgrc("[oberon]\nmode = sometimes\n")
    settings = {row["name"]: row for row in oberon_apart("services", server.path, "--json").json()["settings"]}
    assert settings["mode"]["value"] == "sometimes"
    assert settings["mode"]["origin"].startswith(f"{server.path}/.hg/hgrc:")


def test_none_configured(git_server, oberon):
    server = git_server()
    ran = oberon("services", server.path)
    assert ran.code == 0
    assert "no service is configured" in ran.out
    assert f"git --git-dir={server.path} config service.ci.broker post" in ran.out
    assert oberon("services", server.path, "--json").json()["services"] == []
