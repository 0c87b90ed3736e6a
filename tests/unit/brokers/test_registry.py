"""name -> version -> class."""

import threading

import pytest

from brokers import registry
from brokers.errors import BrokerLoadError


@pytest.fixture(autouse=True)
def empty(monkeypatch):
    monkeypatch.setattr(registry, "_versions", {})


def a_class(label):
    return type(label, (), {})


def test_nothing_is_there_at_first():
    assert registry.names() == []
    assert registry.newest("post") is None
    assert registry.versions("post") == {}


def test_the_last_that_came_is_the_newest():
    first, second = a_class("First"), a_class("Second")
    registry.register("post", "9", first)
    registry.register("post", "10", second)
    assert registry.newest("post") is second
    assert list(registry.versions("post").items()) == [("9", first), ("10", second)]


def test_a_version_that_comes_again_replaces_its_class_and_is_the_newest():
    first, second, third = a_class("First"), a_class("Second"), a_class("Third")
    for version, broker in (("1", first), ("2", second), ("1", third)):
        registry.register("post", version, broker)
    assert registry.newest("post") is third
    assert list(registry.versions("post")) == ["2", "1"]


def test_forgetting_a_version_brings_the_one_before_back():
    first, second = a_class("First"), a_class("Second")
    registry.register("post", "1", first)
    registry.register("post", "2", second)
    registry.forget("post", "2")
    assert registry.newest("post") is first
    registry.forget("post", "1")
    assert registry.newest("post") is None
    assert registry.names() == []


def test_forgetting_what_is_not_there_is_no_error():
    registry.forget("post", "1")
    registry.register("post", "1", a_class("First"))
    registry.forget("post", "2")
    assert registry.names() == ["post"]


def test_names_are_sorted():
    for name in ("post", "email", "irker"):
        registry.register(name, "1", a_class(name))
    assert registry.names() == ["email", "irker", "post"]


def test_what_is_handed_out_is_a_copy():
    registry.register("post", "1", a_class("First"))
    registry.versions("post").clear()
    assert registry.newest("post") is not None


def test_many_threads_register_at_once():
    start = threading.Barrier(8)

    def enter(number):
        start.wait()
        for version in range(100):
            registry.register("post", f"{number}.{version}", a_class("X"))
            registry.newest("post")

    threads = [threading.Thread(target=enter, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(registry.versions("post")) == 800


@pytest.mark.parametrize("name", ["post", "email_diff", "gitlab-issues", "s3", "2ch"])
def test_names_a_configuration_can_hold(name):
    registry.check(name, "file.py: class X")


@pytest.mark.parametrize("name", ["", "Post", "e mail", "a.b", "a/b", "../post", "-", "_", "a\n", "größe", "٣", "a\0", None, 5])
def test_names_it_cannot_hold(name):
    with pytest.raises(BrokerLoadError) as caught:
        registry.check(name, "file.py: class X")
    assert caught.value.place == "file.py: class X"
    assert caught.value.reason == f"{name!r} cannot be a broker's name: use a-z, 0-9, - and _"
