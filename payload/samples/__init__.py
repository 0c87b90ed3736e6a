"""Example payloads, one JSON file each, by name: for the documentation, for `oberon test` and for broker authors.

`twitter-2008` is the example of the original documentation, key by key and value by value.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

SUFFIX = ".json"
OF_2008 = "twitter-2008"
"""It has `broker`, `service`, `repository` and `commits` alone, and so is none of today's contract."""


class UnknownSampleError(LookupError):
    """There is no sample of that name; says which there are."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"there is no sample {name!r}; there are: {', '.join(known)}")
        self.name = name
        self.known = known


def names() -> list[str]:
    """The samples there are, in alphabetical order."""
    folder = resources.files(__name__)
    return sorted(entry.name.removesuffix(SUFFIX) for entry in folder.iterdir() if entry.name.endswith(SUFFIX))


def of_today() -> list[str]:
    """The samples that keep today's contract: one for each kind of push, and an alert of Oberon's own; in alphabetical order."""
    return [name for name in names() if name != OF_2008]


def load(name: str) -> dict[str, Any]:
    """A fresh copy of the sample `name`. Raises UnknownSampleError."""
    known = names()
    if name not in known:
        raise UnknownSampleError(name, known)
    sample: dict[str, Any] = json.loads(resources.files(__name__).joinpath(name + SUFFIX).read_text("utf-8"))
    return sample
