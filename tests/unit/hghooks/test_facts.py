from __future__ import annotations

import os

import pytest

from hghooks import facts
from payload.push import Event


class Ui:
    """What a changegroup hook reads of hg's ui; under hgweb its environment holds more than bytes."""

    def __init__(self, environ=None, config=None, name=None):
        self.environ = environ or {}
        self._config = config
        self._name = name

    def config(self, section, name, default):
        return {(b"rhodecode", b"RC_SCM_DATA"): self._config, (b"web", b"name"): self._name}[section, name]


class Repo:
    root = b"/srv/caf\xe9"
    path = b"/srv/caf\xe9/.hg"


def test_a_record_is_an_event():
    record = facts.record(Ui(), Repo(), b"a" * 40, b"b" * 40, b"remote:http:h:u", {"REASON": "x", "OBERON_SKIP": "no"})
    event = Event.from_record(record)
    assert (event.first, event.last, event.source, event.options) == ("a" * 40, "b" * 40, "http", ("REASON=x",))
    assert os.fsencode(event.path) == Repo.root
    assert event.to_record() == record


def test_the_web_servers_environment_holds_more_than_bytes():
    environ = {b"REMOTE_USER": b"j\xc3\xb6rg", b"wsgi.version": (1, 0), b"KALLITHEA_EXTRAS": True}
    record = facts.record(Ui(environ), Repo(), b"a" * 40, b"a" * 40, b"", {})
    assert record["environment"] == {"REMOTE_USER": "jörg"}


def test_bytes_that_are_no_utf8_are_kept():
    record = facts.record(Ui({b"REMOTE_USER": b"j\xf6rg"}), Repo(), b"a" * 40, None, None, {})
    assert record["environment"] == {"REMOTE_USER": "j\udcf6rg"}
    assert record["last"] is None


def test_the_process_tells_what_the_request_does_not(monkeypatch):
    monkeypatch.setenv("KALLITHEA_EXTRAS", '{"username": "ann"}')
    monkeypatch.setenv("REMOTE_USER", "of the server's own start")
    record = facts.record(Ui(), Repo(), b"a" * 40, None, b"remote:http:h:", {})
    assert record["environment"] == {"KALLITHEA_EXTRAS": '{"username": "ann"}', "HG_URL": "remote:http:h:"}


def test_rhodecode_tells_by_configuration():
    record = facts.record(Ui(config=b'{"username": "bob", "x": 1}'), Repo(), b"a" * 40, None, b"", {})
    assert record["environment"] == {"RC_SCM_DATA": '{"username": "bob"}'}


def test_hgweb_s_name_for_the_repository_is_recorded():
    record = facts.record(Ui(name="größe".encode()), Repo(), b"a" * 40, None, b"", {})
    assert record["environment"] == {"web.name": "größe"}


def test_what_a_request_tells_is_not_taken_from_the_process(monkeypatch):
    for name in ("REMOTE_USER", "REPO_NAME", "PATH_INFO"):
        monkeypatch.setenv(name, "/of/the/server's/own/start")
    assert facts.record(Ui(), Repo(), b"a" * 40, None, b"", {})["environment"] == {}


def test_a_user_without_a_name(monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_001)
    assert facts.record(Ui(), Repo(), b"a" * 40, None, b"", {})["login"] == "4000000001"


def test_pushvars():
    given = {"USERVAR_REASON": b"caf\xe9", "USERVAR_OBERON_SKIP": b"1", "txnid": b"x", "bundle2": b"1", "changes": {}}
    assert facts.pushvars(given) == {"REASON": "caf\udce9", "OBERON_SKIP": "1"}


@pytest.mark.parametrize(
    ("value", "silenced"), [("1", True), ("yes", True), ("x", True), ("", False), ("0", False), (" NO ", False), (None, False)]
)
def test_silenced(value, silenced):
    assert facts.is_silenced({} if value is None else {"OBERON_SKIP": value}) is silenced
