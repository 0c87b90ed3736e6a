"""Reading a git repository: from the facts that the hook wrote down to what was pushed.

In: an `Event` and the repository's settings. Out: a `Push`. `with_dulwich` does it; a second lane over the git binary will
give the same, and `read` chooses. What counts of the hook's environment is in the event; the reader's own
is only handed on, cleaned, to the git that counts.
"""

from __future__ import annotations

from collections.abc import Iterable

from brokers.config import Settings
from brokers.errors import ReadingError, RepositoryGone, RepositoryUnreadable
from githooks.reading.errors import ObjectBroken, ObjectMissing
from payload.push import Event, Push

__all__ = ["ObjectBroken", "ObjectMissing", "ReadingError", "RepositoryGone", "RepositoryUnreadable", "read"]


def read(event: Event, settings: Settings, needs: frozenset[str] = frozenset(), *, later: Iterable[Event] = ()) -> Push:
    """The push that `event` tells of, with its newest `settings.max_commits` commits in full.

    `needs` are those of the brokers it is for; `diff` is not served yet. `later` are events known to have come after this
    one, of this repository or any: they tell what other refs were when it came (`at_the_time`). Raises ReadingError.
    """
    del needs  # `Commit.diff` stays None until patches are made
    from githooks.reading import with_dulwich

    return with_dulwich.read(event, settings, later)
