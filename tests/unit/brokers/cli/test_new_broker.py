"""oberon new-broker: what it writes, and what it leaves alone."""

import os
import runpy

import pytest

from brokers import loader


@pytest.mark.parametrize(
    ("name", "file", "class_name"),
    [
        ("chat", "chat.py", "Chat"),
        ("Chat", "chat.py", "Chat"),
        ("team-chat_2", "team_chat_2.py", "TeamChat2"),
        ("json", "jsonbroker.py", "Json"),
        ("brokers", "brokersbroker.py", "Brokers"),
        ("none", "none.py", "NoneBroker"),
        ("field", "field.py", "FieldBroker"),
        ("base-broker", "base_broker.py", "BaseBrokerBroker"),
        ("pawnbroker", "pawnbroker.py", "Pawnbroker"),
        ("broker", "broker.py", "Broker"),
    ],
)
def test_it_has_its_name_and_a_file_that_hides_no_module(oberon, tmp_path, name, file, class_name):
    ran = oberon("new-broker", name, "--directory", tmp_path / "own")
    assert ran.code == 0, ran.err
    broker = loader.load_file(str(tmp_path / "own" / file))[name.lower()]
    assert broker.__name__ == class_name
    assert [row.name for row in broker.fields] == ["URL", "Token"]
    test = tmp_path / "own" / "tests" / f"test_{file}"
    assert ran.out.splitlines()[:2] == [f"wrote {tmp_path / 'own' / file}", f"wrote {test}"]
    assert runpy.run_path(str(test))["Broker"].__name__ == class_name


def test_a_service_can_name_it_whatever_the_umask(oberon, git_repo, tmp_path):
    before = os.umask(0o002)
    try:
        assert oberon("new-broker", "chat", "--directory", tmp_path / "own").code == 0
    finally:
        os.umask(before)
    git_repo.server.config("oberon.brokerPath", str(tmp_path / "own"))
    git_repo.server.config("service.good.broker", "chat")
    git_repo.server.config("service.good.url", "http://127.0.0.1:1/")
    assert oberon("test", git_repo.path, "good", "--dry-run").code == 0


@pytest.mark.parametrize("there", ["chat.py", "tests/test_chat.py"])
def test_nothing_is_overwritten(oberon, tmp_path, there):
    path = tmp_path / there
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    before = sorted(tmp_path.rglob("*.py"))
    ran = oberon("new-broker", "chat", "--directory", tmp_path)
    assert ran.code == 2
    assert f"{path}: is there already" in ran.err
    assert path.read_text() == "mine"
    assert sorted(tmp_path.rglob("*.py")) == before


def test_a_link_that_leads_nowhere_is_there_too(oberon, tmp_path):
    (tmp_path / "chat.py").symlink_to(tmp_path / "elsewhere.py")
    assert oberon("new-broker", "chat", "--directory", tmp_path).code == 2
    assert not (tmp_path / "elsewhere.py").exists()


@pytest.mark.parametrize("name", ["", "../chat", "2chat", "_chat", "-", "ch at", "chät", "chat.py"])
def test_what_can_be_no_name(oberon, tmp_path, name):
    ran = oberon("new-broker", "--directory", tmp_path, "--", name)
    assert ran.code == 2
    assert "cannot be a broker's name" in ran.err
    assert not list(tmp_path.rglob("*.py"))


def test_in_the_place_of_one_that_comes_with_oberon(oberon, tmp_path):
    assert "instead of the broker of that name" in oberon("new-broker", "post", "--directory", tmp_path).out
