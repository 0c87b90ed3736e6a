import os
import textwrap

import pytest

from brokers import broker_directory, loader, registry
from brokers.errors import BrokerLoadError, UnknownBrokerError


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Each question is a look, and no file waits until it has settled."""
    monkeypatch.setattr(broker_directory, "LOOK_S", 0.0)
    monkeypatch.setattr(broker_directory, "SETTLE_S", 0.0)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "brokers"
    path.mkdir(mode=0o755)
    return path


def write(folder, name, source):
    path = folder / name
    path.write_text(textwrap.dedent(source))
    path.chmod(0o644)
    return path


SHOUT = """
    from brokers import BaseBroker

    class Shout(BaseBroker):
        def handle(self, payload):
            return {words!r}
"""


def test_a_built_in_broker_is_found_by_its_name():
    assert loader.broker_class("post").name == "post"


def test_a_file_of_the_broker_path_is_found_by_its_class(folder):
    write(folder, "whatever.py", SHOUT.format(words="one"))
    found = loader.broker_class("shout", [str(folder)])
    assert found().handle({}) == "one"


def test_a_changed_file_is_taken_up_and_the_old_class_stays_as_it_was(folder):
    path = write(folder, "shout.py", SHOUT.format(words="one"))
    old = loader.broker_class("shout", [str(folder)])
    path.write_text(textwrap.dedent(SHOUT.format(words="three")))
    new = loader.broker_class("shout", [str(folder)])
    assert (old().handle({}), new().handle({})) == ("one", "three")
    assert old.version != new.version


def test_an_unchanged_file_is_not_run_again(folder):
    write(folder, "shout.py", SHOUT.format(words="one"))
    assert loader.broker_class("shout", [str(folder)]) is loader.broker_class("shout", [str(folder)])


def test_a_file_that_no_longer_loads_leaves_the_old_class_in_service(folder):
    path = write(folder, "shout.py", SHOUT.format(words="one"))
    loader.broker_class("shout", [str(folder)])
    path.write_text("def broken(:")
    assert loader.broker_class("shout", [str(folder)])().handle({}) == "one"
    (broken,) = [found for found in loader.available([str(folder)]) if found.problem]
    assert "SyntaxError" in broken.problem
    assert broken.place == str(path)


def test_a_file_takes_the_place_of_a_built_in_there_and_only_there(folder):
    write(folder, "post.py", SHOUT.replace("Shout", "Post").format(words="mine"))
    assert loader.broker_class("post", [str(folder)])().handle({}) == "mine"
    assert loader.broker_class("post").__module__ == "brokers.services.post"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("x = 1", "has no subclass of BaseBroker"),
        ("from brokers import BaseBroker\nclass Bad(BaseBroker): pass", "has no method handle"),
    ],
)
def test_a_file_that_does_not_load_says_why(folder, source, reason):
    path = write(folder, "bad.py", source)
    with pytest.raises(BrokerLoadError, match=reason) as caught:
        loader.broker_class("bad", [str(folder)])
    assert str(path) in str(caught.value)


def test_one_bad_file_does_not_stop_the_others(folder):
    write(folder, "bad.py", "def broken(:")
    write(folder, "shout.py", SHOUT.format(words="one"))
    assert loader.broker_class("shout", [str(folder)])().handle({}) == "one"


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_file_that_others_may_write_is_refused(folder, mode):
    path = write(folder, "shout.py", SHOUT.format(words="one"))
    path.chmod(mode)
    with pytest.raises(BrokerLoadError, match=r"run: chmod go-w .*shout\.py"):
        loader.broker_class("shout", [str(folder)])


def test_a_directory_that_others_may_write_is_refused(folder):
    write(folder, "shout.py", SHOUT.format(words="one"))
    folder.chmod(0o777)
    with pytest.raises(UnknownBrokerError):
        loader.broker_class("shout", [str(folder)])
    assert any("chmod go-w" in found.problem for found in loader.available([str(folder)]))


def test_an_unknown_name_lists_those_that_would_have_been_right(folder):
    write(folder, "shout.py", SHOUT.format(words="one"))
    with pytest.raises(UnknownBrokerError, match=r"there is no broker 'psot'; did you mean post\? there are: .*post, .*shout"):
        loader.broker_class("psot", [str(folder)])


@pytest.mark.parametrize("name", loader._builtin_names())
def test_naming_one_service_imports_its_broker_s_module_and_no_other(run, name):
    program = (
        "import sys; from brokers.delivery import expansion; from brokers.config import Configuration, Entry\n"
        f"configuration = Configuration.parse([Entry('ci', 'broker', {name!r}, '')])\n"
        "print([name for name in sys.modules if name.startswith('brokers.services.')])\n"
        "expansion.needs_of(configuration)\n"
        "print([name for name in sys.modules if name.startswith(('brokers.services.', 'brokers.compat', 'oberon_broker_file'))])\n"
    )
    assert run([os.sys.executable, "-c", program]).stdout == f"[]\n['brokers.services.{name}']\n"


def test_a_file_that_was_made_safe_is_taken_and_one_made_unsafe_is_not(folder):
    path = write(folder, "shout.py", SHOUT.format(words="one"))
    path.chmod(0o666)
    with pytest.raises(BrokerLoadError):
        loader.broker_class("shout", [str(folder)])
    path.chmod(0o644)
    assert loader.broker_class("shout", [str(folder)])().handle({}) == "one"
    path.chmod(0o666)
    assert any("chmod go-w" in found.problem for found in loader.available([str(folder)]))


def test_a_file_of_which_only_the_mode_changed_keeps_its_module(folder):
    path = write(folder, "shout.py", SHOUT.format(words="one"))
    loader.broker_class("shout", [str(folder)])
    path.chmod(0o600)
    found = loader.broker_class("shout", [str(folder)])
    assert found.__module__ in os.sys.modules
    assert found.version in registry.versions("shout")


def test_many_changes_leave_nothing_behind(folder):
    path = write(folder, "shout.py", SHOUT.format(words="one"))
    loader.broker_class("shout", [str(folder)])
    modules, versions = len(os.sys.modules), len(registry.versions("shout"))
    for number in range(50):
        path.write_text(textwrap.dedent(SHOUT.format(words=str(number))))
        assert loader.broker_class("shout", [str(folder)])().handle({}) == str(number)
    assert len(os.sys.modules) == modules
    assert len(registry.versions("shout")) == versions


@pytest.mark.parametrize("needs", ["'diff'", "['dif']", "{'tree'}"])
def test_what_a_broker_may_need_is_checked(folder, needs):
    write(
        folder,
        "bad.py",
        f"from brokers import BaseBroker\nclass Bad(BaseBroker):\n    needs = {needs}\n    def handle(self, payload): pass\n",
    )
    with pytest.raises(BrokerLoadError, match="write it as a set of these: diff"):
        loader.broker_class("bad", [str(folder)])
