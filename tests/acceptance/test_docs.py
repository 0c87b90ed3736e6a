"""What there is, is documented: every command, broker, field and module."""

import re
import subprocess
from pathlib import Path

import pytest

from brokers import loader
from brokers.cli.main import COMMANDS
from tests.support import broker_page
from tests.support.hooked import SCRIPTS

ROOT = Path(__file__).parents[2]
ROOMS = {
    "brokers/compat": ROOT / "brokers/compat/README.md",
    "brokers/services": ROOT / "brokers/services/README.md",
    "brokers/transport": ROOT / "brokers/transport/README.md",
    "brokers/delivery": ROOT / "brokers/delivery/README.md",
    "githooks": ROOT / "githooks/README.md",
    "githooks/reading": ROOT / "githooks/reading/README.md",
    "hghooks": ROOT / "hghooks/README.md",
    "payload": ROOT / "payload/README.md",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_is_in_the_readme_and_has_help_with_examples(command):
    assert f"`oberon {command}" in (ROOT / "README.md").read_text("utf-8")
    done = subprocess.run([SCRIPTS / "oberon", command, "--help"], capture_output=True, text=True, check=True)
    assert "examples:" in done.stdout
    assert f"oberon {command}" in done.stdout.split("examples:")[1]


@pytest.mark.parametrize("name", [found.name for found in loader.available()])
def test_each_broker_has_a_manual_and_help_for_each_field(name):
    broker = loader.broker_class(name)
    manual = broker.__doc__ or ""
    assert '[service "' in manual, "an example for git config"
    assert "[services]" in manual, "an example for hgrc"
    assert f"broker = {name}" in manual
    assert all(field.help for field in broker.fields)


def test_the_page_of_the_brokers_is_what_their_classes_say():
    page = broker_page.PAGE.read_text("utf-8")
    assert page == broker_page.written(page), "run: make docs"


@pytest.mark.parametrize("document", ["README.md", "brokers/services/PREDECESSORS.md"])
def test_each_broker_that_takes_another_s_place_is_there(document):
    named = set(re.findall(r"README\.md#([a-z]+)\)", (ROOT / document).read_text("utf-8")))
    assert len(named) > 10
    assert named - {*broker_page.built_in()} == set()


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_s_readme_names_its_modules(room):
    told = ROOMS[room].read_text("utf-8")
    modules = {path.name for path in (ROOT / room).glob("*.py")} - {"__init__.py", "__main__.py"}
    assert not {name for name in modules if name not in told}


def test_each_link_in_a_document_leads_somewhere():
    documents = [*ROOT.glob("*.md"), *ROOT.glob("[a-z]*/**/*.md")]
    broken = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in documents
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text("utf-8"))
        if not (document.parent / target).exists()
    ]
    assert broken == []


def test_the_broker_of_the_readme_works(tmp_path, git_server):
    source = re.search(r"```python\n(.*?)```", (ROOT / "brokers/README.md").read_text("utf-8"), re.DOTALL)
    assert source is not None
    folder = tmp_path / "brokers"
    folder.mkdir(mode=0o755)
    (folder / "diary.py").write_text(source[1])
    (folder / "diary.py").chmod(0o644)
    server = git_server()
    for key, value in {
        "oberon.brokerPath": folder,
        "service.diary.broker": "diary",
        "service.diary.file": tmp_path / "diary",
    }.items():
        server.config(key, str(value))
    done = subprocess.run([SCRIPTS / "oberon", "test", server.path, "diary"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "diary").read_text() == "team/kettle: 2 commits by ada\n"
