from __future__ import annotations

import inspect

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
