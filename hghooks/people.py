"""Who wrote a changeset."""

from __future__ import annotations

from typing import Any

from hghooks.branches import utf8
from payload import text
from payload.push import Person

LONGEST_NAME_BYTES = 1000
"""Of a user's name with its address; more is nobody's name."""


def person(changeset: Any) -> Person:
    """The user as stored, with the changeset's date, of which Mercurial has the zone in seconds west of UTC."""
    time_s, west_s = changeset.date()
    return Person.parse(text.decode(utf8(changeset.user())[:LONGEST_NAME_BYTES]), int(time_s), -west_s)
