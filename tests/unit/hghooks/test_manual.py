"""`hg help hghooks` and the declared settings say what the one table of options says."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

import hghooks
from brokers.config import OBERON_OPTIONS, SERVICE_OPTIONS, Settings
from hghooks import changegroup

OF_GIT = {"gitReader", "gitRevision", "refs"}


def paragraph(name: str) -> str:
    found = [part for part in hghooks.__doc__.split("\n\n") if f"``{name}``" in part.partition("\n")[0]]
    assert len(found) == 1, name
    return found[0]


@pytest.mark.parametrize("option", [option for option in OBERON_OPTIONS if option.name not in OF_GIT], ids=lambda o: o.name)
def test_every_option_is_explained_with_its_default(option):
    told = " ".join(paragraph(option.name).split())
    assert "Default: " in told
    if option.default_text:
        assert option.default_text in told.partition("Default: ")[2]


@pytest.mark.parametrize("option", SERVICE_OPTIONS, ids=lambda option: option.name)
def test_every_option_of_a_service_is_named(option):
    assert re.search(rf"``(NAME\.)?{option.name}``", hghooks.__doc__)


def test_every_option_is_declared():
    declared = hghooks.configtable[b"oberon"]
    assert {name.decode() for name in declared} == {option.name for option in OBERON_OPTIONS}
    assert declared[b"deadline"].default == b"10s"
    assert [item.generic for item in hghooks.configtable[b"services"].values()] == [True]


def test_a_name_that_is_not_there():
    assert not hasattr(hghooks, "cmdtable")


def test_the_hooks_own_copies_of_defaults_are_the_tables():
    assert tuple(changegroup.DEFAULT_SOURCES.split()) == Settings().sources
    assert Settings().mode == "detached"
    assert Settings().verbose is False


def test_the_detached_way_imports_little():
    """Neither Mercurial nor what delivers is needed to write a push down."""
    program = (
        "import sys; before = set(sys.modules); import hghooks.changegroup; hghooks.changegroup._load();"
        " print(*(sys.modules.keys() - before))"  # coverage brings some of its own
    )
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    heavy = {"mercurial", "dulwich", "requests", "ssl", "asyncio", "email", "sqlite3", "json", "dataclasses", "urllib.request"}
    assert heavy & set(loaded) == set()
    assert "payload.push" not in loaded
