from __future__ import annotations

import inspect

import pytest

from brokers.services.post import Post


def test_the_built_in_ones(oberon):
    ran = oberon("brokers", "--json")
    assert ran.code == 0
    found = {broker["name"]: broker for broker in ran.json()["brokers"]}
    assert {"post", "email"} <= set(found)
    assert found["post"]["problem"] is None
    assert found["post"]["version"] == Post.version


def test_one_of_them(oberon):
    ran = oberon("brokers", "POST")
    assert ran.code == 0
    assert inspect.cleandoc(Post.__doc__).splitlines()[0] in ran.out
    assert "(required)" in ran.out
    told = oberon("brokers", "email", "--json").json()
    assert {field["name"]: field["secret"] for field in told["fields"]}["Password"] is True


def test_files_of_a_folder_and_those_that_do_not_load(oberon, broker_file, run):
    broker_file("mine", "class Mine(BaseBroker):\n    def handle(self, payload):\n        pass\n")
    folder = broker_file("torn", "class Torn(BaseBroker):\n    pass\n")
    ran = oberon("brokers", "--path", folder)
    assert ran.code == 1
    assert f"{folder}/mine.py" in ran.out
    assert "has no method handle" in ran.out
    assert "takes whatever" in oberon("brokers", "mine", "--path", folder).out
    run(["git", "config", "--global", "oberon.brokerPath", folder])
    assert any(broker["name"] == "mine" for broker in oberon("brokers", "--json").json()["brokers"])


def test_an_unknown_one(oberon):
    ran = oberon("brokers", "pots")
    assert ran.code == 2
    assert "post" in ran.err
    assert "brokerPath" in ran.err
    assert "--path DIR" in ran.err


ALL_KINDS = """
class All(BaseBroker):
    fields = [
        Field("URL", type="url", required=True, help="where it goes"),
        Field("API_Token", type="secret", required=True, help="the login"),
        Field("Channel", default="#dev; \\"all\\"", help="who is told"),
        Field("Loud", type="boolean", default=True),
        Field("Most", type="integer"),
        Field("Wait", type="duration", default="2m"),
        Field("Size", type="bytes", default="64k"),
        Field("Words", type="list", default=["a", "b"]),
        Field("Level", type="choice", choices=["Low", "High"], default="High"),
        Field("Code", secret=True, type="count", default=5),
        *(Field(f"A-{kind.replace(' ', '-')}", type=kind) for kind in (
            "string", "count", "server", "positive duration", "durations", "events", "hosts", "mail", "mails", "path", "paths", "zone"
        )),
    ]

    def handle(self, payload):
        pass
"""


def test_the_settings_of_a_broker_and_an_example_for_each_configuration(oberon, broker_file):
    folder = broker_file("all", ALL_KINDS)
    ran = oberon("brokers", "All", "--path", folder)
    assert ran.code == 0
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in ran.out.splitlines() if line[:1].isalpha()}
    assert rows["URL"] == "url (required) where it goes"
    assert rows["API_Token"] == "secret (required) the login"
    assert rows["Wait"] == "duration 120s"
    assert rows["Words"] == "list a, b"
    assert rows["Level"] == "Low or High High"
    assert rows["Code"] == "count, secret 5"
    git, hg = ran.out.split("as hgrc has it:")
    assert (
        f'    [oberon]\n        brokerPath = {folder}\n    [service "all"]\n        broker = all\n        url = https://' in git
    )
    assert '        # channel = "#dev; \\"all\\""\n' in git
    assert f"    [oberon]\n    brokerPath = {folder}\n    [services]\n    all.broker = all\n    all.url = https://" in hg
    assert '    # all.channel = #dev; "all"\n' in hg
    assert "5" not in git.split("code = ")[1].split("\n")[0]


@pytest.mark.parametrize("scm", ["git", "hg"])
def test_the_example_is_right_with_every_setting_in_it(oberon, oberon_apart, broker_file, git_server, hg_server, scm):
    folder = broker_file("all", ALL_KINDS)
    example = oberon("brokers", "all", "--path", folder, "--json").json()["examples"][scm].replace("# ", "")
    example = example.replace("file:/etc/oberon/code", "5")
    server = git_server() if scm == "git" else hg_server()
    with (server.path / "config" if scm == "git" else server.path / ".hg/hgrc").open("a") as file:
        file.write(f"\n{example}\n")
    told = oberon_apart("services", server.path, "--json").json()
    (service,) = told["services"]
    assert (service["problems"], told["problems"]) == ([], [])
    values = {setting["name"].lower(): setting["value"] for setting in service["settings"]}
    assert values["channel"] == '#dev; "all"'
    assert values["level"] == "High"


def test_a_manual_that_has_an_example_gets_no_second_one(oberon):
    assert '[service "post"]' not in oberon("brokers", "post").out


def test_what_has_to_be_installed_for_it_is_told(oberon, broker_file):
    source = 'class Herald(BaseBroker):\n    """Tells a room."""\n    requires = {"apprise": "chat"}\n    def handle(self, payload):\n        pass\n'
    folder = broker_file("herald", source)
    ran = oberon("brokers", "herald", "--path", folder)
    assert "-m pip install 'oberon-brokers[chat]'" in ran.out
    assert oberon("brokers", "herald", "--path", folder, "--json").json()["requires"] == {"apprise": "chat"}
    assert "pip install" not in oberon("brokers", "post").out


def test_without_a_worker_nothing_is_told_of_one(oberon, tmp_path):
    assert oberon("brokers", "--json", "--state-dir", tmp_path / "none").json()["worker"] is None
