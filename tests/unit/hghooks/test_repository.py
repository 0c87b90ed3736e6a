"""Opening a Mercurial repository: what is loaded for it. Each in a process of its own, as a worker's first would be."""

import sys

import pytest

OPENING = """
import sys
from hghooks import repository
repo = repository.open_at(sys.argv[1])
print(*repo.revs(b"not public()"), "mercurial.commands" in sys.modules, *sorted(map(bytes.decode, repo.requirements & {b"lfs"})))
"""


@pytest.fixture
def opened(hg_server, run):
    """opened(hgrc): what OPENING prints for a repository of one changeset with `hgrc` beside its own."""

    def open_with(hgrc, *, requires=""):
        server = hg_server()
        server.hg("commit", "--config", "ui.allowemptycommit=yes", "-m", "one")
        server.hgrc(hgrc)
        with (server.path / ".hg" / "requires").open("a") as file:
            file.write(requires)
        return run([sys.executable, "-c", OPENING, server.path]).stdout.split()

    return open_with


def test_without_extensions_no_commands_are_loaded(opened):
    assert opened("") == ["0", "False"]


def test_an_extension_finds_the_commands_that_it_extends(opened):
    assert opened("[extensions]\nlargefiles =\nlfs =\n") == ["0", "True"]


def test_an_extension_that_the_repository_itself_requires_finds_them_too(opened):
    assert opened("", requires="lfs\n") == ["0", "True", "lfs"]
