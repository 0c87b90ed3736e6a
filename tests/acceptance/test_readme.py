"""The README, done as a new user would do it: line by line, in a home where nothing is yet."""

from pathlib import Path

import pytest

from tests.support import docs, transcript
from tests.support.ports import free_port

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.parametrize("name", ["git", "hg"])
def test_the_five_minutes(name, isolated):
    text = README.read_text("utf-8").replace("8010", str(free_port()))
    todo = transcript.steps(text, name)
    assert len(todo) > 10
    answers = transcript.run(todo, isolated / "home")
    different = [transcript.differs(step, answered) for step, answered in zip(todo, answers, strict=True)]
    assert not any(different), "\n\n".join(filter(None, different))


def test_the_tables_of_settings_are_those_that_are_read():
    text = README.read_text("utf-8")
    assert text == docs.written(text), "run: make docs"
