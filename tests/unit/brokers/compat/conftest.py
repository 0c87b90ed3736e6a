"""load(source) -> the module that a broker file of that source becomes.   calling(...) -> a Call that is current for the test."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import ModuleType
from typing import Any

import pytest

from brokers.compat import prepare
from brokers.transport.call import Call, placing


@pytest.fixture
def load() -> Callable[[str], ModuleType]:
    def run(source: str) -> ModuleType:
        module = ModuleType("own")
        exec(prepare(module, textwrap.dedent(source).encode(), "/etc/oberon/brokers/own.py"), module.__dict__)
        return module

    return run


@pytest.fixture
def calling() -> Iterator[Callable[..., Call]]:
    with ExitStack() as stack:

        def place(**circumstances: Any) -> Call:
            return stack.enter_context(placing(Call(time.monotonic() + 5, **circumstances)))

        yield place
