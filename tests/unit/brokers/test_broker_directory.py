"""A directory of broker files while the process runs: changes taken up, what cannot be used told, the old version going on."""

import gc
import logging
import os
import re
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from brokers import broker_directory, broker_files, in_service, loader, registry
from brokers.errors import BrokerLoadError, UnknownBrokerError
from tests.support.waiting import until

SAYS = """
from brokers import BaseBroker

class {name}(BaseBroker):
    def handle(self, payload):
        return {words!r}
"""


def says(words, name="Shout"):
    return SAYS.format(name=name, words=words)


class Folder:
    """A directory of `brokerPath`; each question is a look, and no file waits until it has settled."""

    def __init__(self, path):
        self.path = path
        path.mkdir(mode=0o755)

    def write(self, source, name="shout.py"):
        path = self.path / name
        path.write_text(textwrap.dedent(source))
        path.chmod(0o644)
        return path

    def says(self, name="shout"):
        return loader.broker_class(name, [str(self.path)])().handle({})

    def problems(self):
        return [f"{Path(found.place).name}: {found.problem}" for found in loader.available([str(self.path)]) if found.problem]


@pytest.fixture(autouse=True)
def nothing_loaded(monkeypatch):
    for module, name in ((registry, "_versions"), (in_service, "_held"), (in_service, "_remembered"), (loader, "_directories")):
        monkeypatch.setattr(module, name, {})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(broker_directory, "LOOK_S", 0.0)
    monkeypatch.setattr(broker_directory, "SETTLE_S", 0.0)
    folder = Folder(tmp_path / "brokers")
    yield folder
    for path in filter(Path.is_fifo, folder.path.iterdir()):
        path.unlink()  # hypothesis opens the file of every module there is, and would wait for the writer of a pipe


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, "oberon.brokers")

    def lines():
        told = [record.getMessage() for record in caplog.records if record.name == "oberon.brokers"]
        caplog.clear()
        return told

    return lines


# ------------------------------------------------------------------------------------------------------- what becomes of files


def test_a_file_is_added_changed_renamed_and_removed(folder, log):
    with pytest.raises(UnknownBrokerError):
        folder.says()
    path = folder.write(says("one"))
    assert folder.says() == "one"
    path.write_text(says("two"))
    assert folder.says() == "two"
    renamed = path.rename(folder.path / "loud.py")
    assert folder.says() == "two"
    assert {found.place for found in loader.available([str(folder.path)]) if found.name == "shout"} == {str(renamed)}
    renamed.unlink()
    with pytest.raises(UnknownBrokerError, match="there is no broker 'shout'"):
        folder.says()
    one, two = (broker_files.version_of(says(words).encode()) for words in ("one", "two"))
    assert log() == [
        f"broker shout: version {one} of {path}",
        f"broker shout: version {two} of {path}, instead of version {one}",
        f"broker shout: version {two} of {renamed}, instead of version {two}",
        f"broker shout: version {two} is out of service, its file is gone or has it no more",
    ]


def test_a_class_renamed_in_its_file_is_known_by_the_new_name_only(folder):
    path = folder.write(says("one"))
    folder.says()
    path.write_text(says("two", "Whisper"))
    assert folder.says("whisper") == "two"
    with pytest.raises(UnknownBrokerError):
        folder.says("shout")


def test_a_file_replaced_by_a_rename_over_it_is_taken_up(folder):
    folder.write(says("one"))
    folder.says()
    folder.write(says("two"), "shout.py.new").replace(folder.path / "shout.py")
    assert folder.says() == "two"


def test_a_second_write_within_the_same_tick_is_taken_up(folder, monkeypatch):
    path = folder.write(says("one"))
    folder.says()
    # The file system's clock stands still: all of the file's status stays as it was.
    frozen = broker_files.stamp_of(path.stat())
    monkeypatch.setattr(broker_files, "stamp_of", lambda _: frozen)
    path.write_text(says("two"))
    assert folder.says() == "two"


def test_a_file_whose_last_change_is_long_ago_is_not_read_again(folder, monkeypatch):
    monkeypatch.setattr(broker_directory, "TICK_S", 0.0)
    path = folder.write(says("one"))
    folder.says()
    reading = []
    read = broker_files.read
    monkeypatch.setattr(broker_files, "read", lambda path, directory: reading.append(path) or read(path, directory))
    assert folder.says() == "one"
    assert reading == []
    path.touch()
    assert folder.says() == "one"
    assert reading == [str(path)]


def test_a_file_that_was_only_touched_is_not_run_again(folder):
    path = folder.write(says("one"))
    before = loader.broker_class("shout", [str(folder.path)])
    path.touch()
    assert loader.broker_class("shout", [str(folder.path)]) is before


def test_a_file_that_failed_is_run_again_when_it_is_touched_or_all_are_to_be_read_anew(folder, monkeypatch):
    monkeypatch.setenv("GREETING", "")
    source = "import os\nif not os.environ['GREETING']: raise RuntimeError('no greeting')\n" + says("one")
    path = folder.write(source)
    with pytest.raises(BrokerLoadError, match="line 2: RuntimeError: no greeting"):
        folder.says()
    monkeypatch.setenv("GREETING", "hello")
    with pytest.raises(BrokerLoadError):
        folder.says()
    path.touch()
    assert folder.says() == "one"
    before = loader.broker_class("shout", [str(folder.path)])
    loader.look_again()
    assert loader.broker_class("shout", [str(folder.path)]) is not before


def test_what_is_changed_back_is_in_service_without_being_run_again(folder):
    path = folder.write(says("one"))
    before = loader.broker_class("shout", [str(folder.path)])
    path.write_text("import (")
    folder.says()
    assert folder.problems() != []
    path.write_text(says("one"))
    assert loader.broker_class("shout", [str(folder.path)]) is before
    assert folder.problems() == []


# ------------------------------------------------------------------------------------------------- what cannot be used is told


def into_pieces(path):
    path.unlink()
    path.mkdir()


def outside(path):
    target = path.parent.parent / "elsewhere.py"
    path.rename(target)
    path.symlink_to(target)


def nowhere(path):
    path.unlink()
    path.symlink_to(path.parent / "gone.py")


def through_a_folder_of_others(path):
    inner = path.parent / "inner"
    inner.mkdir()
    inner.chmod(0o777)
    path.rename(inner / "shout.py")
    path.symlink_to(inner / "shout.py")


def a_pipe(path):
    path.unlink()
    os.mkfifo(path, 0o644)


def written(source):
    return lambda path: path.write_text(textwrap.dedent(source))


DOUBLE = says("two") + says("three", "ShoutBroker").replace("from brokers import BaseBroker", "")

UNUSABLE = [
    ("a syntax error", written("def broken(:"), r"shout\.py: line 1: `def broken\(:`: SyntaxError: invalid syntax"),
    ("an import that fails", written("\nimport nothing_such"), r"shout\.py: line 2: ModuleNotFoundError: No module named 'nothing_such'"),
    ("an error while it runs", written("x = 1\ny = 1 / 0"), r"shout\.py: line 2: ZeroDivisionError: division by zero"),
    ("an exit while it runs", written("import sys\nsys.exit(3)"), r"shout\.py: line 2: SystemExit: 3"),
    ("nothing in it", written(""), r"shout\.py: has no subclass of BaseBroker"),
    ("no broker in it", written("x = 1"), r"shout\.py: has no subclass of BaseBroker"),
    (
        "a class without handle",
        written("from brokers import BaseBroker\nclass Shout(BaseBroker): pass"),
        r"shout\.py: class Shout: has no method handle\(self, payload\)",
    ),
    (
        "a field that cannot be",
        written("from brokers import BaseBroker, Field\nx = Field('Port', type='integer', default='many')"),
        r"shout\.py: line 2: ValueError: the field Port has the default 'many': write a whole number",
    ),
    ("a NUL byte", written("x = 1\0"), r"shout\.py: .*null byte"),
    (
        "two brokers of one name in it",
        written(DOUBLE),
        r"shout\.py: has two brokers named shout: Shout and ShoutBroker; set `name` in one of them",
    ),
    ("group may write it", lambda path: path.chmod(0o664), r"shout\.py: may be written by group or others; run: chmod go-w .*/shout\.py"),
    ("others may write it", lambda path: path.chmod(0o646), r"shout\.py: may be written by group or others; run: chmod go-w .*/shout\.py"),
    (
        "a link out of the directory",
        outside,
        r"shout\.py: is a link to .*/elsewhere\.py, which is outside of the directory; copy the file there, or name its directory",
    ),
    ("a link to nowhere", nowhere, r"shout\.py: cannot be read: No such file or directory"),
    ("a link through a folder that others may write", through_a_folder_of_others, r"inner: may be written by group or others"),
    ("a folder", into_pieces, r"shout\.py: is no regular file"),
    ("a pipe", a_pipe, r"shout\.py: is no regular file"),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "told"), [row[1:] for row in UNUSABLE], ids=[row[0] for row in UNUSABLE])
def test_what_cannot_be_used_is_told_and_the_old_version_goes_on(folder, log, spoil, told):
    path = folder.write(says("one"))
    assert folder.says() == "one"
    version = loader.broker_class("shout", [str(folder.path)]).version
    modules = {name for name in sys.modules if "broker_file" in name}
    log()
    spoil(path)
    for _ in range(3):
        assert folder.says() == "one"
    (problem,) = folder.problems()
    assert re.search(told, problem)
    (line,) = log()
    assert line.startswith(str(path.parent))
    assert line.endswith(f"; in service stays shout version {version}")
    assert {name for name in sys.modules if "broker_file" in name} == modules
    assert list(registry.versions("shout")).count(version) == 1


@pytest.mark.parametrize(("spoil", "told"), [row[1:] for row in UNUSABLE], ids=[row[0] for row in UNUSABLE])
def test_what_cannot_be_used_from_the_start_is_told_to_who_asks_for_it(folder, spoil, told):
    spoil(folder.write(says("one")))
    with pytest.raises(BrokerLoadError, match=told):
        folder.says()


def test_a_version_that_is_given_again_to_other_code_is_told_and_the_old_one_goes_on(folder):
    versioned = says("one").replace("    def", "    version = '1'\n\n    def")
    path = folder.write(versioned)
    folder.says()
    path.write_text(versioned.replace("'one'", "'two'"))
    assert folder.says() == "one"
    (problem,) = folder.problems()
    assert problem.startswith("shout.py: the file has changed, and the broker shout is version '1' as before; give it another")
    path.write_text(versioned.replace("'one'", "'two'").replace("'1'", "'2'"))
    assert folder.says() == "two"
    assert loader.broker_class("shout", [str(folder.path)]).version == "2"
    assert folder.problems() == []


def test_of_two_files_with_one_name_the_one_in_service_stays_until_it_is_gone(folder, log):
    first = folder.write(says("one"), "m.py")
    folder.says()
    other = folder.write(says("two") + says("three", "Whisper"), "a.py")
    log()
    assert folder.says() == "one"
    assert folder.says("whisper") == "three"
    told = f"the broker shout comes from {first} already; rename one of them, or remove a file"
    assert folder.problems() == [f"a.py: {told}"]
    assert f"{other}: {told}" in log()
    first.unlink()
    assert folder.says() == "two"
    assert folder.problems() == []


def test_of_two_files_with_one_name_that_come_at_once_it_is_the_first(folder):
    folder.write(says("two"), "b.py")
    folder.write(says("one"), "a.py")
    assert folder.says() == "one"
    assert len(folder.problems()) == 1


def test_a_file_of_two_brokers_is_taken_whole_or_not_at_all(folder):
    both = says("one") + says("one", "Whisper")
    path = folder.write(both)
    assert (folder.says(), folder.says("whisper")) == ("one", "one")
    path.write_text(both.replace("'one'", "'two'", 1) + "raise RuntimeError('at the end')\n")
    assert (folder.says(), folder.says("whisper")) == ("one", "one")
    assert len(registry.versions("shout")) == 1
    path.write_text(both.replace("'one'", "'two'"))
    assert (folder.says(), folder.says("whisper")) == ("two", "two")


def test_a_directory_that_can_no_longer_be_used_leaves_what_was_in_service(folder, log):
    folder.write(says("one"))
    folder.says()
    log()
    folder.path.chmod(0o777)
    assert folder.says() == "one"
    assert folder.problems() == [f"brokers: may be written by group or others; run: chmod go-w {folder.path}"]
    folder.path.rename(folder.path.with_name("away"))
    assert folder.says() == "one"
    assert folder.problems() == ["brokers: cannot be read: No such file or directory"]
    assert len(log()) == 2
    folder.path.with_name("away").rename(folder.path)
    folder.path.chmod(0o755)
    assert (folder.says(), folder.problems()) == ("one", [])


def test_links_within_the_directory_are_followed(folder):
    for words in ("one", "two"):
        (folder.path / words).mkdir(mode=0o755)
        folder.write(says(words), f"{words}/shout.py")
    (folder.path / "now").symlink_to("one")
    (folder.path / "shout.py").symlink_to("now/shout.py")
    assert folder.says() == "one"
    (folder.path / "now.new").symlink_to("two")
    (folder.path / "now.new").rename(folder.path / "now")
    assert folder.says() == "two"


@pytest.mark.parametrize("source", ["def broken(:", "class Post(BaseBroker): pass"])
def test_a_broken_file_that_would_take_a_built_in_one_s_place_is_not_silently_replaced_by_it(folder, source):
    folder.write(source, "post.py" if "Post" not in source else "own.py")
    with pytest.raises(BrokerLoadError):
        folder.says("post")


def test_a_base_class_of_several_brokers_is_none_itself(folder):
    folder.write("""
        from brokers import BaseBroker

        class Tracker(BaseBroker):
            abstract = True

            def handle(self, payload):
                return self.name

        class Redmine(Tracker):
            pass

        class Trac(Tracker):
            pass
        """)
    assert (folder.says("redmine"), folder.says("trac")) == ("redmine", "trac")
    with pytest.raises(UnknownBrokerError):
        folder.says("tracker")


# ------------------------------------------------------------------------------------------------------------------ in time


def test_a_file_is_looked_at_after_a_second_and_when_it_has_settled(tmp_path):
    folder = Folder(tmp_path / "brokers")
    path = folder.write(says("one"))
    time.sleep(broker_directory.SETTLE_S)
    folder.says()
    path.write_text("from brokers import Base")  # an editor's first half
    began = time.monotonic()
    assert folder.says() == "one"
    time.sleep(0.05)
    path.write_text(says("two"))
    until(lambda: folder.says() == "two", 2.0)
    assert broker_directory.LOOK_S - 0.1 < time.monotonic() - began < 2.0


def test_half_a_file_that_even_loads_is_not_taken_while_it_is_being_written(folder, monkeypatch, log):
    monkeypatch.setattr(broker_directory, "SETTLE_S", 0.3)
    path = folder.write(says("one"))
    folder.says()
    log()
    whole = says("half") + "    LATER = 1\n"
    path.write_text(whole[: whole.index("    LATER")])
    assert folder.says() == "one"
    path.write_text(whole.replace("half", "whole"))
    until(lambda: folder.says() == "whole", 2.0)
    assert len(log()) == 1


def test_a_new_name_is_found_at_once(tmp_path):
    folder = Folder(tmp_path / "brokers")
    folder.write(says("one"))
    folder.says()
    folder.write(says("two", "Whisper"), "whisper.py")
    assert folder.says("whisper") == "two"


def test_a_file_that_does_not_end_loading_holds_up_nobody_else(folder, monkeypatch):
    monkeypatch.setattr(broker_files, "LOAD_S", 0.3)
    path = folder.write(says("one"))
    folder.says()
    monkeypatch.setattr(broker_files, "hold", threading.Event(), raising=False)
    path.write_text("from brokers import broker_files\nbroker_files.hold.wait()\n" + says("two"))
    looking = threading.Thread(target=folder.says)
    looking.start()
    time.sleep(0.05)
    began = time.monotonic()
    monkeypatch.setattr(broker_directory, "LOOK_S", 60.0)
    assert folder.says() == "one"
    assert time.monotonic() - began < 0.2
    looking.join()
    modules = set(sys.modules)
    broker_files.hold.set()
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == "oberon-loading"])
    assert set(sys.modules) <= modules
    assert loader.problems()[-1].reason == "takes longer than 0.3 s to load: its work belongs into `handle`"


# ------------------------------------------------------------------------------------------------------- versions and what they hold


HOLDING = """
from brokers import BaseBroker

class Holding(BaseBroker):
    WORDS = {words!r}

    def handle(self, payload):
        return self.get_local("kept", payload["make"])
"""


class Kept:
    def __init__(self):
        self.closed_by = []

    def close(self):
        self.closed_by.append(threading.current_thread().name)


def known(name):
    return [
        (version.version, version.replaced_at is None, version.running) for version in in_service.known() if version.name == name
    ]


def test_a_version_is_kept_whole_until_its_last_delivery_ends(folder):
    path = folder.write(HOLDING.format(words="one"))
    with loader.using("holding", [str(folder.path)]) as old:
        kept = old().handle({"make": Kept})
        path.write_text(HOLDING.format(words="two"))
        new = loader.broker_class("holding", [str(folder.path)])
        assert known("holding") == [(new.version, True, 0), (old.version, False, 1)]
        assert list(registry.versions("holding")) == [old.version, new.version]
        assert sys.modules[old.__module__].Holding is old
        assert old().handle({"make": Kept}) is kept
        assert kept.closed_by == []
    until(lambda: kept.closed_by)
    assert kept.closed_by == ["oberon-closing"]
    assert list(registry.versions("holding")) == [new.version]
    assert old.__module__ not in sys.modules
    assert known("holding") == [(new.version, True, 0), (old.version, False, 0)]


def test_who_asks_while_a_version_is_replaced_gets_the_new_one(folder):
    path = folder.write(says("0"))
    asked = threading.Event()
    seen, wrong = [], []

    def deliver():
        while not asked.is_set():
            with loader.using("shout", [str(folder.path)]) as broker:
                if broker.__module__ not in sys.modules or registry.versions("shout").get(broker.version) is not broker:
                    wrong.append(broker)
                seen.append(int(broker().handle({})))

    threads = [threading.Thread(target=deliver) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(1, 40):
        path.write_text(says(str(number)))
        until(lambda number=number: folder.says() == str(number))
    asked.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(set(seen)) > 10


def test_a_thousand_reloads_leave_nothing_behind(folder):
    path = folder.write(HOLDING.format(words="first"))

    def reload(number):
        path.write_text(HOLDING.format(words=str(number)))
        with loader.using("holding", [str(folder.path)]) as broker:
            assert int(broker.WORDS) == number
            kept.append(broker().handle({"make": Kept}))

    def standing():
        until(lambda: threading.active_count() == threads)
        gc.collect()
        return (
            len(list(Path("/proc/self/fd").iterdir())),
            len(sys.modules),
            len(registry.versions("holding")),
            len(in_service.known()),
            sum(isinstance(thing, type) and thing.__name__ == "Holding" for thing in gc.get_objects()),
        )

    kept = []
    threads = threading.active_count()
    for number in range(50):
        reload(number)
    before, blocks = standing(), sys.getallocatedblocks()
    for number in range(1000):
        reload(number)
    until(lambda: all(each.closed_by for each in kept[:-1]))
    assert len(kept) == 1050
    assert all(len(each.closed_by) == 1 for each in kept[:-1])
    del kept[:-1]
    assert standing() == before
    # A version that stays takes some two hundred for each reload; coverage, where it runs, a dozen.
    assert sys.getallocatedblocks() - blocks < 20_000


@pytest.mark.parametrize("words", ["one\n", ""])
def test_what_a_file_prints_while_it_loads_goes_to_the_log_and_nowhere_else(folder, log, capfd, words):
    folder.write(f"print({words!r}, end='')\n" + says("one"))
    folder.says()
    assert capfd.readouterr() == ("", "")
    assert [line for line in log() if "printed" in line] == (
        [f"{folder.path}/shout.py printed while it was loaded: one"] if words else []
    )


# --------------------------------------------------------------------------------------------------------------------- one file


def test_one_file_is_run_for_its_author_and_registered_for_nobody(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(says("one", "OnlyMine"))
    path.chmod(0o664)
    found = loader.load_file(str(path))
    assert found["onlymine"]().handle({}) == "one"
    assert registry.versions("onlymine") == {}
    assert "chmod go-w" in str(loader.why_refused(str(path)))
    path.chmod(0o644)
    assert loader.why_refused(str(path)) is None


def test_one_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(BrokerLoadError, match=r"own\.py: cannot be read: No such file or directory"):
        loader.load_file(str(tmp_path / "own.py"))
